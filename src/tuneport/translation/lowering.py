"""Search spaces in fewer words: what a service lacks is said in what it has, with hints that restore the meaning.

The hints travel with the job under one reserved name. Inside a trial tuneport_trial reads them and hands the trainer
what the job meant; when a job is read back they tell which parameters it was made of (docs/trial-protocol.md).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias, cast

from tuneport.errors import JobError
from tuneport.model.parameters import Categorical, Discrete, Float, Int, Scale, When
from tuneport.model.word import Scalar, same

Parameter: TypeAlias = Float | Int | Discrete | Categorical
Hint: TypeAlias = dict[str, Any]

HINTS_VARIABLE = "TUNEPORT_SPACE"
"""The reserved name of the hints where a service has environment variables."""
_MARK = ""
"""Key that tells our hints from a space that a user wrote; no parameter is called so."""
_VERSION = 1
_ALL: frozenset[Scale] = frozenset({"linear", "log", "reverse_log", "auto"})
_LONGEST_NAME = 64
_LOOKS_TYPED = re.compile(
    r"[Tt]rue|[Ff]alse|[-+]?(0|[1-9]\d*)|[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?", re.ASCII
)
"""Texts that tuneport_trial types by their looks."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What kinds of parameters a service has words for.

    Attributes:
        ints: it has ranges of whole numbers.
        listed_numbers: most values of a list of ordered numbers; 0: it has no such kind.
        typed_choices: choices may be numbers and booleans, not only text.
        float_scales: how ranges of real numbers can be measured.
        int_scales: how ranges of whole numbers can be measured.
        list_scales: how lists of ordered numbers can be measured.
        conditions: parameters may depend on others.
        names: whole-string pattern of its parameters' names.
    """

    ints: bool = True
    listed_numbers: int = 0
    typed_choices: bool = False
    float_scales: frozenset[Scale] = _ALL
    int_scales: frozenset[Scale] = _ALL
    list_scales: frozenset[Scale] = _ALL
    conditions: bool = False
    names: str = ".*"


@dataclass(frozen=True, slots=True)
class Lowered:
    """A space in a service's words.

    Attributes:
        parameters: only of kinds that the service has.
        hints: lowered name to what restores the meaning; nothing for parameters that mean what they say.
    """

    parameters: tuple[Parameter, ...]
    hints: dict[str, Hint] = field(default_factory=dict)


def hints_text(hints: Mapping[str, Hint]) -> str:
    """The hints as they travel; always in one order, since services have orders of their own for parameters."""
    return json.dumps({_MARK: _VERSION, **hints}, separators=(",", ":"), sort_keys=True)


def read_hints(text: str) -> dict[str, Hint] | None:
    """Hints that `hints_text` wrote; None for any other text."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.pop(_MARK, None) != _VERSION:
        return None
    return data if all(isinstance(hint, dict) for hint in data.values()) else None


# ---- there ----------------------------------------------------------------------------------------------------------


def lower(parameters: Sequence[Parameter], vocabulary: Vocabulary) -> Lowered:
    """Say a space in a service's words. What cannot be said at all, such as a scale that it lacks, is left out."""
    said = vocabulary.conditions and not vocabulary.typed_choices and any(one.when is not None for one in parameters)
    texts = _texts_by_name(parameters) if said else {}
    lowered = [_lowered(parameter, vocabulary) for parameter in parameters]
    made, hints = [], {}
    for parameter, name, (fields, hint) in zip(
        parameters, _names(parameters, lowered, vocabulary), lowered, strict=True
    ):
        if not fields and name == parameter.name and parameter.when is None:
            made.append(parameter)  # most stay what they are, and making one costs
            continue
        if name != parameter.name:
            hint["name"] = parameter.name
        if (condition := parameter.when) is not None:
            if vocabulary.conditions:
                fields["when"] = _condition(condition, texts)
            else:
                hint["when"] = [condition.parameter, list(condition.values)]
        made.append(_make(parameter, fields | {"name": name}))
        if hint:
            hints[name] = hint
    return Lowered(tuple(made), hints)


