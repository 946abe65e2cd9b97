"""Our words to Vertex AI's and back, for every kind of document."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from tuneport.backends.protocols import Reading
from tuneport.backends.vertex import forms
from tuneport.backends.vertex.capabilities import VOCABULARY
from tuneport.backends.vertex.rules import malformed, refused
from tuneport.backends.vertex.settings import VertexSettings
from tuneport.backends.vertex.spelling import NO_NAME
from tuneport.backends.vertex.study import given, read_study, write_study
from tuneport.backends.vertex.trial import Extra, read_trial, take_flags, take_hints, write_trial
from tuneport.engine.launch import plain_text
from tuneport.errors import JobError, PayloadError, Problem
from tuneport.model.job import TuningJob
from tuneport.model.parameters import Categorical, Discrete, Float, Int
from tuneport.model.word import Scalar
from tuneport.translation.lowering import Hint, lower, raised

Json: TypeAlias = dict[str, Any]
Parameter: TypeAlias = Float | Int | Discrete | Categorical

_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?")
_LONGEST_NAME, _LONGEST_KEY, _LONGEST_LABEL = 128, 128, 256
_PLACE = re.compile(r"projects/([^/]+)/locations/([^/]+)/.*", re.DOTALL)
_PARENT = re.compile(r"projects/([^/]+)/locations/([^/]+)")
_MOST_PROBLEMS = 100


class VertexTranslator:
    """Translates jobs to and from documents of Vertex AI."""

    forms: tuple[str, ...] = forms.FORMS

    def read(self, document: Json) -> Reading:
        """Recognise, unwrap and check a document.

        Raises:
            PayloadError: it is malformed.
        """
        reading = forms.read(document)
        if found := list(malformed(reading.request))[:_MOST_PROBLEMS]:
            count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
            told = [replace(one, pointer=forms.where(document, reading.form, one.pointer)) for one in found]
            raise PayloadError(f"vertex {reading.form}: {count}", problems=told)
        return reading

    def write(self, reading: Reading) -> Json:
        """The document that says a request."""
        return forms.write(reading)

    def to_native(self, job: TuningJob, settings: VertexSettings, form: str) -> Json:
        """The canonical request that asks for the job."""
        if forms.tunes(form):
            lowered = lower(job.study.parameters, VOCABULARY)
            fixed = {name: (plain_text(value), value) for name, value in job.trial.parameters.items()}
            flags = tuple(f"--{name}={text}" for name, (text, _) in fixed.items())
            choices: dict[str, Hint] = {name: {"choices": {text: value}} for name, (text, value) in fixed.items()}
            extra = Extra(flags, lowered.hints | choices)
            study = write_study(job, lowered.parameters)
        else:
            values = {**job.trial.parameters, **first_trial(job.study.parameters)}
            extra = Extra(tuple(f"--{name}={plain_text(value)}" for name, value in values.items()))
            study = {}
        key = job.trial.encryption.key
        return {
            "displayName": job.name,
            **study,
            "trialJobSpec": write_trial(job, extra),
            **given(parent=_write_parent(settings) if forms.has_parent(form) else None),
            **given(labels=dict(job.labels) or None, encryptionSpec=None if key is None else {"kmsKeyName": key}),
        }

    def from_native(self, request: Json, form: str) -> tuple[TuningJob, VertexSettings]:
        """The job that a canonical request asks for.

        Raises:
            PayloadError: there is nothing to tune.
            JobError: what it asks for is no job.
        """
        trial, experiment = read_trial(request["trialJobSpec"])
        if forms.tunes(form):
            study, budget = read_study(request)
            trial, hints = take_hints(trial, {parameter["name"] for parameter in study["parameters"]})
            study["parameters"] = _raised(study["parameters"], hints)
        else:
            trial, flags = take_flags(trial)
            study, budget = _one_trial(flags), {"max_trials": 1}
        if key := request.get("encryptionSpec", {}).get("kmsKeyName"):
            trial["encryption"] = {"key": key}
        job = {
            "name": _read_name(request["displayName"]),
            "labels": _read_labels(request.get("labels", {})),
            "study": study,
            "trial": trial,
            "budget": budget,
            "experiment": experiment,
        }
        return TuningJob.model_validate(job), _read_settings(request)

    def problems(self, request: Json, form: str) -> list[Problem]:
        """Everything for which the service would refuse the request."""
        found = list(forms.problems(request, form))
        if not found:  # rules speak of requests that have the right shape
            found = [*malformed(request), *refused(request)]
        return found[:_MOST_PROBLEMS]


TRANSLATOR = VertexTranslator()


def _read_name(name: str) -> str:
    """The display name, which may be any text there, if a job can be called so."""
    fits = len(name) <= _LONGEST_NAME and _NAME.fullmatch(name)
    return name if fits or "\0" in name else NO_NAME


def _read_labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in labels.items() if 0 < len(key) <= _LONGEST_KEY and len(text) <= _LONGEST_LABEL}


def _write_parent(settings: VertexSettings) -> str | None:
    """Where the job is created; most documents leave that to the address that they are sent to."""
    known = settings.project is not None and settings.region is not None
    return f"projects/{settings.project}/locations/{settings.region}" if known else None


def _read_settings(request: Json) -> VertexSettings:
    """Where the job is, as far as a request says: keys are in its region, experiments in its project."""
    if match := _PARENT.fullmatch(request.get(forms.PARENT, "")):
        return VertexSettings(project=match[1], region=match[2])
    trial = request["trialJobSpec"]
    tracked = [_PLACE.fullmatch(trial.get(member, "")) for member in ("tensorboard", "experiment", "experimentRun")]
    key = _PLACE.fullmatch(request.get("encryptionSpec", {}).get("kmsKeyName", ""))
    project = next((match[1] for match in tracked if match), None)
    region = next((match[2] for match in [*tracked, key] if match), None)
    return VertexSettings.model_validate(given(project=project, region=region))


# ---- search spaces --------------------------------------------------------------------------------------------------

_KINDS: Mapping[str, type[Parameter]] = {"float": Float, "int": Int, "discrete": Discrete, "categorical": Categorical}


def _raised(parameters: list[Json], hints: dict[str, Hint]) -> Sequence[Json | Parameter]:
    """The parameters that these were made of, if there are hints and they fit."""
    if not hints:
        return parameters
    try:
        made = [_KINDS[parameter["kind"]].model_validate(parameter) for parameter in parameters]
    except JobError:
        return parameters  # they are validated again as a part of the job, where problems have their place
    return raised(made, hints, VOCABULARY)


def _one_trial(flags: Mapping[str, str]) -> Json:
    """The study of a single trial: each argument is a choice of one, for somebody to add others."""
    if not flags:
        message = "this custom job has no arguments --name=value at the end, so that there is nothing to tune"
        hint = "write them so, or import a HyperparameterTuningJob"
        place = "/trialJobSpec/workerPoolSpecs/0"
        raise PayloadError(message, hint=hint, problems=[Problem(place, "there is nothing to tune", hint)])
    choices = [{"name": name, "kind": "categorical", "choices": [value]} for name, value in flags.items()]
    return {"parameters": choices, "objectives": [{"metric": "objective", "goal": "maximize"}]}


def first_trial(parameters: Sequence[Parameter]) -> dict[str, Scalar]:
    """Values of one trial: defaults or else the middle, of the parameters that are active then."""
    values: dict[str, Scalar] = {}
    waiting = list(parameters)
    while active := [parameter for parameter in waiting if parameter.when is None or parameter.when.holds(values)]:
        waiting = [parameter for parameter in waiting if parameter not in active]
        values |= {parameter.name: _first_value(parameter) for parameter in active}
    return values


def _first_value(parameter: Parameter) -> Scalar:
    if parameter.default is not None:
        return parameter.default
    match parameter:
        case Categorical():
            return parameter.choices[0]
        case Discrete():
            return parameter.values[(len(parameter.values) - 1) // 2]
    middle = parameter.low + (parameter.high - parameter.low) / 2
    if parameter.scale == "log":
        middle = math.exp((math.log(parameter.low) + math.log(parameter.high)) / 2)
    if parameter.step is not None:
        middle = parameter.low + math.floor((middle - parameter.low) / parameter.step) * parameter.step
    inside = min(max(middle, parameter.low), parameter.high)
    return round(inside) if isinstance(parameter, Int) else inside
