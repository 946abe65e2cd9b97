"""The catalogue of what a job can ask for: per feature where a job uses it, how much depends on it, and a specimen.

Capabilities of backends, reports of translations and the conformance tests all speak in these words.
"""

from __future__ import annotations

import copy
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from functools import cache, partial
from operator import attrgetter, ne
from typing import Any, Literal, TypeAlias

from tuneport.model.job import TuningJob
from tuneport.model.parameters import Categorical, Discrete, Float, Int
from tuneport.model.study import (
    Anneal,
    Asha,
    Auto,
    AutoStopping,
    Bayesian,
    CmaEs,
    CurveStopping,
    Grid,
    Hyperband,
    MedianStopping,
    Pbt,
    Plugin,
    Random,
    Sobol,
    Tpe,
)
from tuneport.model.trial_spec import TrialSpec
from tuneport.model.word import Word


class Feature(StrEnum):
    """Something that a job can ask for and that a backend may or may not be able to do."""

    PARAMETER_FLOAT = auto()
    PARAMETER_FLOAT_LOG = auto()
    PARAMETER_FLOAT_REVERSE_LOG = auto()
    PARAMETER_FLOAT_STEP = auto()
    PARAMETER_INT = auto()
    PARAMETER_INT_LOG = auto()
    PARAMETER_INT_REVERSE_LOG = auto()
    PARAMETER_INT_STEP = auto()
    PARAMETER_SCALE_AUTO = auto()
    PARAMETER_DISCRETE = auto()
    PARAMETER_DISCRETE_SCALE = auto()
    PARAMETER_CATEGORICAL_TEXT = auto()
    PARAMETER_CATEGORICAL_NUMBER = auto()
    PARAMETER_CATEGORICAL_BOOL = auto()
    PARAMETER_DEFAULT = auto()
    PARAMETER_CONDITION = auto()
    PARAMETER_CONDITION_NESTED = auto()
    PARAMETER_SAME_NAME = auto()

    OBJECTIVE_SEVERAL = auto()
    OBJECTIVE_TARGET = auto()
    OBJECTIVE_CONSTRAINT = auto()
    OBJECTIVE_CONSTRAINT_RANGE = auto()
    OBJECTIVE_CONSTRAINT_OPTIMISED = auto()

    ALGORITHM_RANDOM = auto()
    ALGORITHM_GRID = auto()
    ALGORITHM_SOBOL = auto()
    ALGORITHM_BAYESIAN = auto()
    ALGORITHM_BAYESIAN_OPTIONS = auto()
    ALGORITHM_TPE = auto()
    ALGORITHM_TPE_OPTIONS = auto()
    ALGORITHM_ANNEAL = auto()
    ALGORITHM_ANNEAL_OPTIONS = auto()
    ALGORITHM_HYPERBAND = auto()
    ALGORITHM_HYPERBAND_OPTIONS = auto()
    ALGORITHM_CMAES = auto()
    ALGORITHM_CMAES_OPTIONS = auto()
    ALGORITHM_PBT = auto()
    ALGORITHM_PBT_OPTIONS = auto()
    ALGORITHM_PLUGIN = auto()
    ALGORITHM_AUTO = auto()
    ALGORITHM_SEED = auto()

    EARLY_STOPPING_MEDIAN = auto()
    EARLY_STOPPING_MEDIAN_OPTIONS = auto()
    EARLY_STOPPING_ASHA = auto()
    EARLY_STOPPING_ASHA_OPTIONS = auto()
    EARLY_STOPPING_PROMOTION = auto()
    EARLY_STOPPING_CURVE = auto()
    EARLY_STOPPING_CURVE_OPTIONS = auto()
    EARLY_STOPPING_AUTO = auto()

    MEASUREMENT_BEST = auto()

    BUDGET_MAX_TRIALS = auto()
    BUDGET_ANY_TRIALS = auto()
    BUDGET_PARALLEL_TRIALS = auto()
    BUDGET_MAX_FAILED_TRIALS = auto()
    BUDGET_MAX_SECONDS = auto()
    BUDGET_NO_IMPROVEMENT = auto()
    BUDGET_MAX_COST = auto()

    TRIAL_COMMAND = auto()
    TRIAL_IMAGE = auto()
    TRIAL_IMAGE_COMMAND = auto()
    TRIAL_IMAGE_MODULE = auto()
    TRIAL_MODULE = auto()
    TRIAL_PACKAGE_LOCAL = auto()
    TRIAL_PACKAGE_REMOTE = auto()
    TRIAL_FUNCTION = auto()
    TRIAL_ALGORITHM = auto()
    TRIAL_VARIANTS = auto()
    TRIAL_VARIANT_METRIC = auto()
    TRIAL_ARGS = auto()
    TRIAL_FIXED_PARAMETERS = auto()
    TRIAL_ENV = auto()
    TRIAL_INPUTS_LOCAL = auto()
    TRIAL_INPUTS_REMOTE = auto()
    TRIAL_INPUTS_FORMAT = auto()
    TRIAL_INPUTS_MODE = auto()
    TRIAL_INPUTS_SHARDED = auto()
    TRIAL_INPUTS_WRITABLE = auto()
    TRIAL_INPUTS_PATH = auto()
    TRIAL_TOLD_BY = auto()
    TRIAL_OUTPUT_LOCAL = auto()
    TRIAL_OUTPUT_REMOTE = auto()
    TRIAL_TIMEOUT = auto()
    TRIAL_RETRIES = auto()
    TRIAL_SPOT = auto()
    TRIAL_MAX_WAIT = auto()
    TRIAL_IDENTITY = auto()
    TRIAL_NETWORK_NAME = auto()
    TRIAL_NETWORK_SUBNETS = auto()
    TRIAL_NETWORK_ISOLATED = auto()
    TRIAL_NETWORK_ENCRYPTED = auto()
    TRIAL_ENCRYPTION_KEY = auto()
    TRIAL_ENCRYPTION_DISK_KEY = auto()
    TRIAL_METRIC_REPORTS = auto()
    TRIAL_METRIC_PATTERNS = auto()
    TRIAL_WARM_WORKERS = auto()
    TRIAL_PRELOAD = auto()
    TRIAL_RESUMABLE = auto()

    RESOURCES_GPUS = auto()
    RESOURCES_GPU_SHARE = auto()
    RESOURCES_GPU_TYPE = auto()
    RESOURCES_GPU_MEMORY = auto()
    RESOURCES_CPUS = auto()
    RESOURCES_MEMORY = auto()
    RESOURCES_DISK = auto()
    RESOURCES_REPLICAS = auto()
    RESOURCES_MACHINE = auto()
    RESOURCES_POOL = auto()

    WARM_START_TRANSFER = auto()
    WARM_START_IDENTICAL = auto()

    DESCRIPTION = auto()
    EXPERIMENT = auto()
    EXPERIMENT_TENSORBOARD = auto()
    LABELS = auto()
    NATIVE = auto()


