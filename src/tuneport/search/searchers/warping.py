"""Losses brought to a shape that a Gaussian process can follow."""

from __future__ import annotations

import numpy as np

from tuneport.search.dimensions import Array

_POWERS = np.linspace(-3.0, 5.0, 81)
"""What is tried as the power of the transform; 1 changes nothing, less draws large losses together."""
_EPSILON = 1e-9
_ENOUGH = 200
"""Quantiles from which the power is chosen, where there are more losses."""
_FAR = 30.0
"""A loss this many times farther from the best than half of the losses are is as bad as any."""
_ABSURD = 100.0
"""And this many times farther, and larger by as much than half of them are, it is none: something went wrong."""
_ROUNDING = 1e-12
"""Losses are the same whose difference is this share of them, as 1 less a mean over folds is in whatever order."""


def warped(losses: Array) -> Array:
    """Losses with their order kept, mean 0 and variance 1, as near to normal as a power brings them.

    The power of Yeo and Johnson (2000) with the largest likelihood: losses that grow without bound in some corner, or
    accuracies that crowd below 1, then fill the scale evenly. Far outliers on the bad side are all the same: whether a
    trial that went wrong says 1e3 or 1e300 teaches nothing about where the best is.

    Args:
        losses: finite, shape (n,), n at least 1.
    """
    z = standard(np.minimum(losses, _fence(losses, _FAR)))
    return standard(_transformed(z, _likeliest_power(z)))


def _likeliest_power(z: Array) -> float:
    """The power after which values resemble a normal distribution most, by their likelihood."""
    if len(z) > _ENOUGH:
        z = np.sort(z)[np.linspace(0, len(z) - 1, _ENOUGH).astype(np.intp)]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        spread = np.log(_transformed(z, _POWERS[:, None]).var(axis=1))
        likelihood = (_POWERS - 1) * (np.sign(z) * np.log1p(np.abs(z))).sum() - len(z) / 2 * spread
    likely = np.isfinite(likelihood)
    return float(_POWERS[np.argmax(np.where(likely, likelihood, -np.inf))]) if likely.any() else 1.0


def _transformed(z: Array, power: float | Array) -> Array:
    """The transform of Yeo and Johnson: (|z| + 1) ** power - 1, over power, and with 2 - power for values below 0."""
    size, sign = np.log1p(np.abs(z)), np.where(z < 0, -1.0, 1.0)
    own = np.where(z < 0, 2 - power, power)
    flat = np.abs(own) < _EPSILON
    divisor = np.where(flat, 1.0, own)
    return np.asarray(sign * np.where(flat, size, np.expm1(divisor * size) / divisor))


def sensible(losses: Array) -> Array:
    """Losses, NaN for those so far out that something must have gone wrong; shape (n,), NaN where there is none.

    By their distance alone this could not be told: a search that has come to a plateau has nearly all its losses there,
    and any other place is many times farther from the best than half of them are. So they must be large as well, which
    says nothing of a plateau at about 0.
    """
    known = losses[np.isfinite(losses)]
    if not len(known):
        return losses
    usual = 2 * abs(float(np.median(known / 2)))  # sums of 1e308 would overflow
    limit = max(_fence(known, _ABSURD), float(known.min()) + _ABSURD * usual)
    return np.where(np.isfinite(losses) & (losses <= limit), losses, np.nan)


def _fence(losses: Array, times: float) -> float:
    """So many times as far from the best as half of the losses are, or, if that is 0, as most of them are."""
    scaled = losses / 2  # differences of 1e308 would overflow
    best = float(scaled.min())
    for share in (0.5, 0.75, 0.9, 1.0):
        distance = float(np.quantile(scaled, share)) - best
        if distance > _rounding(best):
            return min(best + times * distance, float(scaled.max())) * 2
    return float(losses.max())


def nearly_best(losses: Array, share: float = 0.0) -> float:
    """Up to where losses are as good as the best, but for rounding, or but for a share of the way to their median.

    Args:
        losses: finite, shape (n,), n at least 1.
        share: from 0 to 1.
    """
    best = float(losses.min())
    way = float(np.median(losses / 2)) - best / 2  # differences of 1e308 would overflow
    return best + max(2 * share * way, _rounding(best))


def _rounding(loss: float) -> float:
    """How far from a loss others are the same."""
    return _ROUNDING * abs(loss)


def standard(values: Array) -> Array:
    """Values shifted and scaled to mean 0 and variance 1, or all 0 if they are all the same."""
    scaled = values / max(np.abs(values).max(), np.finfo(float).tiny)  # squares of 1e300 would overflow
    centred = scaled - scaled.mean()
    deviation = float(centred.std())
    return np.asarray(centred / deviation if deviation > 1e-15 else np.zeros(len(values)))
