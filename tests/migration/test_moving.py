"""Runs move between all houses: half of the budget here, the rest there, and nothing of the record is lost."""

import json
import sys

import pytest

import tuneport as tp
from tuneport import api
from tuneport.cli import app
from tuneport.errors import JobError, PayloadError, TuneportError
from tuneport.files.histories import read_history, write_history
from tuneport.migration import origin_of, whole
from tuneport.model.history import History, history_of
from tuneport.model.results import RunState
from tuneport.translation.capabilities import Fidelity

HOUSES = ("local", "vertex", "sagemaker", "modelarts")
SETTINGS = {
    "local": {},
    "vertex": {"image": "gcr.io/team/train:1", "output": "gs://team-runs/digits/", "machine": "n1-standard-4"},
    "sagemaker": {
        "image": "111122223333.dkr.ecr.us-east-1.amazonaws.com/train:1",
        "role": "arn:aws:iam::111122223333:role/trainer",
        "machine": "ml.m5.xlarge",
        "output": "s3://team-runs/digits/",
    },
    "modelarts": {"image": "team/train:1", "machine": "modelarts.vm.cpu.2u", "output": "obs://team-runs/digits/"},
}
IMAGES = {name: own.get("image") for name, own in SETTINGS.items()}
TRIALS = 6
TRAINER = """
import time
import tuneport_trial
p = tuneport_trial.params()
assert isinstance(p["width"], int) and isinstance(p["bias"], bool), p
time.sleep(0.1)
tuneport_trial.report(loss=(p["rate"] - 0.3) ** 2 + p["width"] / 100 + p["bias"])
"""


