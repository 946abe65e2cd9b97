"""Trials forked from a process that has imported their modules: as quick as that, and otherwise as if started anew."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.engine.executors import warm
from tuneport.errors import JobError
from tuneport.model.job import TuningJob
from tuneport.model.results import FailureKind, RunState, StudyResult, TrialState

MakeJob = Callable[..., TuningJob]
Drive = Callable[[TuningJob], StudyResult]

SEEN = """
import json, random, threading
trial = json.load(open(os.environ["TUNEPORT_TRIAL"]))
seen = {"pid": os.getpid(), "parent": os.getppid(), "group": os.getpgrp(), "session": os.getsid(0), "argv": sys.argv,
        "cwd": os.getcwd(), "path": sys.path[0], "name": __name__, "file": __file__, "stdin": sys.stdin.read(),
        "main": sys.modules["__main__"].__dict__ is globals(), "random": random.random(), "value": os.environ["VALUE"],
        "threads": threading.active_count(), "loaded": "heavy" in sys.modules,
        "term": str(signal.getsignal(signal.SIGTERM)), "fds": sorted(os.listdir("/proc/self/fd"))}
left_open = open(f"seen.{trial['trial']}.json", "w")
json.dump(seen, left_open)
print("on standard error", file=sys.stderr)
print(f"loss={x}")
"""

CUDA = """
import sys, types
sys.modules["torch"] = torch = types.ModuleType("torch")
torch.cuda = types.SimpleNamespace(is_initialized=lambda: True)
"""


@pytest.fixture
def warm_job(make_job: MakeJob, tmp_path: Path) -> MakeJob:
    def make(script: str, preload: tuple[str, ...] = (), **fields: object) -> TuningJob:
        env = {"PYTHONPATH": str(tmp_path / "modules"), "VALUE": "7"}
        trial = {"warm_workers": True, "preload": preload, "env": env} | fields.pop("trial", {})
        return make_job("import signal\n" + script, trial=trial, **fields)

    return make


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], None]:
    """Makes the importable module `heavy`."""

    def make(source: str) -> None:
        (tmp_path / "modules").mkdir()
        (tmp_path / "modules" / "heavy.py").write_text(source)

    return make


def seen_by(tmp_path: Path, result: StudyResult) -> list[dict]:
    return [json.loads((tmp_path / f"seen.{trial.id}.json").read_text()) for trial in result.trials]


def test_a_forked_trial_finds_what_a_started_one_would(
    warm_job: MakeJob, make_job: MakeJob, run: Drive, tmp_path: Path, module: Callable[[str], None]
) -> None:
    module("import time")
    seen = {}
    for kind in ("warm", "cold"):
        job = warm_job(
            SEEN, ("heavy",), trial={"warm_workers": kind == "warm", "preload": ("heavy",) * (kind == "warm")}
        )
        result = run(job)
        assert [trial.state for trial in result.trials] == [TrialState.SUCCEEDED] * 3, result
        assert result.notes == ()
        seen[kind] = seen_by(tmp_path, result)
    for one in seen["warm"]:
        assert one["pid"] == one["group"] == one["session"]
    assert len({one["pid"] for one in seen["warm"]}) == 3, "each is a process of its own"
    assert len({one["parent"] for one in seen["warm"]}) == 1, "of one parent"
    assert len({one["random"] for one in seen["warm"]}) == 3, "nobody draws another's random numbers"
    assert [one["loaded"] for one in seen["warm"] + seen["cold"]] == [True] * 3 + [False] * 3
    same = ("argv", "cwd", "path", "name", "file", "stdin", "main", "value", "threads", "term", "fds")
    for ours, theirs in zip(seen["warm"], seen["cold"], strict=True):
        assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def test_what_trials_import_is_learned_from_the_first(warm_job: MakeJob, client: LocalClient, tmp_path: Path) -> None:
    """A module of the standard library that takes its time to load, and one of the user's, which stays the user's."""
    (tmp_path / "mine.py").write_text("")
    script = """
