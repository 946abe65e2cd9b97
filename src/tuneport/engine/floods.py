"""What is kept of a flood of reports."""

from __future__ import annotations

from tuneport.engine.launch import Reported
from tuneport.model.study import Objective


class Flood:
    """What is kept of reports beyond counting: the best, and the latest value of each metric."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._best: Reported | None = None
        self._latest: dict[str, float] = {}
        self._last: Reported | None = None

    def add(self, report: Reported) -> None:
        """Take one more."""
        self._latest.update(report.metrics)
        value = report.metrics.get(self._objective.metric)
        if value is None:
            return
        self._last = report
        if self._best is None or self._objective.better(value, self._best.metrics[self._objective.metric]):
            self._best = report

    def reports(self) -> list[Reported]:
        """The best, then the last with all that was said lately."""
        best = [self._best] if self._best is not None and self._best is not self._last else []
        step, when = (self._last.step, self._last.time) if self._last else (None, None)
        return [*best, Reported(self._latest, step, when)]