@pytest.fixture
def houses(tuneport_cloud, tmp_path, monkeypatch):
    """One trainer for every house, unmodified."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAINER)
    for image in filter(None, IMAGES.values()):
        tuneport_cloud.map(image, [sys.executable, str(tmp_path / "train.py")])
    return tuneport_cloud


def job(on, **budget):
    return tp.TuningJob(
        name="digits",
        study=tp.StudySpec(
            parameters=[tp.Float("rate", 0.0, 1.0), tp.Int("width", 1, 8), tp.Categorical("bias", [True, False])],
            objectives=[tp.minimize("loss")],
            algorithm=tp.Random(),
        ),
        trial=tp.TrialSpec(command=["python", "train.py"], image=IMAGES[on]),
        budget=tp.Budget(**{"max_trials": TRIALS, "parallel_trials": 1, **budget}),
    )


def searched(job, algorithm):
    return job.changed(study=job.study.changed(algorithm=algorithm))


def half_way(on):
    """A run that has done half of its trials and was stopped."""
    run = tp.submit(job(on), on=on, settings=SETTINGS[on], tolerate="approximated")
    for result in run.changes():
        if sum(one.state.ended for one in result.trials) >= TRIALS // 2:
            break
    run.stop()
    run.wait(60)
    return run


@pytest.mark.parametrize("source", HOUSES)
def test_nothing_is_lost_between_any_two_houses(houses, source):
    run = half_way(source)
    done = {one.id: one for one in run.trials if one.final_measurement is not None}
    assert 0 < len(done) < TRIALS
    for target in HOUSES:
        if target == source:
            continue
        moved = tp.migrate(run, to=target, settings=SETTINGS[target], submit=True, tolerate="approximated").run
        moved.wait(60)
        assert moved.state is RunState.SUCCEEDED, moved.result.message
        record = whole(moved.result)
        assert len(record.trials) == TRIALS
        assert [one.id for one in record.trials] == list(range(1, TRIALS + 1))
        carried = [one for one in record.trials if one.links.get("run") == run.ref and one.metrics]
        assert [one.parameters for one in carried] == [one.parameters for one in done.values()]
        assert [one.metrics for one in carried] == [one.metrics for one in done.values()]
        for one in record.trials:
            assert {name: type(value) for name, value in one.parameters.items()} == {
                "rate": float,
                "width": int,
                "bias": bool,
            }
        assert record.best.metrics["loss"] <= min(one.metrics["loss"] for one in done.values())
        assert origin_of(moved.ref).source == run.ref


def test_a_run_that_goes_on_is_stopped_first_if_asked_to(houses):
    run = tp.submit(job("vertex", max_trials=60), on="vertex", settings=SETTINGS["vertex"], tolerate="approximated")
    for result in run.changes():
        if any(one.state.ended for one in result.trials):
            break
    moved = tp.migrate(run, to="local", submit=True, stop_source=True)
    assert run.state is RunState.STOPPED
    ended = [one for one in run.trials if one.state.ended]  # one that was cut off is infeasible there, and counts
    assert moved.job.budget.max_trials == 60 - len(ended)
    assert len(moved.fit.trials) == sum(one.final_measurement is not None for one in ended)
    moved.run.stop()
    moved.run.wait(60)


def test_a_house_that_refuses_leaves_the_run_alone(houses):
    run = tp.submit(job("local", max_trials=60), on="local")
    with pytest.raises(JobError, match="role"):
        tp.migrate(run, to="sagemaker", submit=True, stop_source=True, settings={"image": IMAGES["sagemaker"]})
    assert run.state in {RunState.PENDING, RunState.RUNNING}
    run.stop()
    run.wait(60)


def test_a_chain_of_runs_has_every_trial_once(houses):
    first = half_way("local")
    second = tp.migrate(
        first, to="vertex", settings=SETTINGS["vertex"], submit=True, max_trials=1, tolerate="approximated"
    )
    second.run.wait(60)
    third = tp.migrate(second.run, to="local", submit=True, max_trials=1).run
    third.wait(60)
    record = whole(third.result)
    assert [one.links.get("run") for one in record.trials] == [
        *[first.ref for one in first.trials if one.final_measurement],
        second.run.ref,
        None,
    ]
    assert len({tuple(one.parameters.values()) for one in record.trials}) == len(record.trials)


def test_heirs_keep_their_parents_in_the_record_of_a_chain(monkeypatch):
    def trial(number, parent=None, **links):
        return tp.Trial(id=number, parameters={}, state="succeeded", parent=parent, links=links)

    earlier = (trial(2, run="local:a", trial="2"), trial(5, parent=2, run="local:a", trial="5"))
    monkeypatch.setattr("tuneport.migration.origin_of", lambda *_, **__: History(source="local:a", trials=earlier))
    own = (trial(1), trial(2, parent=1), trial(3))
    goals = (tp.minimize("loss"),)
    now = tp.StudyResult(ref="local:b", name="b", backend="local", state="succeeded", objectives=goals, trials=own)
    assert [(one.id, one.parent) for one in whole(now).trials] == [(1, None), (2, 1), (3, None), (4, 3), (5, None)]


def test_a_budget_that_is_spent_is_said_with_the_way_out(houses):
    run = tp.run(job("local", max_trials=2), on="local")
    with pytest.raises(JobError, match="max_trials") as caught:
        tp.migrate(run, to="vertex", settings=SETTINGS["vertex"])
    assert "--trials" in caught.value.problems[0].hint
    assert tp.migrate(run, to="vertex", settings=SETTINGS["vertex"], max_trials=4).job.budget.max_trials == 4


def test_a_seed_does_not_propose_the_same_points_again(houses):
    run = tp.run(searched(job("local", max_trials=2), tp.Random(seed=5)), on="local")
    again = tp.migrate(run, to="local", submit=True, max_trials=2).run
    again.wait(60)
    points = [tuple(one.parameters.values()) for one in whole(again.result).trials]
    assert len(set(points)) == 4


def test_sagemaker_learns_from_its_own_by_itself(houses):
    run = half_way("sagemaker")
    own = SETTINGS["sagemaker"]
    moved = tp.migrate(run, to="sagemaker", settings=own)
    assert moved.knowledge.by == "WarmStartConfig"
    parents = moved.payload["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    assert parents == [{"HyperParameterTuningJobName": run.ref.partition("/")[2]}]
    elsewhere = tp.migrate(run, to="sagemaker", settings=own | {"region": "us-west-2"})
    assert "its own region" in elsewhere.knowledge.note
    assert "WarmStartConfig" not in elsewhere.payload


def test_ranges_are_drawn_in_only_if_asked_for(houses):
    run = tp.run(searched(job("local", max_trials=20, parallel_trials=2), tp.Random(seed=1)), on="local")
    plain = tp.migrate(run, to="vertex", settings=SETTINGS["vertex"], max_trials=5)
    assert plain.job.study.parameters == run.job.study.parameters
    assert plain.knowledge.fidelity is Fidelity.DROPPED
    small = tp.migrate(run, to="vertex", settings=SETTINGS["vertex"], max_trials=5, shrink=True)
    assert small.knowledge.fidelity is Fidelity.APPROXIMATED
    rate, width, bias = small.job.study.parameters
    best = run.best.parameters
    assert 0 <= rate.low <= best["rate"] <= rate.high <= 1
    assert rate.high - rate.low < 1
    assert width.low <= best["width"] <= width.high
    assert bias.choices == (True, False)


def test_warm_start_reads_runs_and_files(houses, tmp_path):
    run = tp.run(job("local", max_trials=3), on="local")
    write_history(history_of(run.job, run.result), tmp_path / "earlier.jsonl")
    warm = job("local", max_trials=1).changed(warm_start=[{"run": run.ref}, {"run": "earlier.jsonl"}])
    again = tp.run(searched(warm, tp.Bayesian(seed=1)), on="local")
    assert again.trials[0].parameters == run.best.parameters
    with pytest.raises(TuneportError, match=r"none\.jsonl"):
        tp.run(warm.changed(warm_start=[{"run": "none.jsonl"}]), on="local")


def test_on_the_command_line(houses, capsys, tmp_path):
    run = half_way("local")
    done = sum(one.final_measurement is not None for one in run.trials)
    settings = [f"--set={name}={value}" for name, value in SETTINGS["vertex"].items()]
    to_vertex = ["migrate", run.ref, "--to", "vertex", *settings, "--tolerate", "approximated"]
    assert app._status([*to_vertex, "-o", "vertex.json"]) == 0
    assert f"{done} of {done} earlier trials are used, not told to the search there" in capsys.readouterr().err
    assert json.loads((tmp_path / "vertex.json").read_text())["maxTrialCount"] == TRIALS - done
    assert app._status([*to_vertex, "--submit"]) == 0
    ref = capsys.readouterr().out.strip()
    assert app._status(["follow", ref, "-q"]) == 0
    capsys.readouterr()
    assert app._status(["status", ref]) == 0
    assert f"goes on with {run.ref}: {done} trials" in capsys.readouterr().out
    assert app._status(["trials", ref, "--all", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == TRIALS
    assert app._status(["trials", ref, "--export", "all.jsonl"]) == 0
    assert len(read_history("all.jsonl").trials) == TRIALS
    assert app._status(["best", ref, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["final_measurement"]["metrics"]["loss"]
    assert best <= min(one.metrics["loss"] for one in run.trials if one.metrics)


def test_a_run_that_was_written_down_moves(houses, tmp_path):
    run = half_way("sagemaker")
    done = [one for one in run.trials if one.final_measurement is not None]
    asked = tp.translate(job("sagemaker"), "sagemaker", settings=SETTINGS["sagemaker"]).payload
    write_history(history_of(run.job, run.result), tmp_path / "trials.jsonl")
    moved = tp.migrate(asked, "sagemaker", "local", history="trials.jsonl", submit=True).run
    moved.wait(60)
    assert len(moved.trials) == TRIALS - len(done)
    assert len(whole(moved.result).trials) == TRIALS
    with pytest.raises(PayloadError, match="no run"):
        tp.migrate(asked, "sagemaker", "local", submit=True)


def test_our_own_search_goes_on_in_a_cloud(houses):
    run = half_way("local")
    moved = tp.migrate(run, to="vertex", settings=SETTINGS["vertex"], submit=True, drive=True, tolerate="approximated")
    assert moved.knowledge.fidelity is Fidelity.EXACT
    moved.run.wait(60)
    assert moved.run.ref.startswith("local:")
    assert len(whole(moved.run.result).trials) == TRIALS


def test_what_a_run_began_with_does_not_stop_it_from_moving(houses, tmp_path):
    first = tp.run(job("local", max_trials=2), on="local")
    second = tp.run(job("local", max_trials=2).changed(warm_start=[{"run": first.ref}]), on="local")
    moved = tp.migrate(second, to="vertex", settings=SETTINGS["vertex"], max_trials=1)
    assert moved.job.warm_start == ()


def test_places_in_a_cloud_are_mapped_or_left(houses, tmp_path):
    run = half_way("sagemaker")
    api.ledger().forget(run.ref)  # as on another machine: the job is what the service says of it
    moved = tp.migrate(run.ref, to="local")
    assert moved.job.trial.output is None
    assert [(one.pointer, one.fidelity) for one in moved.report.fields] == [("/trial/output/uri", Fidelity.EMULATED)]
    (tmp_path / "tuneport.toml").write_text('[map.uri]\n"s3://team-runs/" = "runs/"\n')
    assert tp.migrate(run.ref, to="local").job.trial.output.uri == "runs/digits/"
