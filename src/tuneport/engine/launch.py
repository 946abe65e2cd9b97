"""What to start for one trial, and where its metrics will be found. Pure data, filled in by a backend's launch.py.

Below the data are the pieces that every contract is made of; what only one host does is in that host's launch.py.
"""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from urllib.parse import unquote

from tuneport.errors import JobError, Problem
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import TrialSpec
from tuneport.model.word import Scalar


@dataclass(frozen=True, slots=True)
class Peer:
    """Where one process of a trial is: on which of the trial's nodes, at which address, with a port of its own."""

    node: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Replica:
    """Which of a trial's processes one is, and where the others are.

    Attributes:
        rank: which one, counting from 0.
        peers: all of them, in the order of their ranks; those of one node are neighbours.
    """

    rank: int
    peers: tuple[Peer, ...]

    @property
    def here(self) -> range:
        """Ranks of the processes of the same node."""
        nodes = [peer.node for peer in self.peers]
        first = nodes.index(nodes[self.rank])
        return range(first, first + nodes.count(nodes[self.rank]))

    @property
    def place(self) -> Peer:
        """Where it is."""
        return self.peers[self.rank]


ALONE = Replica(0, (Peer(0, "127.0.0.1", 2222),))
"""The process of a trial that has one."""


@dataclass(frozen=True, slots=True)
class TrialContext:
    """All that a launch contract may know about the trial that it describes.

    Attributes:
        job: the job that it belongs to, as the trial's parameters vary it.
        run: the run's id, unique in its workspace.
        trial: the trial's id, counting from 1.
        attempt: 1, or more after retries.
        parameters: searched values, typed; active parameters only.
        folder: absolute path of the trial's own folder, which exists and is empty at first.
        base: absolute path of the directory that relative paths of the job mean.
        python: interpreter that runs `python`, modules and functions.
        gpus: indices of the leased GPUs, as the trial will see them through CUDA_VISIBLE_DEVICES.
        cpus: processor cores it may use.
        cores: those that it is bound to; empty: any.
        replica: which of its processes is described.
    """

    job: TuningJob
    run: str
    trial: int
    attempt: int
    parameters: Mapping[str, Scalar]
    folder: str
    base: str
    python: str
    gpus: tuple[str, ...] = ()
    cpus: int = 1
    cores: tuple[int, ...] = ()
    replica: Replica = ALONE


@dataclass(frozen=True, slots=True)
class Reported:
    """One report as a trial wrote it. `time` is POSIX seconds; `metrics` may hold NaN and infinities."""

    metrics: Mapping[str, float]
    step: int | None = None
    time: float | None = None


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file into which the trial writes its metrics, a line per report.

    Attributes:
        path: relative to the trial's folder.
        parse: one line to a report; None for a line that is none. Total: never raises.
        rewritten: the file is rewritten as a whole with the latest lines (cloudml-hypertune), not appended to.
    """

    path: str
    parse: Callable[[str], Reported | None]
    rewritten: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """One process to start.

    Attributes:
        argv: program and arguments; never a shell line.
        env: variables added to those that the engine passes on.
        cwd: absolute path of its working directory.
        files: path relative to the trial's folder to text; written before the start.
        folders: paths, absolute or relative to the trial's folder; made before the start.
        reports: where it writes metrics, if it does.
        patterns: metric to a regular expression over its output (both streams); empty: output is not searched.
    """

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    reports: ReportFile | None = None
    patterns: Mapping[str, str] = field(default_factory=dict)


LaunchContract: TypeAlias = Callable[[TrialContext], Launch]
"""Describes a trial's process as one host would start it. Pure."""


PYTHON = frozenset({"python", "python3"})
"""Programs that mean the interpreter of the settings."""

ARCHIVES = (".whl", ".zip", ".egg", ".tar", ".tar.gz", ".tgz")
"""How packages end that are no directories."""

