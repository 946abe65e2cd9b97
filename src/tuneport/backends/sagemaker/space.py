"""The search space: ranges of text, and several definitions where parameters depend on one choice.

A conditional space becomes a definition for each value of the parameter that all conditions, or all variants of the
trial, hang on. Without one such parameter it is flattened. Definitions of other people are read as one study, whose
first parameter chooses the definition.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from tuneport.backends.sagemaker.capabilities import VOCABULARY
from tuneport.backends.sagemaker.hyperparameters import HINTS, number_of, number_text, text_of, value_of
from tuneport.errors import JobError
from tuneport.model.job import TuningJob
from tuneport.model.parameters import Categorical, Discrete, Float, Int, Scale
from tuneport.model.study import Grid
from tuneport.model.word import Scalar, same
from tuneport.translation.lowering import hints_text, lower, raised, read_hints

Json: TypeAlias = dict[str, Any]
AnyParameter: TypeAlias = Float | Int | Discrete | Categorical

DEFINITION = "sagemaker_definition"
"""The parameter that chooses among definitions which no parameter of the trainer tells apart. The training toolkit
takes names of this beginning for its own."""
MOST_DEFINITIONS = 10
MOST_CHOICES = 30

_SCALES: Mapping[Scale, str] = {"linear": "Linear", "log": "Logarithmic", "reverse_log": "ReverseLogarithmic"}
_SCALES_BACK: Mapping[str, Scale] = {word: scale for scale, word in _SCALES.items()}
_BRANCH = "=branch"
"""Key of the hint that tells which parameter the definitions stand for; no parameter is called so."""
_LISTED = "=listed"
"""Key of the hint that tells which choices of a grid are ranges."""
_NAME = re.compile(r"[^\s=\x00-\x1f\x7f]{1,256}")
_DEFINITION_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}")
_KINDS: Mapping[str, type[AnyParameter]] = {"int": Int, "float": Float, "categorical": Categorical}


# ---- ranges ---------------------------------------------------------------------------------------------------------


def write_ranges(parameters: Iterable[AnyParameter]) -> Json:
    """Ranges of parameters that have been lowered."""
    ranges: dict[str, list[Json]] = defaultdict(list)
    for parameter in parameters:
        match parameter:
            case Categorical():
                values = [text_of(choice) for choice in parameter.choices]
                ranges["CategoricalParameterRanges"].append({"Name": parameter.name, "Values": values})
            case Int():
                ranges["IntegerParameterRanges"].append(
                    _write_range(parameter, str(parameter.low), str(parameter.high))
                )
            case Float():
                low, high = number_text(parameter.low), number_text(parameter.high)
                ranges["ContinuousParameterRanges"].append(_write_range(parameter, low, high))
    return dict(ranges)


def _write_range(parameter: Int | Float, low: str, high: str) -> Json:
    scale = parameter.scale
    if scale == "reverse_log" and not 0 <= parameter.low <= parameter.high < 1:
        scale = "linear"
    written = {"Name": parameter.name, "MinValue": low, "MaxValue": high}
    return written if scale == "auto" else written | {"ScalingType": _SCALES[scale]}


def read_ranges(ranges: Json) -> list[Json]:
    """Parameters of ranges, as data; left out are those that no parameter can be made of, such as symbolic bounds."""
    found = [
        *(_read_range("int", item) for item in ranges.get("IntegerParameterRanges", ())),
        *(_read_range("float", item) for item in ranges.get("ContinuousParameterRanges", ())),
        *(_read_choices(item) for item in ranges.get("CategoricalParameterRanges", ())),
    ]
    return [one for one in found if one is not None and _NAME.fullmatch(one["name"])]


def _read_range(kind: str, item: Json) -> Json | None:
    low, high = (_bound(kind, item[name]) for name in ("MinValue", "MaxValue"))
    if low is None or high is None:
        return None
    scale = _SCALES_BACK.get(item.get("ScalingType", ""), "auto")
    return {"name": item["Name"], "kind": kind, "low": low, "high": high, "scale": scale}


def _bound(kind: str, text: str) -> float | None:
    """A bound; whole numbers are kept to the last digit."""
    number = number_of(text)
    if kind == "float" or number is None:
        return number
    return int(text) if re.fullmatch(r"[-+]?[0-9]+", text) else number


def _read_choices(item: Json) -> Json:
    values = [value_of(text) for text in item["Values"]]
    choices = {(type(value), value): value for value in values}
    return {"name": item["Name"], "kind": "categorical", "choices": list(choices.values())}


def names(ranges: Json) -> set[str]:
    """What is searched."""
    kinds = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")
    return {item["Name"] for kind in kinds for item in ranges.get(kind, ())}


def combinations(ranges: Json) -> int | None:
    """How many points a space has; None: infinitely many, or nobody knows yet."""
    if ranges.get("ContinuousParameterRanges") or ranges.get("AutoParameters"):
        return None
    counts = [len(set(item["Values"])) for item in ranges.get("CategoricalParameterRanges", ())]
    for item in ranges.get("IntegerParameterRanges", ()):
        low, high = number_of(item["MinValue"]), number_of(item["MaxValue"])
        if low is None or high is None:
            return None
        counts.append(int(high) - int(low) + 1)
    return prod(counts)


# ---- branches -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Branch:
    """What becomes one definition.

    Attributes:
        name: of the definition; None: it is the only one.
        values: the choice that it stands for, by the name of the parameter.
        ranges: what is searched there.
        static: what the space adds to the fixed parameters: the choice itself, and hints.
    """

    name: str | None
    values: Mapping[str, Scalar]
    ranges: Json
    static: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Space:
    """A job's space in ranges.

    Attributes:
        branches: what becomes definitions; one if nothing depends on a single choice.
        points: how many there are; None: infinitely many, or nobody knows yet.
        grid: whether all of them can be tried one by one, and are to be.
    """

    branches: list[Branch]
    points: int | None
    grid: bool


def write_space(job: TuningJob) -> Space:
    """The ranges of a job. A grid that has other than choices, or more points than may be tried, is none there."""
    if isinstance(job.study.algorithm, Grid):
        space = _space(job, grid=True)
        kinds = {kind for part in space.branches for kind in part.ranges}
        enough = job.budget.max_trials is None or job.budget.max_trials >= (space.points or 0)
        if kinds <= {"CategoricalParameterRanges"} and enough:
            return space
    return _space(job, grid=False)


def _space(job: TuningJob, *, grid: bool) -> Space:
    branches = _branches(job, grid=grid)
    counts = [None if not grid and _may_be_hint(part.ranges) else combinations(part.ranges) for part in branches]
    return Space(branches, sum(count or 0 for count in counts) if None not in counts else None, grid)


def _may_be_hint(ranges: Json) -> bool:
    """Whether there is a single choice: it may be the example of a range that Autotune is to find."""
    return any(len(item["Values"]) == 1 for item in ranges.get("CategoricalParameterRanges", ()))


def _branches(job: TuningJob, *, grid: bool) -> list[Branch]:
    parent = chooser(job)
    if parent is None:
        ranges, hints = _written(job.study.parameters, grid=grid)
        return [Branch(None, {}, ranges, _carried(job, hints))]
    made = []
    for index, (choice, name) in enumerate(zip(parent.choices, _definition_names(parent), strict=True)):
        ranges, hints = _written(_under(job.study.parameters, parent, choice), grid=grid)
        hint = _branch_hint(job.study.parameters, parent) if index == 0 else {}
        chosen = {} if parent.name == DEFINITION else {parent.name: text_of(choice)}
        static = chosen | _carried(job, hints | hint)
        made.append(Branch(name, {parent.name: choice}, ranges, static))
    return made


def _written(parameters: Sequence[AnyParameter], *, grid: bool) -> tuple[Json, dict[str, Json]]:
    """Ranges of parameters, and hints of what they meant. In a grid, there are only choices."""
    said: dict[str, Json] = {}
    if grid:
        said = {
            one.name: _unconditional(one).brief()
            for one in parameters
            if isinstance(one, (Int, Float)) and _listed(one)
        }
        parameters = [_as_choices(one) if one.name in said else one for one in parameters]
    lowered = lower(parameters, VOCABULARY)
    return write_ranges(lowered.parameters), lowered.hints | ({_LISTED: said} if said else {})


def _listed(parameter: AnyParameter) -> list[Scalar]:
    """The values of a range, if they are as few as a grid takes."""
    if not isinstance(parameter, (Int, Float)):
        return []
    step = parameter.step or (1 if isinstance(parameter, Int) else parameter.high - parameter.low or 1)
    count = int((parameter.high - parameter.low) / step * (1 + 1e-12) + 1e-9) + 1
    return (
        [min(parameter.low + index * step, parameter.high) for index in range(count)] if count <= MOST_CHOICES else []
    )


def _as_choices(parameter: AnyParameter) -> AnyParameter:
    values = _listed(parameter)
    return Categorical(parameter.name, values, when=parameter.when) if values else parameter


def _unlisted(parameter: AnyParameter, said: Mapping[str, Any]) -> AnyParameter:
    """The range that a grid's choices were, if they still are its values."""
    hint = said.get(parameter.name)
    if not isinstance(hint, dict) or hint.get("kind") not in ("int", "float") or not isinstance(parameter, Categorical):
        return parameter
    try:
        range_ = _KINDS[hint["kind"]].model_validate({**hint, "when": parameter.when})
    except JobError:
        return parameter
    return range_ if repr(_listed(range_)) == repr(list(parameter.choices)) else parameter


