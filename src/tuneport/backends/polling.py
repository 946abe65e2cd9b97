"""How the jobs of a run are, by a list of them that may be a little behind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from tuneport.backends.protocols import JobRef, JobStatus
from tuneport.errors import RunNotFoundError


def statuses(
    refs: Collection[JobRef], listed: Iterable[tuple[JobRef, JobStatus]], one: Callable[[JobRef], JobStatus]
) -> dict[JobRef, JobStatus]:
    """How jobs are; those that the service does not know are left out.

    Args:
        refs: the jobs.
        listed: what lists say, page by page; no more is read than is needed.
        one: asks for a single job, which lists may not have yet.
    """
    left = set(refs)
    found: dict[JobRef, JobStatus] = {}
    for ref, status in listed:
        if ref in left:
            left.remove(ref)
            found[ref] = status
        if not left:
            break
    for ref in left:
        with suppress(RunNotFoundError):
            found[ref] = one(ref)
    return found
