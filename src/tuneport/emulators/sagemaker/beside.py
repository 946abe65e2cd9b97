"""The rest of AWS, which is moto's: storage, identities, keys and what else pipelines touch around their tuning.

Only services that store things are let through: moto would have others run code that a request brings.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from html import escape
from typing import Any
from urllib.parse import unquote, urlencode

from tuneport.emulators.sagemaker.shown import ACCOUNT
from tuneport.emulators.sagemaker.wire import answer, scope, target
from tuneport.emulators.server import Request, Response
from tuneport.errors import MissingExtraError

SERVICES = frozenset(
    {"s3", "sts", "iam", "sagemaker", "logs", "monitoring", "kms", "ecr", "ec2", "ssm", "secretsmanager", "tagging"}
)
"""What is let through, by the names that requests are signed for."""
_FAILED = 500
_UNKNOWN = "UnknownOperationException"

_log = logging.getLogger(__name__)


class Beside:
    """Answers what is not tuning. moto is loaded by the first request that it is for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Response:
        """The answer of moto; what it does not know is refused as the client's mistake, so that no SDK tries again.

        Raises:
            RefusedError: it is not signed.
        """
        _, service = scope(request)
        if service not in SERVICES:
            said = f"the emulator does not play {service}; it has {', '.join(sorted(SERVICES))}"
            return _refusal(request, service, said)
        try:
            with self._lock:
                application = self._application
        except MissingExtraError as error:
            return _refusal(request, service, str(error))
        response = _played(application, request)
        page = "html" in response.headers.get("Content-Type", "")
        if response.status >= _FAILED or (page and response.status >= 400):
            return _refusal(request, service, f"the emulator does not play this operation of {service}")
        return response

    def close(self) -> None:
        """Forget everything: moto has one state per process, which the next emulator must not find."""
        if "_application" in vars(self):
            from moto.moto_api._internal.models import moto_api_backend  # noqa: PLC0415 - an extra

            moto_api_backend.reset()

    @cached_property
    def _application(self) -> Any:
        try:
            from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - an extra
                DomainDispatcherApplication,
                create_backend_app,
            )
        except ImportError as error:
            raise MissingExtraError(
                "AWS beside tuning is played by moto, which is not installed",
                hint="pip install 'tuneport[emulators]'",
            ) from error
        return DomainDispatcherApplication(create_backend_app)


def _played(application: Callable[..., Iterable[bytes]], request: Request) -> Response:
    """What a WSGI application answers to a request."""
    said: list[tuple[int, dict[str, str]]] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        del exc_info
        said.append((int(status.split(maxsplit=1)[0]), dict(headers)))

    try:
        parts = application(_environment(request), start)
        body = b"".join(parts)
        getattr(parts, "close", lambda: None)()
    except Exception:  # noqa: BLE001 - whatever moto does not know
        _log.debug("moto failed at %s %s", request.method, request.path, exc_info=True)
        return Response(_FAILED)
    status, headers = said[-1]
    return Response(status, body, {name: value for name, value in headers.items() if name.lower() != "connection"})


def _environment(request: Request) -> dict[str, Any]:
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
    return headers | {
        "HTTP_AUTHORIZATION": _authorization(request),
        "HTTP_X_MOTO_ACCOUNT_ID": ACCOUNT,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(request.path, "latin-1"),
        "RAW_URI": request.path,
        "REQUEST_URI": request.path,
        "QUERY_STRING": urlencode(request.queries),
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": request.headers.get("Host", "").rpartition(":")[2] or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _authorization(request: Request) -> str:
    """The signature, from which moto has the service; it does not look for one in the query."""
    region, service = scope(request)
    stated = (
        f"AWS4-HMAC-SHA256 Credential=query/20000101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=-"
    )
    return str(request.headers.get("Authorization", stated))


def _refusal(request: Request, service: str, said: str) -> Response:
    """That something is not played, in JSON or in XML, as the client reads it."""
    form = "x-www-form-urlencoded" in request.headers.get("Content-Type", "")
    if target(request)[0] or not (form or service == "s3"):
        return answer({"__type": _UNKNOWN, "message": said}, 400)
    error = f"<Error><Type>Sender</Type><Code>{_UNKNOWN}</Code><Message>{escape(said)}</Message></Error>"
    text = error if service == "s3" else f"<ErrorResponse>{error}<RequestId>-</RequestId></ErrorResponse>"
    return Response(400, text.encode(), {"Content-Type": "text/xml"})