def _carried(job: TuningJob, hints: Mapping[str, Json]) -> dict[str, str]:
    if not hints or HINTS in job.trial.parameters:
        return {}
    return {HINTS: hints_text(dict(sorted(hints.items())))}  # whatever order the parameters are in


def chooser(job: TuningJob) -> Categorical | None:
    """The parameter whose values get a definition each: that of other definitions, of variants, or of conditions."""
    if not job.trial.variants and all(one.when is None and one.name != DEFINITION for one in job.study.parameters):
        return None
    named = _by_name(job.study.parameters)
    varying = {variant.when.parameter for variant in job.trial.variants}
    for asked in ({DEFINITION} & named.keys(), varying, roots(job.study.parameters)):
        parents = named[asked.pop()] if len(asked) == 1 else []
        parent = parents[0] if len(parents) == 1 and parents[0].when is None else None
        if isinstance(parent, Categorical) and len(parent.choices) <= MOST_DEFINITIONS:
            return parent
    return None


def _by_name(parameters: Iterable[AnyParameter]) -> dict[str, list[AnyParameter]]:
    named: dict[str, list[AnyParameter]] = defaultdict(list)
    for parameter in parameters:
        named[parameter.name].append(parameter)
    return named


def roots(parameters: Sequence[AnyParameter]) -> set[str]:
    """The unconditional parameters that conditions hang on in the end."""
    named = _by_name(parameters)
    parents = {one.when.parameter for one in parameters if one.when is not None}
    return {name for name in parents if any(one.when is None for one in named[name])}