Weight: TypeAlias = Literal["material", "cosmetic"]
"""`material`: results or costs depend on it. `cosmetic`: they do not."""
Test: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the words at some place of a job, or such a word itself.

    Attributes:
        owner: JSON pointer of the word, or of several as in "/study/parameters/*".
        name: the field; None: the word itself counts.
        test: what its value must pass to count; None: it counts when it differs from its default.
        kinds: words of these types only; empty: of any that have the field.
    """

    owner: str
    name: str | None = None
    test: Test | None = None
    kinds: tuple[type[Word], ...] = ()


Search: TypeAlias = Callable[[TuningJob], Iterable[str]]
"""JSON pointers of the places where a job uses a feature, where that is more than a matter of single fields."""
Uses: TypeAlias = tuple[Field, ...] | Search


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue knows of one feature.

    Attributes:
        says: what a job that uses it asks for, in a few words.
        uses: the fields that use it, or what finds the places where a job does.
        changes: JSON pointer to value; laid over the plainest job, they make one that uses it.
        weight: whether results or costs depend on it.
    """

    says: str
    uses: Uses
    changes: Mapping[str, Any]
    weight: Weight = "material"

    def specimen(self) -> TuningJob:
        """A job that uses the feature and as little else as possible."""
        data = copy.deepcopy(_PLAINEST)
        for pointer, value in self.changes.items():
            *parents, last = pointer.strip("/").split("/")
            here = data
            for part in parents:
                here = here.setdefault(part, {})
            here[last] = value
        return TuningJob.model_validate(data)


def used(job: TuningJob) -> dict[Feature, list[str]]:
    """Every feature that the job uses, with the JSON pointers of the places."""
    found: defaultdict[Feature, list[str]] = defaultdict(list)
    for feature, place in (*_fields_used(job), *_searched(job), *_used_by_variants(job)):
        found[feature].append(place)
    return {feature: found[feature] for feature in sorted(found, key=_ranks().__getitem__)}


def _fields_used(job: TuningJob) -> list[tuple[Feature, str]]:
    found = []
    for owner, words in _owners().items():
        for here, word in words(job):
            values = word.__dict__
            found += [
                (feature, here if name is None else f"{here}/{name}")
                for feature, name, counts in _checks(owner, type(word))
                if name is None or counts(values[name])
            ]
    return found


