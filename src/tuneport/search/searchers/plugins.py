"""Searchers that other packages offer under the entry points `tuneport.searchers`."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from tuneport.errors import SearchError
from tuneport.model.study import Plugin
from tuneport.model.word import did_you_mean
from tuneport.search.protocols import Searcher, SearcherFactory
from tuneport.search.space import Space

GROUP = "tuneport.searchers"
"""Entry points of this group are called as `SearcherFactory` says."""


def load_searcher(algorithm: Plugin, space: Space, seed: int) -> Searcher:
    """The searcher of a plug-in.

    Raises:
        SearchError: it is not installed, cannot be loaded, or does not take these options.
        MissingExtraError: a package that it stands on is not installed.
    """
    make = _factory(_found(algorithm.name))
    try:
        return make(space, seed, algorithm.options)
    except (TypeError, ValueError) as error:
        raise SearchError(f"the searcher '{algorithm.name}' does not take its options: {error}") from error


def packages_of(name: str) -> list[str]:
    """The package that offers a searcher, and those that the searcher says it stands on; else only the name.

    Whoever reads what a searcher has proposed can do without it; `load_searcher` says why it cannot be had.
    """
    try:
        found = _found(name)
        factory = _factory(found)
    except SearchError:
        return [name]
    offering = [found.dist.name] if found.dist is not None else []
    return [*offering, *getattr(factory, "packages", ())]


def _found(name: str) -> EntryPoint:
    offered = entry_points(group=GROUP)
    if name not in offered.names:
        raise SearchError(
            f"no installed package offers a searcher '{name}'; {did_you_mean(name, sorted(offered.names))}",
            hint=f"install the package that has it among its entry points {GROUP}",
        )
    return offered[name]


def _factory(found: EntryPoint) -> SearcherFactory:
    try:
        factory: SearcherFactory = found.load()
    except Exception as error:  # whatever somebody's module raises
        raise SearchError(f"the searcher '{found.name}' ({found.value}) cannot be loaded: {error}") from error
    return factory
