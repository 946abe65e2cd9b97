"""The documents that a tuning job is written down in, but for those of other tools (carriers.py).

A carrier changes names and wrapping, never what is asked for. Every form is a pair: `take` makes a request in the
API's own layout of a document, `put` makes the document of a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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


# ---- names ----------------------------------------------------------------------------------------------------------


_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ACK = {"Type": "type_", "RoleArn": "roleARN", "TrainingPlanArn": "trainingPlanARN", "HubContentArn": "hubContentARN"}
_ACRONYMS = re.compile(r"(?<=[a-z0-9])(Kms|Uri|Id|Arn)(?=[A-Z]|s?$)")


def snake(name: str) -> str:
    """A name as Python and Terraform write them."""
    return _WORDS.sub("_", name).lower()


def camel(name: str) -> str:
    """A name that begins with a small letter."""
    return name[:1].lower() + name[1:]


def ack(name: str) -> str:
    """Names as the controller has them: acronyms in capitals, and no word of its programming language."""
    return _ACK.get(name) or camel(_ACRONYMS.sub(lambda match: match[0].upper(), name))


def renamed(value: Any, name_of: Callable[[str], str]) -> Any:
    """A copy in which every name is spelt otherwise, but for those that are the user's own."""
    if isinstance(value, dict):
        return {name_of(key): item if key in _OPEN else renamed(item, name_of) for key, item in value.items()}
    return [renamed(item, name_of) for item in value] if isinstance(value, list) else value


def at_pointer(document: Any, pointer: str) -> Any:
    """What stands at a pointer of objects within each other; None if there is nothing."""
    for part in pointer.split("/")[1:]:
        document = document.get(part) if isinstance(document, dict) else None
    return document


# ---- the API's own layout -------------------------------------------------------------------------------------------


def _take_request(document: Json) -> Taken:
    """Airflow's configurations say beside the request what is to be uploaded before."""
    return Taken({key: value for key, value in document.items() if key != "S3Operations"})


PLAIN = Form(_take_request, lambda request, _: dict(request))


def spelt(name_of: Callable[[str], str]) -> Form:
    """The API's layout with names of another spelling."""
    return Form(_take_request, lambda request, _: dict(renamed(request, name_of)))


def _take_parts(document: Json) -> Taken:
    return Taken(document, name=UNNAMED)


PARTS = Form(_take_parts, lambda request, _: dict(request))


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
    algorithm = at_pointer(definitions, "/AlgorithmSpecification")
    metrics = at_pointer(algorithm, "/MetricDefinitions")
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


DESCRIBED = Form(_take_described, _put_described)


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


STATE = Form(_take_state, _put_state)


def _take_jsonata(document: Json) -> Taken:
    """Values such as `{% $states.input.name %}` are expressions: they become symbolic values."""
    request = _retold(document["Arguments"], lambda text: f"${text}" if text.startswith("{%") else text)
    return Taken(request, where=lambda at: f"/Arguments{at}")


def _put_jsonata(request: Json, _: Json) -> Json:
    arguments = _retold(request, lambda text: text.removeprefix("$") if text.startswith("${%") else text)
    return {**_TASK, "QueryLanguage": "JSONata", "Arguments": arguments}


JSONATA = Form(_take_jsonata, _put_jsonata)


def _retold(value: Any, retell: Callable[[str], str]) -> Any:
    """The value with every text in it changed."""
    if isinstance(value, dict):
        return {key: _retold(item, retell) for key, item in value.items()}
    if isinstance(value, list):
        return [_retold(item, retell) for item in value]
    return retell(value) if isinstance(value, str) else value
