"""What stands in the way of running a job on this machine, found before anything is started."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tuneport.engine.devices import Pool
from tuneport.engine.host import main_memory, processors
from tuneport.engine.launch import PYTHON, local_path, package_directory
from tuneport.engine.nvml import Device
from tuneport.errors import DeviceError, Problem
from tuneport.model.job import Budget
from tuneport.model.trial_spec import Resources, TrialSpec, about


def local_problems(
    trial: TrialSpec | None, budget: Budget | None, base: Path, devices: Sequence[Device]
) -> Iterator[Problem]:
    """Programs and data that are not there, devices, processors and memory that do not suffice.

    Args:
        trial: what a trial runs; None if that is not known.
        budget: how many run at once; None if that is not known.
        base: directory that relative paths mean.
        devices: the GPUs of this machine.
    """
    if trial is None:
        return
    parallel = budget.parallel_trials if budget else 1
    yield from _problems(trial, base, parallel)
    yield from _device_problems(trial.resources, parallel, devices)
    for index in range(len(trial.variants)):
        yield from _variant_problems(trial, index, base, parallel)


def _problems(trial: TrialSpec, base: Path, parallel: int) -> Iterator[Problem]:
    """Programs, data, processors and memory that are missing, for a trial of one kind."""
    yield from _program_problems(trial, base)
    for index, channel in enumerate(trial.inputs):
        path = local_path(channel.uri, str(base))
        if path is not None and not Path(path).exists():
            yield Problem(f"/trial/inputs/{index}/uri", f"there is nothing at {path}")
    yield from _host_problems(trial.resources, parallel)


def _variant_problems(trial: TrialSpec, index: int, base: Path, parallel: int) -> Iterator[Problem]:
    """What is missing only where a variant of the trial applies, at the fields that it replaces."""
    variant, here = trial.variants[index], f"/trial/variants/{index}"
    changes = dict(variant.changes())
    varied = trial.changed(variants=[variant]).under({variant.when.parameter: variant.when.values[0]})
    own = set(_problems(trial, base, parallel))
    for problem in _problems(varied, base, parallel):
        if problem not in own:
            replaced = problem.pointer.split("/")[2] in changes
            yield replace(problem, pointer=here + problem.pointer.removeprefix("/trial")) if replaced else problem
    if _runs_here(trial) and not _runs_here(varied):
        yield Problem(here, "says nothing that can run on this machine", hint="give it a command")
    if _lease(varied.resources) != _lease(trial.resources):
        yield Problem(
            f"{here}/resources",
            "needs other GPUs than the trial itself; on this machine all trials of a run get alike",
            hint="give the trial the most that any variant needs, and leave it out here",
        )


def _runs_here(trial: TrialSpec) -> bool:
    return any(way is not None for way in (trial.command, trial.module, trial.function))


def _lease(resources: Resources) -> tuple[float, int | str | None]:
    """What trials lease of this machine; all else is a matter of clouds, or of how the trainer behaves."""
    return resources.gpus * resources.replicas, resources.gpu_memory


def _program_problems(trial: TrialSpec, base: Path) -> Iterator[Problem]:
    package = local_path(trial.package, str(base)) if trial.package is not None else None
    if package is not None:
        yield from _package_problems(Path(package))
    if trial.command is None:
        return
    directory = package_directory(trial, str(base))
    if directory is not None:
        base = Path(directory)
        if base.is_file() and zipfile.is_zipfile(base):
            yield Problem("/trial/package", f"{base} is no directory, and does not end like an archive: .whl or .zip")
        if not base.is_dir():
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


def _host_problems(resources: Resources, parallel: int) -> Iterator[Problem]:
    """Cores and main memory that suffice neither for one trial nor for as many as run at once."""
    yield from _lacks("cpus", resources.cpus, processors(), resources.replicas, parallel)
    yield from _lacks("memory", resources.memory, main_memory(), resources.replicas, parallel)


def _lacks(word: str, one: float | None, there: int, replicas: int, parallel: int) -> Iterator[Problem]:
    def said(amount: float) -> str:
        return f"{about(amount)} of memory" if word == "memory" else f"{amount:g} cpus"

    each = (one or 0) * replicas
    if each > there:
        text = f"a trial needs {said(each)}, but this machine has {said(there)}"
        yield Problem(f"/trial/resources/{word}", text, hint="lower it, or run the job where there is more")
    elif each * parallel > there:
        yield Problem(
            "/budget/parallel_trials",
            f"{parallel} trials with {said(each)} each need more than the {said(there)} that this machine has",
            hint=f"set parallel_trials to {int(there // each)}, or lower trial.resources.{word}",
        )


def _device_problems(resources: Resources, parallel: int, devices: Sequence[Device]) -> Iterator[Problem]:
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
