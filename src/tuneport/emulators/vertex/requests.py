"""What is asked for when something is created: checked as the service checks it, and made into a job that runs here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

from tuneport.backends.vertex import forms
from tuneport.backends.vertex.study import parameter_specs
from tuneport.backends.vertex.translate import TRANSLATOR
from tuneport.emulators.launching import NOTHING
from tuneport.emulators.vertex.refusals import RefusalError, invalid
from tuneport.errors import JobError, PayloadError, Problem
from tuneport.model.job import TuningJob
from tuneport.translation.shape import Shape

Json: TypeAlias = dict[str, Any]

_DISK = {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100}
_FREE = {"labels", "metadata", "trainingTaskInputs"}
"""Members whose keys are the user's own, or told later."""
TUNING, CUSTOM = "HyperparameterTuningJob", "CustomJob"


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid request.

    Attributes:
        echo: as the service repeats it.
        job: what runs.
    """

    echo: Json
    job: TuningJob


@dataclass(frozen=True, slots=True)
class Task:
    """A valid pipeline.

    Attributes:
        echo: as the service repeats it.
        kind: what is behind it: a HyperparameterTuningJob or a CustomJob.
        behind: the request for that.
    """

    echo: Json
    kind: str
    behind: Json


def tuning_job(body: Json, *, stopping: bool) -> Asked:
    """A HyperparameterTuningJob; with `stopping`, early stopping and limits of the study have an effect.

    Raises:
        RefusalError: the service refuses it.
    """
    echo = _read(TUNING, body)
    job = _translated(echo)
    for _, spec in parameter_specs(echo):
        ranges = (spec.get("doubleValueSpec"), spec.get("integerValueSpec"))
        without_zeros(filter(None, ranges), "minValue", "maxValue")
    if not stopping:
        study = job.study.model_copy(update={"early_stopping": None})
        budget = job.budget.model_copy(update={"max_seconds": None, "max_trials_without_improvement": None})
        job = job.model_copy(update={"study": study, "budget": budget})
    return Asked(_with_disks(echo, "trialJobSpec"), job)


def custom_job(body: Json) -> Asked:
    """A CustomJob, which runs as a study of one trial; its last arguments ``--name=value`` are the parameters.

    Raises:
        RefusalError: the service refuses it.
    """
    echo = _read(CUSTOM, body)
    pool: Json = next(iter(echo["jobSpec"]["workerPoolSpecs"]), {})
    args = (pool.get("containerSpec") or pool.get("pythonPackageSpec") or {}).get("args", [])
    return Asked(_with_disks(echo, "jobSpec"), _translated(_runnable(echo, args)))


def pipeline(body: Json) -> Task:
    """A TrainingPipeline with a task that runs here.

    Raises:
        RefusalError: the service refuses it.
    """
    echo = _read("TrainingPipeline", body)
    definition = echo["trainingTaskDefinition"].rpartition("/")[2]
    kind = {forms.TUNING_TASK: TUNING, forms.CUSTOM_TASK: CUSTOM}.get(definition)
    if kind is None:
        hint = f"{forms.TUNING_TASK} and {forms.CUSTOM_TASK} run here"
        raise invalid([Problem("/trainingTaskDefinition", f"'{definition}' does not; {hint}")])
    name, inputs = {"displayName": echo["displayName"]}, echo["trainingTaskInputs"]
    try:
        if kind == TUNING:
            task = {key: value for key, value in inputs.items() if key != "labels"}
            behind = _shape(TUNING).read(name | task)
        else:
            behind = _shape(CUSTOM).read(name | {"jobSpec": inputs})
    except (PayloadError, AttributeError):
        words = "hyperparameter tuning" if kind == TUNING else "custom"
        message = f"Unable to parse `training_pipeline.training_task_inputs` into {words} task `inputs`"
        where = f"{message} defined in the file: {echo['trainingTaskDefinition']}"
        raise RefusalError("INVALID_ARGUMENT", where) from None
    return Task(echo, kind, behind)


# ---- reading --------------------------------------------------------------------------------------------------------


@cache
def _shape(root: str) -> Shape:
    """The vendor's model; a metric without a goal is maximized."""
    definitions = dict(forms.schema()["$defs"])
    definitions["StudySpec.MetricSpec"] = {**definitions["StudySpec.MetricSpec"], "required": ["metricId"]}
    return Shape({"$defs": definitions}, root)


