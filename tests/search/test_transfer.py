"""History of other jobs: what is taken over, and that it helps where it fits and does no harm where it does not."""

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneport.model.history import History, fit
from tuneport.model.parameters import Categorical, Float, Int, when
from tuneport.model.results import Measurement, Trial, TrialState
from tuneport.model.study import Anneal, Bayesian, Constraint, Random, Tpe, maximize, minimize
from tuneport.search.pareto import hypervolume
from tuneport.search.protocols import Observation
from tuneport.search.searchers import expectation
from tuneport.search.searchers.gaussian_process import GaussianProcess, Kernel, StackedProcess
from tuneport.search.searchers.learning import representative
from tuneport.search.searchers.precedents import Precedents
from tuneport.search.space import Space
from tuneport.search.study import Study

from .spaces import check_legal, spec

WIDE = [Float("x", -10, 10), Float("y", -10, 10), Float("z", -10, 10)]


def bowl(x0, y0, z0=1.0):
    return lambda point: (point["x"] - x0) ** 2 + (point["y"] - y0) ** 2 + (point["z"] - z0) ** 2


def played(loss, trials, algorithm=None, parameters=WIDE, seed=0, history=()):
    study = Study(spec(parameters, algorithm or Bayesian()), seed=seed, history=history)
    for _ in range(trials):
        trial = study.ask()
        check_legal(parameters, trial.parameters)
        study.tell(trial, {"loss": loss(trial.parameters)})
    return study


def test_related_history_is_a_head_start_and_a_misleading_one_is_overcome():
    today = bowl(3.0, -2.0)
    related = played(bowl(3.5, -1.5), 30, seed=9).trials
    misleading = played(lambda point: -bowl(2.5, -2.5)(point), 30, seed=9).trials

    def reached(history, trials):
        return statistics.median(
            played(today, trials, seed=seed, history=history).best.metrics["loss"] for seed in range(3)
        )

    assert reached(related, 8) < 0.3 * reached((), 8)
    assert reached(misleading, 25) < 1.0


def test_another_range_and_new_and_old_parameters():
    old = [Float("x", -100, 100), Float("gone", 0, 1), Categorical("c", ["a", "b"])]
    history = played(lambda point: point["x"] ** 2, 200, Random(), old).trials
    fitting = [one.parameters for one in history if abs(one.parameters["x"]) <= 10 and one.parameters["c"] == "a"]
    best = min(fitting, key=lambda point: abs(point["x"]))
    today = spec([Float("x", -10, 10), Categorical("c", ["a", "d"]), Int("new", 1, 5, default=3)], Bayesian())
    assert Study(today, seed=1, history=history).propose() == {"x": best["x"], "c": "a", "new": 3}
    unknown = spec([Float("x", -10, 10), Int("new", 1, 5)], Bayesian())  # nobody says what it was
    assert Study(unknown, seed=1, history=history).propose() == Study(unknown, seed=1).propose()


numbers = st.none() | st.integers(0, 4)


@settings(max_examples=100, deadline=None)
@given(said=st.lists(st.tuples(st.integers(-5, 15), numbers, numbers), max_size=8))
def test_a_study_begins_with_the_best_of_the_trials_that_fit(said):
    bounds = [Constraint("heat", at_most=2), Constraint("size", at_least=2)]
    study = spec([Float("x", 0, 1)], Anneal()).changed(constraints=bounds)
    trials = []
    for number, (x, heat, size) in enumerate(said, 1):
        metrics = {name: value for name, value in [("loss", x), ("heat", heat), ("size", size)] if value is not None}
        trials.append(
            Trial(id=number, parameters={"x": x / 10}, state="succeeded", final_measurement={"metrics": metrics})
        )
    fitting = {one.parameters["x"] for one in fit([History(source="earlier", trials=trials)], study).trials}
    today = Study(study, seed=1, history=trials)
    best = sorted(fitting)[:3]
    assert [today.ask().parameters["x"] for _ in best] == best
    if not fitting:
        assert today.propose() == Study(study, seed=1).propose()


def test_a_bound_on_a_new_metric_leaves_the_history_what_it_is():
    history = played(bowl(3.0, -2.0), 20, Random(), seed=3).trials
    best = min(history, key=lambda trial: trial.metrics["loss"])
    bounded = spec(WIDE, Bayesian()).changed(constraints=[Constraint("heat", at_most=0.5)])
    study = Study(bounded, seed=1, history=history)
    first = study.ask()
    assert first.parameters == best.parameters
    study.tell(first, {"loss": 0.0, "heat": 1.0})
    assert study.best is None, "today's trials have to keep it"


def test_the_box_holds_the_good_ones():
    space = Space([Float("x", 0, 1), Categorical("c", ["a", "b"]), Float("y", 0, 1, when=when("c", "b"))])
    cube = space.snap(np.random.default_rng(1).random((60, 3)))
    points = [space.decode(vector) for vector in cube]
    seen = [Observation(n, one, (abs(one["x"] - 0.4),), TrialState.SUCCEEDED) for n, one in enumerate(points)]
    low, high = Precedents(space, seen).box()
    good = sorted(points, key=lambda point: abs(point["x"] - 0.4))[:15]
    assert low[0] <= min(point["x"] for point in good)
    assert high[0] >= max(point["x"] for point in good)
    assert high[0] - low[0] < 0.6
    assert ((low >= 0) & (high <= 1)).all()


