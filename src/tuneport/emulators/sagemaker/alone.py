"""Training jobs that no tuning job launched: each runs as a study of one trial, and is shown as that trial's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tuneport.backends.protocols import Json
from tuneport.backends.sagemaker.forms import CONFIG, NAME, ONE
from tuneport.backends.sagemaker.hyperparameters import OBJECTIVE
from tuneport.backends.sagemaker.translate import TRANSLATOR
from tuneport.emulators.host import Host
from tuneport.emulators.launching import NOTHING
from tuneport.emulators.sagemaker.shown import HyperParameterTuningJob, TrainingJob
from tuneport.emulators.sagemaker.wire import VALIDATION, Call, RefusedError, checked, validation_errors
from tuneport.errors import ConflictError
from tuneport.model.job import TuningJob
from tuneport.model.results import RunState, Trial, TrialState

KIND = "sagemaker/training-job"
_HYPERPARAMETERS = "HyperParameters"
_OWN = ("TrainingJobName", _HYPERPARAMETERS, "Tags")
"""What a training job says otherwise than the definition of a tuning job's training jobs does."""
_BESIDE = (
    "DebugHookConfig", "DebugRuleConfigurations", "TensorBoardOutputConfig", "ExperimentConfig", "ProfilerConfig",
    "ProfilerRuleConfigurations", "RemoteDebugConfig", "InfraCheckConfig", "SessionChainingConfig",
    "ServerlessJobConfig", "MlflowConfig", "ModelPackageConfig",
)  # fmt: skip
"""What it may say besides; nothing here heeds it."""
_CONTAINER = frozenset({"ContainerEntrypoint", "ContainerArguments"})
"""What the container runs; here that is what is mapped to the image."""
_UNTOLD = {"Name": "emulated", "Regex": "(?!)"}
"""The metric of a training job that names none; nothing finds it."""
_BEFORE = {RunState.STOPPED: TrialState.STOPPED, RunState.FAILED: TrialState.FAILED}
"""What becomes of a job whose trial never began."""


def create(host: Host, call: Call) -> Json:
    """Start a training job.

    Raises:
        RefusedError: the service would not.
    """
    request = checked(call, "CreateTrainingJobRequest")
    job = _job(request)
    name = request["TrainingJobName"]
    tags = {one["Key"]: one["Value"] for one in request.get("Tags", ())}
    body = {"request": _tuning(request), "asked": request, "region": call.region, "launched_with": tags, "tags": {}}
    try:
        document = host.submit(KIND, f"{call.region}/{name.lower()}", body, job, contract="sagemaker")
    except ConflictError:
        raise RefusedError("ResourceInUse", f"Training job {name} already exists.") from None
    return {"TrainingJobArn": next(_Behind(host, document).trainings()).summary["TrainingJobArn"]}


def trainings(host: Host, region: str) -> Iterator[TrainingJob]:
    """All of them in a region."""
    for document in host.documents.all(KIND):
        if document.body["region"] == region:
            yield from _Behind(host, document).trainings()


def training(host: Host, region: str, name: str) -> TrainingJob:
    """The one of that name.

    Raises:
        RunNotFoundError: there is none.
    """
    return next(_Behind(host, host.documents.get(KIND, f"{region}/{name.lower()}")).trainings())


@dataclass(frozen=True)
class _Alone(TrainingJob):
    """A training job of its own."""

    def described(self) -> Json:
        """What DescribeTrainingJob answers."""
        said = super().described()
        del said["TuningJobArn"]
        asked = self.parent.document.body["asked"]
        return said | {name: value for name, value in asked.items() if name != "Tags"}


class _Behind(HyperParameterTuningJob):
    """The study of one trial that a training job is."""

    def trainings(self) -> Iterator[TrainingJob]:
        """The training job, also before its trial has begun."""
        for trial, summary in zip(self.result.trials, self.rendered["TrainingJobSummaries"], strict=True):
            yield _Alone(self, trial, summary)

    def shown_trials(self, trials: tuple[Trial, ...]) -> tuple[Trial, ...]:
        """Its trial under the job's own name."""
        state = self.host.result(self.run).state
        waiting = Trial(id=1, parameters={}, state=_BEFORE.get(state, TrialState.REQUESTED))
        return tuple(
            one.model_copy(update={"links": {"trial": self.name}}) for one in super().shown_trials(trials or (waiting,))
        )


def _tuning(request: Json) -> Json:
    """The tuning job of one training job that is the same."""
    definition = {name: value for name, value in request.items() if name not in (*_OWN, *_BESIDE)}
    said: Json = definition.get("AlgorithmSpecification", {})
    algorithm = {name: value for name, value in said.items() if name not in _CONTAINER}
    metrics = algorithm.get("MetricDefinitions") or [_UNTOLD]
    nothing = {"CategoricalParameterRanges": [{"Name": NOTHING, "Values": ["1"]}]}
    return {
        NAME: request["TrainingJobName"],
        CONFIG: {
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": metrics[0]["Name"]},
            "ParameterRanges": nothing,
        },
        ONE: definition
        | {
            "StaticHyperParameters": {
                name: text for name, text in request.get(_HYPERPARAMETERS, {}).items() if name != OBJECTIVE
            },
            "AlgorithmSpecification": algorithm | {"MetricDefinitions": metrics},
        },
    }


def _job(request: Json) -> TuningJob:
    """What runs.

    Raises:
        RefusedError: by its rules the service refuses it.
    """
    tuning: dict[str, Any] = _tuning(request) | {NAME: "emulated"}  # names of tuning jobs are shorter
    if problems := TRANSLATOR.problems(tuning, "request"):
        raise RefusedError(VALIDATION, validation_errors(problems))
    reading = TRANSLATOR.read(tuning)
    job, _ = TRANSLATOR.from_native(reading.request, reading.form)
    return job.model_copy(update={"name": request["TrainingJobName"]})
