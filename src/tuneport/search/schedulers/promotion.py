"""Asynchronous successive halving in its promotion form (Li et al. 2020, algorithm 2)."""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict

from tuneport.model.results import TrialState
from tuneport.search.protocols import Decision, Due, Resume, Scheduler


class PromotionScheduler(Scheduler):
    """Pauses trials at rungs, and takes up again those that turn out to be among the best there.

    Rungs lie at `min_resource` times the powers of `reduction_factor`, below `max_resource`. Of n trials that have been
    at a rung, the best n // `reduction_factor` may go on, the highest rung and the best trial first. A trial that is
    among them as it arrives goes on without a pause. One that leaps over rungs counts at each of them with the loss
    that it lands with, and pauses at the highest. Losses that are not finite count as the worst possible.

    Args:
        min_resource: steps of the first rung.
        max_resource: steps after which a trial is complete; None: trials end by themselves.
        reduction_factor: one in this many goes on.
    """

    def __init__(self, min_resource: int, max_resource: int | None, reduction_factor: int) -> None:
        self._max = math.inf if max_resource is None else max_resource
        self._factor = reduction_factor
        self._first = min_resource
        self._rungs: dict[int, list[tuple[float, int]]] = defaultdict(list)
        self._reached: dict[int, int] = {}  # the highest rung that a trial has come to
        self._passed: dict[int, int] = {}  # the highest rung that it has been let past
        self._resting: set[int] = set()

    def report(self, trial: int, step: int, loss: float) -> Decision:
        """Whether the trial pauses at the rung that it has reached; see `Scheduler.report`."""
        loss = loss if math.isfinite(loss) else math.inf
        rung = self._reached[trial] * self._factor if trial in self._reached else self._first
        while rung <= step and rung < self._max:
            insort(self._rungs[rung], (loss, trial))
            self._reached[trial] = rung
            rung *= self._factor
        if step >= self._max:
            return Decision.COMPLETE
        reached = self._reached.get(trial, 0)
        if reached > self._passed.get(trial, 0):
            if trial not in self._best(reached):
                return Decision.PAUSE
            self._passed[trial] = reached
        return Decision.CONTINUE

    def paused(self, trial: int) -> None:
        """The trial waits for its promotion; see `Scheduler.paused`."""
        self._resting.add(trial)

    def resumed(self, trial: int) -> None:
        """The trial has been promoted; see `Scheduler.resumed`."""
        self._resting.discard(trial)
        self._passed[trial] = self._reached.get(trial, 0)

    def restarted(self, trial: int) -> None:
        """What the old attempt left at rungs that it was not let past is forgotten; see `Scheduler.restarted`."""
        passed = self._passed.get(trial, 0)
        for rung in [one for one in self._rungs if one > passed]:
            self._rungs[rung] = [one for one in self._rungs[rung] if one[1] != trial]
        if passed:
            self._reached[trial] = passed
        else:
            self._reached.pop(trial, None)

    def ended(self, trial: int, state: TrialState) -> None:
        """What the trial left at the rungs stays; see `Scheduler.ended`."""
        del state
        self._resting.discard(trial)

    def due(self) -> Due | None:
        """The next promotion; see `Scheduler.due`."""
        for rung in sorted(self._rungs, reverse=True) if self._resting else ():
            for trial in self._best(rung):
                if trial in self._resting and self._reached[trial] == rung:
                    return Resume(trial)
        return None

    def _best(self, rung: int) -> list[int]:
        """The trials that may go on from a rung, best first, of equals the earlier one."""
        there = self._rungs[rung]
        return [trial for _, trial in there[: len(there) // self._factor]]
