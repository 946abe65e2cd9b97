"""Searches for training jobs: conditions, order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from tuneport.backends.modelarts.translate.rules import at
from tuneport.emulators.documents import Document
from tuneport.emulators.modelarts.pages import objects
from tuneport.emulators.modelarts.refusals import INVALID, RefusalError

Json: TypeAlias = dict[str, Any]

DEFAULTS: Final = {"sort_by": "create_time", "order": "desc", "group_by": "", "workspace_id": "0"}
"""What is said of a search, and what it is where nothing is asked for."""
_PLACES: Final = {
    "name": "/metadata/name",
    "create_time": "/metadata/create_time",
    "phase": "/status/phase",
    "algorithm_name": "/algorithm/name",
    "kind": "/kind",
    "user_id": "/metadata/user_id",
    "runtime_type": "/spec/runtime_type",
}
"""What conditions may be about, and where it is in a job."""
_OPERATORS = ("between", "like", "in", "not")
_SORTS: Final = {"create_time": "/metadata/create_time", "name": "/metadata/name", "job_name": "/metadata/name"}


def matching(jobs: Sequence[Document], search: Json, show: Callable[[Document], Json]) -> list[Document]:
    """The jobs that are searched for, in their order.

    Args:
        jobs: all of them.
        search: body of the request.
        show: a job as the service shows it.

    Raises:
        RefusalError: a condition or an order cannot be understood.
    """
    conditions = [_condition(one) for one in objects(search, "filters")]
    tags = list(_tag_conditions(search))
    order, by = (str(search.get(name) or DEFAULTS[name]) for name in ("order", "sort_by"))
    if by not in _SORTS or order not in {"asc", "desc"}:
        raise RefusalError("2790", f"Unsupported sort {by} {order}: must be one of {', '.join(_SORTS)}, asc or desc.")
    shown = [(one, show(one)) for one in jobs]
    if workspace := search.get("workspace_id"):
        shown = [(one, job) for one, job in shown if job["metadata"]["workspace_id"] == workspace]
    found = [
        (one, job)
        for one, job in shown
        if all(holds(job) for holds in conditions) and all(holds(one.body["tags"]) for holds in tags)
    ]
    found.sort(key=lambda pair: at(pair[1], _SORTS[by]), reverse=order == "desc")
    return [one for one, _ in found]


def _condition(said: Json) -> Callable[[Json], bool]:
    """One condition; texts without content restrict nothing."""
    key, operator, given = str(said.get("key")), str(said.get("operator")), said.get("value")
    if key not in _PLACES:
        raise RefusalError("2789", f"Unsupported filter key {key!r}: must be one of {', '.join(_PLACES)}.")
    if operator not in _OPERATORS:
        raise RefusalError("2808", f"Unsupported operator {operator!r}: must be one of {', '.join(_OPERATORS)}.")
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise RefusalError("2809", f"The value of the filter {key} must be a list of texts.")
    values = [one for one in given if one]
    place = _PLACES[key]
    if not values:
        return lambda _: True
    if operator == "between":
        return _between(key, given, place)
    if operator == "like":
        return lambda job: any(one in str(at(job, place) or "") for one in values)
    return lambda job: (str(at(job, place) or "") in values) is (operator == "in")


def _between(key: str, given: Sequence[str], place: str) -> Callable[[Json], bool]:
    if len(given) != 2 or not all(one.isdecimal() or not one for one in given):
        raise RefusalError("2809", f"The value of the filter {key} must be two numbers.")
    low, high = (int(one) if one else None for one in given)
    return lambda job: (low is None or at(job, place) >= low) and (high is None or at(job, place) <= high)


def _tag_conditions(search: Json) -> Iterator[Callable[[list[Json]], bool]]:
    given = objects(search, "tags")
    if len(given) > 10:
        raise RefusalError(INVALID, "there may be no more than 10 tags")
    for one in given:
        values = one.get("values") or []
        if not isinstance(values, list):
            raise RefusalError(INVALID, "values of a tag must be a list")
        yield _tagged(str(one.get("key")), [value for value in values if value])


def _tagged(key: str, values: Sequence[str]) -> Callable[[list[Json]], bool]:
    return lambda tags: any(one["key"] == key and (not values or one["value"] in values) for one in tags)
