"""One meaning, one spelling: what a request leaves unsaid, and how documents write its numbers and names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tuneport.backends.vertex.study import number, parameter_specs, whole

Json: TypeAlias = dict[str, Any]

NO_NAME = "untitled"
"""Display name of a request without one: gcloud is told it by a flag, and a bare CustomJobSpec has none."""

_STRATEGIES = {"ON_DEMAND": None, "STANDARD": None, "LOW_COST": "SPOT"}
"""Deprecated names and what is meant without one."""


def canonical(request: Json) -> Json:
    """The request with what is meant where nothing is said, or nothing where the usual is said."""
    request.setdefault("displayName", NO_NAME)
    if "studySpec" in request:
        for count in ("maxTrialCount", "parallelTrialCount"):
            request.setdefault(count, 1)  # what gcloud sends without its flags
        _canonical_study(request)
    trial = request.get("trialJobSpec")
    if isinstance(trial, dict):
        _canonical_trial(trial)
    return request


def _canonical_study(request: Json) -> None:
    study = request["studySpec"]
    for metric in study["metrics"]:
        if metric.get("goal") in {None, "GOAL_TYPE_UNSPECIFIED"}:
            metric["goal"] = "MAXIMIZE"
        if "safetyConfig" in metric:
            metric["safetyConfig"]["safetyThreshold"] = _double(metric["safetyConfig"].get("safetyThreshold", 0))
    if study.get("measurementSelectionType") == "LAST_MEASUREMENT":
        del study["measurementSelectionType"]
    for _, spec in parameter_specs(request):
        for member in spec.get("doubleValueSpec", {}):
            spec["doubleValueSpec"][member] = _double(spec["doubleValueSpec"][member])


def _double(value: Any) -> Any:
    """A double as Python writes one; 1 and 1.0 are the same on the wire."""
    try:
        return value if number(value) is None else float(value)
    except OverflowError:
        return value


def _canonical_trial(trial: Json) -> None:
    pools, scheduling = trial["workerPoolSpecs"], trial.get("scheduling", {})
    if pools and pools[0]:
        pools[0].setdefault("replicaCount", "1")
    for pool in pools:
        if pool.get("diskSpec", {}).get("bootDiskType") == "pd-ssd":
            del pool["diskSpec"]["bootDiskType"]
    if scheduling.get("strategy") in _STRATEGIES:
        meant = _STRATEGIES[scheduling.pop("strategy")]
        scheduling |= {} if meant is None else {"strategy": meant}
    if not scheduling:
        trial.pop("scheduling", None)


# ---- styles ---------------------------------------------------------------------------------------------------------

_INT64 = {"replicaCount", "maxStepCount", "minStepCount", "minMeasurementCount"}
_INT64_WITHIN = {"integerValueSpec": {"minValue", "maxValue", "defaultValue"}, "parentIntValues": {"values"}}
_HUMP = re.compile(r"([A-Z])")


def plain_int64(document: Any, within: str = "") -> Iterator[bool]:
    """Something for every int64 that is written as a number."""
    if isinstance(document, list):
        for item in document:
            yield from plain_int64(item, within)
    elif isinstance(document, dict):
        for key, value in document.items():
            known = key in _INT64 or key in _INT64_WITHIN.get(within, ())
            if known and isinstance(value[0] if isinstance(value, list) and value else value, int):
                yield True
            yield from plain_int64(value, key)


def each(document: Any, change: Callable[[Json, str], Json], within: str = "") -> Any:
    """A copy in which every object is changed, from the inside out; `within` is the key that an object stands at."""
    if isinstance(document, list):
        return [each(item, change, within) for item in document]
    if isinstance(document, dict):
        return change({key: each(value, change, key) for key, value in document.items()}, within)
    return document


def with_plain_int64(members: Json, within: str) -> Json:
    """Numbers in place of the texts that JSON has for int64."""
    counts = _INT64 | _INT64_WITHIN.get(within, set())
    return {key: _as_number(value) if key in counts else value for key, value in members.items()}


def _as_number(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_number(item) for item in value]
    count = whole(value)
    return value if count is None else count


def with_snake_keys(members: Json, within: str) -> Json:
    """The proto's field names; keys of labels and variables are the user's own."""
    return members if within == "labels" else {_HUMP.sub(r"_\1", key).lower(): value for key, value in members.items()}
