"""The HTTP server of the emulators."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tuneport.emulators.faults import DroppedError
from tuneport.emulators.server import HttpError, Request, Response, Router, Server
from tuneport.errors import SettingsError

HELD = threading.Event()


def worded(error: Exception) -> Response:
    status = error.status if isinstance(error, HttpError) else 500
    if str(error) == "unspeakable":
        raise ValueError
    return Response.json({"error": {"code": status, "message": str(error)}}, status=status)


def echo(request: Request) -> Response:
    return Response.json({"params": dict(request.params), "query": dict(request.query), "body": request.json()})


def failing(request: Request) -> Response:
    raise RuntimeError(request.params["why"])


def dropping(request: Request) -> Response:
    raise DroppedError


def held(request: Request) -> Response:
    HELD.wait(5)
    return Response.json("at last")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    router = Router()
    router.add("POST", "/v1/projects/{project}/jobs/{id}:cancel", lambda _: Response.json("cancelled"))
    router.add("GET", "/v1/projects/{project}/jobs/{id}", echo)
    router.add("POST", "/v1/projects/{project}/jobs", echo)
    router.add("GET", "/failing/{why}", failing)
    router.add("GET", "/dropping", dropping)
    router.add("GET", "/held", held)
    server = Server(router, worded, max_body=1000)
    yield server
    server.close()


@pytest.fixture
def connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield connection
    connection.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None, **headers: str):
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or "null")


def raw(server: Server, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_paths_are_taken_apart_and_decoded_and_verbs_are_no_part_of_names(connection):
    status, said = ask(connection, "GET", "/v1/projects/p%2Fq/jobs/7?a=1&b=%20&a=2")
    assert (status, said) == (200, {"params": {"project": "p/q", "id": "7"}, "query": {"a": "2", "b": " "}, "body": {}})
    assert ask(connection, "POST", "/v1/projects/p/jobs/7:cancel", "{}") == (200, "cancelled")
    assert ask(connection, "GET", "/v1/projects/p/jobs/7:cancel")[0] == 405
    assert ask(connection, "POST", "/v1/projects/p/jobs", '{"lr": 0.1}')[1]["body"] == {"lr": 0.1}


def test_what_is_not_there_is_said_in_the_doors_own_words(connection):
    status, said = ask(connection, "GET", "/v2/nothing")
    assert status == said["error"]["code"] == 404
    status, said = ask(connection, "PUT", "/v1/projects/p/jobs/7")
    assert status == 405
    assert "takes GET" in said["error"]["message"]


def test_one_connection_serves_many_requests_also_after_errors(connection):
    ask(connection, "GET", "/nothing")
    kept = connection.sock
    assert kept is not None
    ask(connection, "GET", "/failing/boom")
    ask(connection, "POST", "/v1/projects/p/jobs", "no json")
    assert ask(connection, "GET", "/v1/projects/p/jobs/1")[0] == 200
    assert connection.sock is kept


@pytest.mark.parametrize(("body", "what"), [("{", "no JSON"), ("[" * 900, "no JSON"), ("\0", "no JSON")])
def test_a_body_that_is_no_json_is_the_clients_fault(connection, body, what):
    status, said = ask(connection, "POST", "/v1/projects/p/jobs", body)
    assert status == 400
    assert what in said["error"]["message"]


def test_large_bodies_are_refused_unread(connection):
    status, said = ask(connection, "POST", "/v1/projects/p/jobs", json.dumps("x" * 1000))
    assert (status, "1000 bytes" in said["error"]["message"]) == (413, True)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"Content-Length: -1\r\n\r\n", b"411"),
        (b"Content-Length: x\r\n\r\n", b"411"),
        (b"Content-Length: 50\r\n\r\nshort", b"400"),
        (b"Host: rebound.example.com\r\nContent-Length: 2\r\n\r\n{}", b"421"),
        (b"Host: localhost.example.com\r\nContent-Length: 2\r\n\r\n{}", b"421"),
        (b"Host: localhost:80\r\nContent-Length: 2\r\n\r\n{}", b"200"),
        (b"Host: bucket.localhost\r\nContent-Length: 2\r\n\r\n{}", b"200"),
    ],
)
def test_odd_heads_get_an_answer_and_other_hosts_are_refused(server, head, status):
    answer = raw(server, b"POST /v1/projects/p/jobs HTTP/1.1\r\nConnection: close\r\n" + head)
    assert answer.split()[1] == status


def test_a_body_that_waits_to_be_asked_for_is_asked_for(server):
    head = b"POST /v1/projects/p/jobs HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"{}")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_only_loopback_is_bound(server):
    assert server.url == f"http://127.0.0.1:{server.port}"
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(OSError, match=r"."):
            socket.create_connection((address, server.port), timeout=2)


def test_a_failing_handler_becomes_the_doors_500_and_is_logged(connection, caplog):
    with caplog.at_level(logging.ERROR):
        status, said = ask(connection, "GET", "/failing/boom")
    assert (status, said["error"]["message"]) == (500, "boom")
    assert "RuntimeError: boom" in caplog.text


def test_an_error_that_cannot_be_worded_is_still_an_answer(connection, caplog):
    connection.request("GET", "/failing/unspeakable")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (500, b"internal error")
    assert "could not be worded" in caplog.text


def test_a_dropped_answer_is_a_reset_connection(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /dropping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_requests_are_told_to_whoever_asks(connection, caplog):
    with caplog.at_level(logging.INFO, "tuneport.emulators.access"):
        ask(connection, "GET", "/v1/projects/p/jobs/1")
    assert '"GET /v1/projects/p/jobs/1 HTTP/1.1" 200' in caplog.text


def test_a_taken_port_is_one_clear_error(server):
    with pytest.raises(SettingsError, match=f"127.0.0.1:{server.port} cannot be used: it is taken"):
        Server(echo, worded, port=server.port)


def test_closing_waits_for_answers_and_ends_idle_connections():
    router = Router()
    router.add("GET", "/held", held)
    router.add("GET", "/echo", echo)
    server = Server(router, worded)
    HELD.clear()
    idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    assert ask(idle, "GET", "/echo")[0] == 200
    busy = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, busy, "GET", "/held")
        time.sleep(0.1)
        closed = pool.submit(server.close)
        time.sleep(0.1)
        assert not closed.done()
        HELD.set()
        assert answer.result(5) == (200, "at last")
        closed.result(5)
    assert idle.sock.recv(1) == b""
    idle.close()
    busy.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=2)


def test_many_clients_at_once_are_all_answered(server):
    def visit(client: int) -> set[int]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        found = {ask(connection, "GET", f"/v1/projects/{client}/jobs/{n}")[0] for n in range(20)}
        connection.close()
        return found

    with ThreadPoolExecutor(40) as pool:
        assert set().union(*pool.map(visit, range(40))) == {200}
