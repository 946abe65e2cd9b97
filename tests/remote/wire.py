"""A place that answers requests with the very bytes that a test says, one connection for each."""

import socket
import struct
import threading


class Wire:
    """Answers one request after the other with what is next in `answers`, the last one again and again.

    An answer is bytes, after which the connection is closed; `RESET` is a connection that breaks.
    """

    RESET = b""

    def __init__(self):
        self.answers, self.asked = [], []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join()

    def _serve(self):
        while True:
            try:
                connection, _ = self._door.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as request:
                if self._read(request):
                    self._answer(connection)

    def _read(self, request):
        line, length = request.readline(), 0
        while (header := request.readline()) not in {b"\r\n", b""}:
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        request.read(length)
        self.asked.append(line.split()[0].decode() if line else "")
        return line

    def _answer(self, connection):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer == self.RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            connection.sendall(answer)


def said(status, body=b"", *headers, length=None):
    """The bytes of an answer; `length`: what it says of its length, if that is not true."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body
