"""What is to be expected of one loss: by what was seen of it, and by earlier jobs."""

from __future__ import annotations

from functools import cached_property

from tuneport.search.dimensions import Array
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.gaussian_process import GaussianProcess, Process, StackedProcess, expecting
from tuneport.search.searchers.learning import UNKNOWN, KernelLearner, representative
from tuneport.search.searchers.warping import warped


class LossLearner:
    """Models a loss, warped.

    Where earlier jobs are known, what they make expect is the mean around which the model varies, as far as it agrees
    with what is seen.

    Args:
        embedding: turns points into features.
        first: least number of measurements from which a kernel is learned thoroughly.
        past: where earlier jobs measured the loss, points of the cube of shape (m, d), and what, shape (m,); None: no
            job has.
        level: see `KernelLearner`.
    """

    def __init__(
        self, embedding: Embedding, first: int, past: tuple[Array, Array] | None, *, level: float = UNKNOWN
    ) -> None:
        self._embedding = embedding
        self._measured = past
        self._level = level
        self._learner = KernelLearner(embedding, first, lambda *told: self._told(*told)[0], level=level)

    def model(self, features: Array, losses: Array, waiting: Array, doubt: float | None) -> Process:
        """What is expected of the warped loss.

        Args:
            features: of what was measured, shape (n, columns).
            losses: finite, shape (n,).
            waiting: features of running trials, which count as what is expected of them; shape (running, columns).
            doubt: share to which the kernel's lengths shrink, where it is doubted.
        """
        kernel = self._learner.kernel(features, losses)
        if doubt is not None:
            kernel = kernel.doubted(self._learner.prior, doubt)
        values, share = self._told(features, losses)
        chosen = representative(losses)
        process = expecting(kernel, features[chosen], values[chosen], waiting)
        return StackedProcess(process, self._past, share) if self._past else process

    def _told(self, features: Array, losses: Array) -> tuple[Array, float]:
        """What the model is to explain: warped losses, less the share that earlier jobs explain; and that share."""
        values = warped(losses)
        if self._past is None:
            return values, 0.0
        expected = self._past.mean(features)
        share = max(float(expected @ values / (expected @ expected + 1)), 0.0)
        return values - share * expected, share

    @cached_property
    def _past(self) -> GaussianProcess | None:
        """What earlier jobs make expect of this one's warped losses."""
        if self._measured is None:
            return None
        features, losses = self._embedding(self._measured[0]), self._measured[1]
        values, chosen = warped(losses), representative(losses)
        learner = KernelLearner(self._embedding, len(losses), lambda _, told: warped(told), level=self._level)
        return GaussianProcess(learner.kernel(features, losses), features[chosen], values[chosen])
