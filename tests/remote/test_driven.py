"""Our own search on the emulated clouds: each trial is one training job there, whoever is killed while it drives."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

import tuneport as tp
from tuneport import api, driven, here
from tuneport.backends import retries
from tuneport.cli.app import main
from tuneport.engine.executors import cloud as cloud_executor
from tuneport.errors import JobError, SettingsError
from tuneport.model.results import FailureKind, RunReason, RunState, TrialState

TRAINER = """
import os, time
import tuneport_trial as t

p = t.params()
with open({ledger!r}, "a") as file:
    file.write(repr(p["x"]) + "\\n")
for step in range(1, 4):
    time.sleep({pause})
    t.report(step=step, loss=(p["x"] - 0.3) ** 2 + p.get("momentum", 1.0) / step)
"""
STUDY = {
    "parameters": [
        {"name": "x", "kind": "float", "low": 1e-5, "high": 1.0, "scale": "log"},
        {"name": "layers", "kind": "int", "low": 1, "high": 8},
        {"name": "width", "kind": "categorical", "choices": [True, 1, "1", 2.0]},
        {"name": "opt", "kind": "categorical", "choices": ["sgd", "adam"]},
        {"name": "momentum", "kind": "float", "low": 0.5, "high": 0.9, "when": {"parameter": "opt", "values": ["sgd"]}},
    ],
    "objectives": [{"metric": "loss", "goal": "minimize"}],
    "algorithm": {"kind": "random", "seed": 3},
}
TRIALS = {
    "vertex": {
        "image": "gcr.io/p/trainer:1",
        "resources": {"machine": "n1-standard-4"},
        "output": {"uri": "gs://bucket/runs"},
    },
    "sagemaker": {
        "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/trainer:1",
        "resources": {"machine": "ml.m5.large"},
        "output": {"uri": "s3://bucket/runs"},
        "identity": "arn:aws:iam::111122223333:role/tuning",
    },
    "modelarts": {
        "image": "swr.cn-north-4.myhuaweicloud.com/team/trainer:1",
        "command": ["python", "train.py"],
        "resources": {"machine": "modelarts.vm.cpu.2u"},
        "output": {"uri": "obs://bucket/runs/"},
    },
}
KINDS = {"vertex": "vertex/customJobs", "sagemaker": "sagemaker/training-job", "modelarts": "modelarts/job"}
"""What the emulators call the documents of single jobs."""


def job_of(on, trials=3, parallel=2, study=None, **trial):
    return tp.TuningJob.model_validate(
        {
            "name": "digits",
            "study": STUDY | (study or {}),
            "trial": {"parameters": {"dropout": 0.1, "tag": "7"}, **TRIALS[on], **trial},
            "budget": {"max_trials": trials, "parallel_trials": parallel},
        }
    )


def map_trainer(cloud, on, folder, pause=0.02, script=TRAINER):
    """Have the cloud run the trainer, which notes its starts; gives its file and that of the notes."""
    ledger, trainer = folder / "ledger.txt", folder / "train.py"
    ledger.touch()
    trainer.write_text(script.format(ledger=str(ledger), pause=pause))
    for name in on:
        cloud.map(TRIALS[name]["image"], [sys.executable, str(trainer)])
    return ledger


CLOUDS = ["vertex", "sagemaker", "modelarts"]
DRIVER = """
import sys
from tuneport.backends import retries
from tuneport.engine.executors import cloud
retries.SLOWEST, cloud.SOONEST, cloud.LATEST = 0.05, 0.02, 0.2
import tuneport
tuneport.resume(sys.argv[1], workspace=sys.argv[2])
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(retries, "SLOWEST", 0.05)
    monkeypatch.setattr(cloud_executor, "SOONEST", 0.02)
    monkeypatch.setattr(cloud_executor, "LATEST", 0.2)


def jobs(cloud, on):
    return cloud.host.documents.all(KINDS[on])


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


