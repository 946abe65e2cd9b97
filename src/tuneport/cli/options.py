"""Arguments and options that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tuneport.translation.capabilities import Fidelity

JobFile = Annotated[
    str,
    typer.Argument(
        metavar="JOB", help="Job file in YAML, JSON or TOML; - reads YAML from standard input.", show_default=False
    ),
]
Ref = Annotated[
    str,
    typer.Argument(
        metavar="REF", help="Reference of a run, its id, or the beginning of just one id.", show_default=False
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="BACKEND",
        help="Where to run it; of several, A,B,C, trials go where room is.",
        show_default="local",
    ),
]
Drive = Annotated[
    bool, typer.Option("--drive", help="Search here; each trial is one training job of the cloud, not of its tuner.")
]
Parallel = Annotated[
    list[str] | None,
    typer.Option(metavar="BACKEND=N", help="Most trials at once in one of several places; may be repeated."),
]
Contract = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Start trials here as they would be started there: local, vertex, sagemaker or modelarts.",
        show_default="local",
    ),
]
Workspace = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", metavar="DIR", help="Folder that keeps the runs.", show_default=".tuneport"),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result, or the error, as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")]
Form = Annotated[
    str | None, typer.Option(metavar="NAME", help="Kind of document; `tuneport backends NAME` lists them.")
]
Tolerate = Annotated[
    str, typer.Option(metavar="FIDELITY", help="The worst that is fine: exact, emulated, dropped or approximated.")
]
Out = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the result there instead.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the cloud; may be repeated.")
]


def fidelity(name: str) -> Fidelity:
    """The fidelity of that name, as --tolerate says it.

    Raises:
        BadParameter: there is none, or it is never tolerated.
    """
    from tuneport.translation.capabilities import Fidelity

    known = [one.value for one in Fidelity if one is not Fidelity.UNSUPPORTED]
    if name not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)}, not {name!r}", param_hint="--tolerate")
    return Fidelity(name)


def named_settings(given: list[str] | None) -> dict[str, Any]:
    """Settings as --set says them, NAME=VALUE; values are read as YAML scalars are.

    Raises:
        BadParameter: one is not of that form.
    """
    from tuneport.files.yaml_text import scalar

    pairs = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"must be NAME=VALUE, not {text!r}", param_hint="--set")
        pairs[name] = scalar(value)
    return pairs


def of_places(settings: dict[str, Any], on: str | None) -> dict[str, Any]:
    """Settings of several places, BACKEND.NAME=VALUE, each by its place; those of one place as they are.

    Raises:
        BadParameter: one says no place.
    """
    if on is None or "," not in on:
        return settings
    found: dict[str, Any] = {}
    for name, value in settings.items():
        place, dot, inner = name.partition(".")
        if not dot:
            raise typer.BadParameter(f"with several places, say whose setting {name!r} is", param_hint="--set")
        found.setdefault(place, {})[inner] = value
    return found


def rooms(given: list[str] | None) -> dict[str, int]:
    """Numbers of trials as --parallel says them, BACKEND=N, also several with commas between them.

    Raises:
        BadParameter: one is not of that form.
    """
    found = {}
    for text in [one for several in given or () for one in several.split(",")]:
        name, _, count = text.partition("=")
        if not name or not count.isdecimal():
            raise typer.BadParameter(f"must be BACKEND=N, not {text!r}", param_hint="--parallel")
        found[name.strip()] = int(count)
    return found
