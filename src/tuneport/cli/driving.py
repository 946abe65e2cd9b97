"""Verbs that take a job, or go on with one: check, run, submit, resume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneport.cli.options import (
    Contract,
    Drive,
    Form,
    JobFile,
    Json,
    On,
    Parallel,
    Quiet,
    Ref,
    Set,
    Tolerate,
    Workspace,
    fidelity,
    named_settings,
    of_places,
    rooms,
)
from tuneport.cli.output import note, plain, say, say_json
from tuneport.cli.reports import deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuneport.handle import Run
    from tuneport.model.job import TuningJob
    from tuneport.model.results import StudyResult
    from tuneport.translation.capabilities import Fidelity


INTERRUPTED = 130
"""Exit status when a person interrupts a command whose run goes on, or can."""


def check(
    job: JobFile,
    on: On = None,
    contract: Contract = None,
    workspace: Workspace = None,
    settings: Set = None,
    drive: Drive = False,
    live: Annotated[
        bool, typer.Option("--live", help="Also ask the cloud, by harmless reads, whether the way to it is free.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say all that is wrong with a job, or what it would do.

    Nothing is started.

    Example: tuneport check job.yaml
    """
    from tuneport.cli.progress import most_trials
    from tuneport.search.space import Space

    given = _settings(contract, settings, on)
    checked, _ = _checked(job, on, given, workspace, drive=drive)
    for name, its in _each_place(on, given) if live else ():
        _check_way(name, its, None if drive else checked)
    plan = {
        "name": checked.name,
        "trials": most_trials(checked),
        "parallel": checked.budget.parallel_trials,
        "parameters": len(checked.study.parameters),
        "points": Space(checked.study.parameters).size,
        "algorithm": checked.study.algorithm.kind,
        "objective": plain(checked.study.objective),
        "gpus": checked.trial.resources.gpus,
    }
    if as_json:
        say_json({"ok": True, **plan})
    else:
        say(_plan_text(checked, plan))


def _each_place(on: str | None, settings: dict[str, Any]) -> list[tuple[str | None, dict[str, Any]]]:
    """The clouds that are meant, with the settings of each."""
    if on is None or "," not in on:
        return [(on, settings)]
    return [(name, settings.get(name, {})) for name in on.split(",") if name != "local"]


def _check_way(on: str | None, settings: dict[str, Any], job: TuningJob | None) -> None:
    """Ask the cloud that is meant whether it can be reached and used, and whether it has what the job names.

    Raises:
        AuthError: something is in the way, with all that is.
        BackendError: nothing can be asked.
    """
    from tuneport import config, doctor
    from tuneport.errors import AuthError, Problem

    name = on or config.load().on
    amiss = [one for one in doctor.reach(name, settings, job) if not one.ok]
    if amiss:
        problems = [Problem("", f"{one.what}: {one.found}", one.hint) for one in amiss]
        raise AuthError(f"the way to {name} is not free", backend=name, problems=problems)


def _plan_text(job: TuningJob, plan: dict[str, Any]) -> str:
    size = str(plan["points"])
    points = f"of {size} points" if len(size) < 10 else f"of some 10^{len(size) - 1} points"
    space = "without end" if plan["points"] is None else points
    parameters = "1 parameter" if plan["parameters"] == 1 else f"{plan['parameters']} parameters"
    gpus = f", {plan['gpus']:g} GPU each" if plan["gpus"] else ""
    trials = "trials until another limit is reached" if plan["trials"] is None else f"at most {plan['trials']} trials"
    return "\n".join(
        [
            f"ok: {job.name}",
            f"  {trials}, {plan['parallel']} at a time{gpus}",
            f"  {plan['algorithm']} search of {parameters}, a space {space}",
            f"  to {job.study.objective.goal} {job.study.objective.metric}",
        ]
    )


