"""What the user would have taken, or is likely to have had in mind, comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuneport.model.word import Scalar
from tuneport.search.protocols import Observation, Searcher
from tuneport.search.space import Space


class DefaultsFirst:
    """Proposes the defaults as trial 1, and the middle of what has none; then leaves it to another searcher.

    Whoever writes a range tends to put around the middle what they expect to be good (trial 1 of Song et al. 2024, "The
    Vizier Gaussian Process Bandit Algorithm", is the middle as well).

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
        vector = self._space.centre(np.random.default_rng([self._seed, number]))
        for index, dimension in enumerate(self._space.dimensions):
            if dimension.parameter.default is not None:
                vector[index] = dimension.coordinate(dimension.parameter.default)
        return self._space.decode(vector)
