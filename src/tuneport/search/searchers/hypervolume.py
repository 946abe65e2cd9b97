"""How much hypervolume a trial may be expected to add to that of a front, as a logarithm that does not vanish.

Objectives have models of their own, so that the expectation over a box is a product of expected lengths: exact for any
number of objectives (Yang et al. 2019, "Efficient Computation of Expected Hypervolume Improvement Using Box
Decomposition Algorithms"). The logarithms are those of Ament et al. 2023.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuneport.search.dimensions import Array
from tuneport.search.pareto import coarsened, nondominated, undominated
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.evidence import completed
from tuneport.search.searchers.expectation import LossLearner
from tuneport.search.searchers.gaussian_process import Process
from tuneport.search.searchers.improvement import log_gain
from tuneport.search.searchers.warping import sensible, warped

MOST_OBJECTIVES = 4
"""With more of them, the boxes around a front are too many."""
_MARGIN = 0.1
"""How far beyond the worst results the reference point lies, in standard deviations of the warped losses."""
_FRONT = 100
"""A front of more points is taken for a coarser one."""
_PER_TIE, _MOST = 0.5, 1.0
"""By how much better, in standard deviations, a point of the front counts for every other trial with its losses."""
_THIN = 1e-12
"""Least share of the expected length of a box in that of everything below its upper end; less is lost in rounding."""


@dataclass(frozen=True, slots=True)
class VolumeImprovement:
    """The logarithm of the expected growth of the hypervolume.

    Attributes:
        models: of the losses, one per objective.
        low: lower corners of the boxes that fill what no trial dominates, shape (boxes, objectives).
        high: their upper corners.
    """

    models: Sequence[Process]
    low: Array
    high: Array

    def log(self, features: Array) -> Array:
        """Logarithm of the expected growth, shape (n,)."""
        from scipy.special import logsumexp  # noqa: PLC0415 - heavy

        predictions = [model.predict(features) for model in self.models]
        ends = zip(self.low.T, self.high.T, strict=True)
        lengths = [log_expected_length(*told, *end) for told, end in zip(predictions, ends, strict=True)]
        return np.asarray(logsumexp(np.sum(lengths, axis=0), axis=1))

    def slopes(self, features: Array) -> tuple[Array, Array]:
        """What `log` says, and its gradients by the features, shape (n, columns)."""
        from scipy.special import logsumexp, softmax  # noqa: PLC0415 - heavy

        told = [model.slopes(features) for model in self.models]
        ends = list(zip(self.low.T, self.high.T, strict=True))
        volumes = np.sum([log_expected_length(*one[:2], *end) for one, end in zip(told, ends, strict=True)], axis=0)
        shares, slope = softmax(volumes, axis=1), np.zeros(features.shape)
        for (mean, deviation, by_mean, by_deviation), end in zip(told, ends, strict=True):
            of_mean, of_deviation = length_slopes(mean, deviation, *end)
            slope += (shares * of_mean).sum(axis=1)[:, None] * by_mean
            slope += (shares * of_deviation).sum(axis=1)[:, None] * by_deviation
        return logsumexp(volumes, axis=1), slope


def log_expected_length(mean: Array, deviation: Array, low: Array, high: Array) -> Array:
    """The logarithm of E[max(high - max(low, f), 0)] for normal f: what of an interval lies above f.

    Args:
        mean: of f, shape (n,).
        deviation: its standard deviation, above 0, shape (n,).
        low: lower ends, shape (intervals,); may be -inf.
        high: upper ends, above the lower ones, shape (intervals,).

    Returns:
        shape (n, intervals).
    """
    # Neighbours share their ends: what is below each is worked out once.
    ends, places = np.unique(np.stack([low, high]), return_inverse=True)
    below = log_gain((ends - mean[:, None]) / deviation[:, None])
    below_low, below_high = (below[:, place] for place in places.reshape(2, -1))
    share = -np.expm1(below_low - below_high)
    return below_high + np.log(np.maximum(share, _THIN)) + np.log(deviation)[:, None]


def length_slopes(mean: Array, deviation: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """The derivatives of `log_expected_length` by the mean and by the deviation, shape (n, intervals) each."""
    from scipy.special import log_ndtr  # noqa: PLC0415 - heavy

    length = log_expected_length(mean, deviation, low, high)
    of_mean, of_deviation = np.zeros(length.shape), np.zeros(length.shape)
    for end, sign in ((high, 1.0), (low, -1.0)):
        z = (end - mean[:, None]) / deviation[:, None]
        of_mean -= sign * np.exp(log_ndtr(z) - length)
        of_deviation += sign * np.exp(-(z**2) / 2 - math.log(2 * math.pi) / 2 - length)
    return of_mean, of_deviation


class VolumeLearner:
    """Learns every objective, and what a trial may add to the front.

    The losses of every objective are warped on their own. The reference point lies just beyond the worst of all results
    rather than of the front, so that the ends of a front are worth finding. Trials with the very same losses lie on a
    plateau, where models expect slight improvements for ever: the more there are, the better they count. Far
    from all results a model expects their mean, not a level that it finds: that is where the ends of a front are.

    Args:
        embedding: says which features belong to which parameter.
        first: least number of trials from which a kernel is learned thoroughly.
        past: what earlier jobs measured of each objective, as `LossLearner` takes it; nothing where there are none.
    """

    def __init__(self, embedding: Embedding, first: int, past: Sequence[tuple[Array, Array] | None]) -> None:
        known = [*past, *[None] * MOST_OBJECTIVES][:MOST_OBJECTIVES]
        self._learners = [LossLearner(embedding, first, one, level=0.0) for one in known]

    def improvement(
        self, features: Array, losses: Array, legal: npt.NDArray[np.bool_], waiting: Array, doubt: float | None
    ) -> list[VolumeImprovement]:
        """What a trial may add; nothing where no trial keeps all constraints.

        Args:
            features: of trials that have a result, shape (n, columns).
            losses: shape (n, objectives), of at most `MOST_OBJECTIVES`; one that is missing or absurd counts as the
                worst.
            legal: which trials keep all constraints, shape (n,).
            waiting: features of running trials, shape (running, columns); what is expected of them is on the front.
            doubt: share to which the kernels' lengths shrink, or None.
        """
        if not legal.any():
            return []
        known = np.stack([completed(sensible(column)) for column in losses.T], axis=1)
        columns = zip(self._learners, known.T, strict=False)
        models = [learner.model(features, column, waiting, doubt) for learner, column in columns]
        worst = [warped(column).max() for column in known.T]
        kept = np.stack([model.mean(features[legal]) for model in models], axis=1) - _credit(known[legal])[:, None]
        coming = np.stack([model.mean(waiting) for model in models], axis=1)
        means = np.concatenate([kept, coming])
        front = means[nondominated(means)]
        if len(front) > _FRONT:
            front = coarsened(front, _FRONT)
        reference = np.maximum(worst, front.max(axis=0)) + _MARGIN
        return [VolumeImprovement(models, *undominated(front, reference))]


def _credit(losses: Array) -> Array:
    """By how much better than it is a trial counts, because others have the very same losses; shape (n,)."""
    _, place, count = np.unique(losses, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(np.minimum(_PER_TIE * (count[place.reshape(-1)] - 1), _MOST))
