"""The part of a slot that Ray keeps on a node: it runs one trial after another there, through a keeper of its own."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tuneport.engine.executors.cluster import needs
from tuneport.engine.executors.crew import free_ports
from tuneport.engine.executors.process import ProcessExecutor
from tuneport.engine.executors.protocols import Event, Exited
from tuneport.engine.launch import LaunchContract, Peer, Replica, TrialContext, token
from tuneport.model.trial_spec import Resources

POLL = 5.0
"""Seconds for which one question to a slot waits for news."""
FIRST_POLL = 1.0
"""Seconds for which the order to start a trial does."""
UNASKED = 10.0
"""Seconds between looks at a trial that nobody asks for."""
SLICE = 0.1
"""Seconds after which a slot looks whether its trial is to be stopped."""
LINGER = 0.02
"""Seconds for which news wait for more of it: a report, and the end of a trial that has reported, are one answer."""
GATHERING = 120.0
"""Seconds in which the other places of a trial must say where they are; Ray has reserved them."""
PIECE = 1 << 20
"""Bytes of output that one answer has at most."""
CALLS = 4
"""Calls that a slot answers at once: one waits for news, while others ask it to stop."""


@dataclass(slots=True)
class News:
    """What happened in a slot: events, sentences for people and, where folders are not shared, output."""

    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    output: bytes = b""


@dataclass(slots=True)
class Slot:
    """A slot as whoever gives it trials knows it."""

    name: str
    actor: Any
    context: TrialContext | None = None
    seen: int = 0
    """Events of its trial that we have had."""
    read: int = 0
    """Bytes of its trial's output that we have had, where our folders are not seen there."""
    pending: Any = None
    waits: bool = False
    """It has not answered since its trial was given to it."""
    since: float = field(default_factory=time.monotonic)
    """When its trial was given to it, or ended."""
    stopping: bool = False
    """Its trial has been asked to end."""

    def begin(self, context: TrialContext, timeout: float | None) -> None:
        """Give it a trial to start."""
        self.take(context)
        self.pending, self.waits = self.actor.start.remote(context, timeout), True

    def take(self, context: TrialContext) -> None:
        """It has this trial."""
        self.context, self.since = context, time.monotonic()
        self.seen = self.read = 0
        self.pending, self.waits, self.stopping = None, False, False

    def stop(self) -> None:
        """Have its trial end."""
        if self.context is not None:
            self.stopping = True
            self.actor.stop.remote(token(self.context))

    def ask(self) -> Any:
        """The question that is under way, for news of its trial."""
        if self.pending is None and self.context is not None:
            self.pending = self.actor.news.remote(token(self.context), self.seen, self.read)
        return self.pending

    def answered(self, news: News) -> None:
        """Its question has been answered."""
        self.pending, self.waits = None, False
        self.seen += len(news.events)
        self.read += len(news.output)
        if any(isinstance(event, Exited) for event in news.events):
            self.context, self.since = None, time.monotonic()


