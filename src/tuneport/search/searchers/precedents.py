"""What earlier jobs found, brought into the space of this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuneport.model.word import Scalar
from tuneport.search.dimensions import Array
from tuneport.search.protocols import Observation, Searcher
from tuneport.search.searchers.evidence import EvidenceReader
from tuneport.search.space import Key, Space

_FIRST = 3
"""Trials that repeat the best of earlier jobs."""
_GOOD = 0.25
"""Share of the earlier trials whose surroundings are explored first."""
_ROOM = 0.1
"""How far the box around them is widened, on each side, as a share of its own width; at least of the whole."""


class Precedents:
    """The trials of earlier jobs that mean something here; see `tuneport.model.history.fit`.

    With several objectives, the best are those that no other beats, each in another direction.

    Args:
        space: the search space of today.
        fitting: those trials: points of it, each with a loss, in any numbers.
        seed: source of the directions.
    """

    def __init__(self, space: Space, fitting: Sequence[Observation], seed: int = 0) -> None:
        self._space = space
        self._fitting = fitting
        self._reader = EvidenceReader(space, seed)

    def __len__(self) -> int:
        return len(self._fitting)

    def best(self) -> list[dict[str, Scalar]]:
        """The best few points, all different."""
        points: dict[Key, dict[str, Scalar]] = {}
        for number in range(1, _FIRST + 1):
            for point in map(self._space.decode, self._ranked(number)):
                if self._space.key(point) not in points:
                    points[self._space.key(point)] = point
                    break
        return list(points.values())

    def measured(self) -> list[tuple[Array, Array] | None]:
        """Per objective, points of the cube where it was measured, shape (n, d), and its losses there, shape (n,).

        None for one that no trial has.
        """
        cube = self._space.cube([one.parameters for one in self._fitting])
        return [_measured(cube, column) for column in self._reader.table(self._fitting).T]

    def _ranked(self, number: int) -> Array:
        """The points of the cube, best first, for the proposal of a trial; shape (n, d)."""
        return self._reader.read(self._fitting, number, by_front=True).ranked()

    def box(self) -> tuple[Array, Array]:
        """The least and greatest coordinates of the good ones, with some room (after Perrone et al. 2019)."""
        good = self._ranked(0)[: max(int(_GOOD * len(self)), _FIRST)]
        low, high = np.zeros(len(self._space)), np.ones(len(self._space))
        for index, column in enumerate(good.T):
            active = column[~np.isnan(column)]
            if len(active):
                room = max(_ROOM * float(np.ptp(active)), _ROOM)
                low[index], high[index] = max(active.min() - room, 0), min(active.max() + room, 1)
        return low, high


def _measured(cube: Array, losses: Array) -> tuple[Array, Array] | None:
    there = np.isfinite(losses)
    return (cube[there], losses[there]) if there.any() else None


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
