"""What a trial reads and writes: channels that are copied, file systems that are mounted, and the output."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any, Final, TypeAlias

from tuneport.backends.modelarts.launch import OUTPUT
from tuneport.backends.modelarts.translate.places import (
    NFS,
    OBS,
    PFS,
    read_nfs,
    read_obs,
    read_remote,
    write_nfs,
    write_obs,
    write_remote,
)
from tuneport.model.trial_spec import Input, Output, TrialSpec

Json: TypeAlias = dict[str, Any]

INPUTS_VARIABLE: Final = "TUNEPORT_INPUTS"
"""Tells tuneport_trial, by the names of inputs, where those are mounted for which the service has no name."""
ACCESS: Final = {"flag": "parameter", "variable": "env"}
"""How a trial is told of a channel."""
_TOLD_BY = {access: told_by for told_by, access in ACCESS.items()}
MOUNTS: Final = "/home/ma-user/inputs"
"""Where inputs are mounted that do not say where."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


def is_mounted(one: Input) -> bool:
    """Whether an input is a volume, not a channel whose data are copied."""
    return one.uri.startswith((NFS, PFS)) or (one.mode == "mount" and one.uri.startswith(OBS))


# ---- channels -------------------------------------------------------------------------------------------------------


def write_channels(trial: TrialSpec) -> list[Json]:
    """The inputs that are copied before the start."""
    return [
        {"name": one.name, "remote": write_remote(one.uri), "local_dir": one.path, **_write_about(one)}
        for one in trial.inputs
        if not is_mounted(one)
    ]


def read_channels(channels: Sequence[Json]) -> Iterator[Json]:
    """The inputs; channels that are called what no input can be called are passed over."""
    for one in filter(is_input, channels):
        uri = read_remote(one["remote"])
        yield {"name": one["name"], "uri": uri, "path": one.get("local_dir"), **_read_about(one)}


def is_input(channel: Json) -> bool:
    """Whether our words can say a channel: it needs a place, and a name that an input can have."""
    return read_remote(channel.get("remote", {})) is not None and bool(_NAME.fullmatch(channel.get("name", "")))


def write_declared(trial: TrialSpec) -> list[Json]:
    """The channels of a stored algorithm: jobs made of it say where their data are."""
    return [{"name": one.name, **_write_about(one)} for one in trial.inputs if not is_mounted(one)]


def read_declared(channels: Sequence[Json]) -> Iterator[Json]:
    """Inputs whose places are only known to the jobs that are made of the algorithm."""
    for one in channels:
        if _NAME.fullmatch(name := one.get("name", "")):
            yield {"name": name, "uri": f"${{{name}}}", **_read_about(one)}


def _write_about(one: Input | Output) -> Json:
    return {
        "access_method": None if one.told_by is None else ACCESS[one.told_by],
        "description": one.description,
    }


def _read_about(one: Json) -> Json:
    return {"told_by": _TOLD_BY.get(one.get("access_method", "")), "description": one.get("description")}


# ---- volumes --------------------------------------------------------------------------------------------------------


def write_volumes(trial: TrialSpec) -> list[Json]:
    """The inputs that are mounted."""
    return [_write_volume(one) for one in trial.inputs if is_mounted(one)]


def _write_volume(one: Input) -> Json:
    if one.uri.startswith(NFS):
        path = write_nfs(one.uri)
        return {"nfs": {"nfs_server_path": path, "local_path": _mounted_at(one), "read_only": not one.writable}}
    if one.uri.startswith(PFS):
        return {"pfs": {"pfs_path": f"/{one.uri.removeprefix(PFS)}", "local_path": _mounted_at(one)}}
    return {"obs": {"obs_path": write_obs(one.uri), "local_path": _mounted_at(one)}}


def _mounted_at(one: Input) -> str:
    return f"{MOUNTS}/{one.name}" if one.path is None else one.path


def write_mounts(trial: TrialSpec) -> dict[str, str]:
    """The variable that says where inputs are mounted whose paths do not tell it."""
    places = {
        one.name: _mounted_at(one)
        for one in trial.inputs
        if is_mounted(one) and (one.path is None or posixpath.basename(one.path) != one.name)
    }
    return {INPUTS_VARIABLE: json.dumps(places)} if places else {}


