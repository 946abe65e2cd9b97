"""How fast things happen: a clock that can run faster or only when told, and how long jobs wait before they run."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

Point: TypeAlias = tuple[float, float, float]
"""A moment from which on the clock ran evenly: POSIX seconds, what it showed then, and its speed."""


class Clock:
    """The time that a service shows to its clients, in POSIX seconds; it never goes back.

    It decides what is shown and how long the waits of a `Pace` and the steps of the synthetic trainer take. Processes
    run in real time whatever it says, and so do the time-outs of clients.

    Args:
        speed: shown seconds per second; 0: it stands still and moves by `advance` alone.
        points: of an earlier clock that this one goes on from.
    """

    def __init__(self, speed: float = 1.0, points: Sequence[Point] = ()) -> None:
        self._changed = threading.Condition()
        self._points = list(points)
        real = time.time()
        if not self._points or self._points[-1][2] != speed:
            self._points.append((real, self.shown(real), speed))

    @property
    def speed(self) -> float:
        """Shown seconds per second."""
        return self._points[-1][2]

    @property
    def plain(self) -> bool:
        """Whether it has always shown real time."""
        return all(since == showed and speed == 1.0 for since, showed, speed in self._points)

    @property
    def points(self) -> tuple[Point, ...]:
        """All by which a later clock can go on from this one."""
        with self._changed:
            return tuple(self._points)

    def now(self) -> float:
        """What it shows."""
        return self.shown(time.time())

    def shown(self, real: float) -> float:
        """What it showed at a moment of real time."""
        with self._changed:
            for since, showed, speed in reversed(self._points):
                if since <= real:
                    return showed + (real - since) * speed
        return real  # before it was made

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once."""
        with self._changed:
            real = time.time()
            self._points.append((real, self.shown(real) + seconds, self.speed))
            self._changed.notify_all()

    def sleep(self, seconds: float, unless: threading.Event | None = None) -> None:
        """Wait until it shows so many seconds more, or until somebody sets `unless`."""
        end = self.now() + seconds
        with self._changed:
            while (left := end - self.now()) > 0 and not (unless is not None and unless.is_set()):
                self._changed.wait(min(left / self.speed, _LOOK) if self.speed else _LOOK)


_LOOK = 0.05
"""Seconds between looks at what else may end a sleep."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a job is in each state before its first trial starts, in seconds of the clock.

    Attributes:
        creating: while the service makes it.
        queued: while it waits for its turn.
        pending: while machines are found for it.
        step: how long one step of the synthetic trainer takes.
        quick: the synthetic trainer runs within the emulator's own process, not as processes.
    """

    creating: float = 0.0
    queued: float = 0.0
    pending: float = 0.0
    step: float = 0.0
    quick: bool = False

    @property
    def wait(self) -> float:
        """Seconds from a job's submission to its start."""
        return self.creating + self.queued + self.pending

    def phase(self, age: float) -> str | None:
        """The state of a job of this age, by the name of its attribute; None once it may run."""
        for name in PHASES:
            age -= getattr(self, name)
            if age < 0:
                return name
        return None


PHASES = tuple(one.name for one in fields(Pace) if one.name in {"creating", "queued", "pending"})
"""The states before a job runs, in their order."""
