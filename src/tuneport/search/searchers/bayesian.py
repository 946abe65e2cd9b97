"""Bayesian optimisation with a Gaussian process (Snoek et al. 2012; log expected improvement of Ament et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from tuneport.model.parameters import Categorical
from tuneport.model.study import Bayesian, Tpe
from tuneport.model.word import Scalar
from tuneport.search.dimensions import Array
from tuneport.search.protocols import Observation
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.evidence import Evidence, EvidenceReader
from tuneport.search.searchers.expectation import LossLearner
from tuneport.search.searchers.feasibility import ChanceLearner
from tuneport.search.searchers.fidelity import StagedEmbedding
from tuneport.search.searchers.hypervolume import MOST_OBJECTIVES, VolumeLearner
from tuneport.search.searchers.learning import representative
from tuneport.search.searchers.novelty import Novelty
from tuneport.search.searchers.outlook import Improvement, Outlook, Term
from tuneport.search.searchers.precedents import Precedents
from tuneport.search.searchers.threads import one_thread
from tuneport.search.searchers.tpe import TpeSearcher
from tuneport.search.searchers.warping import nearly_best
from tuneport.search.space import Space

_INITIAL = 5
"""Trials before a model is asked, where nobody has said how many."""
_SPREAD = 512
"""Candidates from all over the space."""
_BEST = 5
"""Good trials, and later good candidates, around which is searched."""
_ON_FRONT = 12
"""Points of the front around which is searched, where there are several objectives."""
_SCALES = (0.1, 0.01)
"""Sizes of steps from them, round by round."""
_STEPS = 32
"""Steps from each, per round."""
_MOVED = 8
"""Parameters that a step changes, on average at most."""
_CLIMBERS = 4
"""Candidates that are moved uphill at the end."""
_PATIENCE = 5
"""Trials without a clearly better one, after which suggestions with even numbers doubt the kernel."""
_SHORTEST = 0.1
"""How far lengths shrink in doubt."""
_LAST_RESORT = 10
"""Trials without a clearly better one, after which every fourth suggestion is not the model's in any case."""
_PER_TIE, _MOST = 0.1, 0.5
"""By how much more, in standard deviations, an improvement must improve for every trial that shares the best loss."""
_DRAWS = 64
"""Random draws where no model can be asked, before a used-up corner of the space is given up."""


