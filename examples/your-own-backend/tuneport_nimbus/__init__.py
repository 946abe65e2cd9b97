"""Nimbus, a cloud that does not exist: all that a backend of tuneport has to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from tuneport.backends.protocols import PROTOCOL_VERSION
from tuneport.engine.launch import LaunchContract
from tuneport.errors import BackendError
from tuneport.translation.capabilities import Capabilities
from tuneport_nimbus.capabilities import CAPABILITIES
from tuneport_nimbus.launch import launch
from tuneport_nimbus.settings import NimbusSettings
from tuneport_nimbus.status import NimbusStatus
from tuneport_nimbus.translate import NimbusTranslator


@dataclass(frozen=True, slots=True)
class NimbusBackend:
    """The nameplate: `tuneport backends nimbus` prints it."""

    name: str = "nimbus"
    protocol_version: int = PROTOCOL_VERSION
    capabilities: Capabilities = CAPABILITIES
    settings_type: type[NimbusSettings] = NimbusSettings
    launch: LaunchContract = launch
    translator: NimbusTranslator = field(default_factory=NimbusTranslator)
    status: NimbusStatus = field(default_factory=NimbusStatus)

    def connect(self, settings: NimbusSettings, *, endpoint: str | None = None) -> NoReturn:
        """The first place where an SDK may be imported. Nimbus has none, nor anything to connect to."""
        del settings, endpoint
        raise BackendError("nimbus does not exist, so that nothing can run there", backend=self.name)


BACKEND = NimbusBackend()
