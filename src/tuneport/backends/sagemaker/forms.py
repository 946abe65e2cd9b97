"""The documents that a tuning job is written down in: how each is recognised, taken off, and put on again.

A carrier changes names and wrapping, never what is asked for. Every form is a pair: `take` makes a request in the
API's own layout of a document, `put` makes the document of a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tuneport.backends.sagemaker.hyperparameters import OBJECTIVE
from tuneport.backends.sagemaker.trial import is_built_in

Json: TypeAlias = dict[str, Any]

NAME, CONFIG, ONE, SEVERAL = (
    "HyperParameterTuningJobName",
    "HyperParameterTuningJobConfig",
    "TrainingJobDefinition",
    "TrainingJobDefinitions",
)
REQUEST = frozenset({NAME, CONFIG, ONE, SEVERAL, "WarmStartConfig", "Tags", "Autotune"})
"""Members of a request; whatever else a Describe response has, the service said."""
REGION = "Region"
"""What the legacy operator's resources say beside the request."""
UNNAMED = "imported"
"""Name of a job whose document has none."""
_OPEN = frozenset({"StaticHyperParameters", "Environment"})
"""Members whose keys are the user's own."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a document asks for.

    Attributes:
        request: in the API's layout; names may still be spelled as the document spells them.
        response: what the service said besides.
        where: from a JSON pointer into the request to the one into the document.
        name: what stands for the job's name where the document has none that the service would take as such.
    """

    request: Json
    response: Json = field(default_factory=dict)
    where: Callable[[str], str] = str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of document.

    Attributes:
        take: the request of a document, in the API's layout.
        put: the document of a request and a response.
    """

    take: Callable[[Json], Taken]
    put: Callable[[Json, Json], Json]


def recognise(document: Mapping[str, Any]) -> str:
    """The form of a document, by its marks; a plain request if it has none."""
    if "spec" in document:
        version = str(document.get("apiVersion", ""))
        return "ack" if version.startswith("sagemaker.services") else "operator" if version else "helm"
    if "Resource" in document and isinstance(document.get("Parameters"), dict):
        return "states"
    if "Resource" in document and isinstance(document.get("Arguments"), dict):
        return "jsonata"
    if CONFIG in document:
        if document.keys() & {"HyperParameterTuningJobStatus", "HyperParameterTuningJobArn", "CreationTime"}:
            return "describe"
        return "request" if NAME in document else "parts"
    if "config" in document:
        return "terraform"
    if "hyper_parameter_tuning_job_config" in document:
        return "snake"
    return "camel" if "hyperParameterTuningJobConfig" in document else "request"


# ---- names ----------------------------------------------------------------------------------------------------------


_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ACK = {"Type": "type_", "RoleArn": "roleARN", "TrainingPlanArn": "trainingPlanARN", "HubContentArn": "hubContentARN"}
_ACRONYMS = re.compile(r"(?<=[a-z0-9])(Kms|Uri|Id|Arn)(?=[A-Z]|s?$)")


def _snake(name: str) -> str:
    return _WORDS.sub("_", name).lower()


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _ack(name: str) -> str:
    """Names as the controller has them: acronyms in capitals, and no word of its programming language."""
    return _ACK.get(name) or _camel(_ACRONYMS.sub(lambda match: match[0].upper(), name))


def _renamed(value: Any, name_of: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name_of(key): item if key in _OPEN else _renamed(item, name_of) for key, item in value.items()}
    return [_renamed(item, name_of) for item in value] if isinstance(value, list) else value


# ---- the API's own layout -------------------------------------------------------------------------------------------


def _take_request(document: Json) -> Taken:
    """Airflow's configurations say beside the request what is to be uploaded before."""
    return Taken({key: value for key, value in document.items() if key != "S3Operations"})


def _spelt(name_of: Callable[[str], str]) -> Form:
    return Form(_take_request, lambda request, _: dict(_renamed(request, name_of)))


def _take_parts(document: Json) -> Taken:
    return Taken(document, name=UNNAMED)


def _put_parts(request: Json, _: Json) -> Json:
    return dict(request)