# ---- each cloud -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", CLOUDS)
def test_a_space_that_no_tuner_there_has_is_searched_there(tuneport_cloud, tmp_path, on):
    ledger = map_trainer(tuneport_cloud, [on], tmp_path)
    job = job_of(on)
    assert api.check(job, on=on, drive=True) == []
    run = tp.run(job, on=on, drive=True, workspace=tmp_path / "w", base=tmp_path)
    result = run.result
    assert result.state is RunState.SUCCEEDED
    assert [one.state for one in result.trials] == [TrialState.SUCCEEDED] * 3
    for trial in result.trials:
        p = trial.parameters
        assert ("momentum" in p) is (p["opt"] == "sgd")
        losses = [(p["x"] - 0.3) ** 2 + p.get("momentum", 1.0) / step for step in (1, 2, 3)]
        assert [one.metrics["loss"] for one in trial.measurements] == pytest.approx(losses)
        assert [one.step for one in trial.measurements] == [1, 2, 3]
    assert sorted(map(float, ledger.read_text().split())) == sorted(one.parameters["x"] for one in result.trials)
    assert len(jobs(tuneport_cloud, on)) == 3
    assert list(run.logs(1)) == [
        f"tuneport: step={m.step} loss={m.metrics['loss']!r}" for m in result.trials[0].measurements
    ]
    assert run.ref.startswith("local:")


@pytest.mark.parametrize("on", CLOUDS)
def test_values_arrive_with_their_types(tuneport_cloud, tmp_path, on):
    script = "import tuneport_trial as t; p = t.params(); print(p); t.report(loss=float(p['dropout']))"
    map_trainer(tuneport_cloud, [on], tmp_path, script=script)
    run = tp.run(job_of(on, trials=4), on=on, drive=True, workspace=tmp_path / "w")
    for trial in run.trials:
        (said,) = [line for line in run.logs(trial.id) if line.startswith("{")]
        expected = {"dropout": 0.1, "tag": "7"} | trial.parameters
        assert sorted(map(repr, eval(said).items())) == sorted(map(repr, expected.items()))


@pytest.mark.parametrize("on", CLOUDS)
def test_a_trial_that_fails_says_why_and_is_retried_as_the_job_says(tuneport_cloud, tmp_path, on):
    map_trainer(tuneport_cloud, [on], tmp_path, script="print('about to fail'); raise SystemExit(3)")
    run = tp.run(job_of(on, trials=1, retries=1), on=on, drive=True, workspace=tmp_path / "w")
    (trial,) = run.trials
    assert (trial.state, trial.attempt) == (TrialState.FAILED, 2)
    assert trial.failure.kind is FailureKind.CODE
    assert "about to fail" in trial.failure.last_lines
    assert len(jobs(tuneport_cloud, on)) == 2


@pytest.mark.parametrize("on", CLOUDS)
def test_early_stopping_ends_jobs_by_calls_of_their_service(tuneport_cloud, tmp_path, on):
    script = """
import time, tuneport_trial as t
x = t.params()["x"]
for step in range(1, 200 if x > 0.5 else 5):
    t.report(step=step, loss=x)
    time.sleep(0.1 if x > 0.5 else 0.01)
"""
    map_trainer(tuneport_cloud, [on], tmp_path, script=script)
    study = {
        "parameters": [{"name": "x", "kind": "discrete", "values": [0.1, 0.2, 0.3, 0.9]}],
        "algorithm": {"kind": "grid"},
        "early_stopping": {"kind": "median", "min_trials": 3, "min_steps": 1},
    }
    run = tp.run(job_of(on, trials=4, parallel=1, study=study), on=on, drive=True, workspace=tmp_path / "w")
    last = next(one for one in run.trials if one.parameters["x"] == 0.9)
    assert last.state is TrialState.STOPPED
    assert last.failure.kind is FailureKind.STOPPED_BY_SCHEDULER


@pytest.mark.parametrize("on", CLOUDS)
def test_a_run_that_is_stopped_leaves_nothing_behind(tuneport_cloud, tmp_path, on):
    ledger = map_trainer(tuneport_cloud, [on], tmp_path, pause=20)
    run = tp.submit(job_of(on), on=on, drive=True, workspace=tmp_path / "w")
    wait_for(lambda: len(ledger.read_text().split()) == 2)
    run.stop()
    result = run.wait(timeout=60)
    assert (result.state, result.reason) == (RunState.STOPPED, RunReason.REQUEST)
    assert {one.failure.kind for one in result.trials} == {FailureKind.CANCELLED}
    wait_for(lambda: all(tuneport_cloud.host.result(one.run).state.ended for one in jobs(tuneport_cloud, on)))


