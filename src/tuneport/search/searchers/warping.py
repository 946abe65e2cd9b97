"""Losses brought to a shape that a Gaussian process can follow."""

from __future__ import annotations

import numpy as np

from tuneport.search.space import Array

_POWERS = np.linspace(-3.0, 5.0, 81)[:, None]
"""What is tried as the power of the transform; 1 changes nothing, less draws large losses together."""
_EPSILON = 1e-9
_FAR = 30.0
"""A loss this many times farther from the best than half of the losses are is as bad as any."""


def warped(losses: Array) -> Array:
    """Losses with their order kept, mean 0 and variance 1, as near to normal as a power brings them.

    The power of Yeo and Johnson (2000) with the largest likelihood: losses that grow without bound in some corner, or
    accuracies that crowd below 1, then fill the scale evenly. Far outliers on the bad side are all the same: whether a
    trial that went wrong says 1e3 or 1e300 teaches nothing about where the best is.

    Args:
        losses: finite, shape (n,), n at least 1.
    """
    z = standard(np.minimum(losses, _fence(losses)))
    size = np.log1p(np.abs(z))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        candidates = np.where(z >= 0, _powered(size, _POWERS), -_powered(size, 2 - _POWERS))
        variances = candidates.var(axis=1)
        likelihood = (_POWERS[:, 0] - 1) * (np.sign(z) * size).sum() - len(z) / 2 * np.log(variances)
    likely = np.isfinite(likelihood)
    return standard(candidates[np.argmax(np.where(likely, likelihood, -np.inf))]) if likely.any() else z


def _fence(losses: Array) -> float:
    """From where on losses are all equally bad."""
    scaled = losses / 2  # differences of 1e308 would overflow
    for share in (0.5, 0.75, 0.9, 1.0):
        distance = float(np.quantile(scaled, share) - scaled.min())
        if distance > 0:
            return min(float(scaled.min() + _FAR * distance), float(scaled.max())) * 2
    return float(losses.max())


def standard(values: Array) -> Array:
    """Values shifted and scaled to mean 0 and variance 1, or all 0 if they are all the same."""
    scaled = values / max(np.abs(values).max(), np.finfo(float).tiny)  # squares of 1e300 would overflow
    centred = scaled - scaled.mean()
    deviation = float(centred.std())
    return np.asarray(centred / deviation if deviation > 1e-15 else np.zeros(len(values)))


def _powered(size: Array, power: Array) -> Array:
    """((1 + |z|) ** power - 1) / power for size = log(1 + |z|), and its limit at power 0."""
    nonzero = np.where(np.abs(power) < _EPSILON, 1.0, power)
    return np.where(np.abs(power) < _EPSILON, size, np.expm1(nonzero * size) / nonzero)
