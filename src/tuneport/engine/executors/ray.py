"""Trials on a Ray cluster: each in a slot, an actor that holds the resources of one trial and runs one after another.

A slot starts its trials as this machine does, through a keeper on its node, so that what a trial finds is alike.
Slots are detached and have names: a runner that comes after a killed one finds its trials there, with all that they
have reported. A slot that is lost with its node is noticed at once, and its trial starts again elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tuneport.engine.devices import Lease
from tuneport.engine.executors.process import LOST, ProcessExecutor
from tuneport.engine.executors.protocols import Event, Exited
from tuneport.engine.launch import LaunchContract, TrialContext
from tuneport.errors import BackendError, MissingExtraError, Problem
from tuneport.model.trial_spec import Resources, size_text

NAME = "ray"
NAMESPACE = "tuneport"
"""In which slots have their names."""
POLL = 5.0
"""Seconds for which one question to a slot waits for news."""
PATIENCE = 5.0
"""Seconds after which a slot that has not answered is taken to wait for room on the cluster."""
SLICE = 0.1
"""Seconds after which a slot looks whether its trial is to be stopped."""
REACH = 5.0
"""Seconds in which a cluster's address must answer."""
ABANDONED = 600.0
"""Seconds without a question after which a slot that runs nothing ends: its runner was killed, and none came since."""


