"""What machines cost by the user's table, what a run may cost, and a limit on money that holds."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tuneport as tp
from tuneport import translating
from tuneport.catalog.prices import Prices, estimate, spent
from tuneport.cli import app
from tuneport.config import load
from tuneport.errors import JobError, SettingsError
from tuneport.model.results import RunReason

TABLE = """
[prices]
currency = "EUR"
dated = "2026-11-01"
sample = true
spot = 0.25

[prices.per_hour.vertex]
n1-standard-4 = 2.0
t4 = 0.5

[prices.per_hour.sagemaker]
"ml.m5.xlarge" = 3.0

[prices.per_hour.local]
"*" = 3600.0
"""


@pytest.fixture
def prices(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tuneport.toml").write_text(TABLE)
    return load().prices


def spec(**fields):
    return tp.TrialSpec(image="gcr.io/a/b", **fields)


@pytest.mark.parametrize(
    ("backend", "fields", "rate"),
    [
        ("vertex", {"resources": {"machine": "n1-standard-4"}}, 2.0),
        ("vertex", {"resources": {"machine": "n1-standard-4", "replicas": 3}}, 6.0),
        ("vertex", {"resources": {"machine": "n1-standard-4", "gpus": 2, "gpu_type": "t4"}}, 3.0),
        ("vertex", {"resources": {"machine": "n1-standard-4", "gpus": 2, "gpu_type": "v100"}}, None),
        ("vertex", {"resources": {"machine": "n1-standard-4"}, "spot": True}, 0.5),
        ("vertex", {"resources": {"machine": "a2-highgpu-1g"}}, None),
        ("modelarts", {"resources": {"machine": "modelarts.vm.cpu.2u"}}, None),
        ("local", {}, 3600.0),
    ],
)
def test_what_an_hour_of_a_trial_costs(prices, backend, fields, rate):
    assert prices.rate(backend, spec(**fields)) == rate


def test_the_sample_is_a_table_and_says_that_it_is_a_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sample = Path(__file__).parents[2] / "examples" / "prices.toml"
    (tmp_path / "tuneport.toml").write_text(sample.read_text())
    assert "sample" in str(load().prices)
    assert load().prices.rate("local", spec()) is not None


def test_a_table_says_what_it_is(prices):
    assert str(prices) == "sample prices of 2026-11-01"
    assert str(Prices()) == "prices"


@pytest.mark.parametrize("wrong", ['dated = "soon"', "spot = 2", 'per_hour = {local = {"*" = -1}}', "currencies = 1"])
def test_a_wrong_table_is_refused(tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tuneport.toml").write_text(f"[prices]\n{wrong}\n")
    with pytest.raises(SettingsError, match="prices"):
        load()


def trial(number, seconds):
    return tp.Trial(id=number, parameters={}, state="succeeded", started=0.0, ended=seconds)


@given(st.lists(st.floats(0, 1e5), min_size=1), st.integers(1, 99), st.none() | st.floats(0, 1e6))
def test_an_estimate_lies_between_what_trials_have_taken(durations, trials, seconds):
    earlier = [trial(number, one) for number, one in enumerate(durations, 1)]
    found = estimate(3600.0, trials, seconds, earlier)
    assert found.low <= found.high
    assert found.high <= max(durations) * trials * (1 + 1e-9)
    assert seconds is None or found.high <= seconds * (1 + 1e-9)


def test_what_is_not_known_is_said_to_be_unknown():
    assert estimate(1.0, 5, None, []) == estimate(1.0, None, None, [trial(1, 2.0)])
    assert estimate(3600.0, 5, 7.0, []).high == 7.0
    assert estimate(3600.0, 5, 7.0, []).low is None


def test_what_was_spent_is_the_time_of_trials():
    running = tp.Trial(id=3, parameters={}, state="running", started=0.0)
    assert spent(7200.0, [trial(1, 1.5), trial(2, 2.0), running]) == 7.0


def job(**budget):
    return tp.TuningJob(
        name="j",
        study=tp.StudySpec(parameters=[tp.Float("x", 0, 1)], objectives=[tp.minimize("loss")], algorithm=tp.Random()),
        trial=tp.TrialSpec(
            command=[sys.executable, "-c", "import time, tuneport_trial as t; t.report(loss=1); time.sleep(0.3)"]
        ),
        budget=tp.Budget(**budget),
    )


def test_a_run_ends_when_its_money_is_spent(prices):
    run = tp.run(job(max_trials=500, max_cost=1.0), on="local")  # a second of a trial costs 1
    assert run.result.reason is RunReason.COST
    assert len(run.trials) < 50
    assert 1.0 <= run.result.cost < 15


def test_no_limit_is_kept_without_a_price(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JobError) as caught:
        tp.run(job(max_cost=1.0), on="local")
    (problem,) = caught.value.problems
    assert problem.pointer == "/budget/max_cost"
    assert "[prices.per_hour.local]" in problem.hint


def test_a_plan_says_what_it_may_cost(prices, tmp_path, capsys):
    asked = job(max_trials=10).changed(
        trial=spec(resources={"machine": "n1-standard-4"}, timeout="1h", output={"uri": "gs://b/o"})
    )
    (tmp_path / "job.json").write_text(json.dumps(asked.brief()))
    assert translating.plan(asked, "vertex").cost.high == 20.0
    app._status(["plan", "job.json", "--on", "vertex"])
    assert "costs at most 20.00 EUR, by sample prices of 2026-11-01" in capsys.readouterr().out
    app._status(["plan", "job.json", "--on", "vertex", "--set", "machine=e2-standard-4"])
    dear = asked.changed(trial=asked.trial.changed(resources={"machine": "n1-highmem-2"}))
    (tmp_path / "dear.json").write_text(json.dumps(dear.brief()))
    capsys.readouterr()
    app._status(["plan", "dear.json", "--on", "vertex"])
    assert "its cost is not known: no price of n1-highmem-2" in capsys.readouterr().out
