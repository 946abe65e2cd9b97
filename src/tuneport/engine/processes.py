"""The processes of this machine as /proc shows them; where there is none, nothing is known of them but who lives."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """A process, who started it, and the bytes of main memory that it has, those that it shares included."""

    pid: int
    parent: int
    resident: int


def processes() -> Iterator[Process]:
    """All processes of this machine."""
    for path in PROC.glob("[0-9]*"):
        if fields := _fields(int(path.name)):
            yield Process(int(path.name), int(fields[1]), int(fields[21]) * PAGE)


def families(roots: Iterable[int], variable: str, values: Collection[str]) -> dict[str, list[Process]]:
    """The processes below others that carry one of these values in their environment, with all of their descendants.

    Args:
        roots: process ids below which is looked.
        variable: its name.
        values: those that are looked for.
    """
    below: dict[int, list[Process]] = defaultdict(list)
    for one in processes():
        below[one.parent].append(one)
    found: dict[str, list[Process]] = defaultdict(list)
    todo: list[tuple[Process, str | None]] = [(child, None) for root in roots for child in below[root]]
    while todo:
        one, value = todo.pop()
        if value is None and (own := variable_of(one.pid, variable)) in values:
            value = own
        if value is not None:
            found[value].append(one)
        todo += [(child, value) for child in below[one.pid]]
    return found


def proportional(pids: Iterable[int]) -> int | None:
    """Bytes of main memory of several processes, what they share counted once; None if that is not known.

    A process that has ended has nothing, whether or not its parent has asked how.
    """
    try:
        return sum(_proportional(pid) for pid in pids)
    except OSError:
        return None


def _proportional(pid: int) -> int:
    try:
        lines = (PROC / f"{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except ProcessLookupError:
        return 0
    except FileNotFoundError:
        if exists(pid):
            raise  # the kernel does not know the file
        return 0
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def exists(pid: int) -> bool:
    """Whether there is a process of this number."""
    return (PROC / str(pid)).exists()


def children(pid: int) -> Sequence[int] | None:
    """The children of a process; None where that cannot be known."""
    try:
        return [int(one) for one in (PROC / f"{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return None


def variable_of(pid: int, name: str) -> str | None:
    """A variable of a process's environment; None if it shows none of this name."""
    prefix = f"{name}=".encode()
    try:
        variables = (PROC / f"{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((os.fsdecode(one[len(prefix) :]) for one in variables if one.startswith(prefix)), None)


def began(pid: int) -> str | None:
    """When a living process began, in the kernel's own count ("alive" where that cannot be known); None if dead."""
    fields = _fields(pid)
    if not fields:
        return _alive_without_proc(pid)
    return None if fields[0] == "Z" else fields[19]


def alive(pid: int, since: str | None) -> bool:
    """Whether the process that began then still lives."""
    return since is not None and began(pid) == since


def _fields(pid: int) -> Sequence[str]:
    """What /proc/PID/stat says after the name; empty if the process is gone."""
    try:
        return (PROC / f"{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _alive_without_proc(pid: int) -> str | None:
    if (PROC / "self").exists():
        return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return "alive"
