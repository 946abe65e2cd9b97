"""The way to ModelArts: region, endpoint, credentials, and calls through the core of Huawei's SDK."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from tuneport.backends.modelarts.client.refusals import NAME, refusal, said
from tuneport.backends.modelarts.client.service import Call, Json, ModelArtsClient
from tuneport.backends.modelarts.settings import ModelArtsSettings
from tuneport.backends.protocols import Finding
from tuneport.errors import AuthError, BackendNotInstalledError

EMULATED_REGION = "cn-north-4"
"""Region of an emulator, where nothing says another one."""
_TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and to wait for an answer."""


def connect(settings: ModelArtsSettings, endpoint: str | None = None) -> ModelArtsClient:
    """Open a connection with the credentials that Huawei's SDK finds: variables, profile, agency of the machine.

    Raises:
        BackendNotInstalledError: the SDK is not there.
        AuthError: there are no credentials, or nothing says which region or project is meant.
    """
    try:
        from huaweicloudsdkcore.client import Client, ClientBuilder  # noqa: PLC0415
        from huaweicloudsdkcore.exceptions.exceptions import SdkException  # noqa: PLC0415
        from huaweicloudsdkcore.http.http_config import HttpConfig  # noqa: PLC0415
        from huaweicloudsdkcore.sdk_response import SdkResponse  # noqa: PLC0415
    except ImportError as error:
        message, hint = "ModelArts needs packages that are not installed", "pip install 'tuneport[modelarts]'"
        raise BackendNotInstalledError(message, backend=NAME, hint=hint) from error

    class Reply(SdkResponse):  # type: ignore[misc] # the SDK says no types
        """An answer of which the SDK is to understand nothing."""

        openapi_types: Mapping[str, str] = {}
        attribute_map: Mapping[str, str] = {}

    place = endpoint or settings.endpoint
    region = _region(settings, place)
    config = HttpConfig(timeout=_TIMEOUT, user_agent="tuneport")  # an own name: else the SDK writes a file to find one
    builder = ClientBuilder(Client).with_http_config(config)
    try:
        place = place or _there(region).endpoint
        credentials = _credentials(settings, emulated=place.startswith("http://"))
        builder.with_credentials(credentials).with_endpoint(place)
        if credentials.project_id is None:
            builder.with_region(_there(region))  # asks the identity service for the region's project
        sdk = builder.build()
    except (SdkException, ValueError, OSError) as error:
        hint = (
            "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or ~/.huaweicloud/credentials; and project in [modelarts]"
        )
        raise AuthError(f"no access to ModelArts: {said(error)}", backend=NAME, hint=hint) from error
    logging.getLogger("HuaweiCloud-SDK-Client").addHandler(logging.NullHandler())  # what it logs as well it raises
    sdk.model_package = SimpleNamespace(Reply=Reply)
    return ModelArtsClient(_caller(sdk), region, _download, _way(credentials, region, place))


def _way(credentials: Any, region: str, place: str) -> tuple[Finding, ...]:
    """Who we are there, without secrets, and where that is."""
    key = str(credentials.ak or "")
    temporary = " with a security token" if credentials.security_token else ""
    return (
        Finding("credentials", f"{key[:4]}…{key[-2:]}{temporary}"),
        Finding("project", str(credentials.project_id)),
        Finding("region", region),
        Finding("endpoint", place if "://" in place else f"https://{place}"),
    )


def _region(settings: ModelArtsSettings, place: str | None) -> str:
    """The region that is meant: as the settings say, or else where the endpoint is."""
    host = urlsplit(place if place and "://" in place else f"//{place or ''}").hostname or ""
    named = re.fullmatch(r"modelarts\.([a-z0-9-]+)\..+", host)
    emulated = EMULATED_REGION if place and place.startswith("http://") else None
    region = settings.region or (named[1] if named else emulated)
    if region is None:
        hint = "set region in [modelarts] of tuneport.toml, or TUNEPORT_MODELARTS__REGION, such as cn-north-4"
        raise AuthError("nothing says which region of Huawei Cloud is meant", backend=NAME, hint=hint)
    return region


def _there(region: str) -> Any:
    """The SDK's own word for a region; variables and files that say where its services are count."""
    from huaweicloudsdkcore.region.provider import RegionProviderChain  # noqa: PLC0415
    from huaweicloudsdkcore.region.region import Region  # noqa: PLC0415

    said = RegionProviderChain.get_default_region_provider_chain("MODELARTS").get_region(region)
    country = "cn" if region == "ap-southeast-1" else "com"
    return said or Region(region, f"https://modelarts.{region}.myhuaweicloud.{country}")


def _credentials(settings: ModelArtsSettings, *, emulated: bool) -> Any:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415
    from huaweicloudsdkcore.auth.provider import CredentialProviderChain  # noqa: PLC0415

    if emulated and "HUAWEICLOUD_SDK_AK" not in os.environ:  # no other credentials go anywhere in the clear
        found = BasicCredentials("emulated", "emulated", "emulated")
    else:
        found = CredentialProviderChain.get_default_credential_provider_chain("BasicCredentials").get_credentials()
    project = settings.project or found.project_id or ("emulated" if emulated else None)
    return found.with_project_id(project)


def _caller(sdk: Any) -> Call:
    """Calls of the service through the SDK; whatever that raises is one of our errors."""
    headers = {"Content-Type": "application/json"}

    def call(method: str, path: str, body: Any, query: Mapping[str, Any] | None) -> Json:
        try:
            reply = sdk.do_http_request(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=dict(headers),
                body=body,
                response_type="Reply",
            )
            found = reply.to_json_object()  # what has nothing to say says nothing, null or ""
            return found if isinstance(found, dict) else {}
        except Exception as error:
            raise refusal(error) from error

    return call


def _download(url: str) -> list[str]:
    """The lines of what is at a URL that is its own permission."""
    import requests  # noqa: PLC0415 - comes with the SDK

    try:
        reply = requests.get(url, timeout=_TIMEOUT)
        reply.raise_for_status()
    except requests.RequestException as error:
        raise refusal(error) from error
    return reply.content.decode(errors="replace").splitlines()
