"""Trainers that do whatever trainers do: the run goes on, and each trial says truly how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.model.job import TuningJob
from tuneport.model.results import FailureKind, RunReason, RunState, StudyResult, TrialState

MakeJob = Callable[..., TuningJob]
Drive = Callable[[TuningJob], StudyResult]


def alive(marker: str) -> list[str]:
    """Command lines of living processes that contain a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if marker in line and state != "Z":
            found.append(line)
    return found


def test_trials_get_their_parameters_and_give_their_metric(make_job: MakeJob, run: Drive) -> None:
    result = run(make_job("print(f'loss={(x - 0.25) ** 2}')", budget={"max_trials": 5, "parallel_trials": 2}))
    assert result.state is RunState.SUCCEEDED
    assert result.reason is RunReason.COMPLETED
    assert [trial.id for trial in result.trials] == [1, 2, 3, 4, 5]
    for trial in result.trials:
        assert trial.state is TrialState.SUCCEEDED
        assert trial.metrics["loss"] == pytest.approx((trial.parameters["x"] - 0.25) ** 2)
        assert trial.duration is not None
        assert trial.duration > 0
    assert result.best == min(result.trials, key=lambda trial: trial.metrics["loss"])


@pytest.mark.parametrize(
    ("script", "kind", "state", "said"),
    [
        ("raise ValueError('no such layer')", FailureKind.CODE, TrialState.FAILED, "no such layer"),
        ("sys.exit(3)", FailureKind.CODE, TrialState.FAILED, "status 3"),
        ("import ctypes; ctypes.string_at(0)", FailureKind.CODE, TrialState.FAILED, "SIGSEGV"),
        ("os.kill(os.getpid(), 9)", FailureKind.PREEMPTED, TrialState.FAILED, "SIGKILL"),
        ("raise MemoryError", FailureKind.OUT_OF_MEMORY, TrialState.FAILED, "memory"),
        (
            "print('RuntimeError: CUDA out of memory. Tried to allocate'); sys.exit(1)",
            FailureKind.OUT_OF_MEMORY,
            TrialState.FAILED,
            "memory",
        ),
        ("print('hello')", FailureKind.METRIC_MISSING, TrialState.FAILED, "loss=("),
        ("print('loss=banana')", FailureKind.METRIC_MISSING, TrialState.FAILED, "banana"),
        ("print('loss=nan')", FailureKind.INFEASIBLE, TrialState.INFEASIBLE, "nan"),
        ("print('loss=inf')", FailureKind.INFEASIBLE, TrialState.INFEASIBLE, "inf"),
        ("print('loss=1'); time.sleep(60)", FailureKind.TIMED_OUT, TrialState.FAILED, "0.5 s"),
    ],
)
def test_a_bad_end_is_named_and_the_run_goes_on(
    make_job: MakeJob, run: Drive, script: str, kind: FailureKind, state: TrialState, said: str
) -> None:
    timeout = 0.5 if kind is FailureKind.TIMED_OUT else None
    result = run(make_job(f"print('last words')\n{script}", trial={"timeout": timeout}, budget={"max_trials": 2}))
    assert len(result.trials) == 2
    for trial in result.trials:
        assert trial.state is state
        assert trial.failure is not None
        assert trial.failure.kind is kind
        assert said in trial.failure.message
        assert "last words" in trial.failure.last_lines
    assert result.best is None
    assert result.state is RunState.FAILED


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("loss=0.5", 0.5),
        ("loss=1e-05", 1e-05),
        ("loss=tensor(0.25, device='cuda:0')", 0.25),
        ("loss=np.float64(0.125)", 0.125),
        ("epoch 1 loss=2.0\\rloss=0.75", 0.75),
    ],
)
def test_numbers_are_read_as_people_print_them(make_job: MakeJob, run: Drive, printed: str, value: float) -> None:
    pattern = {"loss": r"loss=(\S+(?:, device='cuda:0'\))?)"}
    (trial,) = run(make_job(f'print("{printed}")', trial={"metrics": pattern}, budget={"max_trials": 1})).trials
    assert trial.metrics == {"loss": value}


