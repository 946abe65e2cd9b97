"""Trials of several processes on one machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.engine.devices import Device, Pool
from tuneport.errors import DeviceError
from tuneport.model.job import TuningJob
from tuneport.model.results import FailureKind, StudyResult
from tuneport.model.trial_spec import Resources

MakeJob = Callable[..., TuningJob]
Drive = Callable[[TuningJob], StudyResult]

MEET = """
import json, socket
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
place = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    with socket.create_server(place) as server:
        came = sorted(int(server.accept()[0].recv(10)) for _ in range(world - 1))
else:
    for _ in range(100):
        try:
            socket.create_connection(place).sendall(str(rank).encode())
            break
        except OSError:
            time.sleep(0.05)
    came = []
names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "CUDA_VISIBLE_DEVICES")
with open(f"seen.{rank}.json", "w") as file:
    json.dump([came, {name: os.environ.get(name) for name in names}], file)
print(f"loss={rank}")
"""


def test_replicas_find_each_other(client: LocalClient, make_job: MakeJob, tmp_path: Path) -> None:
    """Each process of three knows its rank and sees the trial's GPUs; what the first one says counts."""
    three = LocalClient(client._settings.changed(gpus=3), lambda _: launch)
    job = make_job(MEET, trial={"resources": Resources(replicas=3, gpus=1)}, budget={"max_trials": 1})
    name = three.create(job, tmp_path, "process", "test")
    three.drive(name)
    (trial,) = three.result(name).trials
    assert [dict(one.metrics) for one in trial.measurements] == [{"loss": 0.0}]
    seen = [json.loads((tmp_path / f"seen.{rank}.json").read_text()) for rank in range(3)]
    assert seen[0][0] == [1, 2]
    for rank, (_, variables) in enumerate(seen):
        assert variables["RANK"] == variables["LOCAL_RANK"] == str(rank)
        assert variables["WORLD_SIZE"] == variables["LOCAL_WORLD_SIZE"] == "3"
        assert variables["CUDA_VISIBLE_DEVICES"] == "0,1,2"
    log = three.folder(name) / "trials" / "1" / "output.rank-2.log"
    assert log.read_text() == "loss=2\n"


@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        ("if rank == 1: sys.exit(5)\ntime.sleep(60)", FailureKind.CODE, 5),
        ("if rank == 1: os.kill(os.getpid(), 9)\ntime.sleep(60)", FailureKind.PREEMPTED, -9),
    ],
)
def test_one_that_fails_ends_the_trial(
    make_job: MakeJob, run: Drive, script: str, kind: FailureKind, code: int
) -> None:
    began = time.monotonic()
    job = make_job(
        f'rank = int(os.environ["RANK"])\n{script}',
        trial={"resources": Resources(replicas=3)},
        budget={"max_trials": 1},
    )
    (trial,) = run(job).trials
    assert trial.failure is not None
    assert (trial.failure.kind, trial.failure.exit_code) == (kind, code)
    assert time.monotonic() - began < 20


def test_a_time_out_ends_all_of_them(make_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    script = "open(f'pid.{os.getpid()}', 'w').close()\ntime.sleep(60)"
    trial_spec = {"resources": Resources(replicas=2), "timeout": 1.5}
    (trial,) = run(make_job(script, trial=trial_spec, budget={"max_trials": 1})).trials
    assert trial.failure is not None
    assert trial.failure.kind is FailureKind.TIMED_OUT
    pids = [path.suffix[1:] for path in tmp_path.glob("pid.*")]
    assert len(pids) == 2
    assert not any(Path("/proc", pid).exists() for pid in pids)


def test_replicas_need_gpus_each() -> None:
    devices = [Device("0"), Device("1")]
    assert Pool(devices, Resources(gpus=1, replicas=2)).capacity == 1
    with pytest.raises(DeviceError, match="needs 4 GPUs"):
        Pool(devices, Resources(gpus=2, replicas=2))
