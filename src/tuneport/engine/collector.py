"""Reads a process trial's metrics from its folder: the report file that it writes, and what the patterns matched."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

from tuneport.engine.launch import Launch, Reported
from tuneport.engine.reports import Gather, read_number

MATCHES = "matches.jsonl"
KEPT = 1000
"""Lines of a rewritten report file that are remembered, to know new ones from old; hypertune keeps 100."""


class Collector:
    """Everything that one trial reports, each report once, in the order of each source.

    Args:
        launch: says where metrics arrive.
        folder: the trial's folder.
        objective: the primary metric.
        metrics: all metrics that make up a full report when they come from output.
    """

    def __init__(self, launch: Launch, folder: Path, objective: str) -> None:
        self._launch = launch
        self._reports = folder / launch.reports.path if launch.reports else None
        self._matches = Tail(folder / MATCHES) if launch.patterns else None
        self._tail = Tail(self._reports) if self._reports and launch.reports and not launch.reports.rewritten else None
        self._seen: deque[str] = deque(maxlen=KEPT)
        self._stamp: tuple[int, int, int] | None = None
        self._gather = Gather(objective, tuple(launch.patterns))
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

    def collect(self, *, final: bool = False) -> list[Reported]:
        """The reports since the last call; with `final`, also what was waiting for company."""
        reported = [*self._from_file(), *self._from_output()]
        if final:
            reported += self._gather.flush()
        return reported

    def _from_file(self) -> list[Reported]:
        launch = self._launch.reports
        if launch is None or self._reports is None:
            return []
        lines = self._tail.lines() if self._tail else self._rewritten_lines(self._reports)
        return [report for line in lines if (report := launch.parse(line)) is not None]

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

    def _from_output(self) -> list[Reported]:
        if self._matches is None:
            return []
        reported: list[Reported] = []
        for line in self._matches.lines():
            match = json.loads(line)
            value = read_number(match["text"])
            if value is None:
                self.unread = [*self.unread[:9], match["text"]]
            else:
                reported += self._gather.add(match["metric"], value, match["time"])
        return reported


class Tail:
    """The lines that a growing file has gained since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> list[str]:
        """New complete lines, without their ends."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode("utf-8", "replace").split("\n")[:-1]