def _under(parameters: Sequence[AnyParameter], parent: Categorical, choice: Scalar) -> list[AnyParameter]:
    """The parameters that there are under one choice of their parent, without the parent and conditions on it."""
    named = _by_name(parameters)

    def there(parameter: AnyParameter) -> bool:
        condition = parameter.when
        if condition is None:
            return True
        if condition.parameter == parent.name:
            return any(same(value, choice) for value in condition.values)
        return any(there(one) for one in named[condition.parameter])

    kept = [one for one in parameters if one is not parent and there(one)]
    return [_unconditional(one) if one.when and one.when.parameter == parent.name else one for one in kept]


def _unconditional(parameter: AnyParameter) -> AnyParameter:
    return parameter.model_copy(update={"when": None})


def _definition_names(parent: Categorical) -> list[str]:
    """A legal name for each choice, all different; the choice itself where it is one."""
    made: list[str] = []
    for choice in parent.choices:
        text = text_of(choice)
        name = text if _DEFINITION_NAME.fullmatch(text) else legal_name(text, 60)
        number = 2
        while name.lower() in {taken.lower() for taken in made}:
            name = f"{legal_name(text, 60)}-{number}"
            number += 1
        made.append(name)
    return made


def legal_name(text: str, longest: int | None = None) -> str:
    """A name made of a text: letters, digits and single hyphens between them."""
    words = re.findall(r"[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*", text)
    return "-".join(words)[:longest].rstrip("-") or "x"


def _branch_hint(parameters: Sequence[AnyParameter], parent: Categorical) -> dict[str, Json]:
    """What definitions alone do not say: the parameter behind them, and conditions that hold in each of them."""
    spaces = [(choice, _under(parameters, parent, choice)) for choice in parent.choices]
    if parent.name == DEFINITION and parent.default is None and _alike(_merged(parent, spaces), parameters):
        return {}
    default = {} if parent.default is None else {"default": parent.default}
    said = [[one.name, *([one.when.parameter, list(one.when.values)] if one.when else [])] for one in parameters]
    return {_BRANCH: {"parameter": parent.name, "parameters": said, **default}}


def _alike(ours: Iterable[AnyParameter], theirs: Iterable[AnyParameter]) -> bool:
    """Whether two spaces are the same but for their order."""
    return sorted(map(repr, ours)) == sorted(map(repr, theirs))  # unlike equality it tells 1 from true


