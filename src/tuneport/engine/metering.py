"""What running trials have of this machine's memory, and of that of its GPUs: looked at now and then, from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tuneport.engine.executors.keeper import MARK
from tuneport.engine.nvml import Device, Load
from tuneport.engine.processes import Process, exists, families, proportional

PERIOD = 1.0
"""Seconds between two looks."""


class Meter(Protocol):
    """Says what devices have to do."""

    def loads(self) -> Mapping[str, Load]:
        """What every device has to do now, by its UUID."""
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes that all processes of a trial have together; 0 where that is not known.

    Attributes:
        memory: of main memory; what processes share counts for each of them, unless it is close to the trial's limit.
        gpu_memory: of a device, of several the one of which it has most.
    """

    memory: int = 0
    gpu_memory: int = 0

    def __or__(self, other: Usage) -> Usage:
        """The larger of each."""
        return Usage(max(self.memory, other.memory), max(self.gpu_memory, other.gpu_memory))

    def exceeds(self, other: Usage, by: float = 0.0) -> bool:
        """Whether any of it is more than the other's, by a part of that."""
        pairs = ((self.memory, other.memory), (self.gpu_memory, other.gpu_memory))
        return any(mine > (1 + by) * theirs for mine, theirs in pairs)


@dataclass(frozen=True, slots=True)
class Watched:
    """A running trial: the ids of its devices, and the bytes of main memory that it may have."""

    devices: tuple[str, ...] = ()
    limit: int | None = None


class Metering:
    """Measures trials of this machine; they are known by the mark that all of their processes carry.

    Args:
        meter: of the devices; None: nobody knows what they do.
        devices: those that trials lease.
    """

    def __init__(self, meter: Meter | None = None, devices: Sequence[Device] = ()) -> None:
        self._meter = meter
        self._uuids = {device.id: device.uuid for device in devices}

    def usage(self, trials: Mapping[str, Watched], keepers: Iterable[int]) -> dict[str, Usage]:
        """What every trial has now.

        Args:
            trials: by their marks.
            keepers: the processes below which those of the trials are.
        """
        found = families(keepers, MARK, trials)
        loads = self._meter.loads() if self._meter and any(one.devices for one in trials.values()) else {}
        alone = Counter(name for one in trials.values() for name in one.devices)
        used = {}
        for mark, one in trials.items():
            pids = {process.pid for process in found.get(mark, ())}
            of_devices = [self._of_device(name, pids, loads, alone[name] == 1) for name in one.devices]
            used[mark] = Usage(_main_memory(found.get(mark, ()), one.limit), max(of_devices, default=0))
        return used

    def _of_device(self, name: str, pids: Collection[int], loads: Mapping[str, Load], alone: bool) -> int:
        """What a trial has of a device.

        In a container, the driver may know processes by other numbers, or show none. Then a trial that is the only one
        of its run there counts with all that is used of the device, so that nobody is promised too much.
        """
        load = loads.get(self._uuids.get(name, ""), Load(0))
        if alone and pids and not any(map(exists, load.processes)):
            return load.used
        return sum(size for pid, size in load.processes.items() if pid in pids)


def _main_memory(processes: Sequence[Process], limit: int | None) -> int:
    """What processes have together; it is found out exactly, which takes longer, where it is said to be too much."""
    resident = sum(process.resident for process in processes)
    if limit is None or resident <= limit:
        return resident
    exact = proportional(process.pid for process in processes)
    return resident if exact is None else exact
