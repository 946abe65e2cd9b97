"""What of the catalogue a job uses, and where: what backends are asked for, and what comparisons are explained by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache, partial
from operator import attrgetter, ne
from typing import Any

from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.features import Feature, Test
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import TrialSpec
from tuneport.model.word import Word

_FIELDS = [
    (feature, field) for feature, entry in CATALOGUE.items() if isinstance(entry.uses, tuple) for field in entry.uses
]
_SEARCHES = [(feature, entry.uses) for feature, entry in CATALOGUE.items() if not isinstance(entry.uses, tuple)]
_OWNERS = sorted({field.owner for _, field in _FIELDS})
_RANKS = {feature: rank for rank, feature in enumerate(CATALOGUE)}


def used(job: TuningJob) -> dict[Feature, list[str]]:
    """Every feature that the job uses, with the JSON pointers of the places."""
    found: defaultdict[Feature, list[str]] = defaultdict(list)
    for feature, place in (*_fields_used(job), *_searched(job), *_used_by_variants(job)):
        found[feature].append(place)
    return {feature: found[feature] for feature in sorted(found, key=_RANKS.__getitem__)}


def pausing(job: TuningJob) -> list[str]:
    """JSON pointers of the words for which trials pause, to go on from their checkpoints later."""
    found = used(job)
    return [*found.get(Feature.ALGORITHM_PBT, ()), *found.get(Feature.EARLY_STOPPING_PROMOTION, ())]


def _fields_used(job: TuningJob) -> Iterator[tuple[Feature, str]]:
    for owner in _OWNERS:
        for here, word in _words(owner, job):
            values = word.__dict__
            for feature, name, counts in _checks(owner, type(word)):
                if name is None:
                    yield feature, here
                elif counts(values[name]):
                    yield feature, f"{here}/{name}"


def _words(owner: str, job: TuningJob) -> Iterator[tuple[str, Word]]:
    """The words of a job at some place of the catalogue, with their pointers."""
    path = owner.removesuffix("/*")
    found = _getter(path)(job)
    if path != owner:
        yield from ((f"{path}/{index}", word) for index, word in enumerate(found))
    elif found is not None:
        yield path, found


@cache
def _getter(path: str) -> Callable[[TuningJob], Any]:
    return attrgetter(path[1:].replace("/", ".")) if path else lambda job: job


@cache
def _checks(owner: str, kind: type[Word]) -> tuple[tuple[Feature, str | None, Test], ...]:
    """What is to be looked at in a word at some place: feature, field, and what the field's value must pass."""
    return tuple(
        (feature, field.name, field.test or _differs(kind, field.name))
        for feature, field in _FIELDS
        if field.owner == owner
        and issubclass(kind, field.kinds or Word)
        and (field.name is None or field.name in kind.model_fields)
    )


def _differs(kind: type[Word], name: str | None) -> Test:
    """Whether a value differs from the default; a word as a whole has none, and counts."""
    return partial(ne, kind.model_fields[name].default if name is not None else None)


def _searched(job: TuningJob) -> Iterator[tuple[Feature, str]]:
    return ((feature, place) for feature, search in _SEARCHES for place in search(job))


def _used_by_variants(job: TuningJob) -> Iterator[tuple[Feature, str]]:
    """What the fields of variants use; ways to run are judged by what the whole trial becomes."""
    for index, variant in enumerate(job.trial.variants):
        given = dict(variant.changes())
        condition = {variant.when.parameter: variant.when.values[0]}
        becomes = job.trial.model_copy(update={"variants": (variant,)}).under(condition)
        alone, whole = (
            job.model_copy(update={"trial": trial}) for trial in (TrialSpec.model_construct(**given), becomes)
        )
        for feature, place in (*_fields_used(alone), *_searched(whole)):
            if place.startswith("/trial/") and place.split("/")[2] in given:
                yield feature, f"/trial/variants/{index}{place.removeprefix('/trial')}"