def run(
    job: JobFile,
    on: On = None,
    contract: Contract = None,
    workspace: Workspace = None,
    settings: Set = None,
    drive: Drive = False,
    parallel: Parallel = None,
    tolerate: Tolerate = "emulated",
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Run a job to its end, and show how it goes.

    Ctrl-C asks its trials to stop, records everything and says how to go on; a second one does not wait for them.
    What runs on a cloud goes on there.

    Example: tuneport run job.yaml
    """
    from tuneport import api
    from tuneport.cli.progress import most_trials

    given, most = _settings(contract, settings, on), rooms(parallel)
    limit = fidelity(tolerate).value
    checked, base = _checked(job, on, given, workspace, drive=drive)
    return _drive(
        lambda observer: api.run(
            checked,
            on=on,
            settings=given,
            base=base,
            progress=observer,
            tolerate=limit,
            drive=drive,
            parallel=most,
            workspace=workspace,
        ),
        most_trials(checked),
        None,
        workspace,
        quiet,
        as_json,
    )


def submit(
    job: JobFile,
    on: On = None,
    contract: Contract = None,
    workspace: Workspace = None,
    settings: Set = None,
    form: Form = None,
    drive: Drive = False,
    parallel: Parallel = None,
    tolerate: Tolerate = "emulated",
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what a cloud would be sent, and send nothing.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Start a job and return at once; its reference is printed.

    On this machine it is driven by a process of its own, which goes on when the terminal is closed.

    Example: tuneport submit job.yaml
    """
    from tuneport import api

    given, limit, most = _settings(contract, settings, on), fidelity(tolerate), rooms(parallel)
    checked, base = _checked(job, on, given, workspace, drive=drive)
    if dry_run and (drive or (on and "," in on)):
        from tuneport import driven

        say_json({name: driven.preview(checked, name, its) for name, its in _each_place(on, given) if name})
        return 0
    if dry_run:
        return _show(checked, on, given, form, limit, as_json)
    started = api.submit(
        checked,
        on=on,
        settings=given,
        base=base,
        tolerate=limit.value,
        form=form,
        drive=drive,
        parallel=most,
        workspace=workspace,
    )
    if as_json:
        say_json(plain(started.result))
    else:
        say(started.ref)
        _warn(checked, started.ref, given, base)
        note(f"see how it goes: tuneport follow {started.ref}{_elsewhere(workspace)}")
    return 0


def _warn(job: TuningJob, ref: str, settings: dict[str, Any], base: Path) -> None:
    """Say what of a job that a cloud has now is up to the trainer."""
    from tuneport.packaging import relying

    cloud = ref.partition(":")[0]
    if cloud != "local" and (fields := relying(job, cloud, settings=settings, base=base)):
        shown = ", ".join(fields[:5]) + (", …" if len(fields) > 5 else "")
        note(f"the trainer must have tuneport_trial.py (tuneport vendor DIR), which is relied on for {shown}")


def _show(
    job: TuningJob, on: str | None, settings: dict[str, Any], form: str | None, limit: Fidelity, as_json: bool
) -> int:
    """Print what would be sent."""
    from tuneport import config, translating

    made = translating.to_submit(job, on or config.load().on, settings=settings, form=form)
    return deliver(made.plain, made.form, made.report, limit, None, as_json)


def resume(ref: Ref, workspace: Workspace = None, quiet: Quiet = False, as_json: Json = False) -> int:
    """Go on with a run that was interrupted or stopped, to its end.

    What ended stays ended; trials that were cut off run again.

    Example: tuneport resume digits-7f3a
    """
    from tuneport import api
    from tuneport.cli.progress import most_trials

    handle = api.attach(ref, workspace=workspace)
    return _drive(
        lambda observer: api.resume(handle.ref, workspace=workspace, progress=observer),
        most_trials(handle.job),
        handle.result,
        workspace,
        quiet,
        as_json,
    )


def _drive(
    start: Callable[[Callable[[StudyResult], None]], Run],
    most: int | None,
    before: StudyResult | None,
    workspace: Path | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Drive a run in this process, show how it goes and how it ended."""
    from tuneport import api
    from tuneport.cli.progress import progress
    from tuneport.cli.words import exit_status, headline, summary

    known, interrupted = before, False

    def observe(result: StudyResult) -> None:
        nonlocal known
        known = result
        show(result)

    try:
        with progress(most, quiet=quiet, before=before) as show:
            handle = start(observe)
    except KeyboardInterrupt:
        if known is None:
            raise
        handle = api.attach(known.ref, workspace=workspace)
        verb = "resume" if handle.folder else "follow"  # a service goes on by itself
        note(f"{headline(handle.result)}\ngo on with it: tuneport {verb} {known.ref}{_elsewhere(workspace)}")
        interrupted = True
    result = handle.result
    if as_json:
        say_json(plain(result))
    elif result.state.ended:
        say(summary(result, handle.folder))
    return INTERRUPTED if interrupted and not result.state.ended else exit_status(result)


def _checked(
    path: str, on: str | None, settings: dict[str, Any], workspace: Path | None, *, drive: bool
) -> tuple[TuningJob, Path]:
    """The job of a file and the directory that its relative paths mean.

    Raises:
        JobError: with every problem and its place in the file.
    """
    from tuneport import api
    from tuneport.errors import JobError
    from tuneport.files import job_data, read_document
    from tuneport.model.job import TuningJob

    document = read_document(path)
    data = job_data(document)
    base = (Path() if path == "-" else Path(path).parent).resolve()
    try:
        problems = api.check(data, on=on, settings=settings, base=base, drive=drive, workspace=workspace)
    except JobError as error:
        problems = list(error.problems)
    if problems:
        raise JobError.of(document.name, document.located(problems))
    return TuningJob.model_validate(data), base


def _settings(contract: str | None, pairs: list[str] | None, on: str | None) -> dict[str, Any]:
    """What the options say of the backend that is meant, or of each of several."""
    of_contract = {} if contract is None else {"contract": contract}
    return of_places({**of_contract, **named_settings(pairs)}, on)


def _elsewhere(workspace: Path | None) -> str:
    return "" if workspace is None else f" --workspace {workspace}"