def _searched(job: TuningJob) -> Iterator[tuple[Feature, str]]:
    for feature, search in _searches():
        for place in search(job):
            yield feature, place


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


def pausing(job: TuningJob) -> list[str]:
    """JSON pointers of the words for which trials pause, to go on from their checkpoints later."""
    found = used(job)
    return [*found.get(Feature.ALGORITHM_PBT, ()), *found.get(Feature.EARLY_STOPPING_PROMOTION, ())]


def is_remote(uri: str) -> bool:
    """Whether a URI means something else than a path of this machine; so does a placeholder such as ${DATA}."""
    return _REMOTE.match(uri) is not None


_REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://|\$\{", re.IGNORECASE)

_IMAGE = "registry.example/train:1"

_PLAINEST: dict[str, Any] = {
    "name": "specimen",
    "study": {
        "parameters": [{"name": "x", "kind": "float", "low": 0.5, "high": 2}],
        "objectives": [{"metric": "score", "goal": "maximize"}],
        "algorithm": {"kind": "bayesian"},
    },
    "trial": {"command": ["train"]},
}

# ---- where a job uses a feature -------------------------------------------------------------------------------------


def _field(pointer: str, test: Test | None = None, *kinds: type[Word]) -> tuple[Field, ...]:
    """A field such as "/study/parameters/*/when"."""
    owner, _, name = pointer.rpartition("/")
    return (Field(owner, name, test, kinds),)


def _parameter(*kinds: type[Word], field: str | None = None, test: Test | None = None) -> tuple[Field, ...]:
    """Parameters of these kinds, or a field of theirs."""
    return (Field("/study/parameters/*", field, test, kinds),)


def _scale(kinds: tuple[type[Word], ...], *scales: str) -> tuple[Field, ...]:
    return _parameter(*kinds, field="scale", test=frozenset(scales).__contains__)


def _choices(*types: type) -> tuple[Field, ...]:
    return _parameter(
        Categorical, field="choices", test=lambda choices: any(type(choice) in types for choice in choices)
    )


def _nested_conditions(job: TuningJob) -> Iterator[str]:
    conditional = {parameter.name for parameter in job.study.parameters if parameter.when is not None}
    for index, parameter in enumerate(job.study.parameters if conditional else ()):
        if parameter.when is not None and parameter.when.parameter in conditional:
            yield f"/study/parameters/{index}/when"


def _same_names(job: TuningJob) -> Iterator[str]:
    names = [parameter.name for parameter in job.study.parameters]
    if len(set(names)) < len(names):
        counts = Counter(names)
        yield from (f"/study/parameters/{index}/name" for index, name in enumerate(names) if counts[name] > 1)


def _several_objectives(job: TuningJob) -> Iterator[str]:
    return (f"/study/objectives/{index}" for index in range(1, len(job.study.objectives)))


def _ranges(job: TuningJob) -> Iterator[str]:
    for index, bound in enumerate(job.study.constraints):
        if bound.at_least is not None and bound.at_most is not None:
            yield f"/study/constraints/{index}/at_most"


def _optimised_bounds(job: TuningJob) -> Iterator[str]:
    names = {objective.metric for objective in job.study.objectives}
    for index, bound in enumerate(job.study.constraints):
        if bound.metric in names:
            yield f"/study/constraints/{index}/metric"


def _reported_metrics(job: TuningJob) -> Iterator[str]:
    for index, objective in enumerate(job.study.objectives):
        if objective.metric not in job.trial.metrics:
            yield f"/study/objectives/{index}/metric"


def _running(*fields: str) -> Search:
    """Jobs that run a command, a module or an image, or two of them: just these fields are given."""
    image, command, module = ("image" in fields, "command" in fields, "module" in fields)
    pointers = [f"/trial/{field}" for field in fields]

    def search(job: TuningJob) -> Iterable[str]:
        trial = job.trial
        exactly = (
            (trial.image is not None) is image
            and (trial.command is not None) is command
            and (trial.module is not None) is module
        )
        return pointers if exactly else ()

    return search


def _local(uri: str | None) -> bool:
    return uri is not None and not is_remote(uri)


def _remote(uri: str | None) -> bool:
    return uri is not None and is_remote(uri)


# ---- entries of one form --------------------------------------------------------------------------------------------


def _set(says: str, pointer: str, value: Any, test: Test | None = None, weight: Weight = "material") -> Entry:
    """A single field: used where it passes the test or differs from its default, and set by the specimen."""
    return Entry(says, _field(pointer, test), {pointer: value}, weight)