def test_a_container_on_sagemaker_is_told_what_to_run(tuneport_cloud, tmp_path):
    map_trainer(tuneport_cloud, ["sagemaker"], tmp_path)
    job = job_of("sagemaker", trials=1, module="team.train", args=["--epochs=3"])
    assert {one.pointer for one in api.check(job, on="sagemaker")} >= {"/trial/args"}
    assert api.check(job, on="sagemaker", drive=True) == []
    run = tp.run(job, on="sagemaker", drive=True, workspace=tmp_path / "w")
    (one,) = jobs(tuneport_cloud, "sagemaker")
    algorithm = one.body["asked"]["AlgorithmSpecification"]
    assert algorithm["ContainerEntrypoint"] == ["python3", "-m", "team.train"]
    assert algorithm["ContainerArguments"][:3] == ["--epochs=3", "--dropout=0.1", "--tag=7"]
    assert f"--x={run.trials[0].parameters['x']!r}" in algorithm["ContainerArguments"]


# ---- whoever drives it is killed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", CLOUDS)
def test_kills_of_the_controller_and_faults_of_the_service_make_one_job_per_trial(tuneport_cloud, tmp_path, on):
    ledger = map_trainer(tuneport_cloud, [on], tmp_path, pause=0.15)
    for kind in ("throttle", "error", "reset", "lost"):
        tuneport_cloud.faults.add(kind, probability=0.05)
    job, workspace = job_of(on, trials=6, parallel=3), tmp_path / "w"
    places = driven.places(job, [on], None, None, driven.Fidelity.EMULATED, tmp_path)
    client, made = here.create_driven(job, places, workspace, tmp_path, ())
    chance, ref = random.Random(on), client.ref(made)
    for _ in range(3):
        seen = client.result(made).trials
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, ref, str(workspace)])
        wait_for(lambda seen=seen: client.result(made).trials != seen or client.result(made).state.ended)
        time.sleep(chance.uniform(0.0, 0.4))
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    run = tp.attach(ref, workspace=workspace)
    if not run.state.ended:
        run = tp.resume(ref, workspace=workspace)
    result = run.result
    assert [one.state for one in result.trials] == [TrialState.SUCCEEDED] * 6
    assert {one.attempt for one in result.trials} == {1}
    assert sorted(map(float, ledger.read_text().split())) == sorted(one.parameters["x"] for one in result.trials)
    assert len(jobs(tuneport_cloud, on)) == 6
    assert all(len(one.measurements) == 3 for one in result.trials), "an adopted trial's reports are read once more"
    assert len({kind for _, kind in tuneport_cloud.faults.struck}) > 1


@pytest.mark.parametrize("on", ["vertex", "vertex,local"])
def test_an_interruption_leaves_trials_to_the_cloud_and_stops_those_of_this_machine(tuneport_cloud, tmp_path, on):
    ledger = map_trainer(tuneport_cloud, ["vertex"], tmp_path, pause=0.7)
    job = job_of("vertex", trials=2, command=["python", "train.py"], output=None)
    rooms = dict.fromkeys(on.split(","), 1) if "," in on else None
    places = driven.places(job, on.split(","), None, rooms, driven.Fidelity.EMULATED, tmp_path)
    client, made = here.create_driven(job, places, tmp_path / "w", tmp_path, ())
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, client.ref(made), str(tmp_path / "w")])
    wait_for(lambda: len(ledger.read_text().split()) == 2)
    driver.send_signal(signal.SIGINT)
    driver.wait()
    result = client.result(made)
    assert (result.state, result.message) == (
        RunState.INTERRUPTED,
        "interrupted; its trials go on where they are; it can be resumed",
    )
    client.drive(made)
    local = "," in on
    assert [(one.state, one.attempt) for one in client.result(made).trials] == [
        (TrialState.SUCCEEDED, 1),
        (TrialState.SUCCEEDED, 2 if local else 1),
    ]
    assert len(ledger.read_text().split()) == (3 if local else 2)


def test_what_a_killed_controller_left_is_stopped_by_whoever_asks_for_it(tuneport_cloud, tmp_path):
    ledger = map_trainer(tuneport_cloud, ["sagemaker"], tmp_path, pause=20)
    job, workspace = job_of("sagemaker"), tmp_path / "w"
    places = driven.places(job, ["sagemaker"], None, None, driven.Fidelity.EMULATED, tmp_path)
    client, made = here.create_driven(job, places, workspace, tmp_path, ())
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, client.ref(made), str(workspace)])
    wait_for(lambda: len(ledger.read_text().split()) == 2)
    driver.kill()
    driver.wait()
    run = tp.attach(client.ref(made), workspace=workspace)
    assert run.state is RunState.INTERRUPTED
    run.stop()
    assert run.state is RunState.STOPPED
    assert all(tuneport_cloud.host.result(one.run).state.ended for one in jobs(tuneport_cloud, "sagemaker"))


