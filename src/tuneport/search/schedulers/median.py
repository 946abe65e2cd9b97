"""The median stopping rule (Golovin et al. 2017, section 3.2.2), as Vizier and as SageMaker describe it."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from typing import Literal

from tuneport.model.results import TrialState
from tuneport.search.protocols import Decision, Scheduler

_MOST_COLUMNS = 1000
"""Steps at which averages are kept sorted; of others, the curves are looked through."""


class _Curve:
    """The reports of one trial, as running averages over its steps.

    Attributes:
        steps: the steps that it reported, ascending.
        bests: the smallest loss up to each of them.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.bests: list[float] = []
        self._sums: list[float] = []

    def add(self, step: int, loss: float) -> None:
        """Take a report. One of an earlier step, such as a second attempt makes, replaces what came from there on."""
        at = bisect_left(self.steps, step)
        del self.steps[at:], self.bests[at:], self._sums[at:]
        self._sums.append(loss + (self._sums[-1] if at else 0.0))
        self.bests.append(min(loss, self.bests[-1]) if at else loss)
        self.steps.append(step)

    def average(self, step: int) -> float | None:
        """The mean of the losses up to `step`; None before the first report and after the last one."""
        count = bisect_right(self.steps, step)
        if count == 0 or step > self.steps[-1]:
            return None
        return self._sums[count - 1] / count


class _Column:
    """Running averages of many trials at one step, kept sorted."""

    def __init__(self) -> None:
        self._sorted: list[float] = []
        self._trials: list[int] = []
        self._averages: list[float] = []  # of the trials in their order

    def put(self, trial: int, average: float | None) -> None:
        """Let `average` be the one of a trial; None: it has none here."""
        at = bisect_left(self._trials, trial)
        if at < len(self._trials) and self._trials[at] == trial:
            del self._sorted[bisect_left(self._sorted, self._averages[at])]
            del self._trials[at], self._averages[at]
        if average is not None:
            insort(self._sorted, average)
            self._trials.insert(at, trial)
            self._averages.insert(at, average)

    def median(self, before: float, at_least: int) -> float | None:
        """The median over trials with an id below `before`; None if they are fewer than `at_least`."""
        count = bisect_left(self._trials, before)
        if count < at_least:
            return None
        skipped = self._places(self._averages[count:])
        middle = [self._sorted[_shifted(rank, skipped)] for rank in ((count - 1) // 2, count // 2)]
        return sum(middle) / 2

    def _places(self, averages: Iterable[float]) -> list[int]:
        """Where these averages stand in the sorted list, ascending, equal ones side by side."""
        places: list[int] = []
        for average in sorted(averages):
            first = bisect_left(self._sorted, average)
            places.append(max(first, places[-1] + 1) if places else first)
        return places


def _shifted(rank: int, skipped: Iterable[int]) -> int:
    """The place of the `rank`-th entry of a list when the `skipped` places, ascending, do not count."""
    for place in skipped:
        if place > rank:
            break
        rank += 1
    return rank


class MedianScheduler(Scheduler):
    """Stops a trial that is worse than the median of the others at the same step.

    Losses that are not finite count as the worst possible. A trial counts for the others at a step if its own reports
    reach from there or earlier to there or later.

    The curves alone decide. Steps that come more than once, as epochs do, have their averages kept sorted, up to a
    bound; at a step of its own, a report looks at each curve.

    Args:
        rule: "vizier" compares a trial's best loss so far with the running averages of trials that have succeeded or
            were stopped; "sagemaker" compares its newest loss with the running averages of all trials with a lower id.
        min_trials: others needed at a step before anything is stopped there.
        min_steps: steps that every trial gets.
    """

    def __init__(self, rule: Literal["vizier", "sagemaker"], min_trials: int, min_steps: int) -> None:
        self._earlier_only = rule == "sagemaker"
        self._min_trials = min_trials
        self._min_steps = min_steps
        self._curves: dict[int, _Curve] = {}
        self._counting: dict[int, _Curve] = {}  # curves that others are measured by
        self._seen: set[int] = set()
        self._columns: dict[int, _Column] = {}  # of steps seen more than once
        self._steps: list[int] = []  # the steps that have a column, ascending

    def report(self, trial: int, step: int, loss: float) -> Decision:
        """Whether the trial keeps up with the median; see `Scheduler.report`."""
        loss = loss if math.isfinite(loss) else math.inf
        curve = self._curves.setdefault(trial, _Curve())
        reached = curve.steps[-1] if curve.steps else step
        curve.add(step, loss)
        if self._earlier_only:
            self._counting[trial] = curve
            self._enter(trial, curve, min(step, reached + 1), max(step, reached))
        if step < self._min_steps:
            return Decision.CONTINUE
        before, own = (trial, loss) if self._earlier_only else (math.inf, curve.bests[-1])
        median = self._median(step, before)
        return Decision.STOP if median is not None and own > median else Decision.CONTINUE

    def restarted(self, trial: int) -> None:
        """Forget all that the trial reported; see `Scheduler.restarted`."""
        self._curves.pop(trial, None)
        curve = self._counting.pop(trial, None)
        if curve is not None:
            self._enter(trial, _Curve(), curve.steps[0], curve.steps[-1])

    def ended(self, trial: int, state: TrialState) -> None:
        """Trials that ended well, or were stopped, become a measure for others; see `Scheduler.ended`."""
        curve = self._curves.pop(trial, None)
        if curve is not None and not self._earlier_only and state in {TrialState.SUCCEEDED, TrialState.STOPPED}:
            self._counting[trial] = curve
            self._enter(trial, curve, curve.steps[0], curve.steps[-1])

    def _enter(self, trial: int, curve: _Curve, first: int, last: int) -> None:
        """Bring the columns from step `first` to `last` up to what a curve is now."""
        for step in self._steps[bisect_left(self._steps, first) : bisect_right(self._steps, last)]:
            self._columns[step].put(trial, curve.average(step))

    def _median(self, step: int, before: float) -> float | None:
        """The median at a step over trials with an id below `before`; None if they are too few."""
        column = self._column(step)
        if column is not None:
            return column.median(before, self._min_trials)
        curves = [curve for trial, curve in self._counting.items() if trial < before]
        averages = sorted(average for curve in curves if (average := curve.average(step)) is not None)
        count = len(averages)
        return (averages[(count - 1) // 2] + averages[count // 2]) / 2 if count >= self._min_trials else None

    def _column(self, step: int) -> _Column | None:
        """The column of a step; None if this is the first time that it is asked for, or if there are too many."""
        if step not in self._columns and step in self._seen and len(self._columns) < _MOST_COLUMNS:
            column = self._columns[step] = _Column()
            insort(self._steps, step)
            for trial, curve in self._counting.items():
                column.put(trial, curve.average(step))
        if len(self._columns) < _MOST_COLUMNS:
            self._seen.add(step)
        return self._columns.get(step)
