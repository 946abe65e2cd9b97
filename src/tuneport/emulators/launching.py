"""How a trial of an emulated service starts here, and how faults strike it. Its places are folders of this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from inspect import Parameter, signature
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tuneport.backends.local.launch import parse_report
from tuneport.emulators import preempt, trainer
from tuneport.emulators.faults import Fault, Kind
from tuneport.emulators.programs import Programs, mapped
from tuneport.engine.executors.function import CURRENT, call
from tuneport.engine.launch import Launch, LaunchContract, Reported, ReportFile, TrialContext
from tuneport.model.job import TuningJob
from tuneport.translation.lowering import HINTS_VARIABLE, meant, read_hints

Draw = Callable[[TrialContext], Fault | None]
"""What strikes a trial."""
FROM_OUTSIDE = frozenset({Kind.METRIC_LATE, Kind.STOP, Kind.STOP_JOB})
"""Faults that a trial itself does not notice; they are those of `tuneport.emulators.timed`."""
NOTHING = "tuneport-job"
"""The parameter of a job that searches nothing, for which a study must have one: no trial is told of it."""
_NEVER = "(?!)"
"""A pattern that matches nothing."""
_FAULT_FILE = "fault.jsonl"


_NO_CAPACITY = "no capacity is left"


class CapacityError(Exception):
    """What a trial within this process dies of when its machine is taken away, or was never there."""


def place(folder: Path, uri: str) -> Path:
    """The folder that stands for a place elsewhere, such as s3://bucket/key; always below `folder`."""
    scheme, mark, rest = uri.partition("://")
    parts = [scheme.lower() if mark else "file", *(rest if mark else uri).split("/")]
    return folder.joinpath(*(part for part in map(unquote, parts) if _is_name(part)))


def _is_name(part: str) -> bool:
    return part not in {"", ".", ".."} and not {"/", "\0"} & set(part)


def contract(
    base: LaunchContract, programs: Programs, draw: Draw, places: Path, step: float, speed: float
) -> LaunchContract:
    """A cloud's launch contract for trials that run here.

    Args:
        base: how the cloud starts trials.
        programs: what is run for what they name.
        draw: what strikes them.
        places: folder for what is elsewhere.
        step: real seconds that a step of the synthetic trainer takes.
        speed: of the clock by which what strikes them is timed.
    """

    def launch(trial: TrialContext) -> Launch:
        trial = replace(trial, parameters=_told(trial.parameters))
        known = trial.job.under(trial.parameters)
        program = programs.find(known.trial)
        there = _placed(mapped(known, None if callable(program) else program, step), places)
        inputs = [one.uri for one in there.trial.inputs if not Path(one.uri).exists()]
        launch = base(replace(trial, job=there))
        launch = replace(launch, folders=(*launch.folders, *inputs))
        fault = draw(trial)
        return _struck(_renamed(launch, _names(known, trial.job)), fault, trial, speed)

    return launch


def _told(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name != NOTHING}


def _placed(job: TuningJob, places: Path) -> TuningJob:
    """The job with its inputs and its output in folders of this machine."""
    trial = job.trial
    inputs = tuple(one.model_copy(update={"uri": str(place(places, one.uri))}) for one in trial.inputs)
    output = trial.output and trial.output.model_copy(update={"uri": str(place(places, trial.output.uri))})
    return job.model_copy(update={"trial": trial.model_copy(update={"inputs": inputs, "output": output})})


def _names(known: TuningJob, job: TuningJob) -> dict[str, str]:
    """What a trial calls the primary metric to what its job does, where that differs."""
    theirs, ours = known.study.objective.metric, job.study.objective.metric
    return {theirs: ours} if theirs != ours else {}


def _renamed(launch: Launch, names: Mapping[str, str]) -> Launch:
    if not names:
        return launch
    patterns = {names.get(name, name): pattern for name, pattern in launch.patterns.items()}
    reports = launch.reports
    if reports is not None:
        parse = reports.parse

        def renaming(line: str) -> Reported | None:
            read = parse(line)
            return read and replace(read, metrics={names.get(one, one): value for one, value in read.metrics.items()})

        reports = replace(reports, parse=renaming)
    return replace(launch, patterns=patterns, reports=reports)


