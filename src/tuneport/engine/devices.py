"""The GPUs of this machine, and who may use which: shares of a GPU, or parts of its memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Protocol

from tuneport.engine.ledger import Ledger
from tuneport.errors import DeviceError
from tuneport.model.trial_spec import Resources, size_text

_ROUNDING = 1e-9
"""Shares are floats; ten tenths make one."""
_PART = "MIG-"
_UUIDS = ("GPU-", _PART)
"""What UUIDs of GPUs, and of parts of them, begin with."""


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU.

    Attributes:
        id: as CUDA_VISIBLE_DEVICES names it: an index, or a UUID.
        name: its product name.
        memory: bytes, or None if unknown.
        uuid: the same for everybody on the machine, whatever is hidden from them; empty if unknown.
    """

    id: str
    name: str = "GPU"
    memory: int | None = None
    uuid: str = ""

    @property
    def key(self) -> str:
        """What all runs of a machine call it."""
        return self.uuid or self.id


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one trial to some devices.

    Attributes:
        devices: ids of the devices.
        share: part of each of them, from 0 to 1.
        memory: bytes of each of them.
    """

    devices: tuple[str, ...] = ()
    share: float = 0.0
    memory: int = 0


@dataclass(slots=True)
class _Use:
    device: Device
    share: float = 0.0
    memory: int = 0

    def fits(self, lease: Lease, taken: tuple[float, int]) -> bool:
        """Whether there is room, besides what trials of other runs have."""
        share, memory = taken
        room = self.device.memory is None or self.memory + lease.memory + memory <= self.device.memory
        # One that takes a part of the memory has no share, and still shares its device with none that wants all of it.
        whole = 1 - _ROUNDING
        apart = share < whole and (lease.share < whole or memory == 0)
        return room and apart and self.share + lease.share + share <= 1 + _ROUNDING


class Leases(Protocol):
    """What trials lease before they start."""

    def lease(self) -> Lease | None:
        """What one more trial gets; None while there is no room for it."""
        ...

    def retake(self, lease: Lease) -> None:
        """Take back a lease that an earlier runner gave to a trial that still runs."""
        ...

    def release(self, lease: Lease) -> None:
        """Give a lease back."""
        ...

    def more_room(self, lease: Lease) -> bool:
        """A trial with this lease ran out of a device's memory. Whether it will have more of it when it runs again."""
        ...


