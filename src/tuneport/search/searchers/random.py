"""Independent draws from the space (Bergstra and Bengio 2012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuneport.model.word import Scalar
from tuneport.search.protocols import Observation
from tuneport.search.searchers.novelty import Novelty
from tuneport.search.space import Space

_DRAWS = 64
"""Draws before a used-up corner of the space is given up."""


class RandomSearcher:
    """Draws every parameter evenly on its own scale.

    Args:
        space: the search space.
        seed: makes the draws repeatable.
        repeats: a point may come twice, as in a population, whose members will differ all the same.
    """

    adaptive = False

    def __init__(self, space: Space, seed: int, *, repeats: bool = False) -> None:
        self._space = space
        self._seed = seed
        self._novelty = None if repeats else Novelty(space)

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """An independent draw; see `Searcher.suggest`."""
        rng = np.random.default_rng([self._seed, number])
        if self._novelty is None:
            return self._space.decode(rng.random(len(self._space)))
        seen = self._novelty.seen(finished, pending)
        return self._novelty.first_new((rng.random(len(self._space)) for _ in range(_DRAWS)), seen, rng)
