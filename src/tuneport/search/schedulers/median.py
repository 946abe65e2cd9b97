"""The median stopping rule (Golovin et al. 2017, section 3.2.2), as Vizier and as SageMaker describe it."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from typing import Literal

from tuneport.model.results import TrialState
from tuneport.search.protocols import Decision


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
        reaches = count > 0 and step <= self.steps[-1]
        return self._sums[count - 1] / count if reaches else None


class _Column:
    """Running averages of many trials at one step, kept sorted."""

    def __init__(self) -> None:
        self._averages: list[float] = []
        self._by_trial: list[tuple[int, float]] = []

    def add(self, trial: int, average: float) -> None:
        """Take the average of a trial; if a first attempt left one here, that stays."""
        at = bisect_left(self._by_trial, (trial, -math.inf))
        if at < len(self._by_trial) and self._by_trial[at][0] == trial:
            return
        insort(self._averages, average)
        insort(self._by_trial, (trial, average))

    def median(self, before: float, at_least: int) -> float | None:
        """The median over trials with an id below `before`; None if they are fewer than `at_least`."""
        count = bisect_left(self._by_trial, (before, -math.inf))
        if count < at_least:
            return None
        skipped = self._places(average for _, average in self._by_trial[count:])
        middle = [self._averages[_shifted(rank, skipped)] for rank in ((count - 1) // 2, count // 2)]
        return sum(middle) / 2

    def _places(self, averages: Iterable[float]) -> list[int]:
        """Where these averages stand in the sorted list, ascending, equal ones side by side."""
        places: list[int] = []
        for average in sorted(averages):
            first = bisect_left(self._averages, average)
            places.append(max(first, places[-1] + 1) if places else first)
        return places


def _shifted(rank: int, skipped: Iterable[int]) -> int:
    """The place of the `rank`-th entry of a list when the `skipped` places, ascending, do not count."""
    for place in skipped:
        if place > rank:
            break
        rank += 1
    return rank


class MedianScheduler:
    """Stops a trial that is worse than the median of the others at the same step.

    Losses that are not finite count as the worst possible. A trial counts for the others at a step if its own reports
    reach from there or earlier to there or later.

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
        self._columns: dict[int, _Column] = {}
        self._steps: list[int] = []  # the steps that have a column, ascending

    def report(self, trial: int, step: int, loss: float) -> Decision:
        """Whether the trial keeps up with the median; see `Scheduler.report`."""
        loss = loss if math.isfinite(loss) else math.inf
        curve = self._curves.setdefault(trial, _Curve())
        curve.add(step, loss)
        column = self._column(step)
        if self._earlier_only:
            self._count(trial, curve, since=curve.steps[-2] + 1 if len(curve.steps) > 1 else step)
        if step < self._min_steps:
            return Decision.CONTINUE
        before, own = (trial, loss) if self._earlier_only else (math.inf, curve.bests[-1])
        median = column.median(before, self._min_trials)
        return Decision.STOP if median is not None and own > median else Decision.CONTINUE

    def ended(self, trial: int, state: TrialState) -> None:
        """Trials that ended well, or were stopped, become a measure for others; see `Scheduler.ended`."""
        curve = self._curves.pop(trial, None)
        if curve is not None and not self._earlier_only and state in {TrialState.SUCCEEDED, TrialState.STOPPED}:
            self._count(trial, curve, since=curve.steps[0])

    def _count(self, trial: int, curve: _Curve, since: int) -> None:
        """Enter a curve into the columns from step `since` to its last."""
        self._counting[trial] = curve
        within = slice(bisect_left(self._steps, since), bisect_right(self._steps, curve.steps[-1]))
        for step in self._steps[within]:
            average = curve.average(step)
            if average is not None:
                self._columns[step].add(trial, average)

    def _column(self, step: int) -> _Column:
        if step not in self._columns:
            column = self._columns[step] = _Column()
            insort(self._steps, step)
            for trial, curve in self._counting.items():
                average = curve.average(step)
                if average is not None:
                    column.add(trial, average)
        return self._columns[step]
