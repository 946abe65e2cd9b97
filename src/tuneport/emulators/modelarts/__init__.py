"""ModelArts' training service on this machine: training jobs with a search, stored algorithms, and all around them."""

from __future__ import annotations

from collections.abc import Mapping

from tuneport.emulators.faults import Faults
from tuneport.emulators.host import Host
from tuneport.emulators.modelarts.jobs import Options
from tuneport.emulators.modelarts.refusals import worded
from tuneport.emulators.modelarts.service import Service
from tuneport.emulators.server import Server

__all__ = ["ModelArtsDoor", "Options", "serve"]


class ModelArtsDoor:
    """The open door.

    Attributes:
        endpoints: "modelarts", its URL.
    """

    endpoints: Mapping[str, str]

    def __init__(self, host: Host, faults: Faults, options: Options, port: int) -> None:
        service = Service(host, faults, options, lambda: self._server.url)
        self._server = Server(service.router(), worded, port=port)
        self.endpoints = {"modelarts": self._server.url}

    def close(self) -> None:
        """Close it."""
        self._server.close()


def serve(host: Host, faults: Faults, port: int, options: Options | None = None) -> ModelArtsDoor:
    """Open it.

    Args:
        host: runs the jobs.
        faults: what goes wrong.
        port: 0 for a free one.
        options: what is not known of the service.

    Raises:
        SettingsError: the port is taken.
    """
    return ModelArtsDoor(host, faults, options or Options(), port)
