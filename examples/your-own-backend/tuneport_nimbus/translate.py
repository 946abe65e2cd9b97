"""Jobs in Nimbus' words and back. There is no bookkeeping here: tuneport finds out what went lost by looking."""

from __future__ import annotations

from typing import Any

from tuneport.backends.protocols import Reading
from tuneport.errors import Problem
from tuneport.model.job import TuningJob
from tuneport.translation.lowering import HINTS_VARIABLE, hints_text, lower, raised, read_hints

from tuneport_nimbus.capabilities import VOCABULARY
from tuneport_nimbus.schema import JOB
from tuneport_nimbus.settings import NimbusSettings
from tuneport_nimbus.study import read_knob, read_study, write_knob, write_study

Json = dict[str, Any]


class NimbusTranslator:
    """Documents are bare jobs, or the service's answers, which hold one."""

    forms = ("job",)

    def read(self, document: Json) -> Reading:
        answer = {key: value for key, value in document.items() if key != "job"} if "job" in document else {}
        return Reading("job", _said(JOB.read(document.get("job", document))), answer)

    def write(self, reading: Reading) -> Json:
        return {**reading.response, "job": reading.request} if reading.response else reading.request

    def to_native(self, job: TuningJob, settings: NimbusSettings, form: str) -> Json:
        trial, budget = job.trial, job.budget
        lowered = lower(job.study.parameters, VOCABULARY)
        hints = {HINTS_VARIABLE: hints_text(lowered.hints)} if lowered.hints else {}
        return _said(
            {"title": job.name, "tags": dict(job.labels), "account": settings.account}
            | {"trials": budget.max_trials or 1000, "parallel": budget.parallel_trials}
            | write_study(job)
            | {"space": [write_knob(parameter) for parameter in lowered.parameters]}
            | {"image": trial.image, "command": list(trial.command or ()), "args": list(trial.args)}
            | {"env": {**hints, **trial.env}, "machine": trial.resources.machine}
            | {"data": [{"name": one.name, "uri": one.uri} for one in trial.inputs]}
            | {"results": trial.output.uri if trial.output else None}
        )

    def from_native(self, request: Json, form: str) -> tuple[TuningJob, NimbusSettings]:
        env = dict(request.get("env", {}))
        hints = read_hints(env[HINTS_VARIABLE]) if HINTS_VARIABLE in env else None
        if hints is not None:
            del env[HINTS_VARIABLE]
        parameters = raised([read_knob(knob) for knob in request["space"]], hints or {}, VOCABULARY)
        trial = {name: request[name] for name in ("image", "command", "args") if name in request}
        trial |= {"env": env, "inputs": request.get("data", []), "resources": {"machine": request.get("machine")}}
        trial |= {"output": {"uri": request["results"]}} if "results" in request else {}
        budget = {"max_trials": request["trials"], "parallel_trials": request.get("parallel", 1)}
        job = {"name": request["title"], "labels": request.get("tags", {}), "trial": trial, "budget": budget}
        study = read_study(request, parameters)
        return TuningJob.model_validate(job | {"study": study}), NimbusSettings(account=request.get("account"))

    def problems(self, request: Json, form: str) -> list[Problem]:
        return JOB.problems(request)


def _said(request: Json) -> Json:
    """The request without what says nothing; one trial at a time is what nimbus does anyway."""
    return {key: value for key, value in request.items() if value not in (None, [], {}) and (key, value) != ("parallel", 1)}
