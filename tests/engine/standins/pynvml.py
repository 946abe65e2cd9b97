"""Stands for nvidia-ml-py where there is no GPU. The folder that STANDIN_GPUS names is the machine.

Its gpus.json lists GPUs: ``{"uuid": "GPU-a", "memory": 1000, "busy": 40, "parts": [{"uuid": "MIG-a", "memory": 500,
"instance": 1}]}``. A process has memory of one while a file ``UUID.PID`` says how much, and the process lives.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Handle = dict[str, Any]


class NVMLError(Exception):
    """As the driver's library has it."""


def nvmlInit() -> None:
    if "STANDIN_GPUS" not in os.environ:
        raise NVMLError


def nvmlShutdown() -> None:
    pass


def _gpus() -> list[Handle]:
    gpus: list[Handle] = json.loads((_folder() / "gpus.json").read_text())
    return gpus


def _folder() -> Path:
    return Path(os.environ["STANDIN_GPUS"])


def nvmlDeviceGetCount() -> int:
    return len(_gpus())


def nvmlDeviceGetHandleByIndex(index: int) -> Handle:
    handle = _gpus()[index]
    if "lost" in handle:
        raise NVMLError
    return handle


def nvmlDeviceGetUUID(handle: Handle) -> str:
    return str(handle["uuid"])


def nvmlDeviceGetName(handle: Handle) -> bytes:
    return f"name of {handle['uuid']}".encode()


def nvmlDeviceGetMigMode(handle: Handle) -> list[int]:
    if "parts" not in handle:
        raise NVMLError
    return [int(handle["parts"] is not None), 0]


def nvmlDeviceGetMaxMigDeviceCount(handle: Handle) -> int:
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(handle: Handle, index: int) -> Handle:
    if index >= len(handle["parts"]):
        raise NVMLError
    part: Handle = handle["parts"][index]
    return part


def nvmlDeviceGetGpuInstanceId(handle: Handle) -> int:
    return int(handle["instance"])


def nvmlDeviceGetMemoryInfo(handle: Handle) -> SimpleNamespace:
    return SimpleNamespace(total=handle["memory"], used=handle.get("used", 0) + sum(_claims(handle).values()))


def nvmlDeviceGetUtilizationRates(handle: Handle) -> SimpleNamespace:
    if "busy" not in handle:
        raise NVMLError
    return SimpleNamespace(gpu=handle["busy"])


def nvmlDeviceGetComputeRunningProcesses(handle: Handle) -> list[SimpleNamespace]:
    if handle.get("container"):
        return [SimpleNamespace(pid=2**22 + pid, usedGpuMemory=size) for pid, size in _claims(handle).items()]
    return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in _claims(handle).items()]


def _claims(handle: Handle) -> dict[int, int]:
    claims = {}
    for path in _folder().glob(f"{handle['uuid']}.*"):
        pid = int(path.suffix[1:])
        if Path(f"/proc/{pid}").exists():
            claims[pid] = int(path.read_text() or 0)
    return claims
