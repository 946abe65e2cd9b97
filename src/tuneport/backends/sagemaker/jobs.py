"""The training jobs of one run: a list says how they are, their logs what they write."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from typing import Any, TypeAlias

from tuneport.backends.protocols import JobRef, JobStatus
from tuneport.backends.sagemaker.client import TRAINING, SageMakerClient
from tuneport.backends.sagemaker.training import status_of
from tuneport.errors import ConflictError, RunNotFoundError

Json: TypeAlias = dict[str, Any]


class SageMakerJobs:
    """Training jobs whose names begin with the run. May be used from several threads.

    Args:
        client: the connection.
        run: id of the run.
    """

    def __init__(self, client: SageMakerClient, run: str) -> None:
        self._client = client
        self._run = run
        self._places: defaultdict[JobRef, dict[str, str | None]] = defaultdict(dict)
        self._lock = threading.Lock()
        self.late = 0.0 if client.emulated else 10.0

    def submit(self, document: Json, *, again: bool = False) -> JobRef:
        """Start a job, once; see SingleJobs."""
        return self._client.train(document, again=again)

    def poll(self, refs: Collection[JobRef]) -> dict[JobRef, JobStatus]:
        """How jobs are, by the list of the run's; those that have ended say themselves how. See SingleJobs."""
        names = {ref.partition("/")[2]: ref for ref in refs}
        listed: dict[str, JobStatus] = {}
        for job in self._client.trainings(self._run):
            if job[TRAINING] in names:
                listed[job[TRAINING]] = status_of(job)
            if len(listed) == len(names):
                break
        found: dict[JobRef, JobStatus] = {}
        for name, ref in names.items():
            if name in listed and listed[name].ended is None:
                found[ref] = listed[name]
                continue
            with suppress(RunNotFoundError):  # lists say little of those that have ended, and may be a little behind
                found[ref] = status_of(self._client.training(name))
        return found

    def stop(self, ref: JobRef) -> None:
        """Ask a job to end; see SingleJobs."""
        with suppress(ConflictError, RunNotFoundError):
            self._client.stop(ref, ref.partition("/")[2])

    def lines(self, refs: Collection[JobRef]) -> dict[JobRef, list[str]]:
        """What jobs have written since the last call, as CloudWatch has it; see SingleJobs."""
        with self._lock:
            return {ref: self._news(ref) for ref in refs}

    def _news(self, ref: JobRef) -> list[str]:
        places = self._places[ref]
        if not places:
            places.update(dict.fromkeys(self._client.streams(ref.partition("/")[2])))
        lines: list[str] = []
        for stream, place in places.items():
            news, places[stream] = self._client.read_on(stream, place)
            lines += news
        return lines
