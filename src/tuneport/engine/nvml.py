"""The GPUs of this machine as NVML shows them, the library of NVIDIA's driver: what there is, and what it has to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")

PART = "MIG-"
"""What UUIDs of parts of GPUs begin with."""


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or a part of one that is a device of its own.

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
class Card:
    """A GPU, and the devices that it is: itself, or the parts into which it is divided."""

    whole: Device
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """What a device has to do at a moment.

    Attributes:
        used: bytes of its memory that are taken, by whomever.
        busy: part of the last moment in which it computed, from 0 to 1; None where that is not known, as of MIG parts.
        processes: process id to the bytes that the process has; in a container they may be missing or have the numbers
            of the machine around it.
    """

    used: int
    busy: float | None = None
    processes: Mapping[int, int] = field(default_factory=dict)


class Nvml:
    """A connection to the driver.

    Args:
        library: the module of nvidia-ml-py, ready for use.
    """

    def __init__(self, library: Any) -> None:
        self._library = library

    def close(self) -> None:
        """Let go of the driver."""
        self._library.nvmlShutdown()

    def cards(self) -> list[Card]:
        """The GPUs in the driver's order."""
        found = []
        for index, handle in self._handles():
            with contextlib.suppress(self._library.NVMLError):  # it may be lost until the machine starts again
                found.append(self._card(index, handle))
        return found

    def loads(self) -> dict[str, Load]:
        """What every device has to do now, by its UUID."""
        found = {}
        for _, handle in self._handles():
            for part in self._parts(handle) if self._divided(handle) else [handle]:
                with contextlib.suppress(self._library.NVMLError):  # it may have gone since we looked
                    found[self._uuid(part)] = self._load(part)
        return found

    def _handles(self) -> Iterator[tuple[int, Any]]:
        for index in range(self._library.nvmlDeviceGetCount()):
            with contextlib.suppress(self._library.NVMLError):  # likewise
                yield index, self._library.nvmlDeviceGetHandleByIndex(index)

    def _card(self, index: int, handle: Any) -> Card:
        whole = self._device(handle, str(index))
        if not self._divided(handle):
            return Card(whole, (whole,))
        parts = list(self._parts(handle))
        instances = [self._library.nvmlDeviceGetGpuInstanceId(part) for part in parts]
        # Compute instances of one GPU instance share its memory: each may count on its part of it.
        shared = [instances.count(instance) for instance in instances]
        return Card(whole, tuple(self._device(part, sharing=many) for part, many in zip(parts, shared, strict=True)))

    def _divided(self, handle: Any) -> bool:
        """Whether a GPU can be used by its parts alone."""
        try:
            current, _ = self._library.nvmlDeviceGetMigMode(handle)
        except self._library.NVMLError:  # it knows of no parts
            return False
        return bool(current)

    def _parts(self, handle: Any) -> Iterator[Any]:
        for index in range(self._library.nvmlDeviceGetMaxMigDeviceCount(handle)):
            with contextlib.suppress(self._library.NVMLError):  # there may be fewer
                yield self._library.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)

    def _device(self, handle: Any, name: str | None = None, sharing: int = 1) -> Device:
        """The device of a handle; without a name, it is called by its UUID."""
        uuid = self._uuid(handle)
        memory = int(self._library.nvmlDeviceGetMemoryInfo(handle).total) // sharing
        return Device(name or uuid, _text(self._library.nvmlDeviceGetName(handle)), memory, uuid)

    def _uuid(self, handle: Any) -> str:
        return _text(self._library.nvmlDeviceGetUUID(handle))

    def _load(self, handle: Any) -> Load:
        used = int(self._library.nvmlDeviceGetMemoryInfo(handle).used)
        return Load(used, self._busy(handle), dict(self._processes(handle)))

    def _busy(self, handle: Any) -> float | None:
        try:
            return float(self._library.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
        except self._library.NVMLError:
            return None

    def _processes(self, handle: Any) -> Iterator[tuple[int, int]]:
        with contextlib.suppress(self._library.NVMLError):
            for one in self._library.nvmlDeviceGetComputeRunningProcesses(handle):
                if one.usedGpuMemory is not None:
                    yield int(one.pid), int(one.usedGpuMemory)


def connected() -> Nvml | None:
    """A connection to the driver; None if there is none, or no library for it."""
    try:
        import pynvml  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return Nvml(pynvml)


def asked(question: Callable[[Nvml], _Answer]) -> _Answer | None:
    """What the driver says to a question; None where there is no driver."""
    driver = connected()
    if driver is None:
        return None
    try:
        return question(driver)
    finally:
        driver.close()


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
