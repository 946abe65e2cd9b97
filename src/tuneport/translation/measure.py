"""Fidelity, measured: a job is translated, translated back, and compared leaf by leaf.

What a backend declares of itself can only make a verdict worse: what comes back changed is approximated, what does not
come back at all is dropped, and is unsupported unless the backend has owned up to losing it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product, zip_longest
from math import prod
from typing import Any, NamedTuple

from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.feature_usage import used
from tuneport.model.features import Feature
from tuneport.model.job import TuningJob
from tuneport.model.parameters import Categorical
from tuneport.model.trial_spec import size_text
from tuneport.model.word import Word, pointer
from tuneport.translation.capabilities import Capabilities, Fidelity, Support, exact
from tuneport.translation.report import FieldReport

Path = tuple[int | str, ...]
Uses = Mapping[Feature, Sequence[str]]
"""Every feature that a job uses, with the places."""

_INDEX = re.compile("[0-9]{1,9}")
_PARAMETER = re.compile(r"/study/parameters/\d+")
_NOTHING: Any = object()
_PARAMETERS: Path = ("study", "parameters")
_PLAIN = {str, int, float, bool}
_ASIDE = {"native", "schema_version"}
"""Fields of a job that no translation is judged by: boxes have a report of their own."""


class Change(NamedTuple):
    """One place where the job that came back differs. `after` is None where nothing came back."""

    pointer: str
    before: Any
    after: Any
    lost: bool


def compare(before: TuningJob, after: TuningJob) -> list[Change]:
    """Every place where two jobs differ in meaning; parameters are told apart by name and condition, not by order.

    How variants are cut does not matter where every trial is the same.
    """
    if (before.trial.variants or after.trial.variants) and _same_trials(before, after):
        after = after.model_copy(update={"trial": before.trial})
    return [
        Change(pointer(path), _shown(path[-1], old), _shown(path[-1], new), new is _NOTHING or new is None or lost)
        for path, old, new, lost in _compared(before, after, ())
    ]


_SIZES = {"disk", "memory", "gpu_memory"}


def _shown(name: int | str, value: Any) -> Any:
    """A value as people write it in a job file."""
    return size_text(value) if name in _SIZES and isinstance(value, int) else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Word):
        return value.brief()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if value is _NOTHING else value


_Difference = tuple[Path, Any, Any, bool]
"""Where, what it was, what it is, and whether it merely is what it would be if nothing had been said."""


def _compared(a: Any, b: Any, path: Path, default: Any = None) -> Iterator[_Difference]:
    """Equality of words will not do, since it takes True, 1 and 1.0 for the same."""
    kind = type(a)
    if kind is not type(b):
        if not (a == b == default and default is not None):  # a float's default may be written as 0
            yield path, a, b, bool(b == default)
    elif issubclass(kind, Word):
        its, others = a.__dict__, b.__dict__
        for name, usual in _fields(kind):
            ours, theirs = its[name], others[name]
            plain = type(ours) in _PLAIN and type(ours) is type(theirs) and ours == theirs  # most are
            if not plain and ours is not theirs and (path or name not in _ASIDE):
                yield from _compared(ours, theirs, (*path, name), usual)
    elif kind is tuple:
        yield from _compared_items(a, b, path)
    elif kind is dict:
        for key in {**a, **b}:
            yield from _compared(a.get(key, _NOTHING), b.get(key, _NOTHING), (*path, key))
    elif a != b:
        yield path, a, b, bool(b == default)


@cache
def _fields(kind: type[Word]) -> list[tuple[str, Any]]:
    """Names and defaults."""
    return [(name, info.default) for name, info in kind.model_fields.items()]


def _compared_items(a: tuple[Any, ...], b: tuple[Any, ...], path: Path) -> Iterator[_Difference]:
    if path == _PARAMETERS:
        theirs = {(one.name, one.when): one for one in b}
        for index, one in enumerate(a):
            yield from _compared(one, _nearest(one, theirs), (*path, index))
        yield from (((*path, "-"), _NOTHING, left, False) for left in theirs.values())
    elif any(isinstance(item, (Word, tuple, dict)) for item in (*a, *b)):
        for index, (one, other) in enumerate(zip_longest(a, b, fillvalue=_NOTHING)):
            yield from _compared(one, other, (*path, index))
    elif [(type(item), item) for item in a] != [(type(item), item) for item in b]:
        yield path, a, b, not b


def _nearest(one: Any, theirs: dict[Any, Any]) -> Any:
    """The same parameter in the other job, taken out of it; else one of that name whose condition went lost."""
    for key in ((one.name, one.when), (one.name, None)):
        if key in theirs:
            return theirs.pop(key)
    return _NOTHING


_MOST_CASES = 1000
"""Combinations of choices for which trials are compared."""


def _same_trials(before: TuningJob, after: TuningJob) -> bool:
    """Whether trials are the same whatever their variants' conditions find."""
    named: dict[str, dict[str, Any]] = defaultdict(dict)
    for variant in (*before.trial.variants, *after.trial.variants):
        named[variant.when.parameter] |= {repr(value): value for value in variant.when.values}
    values = [[*found.values(), *_unnamed(before, name, found)] for name, found in named.items()]
    if prod(map(len, values)) > _MOST_CASES:
        return False
    cases = (dict(zip(named, case, strict=True)) for case in product(*values))
    return all(_same_trial(before.under(case), after.under(case)) for case in cases)


