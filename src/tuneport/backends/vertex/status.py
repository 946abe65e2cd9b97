"""What Vertex AI says of a job and its trials, as our results, and the same the other way round for its emulator."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from tuneport.backends.vertex import forms
from tuneport.backends.vertex.study import duration, elapsed, given, read_metrics, read_study, whole, write_metrics
from tuneport.backends.vertex.translate import TRANSLATOR
from tuneport.engine.launch import number, plain_text
from tuneport.errors import JobError, PayloadError, Problem
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
from tuneport.model.study import Constraint, Objective
from tuneport.model.word import Scalar

Json: TypeAlias = dict[str, Any]
Reader: TypeAlias = Callable[[Any], Scalar | None]
"""A value from the wire as one definition of its parameter has it; None if that never has it."""

_STATES: Mapping[str, tuple[RunState, RunReason | None]] = {
    "PENDING": (RunState.PENDING, None),
    "QUEUED": (RunState.PENDING, None),
    "UNSPECIFIED": (RunState.PENDING, None),
    "RUNNING": (RunState.RUNNING, None),
    "UPDATING": (RunState.RUNNING, None),
    "SUCCEEDED": (RunState.SUCCEEDED, RunReason.COMPLETED),
    "PARTIALLY_SUCCEEDED": (RunState.SUCCEEDED, RunReason.COMPLETED),
    "FAILED": (RunState.FAILED, RunReason.FAILURES),
    "EXPIRED": (RunState.FAILED, RunReason.TIME),
    "CANCELLING": (RunState.STOPPING, RunReason.REQUEST),
    "CANCELLED": (RunState.STOPPED, RunReason.REQUEST),
    "PAUSED": (RunState.INTERRUPTED, None),
}
"""States of jobs and pipelines without their prefix; the first of several that mean the same is what we would say."""
_STATES_RENDERED = {state: name for name, (state, _) in reversed(list(_STATES.items()))}
_CODES = {RunState.STOPPED: 1, RunState.FAILED: 13}
"""google.rpc.Code of a job that ended badly: CANCELLED, INTERNAL."""
_MESSAGES = {RunState.STOPPED: "CANCELED", RunState.FAILED: "failed"}

_TRIAL_STATES = {
    "REQUESTED": TrialState.REQUESTED,
    "STATE_UNSPECIFIED": TrialState.REQUESTED,
    "ACTIVE": TrialState.RUNNING,
    "STOPPING": TrialState.STOPPING,
    "SUCCEEDED": TrialState.SUCCEEDED,
    "INFEASIBLE": TrialState.INFEASIBLE,
}
_TRIAL_STATES_RENDERED = {state: name for name, state in reversed(list(_TRIAL_STATES.items()))}
_TRIAL_STATES_RENDERED[TrialState.PAUSED] = "ACTIVE"


class VertexStatus:
    """Reads replies about tuning jobs and pipelines, and writes what a tuning job's says of its own accord."""

    def parse(self, described: Json, trials: Iterable[Json] = ()) -> StudyResult:
        """Our record of a reply to `get`; `trials` are taken if the reply itself holds none.

        Raises:
            PayloadError: it is no such reply.
        """
        said = forms.read_reply(described)
        objectives, constraints, readers = _asked_for(said, described)
        listed = said.get("trials") or [forms.read_trial(one) for one in trials]
        name = re.sub(r"^(JOB|PIPELINE)_STATE_", "", said.get("state", ""))
        state, reason = _STATES.get(name, _STATES["PENDING"])
        return StudyResult(
            ref=said.get("name", ""),
            name=said.get("displayName", ""),
            backend="vertex",
            state=state,
            reason=reason,
            objectives=objectives,
            constraints=constraints,
            trials=tuple(sorted((_trial(one, readers) for one in listed), key=lambda trial: trial.id)),
            message=said.get("error", {}).get("message", ""),
            created=moment(said.get("createTime")),
            ended=moment(said.get("endTime")),
            links=given(model=said.get("modelToUpload", {}).get("name"), console=_console(said.get("name", ""))),
        )

    def render(self, result: StudyResult) -> Json:
        """What the service would say; of what was asked for, the name and the metrics."""
        starts = [trial.started for trial in result.trials if trial.started is not None]
        moments = [moment for moment in (result.created, result.ended, *starts) if moment is not None]
        return {
            "name": result.ref,
            "displayName": result.name,
            "studySpec": {"metrics": write_metrics(result.objectives, result.constraints)},
            "state": f"JOB_STATE_{_STATES_RENDERED[result.state]}",
            **given(
                createTime=_timestamp(result.created),
                startTime=_timestamp(min(starts, default=None)),
                endTime=_timestamp(result.ended),
                updateTime=_timestamp(max(moments, default=None)),
                error=_error(result),
                trials=[_rendered(trial) for trial in result.trials] or None,
            ),
        }


