"""One parameter as a coordinate in [0, 1], every place of which is a legal value.

A finite parameter cuts its edge of the cube into cells, one per value. Whole, stepped and listed values on a linear
scale get cells of equal width, so that the ends are as likely as the middle; on a log scale a cell reaches half-way, in
the logarithm, to its neighbours.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tuneport.model.parameters import Categorical, Discrete, Float, Int, Scale, allowed
from tuneport.model.study import AnyParameter
from tuneport.model.word import Scalar, same

Array: TypeAlias = npt.NDArray[np.float64]

_FINE = 1000
"""Steps beyond which equal steps are as good as a continuum."""
_TOLERANCE = Fraction(1, 10**9)
"""How far, relatively, the last step may lie above `high`, for bounds that were computed in binary."""


@dataclass(frozen=True, slots=True)
class _Warp:
    """A rising function under which a scale becomes even, and its inverse."""

    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]


_EVEN = _Warp(forward=lambda x: x, inverse=lambda t: t)


def _warp(scale: Scale, low: float, high: float) -> _Warp:
    if scale == "log":
        warp = _Warp(forward=np.log, inverse=np.exp)
    elif scale == "reverse_log" and low >= 0 and high < 1:
        warp = _Warp(forward=lambda x: -np.log1p(-x), inverse=lambda t: -np.expm1(-t))
    elif scale == "reverse_log":
        warp = _Warp(forward=lambda x: -np.log(low + (high - x)), inverse=lambda t: high - (np.exp(-t) - low))
    else:
        return _EVEN
    # Bounds may be so close that their logarithms are equal; then the scale does not matter either.
    ends = warp.forward(np.array([low, high]))
    return warp if ends[1] > ends[0] else _EVEN


class Dimension(ABC):
    """One parameter as a coordinate in [0, 1]. Arrays of coordinates have any shape.

    Attributes:
        parameter: the parameter that it stands for.
        count: number of its values; None if it is a continuum.
    """

    parameter: AnyParameter
    count: int | None

    @property
    def fine(self) -> bool:
        """Whether its values lie so close that a model may take them for a continuum."""
        return self.count is None

    @abstractmethod
    def value(self, u: float) -> Scalar:
        """The value at coordinate `u`, with the parameter's own type; `u` outside [0, 1] counts as the nearer end."""

    @abstractmethod
    def coordinate(self, value: Any) -> float:
        """The coordinate of a legal value: the middle of its cell, or its place on the continuum."""

    @abstractmethod
    def typed(self, value: Any) -> Scalar:
        """A legal value in the parameter's own type: 3.0 becomes the whole number 3."""

    @abstractmethod
    def snap(self, u: Array) -> Array:
        """Each coordinate moved to the middle of its cell, or into [0, 1] on a continuum."""

    @abstractmethod
    def cell(self, u: Array) -> tuple[Array, Array]:
        """The left and right ends of the cells of coordinates; twice the coordinate itself on a continuum."""

    @abstractmethod
    def code(self, u: Array) -> Array:
        """A number per coordinate that tells values apart: the cell's index, or the value itself."""

    @abstractmethod
    def middle(self, code: Array) -> Array:
        """The coordinate that stands for each code, as `snap` gives it."""

    @abstractmethod
    def codes(self, values: Iterable[Scalar]) -> Sequence[float]:
        """The codes of those of `values` that this parameter can take; compared like conditions are."""

    def place(self, u: Array) -> Array:
        """Where the values lie on the parameter's scale, in [0, 1], for models that measure distances."""
        return self.snap(u)


class _Continuous(Dimension):
    """A range of real numbers."""

    count = None

    def __init__(self, parameter: Float) -> None:
        self.parameter = parameter
        self._low, self._high = parameter.low, parameter.high
        self._warp = _warp(parameter.scale, self._low, self._high)
        self._start, end = self._warp.forward(np.array([self._low, self._high]))
        self._span = end - self._start

    def value(self, u: float) -> float:
        return float(self.code(np.asarray(u)))

    def coordinate(self, value: Any) -> float:
        return float(self.middle(np.asarray(value, dtype=float)))

    def typed(self, value: Any) -> float:
        return float(value)

    def cell(self, u: Array) -> tuple[Array, Array]:
        return u, u

    def snap(self, u: Array) -> Array:
        return np.clip(u, 0, 1)

    def code(self, u: Array) -> Array:
        return np.clip(self._warp.inverse(self._start + self.snap(u) * self._span), self._low, self._high)

    def middle(self, code: Array) -> Array:
        return np.asarray(np.clip((self._warp.forward(code) - self._start) / self._span, 0, 1))

    def codes(self, values: Iterable[Scalar]) -> Sequence[float]:
        return [float(value) for value in values if not isinstance(value, (str, bool))]


