"""What a model says of points that have not been tried: how promising they are, and which way is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tuneport.search.dimensions import Array
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.gaussian_process import Process
from tuneport.search.searchers.improvement import improvement_slopes, log_expected_improvement

_APART = 0.01
"""How far, in some feature, a proposal is from every running trial."""
_ASCENT = 20
"""Iterations of an ascent."""


class Term(Protocol):
    """One reason why a place is promising, as a logarithm; logarithms of independent reasons add up."""

    def log(self, features: Array) -> Array:
        """The logarithm, shape (n,), at places of shape (n, columns)."""
        ...

    def slopes(self, features: Array) -> tuple[Array, Array]:
        """What `log` says, and its gradients by the features, shape (n, columns)."""
        ...


@dataclass(frozen=True, slots=True)
class Improvement:
    """The logarithm of the expected improvement of one loss.

    Attributes:
        model: of the warped losses.
        best: what is to be improved upon.
    """

    model: Process
    best: float

    def log(self, features: Array) -> Array:
        """See `Term.log`."""
        return log_expected_improvement(*self.model.predict(features), self.best)

    def slopes(self, features: Array) -> tuple[Array, Array]:
        """See `Term.slopes`."""
        mean, deviation, by_mean, by_deviation = self.model.slopes(features)
        of_mean, of_deviation = improvement_slopes(mean, deviation, self.best)
        slope = of_mean[:, None] * by_mean + of_deviation[:, None] * by_deviation
        return log_expected_improvement(mean, deviation, self.best), slope


@dataclass(frozen=True, slots=True)
class Outlook:
    """The logarithm of what may be expected of a trial, and nothing where trials run already.

    Attributes:
        embedding: turns points into features.
        terms: what adds up: how much would be gained, and the chances of what must come true for a trial to count.
        waiting: features of running trials, shape (running, columns).
    """

    embedding: Embedding
    terms: Sequence[Term]
    waiting: Array

    def promise(self, cube: Array) -> Array:
        """How promising snapped points are, shape (n,); -inf in the close surroundings of running trials."""
        features = self.embedding(cube)
        promise: Array = np.sum([term.log(features) for term in self.terms], axis=0)
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
            features = self.embedding.moved(before, cube)
            ways = [term.slopes(features) for term in self.terms]
            promise, slope = sum(value.sum() for value, _ in ways), np.sum([slope for _, slope in ways], axis=0)
            return -float(promise), -self.embedding.pull(cube, slope)[moving]

        cube, before = cube.copy(), self.embedding(cube)
        bounds = [(0.0, 1.0)] * int(moving.sum())
        start = cube[moving]
        found = minimize(descent, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ASCENT})
        cube[moving] = found.x
        return cube
