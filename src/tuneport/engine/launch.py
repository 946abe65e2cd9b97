"""What to start for one trial, and where its metrics will be found. Pure data, filled in by a backend's launch.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tuneport.model.job import TuningJob
from tuneport.model.word import Scalar


@dataclass(frozen=True, slots=True)
class TrialContext:
    """All that a launch contract may know about the trial that it describes.

    Attributes:
        job: the job that it belongs to.
        run: the run's id, unique in its workspace.
        trial: the trial's id, counting from 1.
        attempt: 1, or more after retries.
        parameters: searched values, typed; active parameters only.
        folder: absolute path of the trial's own folder, which exists and is empty at first.
        base: absolute path of the directory that relative paths of the job mean.
        python: interpreter that runs `python`, modules and functions.
        gpus: indices of the leased GPUs, as the trial will see them through CUDA_VISIBLE_DEVICES.
        cpus: processor cores it may use.
    """

    job: TuningJob
    run: str
    trial: int
    attempt: int
    parameters: Mapping[str, Scalar]
    folder: str
    base: str
    python: str
    gpus: tuple[str, ...] = ()
    cpus: int = 1


@dataclass(frozen=True, slots=True)
class Reported:
    """One report as a trial wrote it. `time` is POSIX seconds; `metrics` may hold NaN and infinities."""

    metrics: Mapping[str, float]
    step: int | None = None
    time: float | None = None


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file into which the trial writes its metrics, a line per report.

    Attributes:
        path: relative to the trial's folder.
        parse: one line to a report; None for a line that is none. Total: never raises.
        rewritten: the file is rewritten as a whole with the latest lines (cloudml-hypertune), not appended to.
    """

    path: str
    parse: Callable[[str], Reported | None]
    rewritten: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """One process to start.

    Attributes:
        argv: program and arguments; never a shell line.
        env: variables added to those that the engine passes on.
        cwd: absolute path of its working directory.
        files: path relative to the trial's folder to text; written before the start.
        folders: paths relative to the trial's folder; made before the start.
        reports: where it writes metrics, if it does.
        patterns: metric to a regular expression over its output (both streams); empty: output is not searched.
    """

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    reports: ReportFile | None = None
    patterns: Mapping[str, str] = field(default_factory=dict)


LaunchContract: TypeAlias = Callable[[TrialContext], Launch]
"""Describes a trial's process as one host would start it. Pure."""
