"""Metrics in the output of a trial elsewhere: what tuneport_trial prints, and what the patterns of its job find."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tuneport.engine.launch import Reported, measured, whole
from tuneport.engine.reports import Gather, read_number

LONGEST_LINE = 4 << 10
"""A longer line is cut for searching, since many patterns take the square of its length."""
_SAID = re.compile(r"\btuneport:((?: [^\s=]+=\S+)+)\s*$")
_STEP = "step"


class Printed:
    """Reads the reports in a trial's output, each once, in their order.

    Args:
        patterns: metric to the regular expression that finds it; tuneport_trial's lines say all other metrics.
        objectives: the metrics of the objectives, the primary one first.
    """

    def __init__(self, patterns: Mapping[str, str], objectives: Sequence[str]) -> None:
        self._patterns = {metric: re.compile(pattern) for metric, pattern in patterns.items()}
        self._gather = Gather(objectives[0], tuple(patterns))
        self._counted = 0

    @property
    def looked_for(self) -> str:
        """Where metrics were looked for, in one phrase."""
        places = [f"lines matching {one.pattern!r}" for one in self._patterns.values()]
        return " and ".join([*places, "lines as tuneport_trial.report prints them"])

    def read(self, lines: Iterable[str], now: float) -> list[Reported]:
        """The reports in some more lines, which came at a moment of POSIX time."""
        return [report for line in lines for report in self._of_line(line, now)]

    def finish(self) -> list[Reported]:
        """What still waits for company when the output has ended."""
        return self._gather.flush()

    def _of_line(self, line: str, now: float) -> list[Reported]:
        said = _SAID.search(line)
        reports = [self._of_words(said[1].split(), now)] if said else []
        for metric, pattern in self._patterns.items():
            found = pattern.search(line, 0, LONGEST_LINE)
            value = read_number(found[1] if pattern.groups else found[0]) if found else None
            if value is not None:
                reports += self._gather.add(metric, value, now)
        return [one for one in reports if one.metrics]

    def _of_words(self, words: Sequence[str], now: float) -> Reported:
        """One of tuneport_trial's lines; reports without a step are counted."""
        said = dict(word.split("=", 1) for word in words)
        text = said.pop(_STEP, "")
        step = whole(int(text) if text.isdecimal() else text)
        metrics = {name: value for name, value in measured(said).items() if name not in self._patterns}
        if metrics and step is None:
            self._counted += 1
            step = self._counted
        return Reported(metrics, step, now)
