"""Densities over one coordinate of the unit cube, estimated from a few points (Parzen 1962)."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tuneport.model.parameters import Categorical
from tuneport.search.space import Array, Dimension


class Density(Protocol):
    """A probability density over [0, 1]."""

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (count,)."""
        ...

    def log(self, u: Array) -> Array:
        """The logarithm of the density at the cells of `u`, up to a factor that is the same for all densities."""
        ...


def density(dimension: Dimension, u: Array) -> Density:
    """What points of one parameter say about where it tends to be.

    Args:
        dimension: the parameter.
        u: its coordinates in some trials, shape (n,); NaN, where it was inactive, is left out.
    """
    points = u[~np.isnan(u)]
    if isinstance(dimension.parameter, Categorical):
        return _Histogram(dimension, points)
    return _Mixture(dimension, points)


class _Histogram:
    """Frequencies of choices, with one more of each spread evenly."""

    def __init__(self, dimension: Dimension, points: Array) -> None:
        self._dimension = dimension
        count = dimension.count or 1
        seen = np.bincount(dimension.code(points).astype(np.intp), minlength=count)
        self._shares = (seen + 1) / (len(points) + count)

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        choices = len(self._shares)
        return (rng.choice(choices, size=count, p=self._shares) + 0.5) / choices

    def log(self, u: Array) -> Array:
        return np.asarray(np.log(self._shares[self._dimension.code(u).astype(np.intp)]))


class _Mixture:
    """Normal distributions around the points and a wide one around the middle, all cut off at 0 and 1.

    The width of each is its distance to the farther of its two neighbours (Bergstra et al. 2011), but not below
    1 / (1 + number of points) or a hundredth.
    """

    def __init__(self, dimension: Dimension, points: Array) -> None:
        from scipy.special import ndtr  # noqa: PLC0415 - not needed before there is evidence

        self._dimension = dimension
        self._ndtr = ndtr
        self._centres = np.append(points, 0.5)
        self._widths = np.append(_neighbourly(self._centres)[:-1], 1.0)
        self._below = ndtr(-self._centres / self._widths)
        self._inside = ndtr((1 - self._centres) / self._widths) - self._below

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        from scipy.special import ndtri  # noqa: PLC0415 - not needed before there is evidence

        which = rng.integers(len(self._centres), size=count)
        levels = self._below[which] + rng.random(count) * self._inside[which]
        return self._dimension.snap(np.asarray(self._centres[which] + self._widths[which] * ndtri(levels)))

    def log(self, u: Array) -> Array:
        left, right = (self._standard(edge) for edge in self._dimension.cell(u))
        if self._dimension.count is None:
            weights = np.exp(-0.5 * left**2) / self._widths
        else:
            weights = self._ndtr(right) - self._ndtr(left)
        return np.asarray(np.log((weights / self._inside).mean(axis=1)))

    def _standard(self, u: Array) -> Array:
        """Distance to each centre in units of its width, shape (len(u), number of centres)."""
        return np.asarray((u[:, None] - self._centres) / self._widths)


def _neighbourly(points: Array) -> Array:
    """The distance of each point to the farther of its neighbours, within limits."""
    order = np.argsort(points, kind="stable")
    gaps = np.diff(points[order], prepend=points[order[0]], append=points[order[-1]])
    widths = np.empty(len(points))
    widths[order] = np.maximum(gaps[:-1], gaps[1:])
    return np.clip(widths, 1 / min(100, len(points)), 1.0)
