"""What one trial runs, as a training job definition says it. Every concept is written and read side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tuneport.backends.sagemaker.hyperparameters import PACKAGE, PROGRAM, text_of, value_of
from tuneport.engine.launch import PRINTED, PYTHON
from tuneport.model.trial_spec import Encryption, Input, Network, Resources, TrialSpec, Variant
from tuneport.model.word import Scalar
from tuneport.translation.shape import is_symbolic

Json: TypeAlias = dict[str, Any]

GIB = 2**30
"""What the service calls a GB of disk."""
DAY = 86400
"""Seconds that a training job may run if nothing else is said."""
_BUILT_IN = frozenset({
    "blazingtext", "factorization-machines", "forecasting-deepar", "image-classification", "image-classification-neo",
    "ipinsights", "kmeans", "knn", "lda", "linear-learner", "ntm", "object-detection", "object2vec", "pca",
    "randomcutforest", "sagemaker-xgboost", "semantic-segmentation", "seq2seq", "xgboost", "xgboost-neo",
})  # fmt: skip
"""Repositories of the service's own algorithms, which send their metrics without being asked."""

_MODES = {"copy": "File", "stream": "Pipe", "mount": "FastFile"}
_MODES_BACK = {word: mode for mode, word in _MODES.items()}
_SYSTEMS = {"efs": "EFS", "fsx": "FSxLustre"}
_SYSTEMS_BACK = {word: scheme for scheme, word in _SYSTEMS.items()}
_SYSTEM = re.compile(r"(efs|fsx)://([^/]+)(/.*)?", re.DOTALL)
_NAME = re.compile(r"[^\s=\x00-\x1f\x7f]{1,256}")
_CHANNEL = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_NAME = re.compile(r"[\s=\x00-\x1f\x7f]+")


def write_definition(spec: TrialSpec, metrics: Sequence[str], static: Mapping[str, str]) -> Json:
    """The definition of a trial.

    Args:
        spec: the trial, with its variants applied.
        metrics: what its trainer reports; the first is the objective.
        static: fixed parameters beside the trial's own, as text.
    """
    parameters = {name: text_of(value) for name, value in spec.parameters.items()} | _write_script(spec) | dict(static)
    definition = {
        "StaticHyperParameters": parameters,
        "AlgorithmSpecification": _write_algorithm(spec, metrics),
        "RoleArn": spec.identity,
        "InputDataConfig": [_write_input(one) for one in spec.inputs],
        "VpcConfig": _write_vpc(spec.network),
        "OutputDataConfig": _write_output(spec),
        "ResourceConfig": _write_resources(spec.resources, spec.encryption),
        "EnableNetworkIsolation": spec.network.isolated or None,
        "EnableInterContainerTrafficEncryption": spec.network.encrypted or None,
        "EnableManagedSpotTraining": spec.spot or None,
        "RetryStrategy": {"MaximumRetryAttempts": spec.retries} if spec.retries else None,
        "Environment": dict(spec.env),
    }
    said = {member: value for member, value in definition.items() if value not in (None, {}, [])}
    return said | {"StoppingCondition": _write_stopping(spec)}


def read_definition(definition: Json, objective: str | None) -> Json:
    """The trial of a definition, as data; its fixed parameters are those that are still there.

    Args:
        definition: canonical.
        objective: what the service calls its metric.
    """
    algorithm = definition["AlgorithmSpecification"]
    static = definition.get("StaticHyperParameters", {})
    retries = _number(definition.get("RetryStrategy", {}), "MaximumRetryAttempts")
    spec = {
        **_read_algorithm(algorithm, static),
        "inputs": [one for one in map(_read_input, definition.get("InputDataConfig", ())) if one is not None],
        "resources": _read_resources(definition.get("ResourceConfig", {})),
        "network": _read_network(definition),
        "encryption": _read_keys(definition),
        "metrics": _read_metrics(algorithm.get("MetricDefinitions", ()), objective),
        "env": definition.get("Environment", {}),
        "output": _some(uri=definition.get("OutputDataConfig", {}).get("S3OutputPath")),
        "identity": definition.get("RoleArn"),
        "retries": retries,
        "spot": definition.get("EnableManagedSpotTraining") is True or None,
        **_read_stopping(definition),
    }
    return {word: value for word, value in spec.items() if value not in (None, {}, [])}


def _some(**members: Any) -> Json:
    """The members that are there."""
    return {name: value for name, value in members.items() if value is not None}


def _number(structure: Json, member: str, *, least: float = 1) -> Any:
    """A member that is a number, no symbol for one, and not too small to mean something."""
    value = structure.get(member)
    return value if isinstance(value, (int, float)) and value >= least else None


def legal_metric(name: str) -> str:
    """A metric's name as the model takes it."""
    return _NO_NAME.sub("_", name)[:256] or "_"


# ---- the program ----------------------------------------------------------------------------------------------------


