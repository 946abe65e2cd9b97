"""The search space as a unit cube: one coordinate per parameter, and every point of the cube is a legal trial."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tuneport.errors import Problem, SearchError
from tuneport.model.parameters import Categorical, allowed, parents_first
from tuneport.model.study import AnyParameter
from tuneport.model.word import Scalar, did_you_mean, pointer
from tuneport.search.dimensions import Array, Finite, dimension_of

Key: TypeAlias = frozenset[tuple[str, type, Scalar]]
"""What makes two points the same: names, types and values, so that True, 1 and 1.0 differ."""


@dataclass(frozen=True, slots=True)
class _Branches:
    """How many points hang below each value of a finite parameter.

    Attributes:
        dimension: the parameter.
        below: cell to number of points of the parameters that this value switches on; every other cell has 1.
        total: the sum over all cells.
    """

    dimension: Finite
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


def _branches(dimension: Finite, children: Iterable[tuple[_Branches | None, Sequence[float]]]) -> _Branches | None:
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
        self.dimensions = tuple(dimension_of(parameter) for parameter in parents_first(parameters))
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

    def cube(self, points: Iterable[Mapping[str, Scalar]]) -> Array:
        """The points of the cube for legal trials, shape (n, d); see `encode`."""
        return np.reshape([self.encode(parameters) for parameters in points], (-1, len(self)))

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
            if isinstance(dimension, Finite):
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
