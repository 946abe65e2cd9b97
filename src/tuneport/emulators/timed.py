"""An executor in the time of a clock: what runs inside of it takes real time, what the engine hears of it does not."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tuneport.emulators.faults import Fault, Kind
from tuneport.emulators.pace import Clock
from tuneport.engine.executors.protocols import Emitted, Event, Executor, Exited, Measured
from tuneport.engine.launch import TrialContext
from tuneport.model.results import Failure, FailureKind

_LOOK = 0.02
"""Seconds between looks at whether a simulated clock may jump."""
_SURELY = 0.001
"""Seconds by which a limit is over for everybody, however they round."""


def actor(context: TrialContext) -> Hashable:
    """A trial, as the clock knows it."""
    return context.run, context.trial, context.attempt


@dataclass(slots=True)
class _Watched:
    """A trial that runs: its time-out and when that is over, what strikes it, and what is not told of it yet."""

    actor: Hashable
    timeout: float | None
    deadline: float
    fault: Fault | None
    strikes: float = math.inf
    overdue: bool = False
    late: deque[tuple[float, Event]] = field(default_factory=deque)

    @property
    def until(self) -> float:
        """The next moment that changes anything."""
        return min(self.deadline, self.strikes, self.late[0][0] if self.late else math.inf)


class TimedExecutor:
    """Passes on what another executor does, dated by a clock; time-outs and delays are those of the clock.

    Args:
        inside: what really runs trials.
        clock: the time.
        run: whose trials they are; an actor of the clock.
        limit: seconds after which the run's time is up, which the engine is to notice.
        draw: what strikes a trial: its context to a fault.
        stop: asks for the end of a trial, or, with None, of the run.
    """

    def __init__(
        self,
        inside: Executor,
        clock: Clock,
        run: str,
        *,
        limit: float | None,
        draw: Callable[[TrialContext], Fault | None],
        stop: Callable[[int | None], None],
    ) -> None:
        self.name = inside.name
        self._inside = inside
        self._clock = clock
        self._run = run
        self._limit = limit
        self._end: float | None = None
        """When the time of the run is up: once it has begun, and until the engine has been told."""
        self._draw = draw
        self._stop = stop
        self._trials: dict[int, _Watched] = {}

    def handle(self) -> dict[str, Any]:
        """See Executor."""
        return self._inside.handle()

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        """Start a trial; see Executor."""
        self._watch(context, timeout)
        self._inside.start(context, timeout=self._real(timeout))

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        """Take over a trial; its time-out begins anew. See Executor."""
        adopted = self._inside.adopt(context, handle, timeout=self._real(timeout))
        if adopted:
            self._watch(context, timeout)
        return adopted

    def stop(self, trial: int) -> None:
        """Ask a trial to end; see Executor."""
        self._inside.stop(trial)

    def close(self) -> None:
        """Let go of everything; see Executor."""
        for watched in self._trials.values():
            self._clock.leave(watched.actor)
        self._inside.close()

    def wait(self, timeout: float | None) -> Sequence[Event]:
        """What happened; see Executor."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        if self._end is None:
            self._end = math.inf if self._limit is None else self._clock.now() + self._limit + _SURELY
        patience = 0.0 if self._clock.simulated else self._patience(end)
        while True:
            news = self._clock.news
            self._take(self._inside.wait(patience))
            acted = self._act()
            events = list(self._due())
            if events or acted or time.monotonic() >= end:
                self._clock.busy(self._run)
                return events
            self._clock.idle(self._run, news, self._next())
            patience = self._patience(end)

    def _watch(self, context: TrialContext, timeout: float | None) -> None:
        now, fault = self._clock.now(), self._draw(context)
        deadline = math.inf if timeout is None else now + timeout
        watched = _Watched(actor(context), timeout, deadline, fault)
        if fault is not None and fault.kind in {Kind.STOP, Kind.STOP_JOB}:
            watched.strikes = now + fault.seconds
        self._trials[context.trial] = watched
        self._clock.enter(watched.actor)

    def _real(self, seconds: float | None) -> float | None:
        """What a time-out of the clock is as long as time passes evenly; without that, only we can tell."""
        return seconds / self._clock.speed if seconds is not None and self._clock.speed else None

    def _next(self) -> float:
        """The next moment at which there is something to do."""
        run = math.inf if self._end is None else self._end
        return min([run, *(one.until for one in self._trials.values())])

    def _patience(self, end: float) -> float:
        """Seconds for which there is nothing to look at but what happens inside."""
        left = max(0.0, end - time.monotonic())
        if self._clock.simulated:
            return min(left, _LOOK)
        due = self._next() - self._clock.now()
        if self._clock.speed and due < math.inf:
            left = min(left, max(0.0, due / self._clock.speed))
        return left

    # What happened --------------------------------------------------------------------------------------------------

    def _take(self, events: Sequence[Event]) -> None:
        """Date events, and put them where they wait until they are told."""
        for event in events:
            watched = self._trials[event.trial]
            delay = watched.fault.seconds if watched.fault and watched.fault.kind is Kind.METRIC_LATE else 0.0
            if isinstance(event, Emitted):
                when = event.report.time
                at = None if when is None else self._clock.shown(when)
                watched.late.append((self._clock.now() + delay, replace(event, report=replace(event.report, time=at))))
            elif isinstance(event, Measured):
                watched.late.append((self._clock.now(), event))
            else:
                last = watched.late[-1][0] if watched.late else 0.0
                ended = max(self._clock.shown(event.time), last)
                watched.late.append((ended, self._dated(watched, event, ended)))

    def _dated(self, watched: _Watched, event: Exited, at: float) -> Exited:
        if watched.overdue or (event.failure is not None and event.failure.kind is FailureKind.TIMED_OUT):
            known = event.failure or Failure(kind=FailureKind.TIMED_OUT, message="", last_lines=event.last_lines)
            message = f"ran longer than its time-out of {watched.timeout or 0:g} s"
            failure = known.changed(kind=FailureKind.TIMED_OUT, message=message)
            return replace(event, failure=failure, stopped=False, time=at)
        return replace(event, time=at)

    def _act(self) -> bool:
        """End what is overdue, have stopped what is to be stopped; whether there is news of that, or the time is up."""
        now = self._clock.now()
        acted = self._end is not None and now >= self._end
        if acted:
            self._end = math.inf
        for trial, watched in self._trials.items():
            if now >= watched.deadline:
                watched.deadline, watched.overdue, acted = math.inf, True, True
                self._inside.stop(trial)
            if watched.fault is not None and now >= watched.strikes:
                watched.strikes, acted = math.inf, True
                self._stop(trial if watched.fault.kind is Kind.STOP else None)
        return acted

    def _due(self) -> Iterator[Event]:
        now = self._clock.now()
        for trial, watched in list(self._trials.items()):
            while watched.late and watched.late[0][0] <= now:
                event = watched.late.popleft()[1]
                if isinstance(event, Exited):
                    del self._trials[trial]
                    self._clock.leave(watched.actor)
                yield event
