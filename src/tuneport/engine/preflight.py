"""What stands in the way of running a job on this machine, found before anything is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tuneport.engine.devices import Device, Pool
from tuneport.errors import DeviceError, Problem
from tuneport.model.job import TuningJob

PYTHON = ("python", "python3")
"""Programs that mean the interpreter of the settings."""


def local_problems(job: TuningJob, base: Path, devices: Sequence[Device]) -> Iterator[Problem]:
    """Programs and data that are not there, devices and processors that do not suffice.

    Args:
        job: a valid job.
        base: directory that its relative paths mean.
        devices: the GPUs of this machine.
    """
    yield from _program_problems(job, base)
    for index, channel in enumerate(job.trial.inputs):
        path = channel.uri.removeprefix("file://")
        if "://" not in path and not (base / path).exists():
            yield Problem(f"/trial/inputs/{index}/uri", f"there is nothing at {base / path}")
    yield from _device_problems(job, devices)


def _program_problems(job: TuningJob, base: Path) -> Iterator[Problem]:
    command = job.trial.command
    if command is None:
        return
    program = command[0]
    if program not in PYTHON and shutil.which(program) is None and shutil.which(str(base / program)) is None:
        yield Problem("/trial/command/0", f"there is no program '{program}' on this machine")
    script = command[1] if len(command) > 1 else ""
    if program in PYTHON and script.endswith(".py") and not (base / script).is_file():
        yield Problem("/trial/command/1", f"there is no file {base / script}")


def _device_problems(job: TuningJob, devices: Sequence[Device]) -> Iterator[Problem]:
    resources, parallel = job.trial.resources, job.budget.parallel_trials
    cores = os.cpu_count() or 1
    if resources.cpus is not None and resources.cpus * parallel > cores:
        yield Problem(
            "/budget/parallel_trials",
            f"{parallel} trials with {resources.cpus:g} cpus each need more than the {cores} that exist here",
            hint="lower parallel_trials, or trial.resources.cpus",
        )
    try:
        room = Pool(devices, resources).capacity
    except DeviceError as error:
        where = "gpu_memory" if resources.gpu_memory is not None and devices else "gpus"
        yield Problem(f"/trial/resources/{where}", error.message, hint=error.hint)
        return
    if room is not None and room < parallel:
        yield Problem(
            "/budget/parallel_trials",
            f"{parallel} trials at once do not fit on the {len(devices)} GPUs that exist here; {room} do",
            hint=f"set parallel_trials to {room}, or let trials share GPUs with gpus: 0.5 or gpu_memory",
        )