CHECKPOINTS = "checkpoints"
"""A trial's directory for checkpoints, in its folder: what tuneport_trial.checkpoint_dir() says on this machine."""

PRINTED = r"tuneport:.* {metric}=(\S+)"
"""Finds a metric in the lines that tuneport_trial prints where its host reads output; the same text as there."""


def token(trial: TrialContext) -> str:
    """What marks one attempt of a trial wherever it runs: the same whenever it is asked for, and no other's."""
    return f"{trial.run}-{trial.trial}-{trial.attempt}"


def program(trial: TrialContext) -> list[str]:
    """The program and the user's own arguments, before those of the parameters.

    Raises:
        JobError: there is nothing but an image, and images are not run here.
    """
    spec = trial.job.trial
    if spec.function is not None:
        words = [trial.python, "-m", "tuneport_trial", spec.function]
    elif spec.module is not None:
        words = [trial.python, "-m", spec.module]
    elif spec.command is not None:
        words = list(spec.command)
        if words[0] in PYTHON:
            words[0] = trial.python
    else:
        problem = Problem("/trial/command", "required to run here, where images are not: say what the image runs")
        raise JobError.of("the job", [problem])
    return [*words, *spec.args]


def directory(trial: TrialContext) -> str:
    """Where the program starts: a command in its package, if that is a directory here; all else where the job is."""
    spec = trial.job.trial
    package = package_directory(spec, trial.base) if spec.command is not None else None
    return package or trial.base


def package_directory(spec: TrialSpec, base: str) -> str | None:
    """The package of a trial, if it is a directory of this machine; None if it is an archive, elsewhere or nothing."""
    if spec.package is None or spec.package.endswith(ARCHIVES):
        return None
    return local_path(spec.package, base)


def values(trial: TrialContext) -> dict[str, Scalar]:
    """Fixed parameters, then searched ones, in the order written."""
    return {**trial.job.trial.parameters, **trial.parameters}


def flags(trial: TrialContext, text: Callable[[Scalar], str]) -> list[str]:
    """The parameters as ``--name=value``."""
    return [f"--{name}={text(value)}" for name, value in values(trial).items()]


