"""Which words of a job a refusal is about, found by leaving words out and asking again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from tuneport.errors import JobError, Problem
from tuneport.model.job import TuningJob
from tuneport.model.word import pointer

Refuse = Callable[[TuningJob], list[Problem]]
"""All problems that a service would have with a job."""
Path = tuple[int | str, ...]

_MOST = 200
"""Words that are tried; a refusal that is about a later one is told without blame."""


def blamed(job: TuningJob, refuse: Refuse) -> list[Problem]:
    """The refusals of a job, each at the word that has to change; its place in the request is told as well.

    Args:
        job: a valid job.
        refuse: all refusals of a job, with pointers into the request.
    """
    problems = refuse(job)
    if not problems:
        return []
    data = job.brief()
    culprits: dict[str, list[Path]] = {problem.message: [] for problem in problems}
    for place in islice(_words(data), _MOST):
        for message in culprits.keys() - {problem.message for problem in _asked(data, place, refuse)}:
            culprits[message].append(place)
    return [_located(problem, _common(culprits[problem.message])) for problem in problems]


def _located(problem: Problem, culprit: Path) -> Problem:
    where = f"in the request at {problem.pointer or 'its top'}: {problem.message}"
    return replace(problem, pointer=pointer(culprit), message=where)


def _common(culprits: list[Path]) -> Path:
    """The word that is to blame; where each of several is enough, what they are in."""
    smallest = [
        one for one in culprits if not any(len(other) > len(one) and other[: len(one)] == one for other in culprits)
    ]
    if not smallest:
        return ()
    first = smallest[0]
    same = next((at for at, parts in enumerate(zip(*smallest, strict=False)) if len(set(parts)) > 1), len(first))
    return first[:same]


def _asked(data: dict[str, Any], place: Path, refuse: Refuse) -> list[Problem]:
    """What is refused of the job without a word or, where it cannot do without, with the plainest one instead."""
    for change in (_REMOVED, "a1", 1):
        try:
            return refuse(TuningJob.model_validate(_changed(data, place, change)))
        except JobError:
            continue
    return refuse(TuningJob.model_validate(data))


_REMOVED: Any = object()


def _changed(data: Any, place: Path, value: Any) -> Any:
    head, *rest = place
    new = _changed(data[head], tuple(rest), value) if rest else value
    if isinstance(data, list):
        return [
            item if index != head else new for index, item in enumerate(data) if index != head or new is not _REMOVED
        ]
    return {key: item if key != head else new for key, item in data.items() if key != head or new is not _REMOVED}


def _words(data: Any, path: Path = ()) -> Iterator[Path]:
    """Places in a job that can be left out, those deep inside first."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from _words(value, (*path, key))
        yield (*path, key)