class BayesianSearcher:
    """Asks a model of the losses where an improvement is most to be expected.

    After the middle of the space (see `DefaultsFirst`), the first trials are a Latin hypercube; where earlier jobs are
    known, in a box around their good trials, and what they make expect is the mean around which the model varies, as
    far as it agrees with what is seen. A running trial counts as what the model expects of it, with no doubt left, and
    its close surroundings wait for its result, so that trials asked for together differ. Where trials fail, and where
    they keep each constraint, are models of their own; before any trial keeps them all, these alone are followed.

    Trials that share the best loss lie on a plateau, where a model expects slight improvements for ever: the more there
    are, the more an improvement has to improve.

    No kernel may fit, as where losses jump: of every four suggestions, the fourth is drawn by the densities of
    `TpeSearcher`, which assume no smoothness. Trials side by side, and along the front of several objectives, are
    varied as it is: there this is the last resort, when no trial has been clearly better for long.

    When none has been for a while, the kernel may be too sure of what it has not seen: the second suggestion, and the
    fourth if it is the model's, then take shorter lengths, the shorter the longer this lasts (after Berkenkamp et al.
    2019).
    """

    adaptive = True

    def __init__(
        self,
        algorithm: Bayesian,
        space: Space,
        seed: int,
        precedents: Precedents | None = None,
        *,
        staged: bool = False,
    ) -> None:
        self._space = space
        self._precedents = precedents
        self._seed = seed
        self._novelty = Novelty(space)
        self._reader = EvidenceReader(space, seed)
        self._embedding = StagedEmbedding(space) if staged else Embedding(space)
        self._initial = algorithm.initial_trials or _INITIAL
        self._densities = TpeSearcher(Tpe(initial_trials=1), space, seed)
        past = precedents.measured() if precedents else [None]
        self._loss = LossLearner(self._embedding, self._initial, past[0])
        self._volumes = VolumeLearner(self._embedding, self._initial, past)
        self._chances = ChanceLearner(self._embedding, self._initial)
        self._unordered = np.array([isinstance(one.parameter, Categorical) for one in space.dimensions])
        # What others exist under is not moved in small steps: the way would lead past their being there or not.
        switches = {one.parameter.when.parameter for one in space.dimensions if one.parameter.when}
        self._fine = np.array([one.fine and one.parameter.name not in switches for one in space.dimensions])
        # A step along a parameter with few values must be able to reach the next one.
        self._least = np.array([1 / one.count if one.count else 0.0 for one in space.dimensions])

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """The most promising new point; see `Searcher.suggest`."""
        seen = self._novelty.seen(finished, pending)
        rng = np.random.default_rng([self._seed, number])
        by_front = self._reader.table(finished).shape[1] <= MOST_OBJECTIVES  # beyond, the losses are what is modelled
        evidence = self._reader.read(finished, number, by_front=by_front).credible()
        since_best = evidence.since_best()
        running = self._space.cube(pending)
        varied = len(running) > 0 or evidence.objectives > 1
        draws: Iterable[Array]
        if number <= self._initial or evidence.usable < 2:
            draws = self._exploring(number, rng)
        elif number % 4 == 0 and (since_best >= _LAST_RESORT or not varied):
            draws = chain(self._densities.draws(evidence.penalised(), running, rng), self._exploring(number, rng))
        else:
            doubt = since_best - _PATIENCE if number % 2 == 0 else 0
            with one_thread():
                draws = self._promising(self._outlook(evidence, finished, running, doubt), evidence, rng)
        return self._novelty.first_new(draws, seen, rng)

    def _exploring(self, number: int, rng: np.random.Generator) -> Iterator[Array]:
        if number <= self._initial:
            design = latin_hypercube(self._initial, len(self._space), np.random.default_rng([self._seed, 0]))
            low, high = self._precedents.box() if self._precedents else (0.0, 1.0)
            yield low + design[number - 1] * (high - low)
        for _ in range(_DRAWS):
            yield rng.random(len(self._space))

    def _promising(self, outlook: Outlook, evidence: Evidence, rng: np.random.Generator) -> Array:
        """Candidates, the most promising first, shape (candidates, d)."""
        good = evidence.penalised().ranked()[: _BEST if evidence.objectives == 1 else _ON_FRONT]
        spread = latin_hypercube(_SPREAD, len(self._space), rng)
        pool = self._space.snap(np.concatenate([spread, *(self._steps(good, scale, rng) for scale in _SCALES)]))
        promise = outlook.promise(pool)
        for scale in _SCALES:
            centres = pool[np.argsort(-promise, kind="stable")[:_BEST]]
            steps = self._space.snap(self._steps(centres, scale, rng))
            pool, promise = np.concatenate([pool, steps]), np.concatenate([promise, outlook.promise(steps)])
        best = pool[np.argsort(-promise, kind="stable")[:_CLIMBERS]]
        climbed = self._space.snap(outlook.climbed(best, self._fine))
        pool, promise = np.concatenate([pool, climbed]), np.concatenate([promise, outlook.promise(climbed)])
        return np.asarray(pool[np.argsort(-promise, kind="stable")])

    def _outlook(self, evidence: Evidence, finished: Sequence[Observation], running: Array, doubt: int) -> Outlook:
        usable = np.isfinite(evidence.losses)
        features, waiting = self._embedding(evidence.cube), self._embedding(running)
        shrunk = max(_PATIENCE / (_PATIENCE + doubt), _SHORTEST) if doubt > 0 else None
        gain: Sequence[Term]
        if 1 < evidence.objectives <= MOST_OBJECTIVES:
            losses = self._reader.table(finished)[usable]
            gain = self._volumes.improvement(features[usable], losses, evidence.legal[usable], waiting, shrunk)
        else:
            gain = self._improvement(evidence, finished, features, waiting, shrunk)
        failures = self._chances.of_a_result(features, usable)
        bounds = self._chances.of_bounds(features[usable], evidence.excess[usable])
        return Outlook(self._embedding, [*gain, *failures, *bounds], waiting)

    def _improvement(
        self,
        evidence: Evidence,
        finished: Sequence[Observation],
        features: Array,
        waiting: Array,
        doubt: float | None,
    ) -> list[Improvement]:
        """How much less the one loss may become; nothing where no trial keeps all constraints."""
        measured, losses = self._measured(evidence, finished, features)
        model = self._loss.model(measured, losses, waiting, doubt)
        everything = len(losses) == np.isfinite(evidence.losses).sum() and not evidence.excess.shape[1]
        kept = np.concatenate([measured[representative(losses)], waiting]) if everything else features[evidence.legal]
        if not len(kept):
            return []
        legal = evidence.losses[evidence.legal]
        ties = np.count_nonzero(legal <= nearly_best(legal)) - 1
        return [Improvement(model, float(model.mean(kept).min()) - min(_PER_TIE * ties, _MOST))]

    def _measured(self, evidence: Evidence, finished: Sequence[Observation], features: Array) -> tuple[Array, Array]:
        """Where something was measured, and what: once per trial, or once per rung where there are rungs."""
        usable = np.isfinite(evidence.losses)
        if not isinstance(self._embedding, StagedEmbedding):
            return features[usable], evidence.losses[usable]
        trials = [one for one, known in zip(finished, usable, strict=True) if known]
        return self._embedding.staged(evidence.cube[usable], trials)

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
