"""What this machine needs to know that is not tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tuneport.model.word import Integer, Number, Str, Word


class LocalSettings(Word):
    """Settings of the local backend: the section `[local]` of tuneport.toml, the variables TUNEPORT_LOCAL__*."""

    workspace: Path = Path(".tuneport")
    """Folder that keeps the journal and the trials' files; in a file, relative to that file."""
    contract: Literal["local", "vertex", "sagemaker", "modelarts"] = "local"
    """Whose launch contract trials run under: a trainer made for a cloud runs here as it would there."""
    gpus: Annotated[Integer, Field(ge=0)] | None = None
    """Number of GPUs to hand out; None: those that are found."""
    grace: Annotated[Number, Field(ge=0)] = 10.0
    """Seconds between asking a trial to end and killing it."""
    python: Path | None = None
    """Interpreter for `module` and `function`; None: the one that runs tuneport."""


class RaySettings(LocalSettings):
    """Settings of a Ray cluster on which trials run: the section `[ray]`, the variables TUNEPORT_RAY__*.

    The journal, and who drives the run, stay on this machine.
    """

    address: Str | None = None
    """Of the cluster: ray://HOST:10001, HOST:6379, or auto; None: RAY_ADDRESS, or else a cluster for this run alone."""
    working_dir: Path | None = None
    """A directory that Ray brings to the nodes, and in which trials start; None: nodes see the job's own."""
