"""The kinds of documents: how each is recognised, what it wraps, how it is spelt, and its one canonical request.

A request has the members of a HyperparameterTuningJob (without `studySpec` for a single trial) and, beside them, those
of a TrainingPipeline that say something more. All int64 are text and all names are the vendor's, as in its own JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeAlias

from tuneport.backends.protocols import Reading
from tuneport.backends.vertex.study import number, parameter_specs, whole
from tuneport.errors import PayloadError, Problem
from tuneport.translation.shape import Shape, schema_of

Json: TypeAlias = dict[str, Any]
Carrier: TypeAlias = Literal["job", "pipeline", "custom", "custom-job", "custom-spec"]

DEFINITIONS = "gs://google-cloud-aiplatform/schema/trainingjob/definition/"
TUNING_TASK, CUSTOM_TASK = "hyperparameter_tuning_task_1.0.0.yaml", "custom_task_1.0.0.yaml"
TASK_MEMBERS = ("studySpec", "trialJobSpec", "maxTrialCount", "parallelTrialCount", "maxFailedTrialCount")
NO_NAME = "untitled"
"""Display name of a request without one: gcloud is told it by a flag, and a bare CustomJobSpec has none."""

_FORMS: Mapping[str, tuple[Carrier, str]] = {
    "job": ("job", ""),
    "gcloud": ("job", "plain"),
    "pipeline": ("pipeline", ""),
    "custom": ("custom", ""),
    "custom-job": ("custom-job", ""),
    "custom-spec": ("custom-spec", ""),
    "response": ("job", ""),
    "job-snake": ("job", "snake"),
    "pipeline-snake": ("pipeline", "snake"),
    "custom-snake": ("custom", "snake"),
    "custom-job-snake": ("custom-job", "snake"),
    "custom-spec-snake": ("custom-spec", "snake"),
    "response-snake": ("job", "snake"),
}
"""Form to what it wraps and how it is spelt: "plain" has int64 as numbers, "snake" the proto's field names besides.
A response is a job that the service described, which is not what is submitted."""
FORMS = tuple(form for form in _FORMS if not form.startswith("response"))
"""What can be asked for."""


def carrier(form: str) -> Carrier:
    """What a form wraps.

    Raises:
        PayloadError: there is no such form.
    """
    if form not in _FORMS:
        raise PayloadError(f"there is no form '{form}' on Vertex AI", hint=f"forms: {', '.join(FORMS)}")
    return _FORMS[form][0]


def tunes(form: str) -> bool:
    """Whether documents of this form say a study; the others are single trials."""
    return carrier(form) in {"job", "pipeline"}


# ---- recognising ----------------------------------------------------------------------------------------------------


def _plain(key: object) -> str:
    return key.replace("_", "").replace("-", "").lower() if isinstance(key, str) and len(key) < 100 else ""


def _member(document: Json, name: str) -> tuple[str, Any] | None:
    """A member in any casing: how it is called there, and its value."""
    wanted = _plain(name)
    return next(((key, value) for key, value in document.items() if _plain(key) == wanted), None)


_SIGNS: tuple[tuple[str, Carrier], ...] = (
    ("studySpec", "job"),
    ("trialJobSpec", "job"),
    ("jobSpec", "custom-job"),
    ("workerPoolSpecs", "custom-spec"),
)
_LISTS = ("hyperparameterTuningJobs", "trainingPipelines", "customJobs")


def _recognised(document: Json) -> tuple[Carrier, bool]:
    """What the document wraps, and whether it is spelt in snake_case."""
    if found := _member(document, "trainingTaskDefinition"):
        key, definition = found
        return _task(key, definition), "_" in key
    for name, kind in _SIGNS:
        if found := _member(document, name):
            return kind, "_" in found[0]
    if several := next(filter(None, (_member(document, name) for name in _LISTS)), None):
        raise _refusal(f"/{several[0]}", "is a list of jobs", "take one of its items")
    if carried := next(filter(None, (_member(document, name.removesuffix("s")) for name in _LISTS)), None):
        raise _refusal(f"/{carried[0]}", "is carried by something else", f"take what stands at '{carried[0]}'")
    known = "a HyperparameterTuningJob (studySpec), a TrainingPipeline (trainingTaskDefinition), a CustomJob (jobSpec)"
    raise _refusal("", "this is no document of Vertex AI that describes trials", f"known are {known}")


def _task(key: str, definition: object) -> Carrier:
    """The definition by its file's name: the place of the file may differ in replies."""
    name = definition.rpartition("/")[2] if isinstance(definition, str) else ""
    if name.startswith("hyperparameter_tuning_task"):
        return "pipeline"
    if name.startswith("custom_task"):
        return "custom"
    raise _refusal(f"/{key}", "is no task whose trials can be told", f"known are {TUNING_TASK} and {CUSTOM_TASK}")


