"""What earlier jobs found, brought into the space of this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuneport.model.history import broken_bounds
from tuneport.model.word import Scalar
from tuneport.search.dimensions import Array
from tuneport.search.protocols import Observation, Searcher
from tuneport.search.searchers.evidence import Evidence
from tuneport.search.space import Space

_FIRST = 3
"""Trials that repeat the best of earlier jobs."""
_GOOD = 0.25
"""Share of the earlier trials whose surroundings are explored first."""
_ROOM = 0.1
"""How far the box around them is widened, on each side, as a share of its own width; at least of the whole."""


class Precedents:
    """The trials of earlier jobs that are points of this space too.

    Values outside a range of today are no such points. A parameter that is new must have a default: what earlier trials
    had, in effect. Trials that break a bound of today are left out; see `tuneport.model.history.broken_bounds`.

    Args:
        space: the search space of today.
        history: trials with a loss, in any numbers.

    Attributes:
        evidence: those that fit, and their primary losses.
    """

    def __init__(self, space: Space, history: Sequence[Observation]) -> None:
        self._space = space
        known = [
            (space.encode(point), one.losses[0], one.excess)
            for one in history
            if one.losses is not None and (point := space.adopted(one.parameters)) is not None
        ]
        kept = np.array([bound is None for bound in broken_bounds([excess for *_, excess in known])], dtype=bool)
        cube = np.array([vector for vector, *_ in known], dtype=float).reshape(-1, len(space))[kept]
        losses = np.array([loss for _, loss, _ in known], dtype=float)[kept]
        self.evidence = Evidence(cube, losses, np.empty((len(losses), 0)))

    def __len__(self) -> int:
        return len(self.evidence.losses)

    def best(self) -> list[dict[str, Scalar]]:
        """The best few points, all different."""
        points = {self._space.key(point): point for point in map(self._space.decode, self.evidence.ranked())}
        return list(points.values())[:_FIRST]

    def box(self) -> tuple[Array, Array]:
        """The least and greatest coordinates of the good ones, with some room (after Perrone et al. 2019)."""
        good = self.evidence.ranked()[: max(int(_GOOD * len(self)), _FIRST)]
        low, high = np.zeros(len(self._space)), np.ones(len(self._space))
        for index, column in enumerate(good.T):
            active = column[~np.isnan(column)]
            if len(active):
                room = max(_ROOM * float(np.ptp(active)), _ROOM)
                low[index], high[index] = max(active.min() - room, 0), min(active.max() + room, 1)
        return low, high


class PrecedentsFirst:
    """Begins with the best of earlier jobs; then leaves it to another searcher.

    Args:
        searcher: proposes all later trials.
        space: the search space.
        points: what to begin with, best first.
    """

    def __init__(self, searcher: Searcher, space: Space, points: Sequence[Mapping[str, Scalar]]) -> None:
        self.adaptive = searcher.adaptive
        self._searcher = searcher
        self._space = space
        self._points = points

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """The next of the best, unless somebody has tried it by hand; see `Searcher.suggest`."""
        if number <= len(self._points):
            point = dict(self._points[number - 1])
            tried = [one.parameters for one in finished]
            if self._space.key(point) not in map(self._space.key, [*tried, *pending]):
                return point
        return self._searcher.suggest(number, finished, pending)
