"""A trial as one training job: what CreateTrainingJob is sent for it, and what the service says of it. Pure."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from tuneport.backends.protocols import JobStatus
from tuneport.backends.sagemaker.canonical import wire
from tuneport.backends.sagemaker.forms import ONE
from tuneport.backends.sagemaker.hyperparameters import HINTS, text_of
from tuneport.engine.launch import TrialContext, flags, plain_text, spoken, token, values
from tuneport.model.results import Failure, FailureKind
from tuneport.model.trial_spec import TrialSpec

Json: TypeAlias = dict[str, Any]

_SHARED = (
    "RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "VpcConfig",
    "StoppingCondition", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining",
    "CheckpointConfig", "RetryStrategy",
)  # fmt: skip
"""What a training job says as the definition of a tuning job's training jobs does."""
_OBJECTIVE = "TUNEPORT_OBJECTIVE"
_BEGUN = frozenset({"Training", "Uploading", "Stopping"})
_STOPS = {
    "MaxRuntimeExceeded": (FailureKind.TIMED_OUT, "ran longer than its time-out"),
    "MaxWaitTimeExceeded": (FailureKind.INFRASTRUCTURE, "waited too long for spot capacity"),
    "Interrupted": (FailureKind.PREEMPTED, "its spot machine was taken away"),
}
_NOT_ITS_DOING = re.compile(r"InternalServerError|Capacity|capacity error|Interrupted")
_OUT_OF_MEMORY = re.compile(r"out of memory|OutOfMemory|MemoryError", re.IGNORECASE)
_EXIT_CODE = re.compile(r"exit ?code:? (-?\d+)", re.IGNORECASE)


class SageMakerTraining:
    """Trials as training jobs."""

    form = "request"

    def translated(self, trial: TrialSpec) -> TrialSpec:
        """Without the program that a container is told to run, which jobs of the service's tuner have no words for."""
        if not _is_told(trial):
            return trial
        return trial.model_copy(update={"command": None, "module": None, "args": ()})

    def document(self, request: Json, trial: TrialContext) -> Json:
        """The request for a trial's training job: hyperparameters say types by themselves, as JSON."""
        asked = wire(request)
        definition: Json = asked[ONE]
        fixed = {name: text for name, text in definition.get("StaticHyperParameters", {}).items() if name != HINTS}
        own = {name: text_of(value) for name, value in values(trial).items()}
        environment = {_OBJECTIVE: spoken(trial)[_OBJECTIVE], **definition.get("Environment", {})}
        tags = {"Tags": asked["Tags"]} if "Tags" in asked else {}
        return {
            "TrainingJobName": token(trial),
            "HyperParameters": fixed | own,
            **{member: definition[member] for member in _SHARED if member in definition},
            "AlgorithmSpecification": definition["AlgorithmSpecification"] | _container(trial),
            "Environment": environment,
            **tags,
        }


TRAINING = SageMakerTraining()


def _is_told(spec: TrialSpec) -> bool:
    """Whether a container is told what to run; a package from S3 takes the image's own training toolkit."""
    program = spec.command or spec.module or spec.args
    return spec.image is not None and spec.package is None and bool(program)


def _container(trial: TrialContext) -> Json:
    """The program and its arguments, with the parameters as flags: the image need have no training toolkit."""
    spec = trial.job.trial
    if not _is_told(spec):
        return {}
    entry = list(spec.command or ()) if spec.module is None else ["python3", "-m", spec.module]
    arguments = [*spec.args, *flags(trial, plain_text)]
    return ({"ContainerEntrypoint": entry} if entry else {}) | {"ContainerArguments": arguments}


def status_of(job: Json) -> JobStatus:
    """How a training job is, by its description, or as far as its item in a list says it."""
    status, second = job.get("TrainingJobStatus"), str(job.get("SecondaryStatus"))
    started: float | None = job.get("TrainingStartTime")
    if started is None and second in _BEGUN:  # lists do not say since when
        started = job.get("LastModifiedTime")
    if status in {"InProgress", "Stopping"}:
        return JobStatus(started)
    ended = job.get("TrainingEndTime") or job.get("LastModifiedTime") or 0.0
    return JobStatus(started, ended, _failure(str(status), second, str(job.get("FailureReason") or "")))


def _failure(status: str, second: str, reason: str) -> Failure | None:
    if status == "Completed":
        return None
    if second in _STOPS:
        kind, message = _STOPS[second]
        return Failure(kind=kind, message=reason or message)
    if status != "Failed":
        return Failure(kind=FailureKind.CANCELLED, message="was stopped at SageMaker")
    kind = FailureKind.INFRASTRUCTURE if _NOT_ITS_DOING.search(reason) else FailureKind.CODE
    kind = FailureKind.OUT_OF_MEMORY if _OUT_OF_MEMORY.search(reason) else kind
    exited = _EXIT_CODE.search(reason)
    code = None if exited is None else int(exited[1])
    return Failure(kind=kind, message=reason or "SageMaker gives no reason", exit_code=code)