# ---- what the service answers ---------------------------------------------------------------------------------------


def _take_described(document: Json) -> Taken:
    request = {key: value for key, value in document.items() if key in REQUEST}
    response = {key: value for key, value in document.items() if key not in REQUEST}
    return Taken(
        {key: _submitted(value) if key in {ONE, SEVERAL} else value for key, value in request.items()}, response
    )


def _submitted(definitions: Any) -> Any:
    """Definitions without the metrics that the service adds: the objective's again, and all of its own algorithms."""
    if isinstance(definitions, list):
        return [_submitted(one) for one in definitions]
    algorithm = _at(definitions, "/AlgorithmSpecification")
    metrics = _at(algorithm, "/MetricDefinitions")
    if not isinstance(metrics, list):
        return definitions
    asked = [one for one in metrics if not _is_added(one, metrics)]
    if len(asked) == len(metrics):
        return definitions
    image = algorithm.get("TrainingImage")
    theirs = not isinstance(image, str) or is_built_in(image)
    return definitions | {"AlgorithmSpecification": algorithm | {"MetricDefinitions": [] if theirs else asked}}


def _is_added(metric: Any, metrics: list[Any]) -> bool:
    """Whether it says again, under the name that the service has for the objective, what another metric says."""
    if not isinstance(metric, dict) or metric.get("Name") != _ADDED:
        return False
    return any(isinstance(one, dict) and one != metric and one.get("Regex") == metric.get("Regex") for one in metrics)


_ADDED = "ObjectiveMetric"


def _put_described(request: Json, response: Json) -> Json:
    """The request with the defaults that the service fills in, and what it says besides."""
    config = {"TrainingJobEarlyStoppingType": "Off", **request.get(CONFIG, {})}
    objective = config.get("HyperParameterTuningJobObjective", {})
    if "ParameterRanges" in config:
        config["ParameterRanges"] = _filled_ranges(config["ParameterRanges"])
    filled = request | {CONFIG: config}
    if ONE in request:
        filled[ONE] = _filled(request[ONE], objective)
    if SEVERAL in request:
        filled[SEVERAL] = [_filled(one, one.get("TuningObjective", {})) for one in request[SEVERAL]]
    return filled | response


def _filled(definition: Json, objective: Json) -> Json:
    static = definition.get("StaticHyperParameters", {})
    flags = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
    metric = {OBJECTIVE: objective["MetricName"]} if "MetricName" in objective else {}
    filled = {**dict.fromkeys(flags, False), **definition, "StaticHyperParameters": metric | static}
    if "HyperParameterRanges" in filled:
        filled["HyperParameterRanges"] = _filled_ranges(filled["HyperParameterRanges"])
    return filled


def _filled_ranges(ranges: Json) -> Json:
    kinds = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")
    return ranges | {
        kind: [
            one if "Values" in one else {**one, "ScalingType": one.get("ScalingType", "Auto")}
            for one in ranges.get(kind, [])
        ]
        for kind in kinds
    }


# ---- Step Functions -------------------------------------------------------------------------------------------------


