"""The command line as its users have it: a process in a folder of its own; or within this one, which is quicker."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tuneport.cli import app


@dataclass
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """A folder to work in, with its own workspace."""

    quick = "import tuneport_trial as t; p = t.params(); print('x is', p['x']); t.report(loss=p['x'] ** 2)"
    brief = "import time, tuneport_trial as t; p = t.params(); time.sleep(0.3); t.report(loss=p['x'] ** 2)"
    endless = "import time; print('begun', flush=True); time.sleep(600)"
    crash = "print('here we go'); raise ValueError('boom')"
    silent = "print('loss is 3')"
    no_number = "import tuneport_trial as t; t.report(loss=float('nan'))"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = dict(os.environ)
        self.started: list[subprocess.Popen[str]] = []

    def job(self, code: str = quick, name: str = "job.yaml", **budget: int) -> str:
        """Write a job file whose trials run a line of Python."""
        job = {
            "name": "tiny",
            "study": {
                "parameters": [{"name": "x", "kind": "float", "low": -1, "high": 1}],
                "objectives": [{"metric": "loss", "goal": "minimize"}],
                "algorithm": {"kind": "random", "seed": 1},
            },
            "trial": {"command": ["python", "-c", code]},
            "budget": {"max_trials": 4, "parallel_trials": 2} | budget,
        }
        (self.folder / name).write_text(json.dumps(job))
        return name

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own, as a shell does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tuneport", *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end(self, process: "subprocess.Popen[str]", stdin: str = "", timeout: float = 180) -> Done:
        """Wait for a command."""
        out, err = process.communicate(stdin, timeout=timeout)
        return Done(process.returncode, out, err)

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        """Run a command to its end."""
        return self.end(self.start(*arguments), stdin)

    def here(self, *arguments: str) -> Done:
        """Run a command to its end in this process, which saves the start of another one."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = app._status(list(arguments))
        return Done(status, out.getvalue(), err.getvalue())

    def interrupt(self, process: "subprocess.Popen[str]") -> Done:
        """Press Ctrl-C: the whole process group hears it."""
        os.killpg(process.pid, signal.SIGINT)
        return self.end(process)

    def until_said(self, process: "subprocess.Popen[str]", text: str, times: int = 1) -> None:
        """Read what a command tells the person until some lines hold a text."""
        assert process.stderr is not None
        for line in process.stderr:
            times -= text in line
            if times == 0:
                return
        raise AssertionError(f"it never said {text}")

    def until(self, happened: Callable[[], Any]) -> Any:
        """Wait for something to come true, and give it back."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if value := happened():
                return value
            time.sleep(0.05)
        raise AssertionError("it never happened")

    def until_running(self) -> str:
        """Wait until a trial of the only run has begun to write; gives the run's reference."""
        logs = self.until(
            lambda: [p for p in self.folder.glob(".tuneport/runs/*/trials/*/output.log") if p.stat().st_size]
        )
        return f"local:{logs[0].parts[-4]}"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in [name for name in os.environ if name.startswith("TUNEPORT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TUNEPORT_LOCAL__GRACE", "0.5")
    made = Desk(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def finished(desk: Desk) -> str:
    """The reference of a run that has ended well."""
    done = desk.here("run", desk.job(), "--quiet", "--json")
    assert done.status == 0, done.err
    return str(done.json["ref"])
