"""Jobs that run behind the doors: what they run, where, how they end, and what is still there after a restart."""

from __future__ import annotations

import time

import pytest

from tuneport.emulators.faults import Fault, Faults, Kind
from tuneport.emulators.pace import Pace
from tuneport.emulators.programs import Programs
from tuneport.errors import ConflictError, JobError, RunNotFoundError, SettingsError, UnknownTrialError
from tuneport.model.results import FailureKind, RunState, TrialState

LOSS = {"metrics": {"loss": r"loss=(\S+)"}}
PRINTS = "python -c \"import sys; print('loss=' + sys.argv[1].partition('=')[2])\""
"""A trainer whose loss is x, for contracts that pass flags."""


def running(host, run) -> list[int]:
    return [trial.id for trial in host.result(run).trials if trial.state is TrialState.RUNNING]


# ---- what runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", ["local", "vertex", "sagemaker", "modelarts"])
def test_unmapped_images_are_played_by_a_trainer_that_says_so(make_host, make_job, contract):
    host = make_host()
    job = make_job(trial={"metrics": {"loss": "validation_0-(.*)"}, "resources": {"gpus": 64, "machine": "ml.p4d"}})
    run = host.submit("job", "digits", {}, job, contract).run
    result = host.wait(run, 30)
    assert result.state is RunState.SUCCEEDED, result.trials
    assert all(len(trial.measurements) == 5 for trial in result.trials)
    assert "synthetic trainer" in host.logs(run, 1)[0]
    assert "gcr.io/p/trainer:1" in host.logs(run, 1)[0]


def test_the_synthetic_trainer_gives_the_same_metrics_as_a_process_and_in_no_time(make_host, make_job):
    space = {
        "parameters": [
            {"name": "lr", "kind": "float", "low": 1e-5, "high": 0.1, "scale": "log"},
            {"name": "layers", "kind": "int", "low": 1, "high": 8},
            {"name": "batch", "kind": "discrete", "values": [16, 32, 64]},
            {"name": "opt", "kind": "categorical", "choices": ["adam", "sgd", True]},
        ],
        "objectives": [{"metric": "accuracy", "goal": "maximize"}, {"metric": "loss", "goal": "minimize"}],
        "constraints": [{"metric": "size", "at_most": 1}, {"metric": "loss", "at_least": 0}],
    }
    job = make_job(study=space, trial={"parameters": {"sagemaker_program": "train.py", "epochs": 3}})
    found = []
    for quick, contract in [(True, "vertex"), (False, "vertex"), (False, "sagemaker")]:
        host = make_host(pace=Pace(quick=quick))
        result = host.wait(host.submit("job", "digits", {}, job, contract).run, 30)
        found.append([(dict(trial.parameters), dict(trial.metrics)) for trial in result.trials])
        assert all(set(trial.metrics) == {"accuracy", "loss", "size"} for trial in result.trials)
    assert found[0] == found[1] == found[2]
    assert len({trial[1]["accuracy"] for trial in found[0]}) == 3


def test_a_mapped_image_runs_its_command_with_the_requests_arguments(make_host, make_job):
    host = make_host(programs=Programs.read([f"gcr.io/p/trainer:1={PRINTS}"]))
    job = make_job(trial={"command": ["/bin/rm", "-r"], **LOSS, "env": {"LEVEL": "3"}})
    result = host.wait(host.submit("job", "digits", {}, job, "modelarts").run, 30)
    assert [trial.metrics["loss"] for trial in result.trials] == [trial.parameters["x"] for trial in result.trials]


@pytest.mark.parametrize(
    ("name", "trial"),
    [
        ("gcr.io/p/trainer:1", {}),
        ("module:team.train", {"module": "team.train", "package": "s3://code/team.tar.gz"}),
        ("boot:train.py", {"command": ["python", "src/train.py"], "package": "obs://bucket/code/"}),
        ("boot:src/train.py", {"command": ["python", "src/train.py"], "package": "obs://bucket/code/"}),
        ("arn:aws:sagemaker:algorithm/xgb", {"image": None, "algorithm": "arn:aws:sagemaker:algorithm/xgb"}),
    ],
)
def test_programs_are_found_by_every_name(make_job, name, trial):
    programs = Programs({name: ("true",)})
    assert programs.find(make_job(trial=trial).trial) == ("true",)
    assert programs.find(make_job(trial={"image": "another"}).trial) is None


