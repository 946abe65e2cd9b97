"""What searches a run is settled when it begins, recorded, and told; constraints decide what is best."""

import sys
from pathlib import Path

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.engine.executors.function import FunctionExecutor
from tuneport.errors import MissingExtraError, SearchError
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Float
from tuneport.model.results import RunReason, RunState
from tuneport.model.study import Auto, Bayesian, CmaEs, Constraint, Plugin, Sobol, StudySpec, minimize
from tuneport.model.trial_spec import TrialSpec
from tuneport.search import study as searching


def made(client, algorithm, parallel=4, **more):
    study = StudySpec(
        parameters=[Float("x", 0, 1)], objectives=[minimize("loss", target=0.5)], algorithm=algorithm, **more
    )
    budget = Budget(max_trials=8, parallel_trials=parallel)
    job = TuningJob(name="test", study=study, trial=TrialSpec(function="here:loss"), budget=budget)
    return client.create(job, Path.cwd(), FunctionExecutor.name, "1")


def measured(x):
    return {"loss": 2 - x, "heat": x}


def test_what_auto_stands_for_is_recorded_with_its_version(client):
    run = made(client, Auto())
    client.drive(run, None, measured)
    search = client.result(run).search
    assert (search.algorithm.kind, search.version.split()[0]) == ("sobol", "tuneport")
    assert search.algorithm.seed is not None
    assert "8 trials, 4 at a time" in search.reason


def test_what_auto_stood_for_stays_whatever_it_would_stand_for_today(client, monkeypatch):
    run = made(client, Auto())
    client.drive(run, None, measured)
    before = client.result(run)
    monkeypatch.setattr(searching, "chosen", lambda *_: (Plugin(name="optuna"), "tuneport 99", "fashion"))
    again = LocalClient(client._settings, client._contracts).result(run)
    assert again.search == before.search
    assert again.trials == before.trials


@pytest.mark.parametrize("algorithm", [Plugin(name="nimbus"), CmaEs()], ids=["plugin", "cmaes"])
def test_a_run_is_stopped_without_what_searches_it(client, monkeypatch, algorithm):
    """But it does not go on without it."""
    monkeypatch.setitem(sys.modules, "cmaes", None)
    run = made(client, algorithm)
    client.stop(run)
    assert client.result(run).state is RunState.STOPPED
    with pytest.raises((SearchError, MissingExtraError)):
        client.drive(run, None, measured)


@pytest.mark.parametrize("bounded", [False, True])
def test_a_trial_that_breaks_a_bound_reaches_no_target(client, bounded):
    """The target of 0.5 lies where x, the heat, is above its bound."""
    run = made(client, Sobol(seed=1), constraints=[Constraint("heat", at_most=0.4)] if bounded else [])
    client.drive(run, None, lambda x: {"loss": 1 - x, "heat": x})
    result = client.result(run)
    assert (result.reason is RunReason.TARGET) is not bounded
    if bounded:
        assert result.best.metrics["heat"] <= 0.4
        assert result.pareto == (result.best,)


@pytest.mark.parametrize(
    ("algorithm", "parallel", "ahead"),
    [(Bayesian(seed=1), 4, True), (Sobol(seed=1), 1, True), (Bayesian(seed=1), 1, False)],
    ids=["learns, four places", "does not learn, one place", "learns, one place"],
)
def test_one_suggestion_is_prepared_while_all_places_are_taken(client, monkeypatch, algorithm, parallel, ahead):
    """And it is started next; but who learns from one trial at a time is not asked before its result is there."""
    thought, propose = [], searching.Study.propose

    def noted(study, parent=None):
        point = propose(study, parent)
        thought.append((len(study.running), point))
        return point

    monkeypatch.setattr(searching.Study, "propose", noted)
    run = made(client, algorithm, parallel)
    client.drive(run, None, measured)
    assert [point for _, point in thought] == [trial.parameters for trial in client.result(run).trials]
    running = [count for count, _ in thought]
    assert running[:parallel] == list(range(parallel))
    assert running[parallel] == (parallel if ahead else 0)
    assert max(running[parallel:]) == (parallel if ahead else 0)
