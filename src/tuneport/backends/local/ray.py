"""A Ray cluster: trials run on its nodes; search, journal and driver are those of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from tuneport.backends.local import launch
from tuneport.backends.local.capabilities import CAPABILITIES as HERE
from tuneport.backends.local.settings import RaySettings
from tuneport.backends.protocols import PROTOCOL_VERSION
from tuneport.engine.launch import LaunchContract
from tuneport.model.features import Feature
from tuneport.translation.capabilities import Capabilities, approximated, exact, unsupported

F = Feature
_DIFFERENT = {
    F.RESOURCES_GPU_MEMORY: unsupported(
        "Ray counts GPUs and shares of them, not their memory", instead="give a share, such as gpus: 0.25"
    ),
    F.RESOURCES_GPU_TYPE: approximated("trials get the GPUs that the cluster has"),
    F.RESOURCES_CPUS: exact("so many of a node's are taken, one if nothing is said; nothing holds trials to them"),
    F.RESOURCES_MEMORY: exact("so much of a node's is taken; a trial that has more is ended"),
    F.RESOURCES_REPLICAS: approximated("processes that are placed all at once, and may share a node"),
    F.RESOURCES_DISK: approximated("trials share the disks of the nodes"),
}

CAPABILITIES = Capabilities(supports={**HERE.supports, **_DIFFERENT})


@dataclass(frozen=True, slots=True)
class RayBackend:
    """The nameplate of a Ray cluster."""

    name: str = "ray"
    protocol_version: int = PROTOCOL_VERSION
    capabilities: Capabilities = CAPABILITIES
    settings_type: type[RaySettings] = RaySettings
    launch: LaunchContract = launch.launch


BACKEND = RayBackend()