def _refusal(pointer: str, message: str, hint: str | None = None) -> PayloadError:
    return PayloadError(f"vertex: {message}", hint=hint, problems=[Problem(pointer, message, hint)])


# ---- reading --------------------------------------------------------------------------------------------------------

_ROOTS: Mapping[Carrier, str] = {
    "job": "HyperparameterTuningJob",
    "pipeline": "TrainingPipeline",
    "custom": "TrainingPipeline",
    "custom-job": "CustomJob",
    "custom-spec": "CustomJobSpec",
}
_TOLD_ELSEWHERE = {
    "HyperparameterTuningJob": {"displayName", "maxTrialCount", "parallelTrialCount"},
    "HyperparameterTuningTask": {"maxTrialCount", "parallelTrialCount"},
    "CustomJob": {"displayName"},
    "TrainingPipeline": {"displayName", "trainingTaskInputs"},
    "StudySpec.MetricSpec": {"goal"},
}
"""What may be missing in a document that is read: gcloud has flags for it, or there is a meaning without it."""


@cache
def schema() -> Mapping[str, Any]:
    """The vendor's own model."""
    return schema_of(__package__)


@cache
def _shape(root: str, unknown: Literal["refuse", "keep"]) -> Shape:
    """For reading: what is told elsewhere is not required. Google's own pages put labels into a task as well."""
    definitions = dict(schema()["$defs"])
    for name, told in _TOLD_ELSEWHERE.items():
        required = [member for member in definitions[name]["required"] if member not in told]
        definitions[name] = {**definitions[name], "required": required}
    task, job = definitions["HyperparameterTuningTask"], definitions["HyperparameterTuningJob"]
    labels = {"labels": job["properties"]["labels"]}
    definitions["HyperparameterTuningTask"] = {**task, "properties": task["properties"] | labels}
    return Shape({"$defs": definitions}, root, unknown=unknown)


@cache
def _answers(root: str) -> frozenset[str]:
    """Members that only the service says."""
    members = schema()["$defs"][root]["properties"].items()
    return frozenset(name for name, member in members if member.get("x-output-only"))


def read(document: object) -> Reading:
    """Unwrap a document and read it by the vendor's model.

    Raises:
        PayloadError: it is none, or does not follow the model.
    """
    if not isinstance(document, dict):
        raise _refusal("", "must be an object")
    kind, snake = _recognised(document)
    root = _ROOTS[kind]
    if document.get("type") == root:  # some tools write what it is beside what it says
        document = {key: value for key, value in document.items() if key != "type"}
    answers = {_plain(name) for name in _answers(root)}
    unknown: Literal["refuse", "keep"] = "keep" if any(_plain(key) in answers for key in document) else "refuse"
    inputs = _member(document, "trainingTaskInputs") if root == "TrainingPipeline" else None
    rest = document if inputs is None else {key: value for key, value in document.items() if key != inputs[0]}
    outer = _shape(root, unknown).read(rest)
    response = {name: outer.pop(name) for name in list(outer) if name in _answers(root)}
    request = _unwrapped(kind, outer, inputs, unknown)
    form: str = "response" if kind == "job" and response else kind
    if snake:
        form = f"{form}-snake"
    elif form == "job" and any(_plain_int64(document)):
        form = "gcloud"
    return Reading(form, _canonical(kind, request), response)