_TASK = {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync"}


def _take_state(document: Json) -> Taken:
    return Taken(_without_paths(document["Parameters"]), where=lambda at: f"/Parameters{at}")


def _without_paths(value: Any) -> Any:
    """Members such as `"Name.$": "$.name"`, whose values are paths into the state's input, become symbolic values."""
    if isinstance(value, list):
        return [_without_paths(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key.removesuffix(".$"): f"${{{item}}}" if key.endswith(".$") and isinstance(item, str) else _without_paths(item)
        for key, item in value.items()
    }


_PATH = re.compile(r"\$\{(\$.*|States\..*)\}", re.DOTALL)


def _with_paths(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_paths(item) for item in value]
    if not isinstance(value, dict):
        return value
    pairs = ((key, item, _PATH.fullmatch(item) if isinstance(item, str) else None) for key, item in value.items())
    return {f"{key}.$" if path else key: path[1] if path else _with_paths(item) for key, item, path in pairs}


def _put_state(request: Json, _: Json) -> Json:
    return {**_TASK, "Parameters": _with_paths(request)}


def _take_jsonata(document: Json) -> Taken:
    """Values such as `{% $states.input.name %}` are expressions: they become symbolic values."""
    request = _retold(document["Arguments"], lambda text: f"${text}" if text.startswith("{%") else text)
    return Taken(request, where=lambda at: f"/Arguments{at}")


def _put_jsonata(request: Json, _: Json) -> Json:
    arguments = _retold(request, lambda text: text.removeprefix("$") if text.startswith("${%") else text)
    return {**_TASK, "QueryLanguage": "JSONata", "Arguments": arguments}


def _retold(value: Any, retell: Callable[[str], str]) -> Any:
    """The value with every text in it changed."""
    if isinstance(value, dict):
        return {key: _retold(item, retell) for key, item in value.items()}
    if isinstance(value, list):
        return [_retold(item, retell) for item in value]
    return retell(value) if isinstance(value, str) else value


# ---- Kubernetes -----------------------------------------------------------------------------------------------------


def _take_ack(document: Json) -> Taken:
    return Taken(_spec(document), where=lambda at: f"/spec{at}")


def _put_ack(request: Json, _: Json) -> Json:
    return _resource("sagemaker.services.k8s.aws/v1alpha1", "HyperParameterTuningJob", request, _renamed(request, _ack))


def _spec(document: Json) -> Any:
    spec = document.get("spec")
    return dict(spec) if isinstance(spec, dict) else spec


def _resource(version: str, kind: str, request: Json, spec: Json) -> Json:
    name = re.sub(r"[^a-z0-9-]", "-", str(request.get(NAME, UNNAMED)).lower())
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _take_operator(document: Json) -> Taken:
    """The legacy operator makes the name of the resource's, and lists hyperparameters as pairs."""
    spec = _spec(document)
    if not isinstance(spec, dict):
        return Taken(spec, where=lambda at: f"/spec{at}")
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    request = {key: value for key, value in spec.items() if key not in {"region", "sageMakerEndpoint"}}
    if isinstance(spec.get("region"), str):
        request[REGION] = spec["region"]
    definition = request.get("trainingJobDefinition")
    if isinstance(definition, dict):
        request["trainingJobDefinition"] = {
            key: _unpaired(value) if key in {"staticHyperParameters", "environment"} else value
            for key, value in definition.items()
        }
    return Taken(request, where=lambda at: f"/spec{at}", name=name if isinstance(name, str) and name else UNNAMED)


def _unpaired(pairs: Any) -> Any:
    """A map of a list of names and values; what is none stays, and is refused for it."""
    if not isinstance(pairs, list) or not all(
        isinstance(one, dict) and one.keys() == {"name", "value"} for one in pairs
    ):
        return pairs
    return {str(one["name"]): one["value"] for one in pairs}


def _put_operator(request: Json, _: Json) -> Json:
    spec = _renamed({key: value for key, value in request.items() if key not in {NAME, REGION}}, _camel)
    definition = spec.get("trainingJobDefinition", {})
    for member in ("staticHyperParameters", "environment"):
        if member in definition:
            pairs = [{"name": name, "value": value} for name, value in definition[member].items()]
            spec["trainingJobDefinition"] = definition = definition | {member: pairs}
    region = {"region": request[REGION]} if REGION in request else {}
    return _resource("sagemaker.aws.amazon.com/v1", "HyperparameterTuningJob", request, region | spec)


_HELM = {
    "/spec/region": f"/{REGION}",
    "/spec/hyperparameterTuningJobConfig/strategy": f"/{CONFIG}/Strategy",
    "/spec/hyperparameterTuningJobConfig/hyperparameterTuningJobObjective/type": (
        f"/{CONFIG}/HyperParameterTuningJobObjective/Type"
    ),
    "/spec/hyperparameterTuningJobConfig/hyperparameterTuningJobObjective/metricName": (
        f"/{CONFIG}/HyperParameterTuningJobObjective/MetricName"
    ),
    "/spec/hyperparameterTuningJobConfig/maxNumberOfTrainingJobs": f"/{CONFIG}/ResourceLimits/MaxNumberOfTrainingJobs",
    "/spec/hyperparameterTuningJobConfig/maxParallelTrainingJobs": f"/{CONFIG}/ResourceLimits/MaxParallelTrainingJobs",
    "/spec/hyperparameterTuningJobConfig/integerParameterRanges": f"/{CONFIG}/ParameterRanges/IntegerParameterRanges",
    "/spec/hyperparameterTuningJobConfig/continuousParameterRanges": (
        f"/{CONFIG}/ParameterRanges/ContinuousParameterRanges"
    ),
    "/spec/hyperparameterTuningJobConfig/categoricalParameterRanges": (
        f"/{CONFIG}/ParameterRanges/CategoricalParameterRanges"
    ),
    "/spec/hyperparameterTuningJobConfig/trainingJobEarlyStoppingType": f"/{CONFIG}/TrainingJobEarlyStoppingType",
    "/spec/trainingJobConfig/hyperparameters": f"/{ONE}/StaticHyperParameters",
    "/spec/image": f"/{ONE}/AlgorithmSpecification/TrainingImage",
    "/spec/trainingInputMode": f"/{ONE}/AlgorithmSpecification/TrainingInputMode",
    "/spec/roleArn": f"/{ONE}/RoleArn",
    "/spec/inputDataConfig": f"/{ONE}/InputDataConfig",
    "/spec/outputPath": f"/{ONE}/OutputDataConfig/S3OutputPath",
    "/spec/instanceType": f"/{ONE}/ResourceConfig/InstanceType",
    "/spec/instanceCount": f"/{ONE}/ResourceConfig/InstanceCount",
    "/spec/volumeSizeInGB": f"/{ONE}/ResourceConfig/VolumeSizeInGB",
    "/spec/maxRuntimeInSeconds": f"/{ONE}/StoppingCondition/MaxRuntimeInSeconds",
    "/spec/enableNetworkIsolation": f"/{ONE}/EnableNetworkIsolation",
    "/spec/enableInterContainerTrafficEncryption": f"/{ONE}/EnableInterContainerTrafficEncryption",
}
"""Values of the operator's chart, which are flat, and where they belong."""
_REST = {"/spec": f"/{ONE}", "/spec/hyperparameterTuningJobConfig": f"/{CONFIG}"}
"""Where values belong that the chart has no place for: they are read, or refused, under the API's own names."""


def _take_helm(document: Json) -> Taken:
    request: Json = {ONE: {"StoppingCondition": {}}}
    for there, here in _HELM.items():
        value = _at(document, there)
        if value is not None:
            _set(request, here, [_channel(one) for one in value] if _lists_channels(here, value) else value)
    for there, here in _REST.items():
        rest = _at(document, there)
        for key in rest if isinstance(rest, dict) else ():
            if not any(f"{known}/".startswith(f"{there}/{key}/") for known in _HELM):
                request.setdefault(here.strip("/"), {})[key] = rest[key]
    name = document.get("name")
    return Taken(request, where=_in_chart, name=name if isinstance(name, str) and name else UNNAMED)


def _in_chart(at: str) -> str:
    places = [*_HELM.items(), *_REST.items()]
    there, here = max(places, key=lambda pair: len(pair[1]) if f"{at}/".startswith(f"{pair[1]}/") else 0)
    return there + at[len(here) :] if f"{at}/".startswith(f"{here}/") else "/spec"


def _put_helm(request: Json, _: Json) -> Json:
    document: Json = {"name": request.get(NAME, UNNAMED)}
    for there, here in _HELM.items():
        value = _at(request, here)
        if value is not None:
            named = _renamed(value, _camel) if not there.endswith("/hyperparameters") else value
            _set(document, there, [_chart_channel(one) for one in value] if _lists_channels(here, value) else named)
    return document


def _lists_channels(here: str, value: Any) -> bool:
    return here.endswith("/InputDataConfig") and isinstance(value, list)


def _channel(chart: Any) -> Any:
    if not isinstance(chart, dict) or not isinstance(chart.get("s3"), dict):
        return chart
    rest = {key: value for key, value in chart.items() if key not in {"channel", "s3"}}
    source = {"S3DataType": "S3Prefix", **chart["s3"]}
    return {"ChannelName": chart.get("channel"), "DataSource": {"S3DataSource": source}, **rest}


def _chart_channel(channel: Json) -> Json:
    source = channel.get("DataSource", {}).get("S3DataSource")
    if source is None:
        return dict(_renamed(channel, _camel))
    rest = {key: value for key, value in channel.items() if key not in {"ChannelName", "DataSource"}}
    plain = {key: value for key, value in source.items() if (key, value) != ("S3DataType", "S3Prefix")}
    return {"channel": channel["ChannelName"], "s3": _renamed(plain, _camel), **_renamed(rest, _camel)}


def _at(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document.get(part) if isinstance(document, dict) else None
    return document


def _set(document: Json, pointer: str, value: Any) -> None:
    *parents, last = pointer.split("/")[1:]
    for part in parents:
        document = document.setdefault(part, {})
    document[last] = value


# ---- Terraform ------------------------------------------------------------------------------------------------------


_TERRAFORM = {"hyper_parameter_tuning_job_name": "name", "hyper_parameter_tuning_job_config": "config"}
_OBJECTIVE = {"hyper_parameter_tuning_job_objective": "objective"}


def _take_terraform(document: Json) -> Taken:
    """The provider's resource has shorter names for some members, and tags as a map."""
    config = "hyper_parameter_tuning_job_config"
    request = _swapped(document, _TERRAFORM)
    if config in request:
        request[config] = _swapped(request[config], _OBJECTIVE)
    return Taken(_with_tag_list(request), where=_in_terraform)


def _swapped(block: Any, names: Mapping[str, str]) -> Any:
    """A block with the API's names for the provider's; a block may be a list of one."""
    if isinstance(block, list):
        return [_swapped(one, names) for one in block]
    long = {short: name for name, short in names.items()}
    return {long.get(key, key): value for key, value in block.items()} if isinstance(block, dict) else block


def _in_terraform(at: str) -> str:
    for name, short in (_TERRAFORM | _OBJECTIVE).items():
        at = re.sub(f"(?:^|(?<=/config))/{name}(?=/|$)", f"/{short}", at)
    return at


def _put_terraform(request: Json, _: Json) -> Json:
    document = _put_snake(request, {})
    config = "hyper_parameter_tuning_job_config"
    if config in document:
        document[config] = {_OBJECTIVE.get(key, key): value for key, value in document[config].items()}
    return {_TERRAFORM.get(key, key): value for key, value in document.items()}


def _take_snake(document: Json) -> Taken:
    return Taken(_with_tag_list(document))


def _with_tag_list(document: Json) -> Json:
    tags = document.get("tags")
    if not isinstance(tags, dict):
        return document
    return document | {"tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _put_snake(request: Json, _: Json) -> Json:
    document: Json = _renamed(request, _snake)
    tags = {"tags": {one["key"]: one["value"] for one in document["tags"]}} if "tags" in document else {}
    return document | tags


READ_ONLY = frozenset({"describe", "helm"})
"""Forms that nothing is submitted in: what the service answers, and a chart that has not a place for everything."""
NAMELESS = frozenset({"parts", "operator", "helm"})
"""Forms whose jobs are named by whoever submits them."""

FORMS: Mapping[str, Form] = {
    "request": Form(_take_request, lambda request, _: dict(request)),
    "ack": Form(_take_ack, _put_ack),
    "describe": Form(_take_described, _put_described),
    "parts": Form(_take_parts, _put_parts),
    "camel": _spelt(_camel),
    "snake": Form(_take_snake, _put_snake),
    "terraform": Form(_take_terraform, _put_terraform),
    "states": Form(_take_state, _put_state),
    "jsonata": Form(_take_jsonata, _put_jsonata),
    "operator": Form(_take_operator, _put_operator),
    "helm": Form(_take_helm, _put_helm),
}
"""Every form by its name; the first is what is submitted."""
