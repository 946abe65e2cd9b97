"""The trial: a CustomJobSpec, whose first worker pool is what runs; each part as a pair of writing and reading."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tuneport.backends.vertex.study import duration, given, seconds, whole
from tuneport.catalog.machines import find, find_gpu
from tuneport.catalog.machines import gpus as catalogued_gpus
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import Input, Resources, TrialSpec
from tuneport.translation.lowering import HINTS_VARIABLE, Hint, hints_text, read_hints

Json: TypeAlias = dict[str, Any]

INPUTS_VARIABLE = "TUNEPORT_INPUTS"
"""Tells a trial where its inputs are (docs/trial-protocol.md): there is no other word for data in buckets."""
GIB = 2**30
LEAST_DISK = 100
"""GiB of the smallest boot disk; more than was asked for serves as well."""


@dataclass(frozen=True, slots=True)
class Extra:
    """What travels with a trial because the service has no word for it.

    Attributes:
        flags: arguments behind the user's own.
        hints: what restores the meaning of parameters.
    """

    flags: tuple[str, ...] = ()
    hints: Mapping[str, Hint] = field(default_factory=dict)


# ---- program, arguments, environment --------------------------------------------------------------------------------

_PYTHON = ["python3", "-m"]
_MODULE_COMMAND = ["env", *_PYTHON]
"""How a module of an image is started. People write the shorter command, so that the two are told apart."""
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _write_program(spec: TrialSpec, extra: Extra) -> Json:
    """The container or the Python package; what has no image yet, or comes from elsewhere, is said all the same."""
    common = given(args=[*spec.args, *extra.flags] or None, env=_write_env(spec, extra) or None)
    command = list(spec.command) if spec.command is not None else None
    module = spec.module or (command[-1] if command is not None and command[:-1] == _PYTHON else None)
    if spec.package is not None and module is not None:
        package = {"packageUris": [spec.package], "pythonModule": module}
        return {"pythonPackageSpec": given(executorImageUri=spec.image) | package | common}
    if spec.module is not None:
        command = [*_MODULE_COMMAND, spec.module]
    elif spec.function is not None:
        command = [*_PYTHON, "tuneport_trial", spec.function]
    return {"containerSpec": given(imageUri=spec.image or spec.algorithm, command=command) | common}


def _read_program(pool: Json) -> Json:
    container, package = pool.get("containerSpec"), pool.get("pythonPackageSpec")
    if container is not None:
        runs = _read_command(container.get("command", []))
        return given(image=container.get("imageUri") or None) | runs
    if package is None:
        return {}
    module, uris = package["pythonModule"], package["packageUris"]
    runs = {"module": module} if _MODULE.fullmatch(module) else {"command": [*_PYTHON, module]}
    return given(image=package.get("executorImageUri") or None, package=(uris[0] or None) if uris else None) | runs


def _read_command(command: list[str]) -> Json:
    if command[:-1] == _MODULE_COMMAND and _MODULE.fullmatch(command[-1]):
        return {"module": command[-1]}
    return {"command": command} if command and command[0] else {}


def task(pool: Json) -> Json:
    """The container or Python package of a pool; empty if it has none."""
    found: Json = pool.get("containerSpec") or pool.get("pythonPackageSpec") or {}
    return found


def _write_env(spec: TrialSpec, extra: Extra) -> list[Json]:
    """The user's own variables, and ours behind them, unless they have the same name."""
    told = _told(spec.inputs)
    variables = dict(spec.env)
    if told:
        variables.setdefault(INPUTS_VARIABLE, json.dumps(told))
    if extra.hints:
        variables.setdefault(HINTS_VARIABLE, hints_text(extra.hints))
    return [{"name": name, "value": value} for name, value in variables.items()]


def _read_env(pool: Json) -> dict[str, str]:
    variables = ((one["name"], one["value"]) for one in task(pool).get("env", ()))
    return {name: value for name, value in variables if VARIABLE.fullmatch(name)}


# ---- inputs ---------------------------------------------------------------------------------------------------------

