"""What the emulated Vertex AI knows, as it tells it: tuning jobs, custom jobs of their trials and others, pipelines.

The custom job of a trial has the number of its tuning job plus that of the trial, so that it needs no document.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from tuneport.backends.vertex.status import STATUS
from tuneport.emulators.documents import Document
from tuneport.emulators.host import Host
from tuneport.emulators.vertex import requests
from tuneport.emulators.vertex.refusals import RefusalError
from tuneport.engine.launch import plain_text
from tuneport.errors import ConflictError, RunNotFoundError, UnknownTrialError
from tuneport.model.results import FailureKind, StudyResult, Trial, TrialState

Json: TypeAlias = dict[str, Any]

TUNING_JOBS, CUSTOM_JOBS, PIPELINES = "hyperparameterTuningJobs", "customJobs", "trainingPipelines"
_ROOM = "vertex/"
_LEAST, _MOST = 10**18, 9 * 10**18


def _pems(text: str) -> tuple[bytes, bytes]:
    key, chain = (Path(one).read_bytes() for one in text.split(","))
    return key, chain


@dataclass(frozen=True, slots=True)
class Options:
    """What is not known of the service and can be chosen, and how it is reached.

    Attributes:
        stopping: early stopping and limits of the study have an effect on tuning jobs.
        measurements: replies have all measurements of trials, not the final one alone.
        cancel_ended: cancelling what has ended is answered as if it had not.
        page_size: most items of a list in one reply.
        certificate: private key and certificate chain in PEM, for gRPC with TLS: without it, channels must be insecure.
    """

    stopping: bool = False
    measurements: bool = False
    cancel_ended: bool = False
    page_size: int = 100
    certificate: tuple[bytes, bytes] | None = field(
        default=None, metadata={"takes": "KEYFILE,CHAINFILE", "read": _pems}
    )


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing of a collection.

    Attributes:
        name: its full name.
        created: when, in POSIX seconds; with the name its place in lists.
        show: what the service says of it.
        cancel: stop it. Raises ConflictError if it has ended.
        remove: forget it. Raises ConflictError unless it has ended.
    """

    name: str
    created: float
    show: Callable[[], Json]
    cancel: Callable[[], None]
    remove: Callable[[], None]


