"""How much a point may be expected to improve on the best, as a logarithm that does not vanish (Ament et al. 2023)."""

from __future__ import annotations

import math

import numpy as np

from tuneport.search.dimensions import Array

_ROOT_TAU = math.log(2 * math.pi) / 2
_FAR = -1e3
"""Below this the series is more exact than the closed form, in which two numbers near 1 are subtracted."""


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """The logarithm of E[max(best - f, 0)] for normal f.

    Args:
        mean: of f, shape (n,).
        deviation: its standard deviation, above 0, shape (n,).
        best: the value to fall below.
    """
    return log_gain((best - mean) / deviation) + np.log(deviation)


def improvement_slopes(mean: Array, deviation: Array, best: float) -> tuple[Array, Array]:
    """The derivatives of `log_expected_improvement` by the mean and by the standard deviation, shape (n,) each."""
    from scipy.special import log_ndtr  # noqa: PLC0415 - heavy

    z = (best - mean) / deviation
    rise = np.exp(log_ndtr(z) - log_gain(z))  # d log_gain / dz
    return -rise / deviation, (1 - rise * z) / deviation


def log_gain(z: Array) -> Array:
    """The logarithm of E[max(z + x, 0)] for standard normal x, to about ten digits for z from -1e100 to 1e100."""
    from scipy.special import erfcx, ndtr  # noqa: PLC0415 - heavy

    near, middle = np.maximum(z, -1.0), np.clip(z, _FAR, -1.0)
    far = np.minimum(z, _FAR)
    return np.where(
        z > -1,
        np.log(np.exp(-(near**2) / 2 - _ROOT_TAU) + near * ndtr(near)),
        np.where(
            z > _FAR,
            -(middle**2) / 2 - _ROOT_TAU + np.log1p(middle * math.sqrt(math.pi / 2) * erfcx(-middle / math.sqrt(2))),
            -(far**2) / 2 - _ROOT_TAU - 2 * np.log(-far) + np.log1p(-3 / far**2),
        ),
    )
