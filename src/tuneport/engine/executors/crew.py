"""The processes of a trial that one node has, as an executor there starts them."""

from __future__ import annotations

import contextlib
import json
import posixpath
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace

from tuneport.engine.executors import replicas
from tuneport.engine.launch import ALONE, Launch, Peer, Replica, TrialContext, own_folder

PLAN = "replicas.json"
LOG = "output.log"


def crew(trial: TrialContext) -> list[TrialContext]:
    """Those of a trial's processes that are on its node; if nobody has said where they are, all of them are here."""
    count = trial.job.trial.resources.replicas
    replica = trial.replica
    if count > len(replica.peers):
        host = ALONE.place.host
        replica = Replica(0, tuple(Peer(0, host, port) for port in free_ports(count)))
    return [replace(trial, replica=replace(replica, rank=rank)) for rank in replica.here]


def crew_size(trial: TrialContext) -> int:
    """How many there are."""
    placed = len(trial.replica.peers) > 1
    return len(trial.replica.here) if placed else trial.job.trial.resources.replicas


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def together(members: Sequence[TrialContext], launches: Sequence[Launch]) -> Launch:
    """What starts all of them: the program itself if there is one."""
    first, *others = launches
    if not others:
        return first
    logs = [None, *(posixpath.join(own_folder(one), LOG) for one in members[1:])]
    plan = [
        {"argv": one.argv, "cwd": one.cwd, "env": dict(one.env), "log": log}
        for one, log in zip(launches, logs, strict=True)
    ]
    place = posixpath.join(own_folder(members[0]), PLAN)
    argv = (sys.executable, "-E", "-s", "-S", replicas.__file__, place)
    return replace(first, argv=argv, files={**first.files, PLAN: json.dumps(plan)})
