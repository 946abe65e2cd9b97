"""Trials of several processes on one machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.backends.modelarts import launch as modelarts
from tuneport.backends.sagemaker import launch as sagemaker
from tuneport.backends.vertex import launch as vertex
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
    log = three.folder(name) / "trials" / "1" / "replica-2" / "output.log"
    assert log.read_text() == "loss=2\n"


AS_A_CLOUD_SAYS = {
    "sagemaker": """
hosts = json.loads(os.environ["SM_HOSTS"])
assert json.load(open(os.environ["SM_INPUT_CONFIG_DIR"] + "/resourceconfig.json"))["hosts"] == hosts
rank, world, gpus = hosts.index(os.environ["SM_CURRENT_HOST"]), len(hosts), os.environ["SM_NUM_GPUS"]
""",
    "vertex": """
def place(spec, pools):
    rank = pools.index(spec["task"]["type"]) + spec["task"]["index"]
    members = [one for pool in pools for one in spec["cluster"][pool]]
    assert len(set(members)) == len(members), "each has an address of its own"
    return rank, len(members)
rank, world = place(json.loads(os.environ["CLUSTER_SPEC"]), ["workerpool0", "workerpool1"])
assert place(json.loads(os.environ["TF_CONFIG"]), ["chief", "worker"]) == (rank, world)
gpus = "1"
""",
    "modelarts": """
rank, world, gpus = int(os.environ["VC_TASK_INDEX"]), int(os.environ["VC_WORKER_NUM"]), os.environ["MA_NUM_GPUS"]
assert os.environ["VC_WORKER_HOSTS"] == ",".join([os.environ["MASTER_ADDR"]] * world)
assert os.environ["MA_NUM_HOSTS"] == str(world)
""",
}


@pytest.mark.parametrize("contract", AS_A_CLOUD_SAYS)
def test_replicas_are_machines_under_the_contract_of_a_cloud(
    client: LocalClient, make_job: MakeJob, tmp_path: Path, contract: Literal["sagemaker", "vertex", "modelarts"]
) -> None:
    """A cloud's variables and torchrun's say the same; each has its own GPU, and is the first on its machine."""
    script = f"""
import json, tuneport_trial
{AS_A_CLOUD_SAYS[contract]}
assert (str(rank), str(world), "0") == tuple(os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
with open(f"seen.{{rank}}.json", "w") as file:
    json.dump([world, gpus, os.environ["CUDA_VISIBLE_DEVICES"]], file)
tuneport_trial.report(loss=rank)
"""
    contracts = {"sagemaker": sagemaker.launch, "vertex": vertex.launch, "modelarts": modelarts.launch}
    settings = client._settings.changed(gpus=3, contract=contract)
    cloud = LocalClient(settings, lambda name: contracts[name])
    trial = {
        "command": ("python", "-c", f"import os, sys, time\n{script}"),
        "resources": Resources(replicas=3, gpus=1),
        "metrics": {},
    }
    job = make_job("", trial=trial, budget={"max_trials": 1})
    name = cloud.create(job, tmp_path, "process", "test")
    cloud.drive(name)
    (ended,) = cloud.result(name).trials
    assert ended.failure is None, ended.failure
    assert [dict(one.metrics) for one in ended.measurements] == [{"loss": 0.0}]
    seen = [json.loads((tmp_path / f"seen.{rank}.json").read_text()) for rank in range(3)]
    assert seen == [[3, "1", str(rank)] for rank in range(3)]


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