class RayExecutor:
    """Starts trials in slots of a Ray cluster, and leases the slots.

    Args:
        contract: describes a trial's process.
        run: whose trials these are.
        resources: what a trial needs.
        address: of the cluster; None: RAY_ADDRESS, or else a cluster on this machine, started for the run.
        working_dir: a directory that Ray brings to the nodes, in which trials start; None: they find the job's own.
        grace: seconds between SIGTERM and SIGKILL.
        note: is told, once each, what whoever started the run should know.

    Raises:
        BackendError: the cluster does not answer, or has other versions.
        MissingExtraError: Ray is not installed.
    """

    name = NAME

    def __init__(
        self,
        contract: LaunchContract,
        run: str,
        resources: Resources,
        *,
        address: str | None,
        working_dir: str | None = None,
        grace: float = 10.0,
        note: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._ray = connect(address)
        self._contract = contract
        self._grace = grace
        self._note = note
        self._resources = resources
        self._environment = {"working_dir": working_dir} if working_dir else {}
        self._run = run
        self._slots: dict[str, _Slot] = {}
        self._cleared = False
        self._next: _Slot | None = None

    # As a pool --------------------------------------------------------------------------------------------------

    def lease(self) -> Lease | None:
        """The right to a slot; None while the cluster has no room for another."""
        self._clear()
        if self._next is None:
            free = next((slot for slot in self._slots.values() if slot.context is None), None)
            if free is None and len(self._slots) < places(self._ray.nodes(), self._resources):
                free = self._slot(f"{self._run}/{uuid.uuid4().hex}")
            self._next = free
        return None if self._next is None else Lease()

    def retake(self, lease: Lease) -> None:
        """Slots know themselves what runs in them."""

    def release(self, lease: Lease) -> None:
        """Likewise, what has ended."""

    def learn(self, peak: int) -> None:
        """Likewise, what a trial needs."""

    def more_room(self, lease: Lease) -> bool:
        """Slots are as large as the job says."""
        del lease
        return False

    # As an executor ---------------------------------------------------------------------------------------------

    def handle(self) -> dict[str, Any]:
        """The slot that the next trial goes to; see Executor."""
        return {"slot": self._chosen().name}

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        """Start a trial in the slot of the last lease; see Executor."""
        slot, self._next = self._chosen(), None
        slot.begin(context, slot.actor.start.remote(context, timeout))

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        """Take over a trial whose slot is still there; see Executor."""
        del timeout  # its slot has it
        try:
            actor = self._ray.get_actor(handle["slot"], namespace=NAMESPACE)
            if not self._ray.get(actor.has.remote(_key(context))):
                return False
        except (ValueError, self._ray.exceptions.RayError):
            return False
        slot = self._slots[handle["slot"]] = _Slot(handle["slot"], actor)
        slot.begin(context, None)
        return True

    def stop(self, trial: int) -> None:
        """Ask a trial to end; see Executor."""
        for slot in self._slots.values():
            if slot.context is not None and slot.context.trial == trial:
                slot.actor.stop.remote()

    def wait(self, timeout: float | None) -> Sequence[Event]:
        """What happened in any slot; see Executor."""
        self._make_room()
        asked = {slot.ask(): slot for slot in self._slots.values() if slot.context is not None}
        if not asked:
            time.sleep(timeout or 0)
            return []
        ready, _ = self._ray.wait(list(asked), num_returns=1, timeout=timeout)
        if ready:  # those that are ready as well
            ready, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        return [event for answer in ready for event in self._heard(asked[answer], answer)]

    def close(self) -> None:
        """End the slots in which nothing runs; see Executor."""
        for slot in self._slots.values():
            if slot.context is None:
                self._ray.kill(slot.actor)
        self._ray.shutdown()

    def _clear(self) -> None:
        """End the slots of a killed runner in which nothing ran that we have taken over."""
        if self._cleared:
            return
        self._cleared = True
        for name in self._ray.util.list_named_actors():
            if name.startswith(f"{self._run}/") and name not in self._slots:
                with contextlib.suppress(ValueError):
                    self._ray.kill(self._ray.get_actor(name, namespace=NAMESPACE))

    def _make_room(self) -> None:
        """End a slot that is free for each that waits for a place, such as after a node was lost."""
        late = time.monotonic() - PATIENCE
        waiting = [slot for slot in self._slots.values() if slot.started is not None and slot.began < late]
        free = [slot for slot in self._slots.values() if slot.context is None and slot is not self._next]
        for slot in free[: len(waiting)]:
            self._ray.kill(slot.actor)
            del self._slots[slot.name]

    def _chosen(self) -> _Slot:
        if self._next is None and self.lease() is None:
            raise BackendError("the Ray cluster has no room for a trial", backend=NAME)
        assert self._next is not None  # noqa: S101 - tells the type checker what a lease means
        return self._next

    def _slot(self, name: str) -> _Slot:
        actor = self._ray.remote(SlotActor).options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            max_concurrency=4,
            runtime_env=self._environment,
            **needs(self._resources),
        )
        slot = self._slots[name] = _Slot(name, actor.remote(self._contract, self._grace))
        return slot

    def _heard(self, slot: _Slot, answer: Any) -> Iterator[Event]:
        context = slot.answered()
        try:
            if slot.started is not None:
                self._ray.get(slot.started)  # raises what went wrong
                slot.started = None
            news = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            del self._slots[slot.name]
            failure = LOST.changed(message=f"its place on the Ray cluster was lost: {str(error).splitlines()[0][:300]}")
            yield Exited(context.trial, failure, False, "", (), time.time(), lost=True)
            return
        slot.seen += len(news.events)
        for note in news.notes:
            self._note(note)
        if news.output:
            _append(Path(context.folder), news.output)
            slot.read += len(news.output)
        yield from news.events
        if any(isinstance(event, Exited) for event in news.events):
            slot.context = None


@dataclass(slots=True)
class _Slot:
    """A slot as its runner knows it."""

    name: str
    actor: Any
    context: TrialContext | None = None
    seen: int = 0
    """Events of its trial that we have had."""
    read: int = 0
    """Bytes of its trial's output that we have had, where our folders are not seen there."""
    pending: Any = None
    started: Any = None
    """The order to start its trial, until the slot has answered."""
    began: float = 0.0

    def begin(self, context: TrialContext, started: Any) -> None:
        """A trial begins in it, or is found there."""
        self.context, self.started = context, started
        self.seen = self.read = 0
        self.pending = None
        self.began = time.monotonic()

    def ask(self) -> Any:
        """The question that is under way, for news of its trial."""
        if self.pending is None and self.context is not None:
            self.pending = self.actor.news.remote(_key(self.context), self.seen, self.read, POLL)
        return self.pending

    def answered(self) -> TrialContext:
        """Its question has been answered."""
        self.pending = None
        assert self.context is not None  # noqa: S101 - only slots with a trial are asked
        return self.context


