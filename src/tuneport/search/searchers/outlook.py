"""What a model says of points that have not been tried: how promising they are, and which way is up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.gaussian_process import GaussianProcess, StackedProcess
from tuneport.search.searchers.improvement import improvement_slopes, log_expected_improvement
from tuneport.search.space import Array

_APART = 0.01
"""How far, in some feature, a proposal is from every running trial."""
_ASCENT = 20
"""Iterations of an ascent."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The logarithm of the expected improvement, less where trials run already or tend to fail.

    Attributes:
        embedding: turns points into features.
        model: of the warped losses.
        best: what is to be improved upon.
        waiting: features of running trials, shape (running, columns).
        caution: logarithm of the chance that a trial has a result, by features; None if all had.
    """

    embedding: Embedding
    model: GaussianProcess | StackedProcess
    best: float
    waiting: Array
    caution: Callable[[Array], Array] | None

    def promise(self, cube: Array) -> Array:
        """How promising snapped points are, shape (n,); -inf in the close surroundings of running trials."""
        features = self.embedding(cube)
        promise = log_expected_improvement(*self.model.predict(features), self.best)
        if self.caution is not None:
            promise += self.caution(features)
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
            mean, deviation, by_mean, by_deviation = self.model.slopes(self.embedding(cube))
            of_mean, of_deviation = improvement_slopes(mean, deviation, self.best)
            slope = of_mean[:, None] * by_mean + of_deviation[:, None] * by_deviation
            promise = log_expected_improvement(mean, deviation, self.best)
            return -float(promise.sum()), -self.embedding.pull(cube, slope)[moving]

        cube = cube.copy()
        bounds = [(0.0, 1.0)] * int(moving.sum())
        start = cube[moving]
        found = minimize(descent, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ASCENT})
        cube[moving] = found.x
        return cube
