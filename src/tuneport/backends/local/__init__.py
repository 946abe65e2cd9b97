"""This machine: trials are local processes on its own processors and GPUs."""

from __future__ import annotations

from dataclasses import dataclass

from tuneport.backends.local import launch
from tuneport.backends.local.capabilities import CAPABILITIES
from tuneport.backends.local.settings import LocalSettings
from tuneport.backends.protocols import PROTOCOL_VERSION
from tuneport.engine.launch import LaunchContract
from tuneport.translation.capabilities import Capabilities


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """The nameplate of this machine."""

    name: str = "local"
    protocol_version: int = PROTOCOL_VERSION
    capabilities: Capabilities = CAPABILITIES
    settings_type: type[LocalSettings] = LocalSettings
    launch: LaunchContract = launch.launch


BACKEND = LocalBackend()
