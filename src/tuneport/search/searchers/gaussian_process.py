"""Gaussian-process regression with a Matern-5/2 kernel (Rasmussen and Williams 2006, chapters 2, 4 and 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuneport.search.space import Array

_JITTER = 1e-8
"""Added to the diagonal, relative to the amplitude, against rounding."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Covariance of function values, amplitude * matern52(distance), and of measurements, which adds noise.

    Attributes:
        lengths: how far apart values along each parameter still resemble each other, shape (parameters,).
        amplitude: variance of the function.
        noise: variance of a measurement around the function.
        groups: the parameter of each column of the features, shape (columns,).
    """

    lengths: Array
    amplitude: float
    noise: float
    groups: npt.NDArray[np.intp]

    @classmethod
    def from_logs(cls, logs: Array, groups: npt.NDArray[np.intp]) -> Kernel:
        """The kernel of natural logarithms in one vector: lengths, amplitude, noise."""
        values = np.exp(logs)
        return cls(values[:-2], float(values[-2]), float(values[-1]), groups)

    def scaled(self, features: Array) -> Array:
        """Features in units of their lengths, shape (n, columns)."""
        return features / self.lengths[self.groups]

    def between(self, a: Array, b: Array) -> Array:
        """Covariance of function values at two sets of features, shape (len(a), len(b))."""
        s = _distances(self.scaled(a), self.scaled(b))
        return np.asarray(self.amplitude * (1 + s + s**2 / 3) * np.exp(-s))


class GaussianProcess:
    """What measurements say about a function with mean zero.

    Args:
        kernel: the covariance.
        features: where it was measured, shape (n, columns).
        values: what was measured, shape (n,).
        exact: how many of the measurements, at the end, are free of noise.
    """

    def __init__(self, kernel: Kernel, features: Array, values: Array, *, exact: int = 0) -> None:
        from scipy.linalg import cho_solve, cholesky  # noqa: PLC0415 - heavy

        self.kernel = kernel
        self._features = features
        covariance = kernel.between(features, features)
        noise = np.where(np.arange(len(values)) < len(values) - exact, kernel.noise, 0.0)
        covariance.flat[:: len(features) + 1] += noise + _JITTER * kernel.amplitude
        self._factor = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), values, check_finite=False)

    def mean(self, features: Array) -> Array:
        """Expected function values, shape (m,)."""
        return self.kernel.between(features, self._features) @ self._weights

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the function, without noise, at m places; two arrays of shape (m,)."""
        from scipy.linalg import solve_triangular  # noqa: PLC0415 - heavy

        across = self.kernel.between(features, self._features)
        explained = solve_triangular(self._factor, across.T, lower=True, check_finite=False)
        variance = self.kernel.amplitude - np.einsum("ij,ij->j", explained, explained)
        return across @ self._weights, np.sqrt(np.maximum(variance, _JITTER * self.kernel.amplitude))


@dataclass(frozen=True, slots=True)
class Prior:
    """Independent normal distributions of the logarithms of lengths, amplitude and noise; shape (parameters + 2,)."""

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, parameters: int) -> Prior:
        """For values of variance 1. Lengths grow with the root of the number of parameters, as distances do.

        After Hvarfner et al. 2024, "Vanilla Bayesian Optimization Performs Great in High Dimensions".
        """
        length = math.log(0.5 * math.sqrt(max(parameters, 1)))
        return cls(
            mean=np.array([*[length] * parameters, 0.0, math.log(1e-4)]),
            deviation=np.array([*[1.0] * parameters, 1.0, 2.5]),
        )

    def bounds(self) -> list[tuple[float, float]]:
        """Four deviations to both sides of the mean."""
        return list(zip(self.mean - 4 * self.deviation, self.mean + 4 * self.deviation, strict=True))


def fit(features: Array, values: Array, groups: npt.NDArray[np.intp]) -> Kernel:
    """The kernel of the highest posterior density, found by L-BFGS-B from the mean of the prior with more noise.

    From there the noise shrinks where values are smooth; from less of it, short lengths would explain it away.

    Args:
        features: shape (n, columns).
        values: shape (n,), of about mean 0 and variance 1.
        groups: the parameter of each column, counted from 0, shape (columns,).
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - heavy

    prior = Prior.of(int(groups.max()) + 1 if len(groups) else 0)
    start = np.append(prior.mean[:-1], math.log(1e-2))
    found = minimize(
        misfit,
        start,
        (features, values, groups, prior),
        jac=True,
        method="L-BFGS-B",
        bounds=prior.bounds(),
        options={"maxiter": 50},
    )
    return Kernel.from_logs(found.x, groups)


def misfit(
    logs: Array, features: Array, values: Array, groups: npt.NDArray[np.intp], prior: Prior
) -> tuple[float, Array]:
    """The negative logarithm of the posterior density of a kernel, up to a constant, and its gradient.

    Args:
        logs: natural logarithms of lengths, amplitude and noise.
        features: shape (n, columns).
        values: shape (n,).
        groups: the parameter of each column.
        prior: of `logs`.
    """
    from scipy.linalg import cho_solve, cholesky  # noqa: PLC0415 - heavy

    kernel = Kernel.from_logs(logs, groups)
    scaled = kernel.scaled(features)
    s = _distances(scaled, scaled)
    decay = kernel.amplitude * np.exp(-s)
    signal = decay * (1 + s + s**2 / 3)
    covariance = signal + (kernel.noise + _JITTER * kernel.amplitude) * np.eye(len(values))
    factor = cholesky(covariance, lower=True, check_finite=False)
    inverse = cho_solve((factor, True), np.eye(len(values)), check_finite=False)
    weights = inverse @ values
    # The derivative by any parameter p is sum(slope * d covariance / d p) / 2.
    slope = inverse - np.outer(weights, weights)
    pull = slope * decay * (1 + s) * (5 / 3)
    # sum over pairs of pull * (difference of a column)^2, without a difference per pair and column
    by_column = 2 * (pull.sum(axis=1) @ scaled**2 - np.einsum("ij,ij->j", scaled, pull @ scaled))
    by_length = np.bincount(groups, weights=by_column, minlength=len(kernel.lengths))
    jitter = _JITTER * kernel.amplitude * np.trace(slope)
    gradient = np.array([*by_length, np.sum(slope * signal) + jitter, kernel.noise * np.trace(slope)]) / 2
    deviations = (logs - prior.mean) / prior.deviation
    misfit = values @ weights / 2 + np.log(np.diag(factor)).sum() + deviations @ deviations / 2
    return float(misfit), gradient + deviations / prior.deviation


def _distances(a: Array, b: Array) -> Array:
    """Distances times the root of 5, as Matern-5/2 takes them; shape (len(a), len(b))."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * (a @ b.T)
    return np.asarray(np.sqrt(5 * np.maximum(squares, 0)))
