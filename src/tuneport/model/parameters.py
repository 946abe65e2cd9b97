"""The search space: four kinds of parameters, their scales, and conditions between them.

Words and meaning follow Vertex AI Vizier's StudySpec.ParameterSpec, extended by what SageMaker and ModelArts can say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, StringConstraints

from tuneport.model.word import Flaw, Integer, Number, Numeric, Scalar, Str, Word, same, short

Scale: TypeAlias = Literal["linear", "log", "reverse_log", "auto"]
"""How a range is measured.

`linear`: evenly. `log`: evenly in the logarithm; needs low > 0. `reverse_log`: finest near `high`; needs low > 0, or
0 <= low and high < 1 (then evenly in log(1 - x)). `auto`: the backend chooses; our own core takes `linear`.
"""

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^\s=\x00-\x1f\x7f]+$", max_length=256)]
"""A parameter's or metric's name: no white space, no `=`, at most 256 characters."""

MAX_GRID = 100_000_000
"""Most points a stepped range may have; more is taken for a slip of the pen."""

MAX_CHOICES = 10_000
"""Most values that a discrete or categorical parameter may list."""


class When(Word):
    """The condition under which a parameter exists: another parameter has one of these values."""

    positional: ClassVar = ("parameter", "values")

    parameter: Name
    """The parent. It may itself be conditional: then this one needs both."""
    values: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=MAX_CHOICES)]
    """Values of the parent that switch this parameter on; compared by type and value."""

    if TYPE_CHECKING:

        def __init__(self, parameter: str, values: Sequence[Any]) -> None: ...

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether `values` (name to value, active parameters only) switch the condition on."""
        parent = values.get(self.parameter)
        return parent is not None and any(same(parent, value) for value in self.values)


def when(parameter: str, *values: Any) -> When:
    """Shorthand: ``when("opt", "sgd", "adam")`` is true if `opt` is one of the two."""
    return When(parameter, values)


class _Parameter(Word):
    name: Name
    """Its name, as the trainer knows it."""
    when: When | None = None
    """The condition under which it exists; None: always."""
    description: Str | None = None
    """What it is, for people."""


class _Range(_Parameter):
    scale: Scale = "linear"
    """How the range is measured."""

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        low, high = fields.get("low"), fields.get("high")
        if low is None or high is None:
            return
        if low > high:
            yield Flaw(f"must not be above high: {low!r} > {high!r}", "low")
        if not math.isfinite(float(high) - float(low)):
            yield Flaw(f"the range from {low!r} to {high!r} is wider than a double can hold", "high")
        scale = fields.get("scale")
        if scale == "log" and low <= 0:
            yield Flaw(f"a log scale needs low > 0, not {low!r}; use a small positive bound or scale: linear", "scale")
        if scale == "reverse_log" and not (low > 0 or (low >= 0 and high < 1)):
            yield Flaw(
                f"a reverse_log scale needs low > 0, or 0 <= low and high < 1; not {low!r} and {high!r}", "scale"
            )
        step = fields.get("step")
        if step is not None and low <= high and (high - low) / step > MAX_GRID:
            yield Flaw(f"{step!r} cuts the range into more than {MAX_GRID:,} points", "step")
        default = fields.get("default")
        if default is not None and not low <= default <= high:
            yield Flaw(f"must lie between {low!r} and {high!r}, not {default!r}", "default")


class Float(_Range):
    """A real number between two bounds, both included."""

    positional: ClassVar = ("name", "low", "high")

    kind: Literal["float"] = "float"
    low: Number
    """Smallest value, included."""
    high: Number
    """Largest value, included."""
    step: Annotated[Number, Field(gt=0)] | None = None
    """Only low, low + step, low + 2 step, … up to high, if given."""
    default: Number | None = None
    """A value to try in the first trial."""

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            low: float,
            high: float,
            *,
            scale: Scale = ...,
            step: float | None = ...,
            default: float | None = ...,
            when: When | None = ...,
            description: str | None = ...,
            kind: Literal["float"] = ...,
        ) -> None: ...


class Int(_Range):
    """A whole number between two bounds, both included."""

    positional: ClassVar = ("name", "low", "high")

    kind: Literal["int"] = "int"
    low: Integer
    """Smallest value, included."""
    high: Integer
    """Largest value, included."""
    step: Annotated[Integer, Field(gt=0)] | None = None
    """Only low, low + step, low + 2 step, … up to high, if given."""
    default: Integer | None = None
    """A value to try in the first trial."""

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            low: int,
            high: int,
            *,
            scale: Scale = ...,
            step: int | None = ...,
            default: int | None = ...,
            when: When | None = ...,
            description: str | None = ...,
            kind: Literal["int"] = ...,
        ) -> None: ...


