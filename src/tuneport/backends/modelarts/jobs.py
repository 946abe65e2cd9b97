"""The training jobs of one run: a search says how they are, the newest parts of their logs what they write."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from tuneport.backends.modelarts.client import MARKED, ModelArtsClient
from tuneport.backends.modelarts.training import status_of
from tuneport.backends.polling import statuses
from tuneport.backends.protocols import JobRef, JobStatus
from tuneport.errors import ConflictError, RunNotFoundError

Json: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class _Heard:
    """How much of a job's log has been read, in bytes, and how much there was then."""

    read: int = 0
    size: int = 0

    def news(self, found: Json) -> list[str]:
        """The lines that the newest part of the log has beyond what was read; the last one once it grows no more."""
        content = str(found.get("content") or found.get("context") or "").encode()
        size = max(int(found.get("full_size") or 0), len(content))
        new = content[max(0, self.read - (size - len(content))) :]
        if size > self.size:
            new = new[: new.rfind(b"\n") + 1]
        self.read, self.size = max(self.read, size - len(content)) + len(new), size
        return [_unmarked(line) for line in new.decode(errors="replace").splitlines()]


class ModelArtsJobs:
    """Training jobs whose names have the run in them. May be used from several threads.

    Args:
        client: the connection.
        run: id of the run.
    """

    def __init__(self, client: ModelArtsClient, run: str) -> None:
        self._client = client
        self._run = run
        self._heard: defaultdict[JobRef, _Heard] = defaultdict(_Heard)
        self._lock = threading.Lock()
        self.late = 0.0 if client.emulated else 10.0

    def submit(self, document: Json, *, again: bool = False) -> JobRef:
        """Start a job, once, under its own name; see SingleJobs."""
        name, _, end = document["metadata"]["name"].rpartition("-")
        return self._client.submit({**document, "metadata": {**document["metadata"], "name": name}}, end, again=again)

    def poll(self, refs: Collection[JobRef]) -> dict[JobRef, JobStatus]:
        """How jobs are, by a search for the run's; see SingleJobs."""
        known = {ref.rpartition("/")[2]: ref for ref in refs}
        jobs = ((str(job["metadata"]["id"]), job) for job in self._client.searched(self._run))
        listed = ((known[number], status_of(job)) for number, job in jobs if number in known)
        return statuses(refs, listed, lambda ref: status_of(self._client.describe(ref)))

    def stop(self, ref: JobRef) -> None:
        """Ask a job to end; see SingleJobs."""
        with suppress(ConflictError, RunNotFoundError):
            self._client.stop(ref)

    def lines(self, refs: Collection[JobRef]) -> dict[JobRef, list[str]]:
        """What jobs have written since the last call, as the previews of their logs have it; see SingleJobs."""
        with self._lock:
            return {ref: self._heard[ref].news(self._client.newest(ref)) for ref in refs}


def _unmarked(line: str) -> str:
    """A line without the process that wrote it."""
    mark = MARKED.match(line)
    return line[mark.end() :] if mark else line
