"""One spelling for requests that mean the same: defaults unsaid, the shortest text of numbers, one place for a word.

`canonical` loses nothing that matters, and `wire` makes it what the service takes. Two things are put where our words
find them, with a mark of where they were, so that a job that was read may be edited like any other:

- Compute in HyperParameterTuningResourceConfig moves to ResourceConfig, and so does that of the first of several groups
  of machines; in its place, `trial.resources` tells people who read the box where it is.
- A parameter that Autotune is to find a range for becomes a categorical of its one hint; AutoParameters keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from tuneport.backends.sagemaker.forms import CONFIG, ONE, SEVERAL
from tuneport.backends.sagemaker.hyperparameters import OBJECTIVE, number_of, number_text
from tuneport.backends.sagemaker.hyperparameters import canonical as canonical_text
from tuneport.translation.shape import is_symbolic

Json: TypeAlias = dict[str, Any]

RESOURCES, TUNING_RESOURCES = "ResourceConfig", "HyperParameterTuningResourceConfig"
_MOVED = "trial.resources"
"""What stands where compute was: our word for it."""
_COMPUTE = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
_KEY = "VolumeKmsKeyId"
_SEVERAL_MACHINES = frozenset({"InstanceGroups", "InstancePreferences"})
"""Lists of machines in ResourceConfig: of a cluster of different ones, and of ones that would all do."""
_WHOLE = re.compile(r"[-+]?[0-9]+")
_DEFAULTS: Mapping[tuple[str, str], Any] = {
    (CONFIG, "TrainingJobEarlyStoppingType"): "Off",
    ("ConvergenceDetected", "CompleteOnConvergence"): "Disabled",
    ("Definition", "EnableNetworkIsolation"): False,
    ("Definition", "EnableInterContainerTrafficEncryption"): False,
    ("Definition", "EnableManagedSpotTraining"): False,
    ("OutputDataConfig", "CompressionType"): "GZIP",
    ("OutputDataConfig", "KmsKeyId"): "",
    ("ResourceConfig", "VolumeKmsKeyId"): "",
    ("Channel", "CompressionType"): "None",
    ("Channel", "RecordWrapperType"): "None",
    ("Channel", "ContentType"): "",
    ("S3DataSource", "S3DataDistributionType"): "FullyReplicated",
    ("Range", "ScalingType"): "Auto",
}
"""What need not be said, by the structure and the member."""


def canonical(request: Json) -> Json:
    """The one spelling of a request that its shape has been checked of."""
    made: Json = _pruned(request)
    config = made.get(CONFIG, {})
    if "ParameterRanges" in config:
        config["ParameterRanges"] = _ranges(config["ParameterRanges"])
    criteria = config.get("TuningJobCompletionCriteria", {})
    if "Autotune" not in made:  # which would turn on what is not said to be off
        _drop_defaults(config, CONFIG)
        _drop_defaults(criteria.get("ConvergenceDetected", {}), "ConvergenceDetected")
    if isinstance(target := criteria.get("TargetObjectiveMetricValue"), int):
        criteria["TargetObjectiveMetricValue"] = float(target)
    for definition in definitions(made):
        _make_canonical(definition)
    made = _pruned(made)
    for definition in definitions(made):
        definition.setdefault("StoppingCondition", {})
        for channel in definition.get("InputDataConfig", ()):
            channel.setdefault("DataSource", {})
    return made


def wire(request: Json) -> Json:
    """The request as the service takes it, without marks."""
    if ONE not in request and SEVERAL not in request:
        return request
    made = dict(request)
    if "ParameterRanges" in made.get(CONFIG, {}):
        made[CONFIG] = made[CONFIG] | {"ParameterRanges": _wire_ranges(made[CONFIG]["ParameterRanges"])}
    if ONE in made:
        made[ONE] = _wire_definition(made[ONE])
    if SEVERAL in made:
        made[SEVERAL] = [_wire_definition(one) for one in made[SEVERAL]]
    return made


def definitions(request: Json) -> Iterator[Json]:
    """Every training job definition of a request."""
    if isinstance(request.get(ONE), dict):
        yield request[ONE]
    yield from (one for one in request.get(SEVERAL) or () if isinstance(one, dict))


def _pruned(value: Any) -> Any:
    """A copy without empty objects, lists and nulls."""
    if isinstance(value, dict):
        pairs = ((key, _pruned(item)) for key, item in value.items())
        return {key: item for key, item in pairs if item not in (None, {}, [])}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _drop_defaults(structure: Json, kind: str) -> None:
    for (of, member), default in _DEFAULTS.items():
        if of == kind and structure.get(member) == default:
            del structure[member]


def _make_canonical(definition: Json) -> None:
    _drop_defaults(definition, "Definition")
    _drop_defaults(definition.get("OutputDataConfig", {}), "OutputDataConfig")
    if "HyperParameterRanges" in definition:
        definition["HyperParameterRanges"] = _ranges(definition["HyperParameterRanges"])
    if "StaticHyperParameters" in definition:
        static = definition["StaticHyperParameters"]
        definition["StaticHyperParameters"] = {
            name: canonical_text(text) for name, text in static.items() if name != OBJECTIVE
        }
    _make_channels_canonical(definition)
    _move_compute(definition)
    _drop_defaults(definition.get(RESOURCES, {}), "ResourceConfig")


# ---- channels -------------------------------------------------------------------------------------------------------


def _make_channels_canonical(definition: Json) -> None:
    """The job's input mode is said by each channel that it holds for; File is what channels do that say nothing."""
    channels = definition.get("InputDataConfig", [])
    algorithm = definition.get("AlgorithmSpecification", {})
    mode = algorithm.get("TrainingInputMode")
    if channels and mode in {"Pipe", "FastFile"}:
        algorithm["TrainingInputMode"] = "File"
        for channel in channels:
            channel.setdefault("InputMode", mode)
    for channel in channels:
        _drop_defaults(channel, "Channel")
        _drop_defaults(channel.get("DataSource", {}).get("S3DataSource", {}), "S3DataSource")


