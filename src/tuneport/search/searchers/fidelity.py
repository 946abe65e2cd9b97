"""Results after fewer steps, for a model that knows how many (after Swersky et al. 2014 and Klein et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuneport.search.dimensions import Array
from tuneport.search.protocols import Observation
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.space import Space


class StagedEmbedding(Embedding):
    """Features of points after all their steps; one more column says how far along a measurement was.

    It is the logarithm of the steps, as a share of that of the most steps: early rungs lie as far apart as late ones.
    """

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self.groups = np.append(self.groups, self.parameters)
        self.parameters += 1
        self.scales = np.append(self.scales, False)

    def __call__(self, cube: Array) -> Array:
        """The features of points after all their steps; see `Embedding`."""
        return np.column_stack([super().__call__(cube), np.ones(len(cube))])

    def staged(self, cube: Array, finished: Sequence[Observation]) -> tuple[Array, Array]:
        """Every result after some number of steps: its features, shape (rows, columns), and the losses, shape (rows,).

        A trial that says nothing of steps had all of them.

        Args:
            cube: the points of trials that have a result.
            finished: the same trials.
        """
        most = max((step for one in finished for step, _ in one.rungs), default=1)
        features, rows, shares, losses = self(cube), [], [], []
        for row, one in enumerate(finished):
            for step, loss in one.rungs or ((most, one.losses[0] if one.losses else np.nan),):
                rows.append(row)
                shares.append(np.log(max(step, 1)) / np.log(most) if most > 1 else 1.0)
                losses.append(loss)
        features = features[rows]
        features[:, -1] = shares
        return features, np.array(losses, dtype=float)