def plain_text(value: Scalar) -> str:
    """A value as it was written: shortest floats, true and false, text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def environment(trial: TrialContext) -> dict[str, str]:
    """Variables of every contract: the job's own, what they leave open, the other processes, and the GPUs."""
    lease = {"CUDA_VISIBLE_DEVICES": ",".join(trial.gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if trial.gpus else {}
    return common_environment(trial) | _rendezvous(trial.replica) | lease


def _rendezvous(replica: Replica) -> dict[str, str]:
    """What torchrun tells each of several processes; nothing for one that is alone."""
    if len(replica.peers) == 1:
        return {}
    first, here = replica.peers[0], replica.here
    numbers = {
        "MASTER_PORT": first.port,
        "RANK": replica.rank,
        "ROLE_RANK": replica.rank,
        "LOCAL_RANK": replica.rank - here.start,
        "GROUP_RANK": replica.place.node,
        "NODE_RANK": replica.place.node,
        "WORLD_SIZE": len(replica.peers),
        "ROLE_WORLD_SIZE": len(replica.peers),
        "LOCAL_WORLD_SIZE": len(here),
        "GROUP_WORLD_SIZE": len({peer.node for peer in replica.peers}),
    }
    return {"MASTER_ADDR": first.host} | {name: str(number) for name, number in numbers.items()}


def own_folder(trial: TrialContext) -> str:
    """Where one of a trial's processes has its files: the first in the trial's folder, the others below it."""
    rank = trial.replica.rank
    return posixpath.join(trial.folder, f"replica-{rank}") if rank else trial.folder


def as_machine(trial: TrialContext) -> TrialContext:
    """A replica as clouds have it: on a machine, with a disk and GPUs, that is its alone."""
    replica, here = trial.replica, trial.replica.here
    begin = (replica.rank - here.start) * len(trial.gpus) // len(here)
    end = (replica.rank - here.start + 1) * len(trial.gpus) // len(here)
    apart = tuple(replace(peer, node=rank) for rank, peer in enumerate(replica.peers))
    return replace(
        trial,
        folder=own_folder(trial),
        gpus=trial.gpus[begin : max(end, begin + 1)],  # one that is shared is each one's
        replica=replace(replica, peers=apart),
    )


def common_environment(trial: TrialContext) -> dict[str, str]:
    """The part of the environment that is the same in all trials of a kind: the job's own, and what it leaves open."""
    spec = trial.job.trial
    variables = {"PYTHONUNBUFFERED": "1"}  # metrics in the output count while the trial runs, not at its end
    if spec.resources.cpus is not None:
        variables["OMP_NUM_THREADS"] = str(max(1, trial.cpus))
    variables |= spec.env
    package = local_path(spec.package, trial.base) if spec.package is not None else None
    if package is not None:
        variables["PYTHONPATH"] = ":".join(filter(None, (package, spec.env.get("PYTHONPATH"))))
    return variables


def spoken(trial: TrialContext) -> dict[str, str]:
    """Variables that tell tuneport_trial what a host with nothing but text flags cannot say."""
    kinds = {str: "text", bool: "bool", int: "int", float: "float"}
    space = {name: kinds[type(value)] for name, value in values(trial).items()}
    return {"TUNEPORT_SPACE": json.dumps(space), "TUNEPORT_OBJECTIVE": trial.job.study.objective.metric}


def inputs(trial: TrialContext) -> dict[str, str]:
    """Where each input is: a path of this machine, or the URI of what is elsewhere."""
    return {one.name: local_path(one.uri, trial.base) or one.uri for one in trial.job.trial.inputs}


def results(trial: TrialContext) -> str | None:
    """The trial's own directory below the job's output; None if there is no output, or if it is not on this machine."""
    output = trial.job.trial.output
    path = local_path(output.uri, trial.base) if output is not None else None
    return posixpath.join(path, trial.run, str(trial.trial)) if path is not None else None


def printed(trial: TrialContext) -> dict[str, str]:
    """How a host that searches output finds metrics: as the job says, or else as tuneport_trial prints them."""
    job = trial.job
    return dict(job.trial.metrics) or {name: PRINTED.format(metric=re.escape(name)) for name in job.study.metrics}


def local_path(uri: str, base: str) -> str | None:
    """The path of this machine that `uri` means; None if it means another place."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return posixpath.join(base, uri)
    return posixpath.join(base, unquote(rest.removeprefix("localhost"))) if scheme.lower() == "file" else None


_NUMBER = re.compile(r"[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[-+]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE | re.ASCII)
_METRIC_NAME = re.compile(r"[^\s=\ud800-\udfff]+")
_TOO_MANY_STEPS = 2**63


def json_object(line: str) -> dict[str, Any] | None:
    """The JSON object that a line of a report file is, or None. Total: lines may be cut off, or written by others."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def number(value: Any) -> float | None:
    """A number, or text that spells one ("0.9", "nan", "-inf"); None for all else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def whole(value: Any) -> int | None:
    """A whole number from 0 and below 2**63, such as a step, or text that spells one; None for all else."""
    read = number(value)
    if read is None or not read.is_integer():
        return None
    exact = value if isinstance(value, int) else int(read)
    return exact if 0 <= exact < _TOO_MANY_STEPS else None


def measured(entries: Mapping[str, Any]) -> dict[str, float]:
    """The entries that are metrics: numbers, by names that `tuneport_trial.report` would take."""
    named = {name: number(value) for name, value in entries.items() if _METRIC_NAME.fullmatch(name)}
    return {name: value for name, value in named.items() if value is not None}


def moment(value: Any) -> float | None:
    """A finite number, such as a time; None for all else."""
    read = number(value)
    return read if read is not None and math.isfinite(read) else None
