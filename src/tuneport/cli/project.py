"""Verbs that write files to begin with: init, schema, vendor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneport.cli.options import Force, Json
from tuneport.cli.output import note, say, say_json

TEMPLATES = ("job.yaml", "train.py")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write.")] = Path(),
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a job.yaml and a train.py that work as they stand.

    Example: tuneport init my-study
    """
    own = Path(__file__).parent / "templates"
    _place({folder / name: (own / name).read_bytes() for name in TEMPLATES}, force, as_json)
    if not as_json:
        note(f"try it: tuneport run {folder / 'job.yaml'}")


def vendor(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write.", show_default=False)],
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Copy tuneport_trial.py into your code.

    A trainer then needs nothing installed: it is one file, for Python 3.7 and later, without dependencies.

    Example: tuneport vendor src
    """
    import tuneport_trial

    content = Path(tuneport_trial.__file__).read_bytes()
    target = folder / "tuneport_trial.py"
    same = target.is_file() and target.read_bytes() == content
    _place({target: content}, force or same, as_json)


def _place(files: dict[Path, bytes], force: bool, as_json: bool) -> None:
    """Write new files, unless some are there already; then none of them.

    Raises:
        BadParameter: there are such files, or one cannot be written.
    """
    taken = [str(path) for path in files if path.exists() and not force]
    if taken:
        raise typer.BadParameter(f"{' and '.join(taken)} would be overwritten; --force does so", param_hint="DIR")
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise typer.BadParameter(f"{path} cannot be written: {error.strerror}", param_hint="DIR") from None
    written = [str(path) for path in files]
    if as_json:
        say_json({"written": written})
    else:
        say("\n".join(written))


def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="job, results, report, or a cloud's name.")] = "job",
    as_json: Json = False,
) -> None:
    """Print a JSON Schema: of job files, results, reports, clouds.

    Results are what --json prints of a run. Editors complete and check job files with the first. A cloud's name gives
    the schema of its own documents.

    Example: tuneport schema job > job.schema.json
    """
    from tuneport import schemas

    del as_json  # it is JSON anyway
    try:
        say(schemas.text(name).rstrip())
    except KeyError as error:
        raise typer.BadParameter(error.args[0], param_hint="NAME") from None
