"""Cores and main memory: trials get what they ask for, no more, and never more than there is. Real processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneport.backends.local.launch import launch
from tuneport.engine.devices import Lease, Pool
from tuneport.engine.executors import keeper
from tuneport.engine.executors.process import ProcessExecutor
from tuneport.engine.executors.protocols import Event, Exited, Measured
from tuneport.engine.host import Host, cores, main_memory, most
from tuneport.engine.launch import TrialContext
from tuneport.engine.ledger import Ledger
from tuneport.errors import DeviceError
from tuneport.model.job import TuningJob
from tuneport.model.parameters import when
from tuneport.model.results import FailureKind, StudyResult, TrialState
from tuneport.model.trial_spec import Resources, TrialSpec, Variant

MIB = 1 << 20
Run = Callable[[TuningJob], StudyResult]
MakeJob = Callable[..., TuningJob]


def pool(want: Resources, ledger: Ledger | None = None, there: int = 8, memory: int = 64) -> Pool:
    return Pool((), want, ledger, host=Host(want, range(there), memory))


def leases(shared: Pool) -> list[tuple[int, ...]]:
    taken = []
    while len(taken) < 99 and (lease := shared.lease()) is not None:
        taken.append(lease.cores)
    return taken


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        (Resources(cpus=3), [(0, 1, 2), (3, 4, 5)]),
        (Resources(cpus=0.5), [()] * 16),
        (Resources(cpus=2.5), [()] * 3),
        (Resources(memory=20), [()] * 3),
        (Resources(cpus=1, memory=20), [(0,), (1,), (2,)]),
        (Resources(), [()] * 99),
    ],
)
def test_whole_cores_are_a_trials_own_and_nothing_is_promised_twice(
    want: Resources, expected: list[tuple[int, ...]]
) -> None:
    assert leases(pool(want)) == expected


@given(cpus=st.sampled_from([1, 2, 3, 0.5]), moves=st.lists(st.integers(0, 12), max_size=40))
def test_no_core_has_two_trials(cpus: float, moves: list[int]) -> None:
    shared = pool(Resources(cpus=cpus))
    held: list[Lease] = []
    for move in moves:
        if move < len(held):
            shared.release(held.pop(move))
        elif (lease := shared.lease()) is not None:
            held.append(lease)
        taken = [core for lease in held for core in lease.cores]
        assert len(taken) == len(set(taken))
        assert len(held) * cpus <= 8


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_runs_on_one_machine_share_its_cores_and_memory(tmp_path: Path) -> None:
    said: list[str] = []
    want = Resources(cpus=3, memory=20)
    one = pool(want, Ledger(tmp_path, "a"))
    other = Pool((), want, Ledger(tmp_path, "b"), said.append, Host(want, range(8), 64))
    first = one.lease()
    assert first is not None
    assert leases(other) == [(3, 4, 5)]
    assert leases(one) == []
    third = pool(Resources(memory=30), Ledger(tmp_path, "c"))
    assert third.lease() is None, "40 of 64 are taken"
    one.release(first)
    assert third.lease() is not None
    late = Pool((), want, Ledger(tmp_path, "d"), said.append, Host(want, range(8), 64))
    assert late.lease() is None
    assert said == ["trials wait for cores or memory that other runs on this machine use"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_runs_on_different_cores_do_not_wait_for_each_other(tmp_path: Path) -> None:
    first, second, third = (Ledger(tmp_path, name) for name in "abc")
    assert leases(pool(Resources(cpus=4), first)) == [(0, 1, 2, 3), (4, 5, 6, 7)]
    beyond = Pool((), Resources(cpus=2), second, host=Host(Resources(cpus=2), range(8, 12), 64))
    assert leases(beyond) == [(8, 9), (10, 11)]
    parts = Pool((), Resources(cpus=0.5), third, host=Host(Resources(cpus=0.5), range(6, 14), 64))
    assert leases(parts) == [()] * 4, "two of its eight cores are nobody's"


def test_where_processes_cannot_be_bound_whole_cores_are_counted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    assert leases(pool(Resources(cpus=3))) == [()] * 2


def test_what_is_not_asked_for_is_not_waited_for() -> None:
    others = {"host": (8.0, 64)}
    assert Host(Resources(), range(8), 64).room(others) == ()
    assert Host(Resources(cpus=1), range(8), 64).room(others) is None
    assert Host(Resources(memory=1), range(8), 64).room(others) is None


def test_what_never_fits_is_refused() -> None:
    with pytest.raises(DeviceError, match="a trial needs 9 cpus, but this machine has 8"):
        pool(Resources(cpus=9))
    with pytest.raises(DeviceError, match="a trial needs 65 B of memory, but this machine has 64 B"):
        pool(Resources(memory=65))


def test_parts_of_cores_add_up() -> None:
    host = Host(Resources(cpus=0.55), range(55), 1)
    for _ in range(100):
        assert host.room({}) == ()
        host.take(())
    assert host.room({}) is None


def test_a_trial_counts_with_the_most_that_any_variant_needs() -> None:
    large = Variant(when=when("model", "b"), resources=Resources(cpus=2, memory=10, replicas=3))
    spec = TrialSpec(command=["true"], resources=Resources(cpus=4, memory=50), variants=[large])
    assert most(spec) == Resources(cpus=6, memory=50)
    assert most(TrialSpec(command=["true"])) == Resources()


def test_this_machine() -> None:
    assert set(cores()) <= set(range(os.cpu_count() or 1))
    assert 1 << 28 < main_memory() < 1 << 50


@pytest.mark.parametrize("warm", [False, True])
def test_trials_are_bound_to_cores_of_their_own(run: Run, make_job: MakeJob, warm: bool) -> None:
    script = """
