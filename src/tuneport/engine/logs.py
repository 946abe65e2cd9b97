"""Reads the bounded log of a process trial, whole or as it grows."""

from __future__ import annotations

import codecs
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tuneport.engine.executors.keeper import HEAD_BYTES, TAIL_BYTES

POLL = 0.2
"""Seconds between looks at a log that is being followed."""
GAP = f"[... output beyond the first {HEAD_BYTES >> 20} MiB: only its end is kept ...]"
"""Stands between the beginning of a long output and its end; what was between them may have been dropped."""
ANOTHER = "--- another attempt ---"
"""Stands before the output of a trial that was started again while it was followed."""


def read_log(folder: Path) -> Iterator[str]:
    """The lines of a trial's output, in order; one line says so where the middle was dropped."""
    return follow_log(folder, lambda: True)


def follow_log(folder: Path, ended: Callable[[], bool]) -> Iterator[str]:
    """The lines of a trial's output as they come, until `ended` says that no more will.

    A line says where another attempt begins. Beyond the head, lines are read from what is kept of the end; of output
    that is dropped faster than it can be read, some is missed.
    """
    follower = _Follower(folder)
    try:
        while True:
            last = ended()  # asked before reading, so that nothing written before the end is missed
            yield from follower.news()
            if last:
                break
            time.sleep(POLL)
        yield from follower.rest()
    finally:
        follower.forget()


class _Lines:
    """Puts lines together from bytes that come in pieces, cut anywhere."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        return lines

    def flush(self) -> list[str]:
        """What is left without an end of line, as the last line."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return [rest] if rest else []


class _Growing:
    """A file that grows, read on from where the last reading ended; it stays at hand when it is moved aside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)

    @property
    def offset(self) -> int:
        """Bytes read so far."""
        return self._file.tell()

    def begun_anew(self) -> bool:
        """Whether its name means another file by now, or it was emptied."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return there.st_ino != os.fstat(self._file.fileno()).st_ino or there.st_size < self.offset

    def read(self) -> bytes:
        """The bytes that came since the last reading."""
        return self._file.read()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class _Follower:
    """Follows the files of one trial: the head, then the tails that take turns, then another attempt's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._head = folder / "output.log"
        self._files: dict[Path, _Growing] = {}
        self._lines = _Lines()

    def news(self) -> Iterator[str]:
        """The lines that came since the last call."""
        known = self._files.get(self._head)
        if known is not None and known.begun_anew():
            yield from self._finish_attempt()
        if self._head in self._files or self._head.exists():
            yield from self._read(self._head)
            yield from self._tail_news()

    def rest(self) -> list[str]:
        """The last line, if nothing ended it."""
        return self._lines.flush()

    def forget(self) -> None:
        """Let go of all files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _finish_attempt(self) -> Iterator[str]:
        """What the last attempt still wrote, before its files were moved aside."""
        for file in self._files.values():
            yield from self._lines.feed(file.read())
        yield from self.rest()
        yield ANOTHER
        self.forget()

    def _read(self, path: Path) -> list[str]:
        if path not in self._files:
            try:
                self._files[path] = _Growing(path)
            except FileNotFoundError:  # moved aside this very moment
                return []
        return self._lines.feed(self._files[path].read())

    def _tail_news(self) -> Iterator[str]:
        tails = _tails(self._folder)
        gap = bool(tails) and len(self._files) == 1  # as far as we know: nobody read the tails from their beginning
        for path in [path for path in tails if path in self._files and self._files[path].begun_anew()]:
            file = self._files.pop(path)
            gap = gap or file.offset < TAIL_BYTES
            file.close()
        if gap:
            yield from self.rest()
            yield GAP
        for path in tails:
            yield from self._read(path)


def _tails(folder: Path) -> list[Path]:
    """The files that keep the end of the output, oldest first; of two as old, the one begun last is the smaller."""
    found = []
    for name in ("output.tail.0", "output.tail.1"):
        path = folder / name
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime_ns, -status.st_size, path))
    return [path for _, _, path in sorted(found)]