def _unnamed(job: TuningJob, name: str, found: Mapping[str, Any]) -> list[None]:
    """What stands for all other values of a parameter, and for its absence, if there are any."""
    parents = [one for one in job.study.parameters if one.name == name]
    parent = parents[0] if len(parents) == 1 and parents[0].when is None else None
    complete = isinstance(parent, Categorical) and set(map(repr, parent.choices)) <= found.keys()
    return [] if complete else [None]


def _same_trial(ours: TuningJob, theirs: TuningJob) -> bool:
    differences = _compared(ours.trial, theirs.trial, ("trial",))
    return ours.study.objective.metric == theirs.study.objective.metric and next(differences, None) is None


def judge(before: TuningJob, after: TuningJob, capabilities: Capabilities) -> list[FieldReport]:
    """What a translation did to a job, worst of what was measured and what the backend declares.

    Args:
        before: the job, in the backend's own places and machines.
        after: what came back.
        capabilities: of the backend.

    Returns:
        A report for every field that is not exactly kept, in the order of the job's fields.
    """
    uses = used(before)
    declared = _declared(uses, capabilities)
    changes = compare(before, after)
    owners = [_belongs(change.pointer, declared) for change in changes]
    verdicts = {place: _owned(before, place, *declared[place]) for place in declared.keys() - set(owners)}
    for change, owner in zip(changes, owners, strict=True):
        verdicts[change.pointer] = _verdict(change, declared.get(owner), uses)
    return [verdicts[place] for place in sorted(verdicts, key=_order)]


_RANKS: Mapping[str, int] = {name: rank for rank, name in enumerate(TuningJob.model_fields)}


def _order(place: str) -> tuple[int, list[tuple[int, str]]]:
    parts = place.split("/")[1:]
    rank = _RANKS.get(parts[0], len(_RANKS)) if parts else len(_RANKS)
    return rank, [(int(part), "") if _INDEX.fullmatch(part) else (-1, part) for part in parts]


_Declared = Mapping[str, tuple[Feature, Support]]
"""What a backend says of itself, by the places where a job asks for it."""


def _declared(uses: Uses, capabilities: Capabilities) -> _Declared:
    """The worst for each place."""
    found: dict[str, tuple[Feature, Support]] = {}
    for feature, pointers in uses.items():
        support = capabilities.support(feature)
        if support.fidelity is Fidelity.EXACT or feature is Feature.NATIVE:
            continue
        for place in pointers:
            if place not in found or found[place][1].fidelity < support.fidelity:
                found[place] = feature, support
    return found


def _owned(job: TuningJob, place: str, feature: Feature, support: Support) -> FieldReport:
    """What a backend owns up to, where nothing was measured."""
    value = _shown(place.rpartition("/")[2], _at(job, place))
    return _report(place, feature, support.fidelity, value, value, support)


def _belongs(place: str, declared: _Declared) -> str:
    """The declared place that a change is in or, if all of something went lost, a declared part of it; else itself."""
    if within := [one for one in declared if _is_in(place, one)]:
        return max(within, key=len)
    parts = [one for one in declared if _is_in(one, place)] if not _PARAMETER.fullmatch(place) else []
    return min(parts, key=lambda one: (-declared[one][1].fidelity.rank, len(one)), default=place)


def _is_in(place: str, other: str) -> bool:
    """Whether a place is the other one or a part of it."""
    return place.startswith(other) and place[len(other) : len(other) + 1] in {"", "/"}


def _verdict(change: Change, declared: tuple[Feature, Support] | None, uses: Uses) -> FieldReport:
    measured = Fidelity.DROPPED if change.lost else Fidelity.APPROXIMATED
    feature, support = declared or (_feature(change.pointer, uses), _LOST if change.lost else _CHANGED)
    level = max(measured, support.fidelity)
    cosmetic = feature is not None and CATALOGUE[feature].weight == "cosmetic"
    if change.lost and support.fidelity <= Fidelity.EMULATED and (declared is not None or not cosmetic):
        level = Fidelity.UNSUPPORTED
    return _report(change.pointer, feature, level, change.before, change.after, support)


_LOST, _CHANGED = exact("nothing there says this"), exact("it comes back changed")


def _report(
    place: str, feature: Feature | None, fidelity: Fidelity, before: Any, after: Any, support: Support
) -> FieldReport:
    """A report of values that are known to be plain; checking them again would take longer than all the rest."""
    note = support.note if support.instead is None else f"{support.note}; {support.instead}"
    return FieldReport.model_construct(
        pointer=place, feature=feature, fidelity=fidelity, before=before, after=after, by=support.by, note=note
    )


def _feature(place: str, uses: Uses) -> Feature | None:
    """The feature whose use a place is."""
    best: tuple[int, Feature | None] = (-1, None)
    for feature, pointers in uses.items():
        for one in pointers:
            if len(one) > best[0] and (_is_in(place, one) or _is_in(one, place)):
                best = len(one), feature
    return best[1]


def _at(job: TuningJob, place: str) -> Any:
    """What stands at a pointer of a job."""
    here: Any = job
    for part in place.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~") if "~" in part else part
        if isinstance(here, dict):
            here = here[name]
        elif isinstance(here, (tuple, list)):
            here = here[int(name)]
        else:
            here = getattr(here, name)
    return here
