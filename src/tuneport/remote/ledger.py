"""What was submitted to services from this workspace, kept beside the journal of its own runs."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneport.errors import StoreError
from tuneport.model.history import History

FILE = "tuneport.db"
_TABLE = """
CREATE TABLE IF NOT EXISTS submissions (
    token TEXT PRIMARY KEY,     -- marks the job at the service
    backend TEXT NOT NULL,
    digest TEXT NOT NULL,       -- of what is sent, and where to
    ref TEXT,                   -- NULL until the service has said where the job is
    name TEXT NOT NULL,
    job TEXT NOT NULL,          -- TuningJob as JSON
    settings TEXT NOT NULL,     -- JSON
    created REAL NOT NULL,      -- POSIX seconds
    seen TEXT                   -- JSON: StudyResult without measurements, as it was last read
) STRICT
"""
_ORIGINS = """
CREATE TABLE IF NOT EXISTS origins (
    ref TEXT PRIMARY KEY,       -- a run that goes on with what another one has found
    history TEXT NOT NULL       -- JSON: that one's History
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Submission:
    """One job that was submitted, or is about to be.

    Attributes:
        token: marks the job at the service.
        ref: full reference such as sagemaker:eu-west-1/digits-1f0a3c; None while nothing came back.
        name: the job's own name.
        job: the TuningJob as JSON.
        settings: of the backend, as plain data.
        created: POSIX seconds.
        seen: the run as it was last read, without measurements, as JSON.
        again: it was noted before, by a call that did not get to the end.
    """

    token: str
    ref: str | None
    name: str
    job: str
    settings: dict[str, Any]
    created: float
    seen: str | None = None
    again: bool = False


class Ledger:
    """The submissions of a workspace. Every call opens and closes the file, so that any thread may use it.

    Args:
        workspace: its directory; made when the first submission is noted.
    """

    def __init__(self, workspace: Path) -> None:
        self._file = workspace / FILE

    def begin(self, backend: str, payload: dict[str, Any], settings: dict[str, Any], name: str, job: str) -> Submission:
        """Note a submission before anything is sent; one that was never finished is taken up again."""
        digest = _digest(backend, payload, settings)
        with self._transaction(create=True) as db:
            left = db.execute("SELECT * FROM submissions WHERE digest = ? AND ref IS NULL", (digest,)).fetchone()
            if left is not None:
                return _submission(left, again=True)
            made = Submission(secrets.token_hex(3), None, name, job, settings, time.time())
            values = (made.token, backend, digest, None, name, job, json.dumps(settings), made.created)
            db.execute("INSERT INTO submissions VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", values)
            return made

    def finish(self, token: str, ref: str) -> None:
        """Note where the job is."""
        with self._transaction(create=True) as db:
            db.execute("UPDATE submissions SET ref = ? WHERE token = ?", (ref, token))

    def see(self, ref: str, seen: str) -> None:
        """Note how a job is; one that was submitted from elsewhere is not noted."""
        with self._transaction(create=False) as db:
            db.execute("UPDATE submissions SET seen = ? WHERE ref = ?", (seen, ref))

    def give_up(self, token: str) -> None:
        """Forget a submission that the service has refused."""
        with self._transaction(create=True) as db:
            db.execute("DELETE FROM submissions WHERE token = ? AND ref IS NULL", (token,))

    def forget(self, ref: str) -> None:
        """Forget a job that was deleted."""
        with self._transaction(create=False) as db:
            db.execute("DELETE FROM submissions WHERE ref = ?", (ref,))
            db.execute("DELETE FROM origins WHERE ref = ?", (ref,))

    def goes_on(self, ref: str, history: History) -> None:
        """Note that a run, of whatever backend, goes on with what another one has found."""
        with self._transaction(create=True) as db:
            db.execute("INSERT OR REPLACE INTO origins VALUES (?, ?)", (ref, history.model_dump_json()))

    def origin(self, ref: str) -> History | None:
        """What a run goes on with; None if it began by itself."""
        with self._transaction(create=False) as db:
            row = db.execute("SELECT history FROM origins WHERE ref = ?", (ref,)).fetchone()
        return None if row is None else History.model_validate_json(row["history"])

    def submissions(self) -> list[Submission]:
        """All that have a reference, newest first."""
        with self._transaction(create=False) as db:
            rows = db.execute("SELECT * FROM submissions WHERE ref IS NOT NULL ORDER BY created DESC").fetchall()
        return [_submission(row) for row in rows]

    @contextmanager
    def _transaction(self, *, create: bool) -> Iterator[sqlite3.Connection]:
        try:
            if create:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            where = str(self._file) if create or self._file.exists() else ":memory:"
            with closing(sqlite3.connect(where, timeout=30)) as db, db:
                db.row_factory = sqlite3.Row
                db.execute(_TABLE)
                db.execute(_ORIGINS)
                db.execute("BEGIN IMMEDIATE")
                yield db
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._file} cannot be used: {error}") from error


def _digest(backend: str, payload: dict[str, Any], settings: dict[str, Any]) -> str:
    text = json.dumps([backend, payload, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _submission(row: sqlite3.Row, *, again: bool = False) -> Submission:
    settings = json.loads(row["settings"])
    return Submission(row["token"], row["ref"], row["name"], row["job"], settings, row["created"], row["seen"], again)
