"""The HTTP side of an emulator: one loopback port, a router, and errors in the shape that the service's clients expect.

A door gives `Server` a function from `Request` to `Response`, mostly a `Router`, and a function that words errors::

    router = Router()

    @router.route("GET", "/v1/jobs/{id}")
    def describe(request: Request) -> Response:
        return Response.json(jobs[request.params["id"]])

    @router.route("POST", "/v1/jobs/{id}:cancel")
    def cancel(request: Request) -> Response: ...

    def worded(error: Exception) -> Response:
        status = error.status if isinstance(error, (HttpError, Injected)) else 500
        return Response.json({"error": {"code": status, "message": str(error)}}, status=status)

    server = Server(router, worded, port=0)
    server.url      # http://127.0.0.1:40123
    server.close()

It serves this machine alone: it binds 127.0.0.1 and answers only requests that were meant for it by name, so that no
web page can reach it by a name of its own that resolves to this address.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from tuneport.emulators.faults import DroppedError
from tuneport.errors import SettingsError

LOOPBACK = "127.0.0.1"
MAX_BODY = 64 << 20
"""Most bytes of a request's body, unless a door says otherwise."""
PATIENCE = 5.0
"""Seconds that closing waits for answers under way."""
IDLE = 300.0
"""Seconds after which a connection without a request is closed."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER by which closing a connection resets it."""
_HOSTS = re.compile(r"(127\.0\.0\.1|\[::1\]|(.+\.)?localhost)(:\d+)?", re.IGNORECASE)
_PLACE = re.compile(r"\{(\w+)\}")

_log = logging.getLogger(__name__)
_access = logging.getLogger("tuneport.emulators.access")
"""Is told every request, as information."""


