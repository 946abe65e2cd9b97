"""The kernel that a history supports, learned again only as the history grows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tuneport.search.dimensions import Array
from tuneport.search.searchers.bending import SHAPES, bent, straight
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.gaussian_process import Kernel, Prior, fit, misfit

_GROWTH = 1.25
"""From one thorough fit to the next, the history grows by this factor."""
_THOROUGH, _QUICK = 50, 5
"""Iterations of a fit from the prior, and of one that begins where a thorough fit ended."""
_REFIT = 25
"""Iterations after scales have been bent."""
_CLEARLY = 1.0
"""By how much a bend must raise the logarithm of the density."""
_MOST = 150
"""Trials from which a kernel is learned, at most."""
_MODELLED = 300
"""Trials that a model holds, at most."""
UNKNOWN = 10.0
"""Variance of an unknown level of values that have variance 1."""


class KernelLearner:
    """Fits the kernel of a history by a few steps from a thorough fit of the beginning of that history.

    A thorough fit also bends scales along which the values change faster at one end.

    How much of the history that beginning is depends on its length alone, so that a new learner, given the same
    history, arrives at the same kernel; one that has followed its growth has the thorough fit at hand.

    Args:
        embedding: says which features belong to which parameter.
        first: least length of a beginning that is fitted thoroughly.
        values: what the kernel is to explain, from features and losses.
        rank: what tells most has the least of; by it a long history is thinned out.
        level: variance of the level around which they vary. It is unknown as a rule: the mean of what a search has seen
            is better than that of the space, the more so the longer it has searched.
    """

    def __init__(
        self,
        embedding: Embedding,
        first: int,
        values: Callable[[Array, Array], Array],
        *,
        rank: Callable[[Array], Array] = np.asarray,
        level: float = UNKNOWN,
    ) -> None:
        self._groups = embedding.groups
        self._scales = np.flatnonzero(embedding.scales).tolist()
        self._first = first
        self._values = values
        self._rank = rank
        self.prior = Prior.of(embedding.parameters, level)
        self._known: tuple[bytes, tuple[Array, Array]] | None = None

    def kernel(self, features: Array, losses: Array) -> Kernel:
        """The kernel of the values that belong to these losses.

        Args:
            features: shape (n, columns), n at least 1.
            losses: finite, shape (n,).
        """
        start, exponents = self._thorough(features, losses)
        places, values = self._representative(features, losses)
        logs = self._fit(bent(places, exponents), values, start, _QUICK)
        return Kernel.from_logs(logs, self._groups, exponents, self.prior.level)

    def _thorough(self, features: Array, losses: Array) -> tuple[Array, Array]:
        count = min(self._beginning(len(losses)), len(losses))
        key = features[:count].tobytes() + losses[:count].tobytes()
        if self._known is None or self._known[0] != key:
            self._known = key, self._learned(*self._representative(features[:count], losses[:count]))
        return self._known[1]

    def _learned(self, places: Array, values: Array) -> tuple[Array, Array]:
        """The logarithms of a kernel, and the exponents of the columns."""
        fits = [self._fit(places, values, start, _THOROUGH) for start in self.prior.starts()]
        logs = min(fits, key=lambda one: misfit(one, places, values, self._groups, self.prior)[0])
        exponents = self._bends(places, values, logs)
        if (exponents == 1).all():
            return logs, exponents
        return self._fit(bent(places, exponents), values, logs, _REFIT), exponents

    def _bends(self, places: Array, values: Array, logs: Array) -> Array:
        """The bends under which the values are clearly more likely, column by column, whichever tells most first."""

        def bend(exponents: Array, column: int, shape: tuple[float, float]) -> tuple[float, Array]:
            tried = exponents.copy()
            tried[column] = shape
            return misfit(logs, bent(places, tried), values, self._groups, self.prior)[0], tried

        unbent = straight(places.shape[1])
        alone = (min((bend(unbent, column, shape)[0], column, shape) for shape in SHAPES) for column in self._scales)
        least, exponents = misfit(logs, places, values, self._groups, self.prior)[0], unbent
        # In the order in which they are written, the first of two that explain the same would be taken.
        for _, column, shape in sorted(alone):
            found, tried = bend(exponents, column, shape)
            if found + _CLEARLY < least:
                least, exponents = found, tried
        return exponents

    def _beginning(self, length: int) -> int:
        """The largest of first, first * growth, … that does not exceed `length`."""
        count = self._first
        while (longer := math.ceil(count * _GROWTH)) <= length:
            count = longer
        return count

    def _representative(self, features: Array, losses: Array) -> tuple[Array, Array]:
        values = self._values(features, losses)
        chosen = representative(self._rank(losses), _MOST)
        return features[chosen], values[chosen]

    def _fit(self, places: Array, values: Array, start: Array, steps: int) -> Array:
        return fit(places, values, self.prior, self._groups, start, steps)


def representative(values: Array, limit: int = _MODELLED) -> npt.NDArray[np.intp]:
    """Indices, ascending, of at most `limit` values: the best half of the limit, and an even sample of the others."""
    if len(values) <= limit:
        return np.arange(len(values))
    order = np.argsort(values, kind="stable")
    best, others = order[: limit // 2], np.sort(order[limit // 2 :])
    sample = others[np.linspace(0, len(others) - 1, limit - limit // 2).astype(np.intp)]
    return np.sort(np.concatenate([best, sample]))
