"""What ended trials say, as arrays for a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuneport.search.protocols import Observation
from tuneport.search.searchers.novelty import Followed
from tuneport.search.space import Array, Space


@dataclass(frozen=True, slots=True)
class Evidence:
    """Ended trials in the order of their numbers.

    Attributes:
        cube: their points in the unit cube, shape (n, d), NaN for inactive parameters.
        losses: their primary losses, shape (n,); NaN for those that have no result.
    """

    cube: Array
    losses: Array

    @property
    def usable(self) -> int:
        """Number of trials that have a result."""
        return int(np.isfinite(self.losses).sum())

    def since_best(self) -> int:
        """Number of trials after the best one, or of all if none has a result."""
        return len(self.losses) - 1 - int(np.nanargmin(self.losses)) if self.usable else len(self.losses)

    def ranked(self) -> Array:
        """Points of the trials that have a result, best first, of equals the earlier one; shape (usable, d)."""
        order = np.argsort(self.losses, kind="stable")  # NaN comes last
        return self.cube[order[: self.usable]]


class EvidenceReader:
    """Turns observations into arrays, each observation once."""

    def __init__(self, space: Space) -> None:
        self._width = len(space)
        self._rows: Followed[tuple[float, ...]] = Followed(lambda seen: (_loss(seen), *space.encode(seen.parameters)))

    def read(self, finished: Sequence[Observation]) -> Evidence:
        """The evidence of these trials."""
        table = np.array(self._rows.follow(finished), dtype=float).reshape(-1, 1 + self._width)
        return Evidence(cube=table[:, 1:], losses=table[:, 0])


def _loss(observation: Observation) -> float:
    loss = math.nan if observation.losses is None else observation.losses[0]
    return loss if math.isfinite(loss) else math.nan