@pytest.mark.parametrize("algorithm", [Bayesian(), Tpe(), Anneal()], ids=lambda algorithm: algorithm.kind)
def test_it_begins_with_the_best_and_repeats_nothing(algorithm):
    history = played(bowl(3.0, -2.0), 20, Random(), seed=3).trials
    ranked = sorted(history, key=lambda trial: trial.metrics["loss"])
    study = Study(spec(WIDE, algorithm), seed=1, history=history)
    study.tell(study.ask(ranked[1].parameters), {"loss": 1.0})
    asked = [study.ask().parameters for _ in range(4)]
    assert asked[1] == ranked[2].parameters
    assert len({Space.key(point) for point in [*asked, ranked[1].parameters]}) == 5


def test_history_counts_the_way_the_goal_goes():
    history = played(bowl(3.0, -2.0), 20, Random(), seed=3).trials
    worst = max(history, key=lambda trial: trial.metrics["loss"])
    assert Study(spec(WIDE, Bayesian(), maximize("loss")), seed=1, history=history).propose() == worst.parameters


def test_history_without_results_changes_nothing():
    failed = Study(spec(WIDE, Random()), seed=2)
    for _ in range(5):
        failed.tell(failed.ask(), state=TrialState.FAILED)
    loss = bowl(1.0, 1.0)
    with_it, without = played(loss, 12, history=failed.trials), played(loss, 12)
    assert with_it.trials == without.trials


def test_a_replay_with_the_same_history_goes_on_in_the_same_way():
    history = played(bowl(3.0, -2.0), 20, Random(), seed=3).trials
    events = []
    study = Study(spec(WIDE, Bayesian()), seed=4, on_event=events.append, history=history)
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, {"loss": bowl(2.0, -2.0)(trial.parameters)})
    assert Study.replay(study.spec, events, seed=4, history=history).propose() == study.propose()


def two_bowls(study, trials, apart=0.0):
    """Two objectives, whose best points lie apart."""
    losses = {"cost": bowl(5.0 - apart, apart), "error": bowl(-5.0 - apart, 2.0 - apart)}
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, {name: loss(trial.parameters) for name, loss in losses.items()})
    return study


BOTH = spec(WIDE, Bayesian()).changed(objectives=[minimize("cost"), minimize("error")])


def test_related_history_of_two_objectives_is_a_head_start():
    related = two_bowls(Study(BOTH.changed(algorithm=Random()), seed=9), 40, apart=1.0).trials

    def reached(history):
        fronts = [two_bowls(Study(BOTH, seed=seed, history=history), 9).pareto for seed in range(4)]
        losses = [np.array([[one.metrics["cost"], one.metrics["error"]] for one in front]) for front in fronts]
        return statistics.median(hypervolume(front, np.full(2, 300.0)) for front in losses)

    assert reached(related) > reached(())


def test_what_comes_first_of_two_objectives_are_different_points_of_the_front():
    history = two_bowls(Study(BOTH.changed(algorithm=Random()), seed=9), 40)
    today = Study(BOTH, seed=1, history=history.trials)
    first = [today.ask().parameters for _ in range(3)]
    front = [one.parameters for one in history.pareto]
    assert all(point in front for point in first)
    assert len({Space.key(point) for point in first}) == 3


def test_an_objective_that_is_new_has_no_history():
    history = two_bowls(Study(BOTH.changed(algorithm=Random()), seed=9), 20).trials
    costs = [
        one.model_copy(update={"final_measurement": Measurement(metrics={"cost": one.metrics["cost"]})})
        for one in history
    ]
    study = two_bowls(Study(BOTH, seed=1, history=costs), 8)
    assert study.trials[0].parameters == min(history, key=lambda one: one.metrics["cost"]).parameters
    assert study.propose()


def test_a_stack_is_the_sum_of_its_parts():
    rng = np.random.default_rng(0)
    kernel = Kernel(np.ones(2), amplitude=1.0, noise=0.01, groups=np.arange(2))
    rest, base = (GaussianProcess(kernel, rng.random((9, 2)), rng.normal(size=9)) for _ in range(2))
    stack, places = StackedProcess(rest, base, 0.7), rng.random((5, 2))
    np.testing.assert_allclose(stack.mean(places), rest.mean(places) + 0.7 * base.mean(places))
    for ours, theirs in zip(stack.slopes(places)[:2], stack.predict(places), strict=True):
        np.testing.assert_allclose(ours, theirs)
    step = np.array([1e-6, 0.0])
    numeric = (stack.mean(places + step) - stack.mean(places - step)) / 2e-6
    np.testing.assert_allclose(stack.slopes(places)[2][:, 0], numeric, rtol=1e-4)


def test_a_model_holds_the_best_trials_whatever_history_expected_of_them(monkeypatch):
    """Not those that were better than expected, of which the worst may be."""
    held = []

    def expecting(kernel, features, values, waiting):
        held.append(features)
        return GaussianProcess(kernel, features, values)

    monkeypatch.setattr(expectation, "expecting", expecting)
    monkeypatch.setattr(expectation, "representative", lambda values: representative(values, 20))
    space = [Float("x", 0, 1)]
    history = played(lambda p: p["x"] ** 2, 40, Random(), space).trials
    study = played(lambda p: p["x"] ** 2 + 0.01 * np.sin(40 * p["x"]), 60, Random(), space, seed=5)
    seen = Study(spec(space, Bayesian()), seed=1, history=history)
    for trial in study.trials:
        seen.tell(seen.ask(trial.parameters), trial.metrics)
    seen.propose()
    best = sorted(study.trials, key=lambda trial: trial.metrics["loss"])[:10]
    assert {round(trial.parameters["x"], 9) for trial in best} <= {round(float(x), 9) for x in held[-1][:, 0]}
