"""The kinds of documents: how each is recognised, what it wraps, how it is spelt, and its one canonical request.

A request has the members of a HyperparameterTuningJob (without `studySpec` for a single trial) and, beside them, those
of a TrainingPipeline that say something more. All int64 are text and all names are the vendor's, as in its own JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeAlias

from tuneport.backends.protocols import Reading
from tuneport.backends.vertex.spelling import canonical, each, plain_int64, with_plain_int64, with_snake_keys
from tuneport.errors import PayloadError, Problem
from tuneport.translation.shape import Shape, schema_of

Json: TypeAlias = dict[str, Any]
Carrier: TypeAlias = Literal["job", "pipeline", "custom", "custom-job", "custom-spec"]

DEFINITIONS = "gs://google-cloud-aiplatform/schema/trainingjob/definition/"
TUNING_TASK, CUSTOM_TASK = "hyperparameter_tuning_task_1.0.0.yaml", "custom_task_1.0.0.yaml"
TASK_MEMBERS = ("studySpec", "trialJobSpec", "maxTrialCount", "parallelTrialCount", "maxFailedTrialCount")

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


CREATE, LIST = "create", "list"
"""What a job may stand in: the SDKs' request to create it, beside its parent, or a reply that lists it alone. Forms of
such documents have this before a slash, and cannot be asked for."""
PARENT = "parent"
"""Member of a request, beside those of the job: the project and the region that it is created in."""


def carrier(form: str) -> Carrier:
    """What a form wraps.

    Raises:
        PayloadError: there is no such form.
    """
    around, form = _parted(form)
    if form not in _FORMS or around not in {"", CREATE, LIST}:
        raise PayloadError(f"there is no form '{form}' on Vertex AI", hint=f"forms: {', '.join(FORMS)}")
    return _FORMS[form][0]


def has_parent(form: str) -> bool:
    """Whether documents of this form say where the job is created."""
    return _parted(form)[0] == CREATE


def _parted(form: str) -> tuple[str, str]:
    around, _, inner = form.rpartition("/")
    return around, inner


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
_CARRIED = {
    "job": "hyperparameterTuningJob",
    "pipeline": "trainingPipeline",
    "custom": "trainingPipeline",
    "custom-job": "customJob",
}
"""What a job is called in what it stands in; in lists, in the plural."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """A document within another.

    Attributes:
        document: itself.
        around: what it stands in; "" if it stands alone.
        pointer: its place there.
    """

    document: Any
    around: str = ""
    pointer: str = ""


def _standing(document: Json) -> _Standing:
    """The document that describes a job, wherever it stands."""
    if any(_member(document, name) for name in ("trainingTaskDefinition", *dict(_SIGNS))):
        return _Standing(document)
    for name in dict.fromkeys(_CARRIED.values()):
        if carried := _member(document, name):
            return _Standing(carried[1], CREATE, f"/{carried[0]}")
        if listed := _member(document, f"{name}s"):
            key, items = listed
            if not isinstance(items, list) or len(items) != 1:
                raise _refusal(f"/{key}", "is no list of one job", "take one of its items")
            return _Standing(items[0], LIST, f"/{key}/0")
    return _Standing(document)


def _recognised(document: Json) -> tuple[Carrier, bool]:
    """What the document wraps, and whether it is spelt in snake_case."""
    if found := _member(document, "trainingTaskDefinition"):
        key, definition = found
        return _task(key, definition), "_" in key
    for name, kind in _SIGNS:
        if found := _member(document, name):
            return kind, "_" in found[0]
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
    standing = _standing(document)
    if not standing.around:
        return _read(document)
    try:
        reading = _read(standing.document)
    except PayloadError as error:
        within = [replace(problem, pointer=f"{standing.pointer}{problem.pointer}") for problem in error.problems]
        raise PayloadError(error.message, hint=error.hint, problems=within) from None
    if (due := _CARRIED.get(carrier(reading.form))) is None or _plain(due) not in _plain(standing.pointer):
        raise _refusal(standing.pointer, "is another kind of document than its name says")
    parent = _member(document, PARENT) if standing.around == CREATE else None
    said = {PARENT: parent[1]} if parent is not None and isinstance(parent[1], str) else {}
    return replace(reading, form=f"{standing.around}/{reading.form}", request=reading.request | said)


def _read(document: object) -> Reading:
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
    elif form == "job" and any(plain_int64(document)):
        form = "gcloud"
    return Reading(form, canonical(request), response)


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


def where(document: Json, form: str, pointer: str) -> str:
    """The place in a document, as it is spelt there, of a place in the request that it was read as."""
    kind = carrier(form)
    head, _, rest = pointer[1:].partition("/")
    parts = [head, *rest.split("/")] if rest else [head]
    if kind == "pipeline" and head in TASK_MEMBERS:
        parts = ["trainingTaskInputs", *parts]
    elif head == "trialJobSpec" and kind not in {"job", "pipeline"}:
        parts = {"custom": ["trainingTaskInputs"], "custom-job": ["jobSpec"]}.get(kind, []) + parts[1:]
    standing = _standing(document)
    here, spelt = standing.document, standing.pointer
    for part in parts:
        key, here = _child(here, part)
        spelt += f"/{key}"
    return spelt


def _child(parent: Any, part: str) -> tuple[str, Any]:
    """What stands at a part of a pointer, and how the part is spelt."""
    if isinstance(parent, dict):
        return next(((key, item) for key, item in parent.items() if _plain(key) == _plain(part)), (part, None))
    known = isinstance(parent, list) and part.isdecimal() and int(part) < len(parent)
    return part, parent[int(part)] if known else None


# ---- writing --------------------------------------------------------------------------------------------------------


def write(reading: Reading) -> Json:
    """The document that says a request and, if there was one, the answer to it."""
    kind, (around, form) = carrier(reading.form), _parted(reading.form)
    style = _FORMS[form][1]
    request = {name: value for name, value in reading.request.items() if name != PARENT}
    document = _wrapped(kind, request) | reading.response
    if around == CREATE:
        document = {name: value for name, value in reading.request.items() if name == PARENT} | {
            _CARRIED[kind]: document
        }
    elif around == LIST:
        document = {f"{_CARRIED[kind]}s": [document]}
    if style:
        document = each(document, with_plain_int64)
    return each(document, with_snake_keys) if style == "snake" else document


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


# ---- checking -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """Members of a request that follow one definition, at the place where they stand in the request."""

    root: str
    document: Any
    pointer: str = ""


def problems(request: Json, form: str) -> Iterator[Problem]:
    """What the vendor's own model has against a request."""
    request = {name: value for name, value in request.items() if name != PARENT}
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
