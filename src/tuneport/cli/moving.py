"""Verbs that move jobs between clouds: translate, import, migrate, plan, diff. Nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneport.cli.options import Form, JobFile, Json, Out, Set, Tolerate, Workspace, fidelity, named_settings
from tuneport.cli.output import note, plain, say, say_json
from tuneport.cli.reports import deliver, report_text, reported, value_text

if TYPE_CHECKING:
    from pathlib import Path

    from tuneport.model.job import TuningJob
    from tuneport.translation.report import FieldReport

Native = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A cloud's own document in JSON or YAML; - reads standard input.", show_default=False
    ),
]
To = Annotated[str, typer.Option("--to", metavar="BACKEND", help="The cloud to say it to.", show_default=False)]
Whose = Annotated[str | None, typer.Option("--from", metavar="BACKEND", help="The cloud whose document it is.")]
AnyFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A job, or a cloud's own document; BACKEND:FILE says whose it is.")
]


def translate(
    job: JobFile,
    to: To,
    form: Form = None,
    tolerate: Tolerate = "approximated",
    settings: Set = None,
    output: Out = None,
    as_json: Json = False,
) -> int:
    """Print a job in a cloud's own words.

    A report of what became of its fields goes to standard error. The exit status is 4 if the report holds worse than
    --tolerate; what is unsupported is never tolerated.

    Example: tuneport translate job.yaml --to sagemaker > request.json
    """
    from tuneport import translating
    from tuneport.files import read_job

    limit = fidelity(tolerate)
    made = translating.translate(read_job(job), to, settings=named_settings(settings), form=form)
    return deliver(made.payload, made.form, made.report, limit, output, as_json)


def import_(file: Native, source: Whose = None, output: Out = None, as_json: Json = False) -> None:
    """Read a cloud's own document, or trials that others recorded.

    A document becomes a job file, trials become a history that warm_start takes. What the model has no word for is kept
    in the job's box, so that nothing is lost on the way back.
    Trials come from tables (.csv), from files of our own (.jsonl) and from studies of Optuna (optuna:STORAGE#STUDY).

    Example: tuneport import request.json --from sagemaker -o job.yaml

    Example: tuneport import optuna:sqlite:///tuning.db#digits -o earlier.jsonl
    """
    from tuneport import translating
    from tuneport.files import write_job
    from tuneport.files.histories import is_history

    if is_history(file):
        _import_trials(file, output, as_json)
        return
    if source is None:
        raise typer.BadParameter("whose document is it? vertex, sagemaker or modelarts", param_hint="--from")
    made = translating.import_job(_document(file), source)
    if as_json:
        report = made.report.model_dump(mode="json")
        extra = {"settings": made.settings.brief(), "form": made.form, "leaves": made.leaves, "boxed": made.boxed}
        say_json({"job": made.job.brief(), **extra, "report": report})
        if output is not None:
            write_job(made.job, output)
        return
    text = write_job(made.job, output)
    if output is None:
        say(text.rstrip())
    understood = made.leaves - len(made.boxed)
    note(f"{source} {made.form}: {understood} of {made.leaves} values understood")
    if made.boxed:
        note("\n".join(["kept as they are, for this cloud only:", *(f"  {place}" for place in made.boxed)]))


def _import_trials(file: str, output: Path | None, as_json: bool) -> None:
    from tuneport.files.histories import read_history, write_history

    history = read_history(file)
    text = write_history(history, output)
    if as_json:
        say_json(plain(history))
    elif output is None:
        say(text.rstrip())
    note(f"{len(history.trials)} trials of {history.source}")


def migrate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|REF",
            help="With --from, a cloud's own document; else the reference of a run.",
            show_default=False,
        ),
    ],
    to: To,
    *,
    source: Whose = None,
    submit: Annotated[bool, typer.Option("--submit", help="Start what is left of the run there.")] = False,
    stop_source: Annotated[
        bool, typer.Option("--stop-source", help="Stop the run first, and wait for its end.")
    ] = False,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Draw ranges in around the best, where the search there cannot be told.")
    ] = False,
    trials: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Trials to run there.", show_default="what is left")
    ] = None,
    drive: Annotated[bool, typer.Option("--drive", help="Let our own search drive trials there.")] = False,
    history: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --from, the trials of its run: a .jsonl or .csv file.")
    ] = None,
    form: Form = None,
    tolerate: Annotated[
        str | None, typer.Option(metavar="FIDELITY", help="As of translate or, with --submit, of submit.")
    ] = None,
    settings: Set = None,
    workspace: Workspace = None,
    output: Out = None,
    as_json: Json = False,
) -> int:
    """Move a job, or a run with all it has found, to another backend.

    A report of all that changes or stays behind goes to standard error.
    Of a run, what is left of its budget moves, and all trials stay in its record, whether the search there can be told
    of them or not.
    Where things are on the other cloud is said in tuneport.toml, under [map.uri], [map.image] and [map.machine].

    Example: tuneport migrate request.json --from sagemaker --to vertex

    Example: tuneport migrate sagemaker:eu-west-1/digits-7f3a --to local --submit --stop-source
    """
    from tuneport import migration

    limit = fidelity(tolerate or ("emulated" if submit else "approximated"))
    made = migration.migrate(
        _document(what) if source is not None else what,
        source,
        to,
        history=history,
        submit=submit,
        stop_source=stop_source,
        max_trials=trials,
        settings=named_settings(settings),
        form=form,
        workspace=workspace,
        shrink=shrink,
        drive=drive,
        tolerate=limit.value,
    )
    told = None if made.knowledge is None else plain(made.knowledge)
    if made.knowledge is not None:
        note(_knowledge_text(made.knowledge))
    if made.run is None:
        return deliver(made.payload, made.form, made.report, limit, output, as_json)
    if as_json:
        say_json(plain(made.run.result) | {"report": reported(made.report), "knowledge": told})
        return 0
    say(made.run.ref)
    note(report_text(made.report))
    return 0


def _knowledge_text(told: FieldReport) -> str:
    """What of earlier trials the search there is told."""
    how = f"told to the search there by {told.by}" if told.by else "not told to the search there"
    return f"{told.after}, {how}" + (f": {told.note}" if told.note else "")


def plan(
    job: JobFile,
    on: Annotated[str, typer.Option("--on", metavar="BACKEND", help="The cloud.", show_default=False)],
    like: Annotated[
        str | None, typer.Option(metavar="REF", help="An earlier run of its kind, which says how long trials take.")
    ] = None,
    settings: Set = None,
    as_json: Json = False,
) -> int:
    """Say what would be sent to a cloud and what it means.

    That is: trials, time, machines, money, and all that is unresolved. What machines cost is said in tuneport.toml,
    under [prices]. The exit status is 3 if something is unresolved.

    Example: tuneport plan job.yaml --on vertex
    """
    from tuneport import api, translating
    from tuneport.files import read_job

    earlier = () if like is None else api.attach(like).trials
    made = translating.plan(read_job(job), on, settings=named_settings(settings), earlier=earlier)
    facts = {
        "backend": on,
        "form": made.translated.form,
        "trials": made.trials,
        "parallel": made.parallel,
        "seconds": made.seconds,
        "machine": made.machine,
        "replicas": made.replicas,
        "cost": None if made.cost is None else {"low": made.cost.low, "high": made.cost.high},
        "currency": made.prices.currency,
        "prices": str(made.prices),
        "unresolved": [{"pointer": one.pointer, "message": one.message, "hint": one.hint} for one in made.unresolved],
    }
    if as_json:
        say_json({**facts, "payload": made.translated.payload, "report": reported(made.translated.report)})
    else:
        say(_plan_text(made.translated.job, facts))
        note(report_text(made.translated.report))
    return 3 if made.unresolved else 0


def _plan_text(job: TuningJob, facts: dict[str, Any]) -> str:
    from tuneport.cli.words import duration

    trials = "trials until another limit is reached" if facts["trials"] is None else f"at most {facts['trials']} trials"
    bound = (
        "nothing bounds the time" if facts["seconds"] is None else f"done after at most {duration(facts['seconds'])}"
    )
    machine = facts["machine"] or "no machine yet"
    each = f"{facts['replicas']} x {machine}" if facts["replicas"] > 1 else machine
    lines = [
        f"{job.name} on {facts['backend']}, as a {facts['form']}",
        f"  {trials}, {facts['parallel']} at a time; {bound}",
        f"  each on {each}",
        f"  {_cost_text(facts)}",
    ]
    if facts["unresolved"]:
        lines.append(f"  {len(facts['unresolved'])} unresolved:")
        lines += [f"    {one['pointer']}: {one['message']}" for one in facts["unresolved"]]
    return "\n".join(lines)


def _cost_text(facts: dict[str, Any]) -> str:
    """What it may cost."""
    cost, currency = facts["cost"], facts["currency"]
    if cost is None:
        return f"its cost is not known: no price of {facts['machine'] or 'its machine'} under [prices]"
    if cost["high"] is None:
        return "nothing bounds its cost, and no earlier run says how long trials take (--like)"
    amount = f"at most {cost['high']:.2f}" if cost["low"] is None else f"about {cost['low']:.2f} to {cost['high']:.2f}"
    return f"costs {amount} {currency}, by {facts['prices']}"


def diff(a: AnyFile, b: AnyFile, as_json: Json = False) -> None:
    """Say what differs in meaning between two jobs.

    Each is a job file of ours or a document of any cloud.

    Example: tuneport diff job.yaml request.json
    """
    from tuneport import translating

    changes = translating.diff(_any_job(a), _any_job(b))
    if as_json:
        say_json([{"pointer": one.pointer, "a": one.before, "b": one.after} for one in changes])
    elif changes:
        say("\n".join(f"{one.pointer}: {value_text(one.before)} -> {value_text(one.after)}" for one in changes))
    else:
        note("no difference in meaning")


def _any_job(named: str) -> TuningJob:
    """The job in a file of ours, or of whichever cloud it is."""
    from tuneport import translating
    from tuneport.errors import PayloadError
    from tuneport.files import read_document, read_job

    source, colon, path = named.partition(":")
    clouds = translating.clouds()
    if colon and source in clouds:
        return translating.import_job(_document(path), source).job
    data = read_document(named).data
    if isinstance(data, dict) and {"study", "trial"} & data.keys():
        return read_job(named)
    for name in clouds:
        try:
            return translating.import_job(data, name).job
        except PayloadError:
            continue
    listed = ", ".join(clouds)
    msg = f"{named} is no job and no document of {listed}"
    raise PayloadError(msg, hint=f"say whose it is, and see what is wrong with it: {clouds[0]}:{named}")


def _document(path: str) -> Any:
    from tuneport.files import read_document

    return read_document(path).data
