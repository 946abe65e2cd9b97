"""What the user would have taken comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuneport.model.word import Scalar
from tuneport.search.protocols import Observation, Searcher
from tuneport.search.space import Space


class DefaultsFirst:
    """Proposes the defaults as trial 1, with a draw for parameters that have none; then leaves it to another searcher.

    Args:
        searcher: proposes all later trials.
        space: the search space.
        seed: source of the draws.
    """

    def __init__(self, searcher: Searcher, space: Space, seed: int) -> None:
        self.adaptive = searcher.adaptive
        self._searcher = searcher
        self._space = space
        self._seed = seed

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """The defaults, or what the other searcher says; see `Searcher.suggest`."""
        if number > 1:
            return self._searcher.suggest(number, finished, pending)
        vector = np.random.default_rng([self._seed, number]).random(len(self._space))
        for index, dimension in enumerate(self._space.dimensions):
            if dimension.parameter.default is not None:
                vector[index] = dimension.coordinate(dimension.parameter.default)
        return self._space.decode(vector)
