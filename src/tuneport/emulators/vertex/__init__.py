"""Vertex AI's tuning service on this machine: JobService, PipelineService and Operations, over REST and over gRPC."""

from __future__ import annotations

from collections.abc import Mapping

from tuneport.emulators.faults import Faults
from tuneport.emulators.host import Host
from tuneport.emulators.server import Server
from tuneport.emulators.vertex import rest, rpc
from tuneport.emulators.vertex.resources import Options
from tuneport.emulators.vertex.service import Service

__all__ = ["Options", "VertexDoor", "serve"]


class VertexDoor:
    """The open door.

    Attributes:
        endpoints: "vertex", its URL; "vertex_grpc", HOST:PORT, if the packages for that are there.
    """

    endpoints: Mapping[str, str]

    def __init__(self, service: Service, port: int, certificate: tuple[bytes, bytes] | None) -> None:
        self._server = Server(rest.router(service), rest.worded, port=port)
        self._rpc = rpc.Rpc(service, certificate) if rpc.available() else None
        self.endpoints = {"vertex": self._server.url} | ({"vertex_grpc": self._rpc.address} if self._rpc else {})

    def close(self) -> None:
        """Close both."""
        if self._rpc is not None:
            self._rpc.close()
        self._server.close()


def serve(host: Host, faults: Faults, port: int, options: Options | None = None) -> VertexDoor:
    """Open it.

    Args:
        host: runs the jobs.
        faults: what goes wrong.
        port: of REST, 0 for a free one; gRPC always has a free one.
        options: what is not known of the service.

    Raises:
        SettingsError: the port is taken.
    """
    options = options or Options()
    return VertexDoor(Service(host, faults, options), port, options.certificate)