early = {"mine", "decimal"} & set(sys.modules)
import decimal, mine
print("loss=" + str(("decimal" in early) + 10 * ("mine" in early)))
"""
    name = client.create(warm_job(script, budget={"max_trials": 4}), tmp_path, "process", "test")
    client.drive(name)
    result = client.result(name)
    assert [trial.metrics["loss"] for trial in result.trials] == [0, 1, 1, 1]
    assert result.notes == ()


def test_a_module_runs_as_the_main_program(warm_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    (tmp_path / "trainer2.py").write_text(
        "import sys, __main__\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n    x: int = 1\n"
        "assert __main__.C is C and sys.argv[1].startswith('--x='), sys.argv\nprint(f'loss={len(sys.argv)}')\n"
    )
    job = warm_job("", trial={"command": None, "module": "trainer2"})
    assert [trial.metrics.get("loss") for trial in run(job).trials] == [2.0] * 3


@pytest.mark.parametrize(
    ("script", "kind", "code", "said"),
    [
        ("raise ValueError('no good')", FailureKind.CODE, 1, "ValueError: no good"),
        ("sys.exit(7)", FailureKind.CODE, 7, "status 7"),
        ("sys.exit('words')", FailureKind.CODE, 1, "status 1"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", FailureKind.CODE, -11, "SIGSEGV"),
        ("os._exit(3)", FailureKind.CODE, 3, "status 3"),
        ("raise MemoryError", FailureKind.OUT_OF_MEMORY, 1, "ran out of memory"),
        ("time.sleep(30)", FailureKind.TIMED_OUT, -15, "time-out"),
        ("signal.signal(15, signal.SIG_IGN); time.sleep(30)", FailureKind.TIMED_OUT, -9, "time-out"),
    ],
)
def test_how_a_forked_trial_ends_is_told_as_of_any_other(
    warm_job: MakeJob, run: Drive, script: str, kind: FailureKind, code: int, said: str
) -> None:
    trial = {"timeout": 0.7} if kind is FailureKind.TIMED_OUT else {}
    job = warm_job(f"print('begun', flush=True)\n{script}", trial=trial, budget={"max_trials": 1})
    (trial,) = run(job).trials
    assert trial.failure is not None
    assert (trial.failure.kind, trial.failure.exit_code) == (kind, code)
    assert said in trial.failure.message
    assert trial.failure.last_lines[0] == "begun"
    assert not any("warm.py" in line or "runpy" in line for line in trial.failure.last_lines), trial.failure


def test_threads_and_handlers_of_a_trial_end_as_in_any_program(warm_job: MakeJob, run: Drive) -> None:
    script = """
import atexit, threading
atexit.register(lambda: print("loss=4", flush=True))
threading.Thread(target=lambda: (time.sleep(0.2), print("late=3", flush=True))).start()
"""
    metrics = {"loss": r"loss=(\S+)", "late": r"late=(\S+)"}
    (trial,) = run(warm_job(script, trial={"metrics": metrics}, budget={"max_trials": 1})).trials
    assert dict(trial.metrics) == {"loss": 4.0, "late": 3.0}


def test_what_a_forked_trial_leaves_behind_is_killed(warm_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    script = """
import subprocess
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
print(f"loss={child.pid}")
"""
    (trial,) = run(warm_job(script, budget={"max_trials": 1})).trials
    end = time.monotonic() + 20
    while runs(int(trial.metrics["loss"])):
        assert time.monotonic() < end, "it outlived its trial"
        time.sleep(0.05)


def runs(process: int) -> bool:
    """Whether a process runs; one that has ended has no command line any more, even before anybody asks how."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "starts threads",
        ),
        ("import subprocess\nchild = subprocess.Popen(['sleep', '60'])", "starts processes"),
        ("import socket\npair = socket.socketpair()", "opens connections"),
        (CUDA, "touches CUDA"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("import os\nos._exit(9)", "with status 9"),
    ],
)
def test_what_no_fork_survives_is_refused_before_anything_starts(
    warm_job: MakeJob, client: LocalClient, tmp_path: Path, module: Callable[[str], None], source: str, said: str
) -> None:
    module(source)
    with pytest.raises(JobError) as caught:
        client.create(warm_job("print('loss=1')", ("json", "heavy")), tmp_path, "process", "test")
    (problem,) = caught.value.problems
    assert problem.pointer == "/trial/preload"
    assert said in problem.message
    assert problem.hint
    assert client.runs() == []


