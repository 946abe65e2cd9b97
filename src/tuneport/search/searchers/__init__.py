"""Searchers propose points. Each is a pure function of the seed, the trial's number and the history."""

from __future__ import annotations

from collections.abc import Sequence

from tuneport.errors import SearchError
from tuneport.model.study import (
    Algorithm,
    Anneal,
    Auto,
    Bayesian,
    CmaEs,
    Grid,
    Hyperband,
    Pbt,
    Plugin,
    Random,
    Sobol,
    Tpe,
)
from tuneport.search.protocols import Observation, Searcher
from tuneport.search.searchers.anneal import AnnealSearcher
from tuneport.search.searchers.bayesian import BayesianSearcher
from tuneport.search.searchers.cmaes import CmaEsSearcher
from tuneport.search.searchers.defaults import DefaultsFirst
from tuneport.search.searchers.grid import GridSearcher
from tuneport.search.searchers.plugins import load_searcher
from tuneport.search.searchers.precedents import Precedents, PrecedentsFirst
from tuneport.search.searchers.random import RandomSearcher
from tuneport.search.searchers.sobol import SobolSearcher
from tuneport.search.searchers.tpe import TpeSearcher
from tuneport.search.space import Space


def make_searcher(
    algorithm: Algorithm, space: Space, seed: int, history: Sequence[Observation] = (), *, staged: bool = False
) -> Searcher:
    """The searcher that an algorithm stands for.

    Args:
        algorithm: which one, and its settings; its own seed is not looked at.
        space: what is searched.
        seed: makes the suggestions repeatable, at least 0.
        history: trials of earlier jobs that fit; see `Precedents`. Random searchers and grids do not look at them.
        staged: whether observations have rungs.

    Raises:
        SearchError: a grid over an infinite space, a plug-in that is not there, or auto, which stands for another one.
        MissingExtraError: the package that the algorithm stands on is not installed.
    """
    precedents = Precedents(space, history, seed)
    searcher = _searcher(algorithm, space, seed, precedents, staged)
    if isinstance(algorithm, Grid):
        return searcher
    if searcher.adaptive and precedents:
        return PrecedentsFirst(searcher, space, precedents.best())
    has_defaults = any(dimension.parameter.default is not None for dimension in space.dimensions)
    return DefaultsFirst(searcher, space, seed) if has_defaults or isinstance(algorithm, Bayesian) else searcher


def _searcher(algorithm: Algorithm, space: Space, seed: int, precedents: Precedents, staged: bool) -> Searcher:
    match algorithm:
        case Random() | Hyperband() | Pbt():
            return RandomSearcher(space, seed, repeats=isinstance(algorithm, Pbt))
        case Sobol():
            return SobolSearcher(space, seed)
        case Anneal():
            return AnnealSearcher(algorithm, space, seed)
        case Tpe():
            return TpeSearcher(algorithm, space, seed)
        case Bayesian():
            return BayesianSearcher(algorithm, space, seed, precedents, staged=staged)
        case CmaEs():
            return CmaEsSearcher(algorithm, space, seed)
        case Plugin():
            return load_searcher(algorithm, space, seed)
        case Grid():
            return GridSearcher(space)
        case Auto():
            raise SearchError("auto stands for another algorithm: tuneport.search.choice says which")