def test_the_first_group_that_took_part_is_the_number(make_job: MakeJob, run: Drive) -> None:
    job = make_job(
        "print('acc 1'); print('loss: 0.5'); print('LOSS=0.25 width 30')",
        trial={"metrics": {"loss": r"loss: (\S+)|LOSS=(\S+)", "width": r"(?<=width )\d+"}},
        budget={"max_trials": 1},
    )
    (trial,) = run(job).trials
    assert [dict(m.metrics) for m in trial.measurements] == [{"loss": 0.5}, {"loss": 0.25, "width": 30.0}]


def test_a_missing_metric_names_those_that_came(make_job: MakeJob, run: Drive) -> None:
    job = make_job(
        "print('los=1')", trial={"metrics": {"loss": "loss=(.+)", "los": "los=(.+)"}}, budget={"max_trials": 1}
    )
    (trial,) = run(job).trials
    assert trial.failure is not None
    assert "it did report los" in trial.failure.message
    assert "'loss=(.+)'" in trial.failure.message


def test_a_trial_that_never_ends_is_killed_with_its_children(make_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    marker = str(tmp_path / "child")
    script = f"""
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("loss=1", flush=True)
sleep = [sys.executable, "-c", "import time; time.sleep(600)", {marker!r}]
subprocess.Popen(sleep)
subprocess.Popen(sleep, start_new_session=True)   # a daemon that leaves the process group
time.sleep(600)
"""
    (trial,) = run(make_job(script, trial={"timeout": 0.7}, budget={"max_trials": 1})).trials
    assert trial.failure is not None
    assert trial.failure.kind is FailureKind.TIMED_OUT
    assert trial.duration is not None
    assert trial.duration < 10
    deadline = time.monotonic() + 5
    while alive(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(marker) == []


def test_children_left_behind_by_a_good_trial_are_gone_too(make_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    marker = str(tmp_path / "child")
    script = f"""
import subprocess
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {marker!r}], start_new_session=True)
print("loss=1", flush=True)
"""
    result = run(make_job(script, budget={"max_trials": 2}))
    assert [trial.state for trial in result.trials] == [TrialState.SUCCEEDED] * 2
    deadline = time.monotonic() + 5
    while alive(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(marker) == []


def test_a_flood_of_output_is_bounded_on_disk_and_keeps_its_ends(
    make_job: MakeJob, run: Drive, client: LocalClient
) -> None:
    script = """
print("the beginning", flush=True)
block = ("x" * 99 + "\\n").encode() * 10000
for _ in range(60):
    os.write(1, block)
print("loss=0.5")
"""
    result = run(make_job(script, budget={"max_trials": 1}))
    assert result.trials[0].metrics == {"loss": 0.5}
    name = result.ref.partition(":")[2]
    folder = client.folder(name) / "trials" / "1"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20 << 20
    lines = list(client.logs(name, 1))
    assert lines[0] == "the beginning"
    assert lines[-1] == "loss=0.5"
    assert any("only its end is kept" in line for line in lines)


def test_a_stopped_trial_hears_sigterm_and_need_not_be_killed(make_job: MakeJob, run: Drive) -> None:
    (trial,) = run(make_job("time.sleep(60)", trial={"timeout": 0.3}, budget={"max_trials": 1})).trials
    assert trial.failure is not None
    assert trial.failure.exit_code == -15


def test_retries_apply_by_class_of_failure(make_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    flag = tmp_path / "once"
    script = f"""
if not os.path.exists({str(flag)!r}):
    open({str(flag)!r}, "w").close()
    print("loss=99", flush=True)
    os.kill(os.getpid(), 9)
print("loss=1")
"""
    (trial,) = run(make_job(script, trial={"retries": 1}, budget={"max_trials": 1})).trials
    assert trial.state is TrialState.SUCCEEDED
    assert trial.attempt == 2
    assert [m.metrics["loss"] for m in trial.measurements] == [1.0], "what the lost attempt said does not count"

    (trial,) = run(make_job("print('hi')", trial={"retries": 5}, budget={"max_trials": 1})).trials
    assert trial.attempt == 1, "a missing metric would be missing again"


def test_retries_run_out(make_job: MakeJob, run: Drive) -> None:
    (trial,) = run(make_job("sys.exit(1)", trial={"retries": 2}, budget={"max_trials": 1})).trials
    assert trial.state is TrialState.FAILED
    assert trial.attempt == 3


def test_a_program_that_cannot_be_started_is_an_infrastructure_failure(make_job: MakeJob, run: Drive) -> None:
    (trial,) = run(make_job("", trial={"command": ("/nonexistent/program",)}, budget={"max_trials": 1})).trials
    assert trial.failure is not None
    assert trial.failure.kind is FailureKind.INFRASTRUCTURE
    assert "/nonexistent/program" in trial.failure.message


def test_no_shell_ever_sees_a_value(make_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    job = make_job(
        "print('loss=1' if '--note=$(touch pwned); `id` *' in sys.argv else 'no')",
        trial={"parameters": {"note": "$(touch pwned); `id` *"}},
        budget={"max_trials": 1},
    )
    script = tmp_path / "trainer.py"
    script.write_text(script.read_text().replace("sys.argv[1].partition", "sys.argv[2].partition"))
    (trial,) = run(job).trials
    assert trial.state is TrialState.SUCCEEDED
    assert not (tmp_path / "pwned").exists()


def test_a_flood_of_reports_is_bounded_and_its_last_one_counts(make_job: MakeJob, run: Drive) -> None:
    script = """
from tuneport_trial import report
for step in range(12_000):
    report(step=step, loss=1 / (1 + step))
"""
    (trial,) = run(make_job(script, trial={"metrics": {}}, budget={"max_trials": 1})).trials
    assert len(trial.measurements) == 10_001
    assert trial.final_measurement is not None
    assert trial.final_measurement.step == 11_999


def test_a_trial_that_removes_its_folder_harms_nobody(make_job: MakeJob, run: Drive) -> None:
    script = """
import shutil
folder = os.path.dirname(os.environ["TUNEPORT_TRIAL"])
if folder.endswith("/2"):
    shutil.rmtree(folder)
else:
    time.sleep(0.5)
print("loss=1")
"""
    result = run(make_job(script, budget={"max_trials": 3, "parallel_trials": 3}))
    assert [(trial.state, trial.attempt) for trial in result.trials] == [(TrialState.SUCCEEDED, 1)] * 3


def test_long_lines_and_greedy_patterns_do_not_stop_the_clock(make_job: MakeJob, run: Drive) -> None:
    job = make_job(
        "print(('x' * 60_000 + '\\n') * 10 + 'loss=1')",
        trial={"metrics": {"loss": ".*loss=([0-9.]+)"}, "timeout": 10.0},
        budget={"max_trials": 1},
    )
    (trial,) = run(job).trials
    assert trial.state is TrialState.SUCCEEDED


def test_large_orders_and_talkative_trials_do_not_wait_for_each_other(make_job: MakeJob, run: Drive) -> None:
    job = make_job(
        "print('nothing ' * 20_000, flush=True); print('loss=2')",
        trial={"env": {"LARGE": "x" * 100_000}},
        budget={"max_trials": 6, "parallel_trials": 3},
    )
    script = Path(job.trial.command[1])  # type: ignore[index]
    script.write_text(script.read_text().replace("' * 20_000", "\\n' * 20_000"))
    result = run(job)
    assert [trial.metrics for trial in result.trials] == [{"loss": 2.0}] * 6


def test_a_launch_that_cannot_be_prepared_fails_its_trial_only(make_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run(make_job("print('loss=1')", trial={"output": {"uri": str(tmp_path / "file" / "below")}}))
    assert result.state in {RunState.FAILED, RunState.SUCCEEDED}
    assert len(result.trials) == 3