def _space(says: str, uses: Uses, *parameters: Mapping[str, Any]) -> Entry:
    """A kind of search space."""
    return Entry(says, uses, {"/study/parameters": [{"name": "x", **parameter} for parameter in parameters]})


def _chosen(says: str, pointer: str, kind: type[Word]) -> Entry:
    """An algorithm or stopping rule."""
    return Entry(says, (Field(pointer, kinds=(kind,)),), {pointer: {"kind": kind.model_fields["kind"].default}})


def _options(says: str, pointer: str, kind: type[Word], **options: Any) -> Entry:
    """Fields of an algorithm or stopping rule that are not left at their defaults."""
    fields = tuple(Field(pointer, name, kinds=(kind,)) for name in kind.model_fields if name not in _APART)
    return Entry(says, fields, {pointer: {"kind": kind.model_fields["kind"].default, **options}})


def _pausing(entry: Entry) -> Entry:
    """Something for which trials pause: the specimen's trainer goes on from its checkpoint."""
    return replace(entry, changes={**entry.changes, "/trial/resumable": True})


def _program(says: str, pointer: str, test: Test | None = None, **trial: Any) -> Entry:
    """Something to run instead of the plainest job's command."""
    return Entry(says, _field(pointer, test), {"/trial": trial})


def _input(says: str, field: str, value: Any, *, uri: str = "s3://bucket/train/", weight: Weight = "material") -> Entry:
    """A property of an input."""
    channel = {"name": "train", "uri": uri, field: value}
    return Entry(says, _field(f"/trial/inputs/*/{field}"), {"/trial/inputs": [channel]}, weight)


def _variants(says: str, field: str, **change: Any) -> Entry:
    """A variant of the trial."""
    variant = {"when": {"parameter": "x", "values": ["b"]}, **change}
    test = None if field == "metric" else lambda condition: condition is not None
    return Entry(
        says,
        _field(f"/trial/variants/*/{field}", test),
        {"/study/parameters": [{"name": "x", **_AB}], "/trial": {"image": _IMAGE, "variants": [variant]}},
    )


_FLOAT = {"kind": "float", "low": 0.5, "high": 2}
_INT = {"kind": "int", "low": 1, "high": 8}
_DISCRETE = {"kind": "discrete", "values": [1, 2.5, 10]}
_AB = {"kind": "categorical", "choices": ["a", "b"]}
_ON_A = {**_INT, "name": "y", "when": {"parameter": "x", "values": ["a"]}}
_ON_B = {**_INT, "name": "y", "when": {"parameter": "x", "values": ["b"]}}
_ON_Y = {**_INT, "name": "z", "when": {"parameter": "y", "values": [1]}}
_SCORE = {"metric": "score", "goal": "maximize"}
_SIZE = {"metric": "size", "goal": "minimize"}
_APART = {"kind", "seed", "form"}
"""Fields of algorithms and stopping rules that are no options, but features of their own."""
_ALGORITHM = "/study/algorithm"
_STOPPING = "/study/early_stopping"
_F = Feature

