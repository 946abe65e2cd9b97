"""A real Ray cluster of two nodes on this machine: leases, lost nodes, killed drivers, and what is refused at once."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import ray

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.backends.local.settings import RaySettings
from tuneport.engine import executors
from tuneport.engine.executors import cluster
from tuneport.engine.executors.protocols import Event, Exited
from tuneport.engine.executors.ray import RayExecutor
from tuneport.engine.launch import TrialContext
from tuneport.errors import BackendError, JobError
from tuneport.model.job import TuningJob
from tuneport.model.results import FailureKind, RunState, Trial, TrialState
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


def test_a_cluster_that_others_fill_is_waited_for(
    ray_cluster: Any, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One trial waits, and no second one, which is said; it begins as soon as there is room."""
    monkeypatch.setattr(executors.ray, "PATIENCE", 0.5)
    monkeypatch.setattr(executors.ray, "LONG", 1.0)
    notes: list[str] = []
    executor = RayExecutor(launch, "crowded", Resources(), address=ray_cluster.address, note=notes.append)
    others = ray.util.placement_group([{"CPU": 2}] * 2)
    ray.get(others.ready())
    assert executor.lease() is not None
    assert ray.util.list_named_actors() == [], "a slot is made for a trial, not for the right to one"
    executor.handle()
    folder = tmp_path / "run" / "trials" / "1"
    folder.mkdir(parents=True)
    job = make_job("print(f'loss={x}')")
    executor.start(
        TrialContext(job, "crowded", 1, 1, {"x": 0.5}, str(folder), str(tmp_path), sys.executable), timeout=9
    )
    wait_for(lambda: bool(notes or executor.wait(0.1)))
    assert ["wait for room" in note for note in notes] == [True]
    assert executor.lease() is None
    ray.util.remove_placement_group(others)
    events: list[Event] = []
    wait_for(lambda: bool(events.extend(executor.wait(0.1)) or any(isinstance(one, Exited) for one in events)))
    assert [one.failure for one in events if isinstance(one, Exited)] == [None]
    assert executor.lease() is not None
    executor.close()


LEDGER = """
import json
trial = json.load(open(os.environ["TUNEPORT_TRIAL"]))
with open({ledger!r}, "a") as file:
    file.write(json.dumps([trial["trial"], trial["attempt"], os.getpid()]) + "\\n")
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
    lost = {trial.id for trial in on_ray.result(name).trials if again_or_waiting(trial)}
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for trial, _, pid in begun(ledger)[:6] if trial in lost))
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


MEET = """
import json, socket
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
place = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    with socket.create_server(place) as server:
        came = sorted(int(server.accept()[0].recv(10)) for _ in range(world - 1))
else:
    came = None
    while came is None:
        try:
            socket.create_connection(place, 1).sendall(str(rank).encode())
            came = []
        except OSError:
            time.sleep(0.05)
