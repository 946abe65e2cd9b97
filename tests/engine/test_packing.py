"""Trials are packed on GPUs by what they are seen to need, also after the runner was killed. Real processes."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.model.job import TuningJob
from tuneport.model.results import TrialState
from tuneport.model.trial_spec import Resources

MIB = 1 << 20
MakeJob = Callable[..., TuningJob]
StartDriver = Callable[..., subprocess.Popen[bytes]]
TRAINER = """
import glob, json
number = json.load(open(os.environ["TUNEPORT_TRIAL"]))["trial"]
card = os.environ["STANDIN_GPUS"] + "/GPU-a."
assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"

def take(size):
    with open(card + str(os.getpid()), "w") as file:
        file.write(str(size << 20))
    alive = [path for path in glob.glob(card + "*") if os.path.exists("/proc/" + path.rpartition(".")[2])]
    if sum(int(open(path).read() or 0) for path in alive) > 1000 << 20:
        time.sleep(1.2)  # long enough to be seen
        sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")
"""


@pytest.fixture
def gpu(machine: Callable[..., Path], client: LocalClient) -> Iterator[LocalClient]:
    """The runs of a machine with one GPU of 1000 MiB."""
    machine({"uuid": "GPU-a", "memory": 1000 * MIB, "busy": 30})
    found = LocalClient(client._settings.changed(gpus=None), lambda _: launch)
    yield found
    found.close()


def auto(make_job: MakeJob, script: str, trials: int, **resources: Any) -> TuningJob:
    want = Resources(**(resources or {"gpu_memory": "auto"}))
    return make_job(TRAINER + script, trial={"resources": want}, budget={"max_trials": trials, "parallel_trials": 4})


def started(client: LocalClient, name: str) -> list[dict[str, Any]]:
    """What trials leased, in the order of their starts."""
    return [event.body or {} for event in client._store.events(name) if event.kind == "started"]


def test_who_follows_the_first_trial_gets_what_that_was_seen_to_need(
    gpu: LocalClient, make_job: MakeJob, tmp_path: Path
) -> None:
    script = "take(200)\nprint('loss=1', flush=True)\ntime.sleep(4)"
    name = gpu.create(auto(make_job, script, 4), tmp_path, "process", "test")
    gpu.drive(name)
    result = gpu.result(name)
    assert [trial.state for trial in result.trials] == [TrialState.SUCCEEDED] * 4, result
    assert {trial.gpu_memory for trial in result.trials} == {200 * MIB}
    first, *others = started(gpu, name)
    assert (first["share"], first["memory"]) == (1.0, 0)
    assert {(one["share"], one["memory"]) for one in others} == {(0.0, 240 * MIB)}
    begun, ended = result.trials[0].started, result.trials[0].ended
    assert begun is not None
    assert ended is not None
    beside = [trial for trial in result.trials[1:] if begun < (trial.started or 0) < ended]
    assert len(beside) == 3, "as soon as it has reported, not when it has ended"


def test_a_trial_that_has_not_reported_teaches_nothing(gpu: LocalClient, make_job: MakeJob, tmp_path: Path) -> None:
    """It may not have got to what takes most memory."""
    script = "take(10)\ntime.sleep(1.5)\ntake(900)\nprint('loss=1', flush=True)\ntime.sleep(3)"
    name = gpu.create(auto(make_job, script, 2), tmp_path, "process", "test")
    gpu.drive(name)
    one, two = gpu.result(name).trials
    assert (one.attempt, two.attempt) == (1, 1)
    assert (one.gpu_memory, one.state) == (900 * MIB, TrialState.SUCCEEDED)
    assert (two.started or 0) >= (one.ended or 0)


def test_trials_of_several_sizes_all_end_well(gpu: LocalClient, make_job: MakeJob, tmp_path: Path) -> None:
    """The first one is small; what it teaches is too little for the others, some of which run out of memory."""
    script = "take(100 if number == 1 else 400)\nprint('loss=1', flush=True)\ntime.sleep(1.2)"
    name = gpu.create(auto(make_job, script, 6), tmp_path, "process", "test")
    gpu.drive(name)
    result = gpu.result(name)
    assert [trial.state for trial in result.trials] == [TrialState.SUCCEEDED] * 6, result
    assert sum(trial.attempt for trial in result.trials) > 6
    assert started(gpu, name)[-1]["memory"] == 480 * MIB
    assert gpu._record(name).cramped


def interrupted(client: LocalClient, name: str, driver: subprocess.Popen[bytes], kind: str, count: int = 1) -> None:
    """Kill a driver when its journal has so many events of a kind."""
    end = time.monotonic() + 30
    while sum(event.kind == kind for event in client._store.events(name)) < count:
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()


def test_a_resumed_run_knows_what_trials_need(
    gpu: LocalClient, make_job: MakeJob, tmp_path: Path, start_driver: StartDriver
) -> None:
    go = tmp_path / "go"
    script = f"take(200)\nprint('loss=1', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    name = gpu.create(auto(make_job, f"{script}\ntime.sleep(2)", 5), tmp_path, "process", "test")
    interrupted(gpu, name, start_driver(gpu, name), "reported", 4)
    assert gpu._record(name).needed == 200 * MIB
    assert len(gpu._record(name).running) == 4
    go.touch()
    gpu.drive(name)
    result = gpu.result(name)
    assert [trial.state for trial in result.trials] == [TrialState.SUCCEEDED] * 5, result
    assert {trial.gpu_memory for trial in result.trials} == {200 * MIB}
    assert {trial.attempt for trial in result.trials} == {1}, "those that ran were taken over"
    assert {(one["share"], one["memory"]) for one in started(gpu, name)[1:]} == {(0.0, 240 * MIB)}


def test_a_resumed_run_knows_that_trials_were_packed_too_tightly(
    gpu: LocalClient, make_job: MakeJob, tmp_path: Path, start_driver: StartDriver
) -> None:
    script = "take(400)\nprint('loss=1', flush=True)\ntime.sleep(1)"
    name = gpu.create(auto(make_job, script, 4, gpus=0.3), tmp_path, "process", "test")
    interrupted(gpu, name, start_driver(gpu, name), "requeued")
    before = len(started(gpu, name))
    assert gpu._record(name).cramped[0].share == 0.3
    gpu.drive(name)
    assert [trial.state for trial in gpu.result(name).trials] == [TrialState.SUCCEEDED] * 4
    after = started(gpu, name)[before:]
    assert after
    assert {one["share"] for one in after} == {0.6}