class SlotActor:
    """Runs one trial after another on a node of the cluster; of a trial with several nodes, it may have the first.

    Args:
        contract: describes a trial's process.
        grace: seconds between SIGTERM and SIGKILL.
        abandoned: seconds without a question after which it ends if it runs nothing; None: it ends with its owner.
    """

    def __init__(self, contract: LaunchContract, grace: float, abandoned: float | None = None) -> None:
        self._notes: list[str] = []
        self._contract, self._grace = contract, grace
        self._executor = ProcessExecutor(contract, grace=grace, mortal=True, note=self._notes.append)
        self._lock = threading.Lock()
        self._key = ""
        self._trial = 0
        self._events: list[Event] = []
        self._log: Path | None = None
        self._stopping: set[str] = set()
        """The trials that are to end: whoever asks for that may be heard before the trial is."""
        self._running = False
        self._used = time.monotonic()
        """When it was last asked for something, or had a trial."""
        self._team: Team | None = None
        if abandoned is not None:
            threading.Thread(target=self._leave_if_abandoned, args=(abandoned,), daemon=True).start()

    def start(self, context: TrialContext, timeout: float | None) -> News:
        """Start a trial; the one before has ended. Returns what happens at once."""
        with self._lock:
            self._key, self._trial, self._events = token(context), context.trial, []
            self._running = True
            if context.job.trial.resources.replicas > len(context.replica.peers):
                context = self._gather(context, timeout)
            here = self._at_home(context)
            self._log = None if here.folder == context.folder else Path(here.folder) / "output.log"
            self._executor.start(here, timeout=timeout)
        return self._news(0, 0, FIRST_POLL)

    def _gather(self, context: TrialContext, timeout: float | None) -> TrialContext:
        """Start what other nodes have of a trial, and say what this one has."""
        if self._team is None:
            self._team = Team(self._contract, self._grace, context.job.trial.resources, self._notes.append)
        return self._team.start(context, timeout, self.whereabouts())

    def whereabouts(self) -> Whereabouts:
        """Where its processes will be."""
        import ray  # noqa: PLC0415 - an extra

        gpus = tuple(str(one) for one in ray.get_gpu_ids())
        (port,) = free_ports(1)
        host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        return Whereabouts(ray.get_runtime_context().get_node_id(), host, port, gpus)

    def has(self, key: str) -> bool:
        """Whether this is the trial that runs here, or ran here last."""
        self._used = time.monotonic()
        return self._key == key

    def stop(self, key: str) -> None:
        """Stop a trial with the next look at it."""
        self._stopping.add(key)

    def news(self, key: str, seen: int, read: int) -> News:
        """What happened to a trial after so many events and bytes of output, as soon as there is something."""
        return self._news(seen, read, POLL) if self._key == key else News()

    def _news(self, seen: int, read: int, patience: float) -> News:
        end = time.monotonic() + patience
        with self._lock:
            while self._running and time.monotonic() < end:
                self._look(LINGER if len(self._events) > seen else SLICE)
                if len(self._events) > seen:
                    end = min(end, time.monotonic() + LINGER)
            self._used = time.monotonic()
            notes, self._notes[:] = list(self._notes), []
            events, output = self._events[seen:], self._output(read)
            if len(output) == PIECE:  # the end is told with the last of the output
                events = [event for event in events if not isinstance(event, Exited)]
            return News(events, notes, output)

    def _look(self, patience: float) -> None:
        events = self._executor.wait(patience)
        if self._team is not None:
            events = self._team.judge(events, lambda: self._executor.stop(self._trial))
        self._events += events
        self._running = not any(isinstance(event, Exited) for event in events)
        if self._key in self._stopping:
            self._stopping.remove(self._key)
            self._executor.stop(self._trial)
            if self._team is not None:
                self._team.stop()

    def _output(self, read: int) -> bytes:
        """What the trial has written, for a runner that does not see our folders."""
        if self._log is None or not self._log.exists():
            return b""
        with self._log.open("rb") as file:
            file.seek(read)
            return file.read(PIECE)

    def _at_home(self, context: TrialContext) -> TrialContext:
        """The trial as this node can run it: with the GPUs that Ray gives us, and folders that are here."""
        import ray  # noqa: PLC0415 - an extra

        gpus = context.gpus or self.whereabouts().gpus
        python = context.python if Path(context.python).exists() else sys.executable
        brought = "working_dir" in ray.get_runtime_context().runtime_env
        base = context.base if Path(context.base).is_dir() and not brought else os.getcwd()  # noqa: PTH109
        folder = Path(context.folder)
        if not folder.parent.parent.is_dir():
            self._notes.append(
                f"nodes of the Ray cluster do not see {folder.parent.parent}: files of trials other than their output "
                "stay on their nodes, below the directory for temporary files"
            )
            folder = Path(tempfile.gettempdir()) / "tuneport" / context.run / str(context.trial)
        return replace(context, gpus=gpus, python=python, base=base, folder=str(folder))

    def _leave_if_abandoned(self, abandoned: float) -> None:
        """See to a trial that nobody asks for; leave when it has ended, and nobody has come for long."""
        while True:
            time.sleep(min(UNASKED, abandoned / 4))
            with self._lock:
                if self._running:
                    self._look(SLICE)
                    self._used = time.monotonic()
                elif time.monotonic() - self._used > abandoned:
                    self._leave()

    def _leave(self) -> None:
        from ray.util import get_current_placement_group, remove_placement_group  # noqa: PLC0415 - an extra

        if group := get_current_placement_group():
            remove_placement_group(group)
        os._exit(0)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a slot is: its node, the address of that, a port that is free there, and the GPUs that Ray gave it."""

    node: str
    host: str
    port: int
    gpus: tuple[str, ...]


class Team:
    """What a trial has besides its first slot: the other places of its placement group, which share its fate.

    Places on one node make up one share of the trial, since its processes there count as one node's; the first of them
    starts these. A place that is lost takes the slot with it, and so the trial: it starts again, elsewhere.
    """

    def __init__(
        self, contract: LaunchContract, grace: float, resources: Resources, note: Callable[[str], object]
    ) -> None:
        import ray  # noqa: PLC0415 - an extra
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy  # noqa: PLC0415 - an extra

        self._ray, self._note = ray, note
        group: Any = ray.util.get_current_placement_group()
        member, wanted = ray.remote(SlotActor), needs(resources)
        places = [PlacementGroupSchedulingStrategy(group, index) for index in range(1, resources.replicas)]
        actors = [member.options(max_concurrency=CALLS, scheduling_strategy=one, **wanted) for one in places]
        self._members = [Slot("", one.remote(contract, grace)) for one in actors]
        self._stopping = False
        """Its shares are to end, because one failed or somebody asked for that."""
        self._cause: Exited | None = None
        """The share that failed, if that is why."""
        self._end: Exited | None = None
        """How the share of our node ended."""

    def start(self, context: TrialContext, timeout: float | None, first: Whereabouts) -> TrialContext:
        """Start the shares of the other nodes. Returns the share of ours."""
        self._stopping, self._cause, self._end = False, None, None
        asked = [one.actor.whereabouts.remote() for one in self._members]
        places = [first, *self._ray.get(asked, timeout=GATHERING)]
        nodes = list(dict.fromkeys(place.node for place in places))
        order = sorted(range(len(places)), key=lambda index: nodes.index(places[index].node))
        peers = tuple(Peer(nodes.index(one.node), one.host, one.port) for one in (places[index] for index in order))
        shares = []
        for node in range(len(nodes)):
            rank = [peer.node for peer in peers].index(node)
            gpus = dict.fromkeys(gpu for place in places if place.node == nodes[node] for gpu in place.gpus)
            share = replace(context, gpus=tuple(gpus), replica=Replica(rank, peers))
            shares.append(share)
            if order[rank] > 0:
                self._members[order[rank] - 1].begin(share, timeout)
        return shares[0]

    def stop(self) -> None:
        """End the shares of the other nodes."""
        self._stopping = True
        for one in self._members:
            one.stop()

    def judge(self, events: Sequence[Event], stop: Callable[[], None]) -> list[Event]:
        """What happened to the trial: it has ended when all shares have, and failed as the first that failed.

        A share that fails once they are to end, such as for want of those that have ended before it, means nothing.

        Args:
            events: of our share.
            stop: ends our share.
        """
        reports: list[Event] = [event for event in events if not isinstance(event, Exited)]
        self._end = next((event for event in events if isinstance(event, Exited)), self._end)
        ends = [event for event in events if isinstance(event, Exited)] + self._ends()
        failed = next((one for one in ends if one.failure is not None), None)
        if failed is not None and not self._stopping:
            self._cause = failed
            self.stop()
            stop()
        if self._end is None or any(one.context is not None for one in self._members):
            return reports
        if self._cause is not None:
            end = replace(self._end, failure=self._cause.failure, stopped=False, lost=self._cause.lost)
        else:
            end = replace(self._end, failure=None, stopped=self._stopping)
        return [*reports, end]

    def _ends(self) -> list[Exited]:
        """The shares of other nodes that have ended since the last look."""
        asked = {one.ask(): one for one in self._members if one.context is not None}
        ready = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)[0] if asked else []
        ends: list[Exited] = []
        for answer in ready:
            try:
                news: News = self._ray.get(answer)
            except self._ray.exceptions.RayError:
                os._exit(1)  # its place is gone; so is ours, and the runner sees that
            asked[answer].answered(news)
            for note in news.notes:
                self._note(note)
            ends += [event for event in news.events if isinstance(event, Exited)]
        return ends
