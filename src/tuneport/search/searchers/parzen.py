"""A density over the space estimated from a few points (Parzen 1962), with conditions and all kinds of parameters."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tuneport.model.parameters import Categorical
from tuneport.search.dimensions import Array, Dimension
from tuneport.search.space import Space


class Parzen:
    """A mixture with a kernel around each point and one for everywhere, all of the same weight.

    A kernel is a product over parameters; along those that its point does not have it is the one for everywhere.

    Args:
        space: the search space.
        cube: snapped points, shape (n, d); NaN for inactive parameters.
    """

    def __init__(self, space: Space, cube: Array) -> None:
        self._space = space
        self._kernels = len(cube) + 1
        self._sides = [_side(dimension, cube[:, index]) for index, dimension in enumerate(space.dimensions)]

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Independent draws as snapped points, shape (count, d)."""
        which = rng.integers(self._kernels, size=count)
        return self._space.snap(np.stack([side.draw(which, rng) for side in self._sides], axis=1))

    def log(self, cube: Array) -> Array:
        """The logarithm of the density at snapped points, shape (m,), up to a factor that all densities share."""
        logs = np.zeros((len(cube), self._kernels))
        for u, side in zip(cube.T, self._sides, strict=True):
            active = ~np.isnan(u)
            logs[active] += side.log(u[active])
        return np.asarray(np.logaddexp.reduce(logs, axis=1) - np.log(self._kernels))


class _Side(Protocol):
    """All kernels along one parameter."""

    def draw(self, which: np.ndarray[tuple[int], np.dtype[np.intp]], rng: np.random.Generator) -> Array:
        """A coordinate from each of the kernels `which`."""
        ...

    def log(self, u: Array) -> Array:
        """The logarithm of each kernel at each coordinate, shape (len(u), kernels)."""
        ...


def _side(dimension: Dimension, u: Array) -> _Side:
    return (_Choices if isinstance(dimension.parameter, Categorical) else _Normals)(dimension, u)


class _Choices:
    """Kernels over choices: the point's own choice, with one part of all kernels spread evenly over all choices."""

    def __init__(self, dimension: Dimension, u: Array) -> None:
        self._dimension = dimension
        choices = dimension.count or 1
        own = dimension.code(np.append(u, np.nan))[:, None] == np.arange(choices)
        shares = own + 1 / (len(own) * choices)
        self._shares = shares / shares.sum(axis=1, keepdims=True)

    def draw(self, which: np.ndarray[tuple[int], np.dtype[np.intp]], rng: np.random.Generator) -> Array:
        passed = np.cumsum(self._shares[which], axis=1) < rng.random((len(which), 1))
        return np.asarray((passed.sum(axis=1) + 0.5) / self._shares.shape[1])

    def log(self, u: Array) -> Array:
        return np.asarray(np.log(self._shares.T[self._dimension.code(u).astype(np.intp)]))


class _Normals:
    """Normal distributions, cut off at 0 and 1.

    Each is as wide as it is far from the farther of its two neighbours (Bergstra et al. 2011), but not below
    1 / (1 + number of kernels) or a hundredth. That for everywhere has its middle at 0.5 and width 1.
    """

    def __init__(self, dimension: Dimension, u: Array) -> None:
        from scipy.special import ndtr  # noqa: PLC0415 - not needed before there is evidence

        self._dimension = dimension
        self._ndtr = ndtr
        active = np.append(~np.isnan(u), False)
        self._centres = np.where(active, np.append(u, 0.5), 0.5)
        self._widths = np.ones(len(active))
        self._widths[active] = np.clip(_gaps(self._centres[active]), 1 / min(100, 1 + len(active)), 1)
        self._below = ndtr(-self._centres / self._widths)
        self._inside = ndtr((1 - self._centres) / self._widths) - self._below

    def draw(self, which: np.ndarray[tuple[int], np.dtype[np.intp]], rng: np.random.Generator) -> Array:
        from scipy.special import ndtri  # noqa: PLC0415 - not needed before there is evidence

        levels = self._below[which] + rng.random(len(which)) * self._inside[which]
        return np.asarray(self._centres[which] + self._widths[which] * ndtri(levels))

    def log(self, u: Array) -> Array:
        left, right = ((edge[:, None] - self._centres) / self._widths for edge in self._dimension.cell(u))
        if self._dimension.count is None:
            return np.asarray(-0.5 * left**2 - np.log(self._widths * self._inside))
        masses = self._ndtr(right) - self._ndtr(left)
        return np.asarray(np.log(np.maximum(masses, np.finfo(float).tiny) / self._inside))


def _gaps(points: Array) -> Array:
    """How far each point is from the farther of its neighbours; the only neighbour of one alone is an end of [0, 1]."""
    order = np.argsort(points, kind="stable")
    low, high = (points.min(), points.max()) if len(points) > 1 else (0.0, 1.0)
    steps = np.diff(points[order], prepend=low, append=high)
    widths = np.empty(len(points))
    widths[order] = np.maximum(steps[:-1], steps[1:])
    return widths