STATUS = VertexStatus()


_AskedFor: TypeAlias = tuple[tuple[Objective, ...], tuple[Constraint, ...], dict[str, list[Reader]]]


def _asked_for(said: Json, described: Json) -> _AskedFor:
    """Objectives, bounds, and how values are read; a reply without the whole request tells the metrics only."""
    try:
        reading = TRANSLATOR.read(described)
        job, _ = TRANSLATOR.from_native(reading.request, reading.form)
    except (JobError, PayloadError):
        metrics = read_metrics(said.get("studySpec", {}).get("metrics", ()))
        objectives = tuple(Objective.model_validate(one) for one in metrics["objectives"])
        return objectives, tuple(Constraint.model_validate(one) for one in metrics["constraints"]), {}
    searched = read_study(reading.request)[0]["parameters"] if forms.tunes(reading.form) else ()
    return job.study.objectives, job.study.constraints, _readers(searched)


_NAME = re.compile(r"projects/([^/]+)/locations/([^/]+)/(?:hyperparameterTuningJobs|trainingPipelines)/([^/]+)")


def _console(name: str) -> str | None:
    """The page about a job, or a pipeline, of that name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    project, region, number_of_job = match.groups()
    place = f"locations/{region}/training/{number_of_job}?project={project}"
    return f"https://console.cloud.google.com/agent-platform/{place}"


def _error(result: StudyResult) -> Json | None:
    code = _CODES.get(result.state)
    return None if code is None else {"code": code, "message": result.message or _MESSAGES[result.state]}


# ---- trials ---------------------------------------------------------------------------------------------------------


def _trial(native: Json, readers: Mapping[str, list[Reader]]) -> Trial:
    number_of_trial = whole(native.get("id"))
    if number_of_trial is None:
        raise PayloadError("vertex: a trial has no number", problems=[Problem("/trials", "ids must be whole numbers")])
    state = _TRIAL_STATES.get(native.get("state", ""), TrialState.REQUESTED)
    final = native.get("finalMeasurement")
    return Trial(
        id=number_of_trial,
        parameters=_read_parameters(native.get("parameters", ()), readers),
        state=state,
        measurements=tuple(_read_measurement(one) for one in native.get("measurements", ())),
        final_measurement=None if final is None else _read_measurement(final),
        failure=_read_failure(native) if state is TrialState.INFEASIBLE else None,
        started=moment(native.get("startTime")),
        ended=moment(native.get("endTime")),
        links=given(custom_job=native.get("customJob")),
    )


_WITH_RESULT = {TrialState.SUCCEEDED, TrialState.STOPPED}


def _rendered(trial: Trial) -> Json:
    """A trial that was stopped early has no state of its own; one that ended without a result is infeasible."""
    feasible = not trial.state.ended or (trial.state in _WITH_RESULT and trial.final_measurement is not None)
    state = TrialState.SUCCEEDED if trial.state.ended else trial.state
    return {
        "id": str(trial.id),
        "state": _TRIAL_STATES_RENDERED[state if feasible else TrialState.INFEASIBLE],
        "parameters": [
            {"parameterId": name, "value": plain_text(value) if isinstance(value, bool) else value}
            for name, value in trial.parameters.items()
        ],
        **given(
            finalMeasurement=_write_measurement(trial.final_measurement) if feasible else None,
            measurements=[_write_measurement(one) for one in trial.measurements] or None,
            infeasibleReason=trial.failure.message if trial.failure is not None and not feasible else None,
            startTime=_timestamp(trial.started),
            endTime=_timestamp(trial.ended),
            customJob=trial.links.get("custom_job"),
        ),
    }


def _read_failure(native: Json) -> Failure:
    return Failure(kind=FailureKind.INFEASIBLE, message=native.get("infeasibleReason") or "Vertex AI gives no reason")


def _readers(parameters: Iterable[Json]) -> dict[str, list[Reader]]:
    """How values are read: on the wire all numbers are doubles, and all choices are text.

    What values of a lowered space stand for is told of all clouds alike, by those who know the job.
    """
    readers: dict[str, list[Reader]] = {}
    for parameter in parameters:
        readers.setdefault(parameter["name"], []).append(_reader(parameter))
    return readers


def _reader(parameter: Json) -> Reader:
    match parameter["kind"]:
        case "int":
            return lambda value: int(value) if isinstance(value, (int, float)) and value == math.floor(value) else None
        case "float":
            return lambda value: float(value) if isinstance(value, (int, float)) else None
        case "discrete":
            return lambda value: next((one for one in parameter["values"] if one == value), None)
    texts = parameter["choices"]
    return lambda value: text if (text := value if isinstance(value, str) else plain_text(value)) in texts else None


def _read_parameters(parameters: Iterable[Json], readers: Mapping[str, list[Reader]]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for one in parameters:
        name, value = one.get("parameterId", ""), one.get("value")
        if isinstance(value, (str, int, float)):
            typed = (read(value) for read in readers.get(name, ()))
            found[name] = next((known for known in typed if known is not None), value)
    return found


def _read_measurement(native: Json) -> Measurement:
    """Zeros are left out on the wire."""
    metrics = {one.get("metricId", ""): number(one.get("value", 0.0)) for one in native.get("metrics", ())}
    return Measurement(
        metrics={name: value for name, value in metrics.items() if value is not None},
        step=whole(native.get("stepCount")),
        elapsed=elapsed(native.get("elapsedDuration")),
    )


def _write_measurement(measurement: Measurement | None) -> Json | None:
    if measurement is None:
        return None
    return {
        **given(
            elapsedDuration=None if measurement.elapsed is None else duration(measurement.elapsed),
            stepCount=None if measurement.step is None else str(measurement.step),
        ),
        "metrics": [{"metricId": name, "value": _double(value)} for name, value in measurement.metrics.items()],
    }


def _double(value: float) -> float | str:
    """JSON has no words for some doubles."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


# ---- times ----------------------------------------------------------------------------------------------------------

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([-+])(\d\d):(\d\d))", re.ASCII | re.IGNORECASE
)


def moment(text: Any) -> float | None:
    """POSIX seconds of an RFC 3339 timestamp; None for all else."""
    match = _TIMESTAMP.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    offset = (int(match[9]) * 60 + int(match[10])) * (-60 if match[8] == "-" else 60) if match[8] else 0
    return _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset + float(match[7] or 0)


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970; years begin in March, so that leap days are at their end."""
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719_469


def _timestamp(moment: float | None) -> str | None:
    """RFC 3339 with microseconds, as the service writes times."""
    if moment is None:
        return None
    micros = round(moment * 1_000_000)
    days, rest = divmod(micros, 86_400_000_000)
    year = 1970 + days // 366
    while _days(year + 1, 1, 1) <= days:
        year += 1
    month = next(month for month in range(12, 0, -1) if _days(year, month, 1) <= days)
    day = days - _days(year, month, 1) + 1
    seconds, micro = divmod(rest, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{year:04}-{month:02}-{day:02}T{clock}.{micro:06}Z"
