"""The record of runs: one SQLite file per workspace that only grows, and a folder per trial for what it writes.

Every event of a run is a row, committed before anybody acts on it. The file is in WAL mode: a run writes while others
read, and a killed writer leaves it whole. It holds no absolute path of its own, so a workspace can be moved or copied.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneport.errors import ConflictError, RunNotFoundError, StoreError

FORMAT = 1
"""Version of the tables, kept in the file's user_version."""
FILE = "tuneport.db"
_TABLES = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    created REAL NOT NULL,      -- POSIX seconds
    job TEXT NOT NULL,          -- TuningJob as JSON
    manifest TEXT NOT NULL      -- JSON: seed, base directory, settings, executor, version of tuneport
) STRICT;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    at REAL NOT NULL,           -- POSIX seconds
    kind TEXT NOT NULL,
    trial INTEGER,              -- NULL: about the run itself
    body TEXT NOT NULL          -- JSON object
) STRICT;
CREATE INDEX events_of_run ON events (run, seq);
CREATE TABLE requests (         -- what other processes ask of the one that drives the run
    run TEXT NOT NULL,
    trial INTEGER               -- NULL: stop the whole run
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the journal: what happened to a trial, or to the run if `trial` is None."""

    kind: str
    trial: int | None = None
    body: dict[str, Any] | None = None
    at: float = 0.0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class RunRow:
    """What was fixed when a run was made."""

    id: str
    created: float
    job: str
    manifest: dict[str, Any]


class Store:
    """One workspace: ``tuneport.db`` and ``runs/ID/trials/N/``. Use it from one thread at a time.

    Args:
        folder: the workspace's directory.
        create: make it if it is not there.
        clock: the time of what is recorded, in POSIX seconds.

    Raises:
        RunNotFoundError: there is no workspace, and none is to be made.
        StoreError: the directory or the file cannot be used.
    """

    def __init__(self, folder: Path, *, create: bool = True, clock: Callable[[], float] = time.time) -> None:
        self.path = folder.resolve()
        self.clock = clock
        file = self.path / FILE
        if not create and not file.exists():
            raise RunNotFoundError(
                f"there is no workspace in {self.path}", backend="local", hint="give the run's own with --workspace"
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds the environment of jobs
            self._db = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._db.close)  # should nobody else, in whatever thread that is noticed
            self._open()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the workspace {self.path} cannot be used: {error}") from error

    def _open(self) -> None:
        if self._db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            _while_busy(lambda: self._db.execute("PRAGMA journal_mode=WAL"))
        self._db.execute("PRAGMA synchronous=NORMAL")  # a killed process loses nothing; see docs/architecture.md
        self._make_tables()

    def _make_tables(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            with self._transaction():
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    for statement in _TABLES.split(";\n"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version={FORMAT}")
        elif version != FORMAT:
            raise StoreError(
                f"{self.path / FILE} has format {version}, this tuneport writes {FORMAT}",
                hint="use the tuneport that made it, or another workspace",
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"the workspace {self.path} cannot be written: {error}") from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file; the last one to do so leaves a single file without a write-ahead log."""
        self._db.close()

    def create(self, name: str, job: str, manifest: dict[str, Any]) -> RunRow:
        """Record a new run and make its folder. Its id is the job's name, made safe, and a few random characters."""
        safe = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
        row = RunRow(f"{safe}-{os.urandom(4).hex()}", self.clock(), job, manifest)
        self._make_folder(row.id)
        with self._transaction():
            self._db.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?)", (row.id, row.created, row.job, json.dumps(row.manifest))
            )
        return row

    def _make_folder(self, run: str) -> Path:
        try:
            self.folder(run).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder of run {run} cannot be made: {error}") from error
        return self.folder(run)

    def append(self, run: str, events: Iterable[Event]) -> int:
        """Write events of a run, all or none of them. Only its driver does so. Returns the number of the last one."""
        now = self.clock()
        rows = [(run, event.at or now, event.kind, event.trial, json.dumps(event.body or {})) for event in events]
        with self._transaction():
            self._db.executemany("INSERT INTO events (run, at, kind, trial, body) VALUES (?, ?, ?, ?, ?)", rows)
            (seq,) = self._db.execute("SELECT last_insert_rowid()").fetchone()
        return int(seq)

    def events(self, run: str, after: int = 0) -> Iterator[Event]:
        """The events of a run in the order in which they were written, from the one after `after`."""
        query = "SELECT kind, trial, body, at, seq FROM events WHERE run = ? AND seq > ? ORDER BY seq"
        for kind, trial, body, at, seq in self._db.execute(query, (run, after)):
            yield Event(kind, trial, json.loads(body), at, seq)

    def request_stop(self, run: str, trial: int | None) -> None:
        """Ask the driver of a run to stop a trial, or all of it."""
        with self._transaction():
            self._db.execute("INSERT INTO requests VALUES (?, ?)", (run, trial))

    def stop_requests(self, run: str) -> set[int | None]:
        """The trials that somebody wants stopped; None stands for the whole run."""
        return {trial for (trial,) in self._db.execute("SELECT trial FROM requests WHERE run = ?", (run,))}

    def forget_requests(self, run: str) -> None:
        """Drop what was asked of an earlier driver."""
        with self._transaction():
            self._db.execute("DELETE FROM requests WHERE run = ?", (run,))

    def runs(self) -> list[RunRow]:
        """All runs, newest first."""
        rows = self._db.execute("SELECT id, created, job, manifest FROM runs ORDER BY created DESC, id")
        return [RunRow(run, created, job, json.loads(manifest)) for run, created, job, manifest in rows]

    def find(self, name: str) -> RunRow:
        """The run with this id, or the only one whose id begins so.

        Raises:
            RunNotFoundError: none, or more than one.
        """
        query = "SELECT id, created, job, manifest FROM runs WHERE id = ?"
        for run, created, job, manifest in self._db.execute(query, (name,)):
            return RunRow(run, created, job, json.loads(manifest))
        rows = self.runs()
        found = [row for row in rows if row.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(row.id for row in found[:10])
            raise RunNotFoundError(f"'{name}' can mean {len(found)} runs: {ids}", backend="local")
        ids = ", ".join(row.id for row in rows[:10]) or "none"
        raise RunNotFoundError(f"no run '{name}' in {self.path}; newest there: {ids}", backend="local")

    def delete(self, run: str) -> None:
        """Forget a run and remove its folder."""
        with self._transaction():
            for table in ("events", "requests"):
                self._db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))  # noqa: S608 - our own names
            self._db.execute("DELETE FROM runs WHERE id = ?", (run,))
        shutil.rmtree(self.folder(run), ignore_errors=True)

    def folder(self, run: str) -> Path:
        """The folder of a run."""
        return self.path / "runs" / run

    def trial_folder(self, run: str, trial: int) -> Path:
        """The folder of a trial."""
        return self.folder(run) / "trials" / str(trial)

    @contextlib.contextmanager
    def driving(self, run: str) -> Iterator[None]:
        """Be the one process that drives a run; the lock goes with the process, however it ends.

        Raises:
            ConflictError: another process is driving it.
        """
        with (self._make_folder(run) / "lock").open("a+") as file:
            if not _lock_patiently(file.fileno()):
                raise ConflictError(
                    f"run {run} is being driven by another process",
                    backend="local",
                    hint=f"watch it with: tuneport follow {run}",
                )
            yield

    def driven(self, run: str) -> bool:
        """Whether some process is driving the run at this moment."""
        try:
            with (self.folder(run) / "lock").open("r") as file:
                return not _lock(file.fileno(), fcntl.LOCK_SH)
        except OSError:  # nobody has ever driven it, or its folder is gone
            return False


def _lock(descriptor: int, kind: int) -> bool:
    """Lock a file without waiting; False if somebody else has it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_patiently(descriptor: int) -> bool:
    """Lock a file for ourselves; a second of patience outlasts those who only look whether it is locked."""
    if _lock(descriptor, fcntl.LOCK_EX):
        return True
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed  # noqa: PLC0415 - seldom needed

    patience = Retrying(
        retry=retry_if_result(lambda locked: not locked),
        stop=stop_after_delay(1.0),
        wait=wait_fixed(0.02),
        retry_error_callback=lambda _: False,
    )
    return patience(_lock, descriptor, fcntl.LOCK_EX)


def _while_busy(action: Callable[[], object]) -> None:
    """Do what SQLite's own time-out does not cover: several processes may open a new workspace at once."""
    from tenacity import (  # noqa: PLC0415 - only the first use of a workspace needs it
        Retrying,
        retry_if_exception_type,
        stop_after_delay,
        wait_random,
    )

    patience = Retrying(
        retry=retry_if_exception_type(sqlite3.OperationalError),
        stop=stop_after_delay(10.0),
        wait=wait_random(0.01, 0.1),
        reraise=True,
    )
    patience(action)
