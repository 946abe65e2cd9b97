"""Amazon SageMaker: hyperparameter tuning jobs."""

from __future__ import annotations

from dataclasses import dataclass

from tuneport.backends.protocols import PROTOCOL_VERSION, Client
from tuneport.backends.sagemaker import launch
from tuneport.backends.sagemaker.capabilities import CAPABILITIES
from tuneport.backends.sagemaker.settings import SageMakerSettings
from tuneport.backends.sagemaker.status import STATUS, SageMakerStatus
from tuneport.backends.sagemaker.translate import TRANSLATOR, SageMakerTranslator
from tuneport.engine.launch import LaunchContract
from tuneport.errors import BackendError
from tuneport.translation.capabilities import Capabilities


@dataclass(frozen=True, slots=True)
class SageMakerBackend:
    """The nameplate of SageMaker."""

    name: str = "sagemaker"
    protocol_version: int = PROTOCOL_VERSION
    capabilities: Capabilities = CAPABILITIES
    settings_type: type[SageMakerSettings] = SageMakerSettings
    launch: LaunchContract = launch.launch
    translator: SageMakerTranslator = TRANSLATOR
    status: SageMakerStatus = STATUS

    def connect(self, settings: SageMakerSettings, *, endpoint: str | None = None) -> Client:
        """Open a connection.

        Raises:
            BackendError: always; jobs are translated for SageMaker, but not run there yet.
        """
        del settings, endpoint
        raise BackendError("tuneport cannot run jobs on SageMaker yet", backend=self.name)


BACKEND = SageMakerBackend()
