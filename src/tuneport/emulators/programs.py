"""What trials run here: only what the person who started the emulator mapped, never what a request names."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from tuneport.emulators import trainer
from tuneport.engine.launch import PYTHON
from tuneport.errors import Problem, SettingsError
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import TrialSpec
from tuneport.translation.lowering import HINTS_VARIABLE

Program: TypeAlias = tuple[str, ...] | Callable[..., Any]
"""A program with its first arguments, or a Python function of this process, as `tuneport.tune` takes it."""

MODULE, BOOT = "module:", "boot:"
_LOADING = re.compile(
    r"PATH|HOME|IFS|ENV|SHELLOPTS|BASHOPTS|BASH_.*|LD_.*|DYLD_.*|GCONV_PATH|GLIBC_TUNABLES|GIT_.*|PERL.*|RUBY.*|NODE_.*"
    r"|PYTHON(?!UNBUFFERED$|HASHSEED$).*|(_JAVA|JAVA_TOOL|JDK_JAVA)_OPTIONS|CLASSPATH|R_(LIBS|PROFILE|ENVIRON).*|LUA_.*"
)
"""Variables by which a request could have a mapped program run other code."""


class Programs:
    """From what jobs name to what is run for it here. May be used from any thread, and mapped at any time.

    Args:
        mapped: name to program. A name is an image or a stored algorithm as the request has it, ``module:NAME`` for a
            Python module, or ``boot:PATH`` for the Python file that is started, whole or without its folder.
    """

    def __init__(self, mapped: Mapping[str, Program] | None = None) -> None:
        self._mapped = dict(mapped or {})
        self._lock = threading.Lock()

    @classmethod
    def read(cls, texts: Sequence[str]) -> Programs:
        """The programs that several ``NAME=COMMAND`` say, each COMMAND quoted as for a shell.

        Raises:
            SettingsError: some say none; all of them are named.
        """
        mapped: dict[str, Program] = {}
        problems = []
        for text in texts:
            try:
                name, program = _read(text)
            except ValueError as error:
                problems.append(Problem("", f"{text!r}: {error}"))
                continue
            if name in mapped:
                problems.append(Problem("", f"'{name}' is mapped twice"))
            mapped[name] = program
        if problems:
            hint = "NAME=COMMAND, such as gcr.io/p/trainer:1='python train.py'"
            raise SettingsError("images cannot be mapped so", problems=problems, hint=hint)
        return cls(mapped)

    def map(self, name: str, program: str | Sequence[str] | Callable[..., Any]) -> None:
        """Run `program` for what jobs call `name`; a text is quoted as for a shell."""
        with self._lock:
            if callable(program):
                self._mapped[name] = program
            else:
                self._mapped[name] = tuple(shlex.split(program) if isinstance(program, str) else program)

    def find(self, trial: TrialSpec) -> Program | None:
        """What is mapped to what a trial runs; None: nothing is. Of several names, the most exact one counts."""
        with self._lock:
            return next((self._mapped[name] for name in _names(trial) if name in self._mapped), None)

    def of(self, job: TuningJob) -> list[Program | None]:
        """What is mapped to all that trials of a job may run, with its variants."""
        trials = [job.trial, *(variant_of(job.trial, index) for index in range(len(job.trial.variants)))]
        return [self.find(trial) for trial in trials]


def variant_of(trial: TrialSpec, index: int) -> TrialSpec:
    """What a trial runs where one of its variants holds."""
    variant = trial.variants[index]
    return trial.model_copy(update={"variants": (variant,)}).under({variant.when.parameter: variant.when.values[0]})


def mapped(job: TuningJob, program: tuple[str, ...] | None, step: float) -> TuningJob:
    """The job with what is really run in place of what it names, and without variables that would change that.

    Args:
        job: as one trial knows it.
        program: what is mapped to it; None: the synthetic trainer runs.
        step: seconds that a step of that one takes.
    """
    env = {name: value for name, value in job.trial.env.items() if not _LOADING.fullmatch(name)}
    gone = dict.fromkeys(("image", "module", "function", "algorithm", "package"))
    if program is not None:
        changes = {**gone, "command": program, "env": env}
    else:
        env.pop(HINTS_VARIABLE, None)  # it knows the parameters as the service does
        env[trainer.VARIABLE] = json.dumps(trainer.describe(job, step))
        changes = {**gone, "command": None, "function": trainer.FUNCTION, "args": (), "metrics": {}, "env": env}
    return job.model_copy(update={"trial": job.trial.model_copy(update=changes)})


def _read(text: str) -> tuple[str, Program]:
    """One ``NAME=COMMAND``; neither images nor paths have an equals sign."""
    name, mark, command = text.partition("=")
    if not mark or not name.strip():
        raise ValueError("is not of the form NAME=COMMAND")
    words = shlex.split(command)
    if not words or not words[0]:
        raise ValueError("names no program")
    return name.strip(), tuple(words)


def _names(trial: TrialSpec) -> Iterator[str]:
    """By what names a trial's program may be mapped, the most exact one first."""
    if trial.module is not None:
        yield MODULE + trial.module
    script = _script(trial)
    if script is not None:
        folder = (trial.package or "").rstrip("/")
        parts = f"{folder}/{script}".lstrip("/").split("/")
        yield from (BOOT + "/".join(parts[start:]) for start in range(len(parts)))
    for name in (trial.image, trial.algorithm):
        if name is not None:
            yield name


def _script(trial: TrialSpec) -> str | None:
    """The Python file that a trial starts, without the scheme of a place elsewhere."""
    program, script, *_ = *(trial.command or ()), "", ""
    return script.partition("://")[2] or script if program in PYTHON and script.endswith(".py") else None