def test_a_trial_that_learns_what_cannot_be_forked_runs_and_says_why(
    warm_job: MakeJob, run: Drive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A library of the first trial starts a thread: the others are started as ever, and all succeed."""
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "cache"))
    library = tmp_path / "lib"
    library.mkdir()
    (library / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(5,), daemon=True).start()"
    )
    script = f"""
import sysconfig
sys.path.append({str(library)!r})
import threaded
sysconfig.get_path = lambda kind: {str(library)!r}
print(f"loss={{x}}")
"""
    result = run(warm_job(script, trial={"env": {"PYTHONPATH": str(library), "VALUE": "7"}}))
    assert [trial.state for trial in result.trials] == [TrialState.SUCCEEDED] * 3
    (note,) = result.notes
    assert "starts threads" in note
    assert "processes of their own" in note


def test_a_program_that_is_not_python_is_started_and_says_why(make_job: MakeJob, run: Drive) -> None:
    job = make_job("", trial={"warm_workers": True, "command": ("echo", "loss=1")})
    result = run(job)
    assert [trial.metrics["loss"] for trial in result.trials] == [1.0] * 3
    assert result.notes == ("trials are started as processes of their own, since 'echo' is not Python",)


def test_a_killed_parent_loses_no_trial(warm_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    """The second trial kills the process that it was forked from; it ends well, and the others do without."""
    script = """
import json
trial = json.load(open(os.environ["TUNEPORT_TRIAL"]))["trial"]
if trial == 2:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(0.3)
print(f"loss={trial}")
"""
    result = run(warm_job(script, ("json",), budget={"max_trials": 4, "parallel_trials": 2}))
    assert [(trial.state, trial.attempt) for trial in result.trials] == [(TrialState.SUCCEEDED, 1)] * 4
    assert len(result.notes) == 1


def test_a_runner_that_takes_over_adopts_forked_trials(
    warm_job: MakeJob, client: LocalClient, tmp_path: Path, start_driver: Callable[[LocalClient, str], object]
) -> None:
    ledger = tmp_path / "ledger"
    script = f"""
with open({str(ledger)!r}, "a") as file:
    file.write("began\\n")
time.sleep(1.5)
print(f"loss={{x}}", flush=True)
"""
    name = client.create(
        warm_job(script, ("json",), budget={"max_trials": 2, "parallel_trials": 2}), tmp_path, "process", "t"
    )
    driver = start_driver(client, name)
    end = time.monotonic() + 20
    while not ledger.exists() or ledger.read_text().count("began") < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    client.drive(name)
    result = client.result(name)
    assert result.state is RunState.SUCCEEDED
    assert [(trial.state, trial.attempt) for trial in result.trials] == [(TrialState.SUCCEEDED, 1)] * 2
    assert ledger.read_text().count("began") == 2, "nothing ran twice"


SECOND_TIME = """
import os, time
if os.path.exists(__file__ + ".second"):
    {}
open(__file__ + ".second", "w")  # the first time is when the job is checked
"""


@pytest.mark.parametrize("then", ["", "; os._exit(9)"], ids=["is forked", "cannot be forked"])
def test_a_runner_that_takes_over_waits_for_a_trial_that_waits_for_its_modules(
    warm_job: MakeJob,
    client: LocalClient,
    tmp_path: Path,
    start_driver: Callable[[LocalClient, str], subprocess.Popen[bytes]],
    module: Callable[[str], None],
    then: str,
) -> None:
    """Nothing shows the trial's mark yet; also where it has to be started in the end, nothing runs twice."""
    module(SECOND_TIME.format(f"time.sleep(3){then}"))
    ledger = tmp_path / "ledger"
    script = f"open({str(ledger)!r}, 'a').write('began ')\nprint('loss=1')"
    name = client.create(warm_job(script, ("heavy",), budget={"max_trials": 1}), tmp_path, "process", "t")
    driver = start_driver(client, name)
    end = time.monotonic() + 20
    while not (client.folder(name) / "preload.log").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    client.drive(name)
    (trial,) = client.result(name).trials
    assert (trial.state, trial.attempt) == (TrialState.SUCCEEDED, 1)
    assert ledger.read_text() == "began "


def test_a_stop_reaches_a_trial_that_waits_for_its_modules(
    warm_job: MakeJob, run: Drive, module: Callable[[str], None]
) -> None:
    """A budget of time ends a run whose modules take for ever to load."""
    module(SECOND_TIME.format("time.sleep(30)"))
    job = warm_job("import heavy", ("heavy",), budget={"max_trials": 1, "max_seconds": 1})
    began = time.monotonic()
    (trial,) = run(job).trials
    assert trial.state is TrialState.STOPPED
    assert time.monotonic() - began < 10


def test_a_cuda_context_is_seen_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "task" / tmp_path.name).mkdir(parents=True)
    (tmp_path / "task" / tmp_path.name / "children").write_text("")
    (tmp_path / "fd").mkdir()
    (tmp_path / "fd" / "3").symlink_to("socket:[1]")
    assert warm.unsafe(str(tmp_path)) is None
    (tmp_path / "fd" / "4").symlink_to("/dev/nvidia0")
    assert warm.unsafe(str(tmp_path)) == "touches CUDA"
    (tmp_path / "task" / "77").mkdir()
    (tmp_path / "task" / "77" / "comm").write_text("cuda-EvtHandlr\n")
    assert warm.unsafe(str(tmp_path)) == "starts threads (cuda-EvtHandlr)"
