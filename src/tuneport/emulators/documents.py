"""What an emulator keeps besides runs: the native requests, and whatever else a service remembers. One SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneport.errors import ConflictError, RunNotFoundError, StoreError

_FORMAT = 1
_TABLES = """
CREATE TABLE documents (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    created REAL NOT NULL,      -- POSIX seconds
    body TEXT NOT NULL,         -- JSON object
    run TEXT,                   -- id of its run in the workspace, if it has one
    contract TEXT,              -- whose launch contract the run's trials are started by
    executor TEXT,              -- process or function
    stopping INTEGER NOT NULL,  -- 1: the run was asked to stop, and stays so over restarts
    PRIMARY KEY (kind, name)
) STRICT
"""
_COLUMNS = "kind, name, created, body, run, contract, executor, stopping"


@dataclass(frozen=True, slots=True)
class Document:
    """One thing that a service knows by its name.

    Attributes:
        kind: what it is, such as sagemaker/tuning-job; names are unique within a kind.
        name: its name or id there.
        created: when it came, in POSIX seconds of the clock.
        body: plain data: the request, and ids, times and tags that the door keeps with it.
        run: the run behind it, as `Host.result` and its like take it; None if it has none.
        contract: whose launch contract the run's trials are started by.
        executor: "process" or "function", for runs.
        stopping: its run was asked to stop.
    """

    kind: str
    name: str
    created: float
    body: dict[str, Any]
    run: str | None = None
    contract: str | None = None
    executor: str | None = None
    stopping: bool = False


class Documents:
    """All documents of a state folder. May be used from any thread.

    Raises:
        StoreError: the file cannot be used.
    """

    def __init__(self, file: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._db.execute(_TABLES)
                self._db.execute(f"PRAGMA user_version={_FORMAT}")
        except sqlite3.Error as error:
            raise StoreError(f"{file} cannot be used: {error}") from error
        if version not in {0, _FORMAT}:
            raise StoreError(f"{file} has format {version}, this tuneport writes {_FORMAT}")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def add(self, document: Document) -> None:
        """Keep a new one.

        Raises:
            ConflictError: the name is taken.
        """
        one = document
        body, stopping = json.dumps(one.body), int(one.stopping)
        row = (one.kind, one.name, one.created, body, one.run, one.contract, one.executor, stopping)
        with self._lock:
            try:
                self._db.execute(f"INSERT INTO documents ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608 - our own names
            except sqlite3.IntegrityError as error:
                raise ConflictError(f"there is a {document.kind} '{document.name}' already") from error

    def get(self, kind: str, name: str) -> Document:
        """The one of that name.

        Raises:
            RunNotFoundError: there is none.
        """
        for document in self._select("WHERE kind = ? AND name = ?", (kind, name)):
            return document
        raise RunNotFoundError(f"there is no {kind} '{name}'")

    def all(self, kind: str) -> list[Document]:
        """All of a kind, in the order in which they came."""
        return self._select("WHERE kind = ? ORDER BY created, rowid", (kind,))

    def with_runs(self) -> list[Document]:
        """All that have runs, in the order in which they came."""
        return self._select("WHERE run IS NOT NULL ORDER BY created, rowid", ())

    def change(self, kind: str, name: str, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Document:
        """Change a body; nobody else does so meanwhile. `change` gives the new body, or None if it changed it in place.

        Raises:
            RunNotFoundError: there is none of that name.
        """
        with self._lock:
            body = self.get(kind, name).body
            changed = change(body)
            text = json.dumps(body if changed is None else changed)
            self._db.execute("UPDATE documents SET body = ? WHERE kind = ? AND name = ?", (text, kind, name))
            return self.get(kind, name)

    def note_stop(self, run: str) -> None:
        """Remember that a run was asked to stop."""
        with self._lock:
            self._db.execute("UPDATE documents SET stopping = 1 WHERE run = ?", (run,))

    def remove(self, kind: str, name: str) -> None:
        """Forget one; no effect if there is none."""
        with self._lock:
            self._db.execute("DELETE FROM documents WHERE kind = ? AND name = ?", (kind, name))

    def _select(self, where: str, values: tuple[str, ...]) -> list[Document]:
        with self._lock:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM documents {where}", values).fetchall()  # noqa: S608 - our own names
        return [
            Document(kind, name, created, json.loads(body), run, contract, executor, bool(stopping))
            for kind, name, created, body, run, contract, executor, stopping in rows
        ]
