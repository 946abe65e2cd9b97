"""What the GPUs of this machine have to do, and which trials of a run are on them."""

from __future__ import annotations

from collections import defaultdict

from tuneport.engine.devices import discover
from tuneport.engine.nvml import Device, Load, Nvml, asked
from tuneport.engine.record import Record
from tuneport.model.results import DeviceUse


def occupancy(record: Record) -> list[DeviceUse]:
    """The devices that the run may use, and those that its trials have; none if no trial has one now."""
    trials: dict[str, list[int]] = defaultdict(list)
    for trial in record.running:
        for name in record.lives[trial].lease.devices:
            trials[name].append(trial)
    if not trials:
        return []
    found = {device.id: device for device in discover(record.row.manifest["gpus"])}
    found |= {name: Device(name) for name in trials if name not in found}  # hidden from us, not from who drives the run
    loads = asked(Nvml.loads) or {}
    return [_use(device, trials[name], loads.get(device.uuid)) for name, device in found.items()]


def _use(device: Device, trials: list[int], load: Load | None) -> DeviceUse:
    return DeviceUse(
        id=device.id,
        name=device.name,
        trials=tuple(trials),
        memory=device.memory,
        used=load.used if load else None,
        busy=load.busy if load else None,
    )
