"""The tree-structured Parzen estimator (Bergstra et al. 2011), over all parameters at once (Falkner et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from tuneport.model.study import Tpe
from tuneport.model.word import Scalar
from tuneport.search.dimensions import Array
from tuneport.search.protocols import Observation
from tuneport.search.searchers.evidence import Evidence, EvidenceReader
from tuneport.search.searchers.novelty import Novelty
from tuneport.search.searchers.parzen import Parzen
from tuneport.search.space import Space

_MOST_GOOD = 25
"""More good trials only blur the picture."""
_RANDOM_DRAWS = 64
"""Draws from the whole space before a used-up corner of it is given up."""


class TpeSearcher:
    """Draws where good trials are dense and others are not.

    Trials are split into the best share `gamma`, at most 25, and the rest. Failed trials and running ones belong to the
    rest, so that nothing is drawn to them. Of `candidates` draws from the density of the good ones, that with the
    largest ratio of the two densities is taken.
    """

    adaptive = True

    def __init__(self, algorithm: Tpe, space: Space, seed: int) -> None:
        self._algorithm = algorithm
        self._space = space
        self._seed = seed
        self._novelty = Novelty(space)
        self._reader = EvidenceReader(space, seed)

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """A point that resembles good trials more than others; see `Searcher.suggest`."""
        seen = self._novelty.seen(finished, pending)
        rng = np.random.default_rng([self._seed, number])
        anywhere = (rng.random(len(self._space)) for _ in range(_RANDOM_DRAWS))
        evidence = self._reader.read(finished, number, by_front=True).penalised()
        if number <= self._algorithm.initial_trials or not evidence.usable:
            return self._novelty.first_new(anywhere, seen, rng)
        running = self._space.cube(pending)
        draws = chain(self.draws(evidence, running, rng), anywhere)
        return self._novelty.first_new(draws, seen, rng)

    def draws(self, evidence: Evidence, running: Array, rng: np.random.Generator) -> Iterator[Array]:
        """Candidates, the most promising first.

        Args:
            evidence: with a result at least, and places where bounds are broken; see `Evidence.penalised`.
            running: points of running trials, shape (running, d).
            rng: draws the candidates.
        """
        order = np.argsort(evidence.losses, kind="stable")  # those without a result come last
        count = min(math.ceil(self._algorithm.gamma * evidence.usable), _MOST_GOOD)
        rest = np.concatenate([evidence.cube[order[count:]], running])
        good_density, density = Parzen(self._space, evidence.cube[order[:count]]), Parzen(self._space, rest)
        candidates = good_density.draw(self._algorithm.candidates, rng)
        ratio = good_density.log(candidates) - density.log(candidates)
        yield from candidates[np.argsort(-ratio, kind="stable")]
