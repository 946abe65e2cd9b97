"""What every executor promises, tried with each: processes, forked processes, and slots of a Ray cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuneport.backends.local.launch import launch
from tuneport.engine.devices import Leases, Pool
from tuneport.engine.executors.process import ProcessExecutor
from tuneport.engine.executors.protocols import Emitted, Event, Executor, Exited
from tuneport.engine.executors.ray import RayExecutor
from tuneport.engine.launch import TrialContext
from tuneport.model.job import TuningJob
from tuneport.model.results import FailureKind
from tuneport.model.trial_spec import Resources

KINDS = ("process", "warm", "ray")
GRACE = 1.0


class Bench:
    """An executor of one kind, and trials for it."""

    def __init__(
        self, executor: Executor, leases: Leases, warm: bool, folder: Path, make_job: Callable[..., TuningJob]
    ):
        self.executor, self.leases = executor, leases
        self._warm, self._folder, self._make_job = warm, folder, make_job
        self.handles: dict[int, dict[str, Any]] = {}

    def context(self, trial: int, script: str = "", attempt: int = 1) -> TrialContext:
        job = self._make_job(
            "import signal\n" + script, trial={"warm_workers": self._warm, "preload": ("json",) * self._warm}
        )
        (self._folder / "run" / "trials").mkdir(parents=True, exist_ok=True)
        name = f"{self._folder.name}-run"
        folder = str(self._folder / "run" / "trials" / str(trial))
        return TrialContext(job, name, trial, attempt, {"x": 0.5}, folder, str(self._folder), sys.executable)

    def start(self, trial: int, script: str, timeout: float | None = None, attempt: int = 1) -> None:
        assert self.leases.lease() is not None
        self.handles[trial] = self.executor.handle()
        self.executor.start(self.context(trial, script, attempt), timeout=timeout)

    def until(self, wanted: Callable[[list[Event]], bool], seconds: float = 60) -> list[Event]:
        events: list[Event] = []
        end = time.monotonic() + seconds
        while not wanted(events):
            assert time.monotonic() < end, events
            events += self.executor.wait(1)
        return events

    def ends(self, count: int = 1) -> tuple[list[Emitted], list[Exited]]:
        events = self.until(lambda seen: sum(isinstance(one, Exited) for one in seen) == count)
        return [one for one in events if isinstance(one, Emitted)], [one for one in events if isinstance(one, Exited)]


def made(kind: str, cluster: str | None) -> tuple[Executor, Leases]:
    if kind == "ray":
        executor = RayExecutor(launch, "run", Resources(), address=cluster, grace=GRACE)
        return executor, executor
    return ProcessExecutor(launch, grace=GRACE), Pool((), Resources())


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path, make_job: Callable[..., TuningJob]) -> Iterator[Bench]:
    cluster = request.getfixturevalue("ray_cluster").address if request.param == "ray" else None
    executor, leases = made(request.param, cluster)
    yield Bench(executor, leases, request.param == "warm", tmp_path, make_job)
    executor.close()


def test_a_trial_reports_and_ends(bench: Bench) -> None:
    bench.start(1, "print('loss=3', flush=True); time.sleep(0.3); print('loss=2')")
    emitted, (exited,) = bench.ends()
    assert [(one.trial, one.report.metrics["loss"]) for one in emitted] == [(1, 3.0), (1, 2.0)]
    assert (exited.trial, exited.failure, exited.stopped, exited.lost) == (1, None, False, False)
    assert exited.last_lines == ("loss=3", "loss=2")
    assert abs(exited.time - time.time()) < 30
    assert Path(bench.context(1).folder, "output.log").read_text() == "loss=3\nloss=2\n"


@pytest.mark.parametrize(
    ("script", "timeout", "kind", "said"),
    [
        ("sys.exit(3)", None, FailureKind.CODE, "status 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", None, FailureKind.PREEMPTED, "SIGKILL"),
        ("raise MemoryError", None, FailureKind.OUT_OF_MEMORY, "memory"),
        ("time.sleep(60)", 0.5, FailureKind.TIMED_OUT, "time-out"),
    ],
)
def test_how_a_trial_fails_is_told(
    bench: Bench, script: str, timeout: float | None, kind: FailureKind, said: str
) -> None:
    bench.start(1, script, timeout)
    _, (exited,) = bench.ends()
    assert exited.failure is not None
    assert exited.failure.kind is kind
    assert said in exited.failure.message


def test_a_trial_that_cannot_be_started_exits(bench: Bench) -> None:
    context = bench.context(1)
    spec = context.job.trial.changed(command=("no-such-program-anywhere",), warm_workers=False, preload=())
    bench.leases.lease()
    bench.executor.handle()
    job = context.job.changed(trial=spec)
    bench.executor.start(TrialContext(job, "r", 1, 1, {}, context.folder, context.base, context.python), timeout=None)
    _, (exited,) = bench.ends()
    assert exited.failure is not None
    assert exited.failure.kind is FailureKind.INFRASTRUCTURE


@pytest.mark.parametrize("script", ["time.sleep(60)", "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"])
def test_a_stopped_trial_is_told_from_one_that_failed(bench: Bench, script: str) -> None:
    bench.start(1, f"print('loss=1', flush=True)\n{script}")
    bench.until(bool)
    time.sleep(0.3)
    bench.executor.stop(1)
    bench.executor.stop(77)  # there is no such trial, and no harm in it
    _, (exited,) = bench.ends()
    assert (exited.stopped, exited.failure) == (True, None)


def test_trials_run_beside_each_other_and_their_processes_are_their_own(bench: Bench) -> None:
    """Several at once, each in a group of its own; another attempt finds its folder clean."""
    for trial in (1, 2):
        bench.start(trial, "print(f'loss={os.getpid()}', flush=True); time.sleep(1)")
    emitted, exited = bench.ends(2)
    assert len({one.report.metrics["loss"] for one in emitted}) == 2
    assert all(one.failure is None for one in exited)
    bench.start(1, "print('loss=5')", attempt=2)
    emitted, exited = bench.ends()
    assert [one.report.metrics["loss"] for one in emitted] == [5.0], exited
    assert (Path(bench.context(1).folder) / "attempt-1" / "output.log").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_another_runner_takes_over_what_runs(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, make_job: Callable[..., TuningJob]
) -> None:
    """The first runner lets go without a word; the second one hears all that the trial has said, and its end."""
    cluster = request.getfixturevalue("ray_cluster").address if kind == "ray" else None
    first = Bench(*made(kind, cluster), kind == "warm", tmp_path, make_job)
    first.start(1, "print('loss=3', flush=True); time.sleep(2); print('loss=2')")
    first.until(bool)
    first.executor.close()
    second = Bench(*made(kind, cluster), kind == "warm", tmp_path, make_job)
    assert second.executor.adopt(second.context(1), first.handles[1], timeout=None)
    assert not second.executor.adopt(second.context(2), first.handles[1], timeout=None), "that one does not run there"
    emitted, (exited,) = second.ends()
    assert [one.report.metrics["loss"] for one in emitted] == [3.0, 2.0]
    assert exited.failure is None
    second.executor.close()


def test_whatever_watches_a_trial_may_be_killed(bench: Bench) -> None:
    """The trial kills its keeper, or the process of its slot: it counts as lost, and its place can be used again."""
    script = """
print("loss=1", flush=True)
pid = os.getppid()
while "warm.py" in open(f"/proc/{pid}/cmdline").read():
    pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
if raylet := os.environ.get("RAY_RAYLET_PID"):
    workers = open(f"/proc/{raylet}/task/{raylet}/children").read().split()
    pid = next(int(one) for one in workers if "ray::SlotActor" in open(f"/proc/{one}/cmdline").read())
os.kill(pid, signal.SIGKILL)
time.sleep(60)
"""
    bench.start(1, script)
    _, (exited,) = bench.ends()
    assert exited.lost
    assert exited.failure is not None
    bench.start(1, "print('loss=2')", attempt=2)
    emitted, (exited,) = bench.ends()
    assert [one.report.metrics["loss"] for one in emitted] == [2.0]
    assert not exited.lost
