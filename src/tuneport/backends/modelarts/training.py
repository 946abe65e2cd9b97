"""A trial as one training job without a search: what is sent for it, and what the service says of it. Pure."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from tuneport.backends.modelarts.translate import TRANSLATOR
from tuneport.backends.modelarts.translate.rules import at
from tuneport.backends.modelarts.translate.values import kind_of, text
from tuneport.backends.protocols import JobStatus, Reading
from tuneport.engine.launch import TrialContext, spoken, token, values
from tuneport.model.results import Failure, FailureKind
from tuneport.model.trial_spec import TrialSpec

Json: TypeAlias = dict[str, Any]

_NOT_ITS_DOING = re.compile(r"preempt|node (fault|failure)|no capacity|insufficient|lost", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(r"out of memory|MemoryError|\bOOM", re.IGNORECASE)


class ModelArtsTraining:
    """Trials as training jobs."""

    form = "job"

    def translated(self, trial: TrialSpec) -> TrialSpec:
        """All of it: jobs of the service's tuner say trials in the same words."""
        return trial

    def document(self, request: Json, trial: TrialContext) -> Json:
        """The training job of a trial; what tuneport_trial must know besides its flags is in its environment."""
        algorithm: Json = {key: part for key, part in request["algorithm"].items() if key != "policies"}
        own = values(trial)
        others = [one for one in algorithm.get("parameters", ()) if one.get("name") not in own]
        algorithm["parameters"] = [*others, *(_parameter(name, value) for name, value in own.items())]
        algorithm["environments"] = {**algorithm.get("environments", {}), **spoken(trial)}
        job = {**request, "algorithm": algorithm, "metadata": {**request["metadata"], "name": token(trial)}}
        return TRANSLATOR.write(Reading(self.form, job))


TRAINING = ModelArtsTraining()


def _parameter(name: str, value: Any) -> Json:
    return {"name": name, "value": text(value), "constraint": {"type": kind_of([value])}}


def status_of(job: Json) -> JobStatus:
    """How a training job is."""
    status = at(job, "/status")
    start, created, spent = status.get("start_time"), at(job, "/metadata/create_time"), status.get("duration")
    started = start / 1000 if start else None
    phase = str(status.get("phase"))
    if phase in {"Creating", "Pending", "Running", "Terminating"}:
        return JobStatus(started if phase != "Creating" else None)
    ended = ((start or created or 0) + (spent or 0)) / 1000
    return JobStatus(started, ended, _failure(phase, status))


def _failure(phase: str, status: Json) -> Failure | None:
    if phase == "Completed":
        return None
    if phase == "Terminated":
        return Failure(kind=FailureKind.CANCELLED, message="was terminated at ModelArts")
    tasks = [one for one in status.get("task_statuses") or () if one.get("exit_code") or one.get("message")]
    reasons = [str(one["message"]) for one in tasks if one.get("message")]
    reasons += [str(one["end_reason"]) for one in status.get("running_records") or () if one.get("end_reason")]
    message = reasons[0] if reasons else f"ModelArts says {status.get('secondary_phase') or phase}, and gives no reason"
    kind = FailureKind.CODE
    if phase != "Failed" or _NOT_ITS_DOING.search(message):
        kind = FailureKind.INFRASTRUCTURE
    elif _OUT_OF_MEMORY.search(message):
        kind = FailureKind.OUT_OF_MEMORY
    code = next((one["exit_code"] for one in tasks if isinstance(one.get("exit_code"), int)), None)
    return Failure(kind=kind, message=message, exit_code=code)
