"""Gaussian-process regression with a Matern-5/2 kernel (Rasmussen and Williams 2006, chapters 2, 4 and 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tuneport.search.dimensions import Array
from tuneport.search.searchers.bending import bent, stretch

_JITTER = 1e-8
"""Added to the diagonal, relative to the amplitude, against rounding."""
_STARTS = (1.0, 1 / 3, 3.0)
"""What lengths are multiplied by where searches for the best kernel begin."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Covariance of function values, level + amplitude * matern52(distance), and of measurements, which adds noise.

    Attributes:
        lengths: how far apart values along each parameter still resemble each other, shape (parameters,).
        amplitude: variance of the function.
        noise: variance of a measurement around the function.
        groups: the parameter of each column of the features, shape (columns,).
        exponents: how each column is bent before distances are measured, shape (columns, 2); None: not at all.
        level: variance of the level around which the function varies (Rasmussen and Williams 2006, 2.7); 0: it is 0.
    """

    lengths: Array
    amplitude: float
    noise: float
    groups: npt.NDArray[np.intp]
    exponents: Array | None = None
    level: float = 0.0

    @classmethod
    def from_logs(
        cls, logs: Array, groups: npt.NDArray[np.intp], exponents: Array | None = None, level: float = 0.0
    ) -> Kernel:
        """The kernel of natural logarithms in one vector: lengths, amplitude, noise."""
        values = np.exp(logs)
        return cls(values[:-2], float(values[-2]), float(values[-1]), groups, exponents, level)

    def scaled(self, features: Array) -> Array:
        """Features, bent and in units of their lengths, shape (n, columns)."""
        places = features if self.exponents is None else bent(features, self.exponents)
        return places / self.lengths[self.groups]

    def steepness(self, features: Array) -> Array:
        """The derivatives of `scaled` by the columns, shape (n, columns)."""
        bends = np.ones(features.shape) if self.exponents is None else stretch(features, self.exponents)
        return bends / self.lengths[self.groups]

    def doubted(self, prior: Prior, share: float) -> Kernel:
        """The kernel with lengths of at most this share of what it or the prior says, and an amplitude of 1 or more."""
        longest = np.maximum(self.lengths, np.exp(prior.mean[:-2]))
        return replace(self, lengths=np.minimum(self.lengths, share * longest), amplitude=max(self.amplitude, 1.0))


class GaussianProcess:
    """What measurements say about a function.

    Args:
        kernel: the covariance.
        features: where it was measured, shape (n, columns).
        values: what was measured, shape (n,).
        exact: how many of the measurements, at the end, are free of noise.
    """

    def __init__(self, kernel: Kernel, features: Array, values: Array, *, exact: int = 0) -> None:
        from scipy.linalg import cholesky  # noqa: PLC0415 - heavy
        from scipy.linalg.lapack import dtrtri  # noqa: PLC0415 - heavy

        self.kernel = kernel
        self._scaled = kernel.scaled(features)
        covariance = self._across(self._scaled)
        noise = np.where(np.arange(len(values)) < len(values) - exact, kernel.noise, 0.0)
        covariance.flat[:: len(values) + 1] += noise + _JITTER * kernel.amplitude
        # The inverse of the factor, not the factor: thousands of predictions are then plain products of matrices.
        self._whitening, _ = dtrtri(cholesky(covariance, lower=True, check_finite=False), lower=1)
        self._weights = self._whitening.T @ (self._whitening @ values)

    def mean(self, features: Array) -> Array:
        """Expected function values, shape (m,)."""
        return np.asarray(self._across(self.kernel.scaled(features)) @ self._weights)

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the function, without noise, at m places; two arrays of shape (m,)."""
        across = self._across(self.kernel.scaled(features))
        return across @ self._weights, self._deviation(self._explained(across))

    def slopes(self, features: Array) -> tuple[Array, Array, Array, Array]:
        """What `predict` says, and the gradients of both by the features, shape (m, columns) each."""
        scaled = self.kernel.scaled(features)
        distances = _distances(scaled, self._scaled)
        covariance, steepness = _matern(distances, self.kernel.amplitude), _steepness(distances, self.kernel.amplitude)
        across = covariance + self.kernel.level
        explained = self._explained(across)
        deviation = self._deviation(explained)
        inner = self.kernel.steepness(features)
        by_mean = inner * self._towards(scaled, steepness * self._weights)
        by_variance = inner * self._towards(scaled, -2 * steepness * (explained @ self._whitening))
        return across @ self._weights, deviation, by_mean, by_variance / (2 * deviation[:, None])

    def _across(self, scaled: Array) -> Array:
        """Covariance of scaled features with the measurements."""
        covariance = _matern(_distances(scaled, self._scaled), self.kernel.amplitude)
        covariance += self.kernel.level
        return covariance

    def _explained(self, across: Array) -> Array:
        """Whitened covariances; their squares are the variance that the measurements explain."""
        from scipy.linalg.blas import dtrmm  # noqa: PLC0415 - heavy

        return np.asarray(dtrmm(1.0, self._whitening, across.T, lower=1).T)

    def _deviation(self, explained: Array) -> Array:
        variance = self.kernel.level + self.kernel.amplitude - np.einsum("ij,ij->i", explained, explained)
        return np.asarray(np.sqrt(np.maximum(variance, _JITTER * self.kernel.amplitude)))

    def _towards(self, scaled: Array, pull: Array) -> Array:
        """The sum over measurements of pull * (their place - place), scaled; shape (m, columns)."""
        return np.asarray(pull @ self._scaled - pull.sum(axis=1)[:, None] * scaled)