def read_reply(document: object) -> Json:
    """What a service says of a job, as its vendor would write it; it need not repeat all that was asked for.

    Raises:
        PayloadError: it is no reply.
    """
    if not isinstance(document, dict):
        raise _refusal("", "must be an object")
    root = _ROOTS[_recognised(document)[0]]
    definitions = {name: {**one, "required": ()} for name, one in schema()["$defs"].items()}
    return Shape({"$defs": definitions}, root, unknown="keep").read(document)


def read_trial(native: object) -> Json:
    """A trial as the service would say it.

    Raises:
        PayloadError: it is none.
    """
    return _shape("Trial", "keep").read(native)


def _unwrapped(kind: Carrier, outer: Json, inputs: tuple[str, Any] | None, unknown: Literal["refuse", "keep"]) -> Json:
    outer.pop("trainingTaskDefinition", None)
    match kind:
        case "job":
            return outer
        case "pipeline":
            return _task_inputs("HyperparameterTuningTask", inputs, unknown) | outer
        case "custom":
            return {"trialJobSpec": _task_inputs("CustomJobSpec", inputs, unknown)} | outer
        case "custom-job":
            return {"trialJobSpec": outer.pop("jobSpec")} | outer
        case "custom-spec":
            return {"trialJobSpec": outer}


def _task_inputs(root: str, inputs: tuple[str, Any] | None, unknown: Literal["refuse", "keep"]) -> Json:
    if inputs is None:
        raise _refusal("", "'trainingTaskInputs' is required")
    key, value = inputs
    try:
        return _shape(root, unknown).read(value)
    except PayloadError as error:
        within = [replace(problem, pointer=f"/{key}{problem.pointer}") for problem in error.problems]
        raise PayloadError(error.message, problems=within) from None


# ---- one meaning, one spelling --------------------------------------------------------------------------------------

_STRATEGIES = {"ON_DEMAND": None, "STANDARD": None, "LOW_COST": "SPOT"}
"""Deprecated names and what is meant without one."""


def _canonical(kind: Carrier, request: Json) -> Json:
    """The request with what is meant where nothing is said, or nothing where the usual is said."""
    request.setdefault("displayName", NO_NAME)
    if kind in {"job", "pipeline"}:
        for count in ("maxTrialCount", "parallelTrialCount"):
            request.setdefault(count, 1)  # what gcloud sends without its flags
        _canonical_study(request)
    trial = request.get("trialJobSpec")
    if isinstance(trial, dict):
        _canonical_trial(trial)
    return request


def _canonical_study(request: Json) -> None:
    study = request["studySpec"]
    for metric in study["metrics"]:
        if metric.get("goal") in {None, "GOAL_TYPE_UNSPECIFIED"}:
            metric["goal"] = "MAXIMIZE"
    if study.get("measurementSelectionType") == "LAST_MEASUREMENT":
        del study["measurementSelectionType"]
    for _, spec in parameter_specs(request):
        for member in spec.get("doubleValueSpec", {}):
            spec["doubleValueSpec"][member] = _double(spec["doubleValueSpec"][member])


def _double(value: Any) -> Any:
    """A double as Python writes one; 1 and 1.0 are the same on the wire."""
    try:
        return value if number(value) is None else float(value)
    except OverflowError:
        return value


def _canonical_trial(trial: Json) -> None:
    pools, scheduling = trial["workerPoolSpecs"], trial.get("scheduling", {})
    if pools and pools[0]:
        pools[0].setdefault("replicaCount", "1")
    for pool in pools:
        if pool.get("diskSpec", {}).get("bootDiskType") == "pd-ssd":
            del pool["diskSpec"]["bootDiskType"]
    if scheduling.get("strategy") in _STRATEGIES:
        meant = _STRATEGIES[scheduling.pop("strategy")]
        scheduling |= {} if meant is None else {"strategy": meant}
    if not scheduling:
        trial.pop("scheduling", None)


# ---- writing --------------------------------------------------------------------------------------------------------


