"""What ended trials say, as arrays for a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tuneport.search.dimensions import Array
from tuneport.search.pareto import fronts
from tuneport.search.protocols import Observation
from tuneport.search.searchers.novelty import Followed
from tuneport.search.searchers.warping import nearly_best, sensible, warped
from tuneport.search.space import Space

_FRONTED = 50
"""Trials among which fronts are told apart; nobody takes more for good."""
_NEARLY = 0.03
"""How far from the best a loss is as good as the best, as a share of the way to the median."""
_MARGIN = 0.1
"""How far beyond the worst result the point lies from which hypervolumes are measured, per objective."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Ended trials in the order of their numbers.

    Attributes:
        cube: their points in the unit cube, shape (n, d), NaN for inactive parameters.
        losses: what is to be made small, shape (n,); NaN for those that have no result.
        excess: by how much they break each constraint, shape (n, constraints); NaN for those that have no result.
        objectives: from how many the losses come.
    """

    cube: Array
    losses: Array
    excess: Array
    objectives: int = 1

    @property
    def legal(self) -> npt.NDArray[np.bool_]:
        """Which have a result and keep all constraints, shape (n,)."""
        return np.isfinite(self.losses) & (self.excess <= 0).all(axis=1)

    def credible(self) -> Evidence:
        """The same without losses that are so far out that the trial has failed, whatever it says."""
        return replace(self, losses=sensible(self.losses))

    def penalised(self) -> Evidence:
        """The same with places for losses: first all that keep the constraints, by loss, then by how much they break.

        After Deb 2000. What breaks several constraints adds up, each in units of the median of what breaks it.
        """
        legal, usable = self.legal, np.isfinite(self.losses)
        if (legal == usable).all():
            return self
        breaks = np.clip(self.excess, 0, 1e300)
        units = np.array([np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in breaks.T])
        with np.errstate(over="ignore"):
            amount = np.minimum(breaks / units, 1e9).sum(axis=1)
        order = np.lexsort((self.losses, amount, ~legal, ~usable))
        places = np.empty(len(order))
        places[order] = np.arange(len(order))
        return replace(self, losses=np.where(usable, places, math.nan))

    @property
    def usable(self) -> int:
        """Number of trials that have a result."""
        return int(np.isfinite(self.losses).sum())

    def since_best(self) -> int:
        """Number of trials after the first that was nearly as good as the best one, or of all if none has a result.

        A search that creeps along a valley finds a new best with every other trial, and nothing to speak of. Where
        there are places rather than losses, as among trials that all break a bound, nearly as good says nothing.
        """
        if not self.usable:
            return len(self.losses)
        if self.objectives > 1 or not self.legal.any():
            return len(self.losses) - 1 - int(np.nanargmin(self.penalised().losses))
        limit = nearly_best(self.losses[self.legal], _NEARLY)
        return len(self.losses) - 1 - int(np.argmax(self.legal & (self.losses <= limit)))

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
        self._excess = Followed(lambda seen: seen.excess)

    def read(self, finished: Sequence[Observation], number: int, *, by_front: bool = False) -> Evidence:
        """The evidence of these trials for the proposal of trial `number`.

        With `by_front`, for those who go by the order of the losses alone, trials that few others beat come first.
        """
        cube = np.array(self._points.follow(finished), dtype=float).reshape(-1, self._width)
        losses = self.table(finished)
        objectives = losses.shape[1]
        bounds = _completed_rows(self._excess.follow(finished), 0)
        if objectives == 1:
            return Evidence(cube, np.where(np.isfinite(losses[:, 0]), losses[:, 0], math.nan), bounds)
        rng = np.random.default_rng([self._seed, number, objectives])
        scalars = scalarised(losses, np.abs(rng.normal(size=objectives)))
        return Evidence(cube, _by_front(losses, scalars) if by_front else scalars, bounds, objectives)

    def table(self, finished: Sequence[Observation]) -> Array:
        """The losses of every objective, shape (n, objectives); not finite where nothing is known."""
        return _completed_rows(self._losses.follow(finished), 1)


def _completed_rows(rows: Sequence[tuple[float, ...] | None], width: int) -> Array:
    """Rows of equal lengths, `width` if there are none, with NaN for those that are missing."""
    width = max((len(row) for row in rows if row), default=width)
    return np.array([row or (math.nan,) * width for row in rows], dtype=float).reshape(len(rows), width)


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


def _by_front(losses: Array, scalars: Array) -> Array:
    """Places by front first, then by scalarised loss; NaN stays where there is no result."""
    front = fronts(np.where(np.isfinite(losses), losses, math.inf), _FRONTED)
    places = np.empty(len(losses))
    places[np.lexsort((scalars, front))] = np.arange(len(losses))
    return np.where(np.isnan(scalars), math.nan, places)


def completed(losses: Array) -> Array:
    """Losses of one objective, with those that are missing as bad as the worst; shape (n,)."""
    known = np.isfinite(losses)
    return np.where(known, losses, losses[known].max() if known.any() else 0.0)


def _depth(losses: Array) -> Array:
    """Warped losses, measured from just beyond the worst one."""
    values = warped(completed(losses))
    return np.asarray(values - values.max() - _MARGIN)