class Discrete(_Parameter):
    """One of a list of numbers whose order and distance mean something, such as batch sizes."""

    positional: ClassVar = ("name", "values")

    kind: Literal["discrete"] = "discrete"
    values: Annotated[tuple[Numeric, ...], Field(min_length=1, max_length=MAX_CHOICES)]
    """The allowed numbers, strictly increasing; whole numbers stay whole."""
    scale: Scale = "linear"
    """How distances between the values are measured."""
    default: Numeric | None = None
    """A value to try in the first trial; one of `values`."""

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            values: Sequence[float],
            *,
            scale: Scale = ...,
            default: float | None = ...,
            when: When | None = ...,
            description: str | None = ...,
            kind: Literal["discrete"] = ...,
        ) -> None: ...

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        values = fields.get("values")
        if not values or not all(isinstance(value, (int, float)) and abs(value) < math.inf for value in values):
            return
        if any(b <= a for a, b in pairwise(values)):
            yield Flaw(f"must be strictly increasing; sorted they are {short(sorted(set(values)))}", "values")
        elif fields.get("scale") == "log" and values[0] <= 0:
            yield Flaw(f"a log scale needs values > 0, not {values[0]!r}", "scale")
        elif fields.get("scale") == "reverse_log" and not (values[0] > 0 or (values[0] >= 0 and values[-1] < 1)):
            yield Flaw("a reverse_log scale needs values > 0, or all of them in [0, 1)", "scale")
        default = fields.get("default")
        if default is not None and default not in values:
            yield Flaw(f"must be one of {short(list(values))}, not {short(default)}", "default")


class Categorical(_Parameter):
    """One of a list of values without order. Their types are kept: True, 1, 1.0 and "1" may stand side by side."""

    positional: ClassVar = ("name", "choices")

    kind: Literal["categorical"] = "categorical"
    choices: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=MAX_CHOICES)]
    """The allowed values: text, numbers or booleans, all different."""
    default: Scalar | None = None
    """A value to try in the first trial; one of `choices`."""

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            choices: Sequence[Any],
            *,
            default: Any = ...,
            when: When | None = ...,
            description: str | None = ...,
            kind: Literal["categorical"] = ...,
        ) -> None: ...

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        choices = fields.get("choices") or ()
        seen = set()
        for index, choice in enumerate(choices):
            if not isinstance(choice, (str, bool, int, float)):
                return  # reported by itself
            if (type(choice), choice) in seen:
                yield Flaw(f"{short(choice)} is listed twice", "choices", index)
            seen.add((type(choice), choice))
        default = fields.get("default")
        if default is not None and choices and (type(default), default) not in seen:
            yield Flaw(f"must be one of {short(list(choices))}, not {short(default)}", "default")


Parameter: TypeAlias = Annotated[Float | Int | Discrete | Categorical, Field(discriminator="kind")]
"""Any parameter, told apart by `kind`."""


def allowed(parameter: Float | Int | Discrete | Categorical, value: Any) -> bool:
    """Whether `value` is one that `parameter` can take. Steps are compared within one part in 10^9."""
    match parameter:
        case Categorical():
            return any(type(choice) is type(value) and choice == value for choice in parameter.choices)
        case Discrete():
            return not isinstance(value, (bool, str)) and value in parameter.values
        case Int() | Float():
            return _in_range(parameter, value)


def _in_range(parameter: Float | Int, value: Any) -> bool:
    if isinstance(value, (bool, str)) or not parameter.low <= value <= parameter.high:
        return False
    if isinstance(parameter, Int) and value != int(value):
        return False
    if parameter.step is None:
        return True
    steps = (value - parameter.low) / parameter.step
    return bool(abs(steps - round(steps)) <= 1e-9 * max(1.0, abs(steps)))


def parents_first(parameters: Sequence[Parameter]) -> list[Parameter]:
    """The parameters as written, except that each follows those that its condition names."""
    ordered: dict[int, Parameter] = {}

    def place(index: int) -> None:
        condition = parameters[index].when
        for other, parent in enumerate(parameters if condition else ()):
            if condition and parent.name == condition.parameter and other not in ordered:
                place(other)
        ordered.setdefault(index, parameters[index])

    for index in range(len(parameters)):
        place(index)
    return list(ordered.values())
