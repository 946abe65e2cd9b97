"""What searches a run is settled when it begins, recorded, and told; constraints decide what is best."""

from pathlib import Path

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.engine.executors.function import FunctionExecutor
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Float
from tuneport.model.results import RunReason
from tuneport.model.study import Auto, Constraint, Plugin, Sobol, StudySpec, minimize
from tuneport.model.trial_spec import TrialSpec
from tuneport.search import study as searching


def made(client, algorithm, **more):
    study = StudySpec(
        parameters=[Float("x", 0, 1)], objectives=[minimize("loss", target=0.5)], algorithm=algorithm, **more
    )
    budget = Budget(max_trials=8, parallel_trials=4)
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
