"""Slots of a real Ray cluster: how long they stay, and that what is to stop does, whatever the cluster is at."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from tuneport.backends.local.launch import launch
from tuneport.engine import executors
from tuneport.engine.executors.cluster import NAMESPACE, cluster_problems
from tuneport.engine.executors.protocols import Event, Exited
from tuneport.engine.executors.ray import RayExecutor
from tuneport.engine.launch import TrialContext, token
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import Resources


class Runner:
    """Starts trials in slots of a size, as an engine does."""

    def __init__(self, address: str, folder: Path, make_job: Callable[..., TuningJob], **resources: Any) -> None:
        self.name, self._folder, self._make_job = f"{folder.name}-{os.getpid()}", folder, make_job
        self._resources = Resources(**resources)
        self.notes: list[str] = []
        self.events: list[Event] = []
        self.trials = folder / "run" / "trials"
        self.executor = RayExecutor(
            launch, self.name, self._resources, address=address, grace=1.0, note=self.notes.append
        )

    def context(self, trial: int, script: str = "", attempt: int = 1) -> TrialContext:
        (self._folder / "run" / "trials").mkdir(parents=True, exist_ok=True)
        folder = str(self.trials / str(trial))
        job = self._make_job("import signal\n" + script, trial={"resources": self._resources})
        return TrialContext(job, self.name, trial, attempt, {"x": 0.5}, folder, str(self._folder), sys.executable)

    def start(self, trial: int, script: str, attempt: int = 1) -> dict[str, Any]:
        assert self.executor.lease() is not None
        handle = self.executor.handle()
        self.executor.start(self.context(trial, script, attempt), timeout=None)
        return handle

    def end(self, seconds: float = 60) -> Exited:
        """The end of the trial that runs."""
        last = time.monotonic() + seconds
        while not self.events or not isinstance(self.events[-1], Exited):
            assert time.monotonic() < last, self.events
            self.wait()
        return self.events.pop()

    def wait(self) -> None:
        """Hear what happens."""
        self.events += self.executor.wait(0.1)


@pytest.fixture
def runner(ray_cluster: Any, tmp_path: Path, make_job: Callable[..., TuningJob]) -> Iterator[Callable[..., Runner]]:
    made: list[Runner] = []

    def make(**resources: Any) -> Runner:
        made.append(Runner(ray_cluster.address, tmp_path, make_job, **resources))
        return made[-1]

    yield make
    for one in reversed(made):
        if ray.is_initialized():
            one.executor.close()
        shutil.rmtree(Path(tempfile.gettempdir(), "tuneport", one.name), ignore_errors=True)  # of nodes


def test_a_place_without_a_share_of_its_own_stays_with_its_trial(
    runner: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three replicas on two nodes, one is started by its neighbour: its own place is never asked for anything."""
    monkeypatch.setattr(executors.ray, "ABANDONED", 1.0)
    one = runner(replicas=3)
    one.start(1, "time.sleep(3)")
    end = one.end()
    assert (end.failure, end.lost) == (None, False)


