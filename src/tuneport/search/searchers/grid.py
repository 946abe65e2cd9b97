"""Every point of a finite space, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuneport.errors import SearchError
from tuneport.model.word import Scalar
from tuneport.search.protocols import Observation
from tuneport.search.searchers.novelty import Novelty, next_new
from tuneport.search.space import Space


class GridSearcher:
    """Trial n is point n in the order written, the last parameter fastest.

    Where that point has been tried already, because somebody asked for it by hand, the next free one is taken; what was
    passed over meanwhile comes at the end.

    Attributes:
        size: number of points, known before the first is tried.

    Raises:
        SearchError: the space is infinite.
    """

    adaptive = False

    def __init__(self, space: Space) -> None:
        if space.size is None:
            endless = [dimension.parameter.name for dimension in space.dimensions if dimension.count is None]
            raise SearchError(f"a grid needs a step for {', '.join(endless)}")
        self.size = space.size
        self._space = space
        self._novelty = Novelty(space)

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """The next point of the grid; see `Searcher.suggest`."""
        seen = self._novelty.seen(finished, pending)
        return next_new(self._space, (number - 1) % self.size, seen)