# ---- and back -------------------------------------------------------------------------------------------------------


def read_space(ranges: Json, static: dict[str, str]) -> list[Any]:
    """The parameters of the only definition; the hints are taken out of its fixed parameters."""
    parameters = read_ranges(ranges)
    hints = _taken_hints(static)
    return _raised(parameters, hints) if hints else parameters


def _taken_hints(static: dict[str, str]) -> dict[str, Json]:
    hints = read_hints(static[HINTS]) if HINTS in static else None
    if hints is None:
        return {}
    del static[HINTS]
    return hints


def _raised(parameters: Iterable[Json], hints: Mapping[str, Json]) -> list[AnyParameter]:
    lowered = [_KINDS[one["kind"]].model_validate(one) for one in parameters]
    rest = {name: hint for name, hint in hints.items() if name != _LISTED}
    return [_unlisted(one, hints.get(_LISTED, {})) for one in raised(lowered, rest, VOCABULARY)]


def read_branches(definitions: Sequence[tuple[str, Json, dict[str, str]]]) -> tuple[Categorical, list[AnyParameter]]:
    """The one space that definitions stand for.

    Args:
        definitions: name, ranges and fixed parameters of each; what the space added to the latter is taken out.

    Returns:
        The parameter that chooses among them, and all parameters.
    """
    hints = [_taken_hints(static) for _, _, static in definitions]
    hint = hints[0].pop(_BRANCH, {})
    parent = _parent(hint, [static for _, _, static in definitions])
    if parent is None:
        hint, parent = {}, Categorical(DEFINITION, [name for name, _, _ in definitions])
    spaces = [
        (choice, _raised(read_ranges(ranges), given))
        for choice, (_, ranges, _), given in zip(parent.choices, definitions, hints, strict=True)
    ]
    try:
        hinted = list(_as_hinted(hint, parent, spaces))
        fits = bool(hinted) and all(_alike(_under(hinted, parent, choice), space) for choice, space in spaces)
    except (JobError, TypeError, ValueError, KeyError, IndexError):  # the hint is not, or no longer, one of ours
        fits = False
    return parent, hinted if fits else _merged(parent, spaces)


def _parent(hint: Json, statics: Sequence[dict[str, str]]) -> Categorical | None:
    """The parameter that a hint names, with its values out of the fixed parameters; None: the hint does not fit."""
    name = hint.get("parameter")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not all(name in static for static in statics):
        return None
    choices = [value_of(static[name]) for static in statics]
    if len({(type(choice), choice) for choice in choices}) < len(choices):
        return None
    for static in statics:
        del static[name]
    default = hint.get("default")
    known = any(type(choice) is type(default) and choice == default for choice in choices)
    return Categorical(name, choices, default=default if known else None)


def _as_hinted(hint: Json, parent: Categorical, spaces: Sequence[tuple[Scalar, list[AnyParameter]]]) -> Iterator[Any]:
    """Parameters with the conditions that a hint has for them; nothing sensible if the hint does not fit."""
    for entry in hint.get("parameters", ()):
        name, *condition = entry
        if name == parent.name:
            yield parent
            continue
        direct = condition[:1] == [parent.name]
        for choice, space in spaces:
            if direct and not any(same(choice, value) for value in condition[1]):
                continue
            said = [] if direct else condition
            found = next((one for one in space if one.name == name and _condition(one) == said), None)
            if found is not None:
                yield _conditional(found, parent.name, condition[1]) if direct else found
                break


def _condition(parameter: AnyParameter) -> list[Any]:
    return [] if parameter.when is None else [parameter.when.parameter, list(parameter.when.values)]


def _conditional(parameter: AnyParameter, parent: str, values: Sequence[Scalar]) -> AnyParameter:
    return parameter.changed(when={"parameter": parent, "values": list(values)})


def _merged(parent: Categorical, spaces: Sequence[tuple[Scalar, list[AnyParameter]]]) -> list[AnyParameter]:
    """What stands in every definition is there always, all else under the choices that it stands in."""
    found: dict[str, tuple[AnyParameter, list[Scalar]]] = {}
    for choice, space in spaces:
        for parameter in space:
            found.setdefault(repr(parameter), (parameter, []))[1].append(choice)
    return [
        parent,
        *(
            one if len(choices) == len(spaces) or one.when is not None else _conditional(one, parent.name, choices)
            for one, choices in found.values()
        ),
    ]
