"""A real Ray cluster of two nodes on this machine: leases, lost nodes, killed drivers, and what is refused at once."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.backends.local.settings import RaySettings
from tuneport.engine.executors import ray as rays
from tuneport.errors import BackendError, JobError
from tuneport.model.job import TuningJob
from tuneport.model.results import RunState, Trial, TrialState
from tuneport.model.trial_spec import Resources

MakeJob = Callable[..., TuningJob]


@pytest.fixture
def on_ray(tmp_path: Path, ray_cluster: Any) -> LocalClient:
    settings = RaySettings(workspace=tmp_path / "workspace", grace=1.0, address=ray_cluster.address)
    return LocalClient(settings, lambda _: launch, create=True)


def test_a_run_on_a_cluster_is_a_run_as_any_other(on_ray: LocalClient, make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("print(f'loss={x}')", budget={"max_trials": 6, "parallel_trials": 3})
    name = on_ray.create(job, tmp_path, "process", "test")
    on_ray.drive(name)
    result = on_ray.result(name)
    assert result.state is RunState.SUCCEEDED
    assert [trial.metrics["loss"] for trial in result.trials] == [trial.parameters["x"] for trial in result.trials]
    assert list(on_ray.logs(name, 1)) == [f"loss={result.trials[0].parameters['x']}"]
    assert result.notes == ()


def test_no_gpu_is_leased_twice(ray_cluster: Any, make_job: MakeJob, tmp_path: Path) -> None:
    """A node with two GPUs, as far as Ray knows: half of one each, four at once, two on each."""
    node = ray_cluster.add_node(num_cpus=8, num_gpus=2)
    crowd = tmp_path / "crowd"
    crowd.mkdir()
    script = f"""
mine = os.environ["CUDA_VISIBLE_DEVICES"]
open({str(crowd)!r} + f"/{{mine}}.{{os.getpid()}}", "w").close()
time.sleep(1)
together = [name for name in os.listdir({str(crowd)!r}) if name.startswith(mine + ".")]
print(f"loss={{len(together)}} device={{mine}}")
time.sleep(0.3)
os.remove({str(crowd)!r} + f"/{{mine}}.{{os.getpid()}}")
"""
    metrics = {"loss": r"loss=(\S+)", "device": r"device=(\S+)"}
    job = make_job(
        script,
        trial={"resources": Resources(gpus=0.5), "metrics": metrics},
        budget={"max_trials": 6, "parallel_trials": 6},
    )
    client = LocalClient(
        RaySettings(workspace=tmp_path / "workspace", address=ray_cluster.address), lambda _: launch, create=True
    )
    try:
        name = client.create(job, tmp_path, "process", "test")
        client.drive(name)
    finally:
        ray_cluster.remove_node(node)
    trials = client.result(name).trials
    assert {trial.state for trial in trials} == {TrialState.SUCCEEDED}
    assert {trial.metrics["device"] for trial in trials} == {0.0, 1.0}
    assert max(trial.metrics["loss"] for trial in trials) <= 2.0
    client.close()


LEDGER = """
import json
trial = json.load(open(os.environ["TUNEPORT_TRIAL"]))
with open({ledger!r}, "a") as file:
    file.write(json.dumps([trial["trial"], trial["attempt"]]) + "\\n")
