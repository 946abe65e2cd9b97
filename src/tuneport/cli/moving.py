"""Verbs that move jobs between clouds: translate, import, migrate, plan, diff. Nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneport.cli.options import Form, JobFile, Json, Out, Set, Tolerate, fidelity, named_settings
from tuneport.cli.output import note, say, say_json
from tuneport.cli.reports import deliver, report_text, reported, value_text

if TYPE_CHECKING:
    from tuneport.model.job import TuningJob

Native = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A cloud's own document in JSON or YAML; - reads standard input.", show_default=False
    ),
]
To = Annotated[str, typer.Option("--to", metavar="BACKEND", help="The cloud to say it to.", show_default=False)]
From = Annotated[str, typer.Option("--from", metavar="BACKEND", help="The cloud that says it.", show_default=False)]
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


def import_(file: Native, source: From, output: Out = None, as_json: Json = False) -> None:
    """Read a cloud's own document into a job file.

    What the model has no word for is kept in the job's box, so that nothing is lost on the way back.

    Example: tuneport import request.json --from sagemaker -o job.yaml
    """
    from tuneport import translating
    from tuneport.files import write_job

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


def migrate(
    file: Native,
    source: From,
    to: To,
    form: Form = None,
    tolerate: Tolerate = "approximated",
    settings: Set = None,
    output: Out = None,
    as_json: Json = False,
) -> int:
    """Print one cloud's document in another cloud's words.

    A report of all that changes or stays behind goes to standard error.
    Where things are on the other cloud is said in tuneport.toml, under [map.uri], [map.image] and [map.machine].

    Example: tuneport migrate request.json --from sagemaker --to vertex
    """
    from tuneport import translating

    limit = fidelity(tolerate)
    made = translating.migrate(_document(file), source, to, settings=named_settings(settings), form=form)
    return deliver(made.payload, made.form, made.report, limit, output, as_json)


def plan(
    job: JobFile,
    on: Annotated[str, typer.Option("--on", metavar="BACKEND", help="The cloud.", show_default=False)],
    settings: Set = None,
    as_json: Json = False,
) -> int:
    """Say what would be sent to a cloud and what it means.

    That is: trials, time, machines, and all that is unresolved.
    The exit status is 3 if something is unresolved.

    Example: tuneport plan job.yaml --on vertex
    """
    from tuneport import translating
    from tuneport.files import read_job

    made = translating.plan(read_job(job), on, settings=named_settings(settings))
    facts = {
        "backend": on,
        "form": made.translated.form,
        "trials": made.trials,
        "parallel": made.parallel,
        "seconds": made.seconds,
        "machine": made.machine,
        "replicas": made.replicas,
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
    ]
    if facts["unresolved"]:
        lines.append(f"  {len(facts['unresolved'])} unresolved:")
        lines += [f"    {one['pointer']}: {one['message']}" for one in facts["unresolved"]]
    return "\n".join(lines)


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
