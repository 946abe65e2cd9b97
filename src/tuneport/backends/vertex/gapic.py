"""The calls of Vertex AI through google-cloud-aiplatform's own clients, over gRPC.

Loading those takes some seconds, so that they are used only if the setting `transport` asks for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tuneport.backends.vertex.client import (
    CUSTOM_JOBS,
    PIPELINES,
    STATUSES,
    TIMEOUT,
    TUNING_JOBS,
    refusal,
    status_of_http,
)
from tuneport.errors import AuthError, BackendError, BackendNotInstalledError, UnavailableError

Json: TypeAlias = dict[str, Any]

_JOBS, _PIPELINES = "JobService", "PipelineService"
_RESOURCES: Mapping[str, tuple[str, str, str]] = {
    TUNING_JOBS: (_JOBS, "hyperparameter_tuning_job", "HyperparameterTuningJob"),
    CUSTOM_JOBS: (_JOBS, "custom_job", "CustomJob"),
    PIPELINES: (_PIPELINES, "training_pipeline", "TrainingPipeline"),
}
"""Collection to its service, its name in calls and its name in messages."""


class Gapic:
    """Google's clients of one region.

    Args:
        credentials: of Google Cloud; None: an emulator, without TLS.
        endpoint: HOST or HOST:PORT.

    Raises:
        BackendNotInstalledError: google-cloud-aiplatform is not there.
    """

    def __init__(self, credentials: Any, endpoint: str) -> None:
        try:
            from google.cloud import aiplatform_v1  # noqa: PLC0415
        except ImportError as error:
            message, hint = "transport: grpc needs google-cloud-aiplatform", "pip install 'tuneport[vertex]'"
            raise BackendNotInstalledError(message, backend="vertex", hint=hint) from error
        self._types = aiplatform_v1.types
        self._clients = {
            name: _client(getattr(aiplatform_v1, f"{name}Client"), credentials, endpoint)
            for name in (_JOBS, _PIPELINES)
        }

    def call(self, method: str, path: str, body: Json | None, query: Mapping[str, str] | None) -> Json:
        """One call, named as the REST interface names it, and its reply as that has it.

        Args:
            method: of HTTP.
            path: below the version, such as projects/P/locations/R/customJobs/1:cancel.
            body: what is created.
            query: what REST says in the query.

        Raises:
            BackendError: of the kind that fits; what the client raised is its cause.
        """
        from google.api_core import exceptions  # noqa: PLC0415
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

        try:
            return self._called(method, path, body, dict(query or {}))
        except exceptions.GoogleAPICallError as error:
            raise _of_call(error) from error
        except exceptions.GoogleAPIError as error:
            raise UnavailableError(f"Vertex AI cannot be reached: {error}", backend="vertex") from error
        except GoogleAuthError as error:
            kind = UnavailableError if getattr(error, "retryable", False) else AuthError
            raise kind(f"Vertex AI: the credentials are of no use: {error}", backend="vertex") from error

    def _called(self, method: str, path: str, body: Json | None, query: Json) -> Json:
        name, _, action = path.partition(":")
        if "/operations/" in name:
            return _plain(self._clients[_JOBS].get_operation({"name": name}, timeout=TIMEOUT[1]))
        parts = name.split("/")
        single, parent = len(parts) % 2 == 0, "/".join(parts[:-1])
        service, call, message = _RESOURCES[parts[-2] if single else parts[-1]]
        client = self._clients[service]
        if action:
            getattr(client, f"{action}_{call}")(request={"name": name}, timeout=TIMEOUT[1])
            return {}
        if not single and body is not None:
            made = getattr(self._types, message).from_json(json.dumps(body))
            request = {"parent": parent, call: made}
            return _plain(getattr(client, f"create_{call}")(request=request, timeout=TIMEOUT[1]))
        if not single:
            asked = getattr(self._types, f"List{message}sRequest").from_json(json.dumps({"parent": parent, **query}))
            return _plain(next(getattr(client, f"list_{call}s")(request=asked, timeout=TIMEOUT[1]).pages))
        if method == "DELETE":
            operation = getattr(client, f"delete_{call}")(request={"name": name}, timeout=TIMEOUT[1])
            return _plain(operation.operation)
        return _plain(getattr(client, f"get_{call}")(request={"name": name}, timeout=TIMEOUT[1]))


def _client(kind: Callable[..., Any], credentials: Any, endpoint: str) -> Any:
    if credentials is not None:
        return kind(credentials=credentials, client_options={"api_endpoint": endpoint})
    import grpc  # type: ignore[import-untyped]  # noqa: PLC0415

    transport: Any = kind.get_transport_class("grpc")  # type: ignore[attr-defined]
    return kind(transport=transport(channel=grpc.insecure_channel(endpoint)))


def _plain(message: Any) -> Json:
    """A message as REST would have it: names in camel case, no defaults, long numbers as text."""
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # noqa: PLC0415

    plain: Json = MessageToDict(getattr(message, "_pb", message))
    return plain


def _of_call(error: Any) -> BackendError:
    """The error of a call that was answered by a refusal, or by nothing."""
    code = error.grpc_status_code
    status = code.name if code is not None and code.name in STATUSES else status_of_http(error.code or 503)
    violations = [
        {"field": one.field, "description": one.description}
        for detail in error.details
        for one in getattr(detail, "field_violations", ())
    ]
    return refusal(status, {"message": error.message, "details": [{"fieldViolations": violations}]})