class Resources:
    """All of them, by collection.

    Args:
        host: runs them.
        options: what is not known.
    """

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._options = options
        self._create = {TUNING_JOBS: self._tuning_job, CUSTOM_JOBS: self._custom_job, PIPELINES: self._pipeline}

    def create(self, collection: str, parent: str, body: Json) -> Json:
        """Make one, and say what the service says first.

        Raises:
            RefusalError: the request is refused.
        """
        said = self._of(self._create[collection](parent, body)).show()
        state = f"{'PIPELINE' if collection == PIPELINES else 'JOB'}_STATE_PENDING"
        later = ("startTime", "endTime", "error", "trials", "trainingTaskMetadata")
        first = {name: value for name, value in said.items() if name not in later}
        return first | {"state": state, "updateTime": said["createTime"]}

    def find(self, collection: str, name: str) -> Resource:
        """The one of that name.

        Raises:
            RunNotFoundError: there is none.
        """
        try:
            return self._of(self._host.documents.get(_ROOM + collection, name))
        except RunNotFoundError:
            if collection != CUSTOM_JOBS:
                raise
        parent, _, number = name.rpartition(f"/{CUSTOM_JOBS}/")
        for job in self._host.documents.all(_ROOM + TUNING_JOBS):
            trial = int(number) - _number(job.name) if number.isdecimal() else 0
            if _parent(job.name) == parent and 0 < trial <= job.body["maxTrialCount"]:
                result = self._result(job)
                found = {one.id: one for one in result.trials}
                if trial in found:
                    return self._of_trial(job, result, found[trial])
        raise RunNotFoundError(name)

    def all(self, collection: str, parent: str) -> Iterator[Resource]:
        """All below a parent, in any order."""
        for document in self._host.documents.all(_ROOM + collection):
            if _parent(document.name) == parent:
                yield self._of(document)
        if collection == CUSTOM_JOBS:
            for job in self._host.documents.all(_ROOM + TUNING_JOBS):
                if _parent(job.name) == parent:
                    result = self._result(job)
                    yield from (self._of_trial(job, result, trial) for trial in result.trials)

    def log(self, project: str, mentioned: set[str]) -> Iterator[Json]:
        """Entries of Cloud Logging by trials of those jobs in a project whose numbers are mentioned."""
        jobs = [one for kind in (TUNING_JOBS, CUSTOM_JOBS) for one in self._host.documents.all(_ROOM + kind)]
        for document in jobs:
            number, most = _number(document.name), document.body.get("maxTrialCount", 0)
            known = any(number <= int(one) <= number + most for one in mentioned)
            if known and document.name.startswith(f"projects/{project}/"):
                for trial in self._result(document).trials:
                    yield from self._entries(document, str(number + trial.id if most else number), trial)

    def _of(self, document: Document) -> Resource:
        name, created, collection = document.name, document.created, document.kind.removeprefix(_ROOM)
        if collection == PIPELINES:
            show, cancel = self._show_pipeline, self.find(*document.body["behind"]).cancel
            return Resource(name, created, partial(show, document), cancel, partial(self._remove_pipeline, document))
        show = self._show_tuning_job if collection == TUNING_JOBS else self._show_custom_job
        cancel = partial(self._cancel, document)
        return Resource(name, created, partial(show, document), cancel, partial(self._remove, document))

    # ---- tuning jobs -------------------------------------------------------------------------------------------

    def _tuning_job(self, parent: str, body: Json) -> Document:
        asked = requests.tuning_job(body, stopping=self._options.stopping)
        return self._host.submit(_ROOM + TUNING_JOBS, _name(parent, TUNING_JOBS), asked.echo, asked.job, "vertex")

    def _result(self, document: Document) -> StudyResult:
        """The run of a job, as far as it is told."""
        result = self._host.result(_run(document))
        if self._options.measurements:
            return result
        trials = tuple(one.model_copy(update={"measurements": ()}) for one in result.trials)
        return result.model_copy(update={"trials": trials})

    def _rendered(self, document: Document) -> Json:
        """State, times, error and trials of a job."""
        result = self._result(document)
        said = STATUS.render(result)
        for other in ("displayName", "studySpec"):
            del said[other]
        if said["state"] == "JOB_STATE_PENDING" and self._host.phase(document) == "queued":
            said["state"] = "JOB_STATE_QUEUED"
        if said["state"] == "JOB_STATE_CANCELLED":
            said["error"] = {"code": 1, "message": "CANCELED"}
        return said | {"name": document.name}

    def _show_tuning_job(self, document: Document) -> Json:
        said = document.body | self._rendered(document)
        metrics = {one["metricId"] for one in document.body["studySpec"]["metrics"]}
        for trial in said.get("trials", ()):
            trial["customJob"] = _of_number(document.name, _number(document.name) + int(trial["id"]))
            for measurement in filter(None, [trial.get("finalMeasurement"), *trial.get("measurements", ())]):
                measurement["metrics"] = [one for one in measurement["metrics"] if one["metricId"] in metrics]
                requests.without_zeros(measurement["metrics"], "value")
        return said

    def _cancel(self, document: Document) -> None:
        try:
            self._host.stop(_run(document))
        except ConflictError:
            if not self._options.cancel_ended:
                raise _premature(f"{document.name} has ended and cannot be cancelled.") from None

    def _remove(self, document: Document) -> None:
        for pipeline in self._host.documents.all(_ROOM + PIPELINES):
            if pipeline.body["behind"][1] == document.name:
                raise _premature(f"{document.name} belongs to {pipeline.name}.")
        try:
            self._host.delete(document)
        except ConflictError:
            raise _premature(f"{document.name} has not ended; cancel it first.") from None

    # ---- custom jobs -------------------------------------------------------------------------------------------

    def _custom_job(self, parent: str, body: Json) -> Document:
        asked = requests.custom_job(body)
        return self._host.submit(_ROOM + CUSTOM_JOBS, _name(parent, CUSTOM_JOBS), asked.echo, asked.job, "vertex")

    def _show_custom_job(self, document: Document) -> Json:
        said = document.body | self._rendered(document)
        trials, tuned = said.pop("trials", []), self._result(document).trials
        ended = said["state"] in {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"}
        if trials and ended:  # a program that reports nothing has no result, but is none the worse for it
            said = {name: value for name, value in said.items() if name != "error"} | _outcome(tuned[0])
        return said

    def _of_trial(self, job: Document, result: StudyResult, trial: Trial) -> Resource:
        name = _of_number(job.name, _number(job.name) + trial.id)

        def show() -> Json:
            (rendered,) = STATUS.render(result.model_copy(update={"trials": (trial,)}))["trials"]
            times = {one: rendered[one] for one in ("startTime", "endTime") if one in rendered}
            created = rendered.get("startTime") or timestamp(job.created)
            return {
                "name": name,
                "displayName": f"{job.body['displayName']}-{trial.id}",
                "jobSpec": _spec_of_trial(job.body["trialJobSpec"], trial),
                "createTime": created,
                **times,
                "updateTime": times.get("endTime", created),
                **_outcome(trial),
            }

        def cancel() -> None:
            try:
                self._host.stop(_run(job), trial.id)
            except (ConflictError, UnknownTrialError):
                raise _premature(f"{name} does not run.") from None

        def remove() -> None:
            raise _premature(f"{name} belongs to {job.name}.")

        return Resource(name, trial.started or job.created, show, cancel, remove)

    # ---- pipelines ---------------------------------------------------------------------------------------------

    def _pipeline(self, parent: str, body: Json) -> Document:
        task = requests.pipeline(body)
        collection = TUNING_JOBS if task.kind == requests.TUNING else CUSTOM_JOBS
        behind = self._create[collection](parent, task.behind)
        echo = {"request": task.echo, "behind": [collection, behind.name], "model": _name(parent, "models")}
        document = Document(_ROOM + PIPELINES, _name(parent, PIPELINES), behind.created, echo)
        self._host.documents.add(document)
        return document

    def _show_pipeline(self, document: Document) -> Json:
        collection, name = document.body["behind"]
        behind = self.find(collection, name).show()
        shared = {
            key: behind[key] for key in ("createTime", "startTime", "endTime", "updateTime", "error") if key in behind
        }
        said = {
            **document.body["request"],
            "name": document.name,
            **shared,
            "state": behind["state"].replace("JOB_STATE", "PIPELINE_STATE"),
        }
        succeeded = said["state"] == "PIPELINE_STATE_SUCCEEDED"
        if collection == TUNING_JOBS:
            said["trainingTaskMetadata"] = {"backingHyperparameterTuningJob": name}
            best = self._result(self._host.documents.get(_ROOM + collection, name)).best
            if succeeded and best is not None:
                winner = _of_number(name, _number(name) + best.id)
                said["trainingTaskMetadata"]["bestTrialBackingCustomJob"] = winner
        else:
            said["trainingTaskMetadata"] = {"backingCustomJob": name}
        if succeeded and "modelToUpload" in said:
            said["modelToUpload"] = said["modelToUpload"] | {"name": document.body["model"]}
        return said

    def _remove_pipeline(self, document: Document) -> None:
        if "endTime" not in self._show_pipeline(document):
            raise _premature(f"{document.name} has not ended; cancel it first.")
        self._host.documents.remove(document.kind, document.name)

    # ---- logs --------------------------------------------------------------------------------------------------

    def _entries(self, document: Document, job: str, trial: Trial) -> Iterator[Json]:
        project = document.name.split("/")[1]
        for index, line in enumerate(self._host.logs(_run(document), trial.id)):
            yield {
                "logName": f"projects/{project}/logs/workerpool0-0",
                "resource": {
                    "type": "ml_job",
                    "labels": {"job_id": job, "task_name": "workerpool0-0", "project_id": project},
                },
                "labels": {"ml.googleapis.com/trial_id": str(trial.id)},
                "timestamp": timestamp(trial.started or document.created),
                "insertId": f"{job}-{index:09}",
                "severity": "INFO",
                "jsonPayload": {"message": line},
            }


def _run(document: Document) -> str:
    assert document.run is not None  # noqa: S101 - tells the type checker that jobs have runs
    return document.run


def _premature(message: str) -> RefusalError:
    return RefusalError("FAILED_PRECONDITION", message)


# ---- names ----------------------------------------------------------------------------------------------------------


def _name(parent: str, collection: str) -> str:
    return f"{parent}/{collection}/{_LEAST + secrets.randbelow(_MOST - _LEAST)}"


def operation_name(parent: str) -> str:
    """A new operation's."""
    return _name(parent, "operations")


def _parent(name: str) -> str:
    return name.rsplit("/", 2)[0]


def _number(name: str) -> int:
    return int(name.rpartition("/")[2])


def _of_number(job: str, number: int) -> str:
    return f"{_parent(job)}/{CUSTOM_JOBS}/{number}"


def timestamp(moment: float) -> str:
    """RFC 3339 with microseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# ---- the custom job of a trial --------------------------------------------------------------------------------------

_JOB_STATES: Mapping[TrialState, str] = {
    TrialState.REQUESTED: "PENDING",
    TrialState.RUNNING: "RUNNING",
    TrialState.STOPPING: "CANCELLING",
    TrialState.SUCCEEDED: "SUCCEEDED",
    TrialState.STOPPED: "CANCELLED",
    TrialState.INFEASIBLE: "FAILED",
    TrialState.FAILED: "FAILED",
}
_ENDED_WELL = {FailureKind.METRIC_MISSING, FailureKind.INFEASIBLE}
"""What a trial can lack although its program ended well."""


_CODES = {FailureKind.PREEMPTED: (10, "Preempted: "), FailureKind.INFRASTRUCTURE: (8, "Resources are insufficient: ")}
"""What a custom job says that did not fail by itself: a code of google.rpc, and how its message begins."""


def _outcome(trial: Trial) -> Json:
    """State and error of a trial's custom job."""
    state, failure = _JOB_STATES[trial.state], trial.failure
    if failure is not None and failure.kind in _ENDED_WELL:
        state = "SUCCEEDED"
    error: Json = {}
    if state == "CANCELLED":
        error = {"error": {"code": 1, "message": "CANCELED"}}
    elif state == "FAILED":
        code, cause = _CODES.get(failure.kind, (3, "")) if failure else (3, "")
        error = {"error": {"code": code, "message": f"{cause}{failure.message if failure else 'the program failed'}"}}
    return {"state": f"JOB_STATE_{state}", **error}


def _spec_of_trial(spec: Json, trial: Trial) -> Json:
    """What a trial runs: the flags of its parameters go to every pool, and it has a folder of its own."""
    flags = [f"--{name}={plain_text(value)}" for name, value in trial.parameters.items()]
    pools = []
    for pool in spec["workerPoolSpecs"]:
        tasks = {member: pool[member] for member in ("containerSpec", "pythonPackageSpec") if member in pool}
        told = {member: task | {"args": [*task.get("args", ()), *flags]} for member, task in tasks.items()}
        pools.append(pool | told)
    made = spec | {"workerPoolSpecs": pools}
    if base := spec.get("baseOutputDirectory", {}).get("outputUriPrefix"):
        made["baseOutputDirectory"] = {"outputUriPrefix": f"{base.rstrip('/')}/{trial.id}"}
    return made
