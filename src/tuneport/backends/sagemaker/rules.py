"""What the service refuses although its model of a request does not say so: rules between fields, and quotas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tuneport.backends.sagemaker.forms import CONFIG, ONE, SEVERAL
from tuneport.backends.sagemaker.hyperparameters import number_of
from tuneport.backends.sagemaker.space import combinations
from tuneport.backends.sagemaker.study import EPOCHS
from tuneport.backends.sagemaker.trial import DAY, is_built_in
from tuneport.errors import Problem
from tuneport.translation.shape import is_symbolic

Json: TypeAlias = dict[str, Any]
Problems: TypeAlias = Iterator[Problem]

_WHOLE = re.compile(r"[-+]?[0-9]+")
MOST_SEARCHED = 30
MOST_HYPERPARAMETERS = 99
"""Static and searched ones; the service adds one of its own to a hundred."""
MOST_VARIABLES = 48
MOST_TRIALS = 750
MOST_RANDOM_TRIALS = 10_000
MOST_PARALLEL_TRIALS = 100
LONGEST_TRIAL = 28 * DAY
LONGEST_JOB = 30 * DAY

_INTEGER, _CONTINUOUS, _CATEGORICAL = (
    "IntegerParameterRanges",
    "ContinuousParameterRanges",
    "CategoricalParameterRanges",
)
_OBJECTIVE = "HyperParameterTuningJobObjective"


def malformed(request: Json) -> Problems:
    """Why a canonical request is none: it cannot be understood as a job."""
    yield from _one_or_several(request)
    yield from nothing_to_run(request)
    for pointer, definition in _definitions(request):
        yield from _named_definition(pointer, definition) if pointer != f"/{ONE}" else ()
        yield from _doubles(definition.get("InputDataConfig", ()), f"{pointer}/InputDataConfig", "ChannelName")
    yield from _doubles(request.get(SEVERAL, ()), f"/{SEVERAL}", "DefinitionName")
    for pointer, ranges in _ranges(request):
        yield from _bounds(pointer, ranges)
        yield from _scales(pointer, ranges)
        yield from _searched_twice(pointer, ranges)
    yield from _ranges_of_a_grid(request, _CONTINUOUS)  # which are no grid without a step
    yield from _hyperband_stops_itself(request[CONFIG])


def problems(request: Json) -> list[Problem]:
    """Why the service would refuse a request that its model has nothing against."""
    found = [*malformed(request), *(problem for rule in _RULES for problem in rule(request))]
    return list(dict.fromkeys(found))


# ---- parts of requests ----------------------------------------------------------------------------------------------


def _definitions(request: Json) -> Iterator[tuple[str, Json]]:
    if ONE in request:
        yield f"/{ONE}", request[ONE]
    for index, definition in enumerate(request.get(SEVERAL, ())):
        yield f"/{SEVERAL}/{index}", definition


def _ranges(request: Json) -> Iterator[tuple[str, Json]]:
    if "ParameterRanges" in request[CONFIG]:
        yield f"/{CONFIG}/ParameterRanges", request[CONFIG]["ParameterRanges"]
    for pointer, definition in _definitions(request):
        if "HyperParameterRanges" in definition:
            yield f"{pointer}/HyperParameterRanges", definition["HyperParameterRanges"]


def _searched(ranges: Json) -> Iterator[tuple[str, str]]:
    """Place and name of every range."""
    for kind in (_INTEGER, _CONTINUOUS, _CATEGORICAL):
        for index, item in enumerate(ranges.get(kind, ())):
            yield f"/{kind}/{index}/Name", item["Name"]


def _number(structure: Json, member: str) -> float | None:
    value = structure.get(member)
    return value if isinstance(value, (int, float)) else None


def _doubles(items: Any, pointer: str, member: str) -> Problems:
    names = [item.get(member) for item in items]
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            yield Problem(f"{pointer}/{index}/{member}", f"'{name}' is already there")


# ---- what makes a request a job -------------------------------------------------------------------------------------


def _one_or_several(request: Json) -> Problems:
    if ONE in request and SEVERAL in request:
        yield Problem(f"/{SEVERAL}", f"only one of {ONE} and {SEVERAL} may be given", key=True)
    if ONE not in request and SEVERAL not in request:
        yield Problem("", f"says nothing to run: give {ONE} or {SEVERAL}")
    if SEVERAL in request:
        for member in (_OBJECTIVE, "ParameterRanges"):
            if member in request[CONFIG]:
                hint = "move it into the definitions"
                yield Problem(f"/{CONFIG}/{member}", f"is said by each of {SEVERAL} for itself", hint, key=True)


def _named_definition(pointer: str, definition: Json) -> Problems:
    for member in ("DefinitionName", "TuningObjective"):
        if member not in definition:
            yield Problem(f"{pointer}/{member}", f"is required in each of {SEVERAL}")


def nothing_to_run(request: Json) -> Problems:
    """Definitions that do not say, or do not say clearly, what is to be run."""
    for pointer, definition in _definitions(request):
        given = {"TrainingImage", "AlgorithmName"} & definition["AlgorithmSpecification"].keys()
        if len(given) != 1:
            yield Problem(f"{pointer}/AlgorithmSpecification", "needs exactly one of TrainingImage and AlgorithmName")


def _bounds(pointer: str, ranges: Json) -> Problems:
    for kind in (_INTEGER, _CONTINUOUS):
        for index, item in enumerate(ranges.get(kind, ())):
            here = f"{pointer}/{kind}/{index}"
            low, high = (number_of(item[bound]) for bound in ("MinValue", "MaxValue"))
            for bound, number in (("MinValue", low), ("MaxValue", high)):
                if not is_symbolic(item[bound]):
                    yield from _bound(f"{here}/{bound}", item[bound], number, whole=kind == _INTEGER)
            if low is not None and high is not None and low > high:
                message = f"must not be above MaxValue: {item['MinValue']} > {item['MaxValue']}"
                yield Problem(f"{here}/MinValue", message)


def _bound(pointer: str, text: str, number: float | None, *, whole: bool) -> Problems:
    exact = int(text) if number is not None and _WHOLE.fullmatch(text) else number
    if exact is None:
        yield Problem(pointer, f"must be a number, not '{text[:80]}'")
    elif whole and (exact != int(exact) or not -(2**63) <= exact < 2**63):
        yield Problem(pointer, f"must be a whole number of at most 64 bits, not {text[:80]}")


def _scales(pointer: str, ranges: Json) -> Problems:
    for kind in (_INTEGER, _CONTINUOUS):
        for index, item in enumerate(ranges.get(kind, ())):
            here, scale = f"{pointer}/{kind}/{index}/ScalingType", item.get("ScalingType")
            low, high = (number_of(item[bound]) for bound in ("MinValue", "MaxValue"))
            if low is None or high is None:
                continue
            if scale == "Logarithmic" and low <= 0:
                yield Problem(here, f"Logarithmic needs bounds above 0, not {item['MinValue']}")
            if scale == "ReverseLogarithmic" and (kind == _INTEGER or not 0 <= low <= high < 1):
                yield Problem(here, "ReverseLogarithmic needs a continuous range within 0 <= x < 1")


def _searched_twice(pointer: str, ranges: Json) -> Problems:
    seen: set[str] = set()
    for place, name in _searched(ranges):
        if name in seen:
            yield Problem(pointer + place, f"'{name}' has a range already")
        seen.add(name)


def _ranges_of_a_grid(request: Json, kind: str) -> Problems:
    for pointer, ranges in _ranges(request) if request[CONFIG]["Strategy"] == "Grid" else ():
        if ranges.get(kind):
            yield Problem(f"{pointer}/{kind}", "a grid takes only categorical ranges", "list the values")


def _hyperband_stops_itself(config: Json) -> Problems:
    if config.get("Strategy") == "Hyperband" and config.get("TrainingJobEarlyStoppingType") == "Auto":
        message = "Hyperband stops training jobs itself: leave it out, or Off"
        yield Problem(f"/{CONFIG}/TrainingJobEarlyStoppingType", message)


# ---- the search -----------------------------------------------------------------------------------------------------


def _objective(request: Json) -> Problems:
    if SEVERAL not in request and _OBJECTIVE not in request[CONFIG] and "Autotune" not in request:
        yield Problem(f"/{CONFIG}/{_OBJECTIVE}", "is required unless Autotune supplies it")


def _points(request: Json) -> Problems:
    """Neither bounds nor choices may repeat themselves, and there must be enough of them."""
    for pointer, ranges in _ranges(request):
        for kind in (_INTEGER, _CONTINUOUS):
            for index, item in enumerate(ranges.get(kind, ())):
                low = number_of(item["MinValue"])
                if low is not None and low == number_of(item["MaxValue"]):
                    hint = "a constant belongs to StaticHyperParameters"
                    yield Problem(f"{pointer}/{kind}/{index}/MaxValue", "must not be the same as MinValue", hint)
        for index, item in enumerate(ranges.get(_CATEGORICAL, ())):
            for at, value in enumerate(item["Values"]):
                if value in item["Values"][:at]:
                    yield Problem(f"{pointer}/{_CATEGORICAL}/{index}/Values/{at}", f"'{value}' is listed twice")
    yield from _enough_points(request)


def _enough_points(request: Json) -> Problems:
    limits, here = request[CONFIG]["ResourceLimits"], f"/{CONFIG}/ResourceLimits/MaxNumberOfTrainingJobs"
    trials = _number(limits, "MaxNumberOfTrainingJobs")
    searched = [one.get("HyperParameterRanges", {}) for one in request.get(SEVERAL, ())]
    counts = [combinations(ranges) for ranges in searched or [request[CONFIG].get("ParameterRanges", {})]]
    if trials is None or None in counts or "Autotune" in request:
        return
    points = sum(count or 0 for count in counts)
    if trials > points:
        yield Problem(here, f"is more than the {points} combinations that there are: {trials}", f"say {points}")
    elif request[CONFIG]["Strategy"] == "Grid" and trials < points:
        hint = "leave it out, or search at random"
        yield Problem(here, f"must be the number of combinations, {points}, for a grid: {trials}", hint)


def _grid(request: Json) -> Problems:
    yield from _ranges_of_a_grid(request, _INTEGER)


def _hyperband(request: Json) -> Problems:
    config = request[CONFIG]
    if config["Strategy"] != "Hyperband":
        if "StrategyConfig" in config:
            yield Problem(f"/{CONFIG}/StrategyConfig", "is for Hyperband only", key=True)
        return
    resources = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    here = f"/{CONFIG}/StrategyConfig/HyperbandStrategyConfig/MaxResource"
    least, most = (_number(resources, member) for member in ("MinResource", "MaxResource"))
    if least is not None and most is not None and least > most:
        yield Problem(here, f"must not be below MinResource: {most} < {least}")
    if most is not None and most > 20_000:
        yield Problem(here, f"must be at most 20000, not {most}")
    if "MaxResource" not in resources:
        for _, definition in _definitions(request):
            if not set(EPOCHS) & definition.get("StaticHyperParameters", {}).keys():
                hint = "say max_resource, or give a static hyperparameter 'epochs'"
                yield Problem(here, "is required where no static hyperparameter says the epochs", hint)
                return


def _amounts(request: Json) -> Problems:
    config, searched = request[CONFIG], 0
    for pointer, ranges in _ranges(request):
        searched += (count := sum(1 for _ in _searched(ranges)))
        if count and searched > MOST_SEARCHED:
            yield Problem(pointer, f"{searched} parameters are searched, {MOST_SEARCHED} at most can be")
    trials = _number(config["ResourceLimits"], "MaxNumberOfTrainingJobs") or 0
    if trials > (MOST_RANDOM_TRIALS if config["Strategy"] == "Random" else MOST_TRIALS):
        here = f"/{CONFIG}/ResourceLimits/MaxNumberOfTrainingJobs"
        hint = f"at most {MOST_TRIALS}, or {MOST_RANDOM_TRIALS} if they are random"
        yield Problem(here, f"{trials} are more training jobs than one tuning job may have", hint)
    for member, most in (
        ("MaxParallelTrainingJobs", MOST_PARALLEL_TRIALS),
        ("MaxRuntimeInSeconds", LONGEST_JOB),
    ):
        amount = _number(config["ResourceLimits"], member)
        if amount is not None and amount > most:
            yield Problem(f"/{CONFIG}/ResourceLimits/{member}", f"must be at most {most}, not {amount}")
    variables = sum(len(definition.get("Environment", {})) for _, definition in _definitions(request))
    if variables > MOST_VARIABLES:
        last = [pointer for pointer, definition in _definitions(request) if definition.get("Environment")][-1]
        message = f"{variables} variables are set in all definitions together, {MOST_VARIABLES} at most can be"
        yield Problem(f"{last}/Environment", message)


# ---- definitions ----------------------------------------------------------------------------------------------------


def _static(request: Json) -> Problems:
    for pointer, definition in _definitions(request):
        ranges = (
            request[CONFIG].get("ParameterRanges", {})
            if pointer == f"/{ONE}"
            else definition.get("HyperParameterRanges", {})
        )
        names = [name for _, name in _searched(ranges)]
        static = definition.get("StaticHyperParameters", {})
        for name in sorted(static.keys() & set(names)):
            yield Problem(f"{pointer}/StaticHyperParameters/{name}", "is searched as well", "leave one of them out")
        if len(static) + len(names) > MOST_HYPERPARAMETERS:
            message = (
                f"{len(static)} static and {len(names)} searched hyperparameters are more than {MOST_HYPERPARAMETERS}"
            )
            yield Problem(f"{pointer}/StaticHyperParameters", message)


def _metrics(request: Json) -> Problems:
    for pointer, definition in _definitions(request):
        algorithm = definition["AlgorithmSpecification"]
        image, here = algorithm.get("TrainingImage"), f"{pointer}/AlgorithmSpecification/MetricDefinitions"
        objective = request[CONFIG].get(_OBJECTIVE) if pointer == f"/{ONE}" else definition.get("TuningObjective")
        if image is None or is_symbolic(image):
            continue
        names = [one["Name"] for one in algorithm.get("MetricDefinitions", ())]
        if is_built_in(image):
            if names:
                hint = "leave them out; the algorithm sends its own"
                yield Problem(here, "may not be given for an algorithm of the service", hint, key=True)
        elif objective is not None and objective["MetricName"] not in names:
            yield Problem(here, f"must define the objective's metric '{objective['MetricName']}'")


def _time(request: Json) -> Problems:
    for pointer, definition in _definitions(request):
        condition, here = definition["StoppingCondition"], f"{pointer}/StoppingCondition"
        runtime, wait = (_number(condition, member) for member in ("MaxRuntimeInSeconds", "MaxWaitTimeInSeconds"))
        if runtime is not None and runtime > LONGEST_TRIAL:
            yield Problem(f"{here}/MaxRuntimeInSeconds", f"must be at most {LONGEST_TRIAL}, 28 days, not {runtime}")
        spot = definition.get("EnableManagedSpotTraining", False)
        if is_symbolic(spot):
            continue
        if not spot and "MaxWaitTimeInSeconds" in condition:
            yield Problem(f"{here}/MaxWaitTimeInSeconds", "is for managed spot training only", key=True)
        if spot and "MaxWaitTimeInSeconds" not in condition:
            yield Problem(f"{here}/MaxWaitTimeInSeconds", "is required with managed spot training")
        known = "MaxRuntimeInSeconds" not in condition or runtime is not None
        if spot and wait is not None and known and wait < (runtime or DAY):
            yield Problem(
                f"{here}/MaxWaitTimeInSeconds", f"must not be below MaxRuntimeInSeconds, {runtime or DAY}: {wait}"
            )


def _channels(request: Json) -> Problems:
    for pointer, definition in _definitions(request):
        job_mode = definition["AlgorithmSpecification"].get("TrainingInputMode")
        for index, channel in enumerate(definition.get("InputDataConfig", ())):
            here, source = f"{pointer}/InputDataConfig/{index}", channel["DataSource"]
            mode = channel.get("InputMode", job_mode)
            kind = source.get("S3DataSource", {}).get("S3DataType")
            if len(source) != 1:
                yield Problem(f"{here}/DataSource", "must be exactly one source")
            if kind == "AugmentedManifestFile" and mode in {"File", "FastFile"}:
                yield Problem(here, "an AugmentedManifestFile is read in Pipe mode only")
            if kind in {"ManifestFile", "AugmentedManifestFile"} and mode == "FastFile":
                yield Problem(here, "FastFile mode is for an S3Prefix only")
            if "FileSystemDataSource" in source and mode in {"Pipe", "FastFile"}:
                yield Problem(here, "a file system is read in File mode only")


def _compute(request: Json) -> Problems:
    for pointer, definition in _definitions(request):
        given = {"ResourceConfig", "HyperParameterTuningResourceConfig"} & definition.keys()
        if len(given) != 1:
            message = "needs exactly one of ResourceConfig and HyperParameterTuningResourceConfig"
            yield Problem(pointer, message, "leave one of them out" if given else "name a machine")
        for member in sorted(given):
            if str(definition[member].get("VolumeKmsKeyId", "")).startswith("alias/"):
                yield Problem(f"{pointer}/{member}/VolumeKmsKeyId", "must be a key's id or ARN, not its alias")
        yield from _instances(f"{pointer}/ResourceConfig", definition)
        tuning = definition.get("HyperParameterTuningResourceConfig", {})
        beside = {"InstanceType", "InstanceCount", "VolumeSizeInGB"} & tuning.keys()
        if "InstanceConfigs" in tuning and beside:
            here = f"{pointer}/HyperParameterTuningResourceConfig/{min(beside)}"
            yield Problem(here, "is said by each of InstanceConfigs", key=True)


def _instances(pointer: str, definition: Json) -> Problems:
    config = definition.get("ResourceConfig", {})
    for member in sorted({"SelectedInstanceType", "SelectedInstanceCount"} & config.keys()):
        yield Problem(f"{pointer}/{member}", "is what the service answers; it cannot be asked for", key=True)
    preferences = config.get("InstancePreferences")
    if preferences is None:
        return
    for member in sorted({"InstanceType", "InstanceGroups", "InstancePlacementConfig"} & config.keys()):
        yield Problem(f"{pointer}/{member}", "cannot stand beside InstancePreferences", key=True)
    if definition.get("EnableManagedSpotTraining") is True:
        yield Problem(f"{pointer}/InstancePreferences", "cannot be combined with managed spot training")
    yield from _doubles(preferences, f"{pointer}/InstancePreferences", "InstanceType")
    counted = sum("InstanceCount" in one for one in preferences)
    if counted not in {0, len(preferences)} or ("InstanceCount" in config) == bool(counted):
        yield Problem(pointer, "needs InstanceCount either once or in each of InstancePreferences")
    if "TrainingPlanArn" in config and any("TrainingPlanArns" in one for one in preferences):
        yield Problem(f"{pointer}/TrainingPlanArn", "is said by InstancePreferences", key=True)


def _tags(request: Json) -> Problems:
    yield from _doubles(request.get("Tags", ()), "/Tags", "Key")


def _warm_start(request: Json) -> Problems:
    parents = request.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", ())
    for index, parent in enumerate(parents):
        if not parent.get("HyperParameterTuningJobName"):
            here = f"/WarmStartConfig/ParentHyperParameterTuningJobs/{index}"
            yield Problem(f"{here}/HyperParameterTuningJobName", "is required")


_RULES: tuple[Callable[[Json], Problems], ...] = (
    _objective, _points, _grid, _hyperband, _amounts, _static, _metrics, _time, _channels, _compute, _tags, _warm_start,
)  # fmt: skip
