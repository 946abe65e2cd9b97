"""Hyperband without waiting (Li et al. 2018; asynchronous brackets as in Li et al. 2020, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import TypeAlias

from tuneport.model.results import TrialState
from tuneport.search.protocols import Decision, Due, Scheduler

_GOLDEN = (math.sqrt(5) - 1) / 2


Halving: TypeAlias = Callable[[int, int | None, int], Scheduler]
"""Makes a successive halving of its first rung, the steps of a full trial, and its reduction factor."""


class HyperbandScheduler(Scheduler):
    """Several successive halvings side by side that differ in how early they begin to judge.

    Bracket b has its first rung at `min_resource * reduction_factor ** b`; the last bracket that fits below the maximum
    judges least. A trial's number says its bracket: brackets get trials in Hyperband's proportions, well mixed.

    While the maximum is not known, all trials belong to bracket 0. It is learned as the most steps that a trial
    reported which succeeded, and from then on new trials are spread over the brackets that it allows.

    Args:
        min_resource: steps of the first rung of bracket 0.
        max_resource: steps after which a trial is complete; None: learned, and trials end by themselves.
        reduction_factor: one in this many goes on from each rung to the next.
        halving: makes what judges the trials of a bracket.
    """

    def __init__(self, min_resource: int, max_resource: int | None, reduction_factor: int, halving: Halving) -> None:
        self._make = halving
        self._min = min_resource
        self._max = max_resource
        self._factor = reduction_factor
        self._learned = max_resource or min_resource
        self._brackets: dict[int, Scheduler] = {}
        self._bracket_of: dict[int, int] = {}
        self._steps: dict[int, int] = {}

    def report(self, trial: int, step: int, loss: float) -> Decision:
        """What the trial's bracket says; see `Scheduler.report`."""
        self._steps[trial] = max(step, self._steps.get(trial, 0))
        if trial not in self._bracket_of:
            self._bracket_of[trial] = bracket(trial, self._min, self._learned, self._factor)
        return self._halving(self._bracket_of[trial]).report(trial, step, loss)

    def restarted(self, trial: int) -> None:
        """The trial keeps its bracket, which judges it anew; see `Scheduler.restarted`."""
        self._steps.pop(trial, None)
        if trial in self._bracket_of:
            self._halving(self._bracket_of[trial]).restarted(trial)

    def paused(self, trial: int) -> None:
        """The trial waits for its promotion; see `Scheduler.paused`."""
        self._halving(self._bracket_of[trial]).paused(trial)

    def resumed(self, trial: int) -> None:
        """The trial has been promoted; see `Scheduler.resumed`."""
        self._halving(self._bracket_of[trial]).resumed(trial)

    def due(self) -> Due | None:
        """The next promotion of any bracket; see `Scheduler.due`."""
        return next((due for one in self._brackets.values() if (due := one.due()) is not None), None)

    def ended(self, trial: int, state: TrialState) -> None:
        """Learn from the length of trials that ran to their end; see `Scheduler.ended`."""
        if trial in self._bracket_of:
            self._halving(self._bracket_of.pop(trial)).ended(trial, state)
            steps = self._steps.pop(trial, 0)
            if self._max is None and state is TrialState.SUCCEEDED:
                self._learned = max(self._learned, steps)

    def _halving(self, number: int) -> Scheduler:
        if number not in self._brackets:
            first = self._min * self._factor**number
            self._brackets[number] = self._make(first, self._max, self._factor)
        return self._brackets[number]


def bracket(trial: int, low: int, high: int, factor: int) -> int:
    """The bracket of a trial, from 0 for the one that judges earliest.

    With s brackets, bracket b gets ceil(s / (s - b) * factor ** (s - 1 - b)) in every round of Hyperband. Multiples of
    the golden ratio meet these shares evenly at every number of trials, where whole rounds would need very many.

    Args:
        trial: its number, from 1.
        low: steps of the first rung of bracket 0.
        high: steps of a full trial, at least `low`.
        factor: how far rungs lie apart.
    """
    count = 1
    while low * factor**count <= high:
        count += 1
    sizes = [-(-count * factor ** (count - 1 - b) // (count - b)) for b in range(count)]
    edges = list(accumulate(sizes))
    place = (trial * _GOLDEN) % 1 * edges[-1]
    return next(b for b, edge in enumerate(edges) if place < edge)
