"""Searchers propose points. Each is a pure function of the seed, the trial's number and the history."""

from __future__ import annotations

from tuneport.model.study import Algorithm, Grid, Hyperband, Random
from tuneport.search.protocols import Searcher
from tuneport.search.searchers.defaults import DefaultsFirst
from tuneport.search.searchers.grid import GridSearcher
from tuneport.search.searchers.random import RandomSearcher
from tuneport.search.space import Space


def make_searcher(algorithm: Algorithm, space: Space, seed: int) -> Searcher:
    """The searcher that an algorithm stands for.

    Args:
        algorithm: which one, and its settings; its own seed is not looked at.
        space: what is searched.
        seed: makes the suggestions repeatable, at least 0.

    Raises:
        SearchError: a grid over an infinite space.
    """
    if isinstance(algorithm, Grid):
        return GridSearcher(space)
    searcher = _searcher(algorithm, space, seed)
    if any(dimension.parameter.default is not None for dimension in space.dimensions):
        return DefaultsFirst(searcher, space, seed)
    return searcher


def _searcher(algorithm: Algorithm, space: Space, seed: int) -> Searcher:
    match algorithm:
        case Random() | Hyperband():
            return RandomSearcher(space, seed)
    return RandomSearcher(space, seed)