def _make(parameter: Parameter, fields: dict[str, Any]) -> Parameter:
    """The parameter itself if it stays what it is."""
    kind = fields.pop("class", type(parameter))
    if kind is type(parameter) and all(getattr(parameter, name) == value for name, value in fields.items()):
        plain = parameter.when is None or "when" in fields
        return parameter if plain else parameter.changed(when=None)
    if kind is type(parameter):
        return parameter.changed(**{"when": None, "default": None} | fields)
    return cast("Parameter", kind(**fields, description=parameter.description))


def _lowered(parameter: Parameter, vocabulary: Vocabulary) -> tuple[dict[str, Any], Hint]:
    if parameter.kind == "categorical":
        return _lowered_choices(parameter, vocabulary)
    if parameter.kind == "discrete":
        return _lowered_numbers(parameter, vocabulary)
    return _lowered_range(parameter, vocabulary)


def _lowered_choices(parameter: Categorical, vocabulary: Vocabulary) -> tuple[dict[str, Any], Hint]:
    if vocabulary.typed_choices or all(_is_plain(choice) for choice in parameter.choices):
        return {}, {}
    pairs = dict(zip(_texts(parameter.choices), parameter.choices, strict=True))
    default = next((text for text, choice in pairs.items() if same(choice, parameter.default)), None)
    return {"choices": tuple(pairs), "default": default}, {"choices": pairs}


def _lowered_numbers(parameter: Discrete, vocabulary: Vocabulary) -> tuple[dict[str, Any], Hint]:
    if len(parameter.values) <= vocabulary.listed_numbers:
        return ({} if parameter.scale in vocabulary.list_scales else {"scale": "linear"}), {}
    fields, hint = _lowered_choices(Categorical(parameter.name, parameter.values), vocabulary)
    scale = {} if parameter.scale == "linear" else {"scale": parameter.scale}
    return {"class": Categorical, "choices": parameter.values} | fields, hint | {"kind": "discrete"} | scale


def _lowered_range(parameter: Float | Int, vocabulary: Vocabulary) -> tuple[dict[str, Any], Hint]:
    whole = parameter.kind == "int"
    scales = vocabulary.int_scales if whole and vocabulary.ints else vocabulary.float_scales
    scale: Scale = parameter.scale if parameter.scale in scales else "linear"
    log = parameter.scale == "log" and scale != "log"
    if parameter.step is None and not log and (not whole or vocabulary.ints):
        return ({} if scale == parameter.scale else {"scale": scale}), {}
    hint: Hint = {"kind": parameter.kind, "range": [parameter.low, parameter.high]}
    if parameter.step is not None:
        hint["step"] = parameter.step
    if log:
        bounds = {"low": math.log10(parameter.low), "high": math.log10(parameter.high)}
        return {"class": Float, "scale": "linear", "step": None, **bounds}, hint | {"log": True}
    listed = _listed(parameter, vocabulary.listed_numbers)
    measured = parameter.scale if parameter.scale in vocabulary.list_scales else scale
    if listed is not None and measured in vocabulary.list_scales:
        return {"class": Discrete, "values": listed, "scale": measured}, hint
    kind: type[Parameter] = Int if whole and vocabulary.ints else Float
    return {"class": kind, "low": parameter.low, "high": parameter.high, "scale": scale, "step": None}, hint


def _listed(parameter: Float | Int, most: int) -> tuple[float, ...] | None:
    """The values of a stepped range, if they are not too many for a list."""
    step = parameter.step or 1
    count = math.floor((parameter.high - parameter.low) / step * (1 + 1e-12) + 1e-9) + 1
    if count > most:
        return None
    values = tuple(min(parameter.low + index * step, parameter.high) for index in range(count))
    return values if all(a < b for a, b in pairwise(values)) else None


def _texts(choices: Sequence[Scalar]) -> list[str]:
    """A text for each choice, all different: the plain one, or JSON where two would look alike."""
    plain = [_plain(choice) for choice in choices]
    counts = Counter(plain)
    return [
        json.dumps(choice) if counts[text] > 1 and isinstance(choice, str) else text
        for choice, text in zip(choices, plain, strict=True)
    ]