class HttpError(Exception):
    """A request that the server itself refuses: no such path, no JSON, too large."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: in capitals.
        path: as it was sent, still percent-encoded, without the query.
        query: the parameters of the query; of a repeated one, the last.
        headers: by name, in whatever capitals.
        body: its bytes.
        params: what the named parts of the route's template stand for, decoded.
        queries: the parameters of the query in their order, repeated ones too.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Message = field(default_factory=Message)
    body: bytes = b""
    params: Mapping[str, str] = field(default_factory=dict)
    queries: tuple[tuple[str, str], ...] = ()

    def json(self) -> Any:
        """The body as JSON; no body is an empty object.

        Raises:
            HttpError: it is none.
        """
        try:
            return json.loads(self.body) if self.body else {}
        except (ValueError, RecursionError) as error:
            raise HttpError(400, f"the body is no JSON: {error}") from None


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(
        cls, data: Any, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = "application/json"
    ) -> Response:
        """An answer in JSON, of the media type `kind`."""
        body = json.dumps(data, allow_nan=False).encode()
        return cls(status, body, {"Content-Type": kind, **(headers or {})})


Handler: TypeAlias = Callable[[Request], Response]


class Router:
    """Finds the handler of a request by method and path; is itself a handler.

    A template has named parts, each standing for one part of a path without `/` and `:`, and may end in a verb, as
    Google's paths do: ``/v1/jobs/{id}:cancel``. The first template that fits is taken.
    """

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, method: str, template: str, handler: Handler) -> None:
        """Let `handler` answer `method` at paths that fit `template`."""
        literals = _PLACE.split(template)
        pattern = "".join(
            f"(?P<{part}>[^/:]+)" if index % 2 else re.escape(part) for index, part in enumerate(literals)
        )
        self._routes.append((method, re.compile(pattern), handler))

    def route(self, method: str, template: str) -> Callable[[Handler], Handler]:
        """The same as a decorator."""

        def register(handler: Handler) -> Handler:
            self.add(method, template, handler)
            return handler

        return register

    def __call__(self, request: Request) -> Response:
        """Let the handler of a request answer it.

        Raises:
            HttpError: 404, nothing is there; 405, it does not take the method.
        """
        elsewhere = []
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                params = {name: unquote(text) for name, text in match.groupdict().items()}
                return handler(replace(request, params=params))
            if match:
                elsewhere.append(method)
        if elsewhere:
            raise HttpError(405, f"{request.path} takes {', '.join(sorted(set(elsewhere)))}, not {request.method}")
        raise HttpError(404, f"there is nothing at {request.method} {request.path}")


class Server:
    """Serves one door on one loopback port, on threads of its own, until it is closed.

    Args:
        answer: from a request to its response.
        worded: from whatever `answer` raised to a response in the service's own shape; what is no HttpError or injected
            fault is logged before.
        port: which one; 0: a free one.
        max_body: most bytes of a request's body.

    Raises:
        SettingsError: the port is taken, or may not be used.
    """

    def __init__(
        self,
        answer: Handler,
        worded: Callable[[Exception], Response],
        *,
        port: int = 0,
        max_body: int = MAX_BODY,
    ) -> None:
        try:
            self._http = _Http(answer, worded, port, max_body)
        except (OSError, OverflowError) as error:
            raise port_error(port, error) from error
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name=f"server-{self.port}", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it has."""
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self.port}"

    def close(self) -> None:
        """Take no more requests, let the answers under way finish, and close all connections."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._http.drain()


def port_error(port: int, error: Exception) -> SettingsError:
    """The error of a port that cannot be had; for servers of every kind."""
    taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    why = "it is taken" if taken else str(error)
    return SettingsError(
        f"{LOOPBACK}:{port} cannot be used: {why}", hint="choose another --port, or leave it to chance"
    )


class _Http(ThreadingHTTPServer):
    """The sockets. Connections are known, so that closing the server closes them."""

    daemon_threads = True
    block_on_close = False  # idle connections would hold it up; `drain` waits for what matters
    request_queue_size = 128

    def __init__(
        self,
        answer: Handler,
        worded: Callable[[Exception], Response],
        port: int,
        max_body: int,
    ) -> None:
        self.answer = answer
        self.worded = worded
        self.max_body = max_body
        self._changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        self._busy = 0
        super().__init__((LOOPBACK, port), _Connection)

    def server_bind(self) -> None:
        """Bind without asking a name server for our name, as the standard library would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection on a thread of its own."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Let a connection go."""
        with self._changed:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no event."""
        del request, client_address
        _log.debug("a connection broke", exc_info=True)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """While an answer is under way."""
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def drain(self) -> None:
        """Wait for answers under way, then close every connection."""
        end = time.monotonic() + PATIENCE
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, timeout=max(0.0, end - time.monotonic()))
            left = list(self._connections)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(BaseHTTPRequestHandler):
    """One connection with its requests, one after the other."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    server: _Http

    def _answer(self) -> None:
        with self.server.working():
            try:
                response = self._response()
            except DroppedError:
                self._reset()
                return
            self._send(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815 - names of the base

    def _response(self) -> Response:
        try:
            self._check_host()
            return self.server.answer(self._request())
        except DroppedError:
            raise
        except Exception as error:  # noqa: BLE001 - the last place where anything can be caught
            return self._worded(error)

    def _worded(self, error: Exception) -> Response:
        try:
            response = self.server.worded(error)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("%s %s: the error could not be worded", self.command, self.path)
            return Response(500, b"internal error", {"Content-Type": "text/plain"})
        if response.status >= 500 and not getattr(error, "intended", False):
            _log.error("%s %s failed", self.command, self.path, exc_info=error)
        return response

    def _check_host(self) -> None:
        host = self.headers.get("Host")
        if host is not None and not _HOSTS.fullmatch(host):
            self.close_connection = True
            raise HttpError(421, f"this is {LOOPBACK}, not {host}")

    def _request(self) -> Request:
        url = urlsplit(self.path)
        queries = tuple(parse_qsl(url.query, keep_blank_values=True))
        return Request(self.command, url.path, dict(queries), self.headers, self._body(), queries=queries)

    def _body(self) -> bytes:
        """The body, read whole. A body that is refused is not read, so that the connection has to end.

        Raises:
            HttpError: it is too large, or of unknown length.
        """
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            self.close_connection = True
            raise HttpError(411, "the length of the body must be said in Content-Length")
        if int(length) > self.server.max_body:
            self.close_connection = True
            raise HttpError(413, f"the body is larger than {self.server.max_body} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            raise HttpError(400, "the body ended early")
        return body

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in response.headers:
            self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()

    def handle_expect_100(self) -> bool:
        """Ask for a body that waits to be asked for, at once."""
        asked = super().handle_expect_100()
        self.wfile.flush()
        return asked

    def _reset(self) -> None:
        """Break the connection, as a machine that goes down does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.close()

    def version_string(self) -> str:
        """What it calls itself."""
        return "tuneport"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """A line per request, if anybody wants it."""
        _access.info(format, *args)
