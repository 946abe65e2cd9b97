"""What SageMaker says of a tuning job and its training jobs, as our results, and back for its emulator."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from tuneport.backends.sagemaker.forms import CONFIG, ONE, SEVERAL
from tuneport.backends.sagemaker.hyperparameters import number_of, text_of, value_of
from tuneport.backends.sagemaker.space import chooser, legal_name
from tuneport.backends.sagemaker.translate import TRANSLATOR
from tuneport.errors import JobError, PayloadError
from tuneport.model.job import TuningJob
from tuneport.model.parameters import Float, Int
from tuneport.model.results import (
    Failure,
    FailureKind,
    Measurement,
    RunReason,
    RunState,
    StudyResult,
    Trial,
    TrialState,
)
from tuneport.model.study import Objective
from tuneport.model.word import Scalar

Json: TypeAlias = dict[str, Any]

SUMMARIES = "TrainingJobSummaries"
"""Where trials stand in what ListTrainingJobsForHyperParameterTuningJob answers."""

_STATES: Mapping[str, tuple[RunState, RunReason | None]] = {
    "InProgress": (RunState.RUNNING, None),
    "Completed": (RunState.SUCCEEDED, RunReason.COMPLETED),
    "Failed": (RunState.FAILED, RunReason.FAILURES),
    "Stopping": (RunState.STOPPING, RunReason.REQUEST),
    "Stopped": (RunState.STOPPED, RunReason.REQUEST),
    "Deleting": (RunState.STOPPED, None),
    "DeleteFailed": (RunState.STOPPED, None),
}
_STATES_RENDERED = {
    RunState.PENDING: "InProgress",
    RunState.RUNNING: "InProgress",
    RunState.INTERRUPTED: "InProgress",
    RunState.SUCCEEDED: "Completed",
    RunState.FAILED: "Failed",
    RunState.STOPPING: "Stopping",
    RunState.STOPPED: "Stopped",
}
_TRIAL_STATES = {
    "InProgress": TrialState.RUNNING,
    "Completed": TrialState.SUCCEEDED,
    "Failed": TrialState.FAILED,
    "Stopping": TrialState.STOPPING,
    "Stopped": TrialState.STOPPED,
    "Deleting": TrialState.STOPPED,
}
_TRIAL_STATES_RENDERED = {
    TrialState.REQUESTED: "InProgress",
    TrialState.RUNNING: "InProgress",
    TrialState.PAUSED: "InProgress",
    TrialState.STOPPING: "Stopping",
    TrialState.SUCCEEDED: "Completed",
    TrialState.STOPPED: "Stopped",
    TrialState.INFEASIBLE: "Completed",
    TrialState.FAILED: "Failed",
}
_OVER_TIME = {"MaxRuntimeExceeded": FailureKind.TIMED_OUT, "MaxWaitTimeExceeded": FailureKind.INFRASTRUCTURE}
"""Ends of training jobs that only DescribeTrainingJob tells from a stop."""
_INFRASTRUCTURE = re.compile(r"InternalServerError|CapacityError|InsufficientCapacity")
_OUT_OF_MEMORY = re.compile(r"out of memory|OutOfMemory|MemoryError", re.IGNORECASE)
_NUMBERED = re.compile(r".*-([0-9]{3,9})-[0-9a-f]{8}", re.DOTALL)
_ARN = re.compile(r"arn:[^:]*:sagemaker:([^:]+):")


class SageMakerStatus:
    """Reads Describe responses and training job summaries, and writes them."""

    def parse(self, described: Json, trials: Iterable[Json] = ()) -> StudyResult:
        """Our record of a Describe response.

        Args:
            described: the response; or any document of a tuning job, which then has not begun.
            trials: training job summaries, or descriptions of the training jobs themselves.

        Raises:
            PayloadError: it is no such response.
        """
        reading = TRANSLATOR.read(described)
        try:
            job, _ = TRANSLATOR.from_native(reading.request, reading.form)
        except JobError as error:
            raise PayloadError(f"a tuning job of SageMaker: {error.message}", problems=error.problems) from None
        said = reading.response
        native = said.get("HyperParameterTuningJobStatus")
        unknown = RunState.PENDING if native is None else RunState.RUNNING
        state, reason = _STATES.get(str(native), (unknown, None))
        if reason is RunReason.COMPLETED and _converged(reading.request, said):
            reason = RunReason.NO_IMPROVEMENT
        region = _ARN.match(str(said.get("HyperParameterTuningJobArn")))
        listed = [one for one in (*said.get(SUMMARIES, ()), *trials) if isinstance(one, dict)]
        return StudyResult(
            ref=f"{region[1]}/{job.name}" if region else job.name,
            name=job.name,
            backend="sagemaker",
            state=state,
            reason=reason,
            objectives=job.study.objectives,
            trials=_trials(listed, job, _choices(job, reading.request)),
            message=str(said.get("FailureReason") or ""),
            created=_moment(said.get("CreationTime")),
            ended=_moment(said.get("HyperParameterTuningEndTime")),
            links=_links(reading.request, _part(said, "BestTrainingJob")),
        )

    def render(self, result: StudyResult) -> Json:
        """What the service would say beside the request; trials are under the name that the list of them has."""
        summaries = [_summary(trial, result) for trial in result.trials]
        best = result.best
        members = {
            "HyperParameterTuningJobArn": _arn(result, "hyper-parameter-tuning-job", _name(result)),
            "HyperParameterTuningJobStatus": _STATES_RENDERED[result.state],
            "CreationTime": result.created or 0,
            "LastModifiedTime": result.ended or result.created or 0,
            "HyperParameterTuningEndTime": result.ended,
            "TrainingJobStatusCounters": _counters(summaries),
            "ObjectiveStatusCounters": {
                status: sum(one["ObjectiveStatus"] == status for one in summaries)
                for status in ("Succeeded", "Pending", "Failed")
            },
            "BestTrainingJob": None if best is None else _summary(best, result),
            "FailureReason": (result.message or "the job failed")[:1024] if result.state is RunState.FAILED else None,
            SUMMARIES: summaries,
        }
        return {member: value for member, value in members.items() if value is not None}


STATUS = SageMakerStatus()


def _part(structure: Json, member: str) -> Json:
    value = structure.get(member)
    return value if isinstance(value, dict) else {}


def _converged(request: Json, said: Json) -> bool:
    """Whether convergence ended the job; that it was noticed, the service says of jobs that go on all the same."""
    asked = _part(_part(request[CONFIG], "TuningJobCompletionCriteria"), "ConvergenceDetected")
    noticed = _part(said, "TuningJobCompletionDetails").get("ConvergenceDetectedTime")
    return asked.get("CompleteOnConvergence") == "Enabled" and noticed is not None


def _links(request: Json, best: Json) -> dict[str, str]:
    """Where the best training job's model is: descriptions do not say, but all are in the same place."""
    name, definition = best.get("TrainingJobName"), best.get("TrainingJobDefinitionName")
    of_several = {one.get("DefinitionName"): one for one in request.get(SEVERAL, ())}
    output = _part(of_several.get(definition) or _part(request, ONE), "OutputDataConfig")
    prefix = output.get("S3OutputPath")
    if not name or not prefix:
        return {}
    model = "model/" if output.get("CompressionType") == "NONE" else "model.tar.gz"
    return {"model": f"{str(prefix).rstrip('/')}/{name}/output/{model}"}


