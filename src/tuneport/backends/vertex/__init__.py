"""Google Vertex AI: hyperparameter tuning jobs, by themselves or in training pipelines."""

from __future__ import annotations

from dataclasses import dataclass

from tuneport.backends.protocols import PROTOCOL_VERSION, Client, SingleJobs
from tuneport.backends.vertex import launch
from tuneport.backends.vertex.capabilities import CAPABILITIES
from tuneport.backends.vertex.settings import VertexSettings
from tuneport.backends.vertex.status import STATUS, VertexStatus
from tuneport.backends.vertex.training import TRAINING, VertexTraining
from tuneport.backends.vertex.translate import TRANSLATOR, VertexTranslator
from tuneport.engine.launch import LaunchContract
from tuneport.translation.capabilities import Capabilities


@dataclass(frozen=True, slots=True)
class VertexBackend:
    """The nameplate of Vertex AI."""

    name: str = "vertex"
    protocol_version: int = PROTOCOL_VERSION
    capabilities: Capabilities = CAPABILITIES
    settings_type: type[VertexSettings] = VertexSettings
    launch: LaunchContract = launch.launch
    translator: VertexTranslator = TRANSLATOR
    status: VertexStatus = STATUS
    training: VertexTraining = TRAINING

    def connect(self, settings: VertexSettings, *, endpoint: str | None = None) -> Client:
        """Open a connection.

        Raises:
            BackendNotInstalledError: its packages are not there.
            AuthError: there are no credentials.
        """
        from tuneport.backends.vertex.client import connect  # noqa: PLC0415 - nobody else pays for retries

        return connect(settings, endpoint)

    def jobs(self, settings: VertexSettings, run: str, *, endpoint: str | None = None) -> SingleJobs:
        """Open a connection for the custom jobs of a run; raises as `connect`."""
        from tuneport.backends.vertex.client import connect  # noqa: PLC0415 - see connect
        from tuneport.backends.vertex.jobs import VertexJobs  # noqa: PLC0415

        return VertexJobs(connect(settings, endpoint), run)


BACKEND = VertexBackend()
