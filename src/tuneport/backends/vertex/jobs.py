"""The custom jobs of one run: one list says how they are, one query of Cloud Logging what they write."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from tuneport.backends.polling import statuses
from tuneport.backends.protocols import JobRef, JobStatus
from tuneport.backends.vertex.client import CUSTOM_JOBS, VertexClient, lines_of, ref_of
from tuneport.backends.vertex.status import moment
from tuneport.backends.vertex.training import LABEL, RUN_LABEL, status_of
from tuneport.errors import ConflictError, RunNotFoundError

Json: TypeAlias = dict[str, Any]

_MASK = "name,state,startTime,endTime,updateTime,error"
_MOST_QUERIED = 50
"""Jobs in one query of logs, whose text must stay below 20,000 characters."""
_OVERLAP = 60.0
"""Seconds before the newest entry in which others may still turn up."""


class _Heard:
    """What has been read of one job's log lately: entries may turn up a little later than others that are newer."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[float, str]] = {}

    @property
    def since(self) -> str:
        """From which moment on entries may be new; empty: all may be."""
        return min(self._entries.values(), default=(0.0, ""))[1]

    def news(self, entries: Iterable[Json]) -> list[Json]:
        """Those of these entries that have not been read before."""
        new = [one for one in entries if one.get("insertId") not in self._entries]
        for one in new:
            text = str(one.get("timestamp"))
            self._entries[str(one.get("insertId"))] = (moment(text) or 0.0, text)
        newest = max(self._entries.values(), default=(0.0, ""))[0]
        self._entries = {name: one for name, one in self._entries.items() if one[0] >= newest - _OVERLAP}
        return new


class VertexJobs:
    """Custom jobs with the run's label. May be used from several threads.

    Args:
        client: the connection.
        run: id of the run.
    """

    def __init__(self, client: VertexClient, run: str) -> None:
        self._client = client
        self._run = run
        self._heard: defaultdict[JobRef, _Heard] = defaultdict(_Heard)
        self._lock = threading.Lock()
        self.late = 0.0 if client.emulated else 15.0

    def submit(self, document: Json, *, again: bool = False) -> JobRef:
        """Start a job, once; see SingleJobs."""
        return self._client.submit(document, document["labels"][LABEL], again=again)

    def poll(self, refs: Collection[JobRef]) -> dict[JobRef, JobStatus]:
        """How jobs are, by the list of the run's; see SingleJobs."""
        jobs = self._client.listed(CUSTOM_JOBS, f'labels.{RUN_LABEL}="{self._run}"', _MASK)
        listed = ((ref_of(job["name"]), status_of(job)) for job in jobs)
        return statuses(refs, listed, lambda ref: status_of(self._client.describe(ref)))

    def stop(self, ref: JobRef) -> None:
        """Ask a job to end; see SingleJobs."""
        with suppress(ConflictError, RunNotFoundError):
            self._client.stop(ref)

    def lines(self, refs: Collection[JobRef]) -> dict[JobRef, list[str]]:
        """What jobs have written since the last call, as Cloud Logging has it; see SingleJobs."""
        some = list(refs)
        found: dict[JobRef, list[str]] = {}
        with self._lock:
            for start in range(0, len(some), _MOST_QUERIED):
                found |= self._news(some[start : start + _MOST_QUERIED])
        return found

    def _news(self, refs: Sequence[JobRef]) -> dict[JobRef, list[str]]:
        numbers = {ref.rpartition("/")[2]: ref for ref in refs}
        each = " OR ".join(_of_job(number, self._heard[ref].since) for number, ref in numbers.items())
        wanted = f'resource.type="ml_job" AND NOT resource.labels.task_name="service" AND ({each})'
        entries: dict[JobRef, list[Json]] = {ref: [] for ref in refs}
        for entry in self._client.entries(refs[0].split("/")[1], wanted):
            ref = numbers.get(str(entry["resource"]["labels"]["job_id"]))
            if ref is not None:
                entries[ref].append(entry)
        return {ref: [line for one in self._heard[ref].news(entries[ref]) for line in lines_of(one)] for ref in refs}


def _of_job(number: str, since: str) -> str:
    later = f' AND timestamp>="{since}"' if since else ""
    return f'(resource.labels.job_id="{number}"{later})'
