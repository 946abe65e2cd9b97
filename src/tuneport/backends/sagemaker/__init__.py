"""Amazon SageMaker: hyperparameter tuning jobs."""

from __future__ import annotations

from dataclasses import dataclass

from tuneport.backends.protocols import PROTOCOL_VERSION, Client, SingleJobs
from tuneport.backends.sagemaker import launch
from tuneport.backends.sagemaker.capabilities import CAPABILITIES
from tuneport.backends.sagemaker.settings import SageMakerSettings
from tuneport.backends.sagemaker.status import STATUS, SageMakerStatus
from tuneport.backends.sagemaker.training import TRAINING, SageMakerTraining
from tuneport.backends.sagemaker.translate import TRANSLATOR, SageMakerTranslator
from tuneport.engine.launch import LaunchContract
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
    training: SageMakerTraining = TRAINING

    def connect(self, settings: SageMakerSettings, *, endpoint: str | None = None) -> Client:
        """Open a connection to the region of the settings.

        Raises:
            BackendNotInstalledError: boto3 is not there.
            AuthError: there are no credentials.
            BackendError: AWS's own settings make no connection.
        """
        from tuneport.backends.sagemaker.client import SageMakerClient  # noqa: PLC0415 - translating needs no client

        return SageMakerClient(settings, endpoint)

    def jobs(self, settings: SageMakerSettings, run: str, *, endpoint: str | None = None) -> SingleJobs:
        """Open a connection for the training jobs of a run; raises as `connect`."""
        from tuneport.backends.sagemaker.client import SageMakerClient  # noqa: PLC0415 - see connect
        from tuneport.backends.sagemaker.jobs import SageMakerJobs  # noqa: PLC0415

        return SageMakerJobs(SageMakerClient(settings, endpoint), run)


BACKEND = SageMakerBackend()
