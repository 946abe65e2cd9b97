"""A trial as one CustomJob: what is sent for it, and what the service says of it. Pure."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from tuneport.backends.protocols import JobStatus, Reading
from tuneport.backends.vertex import forms
from tuneport.backends.vertex.status import moment
from tuneport.backends.vertex.trial import task
from tuneport.engine.launch import TrialContext, flags, plain_text, spoken, token
from tuneport.model.results import Failure, FailureKind
from tuneport.model.trial_spec import TrialSpec

Json: TypeAlias = dict[str, Any]

LABEL, RUN_LABEL = "tuneport", "tuneport_run"
"""Labels that say which attempt of which trial a job is, and of which run."""
_MEMBERS = ("encryptionSpec",)
"""Of what jobs of the service's tuner and its pipelines have, what a custom job has as well."""
REPORT = "TUNEPORT_REPORT"
"""Has tuneport_trial print its reports: nobody reads the file that the service's tuner would."""
_INSUFFICIENT, _ABORTED, _INTERNAL, _UNAVAILABLE, _LATE = 8, 10, 13, 14, 4
"""Codes of errors, as google.rpc.Code has them."""
_PREEMPTED = re.compile(r"preempt", re.IGNORECASE)
_NO_MACHINES = re.compile(r"stockout|insufficient|no capacity|not available|exhausted", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(r"out of memory|memory limit|\bOOM", re.IGNORECASE)
_EXIT_CODE = re.compile(r"exited with (?:a non-zero )?status(?: of)? (-?\d+)")


class VertexTraining:
    """Trials as custom jobs."""

    form = "custom-job"

    def translated(self, trial: TrialSpec) -> TrialSpec:
        """All of it: jobs of the service's tuner say trials in the same words."""
        return trial

    def document(self, request: Json, trial: TrialContext) -> Json:
        """The CustomJob of a trial; what tuneport_trial must know besides its flags is in its environment."""
        spec: Json = request["trialJobSpec"]
        told = [{"name": name, "value": value} for name, value in {**spoken(trial), REPORT: "print"}.items()]
        pools = [_told(pool, told, flags(trial, plain_text)) for pool in spec["workerPoolSpecs"]]
        labels = {**request.get("labels", {}), LABEL: token(trial), RUN_LABEL: trial.run}
        job = {
            **{member: request[member] for member in _MEMBERS if member in request},
            "displayName": token(trial),
            "labels": labels,
            "trialJobSpec": {**spec, "workerPoolSpecs": pools},
        }
        return forms.write(Reading(self.form, job))


TRAINING = VertexTraining()


def _told(pool: Json, variables: list[Json], parameters: list[str]) -> Json:
    """A pool with variables, and with the parameters as its last arguments: those that a box adds have them not."""
    member = "containerSpec" if "containerSpec" in pool else "pythonPackageSpec"
    names, args = {one["name"] for one in variables}, list(task(pool).get("args", ()))
    if not task(pool):  # a pool that is not used
        return pool
    others = [one for one in task(pool).get("env", ()) if one["name"] not in names]
    more = [] if args[len(args) - len(parameters) :] == parameters else parameters
    return {**pool, member: {**task(pool), "args": [*args, *more], "env": [*others, *variables]}}


def status_of(job: Json) -> JobStatus:
    """How a custom job is."""
    state = str(job.get("state", "")).removeprefix("JOB_STATE_")
    started = moment(job.get("startTime"))
    if state not in {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"}:
        return JobStatus(started if state in {"RUNNING", "CANCELLING", "UPDATING"} else None)
    ended = moment(job.get("endTime")) or moment(job.get("updateTime")) or 0.0
    return JobStatus(started, ended, _failure(state, job.get("error") or {}))


def _failure(state: str, error: Json) -> Failure | None:
    message = str(error.get("message") or "Vertex AI gives no reason")
    code = error.get("code")
    if state in {"SUCCEEDED", "PARTIALLY_SUCCEEDED"}:
        return None
    if state == "CANCELLED":
        return Failure(kind=FailureKind.CANCELLED, message="was cancelled at Vertex AI")
    if state == "EXPIRED":
        return Failure(kind=FailureKind.INFRASTRUCTURE, message=f"waited too long for machines: {message}")
    exited = _EXIT_CODE.search(message)
    if _OUT_OF_MEMORY.search(message):
        kind = FailureKind.OUT_OF_MEMORY
    elif exited is not None:
        kind = FailureKind.CODE
    elif _PREEMPTED.search(message):
        kind = FailureKind.PREEMPTED
    elif code in {_INSUFFICIENT, _ABORTED, _INTERNAL, _UNAVAILABLE} or _NO_MACHINES.search(message):
        kind = FailureKind.INFRASTRUCTURE
    else:
        kind = FailureKind.TIMED_OUT if code == _LATE else FailureKind.CODE
    return Failure(kind=kind, message=message, exit_code=None if exited is None else int(exited[1]))
