"""ModelArts says every value as text; what kind of value a text means is said beside it, or else seen."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from tuneport.model.word import Scalar

Kind: TypeAlias = Literal["String", "Integer", "Float", "Boolean"]
"""The service's kinds of hyperparameters."""

_LONGEST = 64
_WHOLE = re.compile(r"[-+]?[0-9]+")
_REAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}


def text(value: Scalar) -> str:
    """A value as the service and its trainers get it: shortest numbers, True and False."""
    return str(value)


def number(value: Any) -> int | float | None:
    """The number that a text spells, whole if it looks whole; None for all else, such as ``${lr}`` and nan."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    spelt = value.strip()
    if _WHOLE.fullmatch(spelt) and -(2**63) <= int(spelt) < 2**63:
        return int(spelt)
    read = float(spelt) if _REAL.fullmatch(spelt) else math.inf
    return read if math.isfinite(read) else None


def whole(value: Any) -> int | None:
    """The whole number that a text spells."""
    read = number(value)
    return int(read) if read is not None and read == int(read) and abs(read) < 2**63 else None


def counted(value: Any, kind: Any) -> int | float | None:
    """The number that a text of this kind means: of whole ones "3.0" as well is 3."""
    read = whole(value) if kind == "Integer" else None
    return number(value) if read is None else read


def boolean(value: Any) -> bool | None:
    """The boolean that a text spells."""
    return _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None


def listed(values: list[str] | str | None) -> list[str]:
    """Values that a list has; replies about stored algorithms say lists as one text."""
    if not isinstance(values, str):
        return values or []
    inside = values.strip("[] ")
    return [one.strip(" '\"") for one in inside.split(",")] if inside else []


def kind_of(values: Iterable[Scalar]) -> Kind:
    """The narrowest kind that all values have."""
    types = {type(value) for value in values}
    if types <= {bool}:
        return "Boolean"
    if types <= {int}:
        return "Integer"
    return "Float" if types <= {int, float} else "String"


def seen(value: str) -> Scalar:
    """The value that a text of no said kind looks like."""
    if value in {"True", "False"}:
        return value == "True"
    read = number(value)
    return value if read is None else read


def typed(value: str, kind: Any) -> Scalar:
    """The value that a text of this kind means; the text itself if it is none of them."""
    match kind:
        case "Boolean":
            read: Scalar | None = boolean(value)
        case "Integer":
            read = counted(value, kind)
        case "Float":
            read = number(value)
            read = read if read is None else float(read)
        case _:
            read = None
    return value if read is None else read
