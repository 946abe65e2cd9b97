"""Finds backends by name through the entry-point group `tuneport.backends`; ours are listed the same way as others'."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points

from tuneport.backends.protocols import PROTOCOL_VERSION, Backend
from tuneport.errors import BackendConflictError, BackendError, BackendNotFoundError, BackendNotInstalledError
from tuneport.model.word import Word, did_you_mean

GROUP = "tuneport.backends"


def names() -> list[str]:
    """Every registered backend. Nothing is imported for this."""
    return sorted({entry.name for entry in _registered(tuple(sys.path))})


@lru_cache(maxsize=1)
def _registered(path: tuple[str, ...]) -> EntryPoints:
    """All backends on a path, found once: the metadata of every installed package is read for it."""
    del path  # it is sys.path
    return entry_points(group=GROUP)


def load(name: str) -> Backend[Word]:
    """The backend of that name.

    Raises:
        BackendNotFoundError: nobody registered the name.
        BackendConflictError: two packages did.
        BackendNotInstalledError: its import failed for want of a package.
        BackendError: it was written for another version of tuneport, or its import failed otherwise.
    """
    entries = {entry.value: entry for entry in _registered(tuple(sys.path)).select(name=name)}
    if not entries:
        msg = f"there is no backend '{name}'"
        raise BackendNotFoundError(msg, backend=name, hint=_known(name))
    if len(entries) > 1:
        msg = f"several installed packages call themselves backend '{name}': {_owners(list(entries.values()))}"
        raise BackendConflictError(msg, backend=name, hint="uninstall all but one of them")
    return _checked(name, _import(*entries.values()))


def _known(name: str) -> str:
    known = names()
    near = did_you_mean(name, known)
    listed = f"backends here: {', '.join(known) or 'none'}"
    return f"{near} {listed}" if near.startswith("did you mean") else listed


def _owners(entries: Sequence[EntryPoint]) -> str:
    return ", ".join(sorted(f"{entry.dist.name if entry.dist else '?'} ({entry.value})" for entry in entries))


def _import(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except ImportError as error:
        msg = f"backend '{entry.name}' is registered but cannot be imported: {error}"
        raise BackendNotInstalledError(msg, backend=entry.name, hint=_remedy(entry)) from error
    except Exception as error:
        msg = f"backend '{entry.name}' ({entry.value}) fails when imported: {type(error).__name__}: {error}"
        raise BackendError(msg, backend=entry.name) from error


def _remedy(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else entry.module
    extras = (entry.dist.metadata.get_all("Provides-Extra") or []) if entry.dist else []
    return f"pip install '{package}[{entry.name}]'" if entry.name in extras else f"reinstall {package}"


def _checked(name: str, found: object) -> Backend[Word]:
    version = getattr(found, "protocol_version", None)
    if version != PROTOCOL_VERSION:
        msg = f"backend '{name}' speaks protocol version {version}, this tuneport {PROTOCOL_VERSION}"
        raise BackendError(msg, backend=name, hint="upgrade the older of the two packages")
    return found  # type: ignore[return-value] # what it promises is what the conformance suite tests