# ---- compute --------------------------------------------------------------------------------------------------------


def _move_compute(definition: Json) -> None:
    if RESOURCES in definition:
        _move_first(definition[RESOURCES])
        return
    theirs = definition.get(TUNING_RESOURCES)
    if theirs is None:
        return
    configs = theirs.get("InstanceConfigs")
    first = configs[0] if configs else theirs
    moved = {name: first[name] for name in _COMPUTE if name in first}
    definition[RESOURCES] = moved | ({_KEY: theirs[_KEY]} if _KEY in theirs else {})
    mark = {"InstanceConfigs": [_MOVED, *configs[1:]]} if configs else {"InstanceType": _MOVED}
    rest = {name: value for name, value in theirs.items() if name not in {*_COMPUTE, _KEY}}
    definition[TUNING_RESOURCES] = rest | mark


def _move_first(config: Json) -> None:
    """The machines of the first group, or those that are preferred, are the trial's."""
    for member in _SEVERAL_MACHINES & config.keys() if "InstanceType" not in config else ():
        first, *others = config[member]
        moved = {name: first[name] for name in _COMPUTE if name in first and name not in config}
        config |= moved | {member: [first | dict.fromkeys(moved, _MOVED), *others]}


def _move_compute_back(definition: Json) -> Json:
    theirs = definition.get(TUNING_RESOURCES, {})
    ours = definition.get(RESOURCES, {})
    rest = {name: value for name, value in definition.items() if name != RESOURCES}
    if theirs.get("InstanceType") == _MOVED:
        plain = {name: value for name, value in theirs.items() if name != "InstanceType"}
        return rest | {TUNING_RESOURCES: plain | ours}
    if theirs.get("InstanceConfigs", [None])[0] == _MOVED:
        first = {name: value for name, value in ours.items() if name != _KEY}
        key = {_KEY: ours[_KEY]} if _KEY in ours else {}
        return rest | {TUNING_RESOURCES: theirs | {"InstanceConfigs": [first, *theirs["InstanceConfigs"][1:]]} | key}
    return definition | {RESOURCES: _with_first(ours)} if _SEVERAL_MACHINES & ours.keys() else definition


def _with_first(config: Json) -> Json:
    made = dict(config)
    for member in _SEVERAL_MACHINES & config.keys():
        first, *others = config[member]
        marks = {name for name, value in first.items() if value == _MOVED}
        whole = {name: config.get(name) if name in marks else value for name, value in first.items()}
        made[member] = [{name: value for name, value in whole.items() if value is not None}, *others]
        made = {name: value for name, value in made.items() if name not in marks}
    return made


# ---- ranges ---------------------------------------------------------------------------------------------------------


def _ranges(ranges: Json) -> Json:
    made: Json = {}
    for kind, items in ranges.items():
        if kind != "AutoParameters":
            made[kind] = [_RANGES[kind](item) for item in items] if kind in _RANGES else items
    if "AutoParameters" in ranges:
        hinted = [
            {"Name": one["Name"], "Values": [canonical_text(one["ValueHint"])]} for one in ranges["AutoParameters"]
        ]
        made["CategoricalParameterRanges"] = [*made.get("CategoricalParameterRanges", []), *hinted]
        made["AutoParameters"] = [one["Name"] for one in ranges["AutoParameters"]]
    return made


def _wire_ranges(ranges: Json) -> Json:
    """Parameters that are still what Autotune was to find a range for go back; ranges that they have got stay."""
    if "AutoParameters" not in ranges:
        return ranges
    marks, categorical = ranges["AutoParameters"], ranges.get("CategoricalParameterRanges", [])
    hints = [one for one in categorical if one["Name"] in marks and len(one["Values"]) == 1]
    kept = [one for one in categorical if one not in hints]
    auto = [{"Name": one["Name"], "ValueHint": one["Values"][0]} for one in hints]
    said = [one for one in marks if not isinstance(one, str)]  # by somebody who wrote the box by hand
    made = {**ranges, "CategoricalParameterRanges": kept, "AutoParameters": auto + said}
    return {kind: items for kind, items in made.items() if items}


def _wire_definition(definition: Json) -> Json:
    made = _move_compute_back(definition)
    if "HyperParameterRanges" in made:
        made = made | {"HyperParameterRanges": _wire_ranges(made["HyperParameterRanges"])}
    return made


def _choices(categorical: Json) -> Json:
    return categorical | {"Values": [canonical_text(text) for text in categorical["Values"]]}


def _whole_range(item: Json) -> Json:
    return _bounds(item, _whole_text)


def _real_range(item: Json) -> Json:
    return _bounds(item, _number_text)


def _bounds(item: Json, spell: Callable[[str], str]) -> Json:
    made = item | {bound: spell(item[bound]) for bound in ("MinValue", "MaxValue")}
    _drop_defaults(made, "Range")
    return made


def _whole_text(text: str) -> str:
    if is_symbolic(text) or not _WHOLE.fullmatch(text):
        return _number_text(text)
    return str(int(text)) if len(text) < 100 else text


def _number_text(text: str) -> str:
    number = number_of(text)
    return text if number is None else number_text(number)


_RANGES: Mapping[str, Callable[[Json], Json]] = {
    "IntegerParameterRanges": _whole_range,
    "ContinuousParameterRanges": _real_range,
    "CategoricalParameterRanges": _choices,
}