# ---- trials ---------------------------------------------------------------------------------------------------------


def _choices(job: TuningJob, request: Json) -> dict[str, tuple[str, Scalar]]:
    """The parameter and value that each definition stands for."""
    parent = chooser(job)
    if parent is None or SEVERAL not in request:
        return {}
    names = (one["DefinitionName"] for one in request[SEVERAL])
    return {name: (parent.name, choice) for name, choice in zip(names, parent.choices, strict=True)}


def _trials(listed: list[Json], job: TuningJob, choices: Mapping[str, tuple[str, Scalar]]) -> tuple[Trial, ...]:
    """Trials by the numbers in their names; if these are not all there, in the order in which they came to be."""
    listed = sorted(listed, key=lambda one: (_moment(one.get("CreationTime")) or 0, str(one.get("TrainingJobName"))))
    numbers = [_number(one) for one in listed]
    if None in numbers or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(listed) + 1))
    trials = [_trial(one, number or 0, job, choices) for one, number in zip(listed, numbers, strict=True)]
    return tuple(sorted(trials, key=lambda trial: trial.id))


def _number(native: Json) -> int | None:
    match = _NUMBERED.fullmatch(str(native.get("TrainingJobName")))
    return int(match[1]) if match else None


def _trial(native: Json, number: int, job: TuningJob, choices: Mapping[str, tuple[str, Scalar]]) -> Trial:
    started = _moment(native.get("TrainingStartTime"))
    state = _TRIAL_STATES.get(str(native.get("TrainingJobStatus")), TrialState.RUNNING)
    if state is TrialState.RUNNING and started is None:
        state = TrialState.REQUESTED
    final = _measurement(native, job.study.objective)
    failure = _failure(native, state, final)
    if failure is not None and failure.kind is not FailureKind.STOPPED_BY_SCHEDULER:
        state = TrialState.FAILED
    chosen = choices.get(str(native.get("TrainingJobDefinitionName")))
    links = {"trial": native.get("TrainingJobName"), "model": _part(native, "ModelArtifacts").get("S3ModelArtifacts")}
    return Trial(
        id=number,
        parameters=({chosen[0]: chosen[1]} if chosen else {}) | _parameters(native, job),
        state=state,
        measurements=() if final is None else (final,),
        final_measurement=final,
        failure=failure,
        started=started,
        ended=_moment(native.get("TrainingEndTime")),
        links={name: link for name, link in links.items() if isinstance(link, str)},
    )


