"""The search space as a unit cube: one coordinate per parameter, and every point of the cube is a legal trial.

A finite parameter cuts its edge of the cube into cells, one per value. Whole, stepped and listed values on a linear
scale get cells of equal width, so that the ends are as likely as the middle; on a log scale a cell reaches half-way, in
the logarithm, to its neighbours.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tuneport.errors import Problem, SearchError
from tuneport.model.parameters import Categorical, Discrete, Float, Int, Scale, allowed, parents_first
from tuneport.model.study import AnyParameter
from tuneport.model.word import Scalar, did_you_mean, pointer, same

Array: TypeAlias = npt.NDArray[np.float64]
Key: TypeAlias = frozenset[tuple[str, type, Scalar]]
"""What makes two points the same: names, types and values, so that True, 1 and 1.0 differ."""

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


class _Finite(Dimension):
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
        return np.clip(np.floor(u * self.count), 0, self.count - 1)

    def snap(self, u: Array) -> Array:
        return self.middle(self.code(u))

    def value(self, u: float) -> Scalar:
        return self.at(int(self.code(np.asarray(u))))

    def coordinate(self, value: Any) -> float:
        return float(self.middle(np.asarray(self.find(value), dtype=float)))

    def typed(self, value: Any) -> Scalar:
        return self.at(self.find(value))

    def cell(self, u: Array) -> tuple[Array, Array]:
        index = self.code(u)
        return self.left(index), self.left(index + 1)

    def middle(self, code: Array) -> Array:
        return (self.left(code) + self.left(code + 1)) / 2


class _Listed(_Finite):
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


class _Stepped(_Finite):
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


def _dimension(parameter: AnyParameter) -> Dimension:
    match parameter:
        case Categorical() | Discrete():
            return _Listed(parameter)
        case Float(step=None) if parameter.low < parameter.high:
            return _Continuous(parameter)
        case _ if parameter.scale in {"log", "reverse_log"} and _steps(parameter) > 0:
            return _Warped(parameter)
        case _:
            return _Stepped(parameter)


@dataclass(frozen=True, slots=True)
class _Branches:
    """How many points hang below each value of a finite parameter.

    Attributes:
        dimension: the parameter.
        below: cell to number of points of the parameters that this value switches on; every other cell has 1.
        total: the sum over all cells.
    """

    dimension: _Finite
    below: Mapping[int, int]
    total: int

    def locate(self, rank: int) -> tuple[int, int, int]:
        """The cell that holds the `rank`-th point, the number of points before the cell, and that within it."""
        cell = before = 0
        for special, points in sorted(self.below.items()):
            plain = special - cell
            if rank < before + plain:
                break
            before += plain
            if rank < before + points:
                return special, before, points
            before += points
            cell = special + 1
        return cell + rank - before, rank, 1


def _branches(dimension: _Finite, children: Iterable[tuple[_Branches | None, Sequence[float]]]) -> _Branches | None:
    """The branches of a parameter, given those of the parameters below it and the cells that switch them on."""
    below: dict[int, int] = {}
    for child, codes in children:
        if codes and child is None:
            return None
        for cell in map(int, codes):
            below[cell] = below.get(cell, 1) * (child.total if child else 1)
    return _Branches(dimension, below, dimension.count - len(below) + sum(below.values()))


class Space:
    """All parameters of a study together.

    Coordinates are in the order in which the parameters are written, except that a parent always comes before what
    depends on it. A name that occurs in several branches has a coordinate for each.

    Attributes:
        dimensions: one per parameter, in the order of the coordinates.
        size: number of different points, counting active parameters only; None if there is no end of them.
    """

    def __init__(self, parameters: Sequence[AnyParameter]) -> None:
        self.dimensions = tuple(_dimension(parameter) for parameter in parents_first(parameters))
        self._parents = [self._conditions(dimension.parameter) for dimension in self.dimensions]
        self._branches = self._counted()
        self.size = self._total()

    def __len__(self) -> int:
        return len(self.dimensions)

    def active(self, cube: Array) -> npt.NDArray[np.bool_]:
        """Which parameters exist, for each point.

        Args:
            cube: points in [0, 1], shape (n, d); coordinates of inactive parameters do not matter and may be NaN.

        Returns:
            shape (n, d).
        """
        active = np.ones(cube.shape, dtype=bool)
        for index, parents in enumerate(self._parents):
            if parents is not None:
                active[:, index] = False
            for parent, codes in parents or ():
                fits = np.isin(self.dimensions[parent].code(cube[:, parent]), codes)
                active[:, index] |= active[:, parent] & fits
        return active

    def snap(self, cube: Array) -> Array:
        """The one vector that stands for each point: middles of cells, and NaN where a parameter is inactive."""
        columns = [dimension.snap(cube[:, index]) for index, dimension in enumerate(self.dimensions)]
        return np.where(self.active(cube), np.stack(columns, axis=1), np.nan)

    def centre(self, rng: np.random.Generator) -> Array:
        """The middle of every scale, shape (d,); choices have none, and are drawn."""
        unordered = [isinstance(one.parameter, Categorical) for one in self.dimensions]
        return np.where(unordered, rng.random(len(self)), 0.5)

    def decode(self, vector: Array) -> dict[str, Scalar]:
        """The trial at a point of the cube.

        Args:
            vector: shape (d,), in [0, 1]; NaN only where a parameter is inactive.

        Returns:
            the active parameters with values of their own types, in the order of the coordinates.
        """
        active = self.active(vector[None])[0]
        return {
            dimension.parameter.name: dimension.value(float(u))
            for dimension, u, on in zip(self.dimensions, vector, active, strict=True)
            if on
        }

    def encode(self, parameters: Mapping[str, Scalar]) -> Array:
        """The point of the cube for a legal trial, shape (d,); NaN for inactive parameters."""
        vector = np.full(len(self), np.nan)
        for index, dimension in enumerate(self.dimensions):
            if _exists(dimension.parameter, parameters):
                vector[index] = dimension.coordinate(parameters[dimension.parameter.name])
        return vector

    def legal(self, parameters: Mapping[str, Any]) -> dict[str, Scalar]:
        """A trial that somebody wrote by hand, with every value brought to its parameter's own type.

        Raises:
            SearchError: with every value that is not allowed, and every name that is missing or has no place here.
        """
        given = {name: value.item() if isinstance(value, np.generic) else value for name, value in parameters.items()}
        problems: list[Problem] = []
        clean: dict[str, Scalar] = {}
        for dimension in self.dimensions:
            parameter = dimension.parameter
            if not _exists(parameter, clean):
                continue
            value = given.get(parameter.name)
            if value is None:
                problems.append(Problem(pointer([parameter.name]), "required, but missing"))
            elif not isinstance(value, (str, bool, int, float)) or not allowed(parameter, value):
                problems.append(Problem(pointer([parameter.name]), f"cannot be {value!r}"))
            else:
                clean[parameter.name] = dimension.typed(value)
        problems += self._strangers(given, clean, problems)
        if problems:
            raise SearchError("these parameters are no point of the search space", problems=problems)
        return clean

    def adopted(self, parameters: Mapping[str, Any]) -> dict[str, Scalar] | None:
        """A trial of another space as one of this space; None if it is none.

        Parameters that this space does not have are left out, and those that the trial lacks take their defaults.
        """
        point: dict[str, Any] = {}
        for dimension in self.dimensions:
            parameter = dimension.parameter
            if _exists(parameter, point):
                point[parameter.name] = parameters.get(parameter.name, parameter.default)
        try:
            return self.legal(point)
        except SearchError:
            return None

    def point(self, rank: int) -> dict[str, Scalar]:
        """The `rank`-th point of a finite space, from 0, in the order of the coordinates with the last one fastest.

        Raises:
            IndexError: the space has no such point.
        """
        if self.size is None or not 0 <= rank < self.size:
            msg = f"no point {rank} in a space of {self.size}"
            raise IndexError(msg)
        chosen: dict[int, int] = {}
        parameters: dict[str, Scalar] = {}
        within = self.size  # points that share all values chosen so far; `rank` counts among them
        for index, branches in enumerate(self._branches):
            if branches is None or not self._switched_on(index, chosen):
                continue
            tail = within // branches.total
            chosen[index], before, below = branches.locate(rank // tail)
            rank -= before * tail
            within = below * tail
            parameters[branches.dimension.parameter.name] = branches.dimension.at(chosen[index])
        return parameters

    def points(self) -> Iterator[dict[str, Scalar]]:
        """All points of a finite space, made one by one as they are needed."""
        return (self.point(rank) for rank in range(self.size or 0))

    @staticmethod
    def key(parameters: Mapping[str, Scalar]) -> Key:
        """What is equal for equal points only."""
        return frozenset((name, type(value), value) for name, value in parameters.items())

    def _conditions(self, parameter: AnyParameter) -> list[tuple[int, Sequence[float]]] | None:
        """Each coordinate that can switch the parameter on, with the codes that do; None: it always exists."""
        condition = parameter.when
        if condition is None:
            return None
        return [
            (index, parent.codes(condition.values))
            for index, parent in enumerate(self.dimensions)
            if parent.parameter.name == condition.parameter
        ]

    def _switched_on(self, index: int, chosen: Mapping[int, int]) -> bool:
        parents = self._parents[index]
        return parents is None or any(chosen.get(parent) in codes for parent, codes in parents)

    def _counted(self) -> list[_Branches | None]:
        """Per dimension, the number of points of itself and all below it; None where that is infinite."""
        children: dict[int, list[tuple[int, Sequence[float]]]] = defaultdict(list)
        for index, parents in enumerate(self._parents):
            for parent, codes in parents or ():
                children[parent].append((index, codes))
        counted: list[_Branches | None] = [None] * len(self)
        for index, dimension in reversed(list(enumerate(self.dimensions))):
            if isinstance(dimension, _Finite):
                counted[index] = _branches(dimension, [(counted[child], codes) for child, codes in children[index]])
        return counted

    def _total(self) -> int | None:
        total = 1
        for branches, parents in zip(self._branches, self._parents, strict=True):
            if parents is not None:
                continue
            if branches is None:
                return None
            total *= branches.total
        return total

    def _strangers(
        self, given: Mapping[str, Any], clean: Mapping[str, Scalar], problems: Sequence[Problem]
    ) -> Iterator[Problem]:
        """Names that are no parameter, or none under these conditions, unless that is already explained."""
        known = [dimension.parameter.name for dimension in self.dimensions]
        reported = {problem.pointer for problem in problems}
        for name in given:
            if name not in known:
                yield Problem(pointer([name]), "is no parameter", did_you_mean(name, known))
            elif name not in clean and pointer([name]) not in reported:
                yield Problem(pointer([name]), "does not exist under these conditions")


def _exists(parameter: AnyParameter, values: Mapping[str, Any]) -> bool:
    return parameter.when is None or parameter.when.holds(values)
