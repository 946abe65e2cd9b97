"""How a job moves to another cloud: places, images and machines by the user's maps, machines by the catalogue too."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tuneport.catalog import machines
from tuneport.catalog.machines import Match
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import Resources
from tuneport.model.word import Location, Str, Word, pointer
from tuneport.translation.capabilities import Fidelity, Home
from tuneport.translation.report import FieldReport

ANYTHING = ".*"
"""The pattern of a home where everything is at home."""
EACH = "*"
"""Every item of a list."""
Places: TypeAlias = tuple[tuple[tuple[str, ...], str], ...]
PLACES: Places = (
    (("image",), "image"),
    (("package",), "uri"),
    (("inputs", EACH, "uri"), "uri"),
    (("output", "uri"), "uri"),
    (("identity",), "identity"),
    (("network", "name"), "network"),
    (("network", "subnets", EACH), "network"),
    (("network", "security_groups", EACH), "network"),
    (("encryption", "key"), "key"),
    (("encryption", "disk_key"), "key"),
    (("resources", "pool"), "pool"),
    (("algorithm",), "algorithm"),
)
"""Where in a trial, and in each of its variants, something stands that only one cloud understands; and which attribute
of Home says what it looks like there."""
JOB_PLACES: Places = (
    (("experiment", "name"), "experiment"),
    (("experiment", "run"), "experiment"),
    (("experiment", "tensorboard"), "experiment"),
    (("warm_start", EACH, "run"), "run"),
)
"""Likewise in a job itself."""
CALLED = {
    "uri": "a place of data",
    "image": "an image",
    "identity": "an identity",
    "network": "a network",
    "key": "an encryption key",
    "pool": "a pool of machines",
    "algorithm": "a stored algorithm",
    "experiment": "an experiment",
    "run": "a run",
}
HARMLESS = {"experiment"}
"""What is left out where it cannot be said, since results do not depend on it."""
_PLACEHOLDER = re.compile(r"\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\{\{.*?\}\}")
_ROOT = re.compile(r"\w+://[^/]+/")
_CATALOGUE = "machine catalogue"

Reports: TypeAlias = list[FieldReport]


Elsewhere: TypeAlias = Str | tuple[Str, ...]
"""What something is called elsewhere; of several names, the first that the backend understands counts."""


class Maps(Word):
    """What the user says of how things are called elsewhere: ``[map.…]`` in tuneport.toml."""

    machine: dict[Str, Elsewhere] = {}
    """Machine type to machine types; with * at both ends of names that begin alike."""
    uri: dict[Str, Elsewhere] = {}
    """Folder to folders: what a place begins with, up to a slash; the longest that fits counts."""
    image: dict[Str, Elsewhere] = {}
    """Container image to images; with * at both ends of names that begin alike."""


def relocate(job: TuningJob, home: Home, maps: Maps) -> tuple[TuningJob, list[FieldReport]]:
    """Put what a backend understands in place of what only others do.

    Values that look like the backend's own, and those with placeholders such as ``${DATA}``, stay as they are. What
    neither the maps nor the catalogue resolve stays too, and is reported as unsupported with the way out.

    Args:
        job: any job.
        home: what the backend's own values look like.
        maps: what the user says.

    Returns:
        The job, the very same one if there was nothing to do, and a report of each field that was to be moved.
    """
    reports: Reports = []

    def relocated(spec: Any, at: Location) -> Any:
        return _relocated(spec, at, home, maps, reports)

    trial = _walk(relocated(job.trial, ("trial",)), ("variants", EACH), ("trial",), relocated)
    return _moved_places(_with(job, "trial", trial), (), JOB_PLACES, home, maps, reports), reports


def _relocated(spec: Any, at: Location, home: Home, maps: Maps, reports: Reports) -> Any:
    """A trial, or a variant of one, at home."""
    spec = _moved_places(spec, at, PLACES, home, maps, reports)
    if spec.resources is None:
        return spec
    return _with(spec, "resources", _machine(spec.resources, (*at, "resources"), home, maps, reports))


def _moved_places(word: Any, at: Location, places: Places, home: Home, maps: Maps, reports: Reports) -> Any:
    """A word with what stands at these places of it at home."""
    for path, kind in places:
        pattern = getattr(home, kind)
        if pattern == ANYTHING or not _is_said(word, path):
            continue

        def move(value: str, where: Location, kind: str = kind, pattern: str = pattern) -> str | None:
            return value if _at_home(value, pattern) else _moved(value, where, home, kind, maps, reports)

        word = _walk(word, path, at, move)
    return word


def _is_said(word: Any, path: tuple[str, ...]) -> bool:
    """Whether anything stands at a path, or at its items; most paths of most jobs are empty."""
    for part in path:
        if not word or part == EACH:
            break
        word = getattr(word, part)
    return bool(word)


def _walk(value: Any, path: tuple[str, ...], at: Location, move: Callable[[Any, Location], Any]) -> Any:
    """What becomes of a value when those at the path's end are moved; itself if none of them is."""
    if value is None:
        return None
    if not path:
        return move(value, at)
    head, rest = path[0], path[1:]
    if head == EACH:
        items = tuple(_walk(item, rest, (*at, index), move) for index, item in enumerate(value))
        return value if all(map(_same, items, value)) else items
    return _with(value, head, _walk(getattr(value, head, None), rest, (*at, head), move))


