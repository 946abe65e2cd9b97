"""Trials on a Ray cluster: each in a slot, an actor that holds the resources of one trial and runs one after another.

A slot starts its trials as this machine does, through a keeper on its node, so that what a trial finds is alike.
Slots are detached and have names: a runner that comes after a killed one finds its trials there, with all that they
have reported. A slot that is lost with its node is noticed at once, and its trial starts again elsewhere.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tuneport.engine.devices import Lease
from tuneport.engine.executors.cluster import NAME, NAMESPACE, bundle, connect, needs, places
from tuneport.engine.executors.crew import LOG
from tuneport.engine.executors.process import LOST
from tuneport.engine.executors.protocols import Event, Exited
from tuneport.engine.executors.slot import CALLS, Slot, SlotActor
from tuneport.engine.launch import LaunchContract, TrialContext, token
from tuneport.model.trial_spec import Resources

PATIENCE = 5.0
"""Seconds after which a slot that has not answered is taken to wait for room on the cluster."""
LONG = 60.0
"""Seconds after which that is worth a note."""
ADOPTION = 30.0
"""Seconds in which a slot must say whether it has a trial: one that waits for room has not begun it."""
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
        self._ray, self._disconnect = connect(address)
        self._contract = contract
        self._grace = grace
        self._tell = note
        self._resources = resources
        self._environment = {"working_dir": working_dir} if working_dir else {}
        self._run = run
        self._slots: dict[str, Slot] = {}
        self._cleared = False
        self._next: Slot | None = None
        self._noted: set[str] = set()

    # As a pool --------------------------------------------------------------------------------------------------

    def lease(self) -> Lease | None:
        """The right to a slot; None while the cluster has no room for another."""
        self._clear()
        return Lease() if self._idle() or self._has_room() else None

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
        self._next = next(iter(self._idle()), None) or self._slot(f"{self._run}/{uuid.uuid4().hex}")
        return {"slot": self._next.name}

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        """Start a trial in the slot that `handle` named; see Executor."""
        assert self._next is not None  # noqa: S101 - tells the type checker what the protocol means
        _move_aside(context)
        self._next.begin(context, timeout)

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        """Take over a trial whose slot is still there; see Executor."""
        del timeout  # its slot has it
        try:
            actor = self._ray.get_actor(handle["slot"], namespace=NAMESPACE)
            if not self._ray.get(actor.has.remote(token(context)), timeout=ADOPTION):
                return False
        except (ValueError, self._ray.exceptions.RayError):
            return False
        slot = self._slots[handle["slot"]] = Slot(handle["slot"], actor)
        slot.take(context)
        log = _log(context)
        slot.read = log.stat().st_size if log.exists() else 0
        return True

    def stop(self, trial: int) -> None:
        """Ask a trial to end; see Executor."""
        for slot in self._slots.values():
            if slot.context is not None and slot.context.trial == trial:
                slot.stop()

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
        return [event for answer in ready for event in self._heard(asked[answer], answer)] + list(self._given_up())

    def close(self) -> None:
        """End the slots in which nothing runs; see Executor."""
        for slot in self._idle():
            self._end(slot.name)
        self._disconnect()

    def _clear(self) -> None:
        """End the slots of a killed runner in which nothing ran that we have taken over."""
        if self._cleared:
            return
        self._cleared = True
        actors = self._ray.util.list_named_actors(all_namespaces=True)
        named = {one["name"] for one in actors if one["namespace"] == NAMESPACE}
        for name in named | self._reserved().keys():
            if name.startswith(f"{self._run}/") and name not in self._slots:
                self._end(name)

    def _end(self, name: str) -> None:
        """End a slot, and let go of what was reserved for it."""
        self._slots.pop(name, None)
        with contextlib.suppress(ValueError):  # it has ended by itself
            self._ray.kill(self._ray.get_actor(name, namespace=NAMESPACE))
        if self._resources.replicas > 1 and (reserved := self._reserved().get(name)):
            self._ray.util.remove_placement_group(reserved)

    def _reserved(self) -> dict[str, Any]:
        """The placement groups of the cluster; Ray itself finds only those of the namespace of who asks."""
        from ray.util.placement_group import PlacementGroup  # noqa: PLC0415 - an extra

        groups = self._ray.util.placement_group_table()
        return {
            one["name"]: PlacementGroup(self._ray.PlacementGroupID.from_hex(identity))
            for identity, one in groups.items()
            if one["state"] != "REMOVED"
        }

    def _make_room(self) -> None:
        """End slots that are free: those of long ago, and one for each that waits for a place."""
        for slot in self._idle():
            if slot.since < time.monotonic() - ABANDONED / 2:
                self._end(slot.name)  # before it goes by itself
        for _, slot in zip(self._waiting(PATIENCE), self._idle(), strict=False):
            self._end(slot.name)
        if self._waiting(LONG):
            self._note("trials wait for room on the Ray cluster: others hold what they need (ray status says what)")

    def _note(self, message: str) -> None:
        if message not in self._noted:
            self._noted.add(message)
            self._tell(message)

    def _given_up(self) -> Iterator[Event]:
        """End slots that wait for a place for a trial that is to stop: no word reaches them until they have one."""
        for slot in self._waiting(PATIENCE):
            if slot.stopping and slot.context is not None:
                self._end(slot.name)
                yield Exited(slot.context.trial, None, True, "", (), time.time())

    def _waiting(self, seconds: float) -> list[Slot]:
        """Those that have waited so long for a place to begin a trial in."""
        late = time.monotonic() - seconds
        return [slot for slot in self._slots.values() if slot.waits and slot.since < late]

    def _idle(self) -> list[Slot]:
        return [slot for slot in self._slots.values() if slot.context is None]

    def _has_room(self) -> bool:
        """Whether the cluster may have a place for one more slot: not if others hold so much that one waits already."""
        return not self._waiting(PATIENCE) and len(self._slots) < places(self._ray.nodes(), self._resources)

    def _slot(self, name: str) -> Slot:
        actor = self._ray.remote(SlotActor).options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            max_concurrency=CALLS,
            runtime_env=self._environment,
            scheduling_strategy=self._reserve(name),
            **needs(self._resources),
        )
        slot = self._slots[name] = Slot(name, actor.remote(self._contract, self._grace, ABANDONED))
        return slot

    def _reserve(self, name: str) -> Any:
        """Where a slot goes: anywhere, or into a placement group with a place for each replica, all or none."""
        count = self._resources.replicas
        if count == 1:
            return None
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy  # noqa: PLC0415 - an extra

        group = self._ray.util.placement_group(
            [bundle(self._resources)] * count, strategy="PACK", name=name, lifetime="detached"
        )
        return PlacementGroupSchedulingStrategy(group, 0)

    def _heard(self, slot: Slot, answer: Any) -> Iterator[Event]:
        context = slot.context
        assert context is not None  # noqa: S101 - only slots with a trial are asked
        try:
            news = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            self._end(slot.name)
            said = str(getattr(error, "cause", error)).partition("\n")[0][:300]
            failure = LOST.changed(message=f"its place on the Ray cluster was lost: {said}")
            yield Exited(context.trial, failure, slot.stopping, "", (), time.time(), lost=True)
            return
        slot.answered(news)
        for note in news.notes:
            self._note(note)
        if news.output:
            _append(_log(context), news.output)
        yield from news.events


def _log(context: TrialContext) -> Path:
    return Path(context.folder) / LOG


def _append(log: Path, output: bytes) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        file.write(output)


def _move_aside(context: TrialContext) -> None:
    """Keep an earlier attempt's output by itself; on nodes that do not see our folders, nobody does that for us."""
    log = _log(context)
    if context.attempt > 1 and log.exists():
        earlier = log.parent / f"attempt-{context.attempt - 1}"
        earlier.mkdir(exist_ok=True)
        log.replace(earlier / LOG)
