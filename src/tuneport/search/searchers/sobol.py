"""A scrambled Sobol sequence (Owen 1998; direction numbers of Joe and Kuo 2008, as scipy has them)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from tuneport.model.word import Scalar
from tuneport.search.dimensions import Array
from tuneport.search.protocols import Observation
from tuneport.search.searchers.novelty import Novelty
from tuneport.search.space import Space

_DRAWS = 64
"""Random draws for a point that the sequence repeats, as it does where parameters have few values."""


class SobolSearcher:
    """Trial n is point n of the sequence; a point that has been tried is replaced by a random new one."""

    adaptive = False

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._novelty = Novelty(space)
        self._sequence: Array = np.empty((0, len(space)))

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """The next point of the sequence; see `Searcher.suggest`."""
        seen = self._novelty.seen(finished, pending)
        rng = np.random.default_rng([self._seed, number])
        others = (rng.random(len(self._space)) for _ in range(_DRAWS))
        return self._novelty.first_new(chain([self._point(number)], others), seen, rng)

    def _point(self, number: int) -> Array:
        """The `number`-th point, counted from 1. The sequence is made anew, twice as long, when it runs out."""
        if number > len(self._sequence):
            from scipy.stats.qmc import Sobol  # noqa: PLC0415 - takes most of a second

            engine = Sobol(len(self._space), scramble=True, seed=np.random.default_rng([self._seed, 0]))
            self._sequence = engine.random_base2(max(number - 1, 15).bit_length())
        return np.asarray(self._sequence[number - 1])
