"""The emulated Vertex AI over gRPC: messages to the JSON that the service's calls take, and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

from tuneport.emulators.faults import DroppedError
from tuneport.emulators.server import LOOPBACK
from tuneport.emulators.vertex.refusals import RefusalError, refusal
from tuneport.emulators.vertex.service import COLLECTIONS, Service

_THREADS = 16
_GRACE = 1.0
_DETAILS = "grpc-status-details-bin"

_log = logging.getLogger(__name__)


def available() -> bool:
    """Whether the packages are there."""
    return all(map(_there, ("grpc", "google.cloud.aiplatform_v1", "google.rpc")))


def _there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


class Rpc:
    """Serves the calls on one loopback port until it is closed.

    Args:
        service: answers them.
        certificate: private key and certificate chain in PEM, for TLS; None: channels must be insecure.
    """

    def __init__(self, service: Service, certificate: tuple[bytes, bytes] | None = None) -> None:
        import grpc  # type: ignore[import-untyped]  # noqa: PLC0415

        self._server = grpc.server(ThreadPoolExecutor(_THREADS, thread_name_prefix="vertex-grpc"))
        self._server.add_generic_rpc_handlers((_Calls(service),))
        if certificate is None:
            port = self._server.add_insecure_port(f"{LOOPBACK}:0")
        else:
            port = self._server.add_secure_port(f"{LOOPBACK}:0", grpc.ssl_server_credentials([certificate]))
        self.address = f"{LOOPBACK if certificate is None else 'localhost'}:{port}"
        self._server.start()

    def close(self) -> None:
        """Take no more calls, and let those under way finish."""
        self._server.stop(_GRACE).wait()


class _Calls:
    """Finds the handler of a call by its path; messages are loaded with the first call, since that takes a while."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def service(self, details: Any) -> Any:
        """The handler, as grpc asks for it; None: there is no such call."""
        import grpc  # noqa: PLC0415

        messages = _messages().get(details.method)
        if messages is None:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._handler(messages), messages.request.FromString, messages.reply.SerializeToString
        )

    def _handler(self, messages: _Messages) -> Callable[[Any, Any], Any]:
        from google.protobuf import json_format  # type: ignore[import-untyped]  # noqa: PLC0415

        def handle(request: Any, context: Any) -> Any:
            try:
                reply = self._service.call(messages.call, json_format.MessageToDict(request))
                return json_format.ParseDict(reply, messages.reply(), ignore_unknown_fields=True)
            except Exception as error:  # noqa: BLE001 - whatever it is, the client is to hear of it
                _abort(error, context)

        return handle


class _Messages(NamedTuple):
    call: str
    request: Any
    reply: Any


@cache
def _messages() -> Mapping[str, _Messages]:
    """Path of a call to its name and the classes of its messages."""
    from google.cloud.aiplatform_v1 import types  # noqa: PLC0415
    from google.longrunning import operations_pb2 as operations  # type: ignore[import-untyped]  # noqa: PLC0415
    from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # noqa: PLC0415

    found = {}
    for one in COLLECTIONS:
        resource = getattr(types, one.message).pb()
        replies = {
            f"Create{one.message}": resource,
            f"Get{one.message}": resource,
            f"List{one.message}s": getattr(types, f"List{one.message}sResponse").pb(),
            f"Cancel{one.message}": Empty,
            f"Delete{one.message}": operations.Operation,
        }
        for call, reply in replies.items():
            request = getattr(types, f"{call}Request").pb()
            found[f"/google.cloud.aiplatform.v1.{one.service}/{call}"] = _Messages(call, request, reply)
    replies = {
        "GetOperation": operations.Operation,
        "WaitOperation": operations.Operation,
        "ListOperations": operations.ListOperationsResponse,
        "DeleteOperation": Empty,
        "CancelOperation": Empty,
    }
    for call, reply in replies.items():
        found[f"/google.longrunning.Operations/{call}"] = _Messages(call, getattr(operations, f"{call}Request"), reply)
    return found


def _abort(error: Exception, context: Any) -> None:
    """End a call with a status and its details; what would break a connection makes the service unavailable."""
    import grpc  # noqa: PLC0415
    from google.protobuf import json_format  # noqa: PLC0415
    from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # noqa: PLC0415

    del error_details_pb2  # what details are made of; loading it is enough
    dropped = isinstance(error, DroppedError)
    refused = RefusalError("UNAVAILABLE", "Socket closed") if dropped else refusal(error)
    if refused.status == "INTERNAL":
        _log.error("a call failed", exc_info=error)
    code = getattr(grpc.StatusCode, refused.status)
    status = {"code": code.value[0], "message": refused.message, "details": refused.details}
    packed = json_format.ParseDict(status, status_pb2.Status()).SerializeToString()
    context.set_trailing_metadata(((_DETAILS, packed),))
    context.abort(code, refused.message)