names = ("LOCAL_RANK", "GROUP_RANK", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE")
with open(f"seen.{rank}.json", "w") as file:
    json.dump([came, *(int(os.environ[name]) for name in names), os.environ["CUDA_VISIBLE_DEVICES"]], file)
print(f"loss={rank}")
"""


def test_replicas_find_each_other_across_nodes(ray_cluster: Any, make_job: MakeJob, tmp_path: Path) -> None:
    """Three of them on two nodes with two GPUs each: two are neighbours, and see the GPUs of both of them."""
    nodes = [ray_cluster.add_node(num_cpus=2, num_gpus=2) for _ in range(2)]
    settings = RaySettings(workspace=tmp_path / "workspace", address=ray_cluster.address)
    client = LocalClient(settings, lambda _: launch, create=True)
    resources = Resources(replicas=3, gpus=1)
    try:
        name = client.create(make_job(MEET, trial={"resources": resources}), tmp_path, "process", "test")
        client.drive(name)
    finally:
        for node in nodes:
            ray_cluster.remove_node(node)
    trials = client.result(name).trials
    assert [trial.state for trial in trials] == [TrialState.SUCCEEDED] * 3, trials
    assert {tuple(one.metrics.values()) for one in trials[0].measurements} == {(0.0,)}
    seen = [json.loads((tmp_path / f"seen.{rank}.json").read_text()) for rank in range(3)]
    assert seen[0][0] == [1, 2]
    local_rank, node, together, in_all, gpus = zip(*(one[1:] for one in seen), strict=True)
    assert in_all == (2, 2, 2)
    two_first = (0, 1, 0), (0, 0, 1), (2, 2, 1)
    one_first = (0, 0, 1), (0, 1, 1), (1, 2, 2)
    assert (local_rank, node, together) in (two_first, one_first)
    assert [len(one.split(",")) for one in gpus] == list(together)
    client.close()


@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        ("if rank == 2: sys.exit(5)\ntime.sleep(60)", FailureKind.CODE, 5),
        ("if rank == 0: sys.exit(6)\ntime.sleep(60)", FailureKind.CODE, 6),
        ("time.sleep(60)", FailureKind.TIMED_OUT, None),
    ],
)
def test_replicas_on_several_nodes_have_one_fate(
    on_ray: LocalClient, make_job: MakeJob, tmp_path: Path, script: str, kind: FailureKind, code: int | None
) -> None:
    """One fails, or the time is over: all are ended, on both nodes, and their places are free for the next trial."""
    begin = """
rank = int(os.environ["RANK"])
open(f"pid.{os.getpid()}", "w").close()
while sum(name.startswith("pid.") for name in os.listdir()) % 4: time.sleep(0.05)  # all of a trial are there
"""
    trial = {"resources": Resources(replicas=4), "timeout": 8.0 if code is None else None}
    name = on_ray.create(make_job(begin + script, trial=trial, budget={"max_trials": 2}), tmp_path, "process", "test")
    on_ray.drive(name)
    for ended in on_ray.result(name).trials:
        assert ended.failure is not None
        assert ended.failure.kind is kind
        assert code in {None, ended.failure.exit_code}
    pids = [path.suffix[1:] for path in tmp_path.glob("pid.*")]
    assert len(pids) == 8
    assert not any(Path("/proc", pid).exists() for pid in pids)


def test_a_node_that_is_lost_takes_all_replicas_of_a_trial_with_it(
    ray_cluster: Any, on_ray: LocalClient, make_job: MakeJob, tmp_path: Path, start_driver: Callable[..., Any]
) -> None:
    """What its trial had on other nodes is ended too, and the trial starts again as a whole; the other one goes on."""
    go = tmp_path / "go"
    script = f"""
trial = os.path.dirname(os.environ["TUNEPORT_TRIAL"]).partition("trials/")[2].partition("/")[0]
open(f"begun.{{trial}}.{{os.environ['RANK']}}.{{os.getpid()}}", "w").close()
while not os.path.exists({str(go)!r}): time.sleep(0.05)
print("loss=1")
"""

    def pids(trial: int) -> list[str]:
        return [path.suffix[1:] for path in tmp_path.glob(f"begun.{trial}.*")]

    limits = {"max_trials": 2, "parallel_trials": 2}
    name = on_ray.create(
        make_job(script, trial={"resources": Resources(replicas=3)}, budget=limits), tmp_path, "process", "test"
    )
    driver = start_driver(on_ray, name)
    wait_for(lambda: len(pids(1)) == 3)  # by now the driver is connected, to a node that stays
    node = ray_cluster.add_node(num_cpus=2)
    wait_for(lambda: len(pids(2)) == 3)
    lost = pids(2)
    ray_cluster.remove_node(node, allow_graceful=False)
    wait_for(lambda: not any(Path("/proc", pid).exists() for pid in lost))
    wait_for(lambda: again_or_waiting(on_ray.result(name).trials[1]))
    go.touch()
    assert driver.wait(60) == 0
    assert [(trial.state, trial.attempt) for trial in on_ray.result(name).trials] == [
        (TrialState.SUCCEEDED, 1),
        (TrialState.SUCCEEDED, 2),
    ]
    assert (len(pids(1)), len(pids(2))) == (3, 6)


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"gpus": 4}, "a trial needs 4, but no node of the Ray cluster has more than 0"),
        ({"cpus": 64}, "a trial needs 64, but no node"),
        ({"memory": "4000GiB"}, "a trial needs 4000GiB, but no node"),
        ({"replicas": 64}, "a trial has 64 replicas, but the Ray cluster has room for 4 at once"),
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


@pytest.mark.parametrize(
    ("given", "variable", "used"), [(None, None, "local"), (None, "a:1", "a:1"), ("b:2", "a:1", "b:2")]
)
def test_which_cluster_is_meant(
    monkeypatch: pytest.MonkeyPatch, given: str | None, variable: str | None, used: str
) -> None:
    """Where none is named, it is one of our own: never one that somebody has left on this machine."""
    asked: list[str] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: asked.append(options["address"]))
    monkeypatch.setattr(cluster, "_check_reach", lambda address: None)
    monkeypatch.setenv("RAY_ADDRESS", variable or "")
    cluster.connect(given)
    assert asked == [used]


def test_an_address_of_something_else_is_said_at_once(make_job: MakeJob, tmp_path: Path) -> None:
    def answer() -> None:
        with server.accept()[0] as connection:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        settings = RaySettings(workspace=tmp_path / "workspace", address=address)
        client = LocalClient(settings, lambda _: launch, create=True)
        with pytest.raises(BackendError, match=f"what answers at {address} is not Ray"):
            client.create(make_job(""), tmp_path, "process", "test")
        thread.join()
    client.close()


@pytest.mark.parametrize("package", ["tuneport", "ray"])
def test_nodes_with_other_versions_are_refused(ray_cluster: Any, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(cluster, "version", lambda name: "99.0" if name == package else version(name))
    with pytest.raises(BackendError, match=f"nodes need what is here .*{package} 99.0.* has {package} ") as caught:
        cluster.cluster_problems(Resources(), ray_cluster.address)
    assert f"{package}" in (caught.value.hint or "")


def test_versions_that_differ_are_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.30\n    Python: 3.9")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(BackendError, match="Version mismatch") as caught:
        cluster.connect("auto")
    assert "same versions" in (caught.value.hint or "")


def test_places_are_counted_node_by_node() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8, "GPU": 2}},
        {"Alive": True, "Resources": {"CPU": 3}},
        {"Alive": False, "Resources": {"CPU": 64, "GPU": 8}},
    ]
    assert cluster.places(nodes, Resources(cpus=2)) == 5
    assert cluster.places(nodes, Resources(gpus=0.25)) == 8
    assert cluster.places(nodes, Resources(gpus=3)) == 0
    assert cluster.places(nodes, Resources(cpus=2, replicas=2)) == 2
    assert cluster.places(nodes, Resources(replicas=9)) == 1, "its replicas may be on several nodes"
