"""The chance that a trial comes to a result, and that it keeps a bound (Gelbart et al. 2014, Gardner et al. 2014)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuneport.search.dimensions import Array
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.gaussian_process import GaussianProcess, Prior
from tuneport.search.searchers.learning import KernelLearner, representative

_FAILURE_NOISE = 0.001
"""Variance of the outcome of trials at one place, where failure and success are 1 apart."""
_FAR = 3.0
"""An excess this many times the usual one is as good or as bad as any."""


@dataclass(frozen=True, slots=True)
class Chance:
    """The chance that a value modelled by a Gaussian process is at most a limit.

    Attributes:
        model: of the value.
        limit: the limit.
        noise: variance of what is measured around the value.
    """

    model: GaussianProcess
    limit: float
    noise: float

    def log(self, features: Array) -> Array:
        """Logarithm of the chance, shape (n,)."""
        from scipy.special import log_ndtr  # noqa: PLC0415 - heavy

        mean, deviation = self.model.predict(features)
        return np.asarray(log_ndtr((self.limit - mean) / np.hypot(deviation, math.sqrt(self.noise))))

    def slopes(self, features: Array) -> tuple[Array, Array]:
        """What `log` says, and its gradients by the features, shape (n, columns)."""
        from scipy.special import log_ndtr  # noqa: PLC0415 - heavy

        mean, deviation, by_mean, by_deviation = self.model.slopes(features)
        spread = np.hypot(deviation, math.sqrt(self.noise))
        z = (self.limit - mean) / spread
        value = log_ndtr(z)
        rise = np.exp(-(z**2) / 2 - math.log(2 * math.pi) / 2 - value)  # d log_ndtr / dz
        by_z = -by_mean / spread[:, None] - (z * deviation / spread**2)[:, None] * by_deviation
        return value, rise[:, None] * by_z


class ChanceLearner:
    """Learns where trials have results, and where they keep each constraint.

    Args:
        embedding: says which features belong to which parameter.
        first: least number of trials from which a kernel is learned thoroughly.
    """

    def __init__(self, embedding: Embedding, first: int) -> None:
        self._embedding = embedding
        self._first = first
        self._bounds: list[KernelLearner] = []

    def of_a_result(self, features: Array, usable: npt.NDArray[np.bool_]) -> list[Chance]:
        """The chance of a result: good where nothing is known, little among failures; none if there were none."""
        if usable.all():
            return []
        chosen = representative(usable.astype(float))
        prior = Prior.of(self._embedding.parameters)  # of level 0: success is what is to be expected
        kernel = prior.kernel(_FAILURE_NOISE, self._embedding.groups)
        model = GaussianProcess(kernel, features[chosen], np.where(usable[chosen], 0.0, 1.0))
        return [Chance(model, 0.5, _FAILURE_NOISE)]

    def of_bounds(self, features: Array, excess: Array) -> list[Chance]:
        """The chance of each constraint to be kept.

        Args:
            features: shape (n, columns).
            excess: by how much each was broken, shape (n, constraints).
        """
        while len(self._bounds) < excess.shape[1]:
            learner = KernelLearner(self._embedding, self._first, _scaled, rank=np.abs, level=0.0)
            self._bounds.append(learner)
        return [self._bound(learner, features, column) for learner, column in zip(self._bounds, excess.T, strict=False)]

    @staticmethod
    def _bound(learner: KernelLearner, features: Array, excess: Array) -> Chance:
        kernel, values = learner.kernel(features, excess), scaled_excess(excess)
        chosen = representative(np.abs(values))  # those near the limit tell most about where it runs
        return Chance(GaussianProcess(kernel, features[chosen], values[chosen]), 0.0, 0.0)


def scaled_excess(excess: Array) -> Array:
    """By how much a bound is broken, in units of the usual distance from it, with far ones drawn together."""
    near = np.minimum(np.abs(excess[np.isfinite(excess) & (excess != 0)]), 1e300)
    unit = float(np.median(near)) if len(near) else 1.0
    with np.errstate(over="ignore"):
        return np.asarray(_FAR * np.tanh(excess / max(unit, np.finfo(float).tiny) / _FAR))


def _scaled(features: Array, excess: Array) -> Array:
    del features
    return scaled_excess(excess)
