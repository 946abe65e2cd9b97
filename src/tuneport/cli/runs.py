"""Verbs about runs that are there: runs, status, follow, trials, best, report, logs, stop, delete."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneport.cli.options import Json, Out, Quiet, Ref, Workspace
from tuneport.cli.output import note, plain, say, say_json

if TYPE_CHECKING:
    from tuneport.handle import Run
    from tuneport.model.results import StudyResult

TrialId = Annotated[int, typer.Argument(metavar="TRIAL", min=1, help="Number of a trial.", show_default=False)]
ATTENTION = 130
"""Exit status when a person stops watching."""


def runs(workspace: Workspace = None, as_json: Json = False) -> None:
    """List the runs of a workspace, the newest first."""
    from tuneport import api
    from tuneport.cli.words import best_text, moment, table

    results = api.runs(workspace=workspace)
    if as_json:
        say_json([_brief(result) for result in results])
        return
    rows = [["run", "state", "trials", "best", "made"]]
    rows += [
        [
            result.ref,
            result.state.value,
            str(len(result.trials)),
            best_text(result).splitlines()[0].removeprefix("best: ") if result.best else "",
            moment(result.created),
        ]
        for result in results
    ]
    say(table(rows, whole=True) if results else "no runs yet")


def _brief(result: StudyResult) -> dict[str, Any]:
    """A run without its trials, but with how many there are and the best one."""
    return plain(result, without="trials") | {
        "trial_count": len(result.trials),
        "best": plain(result.best, without="measurements") if result.best else None,
    }


def status(ref: Ref, workspace: Workspace = None, as_json: Json = False) -> None:
    """Say how a run is.

    Example: tuneport status digits-7f3a
    """
    from tuneport import migration
    from tuneport.cli.words import best_text, chain, device_table, headline, moment, searched, spent, tally

    handle = _attach(ref, workspace)
    result = handle.result.model_copy(update={"devices": tuple(handle.devices)})
    record = migration.whole(result, workspace=workspace)
    if as_json:
        say_json(plain(result))
    else:
        times = f"made {moment(result.created)}" + (f", ended {moment(result.ended)}" if result.ended else "")
        say(
            "\n".join(
                [
                    headline(result),
                    times,
                    tally(result),
                    *device_table(result.devices),
                    *searched(result),
                    *spent(result),
                    *chain(record),
                    best_text(record),
                    *(f"{name}: {place}" for name, place in result.links.items()),
                    *([f"kept in {handle.folder}"] if handle.folder else []),
                ]
            )
        )


def follow(
    ref: Ref,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Give up after so long; the exit status is then 10.")
    ] = None,
    workspace: Workspace = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Watch a run until it ends. Ctrl-C only stops watching; the run goes on.

    The exit status is that of the run.

    Example: tuneport follow digits-7f3a --timeout 60
    """
    from tuneport.cli.progress import most_trials, progress
    from tuneport.cli.words import exit_status, headline, summary

    handle = _attach(ref, workspace)
    try:
        with progress(most_trials(handle.job), quiet=quiet, before=handle.result) as show:
            result = handle.wait(timeout, progress=show)
    except KeyboardInterrupt:
        note(f"no longer watching; run {handle.ref} goes on")
        return ATTENTION
    if as_json:
        say_json(plain(result))
    elif result.state.ended:
        say(summary(result, handle.folder))
    else:
        note(f"{headline(result)}; go on with it: tuneport resume {handle.ref}")
    return exit_status(result)


def trials(
    ref: Ref,
    chain: Annotated[bool, typer.Option("--all", help="Those of the runs that it goes on with, too.")] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write them all as a history (.jsonl), which warm_start takes.")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """List the trials of a run.

    With --json they come with everything that they reported.

    Example: tuneport trials digits-7f3a --export earlier.jsonl
    """
    from tuneport import migration
    from tuneport.cli.words import trial_table
    from tuneport.files.histories import write_history
    from tuneport.model.history import history_of

    handle = _attach(ref, workspace)
    result = handle.result
    if chain or export is not None:
        result = migration.whole(result, workspace=workspace)
    if export is not None:
        write_history(history_of(handle.job, result), export)
        note(f"{len(result.trials)} trials are in {export}")
        return
    if as_json:
        say_json([plain(trial) for trial in result.trials])
    else:
        say(trial_table(result.trials) if result.trials else "no trials yet")


def best(ref: Ref, workspace: Workspace = None, as_json: Json = False) -> int:
    """Show the best trial and its parameters.

    Trials of the runs that this one goes on with count as well.
    The exit status is 9 if no trial has a result.

    Example: tuneport best digits-7f3a --json
    """
    from tuneport import migration
    from tuneport.cli.output import say_error
    from tuneport.cli.words import best_text, tally

    result = migration.whole(_attach(ref, workspace).result, workspace=workspace)
    if result.best is None:
        message = f"run {result.ref} has no result; {tally(result)}"
        if as_json:
            say_error("no-result", message, None, ())
        else:
            note(f"tuneport: {message}")
        return 9
    if as_json:
        say_json(plain(result.best))
    else:
        say(best_text(result))
    return 0


def report(ref: Ref, workspace: Workspace = None, output: Out = None, as_json: Json = False) -> None:
    """Make a page of a run: what it found, took and cost.

    The page is HTML that needs nothing else. Trials of the runs that this one goes on with are in it as well.

    Example: tuneport report digits-7f3a -o digits.html
    """
    from tuneport import config, migration
    from tuneport.files import write_text
    from tuneport.insight.report import page

    result = migration.whole(_attach(ref, workspace).result, workspace=workspace)
    prices = config.load().prices
    if as_json:
        say_json(plain(result))
        return
    text = page(result, price=f"{prices.currency}, by {prices}")
    if output is None:
        say(text.rstrip())
    else:
        write_text(text, output)
        note(f"written to {output}")


def logs(
    ref: Ref,
    trial: TrialId,
    keep_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the trial ends.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Print what a trial wrote.

    With --json each line is a JSON string on a line of its own.

    Example: tuneport logs digits-7f3a 3 -f
    """
    import json

    try:
        for line in _attach(ref, workspace).logs(trial, follow=keep_on):
            if not say(json.dumps(line, ensure_ascii=False) if as_json else line):
                break
    except KeyboardInterrupt:
        return ATTENTION
    return 0


def stop(
    ref: Ref,
    trial: Annotated[
        int | None, typer.Argument(metavar="TRIAL", min=1, help="Only this trial.", show_default=False)
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Ask a run, or one of its trials, to stop.

    What is recorded stays; a stopped run can be resumed.

    Example: tuneport stop digits-7f3a
    """
    handle = _attach(ref, workspace)
    handle.stop(trial)
    if as_json:
        say_json(plain(handle.result))
    else:
        note(f"asked {'' if trial is None else f'trial {trial} of '}{handle.ref} to stop")


def delete(
    ref: Ref,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Forget a run and remove its files, logs and models included."""
    handle = _attach(ref, workspace)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise typer.BadParameter("nobody can be asked here; give --yes", param_hint="--yes")
        also = f" and all in {handle.folder}" if handle.folder else ""
        typer.confirm(f"delete {handle.ref}{also}?", abort=True, err=True)
    handle.delete()
    if as_json:
        say_json({"deleted": handle.ref})
    else:
        note(f"deleted {handle.ref}")


def _attach(ref: str, workspace: Any) -> Run:
    from tuneport import api

    return api.attach(ref, workspace=workspace)
