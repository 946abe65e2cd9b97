"""The catalogue of features: what each of them asks for, where a job uses it, how much depends on it, and a specimen.

One entry says all that there is to know of a feature, so that what a job uses, tables of support, the weight of a loss
and the jobs of the conformance tests cannot come apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tuneport.model.features import Entry, Feature, Field, Search, Test, Uses, Weight
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
from tuneport.model.word import Word


def is_remote(uri: str) -> bool:
    """Whether a URI means something else than a path of this machine; so does a placeholder such as ${DATA}."""
    return _REMOTE.match(uri) is not None


_REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://|\$\{", re.IGNORECASE)

# ---- where a job uses a feature -------------------------------------------------------------------------------------


def _fields(*pointers: str, test: Test | None = None) -> tuple[Field, ...]:
    """Fields such as "/study/parameters/*/when"."""
    places = (pointer.rpartition("/") for pointer in pointers)
    return tuple(Field(owner, name, test) for owner, _, name in places)


def _word(pointer: str, kind: type[Word]) -> tuple[Field, ...]:
    """A word of this kind at some place."""
    return (Field(pointer, kinds=(kind,)),)


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
    for index, parameter in enumerate(job.study.parameters):
        if parameter.when is not None and parameter.when.parameter in conditional:
            yield f"/study/parameters/{index}/when"


def _same_names(job: TuningJob) -> Iterator[str]:
    counts = Counter(parameter.name for parameter in job.study.parameters)
    for index, parameter in enumerate(job.study.parameters):
        if counts[parameter.name] > 1:
            yield f"/study/parameters/{index}/name"


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
    pointers = [f"/trial/{field}" for field in fields]

    def search(job: TuningJob) -> Iterable[str]:
        given = {field for field in ("image", "command", "module") if getattr(job.trial, field) is not None}
        return pointers if given == set(fields) else ()

    return search


def _local(uri: str | None) -> bool:
    return uri is not None and not is_remote(uri)


def _remote(uri: str | None) -> bool:
    return uri is not None and is_remote(uri)


# ---- entries of one form --------------------------------------------------------------------------------------------


def _set(says: str, pointer: str, value: Any, test: Test | None = None, weight: Weight = "material") -> Entry:
    """A single field: used where it passes the test or differs from its default, and set by the specimen."""
    return Entry(says, _fields(pointer, test=test), {pointer: value}, weight)


def _space(says: str, uses: Uses, *parameters: Mapping[str, Any]) -> Entry:
    """A kind of search space."""
    return Entry(says, uses, {"/study/parameters": [{"name": "x", **parameter} for parameter in parameters]})


def _chosen(says: str, pointer: str, kind: type[Word], **given: Any) -> Entry:
    """An algorithm or stopping rule; `given` is what the specimen says of it."""
    return Entry(says, _word(pointer, kind), {pointer: {"kind": kind.model_fields["kind"].default, **given}})


def _options(says: str, pointer: str, kind: type[Word], **options: Any) -> Entry:
    """Fields of an algorithm or stopping rule that are not left at their defaults."""
    fields = tuple(Field(pointer, name, kinds=(kind,)) for name in kind.model_fields if name not in _APART)
    return replace(_chosen(says, pointer, kind, **options), uses=fields)


def _pausing(entry: Entry) -> Entry:
    """Something for which trials pause: the specimen's trainer goes on from its checkpoint."""
    return replace(entry, changes={**entry.changes, "/trial/resumable": True})


def _program(says: str, pointer: str, test: Test | None = None, **trial: Any) -> Entry:
    """Something to run instead of the plainest job's command."""
    return Entry(says, _fields(pointer, test=test), {"/trial": trial})


def _input(says: str, field: str, value: Any, *, uri: str = "s3://bucket/train/", weight: Weight = "material") -> Entry:
    """A property of an input."""
    channel = {"name": "train", "uri": uri, field: value}
    return Entry(says, _fields(f"/trial/inputs/*/{field}"), {"/trial/inputs": [channel]}, weight)


def _variants(says: str, field: str, **change: Any) -> Entry:
    """A variant of the trial."""
    variant = {"when": {"parameter": "x", "values": ["b"]}, **change}
    return Entry(
        says,
        _fields(f"/trial/variants/*/{field}"),
        {"/study/parameters": [{"name": "x", **_AB}], "/trial": {"image": _IMAGE, "variants": [variant]}},
    )