class Finite(Dimension):
    """A parameter with a known number of values, by default with cells of equal width."""

    count: int

    @abstractmethod
    def at(self, index: int) -> Scalar:
        """The value of a cell, counted from 0."""

    @abstractmethod
    def find(self, value: Any) -> int:
        """The cell of a legal value."""

    def left(self, index: Array) -> Array:
        """Coordinate of the left edge of a cell; that of cell `count` is 1."""
        return index / self.count

    def code(self, u: Array) -> Array:
        """See `Dimension.code`."""
        return np.clip(np.floor(u * self.count), 0, self.count - 1)

    def snap(self, u: Array) -> Array:
        """See `Dimension.snap`."""
        return self.middle(self.code(u))

    def value(self, u: float) -> Scalar:
        """See `Dimension.value`."""
        return self.at(int(self.code(np.asarray(u))))

    def coordinate(self, value: Any) -> float:
        """See `Dimension.coordinate`."""
        return float(self.middle(np.asarray(self.find(value), dtype=float)))

    def typed(self, value: Any) -> Scalar:
        """See `Dimension.typed`."""
        return self.at(self.find(value))

    def cell(self, u: Array) -> tuple[Array, Array]:
        """See `Dimension.cell`."""
        index = self.code(u)
        return self.left(index), self.left(index + 1)

    def middle(self, code: Array) -> Array:
        """See `Dimension.middle`."""
        return (self.left(code) + self.left(code + 1)) / 2


class _Listed(Finite):
    """Values written out one by one. Numbers lie on their scale; other choices have no order."""

    def __init__(self, parameter: Discrete | Categorical) -> None:
        self.parameter = parameter
        self._values = parameter.choices if isinstance(parameter, Categorical) else parameter.values
        self.count = len(self._values)
        self._index = {self._token(value): index for index, value in enumerate(self._values)}
        self._places = self._measured()

    def at(self, index: int) -> Scalar:
        return self._values[index]

    def find(self, value: Any) -> int:
        return self._index[self._token(value)]

    def codes(self, values: Iterable[Scalar]) -> Sequence[int]:
        wanted = list(values)
        return [index for index, own in enumerate(self._values) if any(same(own, value) for value in wanted)]

    def place(self, u: Array) -> Array:
        return self._places[np.nan_to_num(self.code(u)).astype(np.intp)]

    def _token(self, value: Any) -> Any:
        """Numbers are found by value, choices by type and value."""
        return (type(value), value) if isinstance(self.parameter, Categorical) else value

    def _measured(self) -> Array:
        if not isinstance(self.parameter, Discrete) or self.count == 1:
            return self.middle(np.arange(self.count, dtype=float))
        values = np.array(self._values, dtype=float)
        warped = _warp(self.parameter.scale, values[0], values[-1]).forward(values)
        return np.asarray((warped - warped[0]) / (warped[-1] - warped[0]))


class _Stepped(Finite):
    """Numbers at equal distances: low, low + step, … up to high."""

    parameter: Float | Int

    def __init__(self, parameter: Float | Int) -> None:
        self.parameter = parameter
        self._exact_low, self._exact_step = _exact(parameter.low), _exact(parameter.step or 1)
        self.count = _steps(parameter) + 1

    @property
    def fine(self) -> bool:
        return self.count > _FINE

    def at(self, index: int) -> int | float:
        exact = self._exact_low + index * self._exact_step
        return int(exact) if isinstance(self.parameter, Int) else min(float(exact), self.parameter.high)

    def find(self, value: Any) -> int:
        return min(max(round((_exact(value) - self._exact_low) / self._exact_step), 0), self.count - 1)

    def codes(self, values: Iterable[Scalar]) -> Sequence[int]:
        fitting = [value for value in values if allowed(self.parameter, value)]
        return sorted({self.find(value) for value in fitting if same(self.at(self.find(value)), value)})


class _Warped(_Stepped):
    """Stepped numbers on a logarithmic scale: a cell ends half-way, on that scale, to the next value."""

    def __init__(self, parameter: Float | Int) -> None:
        super().__init__(parameter)
        self._low, self._step = float(self._exact_low), float(self._exact_step)
        top = self._low + (self.count - 1) * self._step
        self._warp = _warp(parameter.scale, self._low, top)
        # The first and the last cell reach as far outwards as inwards.
        first, second, last_but_one, last = self._on_scale(np.array([0.0, 1.0, self.count - 2.0, self.count - 1.0]))
        self._start = first - (second - first) / 2
        self._span = last + (last - last_but_one) / 2 - self._start

    def left(self, index: Array) -> Array:
        edge = (self._on_scale(np.maximum(index - 1, 0)) + self._on_scale(np.minimum(index, self.count - 1))) / 2
        inside = (edge - self._start) / self._span
        return np.where(index <= 0, 0.0, np.where(index >= self.count, 1.0, inside))

    def code(self, u: Array) -> Array:
        below = np.floor((self._warp.inverse(self._start + u * self._span) - self._low) / self._step)
        below = np.clip(below, 0, self.count - 1)
        return np.asarray(np.clip(below + (u >= self.left(below + 1)), 0, self.count - 1))

    def _on_scale(self, index: Array) -> Array:
        return self._warp.forward(self._low + index * self._step)


def _exact(number: float) -> Fraction:
    """The number as it is written: 0.1 is a tenth, so that 0.1 + 2 * 0.1 is 0.3."""
    return Fraction(str(number))


def _steps(parameter: Float | Int) -> int:
    ratio = (_exact(parameter.high) - _exact(parameter.low)) / _exact(parameter.step or 1)
    slack = 0 if isinstance(parameter, Int) else _TOLERANCE * max(Fraction(1), ratio)
    return math.floor(ratio + slack)


def dimension_of(parameter: AnyParameter) -> Dimension:
    """The coordinate that stands for a parameter."""
    match parameter:
        case Categorical() | Discrete():
            return _Listed(parameter)
        case Float(step=None) if parameter.low < parameter.high:
            return _Continuous(parameter)
        case _ if parameter.scale in {"log", "reverse_log"} and _steps(parameter) > 0:
            return _Warped(parameter)
        case _:
            return _Stepped(parameter)
