"""From what a trial's output says to its reports: read the numbers, and put together what belongs together."""

from __future__ import annotations

import re
from collections.abc import Collection

from tuneport.engine.launch import Reported

_NUMBER = r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|nan|inf(?:inity)?)"
_BARE = re.compile(rf"({_NUMBER})\s*[%,;.]?", re.IGNORECASE | re.ASCII)
# tensor(0.9132, device='cuda:0'), np.float64(0.9), Decimal('0.9'), array([0.9]); also cut off behind the number, as a
# pattern that ends at white space leaves it.
_CALL = re.compile(
    rf"[a-z_][\w.]*\(\s*(?:['\"]?({_NUMBER})['\"]?|\[\s*({_NUMBER})\s*\])\s*(?:,\s*(?:\w+\s*=.*)?)?\)?[,;]?",
    re.IGNORECASE | re.ASCII,
)


def read_number(text: str) -> float | None:
    """The number that a program meant by `text`; None if it is none, or several.

    Plain numbers, nan and inf; tensors, arrays and decimals as Python prints them; a comma, semicolon, full stop or
    percent sign behind the number is left away (93% is 93.0).
    """
    text = text.strip()
    match = _BARE.fullmatch(text) or _CALL.fullmatch(text)
    return float(next(group for group in match.groups() if group)) if match else None


class Gather:
    """Puts single metrics together into reports, as they come from output that says one thing at a time.

    A report is complete when all metrics are in it, or when a metric comes a second time or with another step. Unless
    the trial says steps, a report's step counts those that hold the objective, from 1; one without it has no step.

    Args:
        objective: the primary metric.
        metrics: all that a complete report holds.
    """

    def __init__(self, objective: str, metrics: Collection[str]) -> None:
        self._objective = objective
        self._all = frozenset(metrics)
        self._waiting: dict[str, float] = {}
        self._time: float | None = None
        self._said: int | None = None
        self._count = 0

    def add(self, metric: str, value: float, time: float | None = None, step: int | None = None) -> list[Reported]:
        """Take one value, when it came (POSIX seconds) and the step it was said with; returns what it completes."""
        complete = self.flush() if metric in self._waiting or step != self._said else []
        self._waiting[metric] = value
        self._time, self._said = time, step
        return complete + self.flush() if self._waiting.keys() >= self._all else complete

    def flush(self) -> list[Reported]:
        """What still waits for company, as a report of its own; for the end of a trial."""
        if not self._waiting:
            return []
        metrics, self._waiting = self._waiting, {}
        return [Reported(metrics, self._step(metrics), self._time)]

    def _step(self, metrics: Collection[str]) -> int | None:
        if self._objective not in metrics:
            return self._said
        self._count += 1
        if self._said == 0:  # the first step, or cloudml-hypertune's word for none: then they are counted from there
            return self._count - 1
        return self._count if self._said is None else self._said