def test_the_most_exact_name_counts(make_job):
    job = make_job(trial={"module": "team.train"})
    programs = Programs({"gcr.io/p/trainer:1": ("image",)})
    assert programs.find(job.trial) == ("image",)
    programs.map("module:team.train", "module 'with space'")
    assert programs.find(job.trial) == ("module", "with space")


def test_nothing_that_a_request_names_is_run(make_host, make_job, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    host = make_host(programs=Programs.read([f"mapped={PRINTS}"]))
    asked = [
        {"image": None, "command": ["python", str(tmp_path / "evil.py")]},
        {"image": None, "module": "evil", "package": str(tmp_path)},
        {"image": None, "function": "evil:main"},
        {"image": "mapped", "env": {"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path), "PYTHONHOME": "/"}, **LOSS},
    ]
    for index, trial in enumerate(asked):
        run = host.submit("job", f"digits-{index}", {}, make_job(trial=trial, max_trials=1), "modelarts").run
        assert host.wait(run, 30).state is RunState.SUCCEEDED, host.logs(run, 1)
    assert not (tmp_path / "ran").exists()


def test_places_elsewhere_are_folders_of_the_state(make_host, make_job, tmp_path):
    code = (
        'python -c "import os; from pathlib import Path;'
        "print('loss=' + (Path(os.environ['SM_CHANNEL_TRAIN']) / 'a').read_text());"
        "(Path(os.environ['SM_MODEL_DIR']) / 'weights').write_text('w')\""
    )
    host = make_host(programs=Programs.read([f"gcr.io/p/trainer:1={code}"]))
    data = host.place("s3://bucket/digits/")
    data.mkdir(parents=True)
    (data / "a").write_text("0.25")
    inputs = [{"name": "train", "uri": "s3://bucket/digits"}, {"name": "none", "uri": "/etc/../../elsewhere"}]
    job = make_job(trial={"inputs": inputs, "output": {"uri": "s3://out/runs/"}, **LOSS}, max_trials=1)
    run = host.submit("job", "digits", {}, job, "sagemaker").run
    assert host.wait(run, 30).best.metrics["loss"] == 0.25, host.logs(run, 1)
    assert [path.name for path in host.place("s3://out/runs").rglob("*") if path.is_file()] == ["weights"]


@pytest.mark.parametrize(
    "uri",
    ["s3://../../../etc", "s3://b/%2e%2e/%2e%2e/%2E%2E/x", "file:///etc/passwd", "/etc", "..", "a\0b", "s3://b/%2Fetc"],
)
def test_no_place_is_outside_of_the_state(make_host, uri):
    host = make_host(pace=Pace(quick=True))
    assert host.place(uri).resolve().is_relative_to((host.folder / "places").resolve())


def test_variants_run_what_they_name_and_report_by_their_own_metric(make_host, make_job):
    study = {
        "parameters": [{"name": "model", "kind": "categorical", "choices": ["a", "b"]}],
        "algorithm": {"kind": "grid"},
    }
    variant = {"when": {"parameter": "model", "values": ["b"]}, "image": "other", "metric": "error"}
    variant["metrics"] = {"error": r"error=(\S+)"}
    job = make_job(study=study, trial={"variants": [variant], **LOSS}, max_trials=2)
    programs = {"gcr.io/p/trainer:1": "python -c \"print('loss=1')\"", "other": "python -c \"print('error=2')\""}
    host = make_host(programs=Programs.read([f"{name}={command}" for name, command in programs.items()]))
    result = host.wait(host.submit("job", "digits", {}, job, "sagemaker").run, 30)
    assert {trial.parameters["model"]: trial.metrics["loss"] for trial in result.trials} == {"a": 1.0, "b": 2.0}
    for contract in ("vertex", "local"):  # the synthetic trainer, through reports
        quiet = make_host()
        result = quiet.wait(quiet.submit("job", "digits", {}, job, contract).run, 30)
        assert result.state is RunState.SUCCEEDED


def test_functions_are_called_in_this_process(make_host, make_job):
    def train(x, epochs=1):
        for epoch in range(epochs):
            yield {"loss": x / (epoch + 1)}

    host = make_host(programs=Programs({"gcr.io/p/trainer:1": train}))
    job = make_job(trial={"parameters": {"epochs": 2, "sagemaker_region": "eu-west-1"}})
    run = host.submit("job", "digits", {}, job, "sagemaker").run
    result = host.wait(run, 10)
    assert [trial.metrics["loss"] for trial in result.trials] == [trial.parameters["x"] / 2 for trial in result.trials]
    assert host.logs(run, 1)[-1] == f"tuneport: step=2 loss={result.trials[0].metrics['loss']}"


def test_variants_of_commands_and_functions_are_refused(make_host, make_job):
    study = {"parameters": [{"name": "model", "kind": "categorical", "choices": ["a", "b"]}]}
    job = make_job(
        study=study, trial={"variants": [{"when": {"parameter": "model", "values": ["b"]}, "image": "other"}]}
    )
    host = make_host(programs=Programs({"gcr.io/p/trainer:1": ("true",), "other": lambda model: 1.0}))
    with pytest.raises(JobError, match="one or the other"):
        host.submit("job", "digits", {}, job, "sagemaker")
    assert host.documents.all("job") == []


def test_images_are_mapped_by_whole_commands_and_every_mistake_is_named():
    assert Programs.read(["a:1=python 'my train.py' --x=1"])._mapped == {"a:1": ("python", "my train.py", "--x=1")}
    with pytest.raises(SettingsError) as caught:
        Programs.read(["alone", "=python", "empty=", "quote='", "a=b", "a=c"])
    assert len(caught.value.problems) == 5


# ---- documents ------------------------------------------------------------------------------------------------------


def test_documents_are_kept_changed_and_unique(make_host, make_job):
    host = make_host(pace=Pace(quick=True))
    document = host.submit("sagemaker/job", "digits", {"Name": "digits"}, make_job(), "sagemaker")
    with pytest.raises(ConflictError, match="sagemaker/job 'digits'"):
        host.submit("sagemaker/job", "digits", {}, make_job(), "sagemaker")
    other = host.submit("vertex/job", "digits", {}, make_job(), "vertex")
    assert other.run != document.run
    assert len(host._client.runs()) == 2, "the refused one left nothing behind"
    host.documents.change("sagemaker/job", "digits", lambda body: body | {"Tags": [1]})
    host.documents.change("sagemaker/job", "digits", lambda body: body["Tags"].append(2))
    assert host.documents.get("sagemaker/job", "digits").body == {"Name": "digits", "Tags": [1, 2]}
    host.wait(document.run, 10)
    host.delete(host.documents.get("sagemaker/job", "digits"))
    with pytest.raises(RunNotFoundError, match="no sagemaker/job 'digits'"):
        host.documents.get("sagemaker/job", "digits")
    with pytest.raises(RunNotFoundError):
        host.result(document.run)
    assert [one.name for one in host.documents.all("vertex/job")] == ["digits"]


# ---- ends -----------------------------------------------------------------------------------------------------------


def test_a_job_and_a_single_trial_are_stopped(make_host, make_job, until):
    host = make_host(programs=Programs.read(["gcr.io/p/trainer:1=sh -c 'sleep 60'"]))
    run = host.submit("job", "digits", {}, make_job(max_trials=4), "vertex").run
    assert until(lambda: running(host, run) == [1, 2])
    with pytest.raises(UnknownTrialError):
        host.stop(run, 9)
    host.stop(run, 2)
    assert until(lambda: running(host, run) == [1, 3])
    with pytest.raises(ConflictError):
        host.delete(host.documents.get("job", "digits"))
    host.stop(run)
    assert host.result(run).state is RunState.STOPPING
    result = host.wait(run, 10)
    assert result.state is RunState.STOPPED
    assert {trial.state for trial in result.trials} == {TrialState.STOPPED}
    with pytest.raises(ConflictError):
        host.stop(run)
    host.delete(host.documents.get("job", "digits"))


def test_a_job_that_waits_is_stopped_before_it_begins(make_host, make_job):
    host = make_host(pace=Pace(creating=30))
    run = host.submit("job", "digits", {}, make_job(), "vertex").run
    assert host.result(run).state is RunState.PENDING
    host.stop(run)
    result = host.wait(run, 10)
    assert (result.state, result.trials) == (RunState.STOPPED, ())


def test_a_trial_that_is_not_there_is_no_trial_before_the_job_begins_either(make_host, make_job):
    host = make_host(pace=Pace(creating=30))
    run = host.submit("job", "digits", {}, make_job(), "vertex").run
    with pytest.raises(UnknownTrialError):
        host.stop(run, 9)


def test_stopping_at_any_moment_of_the_beginning_stops(make_host, make_job):
    host = make_host(programs=Programs.read(["gcr.io/p/trainer:1=sh -c 'sleep 60'"]))
    for index, pause in enumerate([0.0, 0.01, 0.03, 0.06, 0.1]):
        run = host.submit("job", f"digits-{index}", {}, make_job(), "vertex").run
        time.sleep(pause)
        host.stop(run)
        assert host.wait(run, 10).state is RunState.STOPPED


def test_a_temporary_host_takes_everything_with_it(make_host, make_job, tmp_path, until):
    sign = tmp_path / "alive"
    host = make_host(programs=Programs.read([f"gcr.io/p/trainer:1=sh -c 'while :; do touch {sign}; sleep 0.05; done'"]))
    run = host.submit("job", "digits", {}, make_job(max_trials=1), "vertex").run
    until(sign.exists)
    assert running(host, run) == [1]
    host.close()
    assert not host.folder.exists()
    sign.unlink()
    time.sleep(0.2)
    assert not sign.exists()


# ---- restarts -------------------------------------------------------------------------------------------------------


def test_a_new_host_of_the_same_folder_goes_on_with_everything(make_host, make_job, tmp_path, until):
    ledger = tmp_path / "ledger"
    code = f"import sys,time; time.sleep(0.5); print('loss=1'); open({str(ledger)!r}, 'a').write(sys.argv[1] + chr(10))"
    programs = Programs({"gcr.io/p/trainer:1": ("python", "-c", code)})
    state = tmp_path / "state"
    first = make_host(folder=state, programs=programs)
    body = {"Name": "digits", "Tags": [{"Key": "team", "Value": "vision"}]}
    document = first.submit("job", "digits", body, make_job(trial=LOSS, max_trials=4), "modelarts")
    until(lambda: running(first, document.run))
    with pytest.raises(ConflictError, match="another emulator uses"):
        make_host(folder=state)
    first.close()
    second = make_host(folder=state, programs=programs)
    assert second.documents.get("job", "digits") == document
    assert second.result(document.run).state is RunState.RUNNING
    result = second.wait(document.run, 20)
    assert result.state is RunState.SUCCEEDED
    assert len(ledger.read_text().splitlines()) == 4, "every trial ran once"
    second.close()
    third = make_host(folder=state)
    assert third.result(document.run) == result
    third.delete(document)


def test_a_stopped_job_stays_stopped_whenever_the_host_ends(make_host, make_job, tmp_path):
    programs = Programs.read(["gcr.io/p/trainer:1=sh -c 'sleep 60'"])
    for index, pause in enumerate([0.0, 0.05, 0.5]):
        state = tmp_path / f"state-{index}"
        first = make_host(folder=state, programs=programs)
        run = first.submit("job", "digits", {}, make_job(), "vertex").run
        time.sleep(pause)
        first.stop(run)
        first.close()
        second = make_host(folder=state, programs=programs)
        assert second.wait(run, 10).state is RunState.STOPPED
        assert second.documents.get("job", "digits").stopping
        second.close()


def test_a_waiting_job_goes_on_waiting_after_a_restart(make_host, make_job, tmp_path):
    state = tmp_path / "state"
    first = make_host(folder=state, pace=Pace(pending=0.5, quick=True))
    document = first.submit("job", "digits", {}, make_job(), "vertex")
    first.close()
    second = make_host(folder=state, pace=Pace(pending=0.5, quick=True))
    assert second.result(document.run).state is RunState.PENDING
    result = second.wait(document.run, 10)
    assert result.state is RunState.SUCCEEDED
    assert min(trial.started for trial in result.trials) - document.created >= 0.5


# ---- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", ["vertex", "sagemaker"])
def test_a_preempted_trial_runs_again_if_it_may(make_host, make_job, contract):
    faults = Faults([Fault(Kind.PREEMPT, "*/1", calls=frozenset({1}), seconds=0.1)])
    code = "python -c 'import time; time.sleep(0.4); import tuneport_trial as t; t.report(loss=1)'"
    host = make_host(faults=faults, programs=Programs.read([f"gcr.io/p/trainer:1={code}"]))
    again = host.submit("job", "again", {}, make_job(trial={"retries": 1}, max_trials=1), contract).run
    once = host.submit("job", "once", {}, make_job(trial={"retries": 0}, max_trials=1), contract).run
    (trial,) = host.wait(again, 20).trials
    assert (trial.state, trial.attempt) == (TrialState.SUCCEEDED, 2)
    (trial,) = host.wait(once, 20).trials
    assert (trial.state, trial.failure.kind) == (TrialState.FAILED, FailureKind.PREEMPTED)


def test_a_trial_without_capacity_is_not_started(make_host, make_job):
    host = make_host(faults=Faults([Fault(Kind.CAPACITY, "*/2")]))
    result = host.wait(host.submit("job", "digits", {}, make_job(max_trials=2), "sagemaker").run, 20)
    kinds = [trial.failure.kind if trial.failure else None for trial in result.trials]
    assert kinds == [None, FailureKind.INFRASTRUCTURE]
    assert "no capacity is left" in result.trials[1].failure.message


def test_trials_within_this_process_are_preempted_as_well(make_host, make_job):
    faults = Faults([Fault(Kind.PREEMPT, "digits/*", 0.5)], seed=1)
    host = make_host(faults=faults, pace=Pace(quick=True))
    result = host.wait(host.submit("job", "digits", {}, make_job(max_trials=8), "vertex").run, 20)
    struck = {f"digits/{trial.id}" for trial in result.trials if trial.state is TrialState.FAILED}
    assert struck == {target for target, _ in faults.struck}
    assert 0 < len(struck) < 8
    assert all("CapacityError" in trial.failure.message for trial in result.trials if trial.failure)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("contract", ["vertex", "sagemaker"])
def test_metrics_stay_away_or_are_none(make_host, make_job, contract, quick):
    faults = Faults([Fault(Kind.METRIC_MISSING, "*/1"), Fault(Kind.INFEASIBLE, "*/2")])
    host = make_host(faults=faults, pace=Pace(quick=quick))
    result = host.wait(host.submit("job", "digits", {}, make_job(parallel_trials=1), contract).run, 20)
    kinds = [trial.failure.kind if trial.failure else None for trial in result.trials]
    assert kinds == [FailureKind.METRIC_MISSING, FailureKind.INFEASIBLE, None]
    assert {target for target, _ in faults.struck} == {"digits/1", "digits/2"}


# ---- load -----------------------------------------------------------------------------------------------------------


def test_describing_is_cheap_while_trials_run(make_host, make_job):
    host = make_host(pace=Pace(quick=True, step=0.01))
    run = host.submit("job", "digits", {}, make_job(max_trials=30), "vertex").run
    began, count = time.monotonic(), 0
    while not host.result(run).state.ended:
        count += 1
    assert count / (time.monotonic() - began) > 200
