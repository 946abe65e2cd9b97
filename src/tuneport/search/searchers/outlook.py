"""What a model says of points that have not been tried: how promising they are, and which way is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.feasibility import Chance
from tuneport.search.searchers.gaussian_process import GaussianProcess, StackedProcess
from tuneport.search.searchers.improvement import improvement_slopes, log_expected_improvement
from tuneport.search.space import Array

_APART = 0.01
"""How far, in some feature, a proposal is from every running trial."""
_ASCENT = 20
"""Iterations of an ascent."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The logarithm of the expected improvement, less where trials run already, or tend to fail or to break a bound.

    Attributes:
        embedding: turns points into features.
        model: of the warped losses.
        best: what is to be improved upon; None: nothing yet, so that the chances alone count.
        waiting: features of running trials, shape (running, columns).
        chances: what must come true for a trial to count.
    """

    embedding: Embedding
    model: GaussianProcess | StackedProcess
    best: float | None
    waiting: Array
    chances: Sequence[Chance] = ()

    def promise(self, cube: Array) -> Array:
        """How promising snapped points are, shape (n,); -inf in the close surroundings of running trials."""
        features = self.embedding(cube)
        promise = np.zeros(len(cube))
        if self.best is not None:
            promise += log_expected_improvement(*self.model.predict(features), self.best)
        for chance in self.chances:
            promise += chance.log(features)
        if len(self.waiting):
            waits = (np.abs(features[:, None] - self.waiting).max(axis=2) < _APART).any(axis=1)
            promise = np.where(waits, -np.inf, promise)
        return promise

    def climbed(self, cube: Array, free: Array) -> Array:
        """Points moved uphill along coordinates, all of them in one ascent by L-BFGS-B.

        Args:
            cube: snapped points, shape (n, d).
            free: which coordinates may move, shape (d,).
        """
        from scipy.optimize import minimize  # noqa: PLC0415 - heavy

        moving = free & ~np.isnan(cube)
        if not moving.any():
            return cube

        def descent(coordinates: Array) -> tuple[float, Array]:
            cube[moving] = coordinates
            features = self.embedding(cube)
            ways = [chance.slopes(features) for chance in self.chances]
            if self.best is not None:
                ways.append(self._improvement(features, self.best))
            promise, slope = sum(value.sum() for value, _ in ways), np.sum([slope for _, slope in ways], axis=0)
            return -float(promise), -self.embedding.pull(cube, slope)[moving]

        cube = cube.copy()
        bounds = [(0.0, 1.0)] * int(moving.sum())
        start = cube[moving]
        found = minimize(descent, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ASCENT})
        cube[moving] = found.x
        return cube

    def _improvement(self, features: Array, best: float) -> tuple[Array, Array]:
        """The logarithm of the expected improvement, and its gradients by the features."""
        mean, deviation, by_mean, by_deviation = self.model.slopes(features)
        of_mean, of_deviation = improvement_slopes(mean, deviation, best)
        slope = of_mean[:, None] * by_mean + of_deviation[:, None] * by_deviation
        return log_expected_improvement(mean, deviation, best), slope
