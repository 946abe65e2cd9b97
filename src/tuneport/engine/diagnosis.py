"""From the way a process ended to the shared failure taxonomy. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from tuneport.model.results import Failure, FailureKind

_OUT_OF_MEMORY = re.compile(
    r"(?:CUDA|HIP)(?: error:)? out of memory|OutOfMemoryError|\bMemoryError\b|CUDA_ERROR_OUT_OF_MEMORY"
    r"|cudaErrorMemoryAllocation|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED|std::bad_alloc|Cannot allocate memory"
    r"|RESOURCE_EXHAUSTED: Out of memory|OOM when allocating"
)
_OF_DEVICE = re.compile(r"CUDA|CUBLAS|CUDNN|cuda|\bHIP\b|XLA|[Xx]la|GPU")
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
_ERROR_LINE = re.compile(r"^(?:[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)\b.*|.*\berror\b.*)$", re.IGNORECASE)


def diagnose(
    code: int | None,
    last_lines: Sequence[str],
    *,
    error: str | None = None,
    timed_out: bool = False,
    stopped: bool = False,
    out_of_memory: bool = False,
    excess: str | None = None,
    timeout: float | None = None,
) -> Failure | None:
    """Why a trial's process did not end well, or None if it did, or was told to stop.

    Args:
        code: exit status; negative for a signal; None if it was never started.
        last_lines: the end of its output.
        error: why it could not be started.
        timed_out: its time-out had passed when it ended.
        stopped: it had been asked to stop.
        out_of_memory: the kernel killed something for lack of memory while it ran, and it died of SIGKILL.
        excess: it was ended for having more main memory than it may: how much, in words.
        timeout: the time-out in seconds, for the message.
    """

    def failure(kind: FailureKind, message: str) -> Failure:
        return Failure(kind=kind, message=message, exit_code=code, last_lines=tuple(last_lines))

    if error is not None or code is None:
        return failure(FailureKind.INFRASTRUCTURE, f"could not be started: {error}")
    if timed_out:
        return failure(FailureKind.TIMED_OUT, f"ran longer than its time-out of {timeout or 0:g} s")
    if code == 0 or stopped:
        return None
    if excess is not None:
        return failure(FailureKind.OUT_OF_MEMORY, excess)
    if out_of_memory or any(_OUT_OF_MEMORY.search(line) for line in last_lines):
        return failure(FailureKind.OUT_OF_MEMORY, "ran out of memory")
    number = -code if code < 0 else code - 128  # a shell in between turns signal n into status 128 + n
    if number in set(signal.Signals):
        name = signal.Signals(number).name
        if number in _FROM_OUTSIDE:
            return failure(FailureKind.PREEMPTED, f"was killed from outside by {name}")
        return failure(FailureKind.CODE, f"crashed with {name}")
    said = next((line.strip() for line in reversed(last_lines) if _ERROR_LINE.match(line.strip())), "")
    return failure(FailureKind.CODE, f"exited with status {code}" + (f": {said[:300]}" if said else ""))


def of_device(failure: Failure) -> bool:
    """Whether what a trial ran out of is a GPU's memory, not that of the machine."""
    told = (line for line in failure.last_lines if _OUT_OF_MEMORY.search(line))
    return failure.kind is FailureKind.OUT_OF_MEMORY and any(_OF_DEVICE.search(line) for line in told)
