"""Scales bent by the distribution function of Kumaraswamy (1980), after Snoek et al. 2014, "Input Warping"."""

from __future__ import annotations

import numpy as np

from tuneport.search.dimensions import Array

SHAPES = ((0.5, 1.0), (2.0, 1.0), (1.0, 0.5), (1.0, 2.0))
"""The bends that are tried: finer near the lower end, coarser there, and the same of the upper end."""
_EDGE = 1e-4
"""How near an end slopes are taken at most; some have no end there."""


def straight(columns: int) -> Array:
    """Exponents that bend nothing, shape (columns, 2)."""
    return np.ones((columns, 2))


def bent(features: Array, exponents: Array) -> Array:
    """Columns x in [0, 1] as 1 - (1 - x ** a) ** b; those with exponents of 1 as they are.

    Args:
        features: shape (n, columns).
        exponents: a and b of each column, shape (columns, 2).
    """
    columns = _curved(exponents)
    if not len(columns):
        return features
    a, b = exponents[columns].T
    out = features.copy()
    out[:, columns] = 1 - (1 - np.clip(features[:, columns], 0, 1) ** a) ** b
    return out


def stretch(features: Array, exponents: Array) -> Array:
    """The derivatives of `bent` by the columns, shape (n, columns)."""
    out = np.ones(features.shape)
    columns = _curved(exponents)
    a, b = exponents[columns].T
    x = np.clip(features[:, columns], _EDGE, 1 - _EDGE)
    out[:, columns] = a * b * x ** (a - 1) * (1 - x**a) ** (b - 1)
    return out


def _curved(exponents: Array) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.flatnonzero((exponents != 1).any(axis=1))
