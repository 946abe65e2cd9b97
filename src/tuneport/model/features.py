"""The catalogue of what a job can ask for: per feature where a job uses it, how much depends on it, and a specimen.

Capabilities of backends, reports of translations and the conformance tests all speak in these words.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, Literal, TypeAlias

from tuneport.model.job import TuningJob
from tuneport.model.parameters import Categorical, Discrete, Float, Int
from tuneport.model.study import (
    Anneal,
    Asha,
    AutoStopping,
    Bayesian,
    CurveStopping,
    Grid,
    Hyperband,
    MedianStopping,
    Random,
    Sobol,
    Tpe,
)
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
    ALGORITHM_SEED = auto()

    EARLY_STOPPING_MEDIAN = auto()
    EARLY_STOPPING_MEDIAN_OPTIONS = auto()
    EARLY_STOPPING_ASHA = auto()
    EARLY_STOPPING_ASHA_OPTIONS = auto()
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
Uses: TypeAlias = Callable[[TuningJob], Iterator[str]]
"""JSON pointers of the places where a job uses a feature."""
Test: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue knows of one feature.

    Attributes:
        says: what a job that uses it asks for, in a few words.
        uses: finds the places where a job uses it.
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
    found = {feature: list(entry.uses(job)) for feature, entry in CATALOGUE.items()}
    return {feature: pointers for feature, pointers in found.items() if pointers}


def is_remote(uri: str) -> bool:
    """Whether a URI means something else than a path of this machine."""
    return _REMOTE.match(uri) is not None


_REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)

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


def _field(pointer: str, test: Test | None = None) -> Uses:
    """Where a field such as "/study/parameters/*/when" passes the test or, without one, differs from its default."""
    path = pointer.strip("/").split("/")
    return lambda job: _matches(job, path, "", test)


def _matches(word: Any, path: list[str], here: str, test: Test | None) -> Iterator[str]:
    head, *rest = path
    if head == "*":
        for index, item in enumerate(word):
            yield from _matches(item, rest, f"{here}/{index}", test)
    elif rest:
        if (value := getattr(word, head)) is not None:
            yield from _matches(value, rest, f"{here}/{head}", test)
    elif (info := type(word).model_fields.get(head)) is not None:
        value = getattr(word, head)
        if test(value) if test is not None else value != info.default:
            yield f"{here}/{head}"


def _parameter(*kinds: type[Word], field: str | None = None, test: Test | None = None) -> Uses:
    """Parameters of these kinds, or their field that passes the test or, without one, differs from its default."""

    def uses(job: TuningJob) -> Iterator[str]:
        for index, parameter in enumerate(job.study.parameters):
            if isinstance(parameter, kinds):
                here = f"/study/parameters/{index}"
                yield from [here] if field is None else _matches(parameter, [field], here, test)

    return uses


def _scale(kinds: tuple[type[Word], ...], *scales: str) -> Uses:
    return _parameter(*kinds, field="scale", test=lambda scale: scale in scales)


def _choices(*types: type) -> Uses:
    return _parameter(
        Categorical, field="choices", test=lambda choices: any(type(choice) in types for choice in choices)
    )


def _nested_conditions(job: TuningJob) -> Iterator[str]:
    conditional = {parameter.name for parameter in job.study.parameters if parameter.when is not None}
    return _field("/study/parameters/*/when", lambda when: when is not None and when.parameter in conditional)(job)


def _same_names(job: TuningJob) -> Iterator[str]:
    counts = Counter(parameter.name for parameter in job.study.parameters)
    return _field("/study/parameters/*/name", lambda name: counts[name] > 1)(job)


def _several_objectives(job: TuningJob) -> Iterator[str]:
    return (f"/study/objectives/{index}" for index in range(1, len(job.study.objectives)))


def _reported_metrics(job: TuningJob) -> Iterator[str]:
    return _field("/study/objectives/*/metric", lambda metric: metric not in job.trial.metrics)(job)


def _running(*fields: str) -> Uses:
    """Jobs that run a command, a module or an image, or two of them: just these fields are given."""

    def uses(job: TuningJob) -> Iterator[str]:
        given = {field for field in ("image", "command", "module") if getattr(job.trial, field) is not None}
        return (f"/trial/{field}" for field in fields if given == set(fields))

    return uses


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
    name = kind.model_fields["kind"].default
    return _set(says, pointer, {"kind": name}, lambda value: isinstance(value, kind))


def _options(says: str, pointer: str, kind: type[Word], **options: Any) -> Entry:
    """Fields of an algorithm or stopping rule that are not left at their defaults."""
    chosen = _field(pointer, lambda value: isinstance(value, kind))
    options_of = [_field(f"{pointer}/{name}") for name in kind.model_fields if name not in {"kind", "seed"}]

    def uses(job: TuningJob) -> Iterator[str]:
        if any(chosen(job)):
            for option in options_of:
                yield from option(job)

    return Entry(says, uses, {pointer: {"kind": kind.model_fields["kind"].default, **options}})


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
    _F.ALGORITHM_SEED: _set("repeatable suggestions", f"{_ALGORITHM}/seed", 0),
    _F.EARLY_STOPPING_MEDIAN: _chosen("stopping below the median", _STOPPING, MedianStopping),
    _F.EARLY_STOPPING_MEDIAN_OPTIONS: _options("options of the median rule", _STOPPING, MedianStopping, min_steps=3),
    _F.EARLY_STOPPING_ASHA: _chosen("asynchronous successive halving", _STOPPING, Asha),
    _F.EARLY_STOPPING_ASHA_OPTIONS: _options("options of successive halving", _STOPPING, Asha, max_resource=27),
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
        lambda job: (
            pointer for name in ("subnets", "security_groups") for pointer in _field(f"/trial/network/{name}")(job)
        ),
        {"/trial/network": {"subnets": ["subnet-1"], "security_groups": ["sg-1"]}},
    ),
    _F.TRIAL_NETWORK_ISOLATED: _set("no connections to the outside", "/trial/network/isolated", True),
    _F.TRIAL_NETWORK_ENCRYPTED: _set("encrypted traffic between replicas", "/trial/network/encrypted", True),
    _F.TRIAL_ENCRYPTION_KEY: _set("an own key for what is kept", "/trial/encryption/key", "key"),
    _F.TRIAL_ENCRYPTION_DISK_KEY: _set("an own key for disks", "/trial/encryption/disk_key", "key"),
    _F.TRIAL_METRIC_REPORTS: Entry("metrics that the trainer reports", _reported_metrics, {}),
    _F.TRIAL_METRIC_PATTERNS: _set("metrics found in the output", "/trial/metrics", {"score": "score=(\\S+)"}),
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
    _F.DESCRIPTION: _set("a description", "/description", "a first try", weight="cosmetic"),
    _F.EXPERIMENT: Entry(
        "an experiment that it belongs to",
        lambda job: (pointer for name in ("name", "run") for pointer in _field(f"/experiment/{name}")(job)),
        {"/experiment": {"name": "digits"}},
        "cosmetic",
    ),
    _F.EXPERIMENT_TENSORBOARD: _set("a TensorBoard instance", "/experiment/tensorboard", "board", weight="cosmetic"),
    _F.LABELS: _set("labels", "/labels", {"team": "vision"}, weight="cosmetic"),
    _F.NATIVE: _set("what only one cloud understands", "/native", {"vertex": {"encryptionSpec": {}}}),
}