CATALOGUE: Mapping[Feature, Entry] = {
    _F.PARAMETER_FLOAT: _space("a real number in a range", _parameter(Float), _FLOAT),
    _F.PARAMETER_FLOAT_LOG: _space(
        "a real number measured by its logarithm", _scale((Float,), "log"), {**_FLOAT, "scale": "log"}
    ),
    _F.PARAMETER_FLOAT_REVERSE_LOG: _space(
        "a real number measured finest near its upper end",
        _scale((Float,), "reverse_log"),
        {**_FLOAT, "scale": "reverse_log"},
    ),
    _F.PARAMETER_FLOAT_STEP: _space(
        "a real number in steps", _parameter(Float, field="step"), {**_FLOAT, "step": 0.25}
    ),
    _F.PARAMETER_INT: _space("a whole number in a range", _parameter(Int), _INT),
    _F.PARAMETER_INT_LOG: _space(
        "a whole number measured by its logarithm", _scale((Int,), "log"), {**_INT, "scale": "log"}
    ),
    _F.PARAMETER_INT_REVERSE_LOG: _space(
        "a whole number measured finest near its upper end",
        _scale((Int,), "reverse_log"),
        {**_INT, "scale": "reverse_log"},
    ),
    _F.PARAMETER_INT_STEP: _space("a whole number in steps", _parameter(Int, field="step"), {**_INT, "step": 2}),
    _F.PARAMETER_SCALE_AUTO: _space(
        "a range measured as the backend likes", _scale((Float, Int), "auto"), {**_FLOAT, "scale": "auto"}
    ),
    _F.PARAMETER_DISCRETE: _space("one of some ordered numbers", _parameter(Discrete), _DISCRETE),
    _F.PARAMETER_DISCRETE_SCALE: _space(
        "ordered numbers not measured evenly",
        _scale((Discrete,), "log", "reverse_log", "auto"),
        {**_DISCRETE, "scale": "log"},
    ),
    _F.PARAMETER_CATEGORICAL_TEXT: _space("one of some texts", _choices(str), _AB),
    _F.PARAMETER_CATEGORICAL_NUMBER: _space(
        "one of some numbers without order", _choices(int, float), {**_AB, "choices": [3, 1.5]}
    ),
    _F.PARAMETER_CATEGORICAL_BOOL: _space("true or false", _choices(bool), {**_AB, "choices": [True, False]}),
    _F.PARAMETER_DEFAULT: _space(
        "a value for the first trial", _field("/study/parameters/*/default"), {**_FLOAT, "default": 1}
    ),
    _F.PARAMETER_CONDITION: _space(
        "a parameter that some values of another switch on", _field("/study/parameters/*/when"), _AB, _ON_A
    ),
    _F.PARAMETER_CONDITION_NESTED: _space(
        "a condition on a parameter that has one itself", _nested_conditions, _AB, _ON_A, _ON_Y
    ),
    _F.PARAMETER_SAME_NAME: _space("one name in several branches", _same_names, _AB, _ON_A, _ON_B),
    _F.OBJECTIVE_SEVERAL: Entry("more than one objective", _several_objectives, {"/study/objectives": [_SCORE, _SIZE]}),
    _F.OBJECTIVE_TARGET: Entry(
        "a value that ends the run",
        _field("/study/objectives/*/target"),
        {"/study/objectives": [{**_SCORE, "target": 0.9}]},
    ),
    _F.OBJECTIVE_CONSTRAINT: _set(
        "a bound that another metric must keep", "/study/constraints", [{"metric": "latency", "at_most": 0.1}]
    ),
    _F.OBJECTIVE_CONSTRAINT_RANGE: Entry(
        "a bound on both sides of a metric",
        _ranges,
        {"/study/constraints": [{"metric": "latency", "at_least": 0.01, "at_most": 0.1}]},
    ),
    _F.OBJECTIVE_CONSTRAINT_OPTIMISED: Entry(
        "a bound on a metric that is optimised as well",
        _optimised_bounds,
        {"/study/constraints": [{"metric": "score", "at_least": 0.5}]},
    ),
    _F.ALGORITHM_RANDOM: _chosen("independent draws", _ALGORITHM, Random),
    _F.ALGORITHM_GRID: Entry(
        "every combination once",
        _field(_ALGORITHM, lambda value: isinstance(value, Grid)),
        {"/study/parameters": [{"name": "x", **_INT}], _ALGORITHM: {"kind": "grid"}},
    ),
    _F.ALGORITHM_SOBOL: _chosen("a Sobol sequence", _ALGORITHM, Sobol),
    _F.ALGORITHM_BAYESIAN: _chosen("Bayesian optimisation", _ALGORITHM, Bayesian),
    _F.ALGORITHM_BAYESIAN_OPTIONS: _options("options of Bayesian optimisation", _ALGORITHM, Bayesian, initial_trials=5),
    _F.ALGORITHM_TPE: _chosen("a tree-structured Parzen estimator", _ALGORITHM, Tpe),
    _F.ALGORITHM_TPE_OPTIONS: _options("options of the Parzen estimator", _ALGORITHM, Tpe, gamma=0.2),
    _F.ALGORITHM_ANNEAL: _chosen("simulated annealing", _ALGORITHM, Anneal),
    _F.ALGORITHM_ANNEAL_OPTIONS: _options("options of simulated annealing", _ALGORITHM, Anneal, shrink=0.2),
    _F.ALGORITHM_HYPERBAND: _chosen("Hyperband", _ALGORITHM, Hyperband),
    _F.ALGORITHM_HYPERBAND_OPTIONS: _options("options of Hyperband", _ALGORITHM, Hyperband, max_resource=27),
    _F.ALGORITHM_CMAES: _chosen("covariance matrix adaptation", _ALGORITHM, CmaEs),
    _F.ALGORITHM_CMAES_OPTIONS: _options(
        "options of covariance matrix adaptation", _ALGORITHM, CmaEs, population_size=12
    ),
    _F.ALGORITHM_PBT: _pausing(_chosen("population-based training", _ALGORITHM, Pbt)),
    _F.ALGORITHM_PBT_OPTIONS: _pausing(_options("options of population training", _ALGORITHM, Pbt, interval=5)),
    _F.ALGORITHM_PLUGIN: Entry(
        "a searcher of another package",
        (Field(_ALGORITHM, kinds=(Plugin,)),),
        {_ALGORITHM: {"kind": "plugin", "name": "optuna"}},
    ),
    _F.ALGORITHM_AUTO: _chosen("an algorithm that suits the job", _ALGORITHM, Auto),
    _F.ALGORITHM_SEED: _set("repeatable suggestions", f"{_ALGORITHM}/seed", 0),
    _F.EARLY_STOPPING_MEDIAN: _chosen("stopping below the median", _STOPPING, MedianStopping),
    _F.EARLY_STOPPING_MEDIAN_OPTIONS: _options("options of the median rule", _STOPPING, MedianStopping, min_steps=3),
    _F.EARLY_STOPPING_ASHA: _chosen("asynchronous successive halving", _STOPPING, Asha),
    _F.EARLY_STOPPING_ASHA_OPTIONS: _options("options of successive halving", _STOPPING, Asha, max_resource=27),
    _F.EARLY_STOPPING_PROMOTION: _pausing(
        Entry(
            "trials that pause at rungs and may be promoted later",
            (*_field(f"{_STOPPING}/form"), *_field(f"{_ALGORITHM}/form")),
            {_STOPPING: {"kind": "asha", "form": "promotion"}},
        )
    ),
    _F.EARLY_STOPPING_CURVE: _chosen("stopping by extrapolated learning curves", _STOPPING, CurveStopping),
    _F.EARLY_STOPPING_CURVE_OPTIONS: _options("options of curve stopping", _STOPPING, CurveStopping, use_elapsed=True),
    _F.EARLY_STOPPING_AUTO: _chosen("stopping as the backend likes", _STOPPING, AutoStopping),
    _F.MEASUREMENT_BEST: _set("a trial's best measurement as its result", "/study/measurement", "best"),
    _F.BUDGET_MAX_TRIALS: _set("a number of trials", "/budget/max_trials", 20, lambda value: value is not None),
    _F.BUDGET_ANY_TRIALS: Entry(
        "as many trials as other limits allow",
        _field("/budget/max_trials", lambda value: value is None),
        {"/budget": {"max_trials": None, "max_seconds": 3600}},
    ),
    _F.BUDGET_PARALLEL_TRIALS: _set("trials at the same time", "/budget/parallel_trials", 2),
    _F.BUDGET_MAX_FAILED_TRIALS: _set("a number of failed trials that ends the run", "/budget/max_failed_trials", 0),
    _F.BUDGET_MAX_SECONDS: _set("a limit on the run's time", "/budget/max_seconds", 3600),
    _F.BUDGET_NO_IMPROVEMENT: _set(
        "an end when trials do not get better", "/budget/max_trials_without_improvement", 10
    ),
    _F.BUDGET_MAX_COST: _set("a limit on money", "/budget/max_cost", 100),
    _F.TRIAL_COMMAND: Entry("a program of the machine", _running("command"), {}),
    _F.TRIAL_IMAGE: Entry("a container image as it is", _running("image"), {"/trial": {"image": _IMAGE}}),
    _F.TRIAL_IMAGE_COMMAND: Entry(
        "a container image with a command",
        _running("image", "command"),
        {"/trial": {"image": _IMAGE, "command": ["train"]}},
    ),
    _F.TRIAL_IMAGE_MODULE: Entry(
        "a Python module inside a container image",
        _running("image", "module"),
        {"/trial": {"image": _IMAGE, "module": "train"}},
    ),
    _F.TRIAL_MODULE: Entry("an installed Python module", _running("module"), {"/trial": {"module": "train"}}),
    _F.TRIAL_PACKAGE_LOCAL: _program(
        "a Python package of this machine", "/trial/package", _local, module="train", package="dist/train.whl"
    ),
    _F.TRIAL_PACKAGE_REMOTE: _program(
        "a Python package from elsewhere", "/trial/package", _remote, module="train", package="gs://bucket/train.tar.gz"
    ),
    _F.TRIAL_FUNCTION: _program("a Python function", "/trial/function", function="train:objective"),
    _F.TRIAL_ALGORITHM: _program("an algorithm that a cloud keeps", "/trial/algorithm", algorithm="kmeans"),
    _F.TRIAL_VARIANTS: _variants("parts of the trial that a parameter chooses", "when", image="registry.example/b:1"),
    _F.TRIAL_VARIANT_METRIC: _variants("a metric whose name a parameter chooses", "metric", metric="b_score"),
    _F.TRIAL_ARGS: _set("arguments", "/trial/args", ["--epochs=20"]),
    _F.TRIAL_FIXED_PARAMETERS: _set("fixed parameters", "/trial/parameters", {"dropout": 0.1}),
    _F.TRIAL_ENV: _set("environment variables", "/trial/env", {"OMP_NUM_THREADS": "4"}),
    _F.TRIAL_INPUTS_LOCAL: Entry(
        "data of this machine",
        _field("/trial/inputs/*/uri", _local),
        {"/trial/inputs": [{"name": "train", "uri": "data/train"}]},
    ),
    _F.TRIAL_INPUTS_REMOTE: Entry(
        "data from elsewhere",
        _field("/trial/inputs/*/uri", _remote),
        {"/trial/inputs": [{"name": "train", "uri": "s3://bucket/train/"}]},
    ),
    _F.TRIAL_INPUTS_FORMAT: _input("a format of data", "content_type", "text/csv", weight="cosmetic"),
    _F.TRIAL_INPUTS_MODE: _input("data copied, streamed or mounted", "mode", "stream"),
    _F.TRIAL_INPUTS_SHARDED: _input("data divided among replicas", "sharded", True),
    _F.TRIAL_INPUTS_WRITABLE: _input("data that trials may change", "writable", True, uri="nfs://10.0.0.2/data"),
    _F.TRIAL_INPUTS_PATH: _input("data at a certain path", "path", "data", uri="nfs://10.0.0.2/data"),
    _F.TRIAL_TOLD_BY: Entry(
        "places told by a flag or a variable of their name",
        (*_field("/trial/inputs/*/told_by"), *_field("/trial/output/told_by"), *_field("/trial/output/name")),
        {"/trial/inputs": [{"name": "train", "uri": "s3://bucket/train/", "told_by": "variable"}]},
    ),
    _F.TRIAL_OUTPUT_LOCAL: _set("results to a folder of this machine", "/trial/output/uri", "results", _local),
    _F.TRIAL_OUTPUT_REMOTE: _set("results to elsewhere", "/trial/output/uri", "s3://bucket/results/", _remote),
    _F.TRIAL_TIMEOUT: _set("a limit on a trial's time", "/trial/timeout", 7200),
    _F.TRIAL_RETRIES: _set("more attempts after failures", "/trial/retries", 1),
    _F.TRIAL_SPOT: _set("capacity that may be taken away", "/trial/spot", True),
    _F.TRIAL_MAX_WAIT: _set("a limit on waiting for capacity", "/trial/max_wait", 7200),
    _F.TRIAL_IDENTITY: _set("an identity that trials run as", "/trial/identity", "trainer"),
    _F.TRIAL_NETWORK_NAME: _set("a private network", "/trial/network/name", "net"),
    _F.TRIAL_NETWORK_SUBNETS: Entry(
        "subnets and security groups",
        (*_field("/trial/network/subnets"), *_field("/trial/network/security_groups")),
        {"/trial/network": {"subnets": ["subnet-1"], "security_groups": ["sg-1"]}},
    ),
    _F.TRIAL_NETWORK_ISOLATED: _set("no connections to the outside", "/trial/network/isolated", True),
    _F.TRIAL_NETWORK_ENCRYPTED: _set("encrypted traffic between replicas", "/trial/network/encrypted", True),
    _F.TRIAL_ENCRYPTION_KEY: _set("an own key for what is kept", "/trial/encryption/key", "key"),
    _F.TRIAL_ENCRYPTION_DISK_KEY: _set("an own key for disks", "/trial/encryption/disk_key", "key"),
    _F.TRIAL_METRIC_REPORTS: Entry("metrics that the trainer reports", _reported_metrics, {}),
    _F.TRIAL_METRIC_PATTERNS: _set("metrics found in the output", "/trial/metrics", {"score": "score=(\\S+)"}),
    _F.TRIAL_WARM_WORKERS: _set("trials forked from a process that is ready", "/trial/warm_workers", True),
    _F.TRIAL_PRELOAD: Entry(
        "modules that this process imports",
        _field("/trial/preload"),
        {"/trial/warm_workers": True, "/trial/preload": ["json"]},
    ),
    _F.TRIAL_RESUMABLE: _set("a trainer that goes on from its checkpoint", "/trial/resumable", True, weight="cosmetic"),
    _F.RESOURCES_GPUS: _set("GPUs", "/trial/resources/gpus", 1, lambda value: value >= 1),
    _F.RESOURCES_GPU_SHARE: _set("a share of a GPU", "/trial/resources/gpus", 0.5, lambda value: 0 < value < 1),
    _F.RESOURCES_GPU_TYPE: _set("a kind of GPU", "/trial/resources/gpu_type", "a100-40gb"),
    _F.RESOURCES_GPU_MEMORY: _set("GPU memory", "/trial/resources/gpu_memory", "8GiB"),
    _F.RESOURCES_CPUS: _set("processor cores", "/trial/resources/cpus", 1),
    _F.RESOURCES_MEMORY: _set("main memory", "/trial/resources/memory", "4GiB"),
    _F.RESOURCES_DISK: _set("disk", "/trial/resources/disk", "100GiB"),
    _F.RESOURCES_REPLICAS: _set("several machines per trial", "/trial/resources/replicas", 2),
    _F.RESOURCES_MACHINE: _set("a machine type of one cloud", "/trial/resources/machine", "n1-standard-8"),
    _F.RESOURCES_POOL: _set("reserved machines", "/trial/resources/pool", "pool-1"),
    _F.WARM_START_TRANSFER: Entry(
        "earlier runs of similar jobs to learn from",
        _field("/warm_start/*/kind", lambda kind: kind == "transfer"),
        {"/warm_start": [{"run": "local:older"}]},
    ),
    _F.WARM_START_IDENTICAL: Entry(
        "earlier runs of the same job to go on from",
        _field("/warm_start/*/kind", lambda kind: kind == "identical"),
        {"/warm_start": [{"run": "local:older", "kind": "identical"}]},
    ),
    _F.DESCRIPTION: Entry(
        "descriptions",
        tuple(
            way
            for place in ("", "/study/parameters/*", "/trial/inputs/*", "/trial/output")
            for way in _field(f"{place}/description")
        ),
        {"/description": "a first try"},
        "cosmetic",
    ),
    _F.EXPERIMENT: Entry(
        "an experiment that it belongs to",
        (*_field("/experiment/name"), *_field("/experiment/run")),
        {"/experiment": {"name": "digits"}},
        "cosmetic",
    ),
    _F.EXPERIMENT_TENSORBOARD: _set("a TensorBoard instance", "/experiment/tensorboard", "board", weight="cosmetic"),
    _F.LABELS: _set("labels", "/labels", {"team": "vision"}, weight="cosmetic"),
    _F.NATIVE: _set("what only one cloud understands", "/native", {"vertex": {"encryptionSpec": {}}}),
}