def _write_algorithm(spec: TrialSpec, metrics: Sequence[str]) -> Json:
    # The service refuses an objective that no pattern finds.
    printed = [] if _sends_metrics(spec) else [name for name in metrics if name not in spec.metrics]
    patterns = {name: _printed(name) for name in printed} | dict(spec.metrics)
    return {
        **_some(TrainingImage=spec.image, AlgorithmName=spec.algorithm),
        "TrainingInputMode": "File",
        **(
            {"MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in patterns.items()]}
            if patterns
            else {}
        ),
    }


def _printed(metric: str) -> str:
    """How a metric is found that tuneport_trial prints."""
    return PRINTED.format(metric=re.escape(metric))


def _sends_metrics(spec: TrialSpec) -> bool:
    """Whether the service knows the metrics itself; of an image that is only named later nothing is known."""
    if spec.image is None or is_symbolic(spec.image):
        return True
    return is_built_in(spec.image)


def is_built_in(image: str) -> bool:
    """Whether an image is one of the service's own, by the last part of its name, without its tag."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0] in _BUILT_IN


def _read_metrics(definitions: Sequence[Json], objective: str | None) -> dict[str, str]:
    """Patterns by metric, without the one that tuneport_trial's lines are found by."""
    found: dict[str, str] = {}
    for one in definitions:
        name = legal_metric(one["Name"])
        if _is_pattern(one["Regex"]):
            found.setdefault(name, one["Regex"])
    if objective is not None and found.get(objective) == _printed(objective):
        del found[objective]
    return found


def _is_pattern(regex: str) -> bool:
    try:
        re.compile(regex)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _write_script(spec: TrialSpec) -> dict[str, str]:
    """Script mode, the one way to say what an image runs: a Python file, or another program without arguments."""
    if spec.command is None:
        return {}
    program, *rest = spec.command
    if rest and program in PYTHON and len(rest) == 1 and rest[0].endswith(".py"):
        program = rest.pop()
    if rest or (program.endswith(".py") and len(spec.command) == 1):
        return {}
    return {PROGRAM: text_of(program), **({PACKAGE: text_of(spec.package)} if spec.package is not None else {})}


def _read_algorithm(algorithm: Json, static: Mapping[str, str]) -> Json:
    image, name = algorithm.get("TrainingImage"), algorithm.get("AlgorithmName")
    known = _some(image=image or None, algorithm=name if image is None else None)
    program, package = (_script_word(static, word) for word in (PROGRAM, PACKAGE))
    taken = {PROGRAM, PACKAGE} if image and program else set()
    if taken:
        known["command"] = ["python", program] if program.endswith(".py") else [program]
        known |= _some(package=package or None)
    parameters = {word: value_of(text) for word, text in static.items() if word not in taken and _NAME.fullmatch(word)}
    return known | {"parameters": parameters}


def _script_word(static: Mapping[str, str], word: str) -> str:
    value = value_of(static.get(word, ""))
    return value if isinstance(value, str) else static[word]


# ---- data -----------------------------------------------------------------------------------------------------------


def _write_input(one: Input) -> Json:
    return {
        "ChannelName": one.name,
        "DataSource": _write_source(one),
        **_some(ContentType=one.content_type, InputMode=None if one.mode is None else _MODES[one.mode]),
    }


def _write_source(one: Input) -> Json:
    system = _SYSTEM.fullmatch(one.uri)
    if system is not None:
        return {
            "FileSystemDataSource": {
                "FileSystemId": system[2],
                "FileSystemAccessMode": "rw" if one.writable else "ro",
                "FileSystemType": _SYSTEMS[system[1]],
                "DirectoryPath": system[3] or "/",
            }
        }
    if one.uri.startswith("arn:"):
        return {"DatasetSource": {"DatasetArn": one.uri}}
    sharded = {"S3DataDistributionType": "ShardedByS3Key"} if one.sharded else {}
    return {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": one.uri, **sharded}}


def _read_input(channel: Json) -> Json | None:
    """An input; None if its source is one that no word is for, or its name is only known later."""
    source = _read_source(channel["DataSource"])
    if source is None or not _CHANNEL.fullmatch(channel["ChannelName"]):
        return None
    mode = _MODES_BACK.get(channel.get("InputMode", ""))
    return {"name": channel["ChannelName"], **source, **_some(content_type=channel.get("ContentType"), mode=mode)}


def _read_source(source: Json) -> Json | None:
    if uri := source.get("S3DataSource", {}).get("S3Uri"):
        sharded = source["S3DataSource"].get("S3DataDistributionType") == "ShardedByS3Key"
        return {"uri": uri, "sharded": sharded}
    if system := source.get("FileSystemDataSource"):
        scheme, path = _SYSTEMS_BACK.get(system["FileSystemType"]), system["DirectoryPath"]
        uri = f"{scheme}://{system['FileSystemId']}/{path.removeprefix('/')}"
        return {"uri": uri, "writable": system["FileSystemAccessMode"] == "rw"} if scheme else None
    arn = source.get("DatasetSource", {}).get("DatasetArn")
    return {"uri": arn} if arn else None


def _write_output(spec: TrialSpec) -> Json:
    return _some(S3OutputPath=spec.output.uri if spec.output else None, KmsKeyId=spec.encryption.key)


# ---- the machine ----------------------------------------------------------------------------------------------------


def _write_resources(resources: Resources, encryption: Encryption) -> Json:
    counted = resources.machine is not None or resources.replicas > 1
    return _some(
        InstanceType=resources.machine,
        InstanceCount=resources.replicas if counted else None,
        VolumeSizeInGB=None if resources.disk is None else math.ceil(resources.disk / GIB),
        VolumeKmsKeyId=encryption.disk_key,
        TrainingPlanArn=resources.pool,
    )


def _read_resources(config: Json) -> Json:
    disk = _number(config, "VolumeSizeInGB")
    return _some(
        machine=config.get("InstanceType"),
        replicas=_number(config, "InstanceCount"),
        disk=disk * GIB if disk is not None and disk < 2**33 else None,
        pool=config.get("TrainingPlanArn"),
    )


def _read_keys(definition: Json) -> Json:
    return _some(
        key=definition.get("OutputDataConfig", {}).get("KmsKeyId"),
        disk_key=definition.get("ResourceConfig", {}).get("VolumeKmsKeyId"),
    )


def _write_vpc(network: Network) -> Json:
    vpc = {"SecurityGroupIds": list(network.security_groups), "Subnets": list(network.subnets)}
    return {member: ids for member, ids in vpc.items() if ids}


def _read_network(definition: Json) -> Json:
    vpc = definition.get("VpcConfig", {})
    return _some(
        subnets=vpc.get("Subnets"),
        security_groups=vpc.get("SecurityGroupIds"),
        isolated=definition.get("EnableNetworkIsolation") is True or None,
        encrypted=definition.get("EnableInterContainerTrafficEncryption") is True or None,
    )


def _write_stopping(spec: TrialSpec) -> Json:
    """A spot trial's time and its waiting are limited together; others wait in a queue of their own."""
    runtime = None if spec.timeout is None else math.ceil(spec.timeout)
    wait = None if spec.max_wait is None else math.ceil(spec.max_wait)
    return _some(
        MaxRuntimeInSeconds=runtime,
        MaxWaitTimeInSeconds=(runtime or DAY) + (wait or 0) if spec.spot else None,
        MaxPendingTimeInSeconds=None if spec.spot else wait,
    )


def _read_stopping(definition: Json) -> Json:
    condition = definition.get("StoppingCondition", {})
    runtime = _seconds(condition, "MaxRuntimeInSeconds")
    if definition.get("EnableManagedSpotTraining") is True:
        both = _seconds(condition, "MaxWaitTimeInSeconds") or 0
        wait = both - (runtime or DAY)
    else:
        wait = _seconds(condition, "MaxPendingTimeInSeconds") or 0
    return _some(timeout=runtime, max_wait=wait if wait > 0 else None)


def _seconds(condition: Json, member: str) -> Any:
    seconds = _number(condition, member)
    return seconds if seconds is not None and seconds < 1e10 else None


# ---- several definitions --------------------------------------------------------------------------------------------


_EMPTY: Json = {
    "parameters": {}, "env": {}, "inputs": [], "retries": 0, "spot": False, "network": {}, "encryption": {},
    "resources": {}, "metrics": {},
}  # fmt: skip
"""What a variant says where it has nothing of what the trial has."""
_WORDS = [word for word in Variant.model_fields if word not in {"when", "metric"}]


def varied(
    specs: Sequence[Json], metrics: Sequence[str], parent: str, choices: Sequence[Scalar], searched: set[str]
) -> Json:
    """One trial with variants, as data, of those that several definitions say.

    What a variant cannot take back, and fixed parameters that are searched elsewhere, move into a variant of their own.
    """
    first = specs[0]
    moved = {word for word in _WORDS if word in first and word not in _EMPTY and any(word not in one for one in specs)}
    moved -= {"image", "algorithm", "command"}  # the trial needs one of them; that of a variant wins over others
    if any("command" not in one and "image" in one for one in specs):
        moved |= {"command", "package"}
    if searched & first.get("parameters", {}).keys():
        moved.add("parameters")
    base = {word: value for word, value in first.items() if word not in moved}
    variants: list[tuple[list[Scalar], Json]] = []
    for spec, metric, choice in zip(specs, metrics, choices, strict=True):
        change = {
            word: spec.get(word, _EMPTY.get(word))
            for word in _WORDS
            if spec.get(word, _EMPTY.get(word)) != base.get(word, _EMPTY.get(word)) and (word in spec or word in _EMPTY)
        }
        change |= {"metric": metric} if metric != metrics[0] else {}
        alike = next((values for values, other in variants if other == change), None)
        if alike is not None:
            alike.append(choice)
        elif change:
            variants.append(([choice], change))
    said = [{"when": {"parameter": parent, "values": values}, **change} for values, change in variants]
    return base | ({"variants": said} if said else {})