def _plain(value: Scalar) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _texts_by_name(parameters: Sequence[Parameter]) -> dict[str, list[tuple[Scalar, str]]]:
    """Every choice of every categorical with its text."""
    found: dict[str, list[tuple[Scalar, str]]] = {}
    for parameter in parameters:
        if isinstance(parameter, Categorical):
            pairs = zip(parameter.choices, _texts(parameter.choices), strict=True)
            found.setdefault(parameter.name, []).extend(pairs)
    return found


def _is_plain(choice: Scalar) -> bool:
    """Whether a choice is a text that nobody takes for a number or a boolean."""
    return isinstance(choice, str) and not _LOOKS_TYPED.fullmatch(choice)


def _condition(condition: When, texts: Mapping[str, list[tuple[Scalar, str]]]) -> When:
    """The condition in terms of the parent's texts, where the parent has texts instead of values."""
    if all(isinstance(value, str) for value in condition.values):
        return condition
    pairs = texts.get(condition.parameter, [])
    said = [next((text for choice, text in pairs if same(choice, value)), value) for value in condition.values]
    return When(condition.parameter, said)


def _names(
    parameters: Sequence[Parameter], lowered: Sequence[tuple[dict[str, Any], Hint]], vocabulary: Vocabulary
) -> list[str]:
    """A name for each parameter that the service takes.

    Parameters of one name in several branches keep it only where conditions hold them apart and hints, which go by
    name, are the same. A logarithm gets another name, lest a trainer that knows nothing of hints takes it for the
    value.
    """
    plain = [parameter.name for parameter in parameters]
    logarithms = any("log" in hint for _, hint in lowered)
    if vocabulary.names == ".*" and not logarithms and len(set(plain)) == len(plain):
        return plain
    groups: dict[str, list[Hint]] = {}
    for parameter, (_, hint) in zip(parameters, lowered, strict=True):
        groups.setdefault(parameter.name, []).append(hint)
    shared = {
        name for name, hints in groups.items() if vocabulary.conditions and all(hint == hints[0] for hint in hints)
    }
    taken: Counter[str] = Counter()
    names = []
    for parameter, (_, hint) in zip(parameters, lowered, strict=True):
        name = parameter.name
        alone = len(groups[name]) == 1 or name in shared
        if not alone and parameter.when is not None:
            name = f"{name}_{_plain(parameter.when.values[0])}"
        if vocabulary.names != ".*" and not re.fullmatch(vocabulary.names, name):
            name = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_LONGEST_NAME]
        if hint.get("log"):
            name = f"log10_{name}"[:_LONGEST_NAME]
        taken[name] += 1
        if taken[name] > 1 and not (alone and vocabulary.conditions):
            name = f"{name[: _LONGEST_NAME - 4]}_{taken[name]}"
        names.append(name)
    return names


# ---- and back -------------------------------------------------------------------------------------------------------


def raised(parameters: Sequence[Parameter], hints: Mapping[str, Hint], vocabulary: Vocabulary) -> tuple[Parameter, ...]:
    """The space that was lowered. Hints that do not fit, because somebody has edited the job, are all ignored."""
    given = tuple(parameters)
    if not hints:
        return given
    try:
        made = tuple(_raised(parameter, hints.get(parameter.name, {})) for parameter in given)
        made = tuple(_with_typed_condition(parameter, made) for parameter in made)
    except (JobError, TypeError, ValueError, KeyError, IndexError, AttributeError):
        return given
    again = lower(made, vocabulary)
    unchanged = _by_name(again.parameters) == _by_name(given) and again.hints == dict(hints)
    return made if unchanged else given


def _by_name(parameters: Sequence[Parameter]) -> dict[tuple[str, object], Parameter]:
    return {(parameter.name, parameter.when): parameter for parameter in parameters}


