"""Jobs in Nimbus' words and back. There is no bookkeeping here: tuneport finds out what went lost by looking."""

from __future__ import annotations

from typing import Any

from tuneport.errors import Problem
from tuneport.model.job import TuningJob
from tuneport.translation.lowering import HINTS_VARIABLE, hints_text, lower, raised, read_hints
from tuneport_nimbus.capabilities import VOCABULARY
from tuneport_nimbus.forms import read, said, write
from tuneport_nimbus.schema import JOB
from tuneport_nimbus.settings import NimbusSettings
from tuneport_nimbus.study import read_knob, read_study, write_knob, write_study

Json = dict[str, Any]


class NimbusTranslator:
    """What `tuneport translate`, `import` and `migrate` ask."""

    forms = ("job",)

    read, write = staticmethod(read), staticmethod(write)

    def to_native(self, job: TuningJob, settings: NimbusSettings, form: str) -> Json:
        del form  # there is one
        trial, budget = job.trial, job.budget
        lowered = lower(job.study.parameters, VOCABULARY)
        hints = {HINTS_VARIABLE: hints_text(lowered.hints)} if lowered.hints else {}
        return said(
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
        del form
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
        del form
        return JOB.problems(request)
