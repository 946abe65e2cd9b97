"""The runner is killed at any moment; whoever resumes the run loses nothing and repeats nothing. Real processes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.engine.store import Event, Store
from tuneport.errors import ConflictError
from tuneport.model.job import TuningJob
from tuneport.model.results import RunState, TrialState
from tuneport.model.study import CmaEs

StartDriver = Callable[..., subprocess.Popen[bytes]]

LEDGER = """
import json
trial = json.load(open(os.environ["TUNEPORT_TRIAL"]))
def note(what):
    with open({ledger!r}, "a") as file:
        file.write(f"{{what}} {{trial['trial']}} {{x!r}}\\n")
note("began")
time.sleep(0.7 + 0.2 * x)
print(f"loss={{x}}", flush=True)
note("ended")
"""


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def events_of(client: LocalClient, name: str) -> int:
    """The number of the latest event that the client sees."""
    assert client.result(name)
    return client._record(name).seq


def test_twenty_kills_of_the_runner_lose_nothing_and_repeat_nothing(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver
) -> None:
    ledger = tmp_path / "ledger.txt"
    job = make_job(LEDGER.format(ledger=str(ledger)), budget={"max_trials": 40, "parallel_trials": 2})
    name = client.create(job, tmp_path, "process", "test")
    chance = random.Random(20)
    kills = 0
    while kills < 20:
        driver = start_driver(client, name)
        # Not before its first word in the journal: a runner that dies in its imports proves nothing.
        before = events_of(client, name)
        wait_for(lambda before=before: events_of(client, name) > before)
        time.sleep(chance.uniform(0, 0.3))
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        kills += 1
        assert client.result(name).state is RunState.INTERRUPTED
    client.drive(name)

    result = client.result(name)
    assert result.state is RunState.SUCCEEDED
    assert [trial.id for trial in result.trials] == list(range(1, 41))
    assert {trial.state for trial in result.trials} == {TrialState.SUCCEEDED}
    assert all(trial.metrics["loss"] == trial.parameters["x"] for trial in result.trials)
    lines = ledger.read_text().splitlines()
    expected = {f"{trial.id} {trial.parameters['x']!r}" for trial in result.trials}
    for what in ("began", "ended"):
        noted = [line.removeprefix(f"{what} ") for line in lines if line.startswith(what)]
        assert len(noted) == 40, f"every trial {what} once"
        assert set(noted) == expected


def test_trials_cut_off_with_their_keeper_run_again(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver
) -> None:
    ledger = tmp_path / "ledger.txt"
    script = LEDGER.format(ledger=str(ledger)).replace("0.7 + 0.2 * x", "30 if trial['attempt'] == 1 else 0")
    name = client.create(make_job(script, budget={"max_trials": 2, "parallel_trials": 2}), tmp_path, "process", "test")
    driver = start_driver(client, name)
    wait_for(lambda: ledger.exists() and len(ledger.read_text().splitlines()) == 2)
    assert client.result(name)
    (keeper,) = {life.handle["keeper"] for life in client._record(name).lives.values()}
    driver.kill()
    driver.wait()
    os.kill(keeper, signal.SIGKILL)
    client.drive(name)
    result = client.result(name)
    assert [(trial.state, trial.attempt) for trial in result.trials] == [(TrialState.SUCCEEDED, 2)] * 2
    assert sorted(line.split()[0] for line in ledger.read_text().splitlines()) == ["began"] * 4 + ["ended"] * 2, (
        "the first attempts were killed, not left to run beside the second ones"
    )


def test_a_killed_keeper_alone_costs_an_attempt_and_no_trial(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver
) -> None:
    ledger = tmp_path / "ledger.txt"
    script = LEDGER.format(ledger=str(ledger)).replace("0.7 + 0.2 * x", "30 if trial['attempt'] == 1 else 0")
    name = client.create(make_job(script, budget={"max_trials": 1}), tmp_path, "process", "test")
    driver = start_driver(client, name)
    wait_for(ledger.exists)
    assert client.result(name)
    os.kill(client._record(name).lives[1].handle["keeper"], signal.SIGKILL)
    assert driver.wait(20) == 0
    (trial,) = client.result(name).trials
    assert (trial.state, trial.attempt) == (TrialState.SUCCEEDED, 2)


def test_only_one_process_drives_a_run(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver
) -> None:
    name = client.create(make_job("time.sleep(30)", budget={"max_trials": 1}), tmp_path, "process", "test")
    driver = start_driver(client, name)
    wait_for(lambda: client.result(name).state is RunState.RUNNING)
    with pytest.raises(ConflictError, match="driven by another process"):
        client.drive(name)
    with pytest.raises(ConflictError):
        client.delete(name)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(20) != 0
    assert client.result(name).state is RunState.INTERRUPTED


def test_ctrl_c_ends_trials_cleanly_and_resume_runs_them_again(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver
) -> None:
    ledger = tmp_path / "ledger.txt"
    script = f"""
import signal
signal.signal(signal.SIGTERM, lambda *_: (open({str(ledger)!r}, "a").write("asked to stop\\n"), sys.exit(0)))
if os.path.exists({str(tmp_path / "second")!r}):
    print("loss=1")
else:
    open({str(tmp_path / "running")!r}, "w").close()
    time.sleep(30)