def _raised(parameter: Parameter, hint: Hint) -> Parameter:
    fields: dict[str, Any] = {
        "name": hint.get("name", parameter.name),
        "when": parameter.when,
        "description": parameter.description,
    }
    if "when" in hint:
        parent, values = hint["when"]
        fields["when"] = When(parent, values)
    if "choices" in hint and hint.get("kind") != "discrete":
        meant_by, default = hint["choices"], parameter.default
        choices = [meant_by[text] for text in _choices_of(parameter)]
        return Categorical(**fields, choices=choices, default=None if default is None else meant_by[default])
    match hint.get("kind"):
        case "discrete":
            values = [hint["choices"][text] if "choices" in hint else text for text in _choices_of(parameter)]
            return Discrete(**fields, values=values, scale=hint.get("scale", "linear"))
        case "int" | "float" as kind:
            low, high = hint["range"]
            scale = "log" if hint.get("log") else cast("Float", parameter).scale
            ranged: type[Float | Int] = Int if kind == "int" else Float
            return ranged(**fields, low=low, high=high, scale=scale, step=hint.get("step"))
    return parameter.changed(**fields) if hint else parameter


def _choices_of(parameter: Parameter) -> tuple[Any, ...]:
    return cast("Categorical", parameter).choices


def _with_typed_condition(parameter: Parameter, parameters: Sequence[Parameter]) -> Parameter:
    """Conditions speak of the values of the parent as it was raised, no longer of their texts."""
    condition = parameter.when
    if condition is None:
        return parameter
    pairs = _texts_by_name([one for one in parameters if one.name == condition.parameter]).get(condition.parameter, [])
    if not pairs or all(any(same(value, choice) for choice, _ in pairs) for value in condition.values):
        return parameter
    values = [next((choice for choice, text in pairs if text == value), value) for value in condition.values]
    return parameter.changed(when=When(condition.parameter, values))


# ---- values ---------------------------------------------------------------------------------------------------------


def meant(values: Mapping[str, Scalar], hints: Mapping[str, Hint]) -> dict[str, Scalar]:
    """What a trial's values in a service's words stand for, as tuneport_trial hands them to the trainer.

    A value that no hint explains stays as it is, and so does one that its hint cannot explain.
    """
    found: dict[str, Scalar] = {}
    conditions: dict[str, tuple[str, list[Scalar]]] = {}
    for name, value in values.items():
        hint = hints.get(name, {})
        known = str(hint.get("name", name))
        if known in found and not _holds(hint.get("when"), values):
            continue  # another branch's parameter of that name
        found[known] = _meant(value, hint)
        if "when" in hint:
            conditions[known] = (hint["when"][0], hint["when"][1])
    return _active(found, conditions)


def _holds(condition: Any, values: Mapping[str, Scalar]) -> bool:
    return condition is None or any(same(values.get(condition[0], ""), value) for value in condition[1])


def _active(found: dict[str, Scalar], conditions: dict[str, tuple[str, list[Scalar]]]) -> dict[str, Scalar]:
    """The values without those of parameters that are switched off, and without what hangs on those."""
    while off := [name for name, condition in conditions.items() if name in found and not _holds(condition, found)]:
        for name in off:
            del found[name]
    return found


def _meant(value: Scalar, hint: Hint) -> Scalar:
    if "choices" in hint:
        choice: Scalar = hint["choices"].get(_plain(value), value)
        return choice
    if "range" not in hint or isinstance(value, (str, bool)):
        return value
    low, high = hint["range"]
    number: Any = value
    if hint.get("log"):
        number = 10.0 ** min(max(number, -308.0), 308.0)
    number = min(max(number, low), high)
    if hint.get("step"):
        number = _on_grid(number, low, high, hint["step"], whole=hint["kind"] == "int")
    return round(number) if hint["kind"] == "int" else min(float(number), float(high))


def _on_grid(number: float, low: float, high: float, step: float, *, whole: bool) -> Fraction:
    """The nearest of low, low + step, … up to high, as the search has them: in decimals, where 0.1 + 0.2 is 0.3."""
    exact, first, last, width = (Fraction(str(one)) for one in (number, low, high, step))
    most = (last - first) / width
    slack = Fraction(0) if whole else max(Fraction(1), most) / 10**9
    return first + min(round((exact - first) / width), int(most + slack)) * width
