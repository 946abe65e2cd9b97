"""Bounds on other metrics: what is best, where is searched, and the chances against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tuneport.errors import JobError
from tuneport.model.parameters import Float
from tuneport.model.results import TrialState
from tuneport.model.study import Anneal, Bayesian, CmaEs, Constraint, StudySpec, Tpe, minimize
from tuneport.search.protocols import Observation
from tuneport.search.searchers.bayesian import BayesianSearcher
from tuneport.search.searchers.evidence import Evidence
from tuneport.search.searchers.feasibility import Chance, scaled_excess
from tuneport.search.searchers.gaussian_process import GaussianProcess, Kernel
from tuneport.search.space import Space
from tuneport.search.study import Study

SQUARE = [Float("x", 0, 1), Float("y", 0, 1)]
SAFE = Constraint("heat", at_most=0.5)
DONE = TrialState.SUCCEEDED
searchers = pytest.mark.parametrize(
    "algorithm", [Bayesian(), Tpe(), Anneal(), CmaEs()], ids=lambda algorithm: algorithm.kind
)


def played(algorithm, trials, seed=0, least=0.0):
    """The loss falls towards the corner (1, 1), the heat rises there: the best legal loss is 0.5."""
    study = Study(
        StudySpec(parameters=SQUARE, objectives=[minimize("loss")], constraints=[SAFE], algorithm=algorithm), seed=seed
    )
    for _ in range(trials):
        trial = study.ask()
        x, y = trial.parameters["x"], trial.parameters["y"]
        study.tell(trial, {"loss": 2 - x - y, "heat": least + (x + y) / 2 - 0.25})
    return study


@searchers
def test_the_edge_of_what_is_allowed_is_found(algorithm):
    study = played(algorithm, 40)
    assert study.best.metrics["heat"] <= 0.5
    assert study.best.metrics["loss"] < (0.502 if isinstance(algorithm, Bayesian) else 0.65)
    assert study.pareto == (study.best,)


@searchers
@pytest.mark.parametrize("failed", [{1}, {2, 3}, {1, 4, 9}], ids=str)
def test_trials_without_a_result_do_no_harm(algorithm, failed):
    study = Study(
        StudySpec(parameters=SQUARE, objectives=[minimize("loss")], constraints=[SAFE], algorithm=algorithm), seed=0
    )
    for number in range(1, 15):
        trial = study.ask()
        study.tell(trial, {"loss": math.nan if number in failed else trial.parameters["x"], "heat": 0.1})
    assert study.best.metrics["loss"] < 0.5


def test_a_plateau_outside_of_what_is_allowed_is_no_tie():
    """Only trials that count make the model ask for more of an improvement."""

    def margin(*rows):
        """By how much more an improvement must improve, after trials with a loss and an excess."""
        places = enumerate(rows, start=1)
        seen = [Observation(n, {"x": n / 20, "y": n / 20}, (loss,), DONE, (excess,)) for n, (loss, excess) in places]
        searcher = BayesianSearcher(Bayesian(), Space(SQUARE), 0)
        evidence = searcher._reader.read(seen, 20)
        features = searcher._embedding(evidence.cube)
        (gain,) = searcher._improvement(evidence, seen, features, features[:0], None)
        return float(gain.model.mean(features[evidence.legal]).min()) - gain.best

    allowed = [(1.0, -1.0), (2.0, -1.0), (3.0, -1.0)]
    assert margin(*[(0.0, 1.0)] * 6, *allowed) == pytest.approx(0, abs=1e-9)
    assert margin((0.0, 1.0), *[(1.0, -1.0)] * 2, *allowed) == pytest.approx(0.2), "two more than one share the best"


def test_where_nothing_is_allowed_the_way_out_is_sought():
    """All early trials break the bound; only a corner of a hundredth of the space does not."""
    study = played(Bayesian(), 30, least=0.68)
    assert study.best is not None
    assert study.best.metrics["heat"] <= 0.5


def test_a_trial_that_breaks_a_bound_is_never_best():
    study = Study(StudySpec(parameters=SQUARE, objectives=[minimize("loss")], constraints=[SAFE]), seed=0)
    for loss, heat in ((1.0, 0.7), (2.0, None), (3.0, math.nan)):
        study.tell(study.ask(), {"loss": loss} if heat is None else {"loss": loss, "heat": heat})
    assert study.best is None
    study.tell(study.ask(), {"loss": 9.0, "heat": 0.5})
    assert study.best.id == 4
    study.propose()


def test_a_bound_says_by_how_much_it_is_broken():
    band = Constraint("m", at_least=1, at_most=3)
    assert [band.excess(value) for value in (0, 1, 2, 3, 5)] == [1, 0, -1, 0, 2]
    assert band.excess(None) == band.excess(math.nan) == math.inf
    for wrong in ({"metric": "m"}, {"metric": "m", "at_least": 2, "at_most": 1}):
        with pytest.raises(JobError):
            StudySpec(parameters=SQUARE, objectives=[minimize("loss")], constraints=[wrong])


ROWS = st.lists(
    st.tuples(st.none() | st.floats(-1e300, 1e300), st.floats(-1e300, 1e300) | st.just(math.inf)), min_size=1
)


@given(ROWS)
def test_what_breaks_a_bound_comes_after_all_that_does_not(rows):
    losses = np.array([math.nan if loss is None else loss for loss, _ in rows])
    excess = np.array([[one] for _, one in rows])
    penalised = Evidence(np.empty((len(rows), 0)), losses, excess).penalised().losses
    assert list(np.isnan(penalised)) == list(np.isnan(losses))
    legal, broken = penalised[excess[:, 0] <= 0], penalised[excess[:, 0] > 0]
    if np.isfinite(legal).any() and np.isfinite(broken).any():
        assert np.nanmax(legal) < np.nanmin(broken)


@given(st.lists(st.floats(-1e300, 1e300) | st.just(math.inf), min_size=1))
def test_scaling_an_excess_keeps_its_sign_and_its_order(excess):
    excess = np.array(excess)
    out = scaled_excess(excess)
    assert np.isfinite(out).all()
    assert ((out > 0) <= (excess > 0)).all()
    assert ((out < 0) <= (excess < 0)).all()
    assert (np.diff(out[np.argsort(excess)]) >= 0).all()


def test_a_chance_is_that_of_the_normal_distribution_and_so_are_its_slopes():
    rng = np.random.default_rng(0)
    kernel = Kernel(np.array([0.4, 0.8]), amplitude=1.3, noise=0.01, groups=np.arange(2))
    model = GaussianProcess(kernel, rng.random((12, 2)), rng.normal(size=12))
    chance, places, step = Chance(model, 0.3, 0.05), rng.random((6, 2)), 1e-6
    mean, deviation = model.predict(places)
    expected = norm.logcdf((0.3 - mean) / np.sqrt(deviation**2 + 0.05))
    value, slopes = chance.slopes(places)
    np.testing.assert_allclose(value, expected)
    np.testing.assert_allclose(chance.log(places), expected)
    for column in range(2):
        move = step * np.eye(2)[column]
        numeric = (chance.log(places + move) - chance.log(places - move)) / (2 * step)
        np.testing.assert_allclose(slopes[:, column], numeric, rtol=1e-4, atol=1e-6)