own = os.sched_getaffinity(0)
time.sleep(0.3)
print(f"loss={min(own)} count={len(own)}")
"""
    trial = {
        "resources": Resources(cpus=1),
        "metrics": {"loss": r"loss=(\S+)", "count": r"count=(\S+)"},
        "warm_workers": warm,
    }
    available = cores()
    result = run(make_job(script, trial=trial, budget={"max_trials": 4, "parallel_trials": len(available[:2])}))
    assert {one.metrics["count"] for one in result.trials} == {1.0}, result
    assert {one.metrics["loss"] for one in result.trials} <= set(available)
    together = [one.metrics["loss"] for one in result.trials[: len(available[:2])]]
    assert len(set(together)) == len(together)


HUNGRY = f"""
print("loss=1", flush=True)
child = os.fork()
held = b"" if child else b"x" * (120 * {MIB})
time.sleep(20)
"""


def test_a_trial_that_has_more_memory_than_it_may_is_ended(run: Run, make_job: MakeJob) -> None:
    job = make_job(HUNGRY, trial={"resources": Resources(memory="64MiB")}, budget={"max_trials": 1})
    (trial,) = run(job).trials
    assert trial.state is TrialState.FAILED
    assert trial.failure is not None
    assert trial.failure.kind is FailureKind.OUT_OF_MEMORY
    assert trial.failure.message.endswith("of main memory, more than the 64 MiB that trial.resources.memory allows")
    assert trial.memory is not None
    assert 120 * MIB < trial.memory < 250 * MIB
    assert trial.duration is not None
    assert trial.duration < 15, "it was not waited for"


def events_of(executor: ProcessExecutor, job: TuningJob, folder: Path, cores: tuple[int, ...] = ()) -> list[Event]:
    """What an executor tells of a job's first trial."""
    point, own = {"x": 0.5}, str(folder / "1")
    executor.start(TrialContext(job, "r", 1, 1, point, own, str(folder), sys.executable, cores=cores), timeout=15)
    events: list[Event] = []
    while not any(isinstance(event, Exited) for event in events):
        events += executor.wait(1)
    executor.close()
    return events


def test_the_limit_holds_where_trials_end_with_their_runner(make_job: MakeJob, tmp_path: Path) -> None:
    """As on Ray: such a keeper is not the runner's child."""
    job = make_job(HUNGRY, trial={"resources": Resources(memory="64MiB")})
    events = events_of(ProcessExecutor(launch, grace=1.0, mortal=True), job, tmp_path)
    (failure,) = [event.failure for event in events if isinstance(event, Exited)]
    assert failure is not None
    assert failure.kind is FailureKind.OUT_OF_MEMORY
    assert 120 * MIB < max(event.memory for event in events if isinstance(event, Measured)) < 250 * MIB


def test_where_processes_cannot_be_bound_trials_run_unbound(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS."""
    elsewhere = tmp_path / "elsewhere.py"
    elsewhere.write_text(
        f"import os, runpy\ndel os.sched_setaffinity\nrunpy.run_path({keeper.__file__!r}, run_name='__main__')"
    )
    monkeypatch.setattr(keeper, "__file__", str(elsewhere))
    events = events_of(ProcessExecutor(launch, grace=1.0), make_job("print('loss=1')"), tmp_path, cores=(0,))
    assert [(event.failure, event.last_lines) for event in events if isinstance(event, Exited)] == [(None, ("loss=1",))]


def test_a_trial_that_keeps_its_limit_is_left_alone(run: Run, make_job: MakeJob) -> None:
    script = f"held = b'x' * (40 * {MIB})\ntime.sleep(1.5)\nprint('loss=1')"
    job = make_job(script, trial={"resources": Resources(memory="400MiB")}, budget={"max_trials": 1})
    (trial,) = run(job).trials
    assert trial.state is TrialState.SUCCEEDED
    assert trial.memory is not None
    assert 40 * MIB < trial.memory < 200 * MIB