_NFS, _LUSTRE = "/mnt/nfs/", "/mnt/lustre/"
_NFS_URI = re.compile(r"nfs://([^/]+)(/.*)", re.DOTALL)
_LUSTRE_URI = re.compile(r"lustre://([^/]+)/([^/?]+)\?volume=(.+)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def _mounted(inputs: Sequence[Input]) -> list[tuple[str, Input, Json]]:
    """Inputs that are file systems, each with the root of its kind and its mount; one per place."""
    found: dict[str, tuple[str, Input, Json]] = {}
    for one in inputs:
        if match := _NFS_URI.fullmatch(one.uri):
            root, mount = _NFS, {"server": match[1], "path": match[2]}
        elif match := _LUSTRE_URI.fullmatch(one.uri):
            root, mount = _LUSTRE, {"instanceIp": match[1], "filesystem": match[2], "volumeHandle": match[3]}
        else:
            continue
        point = (one.path or "").removeprefix(root).strip("/") or one.name
        found.setdefault(root + point, (root, one, mount | {"mountPoint": point}))
    return sorted(found.values(), key=lambda item: item[0], reverse=True)  # NFS first, as they are read


def _write_mounts(inputs: Sequence[Input]) -> Json:
    mounted = _mounted(inputs)
    return given(
        nfsMounts=[mount for root, _, mount in mounted if root == _NFS] or None,
        lustreMounts=[mount for root, _, mount in mounted if root == _LUSTRE] or None,
    )


def _told(inputs: Sequence[Input]) -> dict[str, str]:
    """Inputs that a trial must be told of: mounts that are not called as they would be read, and all other data."""
    mounted = _mounted(inputs)
    places = [root + mount["mountPoint"] for root, _, mount in mounted]
    renamed = {
        one.name: place
        for (_, one, _), place, name in zip(mounted, places, _names(places), strict=True)
        if one.name != name
    }
    file_systems = (_NFS_URI, _LUSTRE_URI)
    elsewhere = {one.name: one.uri for one in inputs if not any(uri.fullmatch(one.uri) for uri in file_systems)}
    return renamed | elsewhere


def _names(places: Sequence[str]) -> list[str]:
    """A name for each mount, made of the last parts of its place; all different."""
    names: list[str] = []
    for place in places:
        name = plain = _NO_NAME.sub("-", place.split("/", 3)[3])[:60] or "data"
        while name in names:
            name = f"{plain}-{len(names)}"
        names.append(name)
    return names


def _mounts(pool: Json) -> Iterator[tuple[str, str]]:
    """The URI and the place of each mount that has both."""
    for mount in pool.get("nfsMounts", ()):
        uri = f"nfs://{mount['server']}{mount['path']}"
        match = _NFS_URI.fullmatch(uri)
        if match and match.groups() == (mount["server"], mount["path"]) and _is_point(mount):
            yield uri, _NFS + mount["mountPoint"]
    for mount in pool.get("lustreMounts", ()):
        parts = (mount["instanceIp"], mount["filesystem"], mount["volumeHandle"])
        uri = f"lustre://{parts[0]}/{parts[1]}?volume={parts[2]}"
        match = _LUSTRE_URI.fullmatch(uri)
        if match and match.groups() == parts and _is_point(mount):
            yield uri, _LUSTRE + mount["mountPoint"]


def _is_point(mount: Json) -> bool:
    point: str = mount["mountPoint"]
    return point != "" and point == point.strip("/")


def _read_inputs(pool: Json, env: dict[str, str]) -> list[Json]:
    """Mounts, and what the environment tells of others, which is taken out of it."""
    mounts = {place: uri for uri, place in _mounts(pool)}
    told = _read_told(env.get(INPUTS_VARIABLE, ""))
    if told:
        del env[INPUTS_VARIABLE]
    names = dict(zip(mounts, _names(list(mounts)), strict=True))
    names |= {place: name for name, place in told.items() if place in mounts}
    found = [
        {"name": name, "uri": mounts[place], **given(path=None if place.split("/", 3)[3] == name else place)}
        for place, name in names.items()
    ]
    return found + [{"name": name, "uri": uri} for name, uri in told.items() if uri not in mounts]


def _read_told(text: str) -> dict[str, str]:
    """Input name to place; empty if the text says something else."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    fits = isinstance(told, dict) and all(_NAME.fullmatch(name) and _is_place(told[name]) for name in told)
    return told if fits else {}


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


# ---- machines -------------------------------------------------------------------------------------------------------

_GPUS = {gpu.vertex: gpu.id for gpu in catalogued_gpus() if gpu.vertex is not None}


def accelerator(gpu_type: str) -> str:
    """The AcceleratorType of a kind of GPU; the text itself if there is none."""
    gpu = find_gpu(gpu_type)
    return gpu.vertex if gpu is not None and gpu.vertex is not None else gpu_type


_ATTACHED = "t4"
"""What is attached to machines without GPUs of their own if a job does not mind the kind; the service must be told."""


def _kind(resources: Resources, gpus: int | None) -> str | None:
    """The kind of GPU that a job names or, if it only wants some, the machine's own or one that can be attached."""
    if resources.gpu_type is not None or not gpus:
        return resources.gpu_type
    machine = find("vertex", resources.machine or "")
    return machine.gpu if machine is not None and machine.gpu is not None else _ATTACHED


def _write_machine(resources: Resources) -> Json:
    gpus = math.ceil(resources.gpus) or None
    kind = _kind(resources, gpus)
    kind = None if kind is None else accelerator(kind)
    machine = given(machineType=resources.machine, acceleratorType=kind, acceleratorCount=gpus)
    size = None if resources.disk is None else max(LEAST_DISK, math.ceil(resources.disk / GIB))
    return given(machineSpec=machine or None, diskSpec={"bootDiskSizeGb": size} if size is not None else None)


def _read_machine(pool: Json) -> Json:
    machine, disk = pool.get("machineSpec", {}), whole(pool.get("diskSpec", {}).get("bootDiskSizeGb"))
    gpus, kind = whole(machine.get("acceleratorCount")), machine.get("acceleratorType")
    return given(
        machine=machine.get("machineType"),
        gpus=gpus,
        gpu_type=_GPUS.get(kind, kind),
        disk=disk * GIB if disk is not None and disk > 0 else None,
    )


# ---- the whole ------------------------------------------------------------------------------------------------------


def write_trial(job: TuningJob, extra: Extra) -> Json:
    """The CustomJobSpec that all trials share."""
    spec = job.trial
    pool = _write_machine(spec.resources) | {"replicaCount": "1"} | _write_mounts(spec.inputs)
    pool |= _write_program(spec, extra)
    pools = [pool]
    if spec.resources.replicas > 1:
        pools.append(copy.deepcopy(pool) | {"replicaCount": str(spec.resources.replicas - 1)})
    return {
        "workerPoolSpecs": pools,
        **given(
            scheduling=_write_scheduling(spec) or None,
            serviceAccount=spec.identity,
            network=spec.network.name,
            baseOutputDirectory=None if spec.output is None else {"outputUriPrefix": spec.output.uri},
            tensorboard=job.experiment.tensorboard,
            experiment=job.experiment.name,
            experimentRun=job.experiment.run,
            persistentResourceId=spec.resources.pool,
        ),
    }


def _write_scheduling(spec: TrialSpec) -> Json:
    return given(
        timeout=None if spec.timeout is None else duration(spec.timeout),
        strategy="SPOT" if spec.spot else None,
        maxWaitDuration=None if spec.max_wait is None else duration(spec.max_wait),
    )


def read_trial(native: Json) -> tuple[Json, Json]:
    """Our words for the trial and for its experiment; hints are still among variables, flags among arguments."""
    first, *others = native["workerPoolSpecs"]
    env = _read_env(first)
    inputs = _read_inputs(first, env)
    scheduling = native.get("scheduling", {})
    output = native.get("baseOutputDirectory", {}).get("outputUriPrefix")
    resources = _read_machine(first) | {"replicas": 1 + _like_the_first(first, others)}
    trial = {
        **_read_program(first),
        "args": task(first).get("args", []),
        "env": env,
        "inputs": inputs,
        "resources": resources | given(pool=native.get("persistentResourceId")),
        "spot": scheduling.get("strategy") == "SPOT",
        "network": given(name=native.get("network")),
        **given(
            output={"uri": output} if output else None,
            timeout=seconds(scheduling.get("timeout")),
            max_wait=seconds(scheduling.get("maxWaitDuration")),
            identity=native.get("serviceAccount"),
        ),
    }
    tracking = {"name": "experiment", "run": "experimentRun", "tensorboard": "tensorboard"}
    return trial, {word: native[member] for word, member in tracking.items() if member in native}


def _like_the_first(first: Json, others: Sequence[Json]) -> int:
    """Replicas of a second pool that differs from the first in nothing else."""
    if not others or {**first, "replicaCount": ""} != {**others[0], "replicaCount": ""}:
        return 0
    return max(0, whole(others[0].get("replicaCount")) or 0)


# ---- what travels besides -------------------------------------------------------------------------------------------


_FLAG = re.compile(r"--([^\s=\x00-\x1f\x7f]{1,256})=(.*)", re.DOTALL)


def take_hints(trial: Json, searched: set[str]) -> tuple[Json, dict[str, Hint]]:
    """The trial without the hints among its variables and the fixed parameters among its arguments, and the hints.

    They are left where they are if the arguments are not those that they were written with.
    """
    env, args = dict(trial["env"]), trial["args"]
    hints = read_hints(env.pop(HINTS_VARIABLE, ""))
    if hints is None:
        return trial, {}
    fixed = {name: hint.get("choices") for name, hint in hints.items() if name not in searched}
    at = max(0, len(args) - len(fixed))
    parameters: Json = {}
    for flag in map(_FLAG.fullmatch, args[at:]):
        choices = fixed.get(flag[1]) if flag is not None else None
        if flag is not None and isinstance(choices, dict) and flag[2] in choices:
            parameters[flag[1]] = choices[flag[2]]
    if len(parameters) != len(fixed):
        return trial, {}
    found = trial | {"env": env, "args": args[:at], "parameters": parameters}
    return found, {name: hint for name, hint in hints.items() if name in searched}


def take_flags(trial: Json) -> tuple[Json, dict[str, str]]:
    """The trial without the ``--name=value`` at the end of its arguments, and these."""
    args = list(trial["args"])
    found: dict[str, str] = {}
    while args and (match := _FLAG.fullmatch(args[-1])) and match[1] not in found:
        found[match[1]] = match[2]
        args.pop()
    return trial | {"args": args}, dict(reversed(found.items()))