def _with(word: Any, name: str, value: Any) -> Any:
    return word if _same(value, getattr(word, name, None)) else word.changed(**{name: value})


def _same(one: Any, other: Any) -> bool:
    return one is other


def _at_home(value: str, pattern: str) -> bool:
    """Whether a value may be the backend's own; of one that is partly a placeholder the rest tells."""
    known = _PLACEHOLDER.sub("x1", value) if "{" in value else value
    return known == "x1" or re.fullmatch(pattern, known, re.DOTALL) is not None


def _moved(value: str, at: Location, home: Home, kind: str, maps: Maps, reports: Reports) -> str | None:
    """A value by the user's map; if that does not lead home, itself, and a report that says so."""
    if kind in HARMLESS:
        reports.append(_report(at, Fidelity.DROPPED, value, None, note=f"not {CALLED[kind]} of {_name(home)}"))
        return None
    table = getattr(maps, kind, None)
    key, target = _mapped(value, table or {}, getattr(home, kind), prefixes=kind == "uri")
    if target is not None and _at_home(target, getattr(home, kind)):
        reports.append(_report(at, Fidelity.EXACT, value, target, f"[map.{kind}] {key}"))
        return target
    problem = f"{value} is not {CALLED[kind]} of {_name(home)}"
    if target is not None:
        note = f"{problem}, nor is {target}, to which [map.{kind}] leads it"
    elif table is None:
        note = f"{problem}; give one of {_name(home)}, or leave it out"
    else:
        known = _ROOT.match(value) if kind == "uri" else None
        note = f'{problem}; say what it is there: [map.{kind}] "{known[0] if known else value}" = "…"'
    reports.append(_report(at, Fidelity.UNSUPPORTED, value, value, note=note))
    return value


def _mapped(value: str, table: Mapping[str, Elsewhere], pattern: str, *, prefixes: bool) -> tuple[str, str | None]:
    """The longest key that fits a value, and what the map makes of it: what is at home, if anything is."""
    for key in sorted(table, key=len, reverse=True):
        stem = key.rstrip("/") if prefixes else key.removesuffix("*")
        rest = value[len(stem) :]
        if value == key:
            made = _names(table[key])
        elif value.startswith(stem) and (rest[:1] in {"", "/"} if prefixes else stem != key):
            made = [(one.rstrip("/") if prefixes else one.removesuffix("*")) + rest for one in _names(table[key])]
        else:
            continue
        return key, next((one for one in made if _at_home(one, pattern)), made[0] if made else None)
    return "", None


def _names(elsewhere: Elsewhere) -> list[str]:
    return [elsewhere] if isinstance(elsewhere, str) else list(elsewhere)


def _machine(resources: Resources, at: Location, home: Home, maps: Maps, reports: Reports) -> Resources:
    """The resources with a machine of the backend, and with the GPUs that it has."""
    name = resources.machine
    if name is None:
        if home.cloud and _asks(resources) and not _is_share(resources, home.cloud):
            return _found(resources, at, home, reports)
    elif not _at_home(name, home.machine):
        return _elsewhere(resources, name, at, home, maps, reports)
    elif home.cloud and resources.gpus > 0:
        _report_missing_gpus(resources, name, at, home, reports)
    return _own_spelling(resources, at, home, reports)


def _report_missing_gpus(resources: Resources, name: str, at: Location, home: Home, reports: Reports) -> None:
    """A machine that the job names wins over the rest; but it may lack the GPUs that the job asks for."""
    own = machines.find(home.cloud, name)
    if own is None or own.gpus is None or own.gpus >= resources.gpus:
        return
    asked_for = machines.find_gpu(resources.gpu_type) if resources.gpu_type else None
    kinds = machines.gpus() if resources.gpu_type is None else [asked_for] if asked_for else []
    if any(machines.attaches(own, kind.id, math.ceil(resources.gpus)) for kind in kinds):
        return
    has = f"has {own.gpus}" if own.gpus else "has none"
    note = f"{name} {has}; name another machine, or leave machine out to have one found"
    asked = resources.brief()["gpus"]
    reports.append(_report((*at, "gpus"), Fidelity.UNSUPPORTED, asked, asked, note=note))


def _asks(resources: Resources) -> bool:
    """Whether anything is asked of a machine that a catalogue can be searched for; in a pool, GPUs alone."""
    words = ("gpu_type", "gpu_memory") if resources.pool is not None else ("gpu_type", "gpu_memory", "cpus", "memory")
    return resources.gpus > 0 or any(getattr(resources, word) is not None for word in words)