@dataclass(slots=True)
class News:
    """What happened in a slot: events, sentences for people and, where folders are not shared, output."""

    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    output: bytes = b""


class SlotActor:
    """Runs one trial after another on a node of the cluster; the part of a slot that Ray keeps there."""

    def __init__(self, contract: LaunchContract, grace: float) -> None:
        self._notes: list[str] = []
        self._executor = ProcessExecutor(contract, grace=grace, mortal=True, note=self._notes.append)
        self._lock = threading.Lock()
        self._key = ""
        self._trial = 0
        self._events: list[Event] = []
        self._log: Path | None = None
        self._stopping = False
        self._running = False
        self._asked = time.monotonic()
        threading.Thread(target=self._leave_if_abandoned, daemon=True).start()

    def start(self, context: TrialContext, timeout: float | None) -> None:
        """Start a trial; the one before has ended."""
        with self._lock:
            here = self._at_home(context)
            self._log = None if here.folder == context.folder else Path(here.folder) / "output.log"
            self._key, self._trial, self._events = _key(context), context.trial, []
            self._stopping, self._running = False, True
            self._executor.start(here, timeout=timeout)

    def has(self, key: str) -> bool:
        """Whether this is the trial that runs here, or ran here last."""
        return self._key == key

    def stop(self) -> None:
        """Stop the trial with the next look at it."""
        self._stopping = True

    def news(self, key: str, seen: int, read: int, patience: float) -> News:
        """What happened to a trial after so many events and bytes of output, as soon as there is something."""
        end = time.monotonic() + patience
        while self._key != key and time.monotonic() < end:
            time.sleep(0.005)  # its start is on the way, in another thread
        with self._lock:
            if self._key != key:
                return News()
            while self._running and len(self._events) <= seen and time.monotonic() < end:
                self._look()
            self._asked = time.monotonic()
            notes, self._notes[:] = list(self._notes), []
            return News(self._events[seen:], notes, self._output(read))

    def _look(self) -> None:
        if self._stopping:
            self._stopping = False
            self._executor.stop(self._trial)
        events = self._executor.wait(SLICE)
        self._events += events
        self._running = not any(isinstance(event, Exited) for event in events)

    def _output(self, read: int) -> bytes:
        """What the trial has written, for a runner that does not see our folders."""
        if self._log is None or not self._log.exists():
            return b""
        with self._log.open("rb") as file:
            file.seek(read)
            return file.read(1 << 20)

    def _at_home(self, context: TrialContext) -> TrialContext:
        """The trial as this node can run it: with the GPUs that Ray gives us, and folders that are here."""
        import ray  # noqa: PLC0415 - an extra

        gpus = tuple(str(one) for one in ray.get_gpu_ids())
        python = context.python if Path(context.python).exists() else sys.executable
        base = context.base if Path(context.base).is_dir() and "working_dir" not in _environment(ray) else os.getcwd()  # noqa: PTH109
        folder = Path(context.folder)
        if not folder.parent.parent.is_dir():
            folder = Path(tempfile.gettempdir()) / "tuneport" / context.run / str(context.trial)
            self._notes.append(
                f"nodes of the Ray cluster do not see {context.folder}: files of trials other than their output "
                "stay on their nodes, below the directory for temporary files"
            )
        return replace(context, gpus=gpus, python=python, base=base, folder=str(folder))

    def _leave_if_abandoned(self) -> None:
        while self._running or time.monotonic() - self._asked < ABANDONED:
            time.sleep(10)
        os._exit(0)


def _environment(ray: Any) -> dict[str, Any]:
    environment: dict[str, Any] = ray.get_runtime_context().runtime_env
    return environment


def _key(context: TrialContext) -> str:
    return f"{context.run}/{context.trial}.{context.attempt}"


def _append(folder: Path, output: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "output.log").open("ab") as file:
        file.write(output)