def expecting(kernel: Kernel, features: Array, values: Array, waiting: Array) -> GaussianProcess:
    """A process to which what it expects at the `waiting` places, shape (m, columns), has come true, with no doubt."""
    process = GaussianProcess(kernel, features, values)
    if not len(waiting):
        return process
    values = np.concatenate([values, process.mean(waiting)])
    return GaussianProcess(kernel, np.concatenate([features, waiting]), values, exact=len(waiting))


@dataclass(frozen=True, slots=True)
class StackedProcess:
    """A Gaussian process of what a share of another one's mean leaves unexplained (after Golovin et al. 2017, 3.3).

    Attributes:
        rest: the process of what is left.
        base: the other one.
        share: how much of its mean holds here.
    """

    rest: GaussianProcess
    base: GaussianProcess
    share: float

    def mean(self, features: Array) -> Array:
        """Expected function values, shape (m,)."""
        return np.asarray(self.rest.mean(features) + self.share * self.base.mean(features))

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation; see `GaussianProcess.predict`."""
        mean, deviation = self.rest.predict(features)
        return mean + self.share * self.base.mean(features), deviation

    def slopes(self, features: Array) -> tuple[Array, Array, Array, Array]:
        """What `predict` says, and gradients; see `GaussianProcess.slopes`."""
        mean, deviation, by_mean, by_deviation = self.rest.slopes(features)
        base, _, by_base, _ = self.base.slopes(features)
        return mean + self.share * base, deviation, by_mean + self.share * by_base, by_deviation


Process: TypeAlias = GaussianProcess | StackedProcess


@dataclass(frozen=True, slots=True)
class Prior:
    """What is thought of a kernel before anything was measured.

    Attributes:
        mean: of the logarithms of lengths, amplitude and noise, which are normal and independent; (parameters + 2,).
        deviation: their standard deviations, shape (parameters + 2,).
        level: variance of the level around which the function varies.
    """

    mean: Array
    deviation: Array
    level: float = 0.0

    @classmethod
    def of(cls, parameters: int, level: float = 0.0) -> Prior:
        """For values of variance 1. Lengths grow with the root of the number of parameters, as distances do.

        After Hvarfner et al. 2024, "Vanilla Bayesian Optimization Performs Great in High Dimensions".
        """
        length = math.log(0.5 * math.sqrt(max(parameters, 1)))
        return cls(
            mean=np.array([*[length] * parameters, 0.0, math.log(1e-4)]),
            deviation=np.array([*[1.0] * parameters, 1.0, 2.5]),
            level=level,
        )

    def bounds(self) -> list[tuple[float, float]]:
        """Four deviations to both sides of the mean."""
        return list(zip(self.mean - 4 * self.deviation, self.mean + 4 * self.deviation, strict=True))

    def kernel(self, noise: float, groups: npt.NDArray[np.intp]) -> Kernel:
        """The kernel that is expected before anything is known, for measurements with this noise."""
        return Kernel.from_logs(np.append(self.mean[:-1], math.log(noise)), groups, level=self.level)

    def starts(self) -> list[Array]:
        """Where searches for the best kernel begin: lengths as expected, a third of that, and three times; more noise.

        From there the noise shrinks where values are smooth; from less of it, short lengths would explain it away.
        """
        noisy = np.append(self.mean[:-1], math.log(1e-2))
        lengths = np.arange(len(noisy)) < len(noisy) - 2
        return [noisy + math.log(factor) * lengths for factor in _STARTS]


def fit(features: Array, values: Array, prior: Prior, groups: npt.NDArray[np.intp], start: Array, steps: int) -> Array:
    """The kernel of the highest posterior density, as logarithms, by L-BFGS-B.

    Args:
        features: shape (n, columns).
        values: shape (n,), of about mean 0 and variance 1.
        prior: of the logarithms.
        groups: the parameter of each column, counted from 0, shape (columns,).
        start: logarithms to begin with.
        steps: iterations after which it is good enough.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - heavy

    arguments = (features, values, groups, prior)
    found = minimize(
        misfit, start, arguments, jac=True, method="L-BFGS-B", bounds=prior.bounds(), options={"maxiter": steps}
    )
    return np.asarray(found.x)


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
    from scipy.linalg import cholesky  # noqa: PLC0415 - heavy
    from scipy.linalg.lapack import dpotri  # noqa: PLC0415 - heavy

    kernel = Kernel.from_logs(logs, groups)
    scaled = kernel.scaled(features)
    distances = _distances(scaled, scaled)
    signal = _matern(distances, kernel.amplitude)
    covariance = prior.level + signal + (kernel.noise + _JITTER * kernel.amplitude) * np.eye(len(values))
    factor = cholesky(covariance, lower=True, check_finite=False)
    triangle = np.tril(dpotri(factor, lower=1)[0])
    inverse = triangle + np.tril(triangle, -1).T
    weights = inverse @ values
    # The derivative by any parameter p is sum(slope * d covariance / d p) / 2.
    slope = inverse - np.outer(weights, weights)
    pull = slope * _steepness(distances, kernel.amplitude)
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
    squares = a @ (-10 * b.T)
    squares += 5 * (a**2).sum(axis=1)[:, None]
    squares += 5 * (b**2).sum(axis=1)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def _matern(distances: Array, amplitude: float) -> Array:
    """The covariance at distances s: (1 + s + s ** 2 / 3) * exp(-s), times the amplitude."""
    covariance = distances / 3  # in place from here on: most of the time of a suggestion is spent in this function
    covariance += 1
    covariance *= distances
    covariance += 1
    covariance *= amplitude
    covariance *= np.exp(-distances)
    return covariance


def _steepness(distances: Array, amplitude: float) -> Array:
    """-1/r times the derivative of `_matern` by the distance r = s / root of 5."""
    return np.asarray(amplitude * 5 / 3 * (1 + distances) * np.exp(-distances))
