"""What stands in the way of running a job on this machine, found before anything is started."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tuneport.engine.devices import Device, Pool, processors
from tuneport.engine.launch import PYTHON, local_path
from tuneport.errors import DeviceError, Problem
from tuneport.model.job import Budget
from tuneport.model.trial_spec import Resources, TrialSpec


def local_problems(
    trial: TrialSpec | None, budget: Budget | None, base: Path, devices: Sequence[Device]
) -> Iterator[Problem]:
    """Programs and data that are not there, devices and processors that do not suffice.

    Args:
        trial: what a trial runs; None if that is not known.
        budget: how many run at once; None if that is not known.
        base: directory that relative paths mean.
        devices: the GPUs of this machine.
    """
    if trial is None:
        return
    yield from _program_problems(trial, base)
    for index, channel in enumerate(trial.inputs):
        path = local_path(channel.uri, str(base))
        if path is not None and not Path(path).exists():
            yield Problem(f"/trial/inputs/{index}/uri", f"there is nothing at {path}")
    yield from _device_problems(trial.resources, budget.parallel_trials if budget else 1, devices)


def _program_problems(trial: TrialSpec, base: Path) -> Iterator[Problem]:
    package = local_path(trial.package, str(base)) if trial.package is not None else None
    if package is not None:
        yield from _package_problems(Path(package))
    if trial.command is None:
        return
    program, *arguments = trial.command
    place = str(base / program) if "/" in program else program
    if program not in PYTHON and shutil.which(place, path=trial.env.get("PATH")) is None:
        yield Problem("/trial/command/0", f"there is no program '{program}' on this machine")
    if program in PYTHON and arguments and arguments[0].endswith(".py") and not (base / arguments[0]).is_file():
        yield Problem("/trial/command/1", f"there is no file {base / arguments[0]}")


def _package_problems(path: Path) -> Iterator[Problem]:
    """A package is used by putting it on the module path, which takes directories and zip files."""
    if not path.exists():
        yield Problem("/trial/package", f"there is nothing at {path}")
    elif path.is_file() and not zipfile.is_zipfile(path):
        yield Problem("/trial/package", f"{path} is neither a directory nor a zip file or wheel", hint="unpack it")


def _device_problems(resources: Resources, parallel: int, devices: Sequence[Device]) -> Iterator[Problem]:
    cores = processors()
    if resources.cpus is not None and resources.cpus * parallel > cores:
        yield Problem(
            "/budget/parallel_trials",
            f"{parallel} trials with {resources.cpus:g} cpus each need more than the {cores} cores that exist here",
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