def connect(address: str | None) -> Any:
    """Ray, connected to the cluster.

    Raises:
        MissingExtraError: it is not installed.
        BackendError: the cluster does not answer, or has other versions.
    """
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("Ray is not installed", hint="pip install 'tuneport[ray]'") from error
    if ray.is_initialized():
        return ray
    where = address or os.environ.get("RAY_ADDRESS")
    _check_reach(where)
    try:
        ray.init(
            address=where,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.WARNING,
            include_dashboard=None if where else False,
        )
    except (RuntimeError, ConnectionError, ValueError) as error:
        said = str(error).strip().splitlines()[0][:300]
        hint = (
            "use the same versions of Python and Ray here and there"
            if "ersion" in said
            else "is it the head's address?"
        )
        raise BackendError(f"the Ray cluster at {where} cannot be used: {said}", backend=NAME, hint=hint) from error
    return ray


def _check_reach(address: str | None) -> None:
    """An address that does not answer is said at once; Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition("//")[2].partition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), REACH).close()
    except OSError as error:
        message = f"nothing answers at {address}: {error}"
        hint = "start the cluster (ray start --head), or give the right address: ray://HOST:10001 or HOST:6379"
        raise BackendError(message, backend=NAME, hint=hint) from error


def cluster_problems(resources: Resources, address: str | None) -> list[Problem]:
    """Why no trial could ever run on a cluster; nodes that differ from this machine are an error of their own.

    Raises:
        BackendError: it does not answer, or its nodes have other versions.
        MissingExtraError: Ray is not installed.
    """
    ray = connect(address)
    try:
        return _problems(ray, resources)
    finally:
        ray.shutdown()  # whoever drives the run connects for itself


def _problems(ray: Any, resources: Resources) -> list[Problem]:
    nodes = [node for node in ray.nodes() if node["Alive"]]
    _check_versions(ray, nodes)
    if places(nodes, resources):
        return []
    problems = []
    for name, amount in needs(resources).items():
        most = max((node["Resources"].get(_RAY_WORDS[name], 0) for node in nodes), default=0)
        if most < amount:
            shown, field = (size_text(amount), "memory") if name == "memory" else (f"{amount:g}", name[4:])
            had = size_text(int(most)) if name == "memory" else f"{most:g}"
            text = f"a trial needs {shown}, but no node of the Ray cluster has more than {had}"
            problems.append(Problem(f"/trial/resources/{field}", text, hint="lower it, or add a node that has as much"))
    return problems or [Problem("/trial/resources", "no node of the Ray cluster has all that a trial needs at once")]


def _installed() -> str | None:
    """The version of tuneport where this is called; None if there is none."""
    try:
        return version("tuneport")
    except PackageNotFoundError:
        return None


def _check_versions(ray: Any, nodes: Sequence[dict[str, Any]]) -> None:
    """Nodes must have this tuneport, since slots are made of it; Ray itself looks at its own version and Python's."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 - an extra

    ask = ray.remote(num_cpus=0)(_installed)
    asked = {
        node["NodeManagerHostname"]: ask.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
    }
    ours = version("tuneport")
    there = dict(zip(asked, ray.get(list(asked.values())), strict=True))
    if wrong := {host: one for host, one in there.items() if one != ours}:
        listed = ", ".join(f"{host} has {one or 'none'}" for host, one in wrong.items())
        hint = f"install it on every node: pip install 'tuneport[ray]=={ours}'"
        raise BackendError(f"nodes need tuneport {ours}, but {listed}", backend=NAME, hint=hint)


_RAY_WORDS = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
"""What is asked for, to what nodes call it."""


def needs(resources: Resources) -> dict[str, Any]:
    """A trial's resources in Ray's words."""
    times = resources.replicas  # all of them are on one node
    wanted: dict[str, Any] = {"num_cpus": (resources.cpus or 1) * times}
    if resources.gpus:
        wanted["num_gpus"] = resources.gpus * times
    if resources.memory:
        wanted["memory"] = resources.memory * times
    return wanted


def places(nodes: Sequence[dict[str, Any]], resources: Resources) -> int:
    """How many trials the living nodes of a cluster have room for."""
    wanted = {_RAY_WORDS[name]: amount for name, amount in needs(resources).items()}
    rooms = [
        min(int(node["Resources"].get(name, 0) / amount + 1e-9) for name, amount in wanted.items())
        for node in nodes
        if node["Alive"]
    ]
    return sum(rooms)
