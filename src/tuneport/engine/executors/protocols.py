"""What an executor is: it starts, watches and stops trials, wherever they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tuneport.engine.launch import Reported, TrialContext
from tuneport.model.results import Failure


@dataclass(frozen=True, slots=True)
class Emitted:
    """A running trial reported."""

    trial: int
    report: Reported


@dataclass(frozen=True, slots=True)
class Measured:
    """The most that a running trial has had until now.

    Attributes:
        trial: its id.
        memory: bytes of main memory; 0 if that is not known.
        gpu_memory: bytes of a device's memory; 0 if that is not known.
    """

    trial: int
    memory: int
    gpu_memory: int


@dataclass(frozen=True, slots=True)
class Exited:
    """A trial's process, or whatever stands for it, is gone.

    Attributes:
        trial: its id.
        failure: why it did not end well by itself; None if it did.
        stopped: it was asked to stop before it ended.
        looked_for: where its metrics were looked for, in one phrase, for the case that none came.
        last_lines: the end of its output.
        time: when, in POSIX seconds.
        lost: whatever watched it is gone, and how it ended is not known.
    """

    trial: int
    failure: Failure | None
    stopped: bool
    looked_for: str
    last_lines: tuple[str, ...]
    time: float
    lost: bool = False


Event: TypeAlias = Emitted | Measured | Exited


class Executor(Protocol):
    """Starts, watches and stops trials.

    A trial that was started yields any number of Emitted and Measured and then exactly one Exited, unless the executor
    is closed first. Starting never raises for the trial's sake: a trial that cannot be started exits at once.
    """

    name: str
    """Recorded with the run; tells who may resume it."""

    def handle(self) -> dict[str, Any]:
        """Plain data by which `adopt` finds a trial that is about to be started, after the runner was killed."""
        ...

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        """Start a trial, to be stopped after `timeout` seconds."""
        ...

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        """Take over a trial that a killed runner started. False: it is gone without a result and must run again."""
        ...

    def stop(self, trial: int) -> None:
        """Ask a trial to end; it is made to after the grace. No effect on a trial that has ended."""
        ...

    def wait(self, timeout: float | None) -> Sequence[Event]:
        """What happened; returns as soon as there is something, or with nothing after `timeout` seconds."""
        ...

    def close(self) -> None:
        """Let go of everything; trials that still run are left to themselves."""
        ...