@pytest.mark.parametrize("on", CLOUDS)
def test_machines_that_are_taken_away_cost_an_attempt_and_no_trial(tuneport_cloud, tmp_path, on):
    map_trainer(tuneport_cloud, [on], tmp_path, pause=0.3)
    tuneport_cloud.faults.add("preempt", "*digits*-1-1/1", seconds=0.2)
    run = tp.run(job_of(on, trials=2), on=on, drive=True, workspace=tmp_path / "w")
    assert [(one.state, one.attempt) for one in run.trials] == [(TrialState.SUCCEEDED, 2), (TrialState.SUCCEEDED, 1)]


# ---- several places -------------------------------------------------------------------------------------------------


def both(**more):
    """A job that two clouds and this machine can run alike: images are mapped between the clouds."""
    return job_of("vertex", **{"output": None} | more)


@pytest.fixture
def maps(tmp_path, monkeypatch):
    (tmp_path / "tuneport.toml").write_text(
        f"""
[map.image]
"{TRIALS["vertex"]["image"]}" = "{TRIALS["sagemaker"]["image"]}"
[map.machine]
"n1-standard-4" = "ml.m5.large"
[sagemaker]
role = "{TRIALS["sagemaker"]["identity"]}"
output = "s3://bucket/runs"
"""
    )
    monkeypatch.chdir(tmp_path)


def test_trials_go_where_there_is_room_and_elsewhere_when_a_place_dies(tuneport_cloud, tmp_path, maps, monkeypatch):
    ledger = map_trainer(tuneport_cloud, ["vertex", "sagemaker"], tmp_path, pause=0.3)
    monkeypatch.setattr(retries, "ATTEMPTS", 2)
    job = both(trials=10, parallel=1, command=["python", "train.py"])
    watched = []

    def watch(result):
        watched.append(sum(not one.state.ended for one in result.trials))
        there = [one for one in result.trials if one.links.get("place") == "vertex" and not one.state.ended]
        if there and len(jobs(tuneport_cloud, "vertex")) >= 2 and any(one.state.ended for one in result.trials):
            tuneport_cloud.faults.add("error", "*CustomJob*")  # from now on, Vertex AI answers nothing any more

    parallel = {"vertex": 2, "sagemaker": 1, "local": 1}
    on = "vertex,sagemaker,local"
    settings = {"local": {"gpus": 0}}
    assert api.check(job, on=on, settings=settings, base=tmp_path) == []
    run = tp.run(
        job,
        on=on,
        parallel=parallel,
        settings=settings,
        workspace=tmp_path / "w",
        base=tmp_path,
        progress=watch,
    )
    result = run.result
    assert [one.state for one in result.trials] == [TrialState.SUCCEEDED] * 10
    assert max(watched) == 4
    assert any("vertex cannot be used any more" in note for note in result.notes)
    again = sum(one.attempt - 1 for one in result.trials)
    assert 1 <= again <= 2, "what ran on Vertex AI when it died, and nothing else, ran again"
    assert 10 <= len(ledger.read_text().split()) <= 10 + again
    sent = {on: len(jobs(tuneport_cloud, on)) for on in ("vertex", "sagemaker")}
    assert sent["vertex"] >= 2
    assert sent["sagemaker"] >= 2
    assert 10 + again - sum(sent.values()) >= 2, "this machine had its share"


def test_whoever_resumes_a_run_needs_no_maps_of_its_own(tuneport_cloud, tmp_path, maps, monkeypatch):
    map_trainer(tuneport_cloud, ["sagemaker"], tmp_path)
    job, workspace = both(trials=2), tmp_path / "w"
    places = driven.places(job, ["sagemaker"], None, None, driven.Fidelity.EMULATED, tmp_path)
    client, made = here.create_driven(job, places, workspace, tmp_path, ())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "tuneport.toml").unlink()
    run = tp.resume(client.ref(made), workspace=workspace)
    assert {one.state for one in run.trials} == {TrialState.SUCCEEDED}
    (first, _) = jobs(tuneport_cloud, "sagemaker")
    assert first.body["asked"]["AlgorithmSpecification"]["TrainingImage"] == TRIALS["sagemaker"]["image"]