def _struck(launch: Launch, fault: Fault | None, trial: TrialContext, speed: float) -> Launch:
    """The trial's process as a fault has it."""
    if fault is None or fault.kind in FROM_OUTSIDE:
        return launch
    if fault.kind is Kind.PREEMPT:
        watched = (sys.executable, "-S", "-E", preempt.__file__, str(fault.seconds / (speed or 1.0)))
        return replace(launch, argv=(*watched, *launch.argv))
    if fault.kind is Kind.CAPACITY:
        return replace(
            launch, argv=(str(Path(trial.folder) / _NO_CAPACITY),)
        )  # the engine cannot start it, and says so
    launch = replace(launch, patterns=dict.fromkeys(launch.patterns, _NEVER), reports=None)
    if fault.kind is Kind.INFEASIBLE:
        metrics = {one.metric: "nan" for one in trial.job.study.objectives}
        files = {**launch.files, _FAULT_FILE: json.dumps({"metrics": metrics}) + "\n"}
        launch = replace(launch, files=files, reports=ReportFile(_FAULT_FILE, parse_report))
    return launch


def function(
    job: TuningJob, programs: Programs, draw: Draw, begin: Callable[[TrialContext], None], pause: Callable[[], None]
) -> Callable[..., Any]:
    """What trials of a job do within this process.

    Args:
        job: the job.
        programs: what is called for what they name.
        draw: what strikes them.
        begin: called on the thread of each.
        pause: waits for a step of the synthetic trainer.
    """

    def trial(tuneport_parameters: Mapping[str, Any]) -> Any:
        context = CURRENT.get()
        begin(context)
        fault = draw(context)
        tuneport_parameters = _told(tuneport_parameters)
        if fault is not None and fault.kind in {Kind.PREEMPT, Kind.CAPACITY}:
            raise CapacityError("it was taken away" if fault.kind is Kind.PREEMPT else _NO_CAPACITY)
        if fault is not None and fault.kind not in FROM_OUTSIDE:
            return None if fault.kind is Kind.METRIC_MISSING else float("nan")
        known = job.under(tuneport_parameters)
        program = programs.find(known.trial)
        names = _names(known, job)
        if callable(program):
            hints = read_hints(known.trial.env.get(HINTS_VARIABLE, "")) or {}
            parameters = meant(tuneport_parameters, hints)  # as tuneport_trial would hand them to a script
            return _results(call(program, _asked_for(program, job, parameters)), names)
        return _results(_synthetic(known, tuneport_parameters, pause), names)

    return trial


def _asked_for(program: Callable[..., Any], job: TuningJob, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without fixed ones that a function does not know; clouds' SDKs add some of their own."""
    try:
        declared = signature(program).parameters.values()
    except (TypeError, ValueError):  # some built-in functions have no signature
        return dict(parameters)
    names = {one.name for one in declared if one.kind in {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}}
    if any(one.kind is Parameter.VAR_KEYWORD for one in declared) or names.isdisjoint(parameters):
        return dict(parameters)
    return {name: value for name, value in parameters.items() if name in names or name not in job.trial.parameters}


def _synthetic(
    job: TuningJob, parameters: Mapping[str, Any], pause: Callable[[], None]
) -> Generator[dict[str, float], None, None]:
    for metrics in trainer.curve(trainer.describe(job, 0.0), parameters):
        pause()
        yield metrics


def _results(result: Any, names: Mapping[str, str]) -> Any:
    """What a trial gave back, with its metrics by the names of its job."""
    if not names:
        return result
    if isinstance(result, Generator):
        return (_results(one, names) for one in result)
    if isinstance(result, Mapping):
        return {names.get(name, name): value for name, value in result.items()}
    return result


def lines(job: TuningJob, trial: Any, *, synthetic: bool) -> Iterator[str]:
    """The log of a trial within this process: what it reported, and what it died of."""
    if synthetic:
        yield trainer.note(job.under(trial.parameters))
    for one in trial.measurements:
        metrics = " ".join(f"{name}={value}" for name, value in one.metrics.items())
        yield f"tuneport: step={one.step} {metrics}" if one.step is not None else f"tuneport: {metrics}"
    if trial.failure is not None:
        yield from trial.failure.last_lines or (trial.failure.message,)
