"""How fast things happen: a clock that is real, accelerated or simulated, and how long jobs wait before they run."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

Point: TypeAlias = tuple[float, float, float]
"""A moment from which on the clock ran evenly: POSIX seconds, what it showed then, and its speed."""

_LOOK = 0.05
"""Seconds between looks at what else may end a sleep."""


class Clock:
    """The time in which services live, in POSIX seconds; it never goes back.

    Runs are recorded in it, jobs wait, steps of the synthetic trainer last and time-outs pass by it. Processes know
    nothing of it: they take the real time that they take, and are shown with what that comes to here.

    A simulated clock stands still while anything is done. When all *actors*, which are jobs and their trials, sleep or
    have nothing to do, it jumps to the next moment for which one of them waits.

    Args:
        speed: seconds of the clock per second; 0: it stands still, and moves by `advance` and by jumps alone.
        points: of an earlier clock that this one goes on from.
        simulated: it jumps; its speed is 0.
        keep: told the points whenever they have changed.
    """

    def __init__(
        self,
        speed: float = 1.0,
        points: Sequence[Point] = (),
        *,
        simulated: bool = False,
        keep: Callable[[Sequence[Point]], None] | None = None,
    ) -> None:
        speed = 0.0 if simulated else speed
        self.simulated = simulated
        self._keep = keep
        self._changed = threading.Condition()
        self._mine = threading.local()
        self._actors: dict[Hashable, _Doing] = {}
        self._news = 0
        self._points = list(points)
        real = time.time()
        if not self._points or self._points[-1][2] != speed:
            self._points.append((real, self.shown(real), speed))
        self._tell()

    @property
    def speed(self) -> float:
        """Seconds of the clock per second."""
        return self._points[-1][2]

    def now(self) -> float:
        """What it shows."""
        return self.shown(time.time())

    def shown(self, real: float) -> float:
        """What it showed at a moment of real time."""
        with self._changed:
            for since, showed, speed in reversed(self._points):
                if since <= real:
                    return showed + (real - since) * speed
            return self._points[0][1] if self._points else real

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once."""
        with self._changed:
            real = time.time()
            self._points.append((real, self.shown(real) + seconds, self.speed))
            self._tell()
            self._changed.notify_all()

    def sleep(self, seconds: float, unless: threading.Event | None = None) -> None:
        """Wait until it shows so many seconds more, or until somebody sets `unless`, or the actor's part is over."""
        known = getattr(self._mine, "actor", None)
        actor = object() if known is None else known
        with self._changed:
            if known is not None and known not in self._actors:
                return
            end = self.now() + seconds
            self._set(actor, _Doing(end))
            while (left := end - self.now()) > 0 and actor in self._actors and not (unless and unless.is_set()):
                if not self._jumped():
                    self._changed.wait(min(left / self.speed, _LOOK) if self.speed else _LOOK)
            if known is None:
                self.leave(actor)
            else:
                self.busy(actor)

    # Who acts -------------------------------------------------------------------------------------------------------

    @property
    def news(self) -> int:
        """Grows with everything that actors do; tells whether a look at what there is to do was recent enough."""
        return self._news

    def enter(self, actor: Hashable) -> None:
        """From now on somebody may do something at any moment, until it sleeps, idles or leaves."""
        with self._changed:
            self._set(actor, _Doing())

    def act_as(self, actor: Hashable) -> None:
        """Let what sleeps on this thread be an actor that has entered."""
        self._mine.actor = actor

    def leave(self, actor: Hashable) -> None:
        """An actor's part is over; if it sleeps, it wakes up."""
        with self._changed:
            self._actors.pop(actor, None)
            self._news += 1
            self._changed.notify_all()

    def idle(self, actor: Hashable, news: int, until: float = math.inf) -> None:
        """An actor looked for something to do when `news` were known, and there was nothing.

        Args:
            actor: who, if it is still one.
            news: as they were before its look.
            until: the moment for which it waits, if nothing happens before.
        """
        with self._changed:
            if actor in self._actors:
                self._actors[actor] = _Doing(until, news)
                self._jumped()

    def busy(self, actor: Hashable) -> None:
        """An idle actor has something to do."""
        with self._changed:
            if actor in self._actors:
                self._set(actor, _Doing())

    def _set(self, actor: Hashable, doing: _Doing) -> None:
        self._actors[actor] = doing
        self._news += 1

    def _jumped(self) -> bool:
        """Go to the next moment for which anybody waits, if nobody can do anything before."""
        if not self.simulated or not all(one.waits(self._news) for one in self._actors.values()):
            return False
        now = self.now()
        until = min((one.until for one in self._actors.values() if one.until is not None), default=math.inf)
        if not now < until < math.inf:  # at the moment itself, somebody is about to wake up
            return False
        self._points = [(time.time(), until, 0.0)]  # nothing waits to be dated by what it showed before
        self._news += 1
        self._tell()
        self._changed.notify_all()
        return True

    def _tell(self) -> None:
        if self._keep is not None:
            self._keep(self._points)


@dataclass(frozen=True, slots=True)
class _Doing:
    """What an actor does: it works, or waits until a moment; if idle, as of what was new when it last looked."""

    until: float | None = None
    news: int | None = None

    def waits(self, news: int) -> bool:
        """Whether it does nothing before its moment comes, all news considered."""
        return self.until is not None and self.news in {None, news}


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