@cache
def _names() -> frozenset[str]:
    """Every member that the vendor's model knows."""
    return frozenset(name for one in forms.schema()["$defs"].values() for name in one.get("properties", ()))


def _read(root: str, body: Any) -> Json:
    """The request as the service repeats it; what only the service says is passed over.

    Raises:
        RefusalError: it does not follow the vendor's model.
    """
    if not isinstance(body, dict):
        raise RefusalError("INVALID_ARGUMENT", "Invalid JSON payload received. Root element must be a message.")
    if unknown := list(_unknown(body)):
        message = "".join(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.\n'
                          for name, at in unknown)  # fmt: skip
        raise RefusalError("INVALID_ARGUMENT", message.rstrip())
    members = forms.schema()["$defs"][root]["properties"].items()
    said_there = {name for name, member in members if member.get("x-output-only")}
    asked = {key: value for key, value in body.items() if _camel(key) not in said_there}
    try:
        return _shape(root).read(asked)
    except PayloadError as error:
        raise invalid(error.problems) from None


def _unknown(body: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Keys that are neither a name of the vendor's nor its proto spelling, with the place of each."""
    if isinstance(body, list):
        for index, item in enumerate(body):
            yield from _unknown(item, f"{path}[{index}]")
    elif isinstance(body, dict):
        for key, value in body.items():
            here = f"{path}.{key}".removeprefix(".")
            if _camel(key) not in _names():
                yield key, f" at '{path}'" if path else ""
            elif _camel(key) not in _FREE:
                yield from _unknown(value, here)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _translated(echo: Json) -> TuningJob:
    """The job that a request asks for.

    Raises:
        RefusalError: by its rules the service refuses it.
    """
    try:
        reading = TRANSLATOR.read(echo)
        problems = TRANSLATOR.problems(reading.request, reading.form)
        if not problems:
            return TRANSLATOR.from_native(reading.request, reading.form)[0]
    except (JobError, PayloadError) as error:
        problems = list(error.problems) or [Problem("", error.message)]
    if "jobSpec" in echo:
        problems = [replace(one, pointer=one.pointer.replace("/trialJobSpec", "/jobSpec", 1)) for one in problems]
    raise invalid(problems)


def _runnable(echo: Json, args: list[str]) -> Json:
    """A custom job that says at least one parameter."""
    if args and re.fullmatch(r"--[^=\s]+=.*", args[-1], re.DOTALL):
        return echo
    first, *others = echo["jobSpec"]["workerPoolSpecs"] or [{}]
    task = next((member for member in ("containerSpec", "pythonPackageSpec") if member in first), None)
    if task is None:
        return echo
    pool = first | {task: first[task] | {"args": [*args, f"--{NOTHING}=1"]}}
    return echo | {"jobSpec": echo["jobSpec"] | {"workerPoolSpecs": [pool, *others]}}


def _with_disks(echo: Json, member: str) -> Json:
    """The request with the disks that every machine gets."""
    spec: Mapping[str, Any] = echo[member]
    pools = [pool and pool | {"diskSpec": _DISK | pool.get("diskSpec", {})} for pool in spec["workerPoolSpecs"]]
    return echo | {member: {**spec, "workerPoolSpecs": pools}}


def without_zeros(messages: Iterable[Json], *fields: str) -> None:
    """Leave out numbers that are zero, as protobuf does."""
    for message in messages:
        for field in fields:
            if message.get(field) in {0, "0"}:
                del message[field]
