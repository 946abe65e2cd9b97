"""What this machine has and lacks for running jobs here and for reaching the clouds. Only harmless reads are made."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from tuneport import translating
from tuneport.backends import registry
from tuneport.backends.protocols import Finding
from tuneport.engine.devices import discover
from tuneport.engine.host import processors
from tuneport.errors import TuneportError
from tuneport.model.job import TuningJob

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+).*extra == ['\"](\w+)['\"]")


def examine(names: Sequence[str] = ()) -> Iterator[tuple[str, Finding]]:
    """Look at this machine and at backends, one finding after the other.

    Args:
        names: the backends; none: all that are registered.

    Yields:
        What it is about ("machine" or a backend's name), and what was found.

    Raises:
        BackendNotFoundError: one of the names is no backend.
    """
    chosen = [registry.load(name).name for name in names] or registry.names()
    yield "machine", Finding("python", platform.python_version())
    yield "machine", Finding("tuneport", metadata.version("tuneport"))
    yield "machine", Finding("processors", str(processors()))
    yield from (("machine", one) for one in _gpus())
    for name in chosen:
        yield from ((name, one) for one in _backend(name))


def reach(name: str, settings: Mapping[str, Any] | None = None, job: TuningJob | None = None) -> Iterator[Finding]:
    """Look at the way to a cloud: credentials, endpoint, permissions and quotas, as far as its client can.

    Args:
        name: the cloud.
        settings: of it, over the configured ones.
        job: what is to go there; it is said whether the cloud has what the job names.

    Raises:
        BackendNotFoundError: there is no such cloud.
        BackendError: there is no way at all: no SDK, no credentials.
    """
    cloud = translating.cloud(name)
    payload = None if job is None else translating.to_submit(job, name, settings=settings).plain
    yield from cloud.connect(translating.settings_of(cloud, settings)).probe(payload)


def _gpus() -> Iterator[Finding]:
    try:
        found = discover(None)
    except TuneportError as error:
        yield Finding("gpus", error.message, ok=False, hint=error.hint)
        return
    sizes = (f" ({one.memory >> 30} GiB)" if one.memory else "" for one in found)
    yield Finding(
        "gpus", ", ".join(f"{one.name} {one.id}{size}" for one, size in zip(found, sizes, strict=True)) or "none"
    )


def _backend(name: str) -> Iterator[Finding]:
    try:
        backend = registry.load(name)
        if not translating.has_documents(backend):
            return
        yield from _packages(name)
        yield from reach(name)
    except TuneportError as error:
        yield Finding("connection", error.message, ok=False, hint=error.hint)


def _packages(name: str) -> Iterator[Finding]:
    """The packages of a backend's extra."""
    for requirement in metadata.requires("tuneport") or ():
        match = _REQUIREMENT.match(requirement)
        if match and match[2] == name:
            try:
                yield Finding(match[1], metadata.version(match[1]))
            except metadata.PackageNotFoundError:
                yield Finding(match[1], "not installed", ok=False, hint=f"pip install 'tuneport[{name}]'")