def write(reading: Reading) -> Json:
    """The document that says a request and, if there was one, the answer to it."""
    kind, style = carrier(reading.form), _FORMS[reading.form][1]
    document = _wrapped(kind, reading.request) | reading.response
    if style:
        document = _each(document, _with_plain_int64)
    return _each(document, _with_snake_keys) if style == "snake" else document


def _wrapped(kind: Carrier, request: Json) -> Json:
    outer = {name: value for name, value in request.items() if name not in TASK_MEMBERS}
    match kind:
        case "job":
            return dict(request)
        case "pipeline":
            inputs = {name: request[name] for name in TASK_MEMBERS if name in request}
            return outer | {"trainingTaskDefinition": DEFINITIONS + TUNING_TASK, "trainingTaskInputs": inputs}
        case "custom":
            task = {"trainingTaskDefinition": DEFINITIONS + CUSTOM_TASK}
            return outer | task | {"trainingTaskInputs": request["trialJobSpec"]}
        case "custom-job":
            return outer | {"jobSpec": request["trialJobSpec"]}
        case "custom-spec":
            return dict(request["trialJobSpec"])


_INT64 = {"replicaCount", "maxStepCount", "minStepCount", "minMeasurementCount"}
_INT64_WITHIN = {"integerValueSpec": {"minValue", "maxValue", "defaultValue"}, "parentIntValues": {"values"}}
_HUMP = re.compile(r"([A-Z])")


def _plain_int64(document: Any, within: str = "") -> Iterator[bool]:
    """Something for every int64 that is written as a number."""
    if isinstance(document, list):
        for item in document:
            yield from _plain_int64(item, within)
    elif isinstance(document, dict):
        for key, value in document.items():
            known = key in _INT64 or key in _INT64_WITHIN.get(within, ())
            if known and isinstance(value[0] if isinstance(value, list) and value else value, int):
                yield True
            yield from _plain_int64(value, key)


def _each(document: Any, change: Callable[[Json, str], Json], within: str = "") -> Any:
    """A copy in which every object is changed, from the inside out; `within` is the key that an object stands at."""
    if isinstance(document, list):
        return [_each(item, change, within) for item in document]
    if isinstance(document, dict):
        return change({key: _each(value, change, key) for key, value in document.items()}, within)
    return document


def _with_plain_int64(members: Json, within: str) -> Json:
    counts = _INT64 | _INT64_WITHIN.get(within, set())
    return {key: _as_number(value) if key in counts else value for key, value in members.items()}


def _as_number(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_number(item) for item in value]
    count = whole(value)
    return value if count is None else count


def _with_snake_keys(members: Json, within: str) -> Json:
    """The proto's field names; keys of labels and variables are the user's own."""
    return members if within == "labels" else {_HUMP.sub(r"_\1", key).lower(): value for key, value in members.items()}


# ---- checking -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """Members of a request that follow one definition, at the place where they stand in the request."""

    root: str
    document: Any
    pointer: str = ""


def problems(request: Json, form: str) -> Iterator[Problem]:
    """What the vendor's own model has against a request."""
    for part in _parts(carrier(form), request):
        for problem in Shape(schema(), part.root).problems(part.document):
            yield replace(problem, pointer=part.pointer + problem.pointer)


def _parts(kind: Carrier, request: Json) -> Iterator[_Part]:
    if kind == "job":
        yield _Part("HyperparameterTuningJob", request)
        return
    if kind == "pipeline":
        yield _Part("HyperparameterTuningTask", {name: request[name] for name in TASK_MEMBERS if name in request})
    else:
        yield _Part("CustomJobSpec", request.get("trialJobSpec"), "/trialJobSpec")
    outer = {name: value for name, value in request.items() if name not in TASK_MEMBERS}
    if kind == "custom-job":
        yield _Part("CustomJob", outer | {"jobSpec": {"workerPoolSpecs": []}})
    elif kind != "custom-spec":
        yield _Part("TrainingPipeline", outer | {"trainingTaskDefinition": DEFINITIONS, "trainingTaskInputs": {}})
