"""Search while halving goes on: what short trials say is used for what it is."""

import math

import numpy as np

from tuneport.model.parameters import Categorical, Float, Int
from tuneport.model.results import TrialState
from tuneport.model.study import Asha, Bayesian, Random, minimize
from tuneport.search.protocols import Decision, Observation
from tuneport.search.searchers import make_searcher
from tuneport.search.searchers.fidelity import StagedEmbedding
from tuneport.search.space import Space
from tuneport.search.study import Study

from .spaces import bowl, check_legal, spec


def test_a_trial_says_what_it_had_at_the_rungs():
    study = Study(spec([Float("x", 0, 1)], Random(), early_stopping=Asha(min_resource=2, reduction_factor=2)), seed=0)
    trial = study.ask()
    for step, loss in ((1, 9.0), (2, 8.0), (3, 7.0), (5, math.nan), (9, 5.0), (11, 4.0)):
        study.report(trial, {"loss": loss}, step=step)
    study.tell(trial)
    assert study._finished[0].rungs == ((2, 8.0), (8, 5.0), (11, 4.0))  # at 4 it was not a number
    assert Study(spec([Float("x", 0, 1)], Random()), seed=0)._stages is None


def test_features_say_how_far_along_a_measurement_was():
    space = Space([Float("x", 0, 1), Categorical("c", ["a", "b"])])
    embedding = StagedEmbedding(space)
    seen = [
        Observation(1, {"x": 0.2, "c": "a"}, (3.0,), TrialState.STOPPED, (), ((1, 5.0), (3, 3.0))),
        Observation(2, {"x": 0.4, "c": "b"}, (1.0,), TrialState.SUCCEEDED, (), ((1, 4.0), (3, 2.0), (9, 1.0))),
        Observation(3, {"x": 0.6, "c": "b"}, (7.0,), TrialState.SUCCEEDED),
    ]
    features, losses = embedding.staged(np.stack([space.encode(one.parameters) for one in seen]), seen)
    np.testing.assert_allclose(features[:, -1], [0, 0.5, 0, 0.5, 1, 1])
    np.testing.assert_allclose(features[:, 0], [0.2, 0.2, 0.4, 0.4, 0.4, 0.6])
    assert list(losses) == [5, 3, 4, 2, 1, 7]
    assert list(embedding.groups) == [0, 1, 1, 2]
    cube = space.snap(np.random.default_rng(0).random((4, 2)))
    assert (embedding(cube)[:, -1] == 1).all()


def test_short_trials_are_not_taken_for_bad_ones():
    """All trials of the better half were stopped at step 1, where every loss is 1 higher than at the end."""
    space = Space([Float("x", 0, 1)])
    seen = []
    for number, x in enumerate(np.linspace(0, 1, 24), 1):
        loss = (x - 0.75) ** 2
        rungs = ((1, loss + 1),) if x > 0.5 else ((1, loss + 1), (27, loss))
        seen.append(Observation(number, {"x": float(x)}, (rungs[-1][1],), TrialState.SUCCEEDED, (), rungs))
    proposals = {
        staged: [
            make_searcher(Bayesian(initial_trials=5), space, seed, staged=staged).suggest(25, seen, [])["x"]
            for seed in range(3)
        ]
        for staged in (True, False)
    }
    assert min(proposals[True]) > 0.65
    assert max(proposals[False]) < 0.5


def test_a_study_with_halving_is_replayed_to_the_same_suggestion():
    parameters = [Float("x", 0, 1), Int("n", 1, 9)]
    events = []
    halved = spec(parameters, Bayesian(initial_trials=4), minimize("loss"), early_stopping=Asha(max_resource=9))
    study = Study(halved, seed=5, on_event=events.append)
    for _ in range(14):
        trial = study.ask()
        check_legal(parameters, trial.parameters)
        for step in range(1, 10):
            decision = study.report(trial, {"loss": bowl(trial.parameters) + 1 / step}, step=step)
            if decision is not Decision.CONTINUE:
                break
        study.tell(trial, state=TrialState.STOPPED if decision is Decision.STOP else None)
    assert {len(one.rungs) for one in study._finished} > {1}
    assert Study.replay(halved, events, seed=5).propose() == study.propose()
