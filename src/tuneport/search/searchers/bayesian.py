"""Bayesian optimisation with a Gaussian process (Snoek et al. 2012; log expected improvement of Ament et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tuneport.model.parameters import Categorical
from tuneport.model.study import Bayesian
from tuneport.model.word import Scalar
from tuneport.search.protocols import Observation
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.evidence import Evidence, EvidenceReader
from tuneport.search.searchers.gaussian_process import GaussianProcess, fit
from tuneport.search.searchers.improvement import log_expected_improvement
from tuneport.search.searchers.novelty import Novelty
from tuneport.search.searchers.warping import warped
from tuneport.search.space import Array, Space

_FITTED, _MODELLED = 150, 400
"""Most trials from which the kernel is learned, and most that the model holds; of more, the best and an even sample."""
_SPREAD = 512
"""Candidates from all over the space."""
_BEST = 5
"""Good trials, and later good candidates, around which is searched."""
_SCALES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Sizes of steps from them, round by round."""
_STEPS = 32
"""Steps from each, per round."""
_MOVED = 8
"""Parameters that a step changes, on average at most."""
_APART = 0.01
"""How far, in some feature, a proposal is from every running trial."""
_DRAWS = 64
"""Random draws where no model can be asked, before a used-up corner of the space is given up."""


class BayesianSearcher:
    """Asks a model of the losses where an improvement is most to be expected.

    The first trials are a Latin hypercube. A failed trial counts as bad as the worst that has a result; a running one
    as what the model expects of it, with no doubt left, and its close surroundings wait for its result, so that trials
    asked for together differ.
    """

    adaptive = True

    def __init__(self, algorithm: Bayesian, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._novelty = Novelty(space)
        self._reader = EvidenceReader(space)
        self._embedding = Embedding(space)
        self._initial = algorithm.initial_trials or min(max(len(space) + 1, 5), 15)
        self._unordered = np.array([isinstance(one.parameter, Categorical) for one in space.dimensions])
        # A step along a parameter with few values must be able to reach the next one.
        self._least = np.array([1 / one.count if one.count else 0.0 for one in space.dimensions])

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """The most promising new point; see `Searcher.suggest`."""
        seen = self._novelty.seen(finished, pending)
        rng = np.random.default_rng([self._seed, number])
        evidence = self._reader.read(finished)
        if number <= self._initial or evidence.usable < 2:
            draws = self._exploring(number, rng)
        else:
            running = np.reshape([self._space.encode(parameters) for parameters in pending], (-1, len(self._space)))
            draws = self._promising(evidence, running, rng)
        return self._novelty.first_new(draws, seen, rng)

    def _exploring(self, number: int, rng: np.random.Generator) -> Iterator[Array]:
        if number <= self._initial:
            design = latin_hypercube(self._initial, len(self._space), np.random.default_rng([self._seed, 0]))
            yield design[number - 1]
        for _ in range(_DRAWS):
            yield rng.random(len(self._space))

    def _promising(self, evidence: Evidence, running: Array, rng: np.random.Generator) -> Iterator[Array]:
        """Candidates, the most promising first."""
        model, best = self._model(evidence, running)
        waiting = self._embedding(running)

        def promise(cube: Array) -> Array:
            features = self._embedding(cube)
            waits = (np.abs(features[:, None] - waiting).max(axis=2) < _APART).any(axis=1)
            return np.where(waits, -np.inf, log_expected_improvement(*model.predict(features), best))

        good = evidence.ranked()[:_BEST]
        spread = latin_hypercube(_SPREAD, len(self._space), rng)
        pool = self._space.snap(np.concatenate([spread, *(self._steps(good, scale, rng) for scale in _SCALES)]))
        score = promise(pool)
        for scale in _SCALES:
            centres = pool[np.argsort(-score, kind="stable")[:_BEST]]
            steps = self._space.snap(self._steps(centres, scale, rng))
            pool, score = np.concatenate([pool, steps]), np.concatenate([score, promise(steps)])
        yield from pool[np.argsort(-score, kind="stable")]

    def _model(self, evidence: Evidence, running: Array) -> tuple[GaussianProcess, float]:
        """The model of the warped losses, and the least loss that it expects where there is a result."""
        usable = np.isfinite(evidence.losses)
        values = np.empty(len(usable))
        values[usable] = warped(evidence.losses[usable])
        values[~usable] = values[usable].max()
        features = self._embedding(evidence.cube)
        chosen = representative(values, _FITTED)
        kernel = fit(features[chosen], values[chosen], self._embedding.groups)
        chosen = representative(values, _MODELLED)
        model = GaussianProcess(kernel, features[chosen], values[chosen])
        best = float(model.mean(features[chosen[usable[chosen]]]).min())
        if len(running):
            waiting = self._embedding(running)
            features = np.concatenate([features[chosen], waiting])
            values = np.concatenate([values[chosen], model.mean(waiting)])
            model = GaussianProcess(kernel, features, values, exact=len(waiting))
        return model, best

    def _steps(self, centres: Array, scale: float, rng: np.random.Generator) -> Array:
        """Random steps from each of the centres, reflected at the faces of the cube; shape (steps, d)."""
        start = np.repeat(centres, _STEPS, axis=0)
        fresh = rng.random(start.shape)
        start = np.where(np.isnan(start), fresh, start)
        moves = rng.random(start.shape) < _MOVED / start.shape[1]
        moves[np.arange(len(start)), rng.integers(start.shape[1], size=len(start))] = True
        landing = start + rng.normal(size=start.shape) * np.maximum(scale, self._least)
        landing = np.clip(1 - np.abs(1 - np.abs(landing)), 0, 1)
        return np.where(moves, np.where(self._unordered, fresh, landing), start)


def latin_hypercube(count: int, width: int, rng: np.random.Generator) -> Array:
    """Points of the unit cube that fall into `count` different slices along every axis (McKay et al. 1979).

    Returns:
        shape (count, width).
    """
    slices = rng.permuted(np.tile(np.arange(count), (width, 1)), axis=1).T
    return (slices + rng.random((count, width))) / count


def representative(values: Array, limit: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Indices, ascending, of at most `limit` values: the best half of the limit, and an even sample of the others."""
    if len(values) <= limit:
        return np.arange(len(values))
    order = np.argsort(values, kind="stable")
    best, others = order[: limit // 2], np.sort(order[limit // 2 :])
    sample = others[np.linspace(0, len(others) - 1, limit - limit // 2).astype(np.intp)]
    return np.sort(np.concatenate([best, sample]))
