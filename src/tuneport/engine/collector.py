"""Gathers a process trial's metrics: from the report file that it writes, and from what the patterns matched."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneport.engine.launch import Launch, Reported
from tuneport.engine.reports import Gather, read_number

KEPT = 1000
"""Lines of a rewritten report file that are remembered, to know new ones from old; hypertune keeps 100."""


READ_BYTES = 8 << 20
"""Most that is read of a report file in one go."""


class Collector:
    """Everything that one trial reports, each report once, in the order of each source.

    Args:
        launch: says where metrics arrive.
        folder: the trial's folder.
        metrics: all that it is to report, the primary objective's first.
    """

    def __init__(self, launch: Launch, folder: Path, metrics: Sequence[str]) -> None:
        self._launch = launch
        self._reports = folder / launch.reports.path if launch.reports else None
        self._tail = Tail(self._reports) if self._reports and launch.reports and not launch.reports.rewritten else None
        self._seen: deque[str] = deque(maxlen=KEPT)
        self._stamp: tuple[int, int, int] | None = None
        self._from_output = Gather(metrics[0], tuple(launch.patterns))
        self._from_lines = Gather(metrics[0], metrics)
        self.unread: list[str] = []
        """Texts that a pattern caught but that are no numbers, a few of them."""

    @property
    def looked_for(self) -> str:
        """Where metrics were looked for, in one phrase."""
        places = [f"lines matching {pattern!r}" for pattern in self._launch.patterns.values()]
        if self._launch.reports:
            places.append(f"reports in {self._launch.reports.path} (as tuneport_trial.report writes them)")
        found = f"; matched but not a number: {', '.join(map(repr, self.unread[:3]))}" if self.unread else ""
        return " and ".join(places) + found

    def collect(self) -> list[Reported]:
        """What the report file has gained since the last call."""
        launch = self._launch.reports
        if launch is None or self._reports is None:
            return []
        lines = self._tail.lines() if self._tail else self._rewritten_lines(self._reports)
        reports = [report for line in lines if (report := launch.parse(line)) is not None]
        return reports if self._tail else self._put_together(reports)

    def _put_together(self, singles: Sequence[Reported]) -> list[Reported]:
        """A rewritten file holds one metric per line; those of one step belong together."""
        return [
            report
            for single in singles
            for metric, value in single.metrics.items()
            for report in self._from_lines.add(metric, value, single.time, single.step)
        ]

    def match(self, match: Mapping[str, Any]) -> list[Reported]:
        """Take one match of a pattern; the report that it completes, if it does."""
        value = read_number(match["text"])
        if value is None:
            self.unread = [*self.unread[:9], match["text"]]
            return []
        return self._from_output.add(match["metric"], value, match["time"])

    def finish(self) -> list[Reported]:
        """What is left when the trial has ended."""
        reports = self.collect()
        while self._tail and self._tail.behind():
            reports += self.collect()
        return [*reports, *self._from_lines.flush(), *self._from_output.flush()]

    def _rewritten_lines(self, path: Path) -> list[str]:
        """New lines of a file that is replaced as a whole; a half-written last line waits for the next look."""
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return []
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        self._stamp = stamp
        lines = [line for line in text.split("\n")[:-1] if line not in self._seen]
        self._seen.extend(lines)
        return lines


class Tail:
    """The lines that a growing file has gained since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._full = False

    def behind(self) -> bool:
        """Whether the last look ended for its size, not for the end of the file."""
        return self._full

    def lines(self) -> list[str]:
        """New complete lines, without their ends."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(READ_BYTES)
        except OSError:
            return []
        self._full = len(data) == READ_BYTES
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and self._full:
            whole = data  # no report is that long
        self._offset += len(whole)
        return whole.decode("utf-8", "replace").split("\n")[:-1]
