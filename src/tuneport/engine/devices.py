"""The GPUs of this machine, and who may use which: shares of a GPU, or parts of its memory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Protocol

from tuneport.engine.host import Host
from tuneport.engine.ledger import Holding, Ledger
from tuneport.engine.nvml import PART, Card, Device, Nvml, asked
from tuneport.errors import DeviceError
from tuneport.model.trial_spec import AUTO, Resources, size_text

MARGIN = 1.2
"""What trials lease of a device's memory, as a multiple of the most that one of them was seen to have."""
_ROUNDING = 1e-9
"""Shares are floats; ten tenths make one."""
_UUIDS = ("GPU-", PART)
"""What UUIDs of GPUs, and of parts of them, begin with."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one trial to some devices, and to cores of this machine.

    Attributes:
        devices: ids of the devices.
        share: part of each of them, from 0 to 1.
        memory: bytes of each of them.
        cores: those that it is bound to; empty: it may use any.
    """

    devices: tuple[str, ...] = ()
    share: float = 0.0
    memory: int = 0
    cores: tuple[int, ...] = ()


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

    def learn(self, peak: int) -> None:
        """Trials of the run were seen to have so many bytes of a device's memory; 0: none has been measured yet."""
        ...

    def more_room(self, lease: Lease) -> bool:
        """A trial with this lease ran out of a device's memory. Whether it will have more of it when it runs again."""
        ...


