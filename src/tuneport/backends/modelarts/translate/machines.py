"""The machines: those that a job runs on, and what those of a stored algorithm's jobs must have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from tuneport.catalog.machines import find_gpu
from tuneport.model.trial_spec import Resources

Json: TypeAlias = dict[str, Any]

REQUIREMENTS: Final = ("host_distributed_mode", "device_distributed_mode", "flavor_type")
"""Keys of what machines must have: one machine or several, one card or several in each, and the kind of processor."""
_GIB = 2**30
_ASCEND = "ascend"


# ---- of a job -------------------------------------------------------------------------------------------------------


def write_resources(resources: Resources) -> Json:
    """The machines: a flavor, and in a dedicated pool instead of it just so much of one as is needed."""
    part: Json = {"node_count": resources.replicas}
    if resources.machine is not None:
        part["flavor_id"] = resources.machine
    if resources.pool is not None:
        part["pool_id"] = resources.pool
        if resources.machine is None:
            part["main_container_customized_flavor"] = _write_share(resources)
    return part


def _write_share(resources: Resources) -> Json:
    if resources.cpus is None and resources.memory is None:
        return {}  # GPUs alone are a flavor of their own
    share = {
        "cpu_core_num": resources.cpus,
        "mem_size": None if resources.memory is None else resources.memory / _GIB,
        "accelerator_num": resources.gpus or None,
    }
    return {name: _short(amount) for name, amount in share.items() if amount is not None}


def read_resources(resource: Json) -> Json:
    """The inverse of `write_resources`."""
    nodes, share = resource.get("node_count"), resource.get("main_container_customized_flavor", {})
    cards = share.get("accelerator_num")
    size: Any = share.get("mem_size")
    memory = size * _GIB if _is_amount(size) else 0
    found = {
        "machine": resource.get("flavor_id"),
        "pool": resource.get("pool_id"),
        "replicas": nodes if isinstance(nodes, int) and 1 <= nodes < 2**63 else None,
        "cpus": share.get("cpu_core_num") if _is_amount(share.get("cpu_core_num")) else None,
        "memory": int(memory) if 1 <= memory < 2**63 and memory == int(memory) else None,
    }
    measured = found["cpus"] is not None or found["memory"] is not None
    if measured and _is_amount(cards) and (cards < 1 or cards == int(cards)):
        found["gpus"] = cards
    return {name: value for name, value in found.items() if value is not None}


def _is_amount(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 2**60


def _short(amount: float) -> float:
    return int(amount) if amount == int(amount) else amount


# ---- of a stored algorithm ------------------------------------------------------------------------------------------


def write_requirements(resources: Resources) -> list[Json]:
    """What is needed, as far as the service has words: of cards and machines it knows one and several."""
    asked = []
    if resources.gpus or resources.replicas > 1:
        asked = [_mode(resources.replicas)]
    if resources.gpus:
        card = find_gpu(resources.gpu_type or "")
        asked += [_mode(resources.gpus), "Ascend" if card is not None and card.family == _ASCEND else "GPU"]
    return [{"key": key, "values": [value], "operator": "in"} for key, value in zip(REQUIREMENTS, asked, strict=False)]


def read_requirements(requirements: Sequence[Json]) -> Json:
    """The least that is enough: two where several are asked for, and no card where machines may do without."""
    asked = {one.get("key"): one.get("values") for one in requirements if one.get("operator") == "in"}
    hosts, devices, kinds = (asked.get(key) for key in REQUIREMENTS)
    found: Json = {"replicas": 2} if hosts == ["multiple"] else {}
    if kinds in (["GPU"], ["Ascend"]):
        found["gpus"] = 2 if devices == ["multiple"] else 1
        found |= {"gpu_type": _ASCEND} if kinds == ["Ascend"] else {}
    return found


def _mode(count: float) -> str:
    return "multiple" if count > 1 else "singular"
