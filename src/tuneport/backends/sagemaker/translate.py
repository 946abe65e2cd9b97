"""Our words to a hyperparameter tuning job and back."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal, TypeAlias

from tuneport.backends.protocols import Reading
from tuneport.backends.sagemaker import rules
from tuneport.backends.sagemaker.canonical import canonical, wire
from tuneport.backends.sagemaker.carriers import FORMS, NAMELESS, READ_ONLY, WITH_REGION, carried, recognise
from tuneport.backends.sagemaker.forms import (
    CONFIG,
    NAME,
    ONE,
    REGION,
    SEVERAL,
    UNNAMED,
    Taken,
)
from tuneport.backends.sagemaker.settings import SageMakerSettings
from tuneport.backends.sagemaker.space import (
    DEFINITION,
    Branch,
    legal_name,
    names,
    read_branches,
    read_space,
    roots,
    write_space,
)
from tuneport.backends.sagemaker.study import (
    objective_of,
    read_config,
    read_objective,
    read_tags,
    read_warm_start,
    write_config,
    write_objective,
    write_tags,
    write_warm_start,
)
from tuneport.backends.sagemaker.trial import read_definition, varied, write_definition
from tuneport.errors import PayloadError, Problem
from tuneport.model.job import TuningJob
from tuneport.translation.shape import Shape, is_symbolic, schema_of

Json: TypeAlias = dict[str, Any]

_REGISTRY = re.compile(r"[0-9]{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.")
_LEGAL_NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9])*")


_NAMES = (NAME, "hyperParameterTuningJobName")


@cache
def _shape(form: str) -> Shape:
    """What the service's own model says of a request; what the service answers may be newer than the model."""
    schema = schema_of("tuneport.backends.sagemaker")
    unknown: Literal["keep", "refuse"] = "keep" if form == "describe" else "refuse"
    return Shape(schema, "CreateHyperParameterTuningJobRequest", unknown=unknown)


class SageMakerTranslator:
    """Jobs to requests of CreateHyperParameterTuningJob, in any of the documents that these are written down in."""

    forms = tuple(form for form in FORMS if form not in READ_ONLY)

    def read(self, document: Json) -> Reading:
        """Recognise a document, take off its wrapping, and check it by the service's model and rules."""
        form = recognise(document)
        if form == "request" and (within := next(carried(document), "")):
            raise _refused([Problem(within, "is a tuning job within something else", "take what stands there")])
        taken = FORMS[form].take(document)
        request, region = _without_region(taken.request)
        named = taken.name is not None and isinstance(request, dict) and request.keys().isdisjoint(_NAMES)
        try:
            request = canonical(_shape(form).read({NAME: UNNAMED, **request} if named else request))
        except PayloadError as error:
            raise _refused([_moved(one, taken.where(one.pointer)) for one in error.problems]) from None
        if problems := list(rules.malformed(request)):
            raise _refused([_moved(one, taken.where(_spelt(one.pointer, taken))) for one in problems])
        if form == "parts":
            del request[NAME]
        elif named:
            request[NAME] = taken.name
        return Reading(form, request | region, taken.response)

    def write(self, reading: Reading) -> Json:
        """The document of that form which says this."""
        return FORMS[reading.form].put(wire(reading.request), reading.response)

    def to_native(self, job: TuningJob, settings: SageMakerSettings, form: str) -> Json:
        """The canonical request that asks for the job."""
        space = write_space(job)
        single = space.branches[0] if space.branches[0].name is None else None
        request = {
            NAME: None if form == "parts" else _write_name(job.name),
            CONFIG: write_config(job, space, None if single is None else single.ranges),
            ONE: None if single is None else _write_single(job, single),
            SEVERAL: None if single else [_write_one_of_several(job, part) for part in space.branches],
            "WarmStartConfig": write_warm_start(job.warm_start),
            "Tags": write_tags(job.labels),
            REGION: settings.region if form in WITH_REGION else None,
        }
        return {member: value for member, value in request.items() if value not in (None, {}, [])}

    def from_native(self, request: Json, form: str) -> tuple[TuningJob, SageMakerSettings]:
        """The job that a canonical request asks for."""
        del form  # where there is no name, the request says so
        config = request[CONFIG]
        objective = objective_of(request, config)
        missing = list(rules.nothing_to_run(request))
        if objective is None or missing:
            raise _refused(missing or [_no_objective(request)])
        study, budget = read_config(config, objective)
        if SEVERAL in request:
            parameters, trial = _read_several(request[SEVERAL])
        else:
            parameters, trial = _read_single(request[ONE], config, objective)
        if not parameters:
            pointer = f"/{CONFIG}/ParameterRanges"
            raise _refused([Problem(pointer, "has no parameter to be tuned", "give one range at least")])
        data = {
            "name": request.get(NAME, UNNAMED),
            "labels": read_tags(request.get("Tags", ())),
            "study": {**study, "parameters": parameters},
            "trial": trial,
            "budget": budget,
            "warm_start": read_warm_start(request.get("WarmStartConfig", {})),
        }
        return TuningJob.model_validate(data), SageMakerSettings(region=request.get(REGION) or _region(trial))

    def problems(self, request: Json, form: str) -> list[Problem]:
        """Everything for which the service would refuse the request."""
        plain, _ = _without_region(request)
        sent = wire(plain | {NAME: UNNAMED} if form in NAMELESS else plain)
        found = _shape(self.forms[0]).problems(sent, symbolic=form != self.forms[0])
        try:
            return [*found, *rules.problems(sent)]
        except (KeyError, TypeError, AttributeError, ValueError):
            if found:  # it is not even built like a request, and that has been said
                return found
            raise