def _is_share(resources: Resources, cloud: str) -> bool:
    """Whether it is said how much of a machine is needed, in a pool of a cloud that hands out just so much."""
    measured = resources.cpus is not None or resources.memory is not None
    any_kind = resources.gpu_type is None and resources.gpu_memory is None
    return resources.pool is not None and measured and any_kind and any(one.pool for one in machines.machines(cloud))


def _own_spelling(resources: Resources, at: Location, home: Home, reports: Reports) -> Resources:
    """The kind of GPU under its portable name, where a cloud's or a driver's was given."""
    name = resources.gpu_type
    gpu = machines.find_gpu(name) if name and home.cloud else None
    if gpu is None or gpu.id == name:
        return resources
    reports.append(_report((*at, "gpu_type"), Fidelity.EXACT, name, gpu.id, _CATALOGUE))
    return resources.changed(gpu_type=gpu.id)


def _found(resources: Resources, at: Location, home: Home, reports: Reports) -> Resources:
    """The machine that the catalogue finds for what is asked."""
    match = machines.match(resources, home.cloud)
    if match.machine is None:
        known = resources.gpu_type is None or machines.find_gpu(resources.gpu_type) is not None
        note = f"{match.reason}; name a machine yourself: trial.resources.machine"
        before = resources.brief() if known else resources.gpu_type
        reports.append(_report(at if known else (*at, "gpu_type"), Fidelity.UNSUPPORTED, before, before, note=note))
        return resources
    machine = match.machine.name
    reports.append(_report((*at, "machine"), Fidelity.EMULATED, None, machine, _CATALOGUE, match.reason))
    return _equipped(resources, machine, match, at, reports)


def _elsewhere(resources: Resources, name: str, at: Location, home: Home, maps: Maps, reports: Reports) -> Resources:
    """The machine that the user's map or else the catalogue has for one of another cloud."""
    here = (*at, "machine")
    key, target = _mapped(name, maps.machine, home.machine, prefixes=False)
    if target is None:
        known = machines.find_anywhere(name) is not None
        by_figures = not known and _asks(resources)
        match = (
            machines.match(resources, home.cloud)
            if by_figures
            else machines.like(name, on=home.cloud, beside=resources)
        )
        if match.machine is not None:
            fidelity = Fidelity.EXACT if known and match.exact else Fidelity.APPROXIMATED
            reports.append(_report(here, fidelity, name, match.machine.name, _CATALOGUE, match.reason))
            return _equipped(resources, match.machine.name, match, at, reports)
        problem = f"{name} is not a machine of {_name(home)}, and {match.reason}"
    elif _at_home(target, home.machine):
        reports.append(_report(here, Fidelity.EXACT, name, target, f"[map.machine] {key}"))
        return _equipped(resources, target, _as_mapped(name, target, home), at, reports)
    else:
        problem = f"neither {name} nor {target}, to which [map.machine] leads it, is a machine of {_name(home)}"
    note = f'{problem}; say which one to take: [map.machine] "{name}" = "…"'
    reports.append(_report(here, Fidelity.UNSUPPORTED, name, name, note=note))
    return resources


def _as_mapped(name: str, target: str, home: Home) -> Match:
    """The machine that the user chose for another cloud's, with the GPUs of that one if it takes them."""
    own, other = machines.find(home.cloud, target), machines.find_anywhere(name)
    if own and not own.gpus and other and other.gpus and other.gpu and machines.attaches(own, other.gpu, other.gpus):
        return Match(own, other.gpu, other.gpus, "")
    return Match(own, own.gpu if own else None, (own and own.gpus) or 0, "")


def _equipped(resources: Resources, machine: str, match: Match, at: Location, reports: Reports) -> Resources:
    """The resources with a machine and the GPUs that it has; a report of each word that this replaces."""
    new: dict[str, Any] = {"machine": machine}
    if match.gpus:
        new |= {"gpus": match.gpus} | ({"gpu_type": match.gpu} if match.gpu else {})
        if match.gpus > 1:
            new["gpu_memory"] = None  # it is for trials that share one GPU
    said = resources.brief()
    for word in ("gpus", "gpu_type", "gpu_memory"):
        if word in new and word in said and new[word] != getattr(resources, word):
            before, after = said[word], new[word]
            fidelity, note = Fidelity.EMULATED, f"what {machine} has"
            if word == "gpu_type":
                asked = machines.find_gpu(before)
                fidelity, note = (Fidelity.EXACT, "") if asked and asked.id == after else (Fidelity.APPROXIMATED, note)
            reports.append(_report((*at, word), fidelity, before, after, _CATALOGUE, note))
    return resources.changed(**new)


def _name(home: Home) -> str:
    return home.cloud or "this backend"


def _report(
    at: Location, fidelity: Fidelity, before: Any, after: Any, by: str | None = None, note: str = ""
) -> FieldReport:
    return FieldReport(pointer=pointer(at), fidelity=fidelity, before=before, after=after, by=by, note=note)
