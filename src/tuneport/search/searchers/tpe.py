"""The tree-structured Parzen estimator (Bergstra et al. 2011), one parameter at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from tuneport.model.study import Tpe
from tuneport.model.word import Scalar
from tuneport.search.protocols import Observation
from tuneport.search.searchers.evidence import Evidence, EvidenceReader
from tuneport.search.searchers.novelty import Novelty
from tuneport.search.searchers.parzen import Density, density
from tuneport.search.space import Array, Space

_MODEL_DRAWS = 8
_RANDOM_DRAWS = 64
"""Points drawn from the densities, then from the whole space, before a used-up corner is given up."""


class TpeSearcher:
    """Draws where good trials are dense and others are not.

    Trials are split into the best share `gamma` and the rest; failed trials and running ones belong to the rest, so
    that nothing is drawn to them. For each parameter, from the trials in which it was active, two densities are made;
    of `candidates` draws from the good one, that with the largest ratio of good to rest is taken.
    """

    adaptive = True

    def __init__(self, algorithm: Tpe, space: Space, seed: int) -> None:
        self._algorithm = algorithm
        self._space = space
        self._seed = seed
        self._novelty = Novelty(space)
        self._reader = EvidenceReader(space)

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """A point that resembles good trials more than others; see `Searcher.suggest`."""
        seen = self._novelty.seen(finished, pending)
        rng = np.random.default_rng([self._seed, number])
        anywhere = (rng.random(len(self._space)) for _ in range(_RANDOM_DRAWS))
        evidence = self._reader.read(finished)
        if number <= self._algorithm.initial_trials or not evidence.usable:
            return self._novelty.first_new(anywhere, seen, rng)
        running = [self._space.encode(parameters) for parameters in pending]
        draws = chain(self._draws(evidence, running, rng), anywhere)
        return self._novelty.first_new(draws, seen, rng)

    def _draws(self, evidence: Evidence, running: Sequence[Array], rng: np.random.Generator) -> Iterator[Array]:
        good, rest = self._split(evidence, running)
        pairs = [
            (density(dimension, good[:, index]), density(dimension, rest[:, index]))
            for index, dimension in enumerate(self._space.dimensions)
        ]
        for _ in range(_MODEL_DRAWS):
            yield np.array([self._best_draw(*pair, rng) for pair in pairs])

    def _split(self, evidence: Evidence, running: Sequence[Array]) -> tuple[Array, Array]:
        """Points of the good trials, and of all others."""
        order = np.argsort(evidence.losses, kind="stable")  # those without a result come last
        good = math.ceil(self._algorithm.gamma * evidence.usable)
        rest = evidence.cube[order[good:]]
        return evidence.cube[order[:good]], np.concatenate([rest, np.reshape(running, (-1, len(self._space)))])

    def _best_draw(self, good: Density, rest: Density, rng: np.random.Generator) -> float:
        draws = good.draw(self._algorithm.candidates, rng)
        return float(draws[np.argmax(good.log(draws) - rest.log(draws))])
