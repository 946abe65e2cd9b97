"""Annealing by ever smaller steps from good trials, after hyperopt's `anneal.suggest` (Bergstra et al. 2013)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tuneport.model.parameters import Categorical
from tuneport.model.study import Anneal
from tuneport.model.word import Scalar
from tuneport.search.dimensions import Array
from tuneport.search.protocols import Observation
from tuneport.search.searchers.evidence import EvidenceReader
from tuneport.search.searchers.novelty import Novelty
from tuneport.search.space import Space

_DRAWS = 32
_WIDENING = 1.25
"""A step that leads to a known point is drawn again, this much wider, so that small finite spaces are not a trap."""


class AnnealSearcher:
    """Steps from a trial drawn among the best, within a window that shrinks with the number of results.

    After n results the window spans w = 1 / (1 + n * shrink) of each range, moved inside the range at its ends; a
    choice is drawn anew with probability w, and else kept. Parameters that the trial did not have are drawn from their
    whole range. The trial is the k-th best with k from a geometric distribution of mean `average_best`.
    """

    adaptive = True

    def __init__(self, algorithm: Anneal, space: Space, seed: int) -> None:
        self._algorithm = algorithm
        self._space = space
        self._seed = seed
        self._novelty = Novelty(space)
        self._reader = EvidenceReader(space, seed)
        self._unordered = np.array([isinstance(one.parameter, Categorical) for one in space.dimensions])

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """A step from a good trial; see `Searcher.suggest`."""
        seen = self._novelty.seen(finished, pending)
        rng = np.random.default_rng([self._seed, number])
        ranked = self._reader.read(finished, number, by_front=True).penalised().ranked()
        return self._novelty.first_new(self._draws(ranked, rng), seen, rng)

    def _draws(self, ranked: Array, rng: np.random.Generator) -> Iterator[Array]:
        width = 1 / (1 + len(ranked) * self._algorithm.shrink)
        for _ in range(_DRAWS):
            centre = np.full(len(self._space), np.nan)
            if len(ranked):
                rank = rng.geometric(1 / self._algorithm.average_best)
                centre = ranked[min(rank, len(ranked)) - 1]
            yield self._step(centre, width, rng)
            width = min(width * _WIDENING, 1.0)

    def _step(self, centre: Array, width: float, rng: np.random.Generator) -> Array:
        fresh, dice = rng.random((2, len(self._space)))
        start = np.clip(centre - width / 2, 0, 1 - width)
        kept = self._unordered & (dice >= width)
        moved = np.where(self._unordered, np.where(kept, centre, fresh), start + width * fresh)
        return np.where(np.isnan(centre), fresh, moved)