_IMAGE = "registry.example/train:1"
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
        "a value for the first trial", _fields("/study/parameters/*/default"), {**_FLOAT, "default": 1}
    ),
    _F.PARAMETER_CONDITION: _space(
        "a parameter that some values of another switch on", _fields("/study/parameters/*/when"), _AB, _ON_A
    ),
    _F.PARAMETER_CONDITION_NESTED: _space(
        "a condition on a parameter that has one itself", _nested_conditions, _AB, _ON_A, _ON_Y
    ),
    _F.PARAMETER_SAME_NAME: _space("one name in several branches", _same_names, _AB, _ON_A, _ON_B),
    _F.OBJECTIVE_SEVERAL: Entry("more than one objective", _several_objectives, {"/study/objectives": [_SCORE, _SIZE]}),
    _F.OBJECTIVE_TARGET: Entry(
        "a value that ends the run",
        _fields("/study/objectives/*/target"),
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
        _word(_ALGORITHM, Grid),
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
    _F.ALGORITHM_PLUGIN: _chosen("a searcher of another package", _ALGORITHM, Plugin, name="optuna"),
    _F.ALGORITHM_AUTO: _chosen("an algorithm that suits the job", _ALGORITHM, Auto),
    _F.ALGORITHM_SEED: _set("repeatable suggestions", f"{_ALGORITHM}/seed", 0),
    _F.EARLY_STOPPING_MEDIAN: _chosen("stopping below the median", _STOPPING, MedianStopping),
    _F.EARLY_STOPPING_MEDIAN_OPTIONS: _options("options of the median rule", _STOPPING, MedianStopping, min_steps=3),
    _F.EARLY_STOPPING_ASHA: _chosen("asynchronous successive halving", _STOPPING, Asha),
    _F.EARLY_STOPPING_ASHA_OPTIONS: _options("options of successive halving", _STOPPING, Asha, max_resource=27),
    _F.EARLY_STOPPING_PROMOTION: _pausing(
        Entry(
            "trials that pause at rungs and may be promoted later",
            _fields(f"{_STOPPING}/form", f"{_ALGORITHM}/form"),
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
        _fields("/budget/max_trials", test=lambda value: value is None),
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
        _fields("/trial/inputs/*/uri", test=_local),
        {"/trial/inputs": [{"name": "train", "uri": "data/train"}]},
    ),
    _F.TRIAL_INPUTS_REMOTE: Entry(
        "data from elsewhere",
        _fields("/trial/inputs/*/uri", test=_remote),
        {"/trial/inputs": [{"name": "train", "uri": "s3://bucket/train/"}]},
    ),
    _F.TRIAL_INPUTS_FORMAT: _input("a format of data", "content_type", "text/csv", weight="cosmetic"),
    _F.TRIAL_INPUTS_MODE: _input("data copied, streamed or mounted", "mode", "stream"),
    _F.TRIAL_INPUTS_SHARDED: _input("data divided among replicas", "sharded", True),
    _F.TRIAL_INPUTS_WRITABLE: _input("data that trials may change", "writable", True, uri="nfs://10.0.0.2/data"),
    _F.TRIAL_INPUTS_PATH: _input("data at a certain path", "path", "data", uri="nfs://10.0.0.2/data"),
    _F.TRIAL_TOLD_BY: Entry(
        "places told by a flag or a variable of their name",
        _fields("/trial/inputs/*/told_by", "/trial/output/told_by", "/trial/output/name"),
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
        _fields("/trial/network/subnets", "/trial/network/security_groups"),
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
        _fields("/trial/preload"),
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
        _fields("/warm_start/*/kind", test=lambda kind: kind == "transfer"),
        {"/warm_start": [{"run": "local:older"}]},
    ),
    _F.WARM_START_IDENTICAL: Entry(
        "earlier runs of the same job to go on from",
        _fields("/warm_start/*/kind", test=lambda kind: kind == "identical"),
        {"/warm_start": [{"run": "local:older", "kind": "identical"}]},
    ),
    _F.DESCRIPTION: Entry(
        "descriptions",
        _fields(
            "/description",
            "/study/parameters/*/description",
            "/trial/inputs/*/description",
            "/trial/output/description",
        ),
        {"/description": "a first try"},
        "cosmetic",
    ),
    _F.EXPERIMENT: Entry(
        "an experiment that it belongs to",
        _fields("/experiment/name", "/experiment/run"),
        {"/experiment": {"name": "digits"}},
        "cosmetic",
    ),
    _F.EXPERIMENT_TENSORBOARD: _set("a TensorBoard instance", "/experiment/tensorboard", "board", weight="cosmetic"),
    _F.LABELS: _set("labels", "/labels", {"team": "vision"}, weight="cosmetic"),
    _F.NATIVE: _set("what only one cloud understands", "/native", {"vertex": {"encryptionSpec": {}}}),
}
