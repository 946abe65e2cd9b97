"""Processor cores and main memory of this machine, and what the trials of a run lease of them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tuneport.engine.ledger import Holding
from tuneport.errors import DeviceError
from tuneport.model.trial_spec import Resources, TrialSpec, about

_HOST, _CORE = "host", "core:"
"""What the machine, and each of its cores, is called among the devices that runs tell each other of."""
_ROUNDING = 1e-9
"""Parts of cores are floats: a hundred times 0.55 comes out as more than 55."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container says how much of the machine's memory it may use."""


def cores() -> Sequence[int]:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def processors() -> int:
    """How many processor cores this process may use."""
    return len(cores())


def main_memory() -> int:
    """Bytes of main memory that there are for this process and all others."""
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits()])


def _limits() -> Iterator[int]:
    for path in map(Path, _LIMITS):
        if path.exists() and (said := path.read_text(encoding="ascii").strip()).isdigit():
            yield int(said)


def most(trial: TrialSpec) -> Resources:
    """The cores and the memory that a trial needs for all of its replicas, whatever its variants make of it."""
    all_of = [trial.resources, *(one.resources for one in trial.variants if one.resources is not None)]
    cpus = max(((one.cpus or 0) * one.replicas for one in all_of), default=0)
    memory = max(((one.memory or 0) * one.replicas for one in all_of), default=0)
    return Resources(cpus=cpus or None, memory=memory or None)


class Host:
    """The cores and the memory of this machine, for trials that say how much of them they need.

    Args:
        want: what every trial of the run asks for; see `most`.
        cores: those that may be used.
        memory: bytes that there are.

    Raises:
        DeviceError: there is not as much.
    """

    def __init__(self, want: Resources, cores: Sequence[int], memory: int) -> None:
        self._cpus = want.cpus or 0
        # Only who asks for whole cores has them to itself, where processes can be bound to cores at all.
        self._whole = self._cpus > 0 and self._cpus == math.floor(self._cpus) and hasattr(os, "sched_setaffinity")
        self._bytes = want.memory or 0
        self._cores = cores
        self._memory = memory
        self._bound: Counter[int] = Counter()
        self._trials = 0
        if self._cpus > len(cores):
            raise DeviceError(f"a trial needs {self._cpus:g} cpus, but this machine has {len(cores)}")
        if self._bytes > memory:
            raise DeviceError(f"a trial needs {about(self._bytes)} of memory, but this machine has {about(memory)}")

    @property
    def wanted(self) -> bool:
        """Whether trials lease anything of it."""
        return bool(self._cpus or self._bytes)

    def room(self, others: Mapping[str, tuple[float, int]]) -> tuple[int, ...] | None:
        """The cores that one more trial is bound to, none if it may use any; None while there is no room for it."""
        loose, memory = others.get(_HOST, (0.0, 0))
        free = [core for core in self._cores if f"{_CORE}{core}" not in others]
        trials = self._trials + 1
        if self._bytes and trials * self._bytes + memory > self._memory:
            return None
        if self._cpus and trials * self._cpus + loose > len(free) + _ROUNDING:
            return None
        return tuple(core for core in free if not self._bound[core])[: int(self._cpus)] if self._whole else ()

    def take(self, bound: Sequence[int]) -> None:
        """A trial has its part of the machine."""
        self._trials += 1
        self._bound.update(bound)

    def give_back(self, bound: Sequence[int]) -> None:
        """A trial has it no more."""
        self._trials -= 1
        self._bound.subtract(bound)

    def holdings(self) -> Iterator[Holding]:
        """What trials have now: parts of cores that are anywhere, and whole ones by their numbers."""
        yield _HOST, 0.0 if self._whole else self._trials * self._cpus, self._trials * self._bytes
        yield from ((f"{_CORE}{core}", 1.0, 0) for core in self._bound.elements())
