"""Huawei ModelArts: training jobs, stored algorithms and files with an automatic search."""

from __future__ import annotations

from dataclasses import dataclass

from tuneport.backends.modelarts import launch
from tuneport.backends.modelarts.capabilities import CAPABILITIES
from tuneport.backends.modelarts.settings import ModelArtsSettings
from tuneport.backends.modelarts.status import STATUS, ModelArtsStatus
from tuneport.backends.modelarts.training import TRAINING, ModelArtsTraining
from tuneport.backends.modelarts.translate import TRANSLATOR, ModelArtsTranslator
from tuneport.backends.protocols import PROTOCOL_VERSION, Client, SingleJobs
from tuneport.engine.launch import LaunchContract
from tuneport.translation.capabilities import Capabilities


@dataclass(frozen=True, slots=True)
class ModelArtsBackend:
    """The nameplate of ModelArts."""

    name: str = "modelarts"
    protocol_version: int = PROTOCOL_VERSION
    capabilities: Capabilities = CAPABILITIES
    settings_type: type[ModelArtsSettings] = ModelArtsSettings
    launch: LaunchContract = launch.launch
    translator: ModelArtsTranslator = TRANSLATOR
    status: ModelArtsStatus = STATUS
    training: ModelArtsTraining = TRAINING

    def connect(self, settings: ModelArtsSettings, *, endpoint: str | None = None) -> Client:
        """Open a connection.

        Raises:
            BackendNotInstalledError: its SDK is not there.
            AuthError: there are no credentials, or nothing says which region or project is meant.
        """
        from tuneport.backends.modelarts.client import connect  # noqa: PLC0415 - nobody else pays for retries

        return connect(settings, endpoint)

    def jobs(self, settings: ModelArtsSettings, run: str, *, endpoint: str | None = None) -> SingleJobs:
        """Open a connection for the training jobs of a run; raises as `connect`."""
        from tuneport.backends.modelarts.client import connect  # noqa: PLC0415 - see connect
        from tuneport.backends.modelarts.jobs import ModelArtsJobs  # noqa: PLC0415

        return ModelArtsJobs(connect(settings, endpoint), run)


BACKEND = ModelArtsBackend()