def reserved(run: str) -> list[str]:
    """What the cluster has of a run, or keeps a place for."""
    groups = [one for one in ray.util.placement_group_table().values() if one["state"] != "REMOVED"]
    return [one["name"] for one in (*ray.util.list_named_actors(True), *groups) if one["name"].startswith(run)]


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_trial_that_waits_for_room_can_be_stopped(
    runner: Callable[..., Runner], until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    """Others have the cluster: no word reaches its slot until they let go of it."""
    monkeypatch.setattr(executors.ray, "PATIENCE", 0.5)
    one = runner(replicas=replicas)
    others = ray.util.placement_group([{"CPU": 2}] * 2)
    ray.get(others.ready())
    one.start(1, "print('loss=1')")
    one.executor.stop(1)
    end = one.end(30)
    assert (end.failure, end.stopped, end.lost) == (None, True, False)
    until(lambda: not reserved(one.name))
    ray.util.remove_placement_group(others)
    one.start(2, "print('loss=1')")
    assert one.end().failure is None


def test_a_stop_that_is_heard_before_the_trial_counts(runner: Callable[..., Runner]) -> None:
    """A slot answers several calls at once, in any order; a stop means one trial and no other."""
    one = runner()
    handle = one.start(1, "print('loss=1')")
    assert not one.end().stopped
    slot = ray.get_actor(handle["slot"], namespace=NAMESPACE)
    ray.get([slot.stop.remote(token(one.context(trial))) for trial in (1, 3)])
    assert one.start(2, "time.sleep(0.5)") == handle
    assert not one.end().stopped
    assert one.start(3, "time.sleep(60)") == handle
    assert one.end(30).stopped


@pytest.mark.parametrize("at_fault", [False, True])
def test_a_failure_is_told_from_what_a_stop_leads_to(
    runner: Callable[..., Runner], tmp_path: Path, until: Callable[..., Any], at_fault: bool
) -> None:
    """The last replica, on the other node, fails once the first one is asked to end; or before anybody asked."""
    asked, begun = tmp_path / "asked", tmp_path / "begun"
    script = f"""
def note(*_): open({str(asked)!r}, "w").close()
rank = int(os.environ["RANK"])
signal.signal(signal.SIGTERM, note if rank == 0 else signal.SIG_IGN)
open({str(begun)!r} + str(rank), "w").close()
while not all(os.path.exists({str(begun)!r} + str(one)) for one in range(3)): time.sleep(0.01)
while not ({at_fault} and rank == 2 or os.path.exists({str(asked)!r})): time.sleep(0.001)
if rank == 2: sys.exit(5)
time.sleep(0.5)
"""
    one = runner(replicas=3)
    one.start(1, script)
    reached = asked if at_fault else Path(f"{begun}2")
    until(lambda: one.wait() or reached.exists())
    time.sleep(0.1)
    one.executor.stop(1)
    end = one.end()
    assert (end.stopped, end.failure is None) == (not at_fault, not at_fault), end


def test_a_slot_that_is_free_for_long_is_let_go(
    runner: Callable[..., Runner], until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runner does so before it would leave, so that no trial is given to one that has left."""
    monkeypatch.setattr(executors.ray, "ABANDONED", 4.0)
    one = runner()
    one.start(1, "print('loss=1')")
    assert one.end().failure is None
    assert reserved(one.name)
    until(lambda: one.wait() or not reserved(one.name))
    one.start(2, "print('loss=1')")
    assert not one.end().lost


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_slot_whose_runner_was_killed_ends_after_its_trial(
    runner: Callable[..., Runner],
    until: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    replicas: int,
) -> None:
    monkeypatch.setattr(executors.ray, "ABANDONED", 1.0)
    done = tmp_path / "done"
    one = runner(replicas=replicas)
    one.start(1, f"open({str(tmp_path / 'begun')!r}, 'w').close(); time.sleep(3); open({str(done)!r}, 'w').close()")
    until((tmp_path / "begun").exists)
    until(lambda: not reserved(one.name))
    assert done.exists()
    assert one.end().lost, "nobody asked until now"


def test_a_connection_of_somebody_else_is_used_and_left(
    runner: Callable[..., Runner], ray_cluster: Any, until: Callable[..., Any]
) -> None:
    """In a notebook that is connected, in a namespace of its own; what a killed runner left is found nevertheless."""
    killed = runner(replicas=2)
    killed.start(1, "print('loss=1')")
    assert killed.end().failure is None
    ray.shutdown()
    ray.init(address=ray_cluster.address, namespace="theirs", log_to_driver=False)
    try:
        assert cluster_problems(Resources(), None) == []
        assert reserved(killed.name)
        another = runner(replicas=2)
        assert another.executor.lease() is not None
        until(lambda: not reserved(killed.name))
        another.start(2, "print('loss=1')")
        assert another.end().failure is None
        another.executor.close()
        assert ray.is_initialized()
        until(lambda: not reserved(another.name))
    finally:
        ray.shutdown()


def test_output_comes_whole_from_nodes_that_do_not_see_our_folders(
    runner: Callable[..., Runner], tmp_path: Path, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one answer has, to a second runner after a killed one; another attempt's is kept apart."""
    monkeypatch.chdir(tmp_path)  # a node takes folders that are named from here for others
    go, log = tmp_path / "go", tmp_path / "away" / "trials" / "1" / "output.log"
    script = f"""
print("loss=1", flush=True)
while not os.path.exists({str(go)!r}): time.sleep(0.01)
print("x" * 3_000_000 + "the end")
"""
    one = runner()
    one.trials = Path("away", "trials")
    handle = one.start(1, script)
    until(lambda: one.wait() or log.exists())
    ray.shutdown()
    another = runner()
    another.trials = one.trials
    assert another.executor.adopt(another.context(1, script), handle, timeout=None)
    go.touch()
    assert another.end().failure is None
    first = "loss=1\n" + "x" * 3_000_000 + "the end\n"
    assert log.read_text() == first
    another.start(1, "print('loss=2')", attempt=2)
    assert another.end().failure is None
    assert log.read_text() == "loss=2\n"
    assert (log.parent / "attempt-1" / "output.log").read_text() == first
    another.start(2, "print('loss=2')")
    another.end()
    (note,) = another.notes
    assert "do not see away:" in note