class Pool:
    """The devices of a run, leased to its trials; no device is ever promised beyond what it has.

    Args:
        devices: all that may be leased.
        want: what every trial of the run asks for.
        ledger: what other runs have of the devices; None: nobody else uses them.
        note: is told, once, that trials wait for devices of other runs.

    Raises:
        DeviceError: these devices could never satisfy it.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        want: Resources,
        ledger: Ledger | None = None,
        note: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._note: Callable[[str], object] | None = note
        self._held: list[Lease] = []
        self._uses = {device.id: _Use(device) for device in devices}
        self._count = wanted(want)
        memory = want.gpu_memory or 0
        # Without a share, memory alone tells how many fit; where it is unknown, a trial has the device to itself.
        by_memory = memory > 0 and want.gpus == 0 and all(device.memory is not None for device in devices)
        self._share = 0.0 if by_memory else min(want.gpus or 1, 1)
        self._memory = memory
        if self.capacity == 0:
            raise DeviceError(self._why_none(devices), hint="lower trial.resources, or see the setting local.gpus")

    @property
    def capacity(self) -> int | None:
        """How many trials run at once when all devices are free; None: devices do not limit them."""
        if self._count == 0:
            return None
        return sum(self._places(use.device) for use in self._uses.values()) // self._count

    def _places(self, device: Device) -> int:
        by_share = int(1 / self._share + _ROUNDING) if self._share else None
        by_memory = device.memory // self._memory if device.memory is not None and self._memory else None
        return min(places for places in (by_share, by_memory) if places is not None)

    def lease(self) -> Lease | None:
        """The devices for one more trial, or None while they are taken.

        Trials that share a device are put together as tightly as they fit, so that whole devices stay free.
        """
        if self._count == 0:
            return Lease()
        if self._ledger is None:
            return self._lease({})
        with self._ledger.turn():
            others = self._ledger.others()
            lease = self._lease(others)
        if lease is None and not self._held and self._note is not None:
            self._note("trials wait for GPUs that other runs on this machine use")
            self._note = None
        return lease

    def _lease(self, others: Mapping[str, tuple[float, int]]) -> Lease | None:
        one = Lease(share=self._share, memory=self._memory)
        fitting = (use for use in self._uses.values() if use.fits(one, others.get(use.device.key, (0.0, 0))))
        free = sorted(fitting, key=lambda use: (-use.share, -use.memory))
        if len(free) < self._count:
            return None
        lease = Lease(tuple(use.device.id for use in free[: self._count]), self._share, self._memory)
        self.retake(lease)
        return lease

    def retake(self, lease: Lease) -> None:
        """Take back a lease that an earlier runner gave to a trial that still runs."""
        if not lease.devices:
            return
        self._held.append(lease)
        self._account(lease, 1)

    def release(self, lease: Lease) -> None:
        """Give a lease back."""
        if not lease.devices:
            return
        self._held.remove(lease)
        self._account(lease, -1)

    def more_room(self, lease: Lease) -> bool:
        """Learn from a trial that ran out of memory: all trials from now on get twice as much, at most a device.

        What counts is what the trial had: of several that fail together, the first one doubles it for all.
        """
        if not lease.devices:
            return False
        if (lease.share, lease.memory) == (self._share, self._memory):
            least = min((use.device.memory or self._memory for use in self._uses.values()), default=0)
            self._share, self._memory = min(2 * self._share, 1.0), min(2 * self._memory, least)
        return lease.share < self._share or lease.memory < self._memory

    def _account(self, lease: Lease, sign: int) -> None:
        for name in lease.devices:
            if use := self._uses.get(name):
                use.memory += sign * lease.memory
                use.share = max(0.0, use.share + sign * lease.share)
        if self._ledger is not None:
            keys = {name: use.device.key for name, use in self._uses.items()}
            held = ((name, one) for one in self._held for name in one.devices)
            self._ledger.write([(keys.get(name, name), one.share, one.memory) for name, one in held])

    def _why_none(self, devices: Sequence[Device]) -> str:
        if self._count > len(devices):
            return f"a trial needs {self._count} GPU{'s' * (self._count > 1)}, but this machine has {len(devices)}"
        most = size_text(max(device.memory or 0 for device in devices))
        return f"a trial needs {size_text(self._memory)} of GPU memory, but no device here has more than {most}"


def wanted(want: Resources) -> int:
    """How many devices one trial needs to see, with all of its replicas."""
    each = 1 if want.gpu_memory is not None or 0 < want.gpus < 1 else int(want.gpus)
    return each * want.replicas


def processors() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def discover(declared: int | None = None) -> list[Device]:
    """The GPUs that this process may use: those that NVML shows, less what CUDA_VISIBLE_DEVICES hides.

    Args:
        declared: so many devices instead of looking, for machines that NVML does not see; their memory is unknown.
            They are the first ones that CUDA_VISIBLE_DEVICES names, if it is set.
    """
    visible = _visible()
    if declared is not None:
        names = [str(index) for index in range(declared)] if visible is None else visible[:declared]
        return [Device(name) for name in names]
    found = _from_nvml()
    if visible is None:
        return [device for uuid, device in found if not uuid.startswith(_PART)]
    return [replace(device, id=name) for name in visible if (device := _named(name, found)) is not None]


def _visible() -> list[str] | None:
    """The names in CUDA_VISIBLE_DEVICES, up to -1, which ends them; None if it is not set."""
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is None:
        return None
    names = takewhile(lambda name: name != "-1", (name.strip() for name in variable.split(",")))
    return list(dict.fromkeys(name for name in names if name))


def _named(name: str, found: Sequence[tuple[str, Device]]) -> Device | None:
    """The device that a name means: an index, or a UUID, of which the beginning is enough."""
    uuid = name.startswith(_UUIDS)
    return next((device for full, device in found if (full.startswith(name) if uuid else device.id == name)), None)


def _from_nvml() -> list[tuple[str, Device]]:
    """UUID and device, of the GPUs and of the parts into which some are divided."""
    try:
        import pynvml  # noqa: PLC0415 - an extra
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        whole = [_device(pynvml, handle, str(index)) for index, handle in enumerate(handles)]
        return whole + [_device(pynvml, part) for handle in handles for part in _parts(pynvml, handle)]
    finally:
        pynvml.nvmlShutdown()


def _parts(nvml: Any, handle: Any) -> Iterator[Any]:
    """Handles of the MIG devices of a GPU."""
    try:
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except nvml.NVMLError:
        return
    for index in range(most):
        try:
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except nvml.NVMLError:  # there may be fewer
            continue


def _device(nvml: Any, handle: Any, name: str | None = None) -> tuple[str, Device]:
    """UUID and device of a handle; without a name, the device is called by its UUID."""
    uuid = _text(nvml.nvmlDeviceGetUUID(handle))
    memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    return uuid, Device(name or uuid, _text(nvml.nvmlDeviceGetName(handle)), memory, uuid)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
