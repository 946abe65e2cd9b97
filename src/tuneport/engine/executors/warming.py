"""Which trials can be forked from a process that has imported their modules, and what such a process has to know."""

from __future__ import annotations

import json
import os
import posixpath
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tuneport.engine.executors import warm
from tuneport.engine.executors.keeper import LONGEST_MARK
from tuneport.engine.launch import PYTHON, Launch, TrialContext, common_environment, package_directory
from tuneport.errors import Problem
from tuneport.model.trial_spec import TrialSpec

LOADING = 120.0
"""Seconds that the modules of a job may take to load while it is checked."""


def warm_order(trial: TrialContext, launch: Launch) -> dict[str, Any] | str:
    """What the keeper is told of a trial that is to be forked, or why it must be started by itself."""
    words = list(launch.argv)
    if sys.platform != "linux":
        return "processes are forked on Linux alone"
    if trial.job.trial.resources.replicas > 1:
        return "they have several processes"
    if words.pop(0) != trial.python:
        return f"'{launch.argv[0]}' is not Python"
    words = words[1:] if words[:1] == ["-u"] else words  # output is not held back anyway
    if not words or not (words[0].endswith(".py") or (words[0] == "-m" and len(words) > 1)):
        return "they run neither a Python script nor a module"
    return {
        "python": trial.python,
        "path": _first_path(words[0], launch.cwd),
        "preload": list(trial.job.trial.preload),
        "env": {name: value for name, value in launch.env.items() if name in common_environment(trial)},
        "words": words,
        "log": str(Path(trial.folder).parent.parent / "preload.log"),
    }


def _first_path(program: str, cwd: str) -> str:
    """Where Python looks for modules first: beside the script, or where a module is started."""
    return cwd if program == "-m" else os.path.dirname(os.path.realpath(posixpath.join(cwd, program)))  # noqa: PTH120


def preload_problems(trial: TrialSpec, base: str, python: str) -> list[Problem]:
    """What is wrong with the modules that a job wants preloaded, found out by loading them in another process."""
    if not (trial.warm_workers and trial.preload):
        return []
    cwd = package_directory(trial, base) or base
    script = trial.command[1] if trial.command and trial.command[0] in PYTHON and len(trial.command) > 1 else "-m"
    reason = _probe(python, _first_path(script, cwd), trial)
    hint = "leave it out of preload: each trial then imports it itself"
    return [Problem("/trial/preload", reason, hint=hint)] if reason else []


def _probe(python: str, path: str, trial: TrialSpec) -> str | None:
    """Why the modules cannot be preloaded; None if they can."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [python, warm.__file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **trial.env, warm.MARK: "." * LONGEST_MARK},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        ours.settimeout(LOADING)
        try:
            warm.tell(ours, {"path": path, "preload": list(trial.preload), "lenient": False})
            answer = ours.recv(warm.PACKET)
        except TimeoutError:
            process.kill()
            answer = json.dumps({"refused": f"the modules do not load within {LOADING:g} s"}).encode()
    process.wait()
    if not answer:
        return f"the modules end the process that loads them, with status {process.returncode}"
    refused: str | None = json.loads(answer).get("refused")
    return refused
