"""Nothing is proposed twice while there is something new."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Generic, TypeVar

import numpy as np

from tuneport.errors import SpaceExhaustedError
from tuneport.model.word import Scalar
from tuneport.search.dimensions import Array
from tuneport.search.protocols import Observation
from tuneport.search.space import Key, Space

T = TypeVar("T")


class Followed(Generic[T]):
    """A value per ended trial, each worked out once. It is a cache: the answer depends on the argument alone.

    Args:
        derive: gives the value of one trial.
    """

    def __init__(self, derive: Callable[[Observation], T]) -> None:
        self._derive = derive
        self._of: list[Observation] = []
        self._values: list[T] = []

    def follow(self, finished: Sequence[Observation]) -> Sequence[T]:
        """The values in the order of `finished`; only what differs from the call before is worked out anew."""
        same = list(map(operator.is_, self._of, finished))
        kept = same.index(False) if False in same else len(same)
        self._of[kept:] = finished[kept:]
        self._values[kept:] = map(self._derive, finished[kept:])
        return self._values


class Novelty:
    """Keeps a searcher from proposing a point again that has ended or is running, whatever came of it."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._keys: Followed[Key] = Followed(lambda observation: space.key(observation.parameters))

    def seen(self, finished: Sequence[Observation], pending: Iterable[Mapping[str, Scalar]]) -> AbstractSet[Key]:
        """The points that there have been.

        Raises:
            SpaceExhaustedError: these are all that there are.
        """
        seen = set(self._keys.follow(finished))
        seen.update(map(self._space.key, pending))
        if self._space.size is not None and len(seen) >= self._space.size:
            raise SpaceExhaustedError(
                f"all {self._space.size} points of the search space have been suggested",
                hint="widen the space, or ask for fewer trials",
            )
        return seen

    def first_new(self, draws: Iterable[Array], seen: AbstractSet[Key], rng: np.random.Generator) -> dict[str, Scalar]:
        """The first of `draws` that has not been seen.

        If all have been, a finite space gives some other new point; in an infinite space, where only a branch without
        continuous parameters can be used up, the last draw is taken as it is.

        Args:
            draws: at least one vector of the cube, shape (d,) each.
            seen: the points that there have been, fewer than the space has.
            rng: chooses among the points that are left.
        """
        point: dict[str, Scalar] = {}
        for vector in draws:
            point = self._space.decode(vector)
            if self._space.key(point) not in seen:
                return point
        if self._space.size is None:
            return point
        return next_new(self._space, int(rng.random() * self._space.size), seen)


def next_new(space: Space, start: int, seen: AbstractSet[Key]) -> dict[str, Scalar]:
    """The first unseen point of a finite space from rank `start` on, going round at the end; there must be one."""
    around = chain(range(start, space.size or 0), range(start))
    return next(point for point in map(space.point, around) if space.key(point) not in seen)
