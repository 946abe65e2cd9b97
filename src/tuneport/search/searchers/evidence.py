"""What ended trials say, as arrays for a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuneport.search.protocols import Observation
from tuneport.search.searchers.novelty import Followed
from tuneport.search.searchers.warping import warped
from tuneport.search.space import Array, Space

_MARGIN = 0.1
"""How far beyond the worst result the point lies from which hypervolumes are measured, per objective."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Ended trials in the order of their numbers.

    Attributes:
        cube: their points in the unit cube, shape (n, d), NaN for inactive parameters.
        losses: what is to be made small, shape (n,); NaN for those that have no result.
    """

    cube: Array
    losses: Array

    @property
    def usable(self) -> int:
        """Number of trials that have a result."""
        return int(np.isfinite(self.losses).sum())

    def since_best(self) -> int:
        """Number of trials after the best one, or of all if none has a result."""
        return len(self.losses) - 1 - int(np.nanargmin(self.losses)) if self.usable else len(self.losses)

    def ranked(self) -> Array:
        """Points of the trials that have a result, best first, of equals the earlier one; shape (usable, d)."""
        order = np.argsort(self.losses, kind="stable")  # NaN comes last
        return self.cube[order[: self.usable]]


class EvidenceReader:
    """Turns observations into arrays, each observation once.

    Several objectives become one loss, with another weighting for every trial that is proposed, so that all of the
    Pareto front is approached.

    Args:
        space: the search space.
        seed: source of the weightings, together with the trial's number.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._seed = seed
        self._width = len(space)
        self._points = Followed(lambda seen: space.encode(seen.parameters))
        self._losses = Followed(lambda seen: seen.losses)

    def read(self, finished: Sequence[Observation], number: int) -> Evidence:
        """The evidence of these trials for the proposal of trial `number`."""
        cube = np.array(self._points.follow(finished), dtype=float).reshape(-1, self._width)
        rows = self._losses.follow(finished)
        objectives = max((len(row) for row in rows if row is not None), default=1)
        table = np.array([(math.nan,) * objectives if row is None else row for row in rows], dtype=float)
        losses = table.reshape(-1, objectives)
        if objectives == 1:
            return Evidence(cube, np.where(np.isfinite(losses[:, 0]), losses[:, 0], math.nan))
        rng = np.random.default_rng([self._seed, number, objectives])
        return Evidence(cube, scalarised(losses, np.abs(rng.normal(size=objectives))))


def scalarised(losses: Array, weights: Array) -> Array:
    """Several losses as one, whose least value lies on the Pareto front, in the direction of the weights.

    Averaged over directions drawn evenly from the positive part of the sphere, what it falls short of 0 measures the
    hypervolume that the trials dominate (Zhang and Golovin 2020, "Random Hypervolume Scalarizations").

    Args:
        losses: shape (n, objectives). A row without a first loss stays without a result; any other loss that is
            missing counts as the worst.
        weights: a direction, above 0, shape (objectives,).

    Returns:
        shape (n,), NaN where there is no result.
    """
    usable = np.isfinite(losses[:, 0])
    out = np.full(len(losses), math.nan)
    if usable.any():
        columns = [_depth(column) for column in losses[usable].T]
        out[usable] = (np.stack(columns, axis=1) / (weights / np.linalg.norm(weights))).max(axis=1)
    return out


def _depth(losses: Array) -> Array:
    """Warped losses, measured from just beyond the worst one; those that are missing are as bad as the worst."""
    known = np.isfinite(losses)
    depth = np.zeros(len(losses))
    if known.any():
        values = warped(losses[known])
        depth[known] = values - values.max()
    return depth - _MARGIN