# ---- the catalogue as it is looked through --------------------------------------------------------------------------


@cache
def _owners() -> dict[str, Callable[[TuningJob], Iterator[tuple[str, Word]]]]:
    """Every place whose words have fields in the catalogue, with what finds these words and their pointers."""
    owners = {field.owner for entry in CATALOGUE.values() if isinstance(entry.uses, tuple) for field in entry.uses}
    return {owner: partial(_words, *_way(owner)) for owner in sorted(owners)}


def _way(owner: str) -> tuple[str, bool, Callable[[TuningJob], Any]]:
    path = owner.removesuffix("/*")
    return path, path != owner, attrgetter(path[1:].replace("/", ".")) if path else lambda job: job


def _words(here: str, several: bool, get: Callable[[TuningJob], Any], job: TuningJob) -> Iterator[tuple[str, Word]]:
    found = get(job)
    if several:
        yield from ((f"{here}/{index}", word) for index, word in enumerate(found))
    elif found is not None:
        yield here, found


@cache
def _checks(owner: str, kind: type[Word]) -> tuple[tuple[Feature, str | None, Test], ...]:
    """What is to be looked at in a word at some place: feature, field, and what the field's value must pass."""
    return tuple(
        (feature, field.name, field.test or _differs(kind, field.name))
        for feature, entry in CATALOGUE.items()
        for field in (entry.uses if isinstance(entry.uses, tuple) else ())
        if field.owner == owner
        and issubclass(kind, field.kinds or Word)
        and (field.name is None or field.name in kind.model_fields)
    )


def _differs(kind: type[Word], name: str | None) -> Test:
    """Whether a value differs from the default; a word as a whole has none, and counts."""
    return partial(ne, kind.model_fields[name].default if name is not None else None)


@cache
def _searches() -> tuple[tuple[Feature, Search], ...]:
    return tuple((feature, entry.uses) for feature, entry in CATALOGUE.items() if not isinstance(entry.uses, tuple))


@cache
def _ranks() -> dict[Feature, int]:
    return {feature: rank for rank, feature in enumerate(CATALOGUE)}
