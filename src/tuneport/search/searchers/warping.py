"""Losses brought to a shape that a Gaussian process can follow."""

from __future__ import annotations

import math

import numpy as np

from tuneport.search.space import Array


def warped(losses: Array) -> Array:
    """Losses with their order kept, mean 0 and variance 1, without outliers on the bad side.

    The better half keeps its distances. The worse half is spread like the upper half of a normal distribution, by rank
    (half-rank warping, Song et al. 2024, "The Vizier Gaussian Process Bandit Algorithm"): how bad the bad ones are, and
    whether it is 10 or 1e300, teaches nothing about where the best is.

    Args:
        losses: finite, shape (n,), n at least 1.
    """
    from scipy.special import ndtri  # noqa: PLC0415 - heavy

    scaled = losses / max(np.abs(losses).max(), np.finfo(float).tiny)
    offset = scaled - np.median(scaled)
    better = offset[offset <= 0]
    spread = math.sqrt(float((better**2).mean())) or 1.0
    ranks = (np.searchsorted(np.sort(losses), losses) + np.searchsorted(np.sort(losses), losses, side="right")) / 2
    out = np.where(offset <= 0, offset / spread, ndtri(ranks / len(losses)))
    deviation = float(out.std())
    return np.asarray((out - out.mean()) / (deviation if deviation > 0 else 1.0))
