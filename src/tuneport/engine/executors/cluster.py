"""A Ray cluster as a place for trials: whether it answers, has our versions, and has room for what a trial needs."""

from __future__ import annotations

import logging
import os
import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tuneport.errors import BackendError, MissingExtraError, Problem
from tuneport.model.trial_spec import Resources, size_text

NAME = "ray"
NAMESPACE = "tuneport"
"""In which slots have their names."""
OWN = "local"
"""The address of a cluster on this machine that is started for whoever connects, and ends with that."""
REACH = 5.0
"""Seconds in which a cluster's address must answer."""
SETTINGS = 4
"""The kind of the first frame that both sides of HTTP/2 send, which Ray speaks."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
ADDRESSES = "ray://HOST:10001 or HOST:6379, where HOST is the head"
ANSWER = 60.0
"""Seconds in which every node must say what is installed on it."""
RAY_WORDS = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
"""What is asked for, to what nodes call it."""


def connect(address: str | None) -> tuple[Any, Callable[[], object]]:
    """Ray, connected to the cluster, and what lets go of that; a connection that is there already stays.

    Raises:
        MissingExtraError: it is not installed.
        BackendError: the cluster does not answer, or has other versions.
    """
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("Ray is not installed", hint="pip install 'tuneport[ray]'") from error
    if ray.is_initialized():
        return ray, lambda: None
    where = address or os.environ.get("RAY_ADDRESS") or OWN  # Ray itself would look for one that anybody has started
    _check_reach(where)
    try:
        ray.init(
            address=where,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.WARNING,
            include_dashboard=False if where == OWN else None,
        )
    except (RuntimeError, ConnectionError, ValueError) as error:
        said = str(error).strip().splitlines()[0][:300]
        versions = "use the same versions of Python and Ray here and there"
        hint = versions if "ersion" in said else f"give an address of the cluster: {ADDRESSES}"
        raise BackendError(f"the Ray cluster at {where} cannot be used: {said}", backend=NAME, hint=hint) from error
    return ray, ray.shutdown


def _check_reach(address: str) -> None:
    """An address that does not answer is said at once; Ray itself would try for minutes."""
    host, colon, port = address.rpartition("//")[2].partition(":")
    if not colon or not port.isdigit():
        return
    try:
        with socket.create_connection((host, int(port)), REACH) as connection:
            strange = not _is_ray(connection)
    except OSError as error:
        message = f"nothing answers at {address}: {error}"
        hint = f"start the cluster (ray start --head), or give its address: {ADDRESSES}"
        raise BackendError(message, backend=NAME, hint=hint) from error
    if strange:
        message = f"what answers at {address} is not Ray"
        raise BackendError(message, backend=NAME, hint=f"give an address of the cluster: {ADDRESSES}")


def _is_ray(connection: socket.socket) -> bool:
    """Whether what is at the other end greets as Ray does. Where Ray is encrypted, only it itself can tell."""
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return True
    connection.sendall(GREETING)
    answer = connection.recv(9)
    return len(answer) > 3 and answer[3] == SETTINGS


def cluster_problems(resources: Resources, address: str | None) -> list[Problem]:
    """Why no trial could ever run on a cluster; nodes that differ from this machine are an error of their own.

    Raises:
        BackendError: it does not answer, or its nodes have other versions.
        MissingExtraError: Ray is not installed.
    """
    ray, disconnect = connect(address)
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        _check_versions(ray, nodes)
        return _lacks(nodes, resources)
    finally:
        disconnect()  # whoever drives the run connects for itself


def _lacks(nodes: Sequence[Mapping[str, Any]], resources: Resources) -> list[Problem]:
    if places(nodes, resources):
        return []
    rooms = sum(_rooms(nodes, resources))
    if rooms:
        message = f"a trial has {resources.replicas} replicas, but the Ray cluster has room for {rooms} at once"
        return [Problem("/trial/resources/replicas", message, hint="ask for fewer, or add nodes")]
    problems = []
    for name, amount in needs(resources).items():
        most = max((node["Resources"].get(RAY_WORDS[name], 0) for node in nodes), default=0)
        if most < amount:
            shown, field = (size_text(amount), "memory") if name == "memory" else (f"{amount:g}", name[4:])
            had = size_text(int(most)) if name == "memory" else f"{most:g}"
            text = f"a trial needs {shown}, but no node of the Ray cluster has more than {had}"
            problems.append(Problem(f"/trial/resources/{field}", text, hint="lower it, or add a node that has as much"))
    return problems or [Problem("/trial/resources", "no node of the Ray cluster has all that a trial needs at once")]


def installed() -> dict[str, str | None]:
    """The versions that must agree, as they are where this is called; None for what is not installed."""
    found: dict[str, str | None] = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in ("ray", "tuneport"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _check_versions(ray: Any, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Nodes must have what is here: slots are made of tuneport, and what is sent to them of Ray and Python."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 - an extra

    ask = ray.remote(num_cpus=0)(installed)
    asked = [ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(one["NodeID"], False)) for one in nodes]
    try:
        answers = ray.get([one.remote() for one in asked], timeout=ANSWER)
    except ray.exceptions.GetTimeoutError as error:
        message = f"a node of the Ray cluster starts nothing within {ANSWER:g} s"
        raise BackendError(message, backend=NAME, hint="ray status says how its nodes are") from error
    except ray.exceptions.RayError as error:
        message = f"a node of the Ray cluster cannot run tuneport: {str(error).strip().splitlines()[-1][:300]}"
        raise BackendError(message, backend=NAME, hint=_same(installed())) from error
    ours = installed()
    wrong = sorted(
        f"{node['NodeManagerHostname']} has {name} {there[name] or 'not at all'}"
        for node, there in zip(nodes, answers, strict=True)
        for name in ours
        if there[name] != ours[name]
    )
    if wrong:
        needed = ", ".join(f"{name} {number}" for name, number in ours.items())
        message = f"nodes need what is here ({needed}), but {', '.join(wrong)}"
        raise BackendError(message, backend=NAME, hint=_same(ours))


def _same(ours: Mapping[str, str | None]) -> str:
    return (
        f"on every node, with Python {ours['python']}: "
        f"pip install 'tuneport[ray]=={ours['tuneport']}' 'ray=={ours['ray']}'"
    )


def needs(resources: Resources) -> dict[str, Any]:
    """What one replica needs, in Ray's words."""
    wanted: dict[str, Any] = {"num_cpus": resources.cpus or 1}
    if resources.gpus:
        wanted["num_gpus"] = resources.gpus
    if resources.memory:
        wanted["memory"] = resources.memory
    return wanted


def bundle(resources: Resources) -> dict[str, float]:
    """The same as nodes call it."""
    return {RAY_WORDS[name]: amount for name, amount in needs(resources).items()}


def places(nodes: Sequence[Mapping[str, Any]], resources: Resources) -> int:
    """How many trials the living nodes of a cluster have room for."""
    return sum(_rooms(nodes, resources)) // resources.replicas


def _rooms(nodes: Sequence[Mapping[str, Any]], resources: Resources) -> list[int]:
    """For how many replicas each living node has room."""
    return [
        min(int(node["Resources"].get(name, 0) / amount + 1e-9) for name, amount in bundle(resources).items())
        for node in nodes
        if node["Alive"]
    ]
