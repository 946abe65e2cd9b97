"""What earlier jobs found, brought into the space of this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

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
    """The trials of earlier jobs that mean something here; see `tuneport.model.history.fit`.

    Args:
        space: the search space of today.
        fitting: those trials: points of it, each with a loss, in any numbers.

    Attributes:
        evidence: where they were, and their primary losses.
    """

    def __init__(self, space: Space, fitting: Sequence[Observation]) -> None:
        self._space = space
        cube = space.cube([one.parameters for one in fitting])
        losses = np.array([one.losses[0] for one in fitting if one.losses is not None], dtype=float)
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
