"""Arguments and options that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
On = Annotated[str | None, typer.Option("--on", metavar="BACKEND", help="Where to run it.", show_default="local")]
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
