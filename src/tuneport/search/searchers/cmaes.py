"""Covariance matrix adaptation (Hansen 2016), over mixed spaces (Hamano et al. 2025), by the package `cmaes`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tuneport.errors import MissingExtraError
from tuneport.model.parameters import Categorical
from tuneport.model.study import CmaEs
from tuneport.model.word import Scalar
from tuneport.search.dimensions import Array
from tuneport.search.protocols import Observation
from tuneport.search.searchers.evidence import Evidence, EvidenceReader
from tuneport.search.searchers.novelty import Novelty
from tuneport.search.space import Space

_DRAWS = 64
"""Draws before a used-up corner of the space is given up, first of the strategy's own, then from the whole space."""


class CmaEsSearcher:
    """Draws from a normal distribution that moves towards good trials and takes the shape of their valley.

    Generations are made of the trials that have ended, in the order of their numbers, whoever proposed them; those
    without a result count as the worst. So trials run in any order and any number at a time, and a replay arrives at
    the same distribution. Inactive parameters count as the middle of their range, or next to it. A distribution that
    has shrunk to a point, or has come to a plateau, starts anew somewhere else, with twice the population (Auger and
    Hansen 2005).
    """

    adaptive = True

    def __init__(self, algorithm: CmaEs, space: Space, seed: int) -> None:
        try:
            from cmaes import CatCMAwM  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError("cmaes needs the package cmaes", hint="pip install 'tuneport[cmaes]'") from error
        self._strategy = CatCMAwM
        self._algorithm = algorithm
        self._space = space
        self._seed = seed
        self._novelty = Novelty(space)
        self._reader = EvidenceReader(space, seed)
        varying = [(index, one) for index, one in enumerate(space.dimensions) if one.count != 1]
        self._choices = [index for index, one in varying if isinstance(one.parameter, Categorical)]
        self._listed = [index for index, one in varying if not one.fine and index not in self._choices]
        self._ranges = [index for index, one in varying if one.fine]
        # Of two values it is one of them: right between them the strategy cannot say how likely either is.
        self._middle = np.array([one.snap(np.asarray(0.5)) for one in space.dimensions])
        self._state: tuple[bytes, Any, int] | None = None

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """A draw from the distribution that the ended generations led to; see `Searcher.suggest`."""
        seen = self._novelty.seen(finished, pending)
        rng = np.random.default_rng([self._seed, number])
        return self._novelty.first_new(self._draws(self._reader.read(finished, number).penalised(), rng), seen, rng)

    def _draws(self, evidence: Evidence, rng: np.random.Generator) -> Iterator[Array]:
        if self._choices or self._listed or self._ranges:
            strategy = self._led_by(evidence)
            strategy.reseed_rng(int(rng.integers(2**32)))
            yield from (self._vector(strategy.ask()) for _ in range(_DRAWS))
        yield from (rng.random(len(self._space)) for _ in range(_DRAWS))

    def _led_by(self, evidence: Evidence) -> Any:
        """The strategy after all whole generations; it goes on from the last call's if that saw their beginning."""
        points, losses = np.where(np.isnan(evidence.cube), self._middle, evidence.cube), evidence.losses
        strategy, done = self._begun(0), 0
        if self._state is not None and self._state[0] == self._key(points, losses, self._state[2]):
            _, strategy, done = self._state
        while done + strategy.population_size <= len(losses):
            generation = slice(done, done + strategy.population_size)
            # Ranks are all that the strategy goes by; NaN comes last, and equals have different ones.
            ranks = np.argsort(np.argsort(losses[generation], kind="stable"), kind="stable")
            solutions = map(self._solution, points[generation])
            strategy.tell([(solution, float(rank)) for solution, rank in zip(solutions, ranks, strict=True)])
            done = generation.stop
            if self._used_up(strategy, losses[generation]):
                strategy = self._begun(done, 2 * strategy.population_size)
        self._state = self._key(points, losses, done), strategy, done
        return strategy

    def _used_up(self, strategy: Any, losses: Array) -> bool:
        """Whether a generation was all the same, or the distribution has shrunk to a point."""
        numbers = bool(self._ranges or self._listed)
        return bool((losses == losses[0]).all()) or (numbers and bool(strategy.should_stop()))

    def _begun(self, done: int, population: int | None = None) -> Any:
        """A new strategy; the first one begins in the middle."""
        width = len(self._ranges) + len(self._listed)
        rng = np.random.default_rng([self._seed, 0, done])
        return self._strategy(
            x_space=[(0.0, 1.0)] * len(self._ranges) or None,
            z_space=[self._cells(index) for index in self._listed] or None,
            c_space=[self._space.dimensions[index].count or 1 for index in self._choices] or None,
            mean=rng.random(width) if done else np.full(width, 0.5),
            sigma=self._algorithm.sigma,
            cov=np.eye(width),
            population_size=population or self._algorithm.population_size,
            seed=0,
        )

    def _cells(self, index: int) -> list[float]:
        dimension = self._space.dimensions[index]
        return [float(u) for u in dimension.middle(np.arange(dimension.count or 1, dtype=float))]

    @staticmethod
    def _key(points: Array, losses: Array, count: int) -> bytes:
        return points[:count].tobytes() + losses[:count].tobytes()

    def _solution(self, point: Array) -> Any:
        """A trial as the strategy knows its own."""
        x, z = point[self._ranges], point[self._listed]
        codes = [self._space.dimensions[index].code(point[index]) for index in self._choices]
        most = max((self._space.dimensions[index].count or 1 for index in self._choices), default=0)
        return self._strategy.Solution(
            x if self._ranges else None,
            z if self._listed else None,
            np.array(codes)[:, None] == np.arange(most) if self._choices else None,
            np.concatenate([x, z]),
        )

    def _vector(self, solution: Any) -> Array:
        vector = np.full(len(self._space), 0.5)
        if self._ranges:
            vector[self._ranges] = solution.x
        if self._listed:
            vector[self._listed] = solution.z
        for row, index in enumerate(self._choices):
            vector[index] = (int(np.argmax(solution.c[row])) + 0.5) / (self._space.dimensions[index].count or 1)
        return vector
