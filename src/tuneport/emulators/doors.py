"""Opens the emulators of single clouds, and says how the vendors' SDKs, and tuneport itself, find them.

A door is a module of this room, named as its cloud; its function ``serve(host, faults, port, options)`` returns a
`Door`.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Protocol

from tuneport.backends import registry
from tuneport.emulators.faults import Faults
from tuneport.emulators.host import Host
from tuneport.errors import SettingsError, TuneportError
from tuneport.model.word import did_you_mean

CLOUDS = ("sagemaker", "vertex", "modelarts")
"""The clouds that have doors, in the order in which ports are counted."""
REGIONS = {"sagemaker": "eu-west-1", "vertex": "us-central1", "modelarts": "cn-north-4"}
"""Regions to say where a client insists; the emulators take any."""
_HERE = "127.0.0.1,localhost"
_CREDENTIAL = "emulated"


class Door(Protocol):
    """One cloud's emulator, open."""

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Name to place: the cloud's own name to its URL, and others such as vertex_grpc to HOST:PORT."""

    def close(self) -> None:
        """Close it; what runs belongs to the host."""


Serve = Callable[[Host, Faults, int, Any], Door]
"""What a door's module calls `serve`: host, faults, the port, 0 for a free one, and its `Options`, or None."""


class Doors:
    """Several open doors. A context manager that closes them."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self.endpoints: dict[str, str] = {}

    def open(self, name: str, host: Host, faults: Faults, port: int = 0, options: Any = None) -> None:
        """Open one more; `options` are of its own kind.

        Raises:
            SettingsError: there is no such emulator, or the port is taken.
            MissingExtraError: it needs a package that is not there.
        """
        door = _serve(name)(host, faults, port, options)
        self._open.callback(door.close)
        self.endpoints |= door.endpoints

    def close(self) -> None:
        """Close them, the last one first."""
        self._open.close()

    def __enter__(self) -> Doors:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_doors(
    names: Iterable[str], host: Host, faults: Faults, port: int = 0, options: Mapping[str, Any] | None = None
) -> Doors:
    """Open the doors of several clouds, or none of them.

    Args:
        names: the clouds.
        host: runs their jobs.
        faults: what goes wrong in their calls.
        port: the first one's; the others have the ports that follow. 0: all have free ones.
        options: of those clouds that have any; see `tuneport.emulators.options`.

    Raises:
        SettingsError: one of them does not exist, or a port is taken.
        MissingExtraError: one needs a package that is not there.
    """
    doors = Doors()
    try:
        for index, name in enumerate(names):
            doors.open(name, host, faults, port + index if port else 0, (options or {}).get(name))
    except BaseException:
        doors.close()
        raise
    return doors


def _serve(name: str) -> Serve:
    module = f"{__package__}.{name}"
    if name not in CLOUDS:
        raise SettingsError(f"there is no emulator '{name}'", hint=did_you_mean(name, CLOUDS))
    try:
        serve: Serve = importlib.import_module(module).serve
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise SettingsError(f"the emulator '{name}' is not part of this tuneport") from error
    return serve


# ---- how they are found ---------------------------------------------------------------------------------------------


def variables(endpoints: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that point SDKs, tools and tuneport at the endpoints, with credentials of no worth."""
    found: dict[str, str] = {}
    for name, wording in _VARIABLES.items():
        if name in endpoints:
            found |= wording(endpoints[name], REGIONS[name]) | _ours(name, endpoints[name])
    for name in ("NO_PROXY", "no_proxy"):  # some clients read one of them, some the other
        found[name] = ",".join(filter(None, (_HERE, os.environ.get(name, "").removeprefix(_HERE).strip(","))))
    return found


def _ours(name: str, endpoint: str) -> dict[str, str]:
    """The setting of tuneport's own client, where it has one beside what its SDK reads."""
    try:
        known = "endpoint" in registry.load(name).settings_type.model_fields
    except TuneportError:
        return {}
    return {f"TUNEPORT_{name.upper()}__ENDPOINT": endpoint} if known else {}


def _of_sagemaker(url: str, region: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_SAGEMAKER": url,
        "AWS_ACCESS_KEY_ID": _CREDENTIAL,
        "AWS_SECRET_ACCESS_KEY": _CREDENTIAL,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_VALIDATE_ROLE": "false",  # its SDK would ask IAM whether the role may do what nobody here checks
    }


def _of_vertex(url: str, region: str) -> dict[str, str]:
    return {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{url}/",
        "CLOUDSDK_AI_REGION": region,
        "GOOGLE_CLOUD_PROJECT": _CREDENTIAL,
    }


def _of_modelarts(url: str, region: str) -> dict[str, str]:
    return {
        f"HUAWEICLOUD_SDK_REGION_MODELARTS_{re.sub('-', '_', region).upper()}": url,
        "HUAWEICLOUD_SDK_AK": _CREDENTIAL,
        "HUAWEICLOUD_SDK_SK": _CREDENTIAL,
        "HUAWEICLOUD_SDK_PROJECT_ID": _CREDENTIAL,
    }


_VARIABLES = {"sagemaker": _of_sagemaker, "vertex": _of_vertex, "modelarts": _of_modelarts}


def advice(endpoints: Mapping[str, str]) -> list[str]:
    """Lines of Python for SDKs that read no variables, and for those who would rather say it there."""
    lines = []
    if url := endpoints.get("sagemaker"):
        region = REGIONS["sagemaker"]
        lines += [
            "boto3, and the sagemaker SDK above it, read the variables; or:",
            f'    boto3.client("sagemaker", endpoint_url="{url}", region_name="{region}")',
        ]
    if url := endpoints.get("vertex"):
        lines += [
            "google-cloud-aiplatform reads none:",
            f'    aiplatform.init(project="{_CREDENTIAL}", location="{REGIONS["vertex"]}", staging_bucket="gs://bucket",',
            '        credentials=google.auth.credentials.AnonymousCredentials(), api_transport="rest",',
            f'        api_endpoint="{url}")',
        ]
    if address := endpoints.get("vertex_grpc"):
        lines += [f'    JobServiceGrpcTransport(channel=grpc.insecure_channel("{address}"))']
    if url := endpoints.get("modelarts"):
        credentials = f'BasicCredentials("{_CREDENTIAL}", "{_CREDENTIAL}", "{_CREDENTIAL}")'
        lines += [
            "huaweicloudsdkmodelarts:",
            f"    ModelArtsClient.new_builder().with_credentials({credentials})",
            f'        .with_endpoint("{url}").build()',
        ]
    return lines
