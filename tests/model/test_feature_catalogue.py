"""The catalogue is total: every feature has an entry, every specimen uses it, every optional field belongs to one."""

import itertools
from typing import get_args

import pytest
from pydantic import BaseModel

from tuneport.errors import JobError
from tuneport.model.feature_catalogue import CATALOGUE, is_remote
from tuneport.model.feature_usage import used
from tuneport.model.features import Feature
from tuneport.model.job import TuningJob
from tuneport.model.study import Constraint, Plugin
from tuneport.model.word import Word

UNAVOIDABLE = {
    Feature.PARAMETER_FLOAT,
    Feature.ALGORITHM_BAYESIAN,
    Feature.BUDGET_MAX_TRIALS,
    Feature.TRIAL_COMMAND,
    Feature.TRIAL_METRIC_REPORTS,
}
"""What the plainest job uses."""
ALONE = {"schema_version", "kind"}
"""Fields that are no features: the format's number, and what tells alternatives apart (each has its own feature)."""
WHOLE = {"inputs", "output", "warm_start", "variants", "constraints"}
"""Fields that hold words and are features themselves; of other words, the fields are."""
AS_ONE = {Constraint, Plugin}
"""Words that are one feature, whatever their fields say."""
CANDIDATES = [
    1, 2, 0.3, 3, 12, True, "best", "promotion", "sagemaker", "convex", "log", "identical", "stream", "flag",
    "a", "a:b",
    ["a"], ["--x"],
    {"k": "v"}, {"native": {"x": 1}}, [{"name": "t", "uri": "data"}], {"uri": "out"},
    [{"metric": "latency", "at_most": 1}],
    [{"run": "a:b"}], [{"when": {"parameter": "x", "values": ["a"]}}],
]  # fmt: skip


def test_every_feature_has_an_entry():
    assert set(CATALOGUE) == set(Feature)
    assert all(entry.says and entry.weight in {"material", "cosmetic"} for entry in CATALOGUE.values())
    assert len({entry.says for entry in CATALOGUE.values()}) == len(CATALOGUE)


@pytest.mark.parametrize("feature", Feature)
def test_a_specimen_uses_its_feature_and_little_else(feature):
    specimen = CATALOGUE[feature].specimen()
    found = used(specimen)
    assert feature in found
    assert len(found.keys() - UNAVOIDABLE - {feature}) <= 4
    for pointer in itertools.chain(*found.values()):
        resolve(specimen.model_dump(), pointer)


def test_the_plainest_job_uses_what_cannot_be_avoided():
    assert used(CATALOGUE[Feature.PARAMETER_FLOAT].specimen()).keys() == UNAVOIDABLE


def optional_fields():
    """Every word below a job with every field that has a default."""
    seen, waiting = set(), [TuningJob]
    while waiting:
        word = waiting.pop()
        if word in seen or word in AS_ONE:
            continue
        seen.add(word)
        for name, info in word.model_fields.items():
            parts = words_in(info.annotation)
            waiting += [part for part in parts if name != "variants"]
            if not info.is_required() and name not in ALONE and (not parts or name in WHOLE):
                yield word, name


def words_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [word for part in get_args(annotation) for word in words_in(part)]


@pytest.mark.parametrize(
    ("word", "field"), list(optional_fields()), ids=lambda value: getattr(value, "__name__", value)
)
def test_every_optional_field_belongs_to_a_feature(word, field):
    changed = list(jobs_with(word, field))
    assert changed, "no specimen could be given another value there"
    assert all(any(pointer.startswith(place) for pointer in pointers) for place, pointers in changed)


def jobs_with(word, field):
    """Specimens in which the field of some such word is given; its place, and all pointers of features."""
    for entry in CATALOGUE.values():
        specimen = entry.specimen()
        for place, found in places(specimen):
            if type(found) is not word:
                continue
            for value in CANDIDATES:
                data = specimen.model_dump(mode="json")
                data["trial"]["resumable"] = True  # or else nothing may pause
                resolve(data, place)[field] = value
                try:
                    job = TuningJob.model_validate(data)
                except JobError:
                    continue
                here = resolve_word(job, place)
                if getattr(here, field) != word.model_fields[field].default:
                    yield f"{place}/{field}", [*itertools.chain(*used(job).values())]
                    return


def places(word, here=""):
    yield here, word
    for name in type(word).model_fields:
        value = getattr(word, name)
        if isinstance(value, Word):
            yield from places(value, f"{here}/{name}")
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Word):
                    yield from places(item, f"{here}/{name}/{index}")


def resolve(data, pointer):
    for part in pointer.split("/")[1:]:
        data = data[int(part)] if isinstance(data, (list, tuple)) else data[part]
    return data


def resolve_word(word, pointer):
    for part in pointer.split("/")[1:]:
        word = word[int(part)] if isinstance(word, tuple) else getattr(word, part)
    return word


@pytest.mark.parametrize("uri", ["s3://b/k", "GS://b", "obs://b", "https://x"])
def test_what_is_remote(uri):
    assert is_remote(uri)


@pytest.mark.parametrize("uri", ["data/x", "/data", "file:///data", "FILE:///data", "C:/x", ""])
def test_what_is_local(uri):
    assert not is_remote(uri)