def read_mounts(env: Mapping[str, str], volumes: Sequence[Json]) -> dict[str, str]:
    """Path to name of what `write_mounts` wrote; empty if the variable is the user's own."""
    try:
        places = json.loads(env.get(INPUTS_VARIABLE, "{}"))
    except (ValueError, RecursionError):
        return {}
    paths = {path for one in volumes for _, _, path, _ in _mounted(one)}
    if not isinstance(places, dict) or not all(isinstance(path, str) and path in paths for path in places.values()):
        return {}
    return {path: name for name, path in places.items() if _NAME.fullmatch(name)}


def read_volumes(volumes: Sequence[Json], names: Mapping[str, str], taken: set[str]) -> Iterator[Json]:
    """The inputs that are mounted, by the names that are known, or else by where they are mounted."""
    for one in volumes:
        for uri, mode, path, writable in _mounted(one):
            name = _free(names.get(path) or _UNFIT.sub("_", posixpath.basename(path)) or "volume", taken)
            taken.add(name)
            own = path != f"{MOUNTS}/{name}"
            yield {"name": name, "uri": uri, "mode": mode, "path": path if own else None, "writable": writable}


def _free(name: str, taken: set[str]) -> str:
    tries = chain([name[:64]], (f"{name[:58]}_{number}" for number in count(2)))
    return next(one for one in tries if one not in taken)


def is_volume(volume: Json) -> bool:
    """Whether our words can say a volume."""
    return any(_mounted(volume))


def _mounted(volume: Json) -> Iterator[tuple[str, str | None, str, bool]]:
    """Place, mode, path and right to write of a volume that can be an input."""
    nfs, pfs, obs = (volume.get(kind, {}) for kind in ("nfs", "pfs", "obs"))
    if (uri := read_nfs(nfs.get("nfs_server_path", ""))) and (path := nfs.get("local_path")):
        yield uri, None, path, nfs.get("read_only") is False
    elif (place := pfs.get("pfs_path", "")).startswith("/") and (path := pfs.get("local_path")):
        yield f"{PFS}{place[1:]}", None, path, False
    elif (uri := read_obs(obs.get("obs_path", ""))).startswith(OBS) and (path := obs.get("local_path")):
        yield uri, "mount", path, False


# ---- the output -----------------------------------------------------------------------------------------------------


def write_outputs(trial: TrialSpec) -> list[Json]:
    """The output, by the conventional name unless it has one."""
    if trial.output is None:
        return []
    place = {"obs": {"obs_url": write_obs(trial.output.uri)}}
    return [{"name": trial.output.name or OUTPUT, "remote": place, **_write_about(trial.output)}]


def read_outputs(outputs: Sequence[Json]) -> Json | None:
    """The output that is called so by convention, or else the first."""
    chosen = _chosen(outputs)
    url = chosen.get("remote", {}).get("obs", {}).get("obs_url")
    return {"uri": read_obs(url), **_read_output(chosen)} if url else None


def write_declared_outputs(trial: TrialSpec) -> list[Json]:
    """The output of a stored algorithm: jobs made of it say where it goes."""
    if trial.output is None:
        return []
    return [{"name": trial.output.name or OUTPUT, **_write_about(trial.output)}]


def read_declared_outputs(outputs: Sequence[Json]) -> Json | None:
    """An output whose place is only known to the jobs that are made of the algorithm."""
    chosen = _chosen(outputs)
    return {"uri": f"${{{chosen['name']}}}", **_read_output(chosen)} if chosen.get("name") else None


def _read_output(chosen: Json) -> Json:
    name = chosen.get("name", "")
    return {"name": name if name != OUTPUT and _NAME.fullmatch(name) else None, **_read_about(chosen)}


def is_output(channel: Json) -> bool:
    """Whether an output is the one by convention."""
    return bool(channel.get("name") == OUTPUT)


def _chosen(outputs: Sequence[Json]) -> Json:
    return next(filter(is_output, outputs), outputs[0] if outputs else {})