@pytest.mark.parametrize(
    ("on", "more", "said"),
    [
        ("vertex,local", {"parallel": {"sagemaker": 1}}, "'sagemaker' is not to be used so"),
        ("vertex,local", {"parallel": {"local": 0}}, "'local' is not to be used so"),
        ("vertex,local", {"settings": {"region": "here"}}, "'region' is not to be used so"),
    ],
)
def test_what_is_said_of_other_places_is_refused(tmp_path, on, more, said):
    with pytest.raises(SettingsError, match=said):
        tp.submit(both(command=["true"]), on=on, workspace=tmp_path / "w", **more)


def test_what_a_place_lacks_is_said_before_anything_is_recorded(tmp_path):
    with pytest.raises(JobError) as caught:
        tp.submit(job_of("modelarts", image=None), on="modelarts", drive=True, workspace=tmp_path / "w")
    assert all(one.pointer.startswith("/trial") or not one.pointer for one in caught.value.problems)


@pytest.mark.parametrize("on", CLOUDS)
def test_code_of_this_machine_goes_to_the_cloud_before_its_first_trial(tuneport_cloud, tmp_path, monkeypatch, on):
    put = []
    monkeypatch.setattr(driven, "upload", lambda files, _: put.extend(one.uri for one in files))
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text("print('hello')")
    map_trainer(tuneport_cloud, [on], tmp_path, script="import tuneport_trial as t; t.report(loss=1.0)")
    job = job_of(on, trials=2, package="code", command=["python", "train.py"])
    tp.run(job, on=on, drive=True, workspace=tmp_path / "w", base=tmp_path, tolerate="approximated")
    assert put
    folder = put[0].partition("://")[2].rpartition("/")[0]
    assert all(folder in str(one.body) for one in jobs(tuneport_cloud, on)), "every trial runs what was uploaded"


def test_a_time_out_is_told_as_one_on_every_cloud(tuneport_cloud, tmp_path):
    map_trainer(tuneport_cloud, CLOUDS, tmp_path, pause=20)
    for on in CLOUDS:
        run = tp.run(job_of(on, trials=1, timeout=1), on=on, drive=True, workspace=tmp_path / "w")
        assert [one.failure.kind for one in run.trials] == [FailureKind.TIMED_OUT], on


@pytest.mark.parametrize("on", CLOUDS)
def test_what_only_the_tuner_there_lacks_is_no_hindrance_and_check_says_so(on):
    job = job_of(on, study={"algorithm": {"kind": "cmaes", "seed": 1}})
    refused = [one for one in api.check(job, on=on) if one.pointer.startswith("/study")]
    assert refused
    assert all("--drive" in one.hint for one in refused)
    assert api.check(job, on=on, drive=True) == []


@pytest.mark.parametrize(
    ("study", "place"),
    [
        ({"algorithm": {"kind": "pbt"}}, "/study/algorithm"),
        ({"early_stopping": {"kind": "asha", "form": "promotion"}}, "/study/early_stopping/form"),
    ],
    ids=["pbt", "promotion"],
)
@pytest.mark.parametrize("on", ["vertex", "sagemaker", "modelarts", "sagemaker,local"])
def test_trials_elsewhere_cannot_pause(on, study, place):
    job = job_of(on.partition(",")[0], trials=8, study=study, resumable=True)
    told = [one for one in api.check(job, on=on, drive=True) if "cannot pause" in one.message]
    assert [one.pointer for one in told] == [place]
    assert not any("--drive" in (one.hint or "") for one in api.check(job, on=on, drive="," in on))


def test_the_command_line_drives_as_well(tuneport_cloud, tmp_path, monkeypatch, capsys):
    ledger = map_trainer(tuneport_cloud, ["vertex"], tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.json").write_text(job_of("vertex", trials=2).model_dump_json(exclude_unset=True))

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["tuneport", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().out

    assert call("check", "job.json", "--on", "vertex", "--drive")[0] == 0
    status, shown = call("submit", "job.json", "--on", "vertex", "--drive", "--dry-run")
    assert status == 0
    (pool,) = json.loads(shown)["vertex"]["jobSpec"]["workerPoolSpecs"]
    assert pool["containerSpec"]["imageUri"] == TRIALS["vertex"]["image"]
    assert not ledger.read_text()
    assert call("run", "job.json", "--on", "vertex", "--drive", "--parallel", "vertex=2", "--quiet")[0] == 0
    assert len(ledger.read_text().split()) == 2
    assert call("run", "job.json", "--on", "vertex", "--drive", "--parallel", "vertex")[0] == 2
    assert call("run", "job.json", "--on", "vertex,local", "--set", "region=x")[0] == 2
