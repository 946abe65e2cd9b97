"""Documents of other tools that carry a tuning job, every form of document by its name, and how they are told apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from tuneport.backends.sagemaker.forms import (
    CONFIG,
    DESCRIBED,
    JSONATA,
    NAME,
    ONE,
    PARTS,
    PLAIN,
    REGION,
    STATE,
    UNNAMED,
    Form,
    Taken,
    ack,
    at_pointer,
    camel,
    renamed,
    snake,
    spelt,
)

Json: TypeAlias = dict[str, Any]


# ---- Kubernetes -----------------------------------------------------------------------------------------------------


def _take_ack(document: Json) -> Taken:
    return Taken(_spec(document), where=lambda at: f"/spec{at}")


def _put_ack(request: Json, _: Json) -> Json:
    return _resource("sagemaker.services.k8s.aws/v1alpha1", "HyperParameterTuningJob", request, renamed(request, ack))


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
    spec = renamed({key: value for key, value in request.items() if key not in {NAME, REGION}}, camel)
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
        value = at_pointer(document, there)
        if value is not None:
            _set(request, here, [_channel(one) for one in value] if _lists_channels(here, value) else value)
    for there, here in _REST.items():
        rest = at_pointer(document, there)
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
        value = at_pointer(request, here)
        if value is not None:
            named = renamed(value, camel) if not there.endswith("/hyperparameters") else value
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
        return dict(renamed(channel, camel))
    rest = {key: value for key, value in channel.items() if key not in {"ChannelName", "DataSource"}}
    plain = {key: value for key, value in source.items() if (key, value) != ("S3DataType", "S3Prefix")}
    return {"channel": channel["ChannelName"], "s3": renamed(plain, camel), **renamed(rest, camel)}


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
    document: Json = renamed(request, snake)
    tags = {"tags": {one["key"]: one["value"] for one in document["tags"]}} if "tags" in document else {}
    return document | tags


# ---- Kubeflow Pipelines ---------------------------------------------------------------------------------------------


_PIPELINES_CONFIG = "hyper_parameter_tuning_job_config"


def _take_pipelines(document: Json) -> Taken:
    """A component's inputs: structures are JSON in text, spelt as the controller has them."""
    request = {REGION if key == "region" else key: _parsed(value) for key, value in document.items()}
    return Taken(request, where=lambda at: "/".join(at.split("/")[:2]))


def _parsed(value: Any) -> Any:
    """The structure that a text is; any other text stays, and is refused where a structure is due."""
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in {"{", "["} else value
    except (ValueError, RecursionError):
        return value


def _put_pipelines(request: Json, _: Json) -> Json:
    return {
        snake(member): json.dumps(renamed(value, ack), sort_keys=True) if isinstance(value, (dict, list)) else value
        for member, value in request.items()
    }


# ---- all of them ----------------------------------------------------------------------------------------------------


READ_ONLY = frozenset({"describe", "helm"})
"""Forms that nothing is submitted in: what the service answers, and a chart that has not a place for everything."""
NAMELESS = frozenset({"parts", "operator", "helm"})
"""Forms whose jobs are named by whoever submits them."""

WITH_REGION = frozenset({"operator", "helm", "pipelines"})
"""Forms that say in which region the job is to be."""

FORMS: Mapping[str, Form] = {
    "request": PLAIN,
    "ack": Form(_take_ack, _put_ack),
    "describe": DESCRIBED,
    "parts": PARTS,
    "camel": spelt(camel),
    "snake": Form(_take_snake, _put_snake),
    "terraform": Form(_take_terraform, _put_terraform),
    "states": STATE,
    "jsonata": JSONATA,
    "pipelines": Form(_take_pipelines, _put_pipelines),
    "operator": Form(_take_operator, _put_operator),
    "helm": Form(_take_helm, _put_helm),
}
"""Every form by its name; the first is what is submitted."""


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
    if _PIPELINES_CONFIG in document:
        return "pipelines" if isinstance(document[_PIPELINES_CONFIG], str) else "snake"
    return "camel" if "hyperParameterTuningJobConfig" in document else "request"


_DEEPEST = 10
"""Levels at which a job is looked for."""


def carried(document: Any, pointer: str = "", depth: int = _DEEPEST) -> Iterator[str]:
    """Pointers of the jobs in a document that is none itself: states of a state machine, resources of Terraform."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())
    )
    if _is_job(document):
        yield pointer
    elif depth:
        for key, item in items:
            yield from carried(item, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}", depth - 1)


def _is_job(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    names = {key.replace("_", "").lower() for key in document if isinstance(key, str)}
    defined = not names.isdisjoint({"trainingjobdefinition", "trainingjobdefinitions"})
    task = document.get("Resource")
    return defined or (isinstance(task, str) and "createHyperParameterTuningJob" in task)