def _parameters(native: Json, job: TuningJob) -> dict[str, Scalar]:
    """Typed values; a training job's own description has fixed ones beside the tuned ones."""
    tuned = native.get("TunedHyperParameters") or native.get("HyperParameters")
    kinds = {parameter.name: parameter for parameter in job.study.parameters}
    found: dict[str, Scalar] = {}
    for name, text in (tuned if isinstance(tuned, dict) else {}).items():
        if name in kinds or "TunedHyperParameters" in native:
            number = number_of(str(text))
            match kinds.get(name):
                case Int() if number is not None:
                    found[name] = int(number)
                case Float() if number is not None:
                    found[name] = number
                case _:
                    found[name] = value_of(str(text))
    return found


def _measurement(native: Json, objective: Objective) -> Measurement | None:
    """The final metrics: of the objective alone, or of all that a training job's own description knows."""
    final = _part(native, "FinalHyperParameterTuningJobObjectiveMetric").get("Value")
    if _is_number(final):
        return Measurement(metrics={objective.metric: final})
    listed = native.get("FinalMetricDataList")
    metrics = {
        one["MetricName"]: one["Value"]
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and isinstance(one.get("MetricName"), str) and _is_number(one.get("Value"))
    }
    return Measurement(metrics=metrics) if metrics else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _failure(native: Json, state: TrialState, final: Measurement | None) -> Failure | None:
    reason = str(native.get("FailureReason") or "")
    if kind := _OVER_TIME.get(str(native.get("SecondaryStatus"))):
        return Failure(kind=kind, message=reason or str(native["SecondaryStatus"]))
    if state is TrialState.FAILED:
        kind = FailureKind.INFRASTRUCTURE if _INFRASTRUCTURE.search(reason) else FailureKind.CODE
        kind = FailureKind.OUT_OF_MEMORY if _OUT_OF_MEMORY.search(reason) else kind
        return Failure(kind=kind, message=reason or "SageMaker gives no reason")
    if state is TrialState.SUCCEEDED and final is None:
        return Failure(kind=FailureKind.METRIC_MISSING, message="it never emitted the objective's metric")
    return None


# ---- what the service says ------------------------------------------------------------------------------------------


def _name(result: StudyResult) -> str:
    return legal_name(result.name, 32)


def _arn(result: StudyResult, kind: str, name: str) -> str:
    """A resource's name in lower case, in the region that the reference begins with."""
    region, slash, _ = result.ref.removeprefix("sagemaker:").partition("/")
    return f"arn:aws:sagemaker:{region if slash else 'local'}:000000000000:{kind}/{name.lower()}"


def _summary(trial: Trial, result: StudyResult) -> Json:
    mark = zlib.crc32(f"{result.ref}/{trial.id}".encode())
    name = trial.links.get("trial") or f"{_name(result)}-{trial.id:03}-{mark:08x}"
    value = trial.metrics.get(result.objectives[0].metric)
    scored = value is not None and math.isfinite(value) and trial.state is not TrialState.INFEASIBLE
    objective = "Succeeded" if scored else "Failed" if trial.state.ended else "Pending"
    members = {
        "TrainingJobName": name,
        "TrainingJobArn": _arn(result, "training-job", name),
        "CreationTime": trial.started or result.created or 0,
        "TrainingStartTime": trial.started,
        "TrainingEndTime": trial.ended,
        "TrainingJobStatus": _TRIAL_STATES_RENDERED[trial.state],
        "TunedHyperParameters": {name: text_of(value) for name, value in trial.parameters.items()},
        "FailureReason": trial.failure.message[:1024] if trial.failure and trial.state is TrialState.FAILED else None,
        "FinalHyperParameterTuningJobObjectiveMetric": (
            {"MetricName": result.objectives[0].metric, "Value": value} if objective == "Succeeded" else None
        ),
        "ObjectiveStatus": objective,
    }
    return {member: value for member, value in members.items() if value is not None}


def _counters(summaries: Iterable[Json]) -> dict[str, int]:
    """Training jobs by state; a failed one failed by itself."""
    counts = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
    of = {"Stopping": "InProgress", "Failed": "NonRetryableError"}
    for one in summaries:
        status: str = one["TrainingJobStatus"]
        counts[of.get(status, status)] += 1
    return counts


# ---- times ----------------------------------------------------------------------------------------------------------

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([-+])(\d\d):?(\d\d))?",
    re.IGNORECASE | re.ASCII,
)


def _moment(time: Any) -> float | None:
    """POSIX seconds of a number or an ISO 8601 text, which is UTC if it does not say; None for all else."""
    if _is_number(time):
        return float(time) if math.isfinite(time) else None
    match = _TIMESTAMP.fullmatch(time) if isinstance(time, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    offset = (int(match[9]) * 3600 + int(match[10]) * 60) * (-1 if match[8] == "-" else 1) if match[8] else 0
    return _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second + float(match[7] or 0) - offset


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970; years begin in March, so that leap days are at their end."""
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719_469