print("loss=1", flush=True)
time.sleep({seconds})
"""


def begun(ledger: Path) -> list[list[Any]]:
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def again_or_waiting(trial: Trial) -> bool:
    """Whether a trial was lost: it has begun again, or waits for room to."""
    return trial.attempt > 1 or trial.state is TrialState.REQUESTED


def test_a_lost_node_costs_attempts_and_no_trial(
    ray_cluster: Any, on_ray: LocalClient, make_job: MakeJob, tmp_path: Path, start_driver: Callable[..., Any]
) -> None:
    """A node goes while its trials run: what had ended stays, what ran there runs again, nothing else does."""
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    script = LEDGER.format(ledger=str(ledger), seconds=0) + f"while not os.path.exists({str(go)!r}): time.sleep(0.05)"
    job = make_job(script, budget={"max_trials": 7, "parallel_trials": 6})
    name = on_ray.create(job, tmp_path, "process", "test")
    driver = start_driver(on_ray, name)
    wait_for(lambda: len(begun(ledger)) >= 1)  # by now the driver is connected, to a node that stays
    node = ray_cluster.add_node(num_cpus=2)
    wait_for(lambda: len(begun(ledger)) >= 6)  # two more than fit without it
    ray_cluster.remove_node(node, allow_graceful=False)
    wait_for(lambda: sum(map(again_or_waiting, on_ray.result(name).trials)) == 2)
    go.touch()
    assert driver.wait(120) == 0
    result = on_ray.result(name)
    assert [trial.state for trial in result.trials] == [TrialState.SUCCEEDED] * 7
    again = [trial.id for trial in result.trials if trial.attempt > 1]
    assert len(again) == 2, "those that ran on it"
    assert len(begun(ledger)) == 7 + len(again)


def test_a_killed_driver_is_followed_by_another(
    on_ray: LocalClient, make_job: MakeJob, tmp_path: Path, start_driver: Callable[..., subprocess.Popen[bytes]]
) -> None:
    ledger = tmp_path / "ledger"
    job = make_job(LEDGER.format(ledger=str(ledger), seconds=3), budget={"max_trials": 4, "parallel_trials": 2})
    name = on_ray.create(job, tmp_path, "process", "test")
    driver = start_driver(on_ray, name)
    wait_for(lambda: len(begun(ledger)) >= 2)
    driver.kill()
    driver.wait()
    on_ray.drive(name)
    result = on_ray.result(name)
    assert [(trial.state, trial.attempt) for trial in result.trials] == [(TrialState.SUCCEEDED, 1)] * 4
    assert len(begun(ledger)) == 4, "nothing ran twice"


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"gpus": 4}, "a trial needs 4, but no node of the Ray cluster has more than 0"),
        ({"cpus": 64}, "a trial needs 64, but no node"),
        ({"memory": "4000GiB"}, "a trial needs 4000GiB, but no node"),
    ],
)
def test_what_fits_on_no_node_is_refused(
    on_ray: LocalClient, make_job: MakeJob, tmp_path: Path, resources: dict[str, Any], said: str
) -> None:
    with pytest.raises(JobError) as caught:
        on_ray.create(make_job("", trial={"resources": Resources(**resources)}), tmp_path, "process", "test")
    (problem,) = caught.value.problems
    assert problem.pointer == f"/trial/resources/{next(iter(resources))}"
    assert said in problem.message
    assert on_ray.runs() == []


@pytest.mark.parametrize("scheme", ["ray://", ""])
def test_an_address_that_does_not_answer_is_said_at_once(scheme: str, make_job: MakeJob, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = RaySettings(workspace=tmp_path / "workspace", address=f"{scheme}127.0.0.1:{port}")
    client = LocalClient(settings, lambda _: launch, create=True)
    with pytest.raises(BackendError, match="nothing answers at") as caught:
        client.create(make_job(""), tmp_path, "process", "test")
    assert caught.value.hint
    client.close()


def test_nodes_with_another_tuneport_are_refused(ray_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rays, "version", lambda _: "99.0")
    with pytest.raises(BackendError, match="nodes need tuneport 99"):
        rays.cluster_problems(Resources(), ray_cluster.address)


def test_versions_that_differ_are_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.30\n    Python: 3.9")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(BackendError, match="Version mismatch") as caught:
        rays.connect("auto")
    assert "same versions" in (caught.value.hint or "")


def test_places_are_counted_node_by_node() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8, "GPU": 2}},
        {"Alive": True, "Resources": {"CPU": 3}},
        {"Alive": False, "Resources": {"CPU": 64, "GPU": 8}},
    ]
    assert rays.places(nodes, Resources(cpus=2)) == 5
    assert rays.places(nodes, Resources(gpus=0.25)) == 8
    assert rays.places(nodes, Resources(gpus=3)) == 0