"""
    name = client.create(make_job(script, budget={"max_trials": 3}), tmp_path, "process", "test")
    driver = start_driver(client, name)
    wait_for((tmp_path / "running").exists)
    began = time.monotonic()
    driver.send_signal(signal.SIGINT)
    driver.wait(20)
    assert time.monotonic() - began < 5
    assert ledger.read_text() == "asked to stop\n"
    result = client.result(name)
    assert result.state is RunState.INTERRUPTED
    assert [trial.state for trial in result.trials] == [TrialState.REQUESTED]
    (tmp_path / "second").touch()
    client.drive(name)
    result = client.result(name)
    assert result.state is RunState.SUCCEEDED
    assert [(trial.state, trial.attempt) for trial in result.trials] == [
        (TrialState.SUCCEEDED, 2),
        (TrialState.SUCCEEDED, 1),
        (TrialState.SUCCEEDED, 1),
    ]


def test_a_run_that_nobody_drives_is_stopped_with_its_trials(
    client: LocalClient,
    make_job: Callable[..., TuningJob],
    tmp_path: Path,
    start_driver: StartDriver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where what searched it is not installed any more."""
    running = tmp_path / "running"
    script = f"open({str(running)!r}, 'w').close(); time.sleep(30)"
    job = make_job(script, study={"algorithm": CmaEs(seed=1)}, budget={"max_trials": 3})
    name = client.create(job, tmp_path, "process", "test")
    driver = start_driver(client, name)
    wait_for(running.exists)
    driver.kill()
    driver.wait()
    monkeypatch.setitem(sys.modules, "cmaes", None)
    client.stop(name)
    result = client.result(name)
    assert result.state is RunState.STOPPED
    assert [trial.state for trial in result.trials] == [TrialState.STOPPED]
    client.delete(name)
    assert client.runs() == []
    assert not client.folder(name).exists()


def test_a_workspace_can_be_copied_and_read_while_a_run_writes(
    client: LocalClient, make_job: Callable[..., TuningJob], run: Callable[[TuningJob], object], tmp_path: Path
) -> None:
    run(make_job("print('loss=1')"))
    client.close()
    assert [path.name for path in client.workspace.iterdir() if path.is_file()] == ["tuneport.db"], "one file, no log"
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(client.workspace), str(copy)], check=True)
    store = Store(copy, create=False)
    (row,) = store.runs()
    assert sum(event.kind == "ended" for event in store.events(row.id)) == 3
    store.close()


def test_a_watcher_learns_that_the_driver_is_gone(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver
) -> None:
    name = client.create(make_job("time.sleep(30)", budget={"max_trials": 1}), tmp_path, "process", "test")
    driver = start_driver(client, name)
    changes = client.changes(name)
    while not any(trial.state is TrialState.RUNNING for trial in next(changes).trials):
        pass
    driver.kill()
    driver.wait()
    assert [result.state for result in changes][-1] is RunState.INTERRUPTED
    client.stop(name)


def test_a_trial_that_was_written_down_but_never_ordered_runs_after_all(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver
) -> None:
    """The runner dies between journal and order, while its keeper lives on for another trial."""
    ledger = tmp_path / "ledger.txt"
    script = LEDGER.format(ledger=str(ledger)).replace("0.7 + 0.2 * x", "4 if trial['trial'] == 1 else 0")
    job = make_job(script, budget={"max_trials": 2, "parallel_trials": 2})
    name = client.create(job, tmp_path, "process", "test")
    hobbled = """
from tuneport.engine.executors import process
import os, time
start = process.ProcessExecutor.start
def die(self, context, *, timeout):
    if context.trial == 2: time.sleep(0.5); os.kill(os.getpid(), 9)
    start(self, context, timeout=timeout)
process.ProcessExecutor.start = die
"""
    assert start_driver(client, name, hobbled).wait() == -9
    began = time.monotonic()
    client.drive(name)
    result = client.result(name)
    assert [(trial.state, trial.attempt) for trial in result.trials] == [
        (TrialState.SUCCEEDED, 1),
        (TrialState.SUCCEEDED, 2),
    ]
    second = next(trial for trial in result.trials if trial.id == 2)
    first = next(trial for trial in result.trials if trial.id == 1)
    assert second.ended is not None
    assert first.ended is not None
    assert second.ended < first.ended, f"it did not wait for the other one, {time.monotonic() - began:.1f} s"
    assert sorted(line.split()[0] for line in ledger.read_text().splitlines()) == ["began"] * 2 + ["ended"] * 2


def test_what_was_decided_before_a_crash_stays_decided(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path
) -> None:
    """Runner and keeper die after a trial had all its steps: it is a success, and does not run again."""
    said = {"metrics": {"loss": 0.5}, "step": 3, "elapsed": 1.0}
    name = client.create(make_job("sys.exit(1)", budget={"max_trials": 1}), tmp_path, "process", "test")
    gone = {"attempt": 1, "devices": [], "share": 0.0, "memory": 0, "handle": {"keeper": 1 << 22, "began": "1"}}
    events = [
        Event("began"),
        Event("asked", 1, {"parameters": {"x": 0.5}}),
        Event("started", 1, gone),
        Event("reported", 1, said),
        Event("stopping", 1, {"why": "complete"}),
    ]
    client._store.append(name, events)
    client.drive(name)
    (trial,) = client.result(name).trials
    assert (trial.state, trial.attempt, dict(trial.metrics)) == (TrialState.SUCCEEDED, 1, {"loss": 0.5})


def test_a_run_without_its_folder_can_be_deleted(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path
) -> None:
    name = client.create(make_job(""), tmp_path, "process", "test")
    shutil.rmtree(client.workspace / "runs")
    assert client.result(name).state is RunState.PENDING
    client.delete(name)
    assert client.runs() == []


def test_many_processes_may_open_a_new_workspace_at_once(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from tuneport.engine.store import Store; Store(Path(sys.argv[1]))"
    processes = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "new")]) for _ in range(8)]
    assert [process.wait(60) for process in processes] == [0] * 8