def _without_region(request: Any) -> tuple[Any, Json]:
    if not isinstance(request, dict) or REGION not in request:
        return request, {}
    return {key: value for key, value in request.items() if key != REGION}, {REGION: request[REGION]}


def _moved(problem: Problem, pointer: str) -> Problem:
    return Problem(pointer, problem.message, problem.hint, key=problem.key)


def _spelt(pointer: str, taken: Taken) -> str:
    """A pointer into a canonical request as the document spells its names."""
    here: Any = taken.request
    parts = []
    for part in pointer.split("/")[1:]:
        if isinstance(here, dict) and part not in here:
            plain = part.lower()
            part = next((key for key in here if key.replace("_", "").lower() == plain), part)  # noqa: PLW2901
        parts.append(f"/{part}")
        here = here.get(part) if isinstance(here, dict) else _item(here, part)
    return "".join(parts)


def _item(items: Any, index: str) -> Any:
    return items[int(index)] if isinstance(items, list) and index.isdigit() and int(index) < len(items) else None


def _refused(problems: list[Problem]) -> PayloadError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return PayloadError(f"a tuning job of SageMaker: {count}", problems=problems)


def _no_objective(request: Json) -> Problem:
    if SEVERAL in request:
        return Problem(f"/{SEVERAL}/0/TuningObjective", "is required", "say Type and MetricName")
    place = f"/{CONFIG}/HyperParameterTuningJobObjective"
    return Problem(place, "is required here, also where Autotune would supply it", "say Type and MetricName")


def _write_name(name: str) -> str:
    """The name with hyphens for what the service does not take; a name that is too long is for the user to cut."""
    return name if _LEGAL_NAME.fullmatch(name) or is_symbolic(name) else legal_name(name)


def _region(trial: Json) -> str | None:
    match = _REGISTRY.match(trial.get("image") or "")
    return match[1] if match else None


# ---- definitions ----------------------------------------------------------------------------------------------------


def _write_single(job: TuningJob, part: Branch) -> Json:
    metrics = [objective.metric for objective in job.study.objectives]
    return write_definition(job.trial, metrics, part.static)


def _write_one_of_several(job: TuningJob, part: Branch) -> Json:
    there = job.under(part.values)
    return {
        "DefinitionName": part.name,
        "TuningObjective": write_objective(there.study.objective),
        **({"HyperParameterRanges": part.ranges} if part.ranges else {}),
        **_write_single(there, part),
    }


def _read_single(definition: Json, config: Json, objective: Json) -> tuple[list[Any], Json]:
    ranges = config.get("ParameterRanges") or definition.get("HyperParameterRanges", {})
    static = _static(definition, ranges)
    parameters = read_space(ranges, static)
    metric = read_objective(objective)["metric"]
    return parameters, read_definition({**definition, "StaticHyperParameters": static}, metric)


def _read_several(definitions: list[Json]) -> tuple[list[Any], Json]:
    ranges = [one.get("HyperParameterRanges", {}) for one in definitions]
    statics = [_static(*both) for both in zip(definitions, ranges, strict=True)]
    called = [one["DefinitionName"] for one in definitions]
    parent, parameters = read_branches(list(zip(called, ranges, statics, strict=True)))
    metrics = [read_objective(one["TuningObjective"])["metric"] for one in definitions]
    specs = [
        read_definition({**one, "StaticHyperParameters": static}, metric)
        for one, static, metric in zip(definitions, statics, metrics, strict=True)
    ]
    trial = varied(specs, metrics, parent.name, parent.choices, {one.name for one in parameters})
    if "variants" not in trial and parent.name != DEFINITION and roots(parameters) != {parent.name}:
        trial["variants"] = [{"when": {"parameter": parent.name, "values": list(parent.choices)}}]
    return parameters, trial


def _static(definition: Json, ranges: Json) -> dict[str, str]:
    """Fixed parameters. One that is searched as well counts for nothing; the vendor's SDKs drop it."""
    searched = names(ranges)
    return {name: text for name, text in definition.get("StaticHyperParameters", {}).items() if name not in searched}


TRANSLATOR = SageMakerTranslator()