class Pool:
    """The devices of a run, leased to its trials; no device is ever promised beyond what it has.

    All trials of a run count alike, also those that run already: with what the next one would get. That grows with what
    they are seen to need, and never shrinks; it is the same in whatever order that is learned.

    Args:
        devices: all that may be leased.
        want: what every trial of the run asks for.
        ledger: what other runs have of the devices; None: nobody else uses them.
        note: is told, once, that trials wait for what other runs have.
        host: cores and memory of this machine, of which trials lease a part as well; None: they do not.

    Raises:
        DeviceError: these devices could never satisfy it.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        want: Resources,
        ledger: Ledger | None = None,
        note: Callable[[str], object] = lambda _: None,
        host: Host | None = None,
    ) -> None:
        self._ledger = ledger
        self._note: Callable[[str], object] | None = note
        self._host = host
        self._trials = 0
        self._held: Counter[str] = Counter()
        """Trials of this run by device."""
        self._devices = {device.id: device for device in devices}
        self._sizes = [device.memory for device in devices if device.memory is not None]
        self._count = wanted(want)
        # Without a share, memory alone tells how many fit; where it is unknown, a trial has the device to itself, and
        # so it has until it is known what it needs.
        by_memory = want.gpus == 0 and len(self._sizes) == len(devices)
        self._measured = by_memory and want.gpu_memory == AUTO
        self._memory = want.least_gpu_memory
        self._share = 0.0 if by_memory and self._memory else min(want.gpus or 1, 1)
        if self._count > sum(self._places(device) > 0 for device in devices):
            raise DeviceError(self._why_none(devices), hint="lower trial.resources, or see the setting local.gpus")

    @property
    def capacity(self) -> int | None:
        """How many trials run at once when all devices are free; None: devices do not limit them, or not yet."""
        if self._count == 0 or self._measured:
            return None
        return sum(map(self._places, self._devices.values())) // self._count

    def _places(self, device: Device) -> int:
        by_share = int(1 / self._share + _ROUNDING) if self._share else None
        by_memory = device.memory // self._memory if device.memory is not None and self._memory else None
        return min(places for places in (by_share, by_memory) if places is not None)

    def lease(self) -> Lease | None:
        """The devices for one more trial, or None while they are taken."""
        if self._ledger is None:
            return self._lease({})
        with self._ledger.turn():
            others = self._ledger.others()
            lease = self._lease(others)
        if lease is None and self._trials == 0 and self._note is not None:
            what = "cores or memory" if self._host and self._host.room(others) is None else "GPUs"
            self._note(f"trials wait for {what} that other runs on this machine use")
            self._note = None
        return lease

    def _lease(self, others: Mapping[str, tuple[float, int]]) -> Lease | None:
        cores = self._host.room(others) if self._host else ()
        fitting = [one for one in self._devices.values() if self._fits(one, others.get(one.key, (0.0, 0)))]
        free = sorted(fitting, key=lambda one: self._filled(one, others.get(one.key, (0.0, 0))))
        if cores is None or len(free) < self._count:
            return None
        lease = Lease(tuple(one.id for one in free[: self._count]), *self._each(), cores)
        self.retake(lease)
        return lease

    def _each(self) -> tuple[float, int]:
        """The share and the bytes that a trial has of each of its devices."""
        return (self._share, self._memory) if self._count else (0.0, 0)

    def _filled(self, device: Device, others: tuple[float, int]) -> float:
        """The place of a device among those that have room: the least comes first.

        Trials with a share are put together as tightly as they fit, so that whole devices stay free. Those that go by
        memory alone are spread, since nobody knows how much of a device's time they need.
        """
        held = self._held[device.id]
        return -held if self._share else (held * self._memory + others[1]) / (device.memory or 1)

    def _fits(self, device: Device, others: tuple[float, int]) -> bool:
        """Whether there is room for one more trial, besides what trials of other runs have."""
        held = self._held[device.id]
        share, memory = others[0] + held * self._share, others[1] + held * self._memory
        room = device.memory is None or memory + self._memory <= device.memory
        # One that takes a part of the memory has no share, and still shares its device with none that wants all of it.
        whole = 1 - _ROUNDING
        apart = share < whole and (self._share < whole or memory == 0)
        return room and apart and share + self._share <= 1 + _ROUNDING

    def retake(self, lease: Lease) -> None:
        """Take back a lease that an earlier runner gave to a trial that still runs."""
        self._trials += 1
        self._held.update(lease.devices)
        if self._host:
            self._host.take(lease.cores)
        self._publish()

    def release(self, lease: Lease) -> None:
        """Give a lease back."""
        self._trials -= 1
        self._held.subtract(lease.devices)
        if self._host:
            self._host.give_back(lease.cores)
        self._publish()

    def learn(self, peak: int) -> None:
        """Have all trials from now on lease what one was seen to need, and some more; see Leases."""
        shared = self._measured or self._share < 1 - _ROUNDING
        if not (peak and shared and self._sizes):
            return
        least = min((size for size in self._sizes if size >= peak), default=peak)  # the margin rules no device out
        self._grow(0.0 if self._measured else self._share, min(int(MARGIN * peak), least))

    def more_room(self, lease: Lease) -> bool:
        """Learn from a trial that ran out of memory: all from now on get twice of what it had, at most a device."""
        if not lease.devices or lease.share > 1 - _ROUNDING:
            return False
        self._grow(max(self._share, min(2 * lease.share, 1.0)), min(2 * lease.memory, max(self._sizes, default=0)))
        return lease.share < self._share or lease.memory < self._memory

    def _grow(self, share: float, memory: int) -> None:
        grown = share, max(self._memory, memory)
        if grown != (self._share, self._memory):
            self._share, self._memory = grown
            self._publish()

    def _publish(self) -> None:
        """Tell other runs what trials have now."""
        if self._ledger is None:
            return
        keys = {name: one.key for name, one in self._devices.items()}
        held: list[Holding] = [(keys.get(name, name), *self._each()) for name in self._held.elements()]
        self._ledger.write([*held, *(self._host.holdings() if self._host else ())])

    def _why_none(self, devices: Sequence[Device]) -> str:
        if self._count > len(devices):
            return f"a trial needs {self._count} GPU{'s' * (self._count > 1)}, but this machine has {len(devices)}"
        most = size_text(max(self._sizes, default=0))
        return f"a trial needs {size_text(self._memory)} of GPU memory, but no device here has more than {most}"


def wanted(want: Resources) -> int:
    """How many devices one trial needs to see, with all of its replicas."""
    each = 1 if want.gpu_memory is not None or 0 < want.gpus < 1 else int(want.gpus)
    return each * want.replicas


def discover(declared: int | None = None) -> list[Device]:
    """The GPUs that this process may use: those that NVML shows, less what CUDA_VISIBLE_DEVICES hides.

    A GPU that is divided into parts is used by its parts, each a device of its own.

    Args:
        declared: so many devices instead of looking, for machines that NVML does not see; their memory is unknown.
            They are the first ones that CUDA_VISIBLE_DEVICES names, if it is set.
    """
    visible = _visible()
    if declared is not None:
        names = [str(index) for index in range(declared)] if visible is None else visible[:declared]
        return [Device(name) for name in names]
    cards = asked(Nvml.cards) or []
    if visible is None:
        return [device for card in cards for device in card.devices]
    return list({device.key: device for name in visible for device in _named(name, cards)}.values())


def _visible() -> list[str] | None:
    """The names in CUDA_VISIBLE_DEVICES, up to -1, which ends them; None if it is not set."""
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is None:
        return None
    names = takewhile(lambda name: name != "-1", (name.strip() for name in variable.split(",")))
    return list(dict.fromkeys(name for name in names if name))


def _named(name: str, cards: Sequence[Card]) -> Sequence[Device]:
    """The devices that a name means: an index, or a UUID, of which the beginning is enough."""
    if name.startswith(PART):
        parts = (device for card in cards for device in card.devices)
        return [replace(device, id=name) for device in parts if device.uuid.startswith(name)][:1]
    card = next((one for one in cards if name == one.whole.id or _begins(one.whole.uuid, name)), None)
    if card is None:
        return []
    return [replace(card.whole, id=name)] if card.devices == (card.whole,) else card.devices


def _begins(uuid: str, name: str) -> bool:
    return name.startswith(_UUIDS) and uuid.startswith(name)
