"""Reads the bounded log of a process trial, whole or as it grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tuneport.engine.executors.keeper import HEAD_BYTES

POLL = 0.2
"""Seconds between looks at a log that is being followed."""


def read_log(folder: Path) -> Iterator[str]:
    """The lines of a trial's output, in order; one line says so where the middle was dropped."""
    head = folder / "output.log"
    if not head.exists():
        return
    yield from _lines(head)
    tails = [folder / "output.tail.0", folder / "output.tail.1"]
    tails = sorted((tail for tail in tails if tail.exists()), key=lambda tail: tail.stat().st_mtime_ns)
    if tails:
        yield f"[... output beyond the first {HEAD_BYTES >> 20} MiB: only its end is kept ...]"
    for tail in tails:
        yield from _lines(tail)


def follow_log(folder: Path, ended: Callable[[], bool]) -> Iterator[str]:
    """The lines of a trial's output as they come, until `ended` says that no more will; beyond the head, as kept."""
    path, offset, rest = folder / "output.log", 0, ""
    while True:
        last = ended()  # asked before reading, so that nothing written before the end is missed
        if path.exists():
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read()
            offset += len(data)
            *lines, rest = (rest + data.decode("utf-8", "replace")).split("\n")
            yield from lines
        if last or offset >= HEAD_BYTES:
            break
        time.sleep(POLL)
    if rest:
        yield rest
    for tail in ("output.tail.0", "output.tail.1"):
        if (folder / tail).exists():
            yield from _lines(folder / tail)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")
