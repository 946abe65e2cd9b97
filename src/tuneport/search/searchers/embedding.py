"""Points of the unit cube as features between which a kernel can measure distances."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tuneport.model.parameters import Categorical
from tuneport.search.dimensions import Array, Dimension
from tuneport.search.space import Space


class Embedding:
    """Gives every parameter a few columns in which any two of its values are at most about 1 apart.

    Numbers have one column, their place on their scale. A choice has a column per value, so that all pairs of values
    are 1 apart. A number that exists only under a condition lies on an arc of radius 1 around the point that stands for
    "inactive", so that it is equally far from all values (after Swersky et al. 2013) and no value had to be made up.

    Attributes:
        parameters: how many vary.
        groups: for each column, the index of its parameter among those that vary; shape (columns,).
        scales: for each column, whether it is a place on a scale, from 0 to 1; shape (columns,).
    """

    def __init__(self, space: Space) -> None:
        self._varying = [(index, one) for index, one in enumerate(space.dimensions) if one.count != 1]
        widths = [_columns(dimension, np.zeros(1)).shape[1] for _, dimension in self._varying]
        self.parameters = len(widths)
        self.groups: npt.NDArray[np.intp] = np.repeat(np.arange(len(widths)), widths)
        plain = [one.parameter.when is None and not isinstance(one.parameter, Categorical) for _, one in self._varying]
        self.scales: npt.NDArray[np.bool_] = np.repeat(np.array(plain, dtype=bool), widths)
        ends = np.cumsum(widths, dtype=int).tolist()
        parts = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
        moving = [(*one, part) for one, part in zip(self._varying, parts, strict=True) if one[1].fine]
        self._fine: Sequence[tuple[int, Dimension, slice]] = moving

    def __call__(self, cube: Array) -> Array:
        """The features of points, shape (n, columns), from their snapped vectors, shape (n, d)."""
        columns = [_columns(dimension, cube[:, index]) for index, dimension in self._varying]
        return np.concatenate([np.empty((len(cube), 0)), *columns], axis=1)

    def moved(self, features: Array, cube: Array) -> Array:
        """Features of points of which the fine parameters alone have changed, shape (n, columns).

        Args:
            features: what they were, shape (n, columns).
            cube: the points as they are now, shape (n, d).
        """
        out = features.copy()
        for index, dimension, part in self._fine:
            out[:, part] = _columns(dimension, cube[:, index])
        return out

    def pull(self, cube: Array, gradient: Array) -> Array:
        """Gradients by features, shape (n, columns), as gradients by the coordinates of fine parameters.

        Returns:
            shape (n, d); 0 for all other parameters and for inactive ones.
        """
        out = np.zeros(cube.shape)
        for index, dimension, part in self._fine:
            columns, angle = gradient[:, part], cube[:, index] - 0.5
            plain = dimension.parameter.when is None
            along = columns[:, 0] if plain else (columns * _arc(angle)[:, ::-1] * (1, -1)).sum(axis=1)
            out[:, index] = np.where(np.isnan(angle), 0.0, along)
        return out


def _columns(dimension: Dimension, u: Array) -> Array:
    if isinstance(dimension.parameter, Categorical):
        return np.asarray((dimension.code(u)[:, None] == np.arange(dimension.count or 0)) / math.sqrt(2))
    place = dimension.place(u)
    if dimension.parameter.when is None:
        return place[:, None]
    angle = place - 0.5
    return np.where(np.isnan(u)[:, None], 0.0, _arc(angle))


def _arc(angle: Array) -> Array:
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)
