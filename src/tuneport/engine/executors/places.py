"""Several places for the trials of one run: clouds, and this machine. Each trial goes to the first that has room."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tuneport.engine.devices import Lease, Pool
from tuneport.engine.executors.protocols import Event, Executor, Exited
from tuneport.engine.launch import TrialContext
from tuneport.errors import BackendError
from tuneport.model.results import Failure, FailureKind

SLICE = 0.02
"""Seconds for which one of several places after the other is listened to."""


@dataclass(slots=True)
class Place:
    """Where trials can be.

    Attributes:
        name: what people call it.
        executor: starts trials there.
        pool: devices that they lease there.
        room: most trials there at once; None: as many as the run has.
        elsewhere: it is another machine, where trials go on whatever becomes of this one.
        trials: those that are there, with their leases.
        error: why it cannot be used any more.
    """

    name: str
    executor: Executor
    pool: Pool
    room: int | None = None
    elsewhere: bool = True
    trials: dict[int, Lease] = field(default_factory=dict)
    error: BackendError | None = None

    def lease(self) -> Lease | None:
        """What one more trial would have there; None if there is no room for it."""
        if self.error is not None or (self.room is not None and len(self.trials) >= self.room):
            return None
        return self.pool.lease()


class PlacesExecutor:
    """Starts each trial in the first place that has room, in the order of preference.

    A place whose service cannot be used any more is left alone from then on: its trials are lost there, and started
    again in the other places. If there is no other one, its error is raised by `wait`.

    It leases places as a Pool leases devices; what devices a trial has, its handle says.

    Args:
        places: the most preferred one first.
        note: takes sentences that are to be recorded with the run.
    """

    name = "places"

    def __init__(self, places: Sequence[Place], note: Callable[[str], None]) -> None:
        self._note = note
        self._stopping: set[int] = set()
        self._places = {one.name: one for one in places}
        self._where: dict[int, Place] = {}
        self._chosen: tuple[Place, Lease] | None = None

    # As a pool --------------------------------------------------------------------------------------------------

    def lease(self) -> Lease | None:
        """The right to start one more trial; None while there is no room anywhere."""
        if self._chosen is None:
            self._chosen = next(((one, lease) for one in self._places.values() if (lease := one.lease())), None)
        return None if self._chosen is None else Lease()

    def retake(self, lease: Lease) -> None:
        """Places know themselves which trials they have adopted."""

    def release(self, lease: Lease) -> None:
        """Likewise, which trials have gone."""

    def learn(self, peak: int) -> None:
        """What was measured, it was where devices are."""
        for one in self._places.values():
            one.pool.learn(peak)

    def more_room(self, lease: Lease) -> bool:
        """Places give what the job says."""
        del lease
        return False

    # As an executor ---------------------------------------------------------------------------------------------

    def handle(self) -> dict[str, Any]:
        """The place that the next trial goes to, and what finds it there; see Executor."""
        place, lease = self._next()
        inner = place.executor.handle()
        return {"place": place.name, "lease": [list(lease.devices), lease.share, lease.memory], "inner": inner}

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        """Start a trial where `handle` said; see Executor."""
        (place, lease), self._chosen = self._next(), None
        self._enter(context.trial, place, lease)
        place.executor.start(replace(context, gpus=lease.devices), timeout=timeout)

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        """Take over a trial in the place where it was started; see Executor."""
        place = self._places.get(handle["place"])
        if place is None:
            return False
        devices, share, memory = handle["lease"]
        lease = Lease(tuple(devices), share, memory)
        adopted = place.executor.adopt(replace(context, gpus=lease.devices), handle["inner"], timeout=timeout)
        if adopted:
            place.pool.retake(lease)
            self._enter(context.trial, place, lease)
        return adopted

    def lasts(self, trial: int) -> bool:
        """Whether a trial goes on without this machine, so that an interruption need not stop it."""
        return self._where[trial].elsewhere

    def stop(self, trial: int) -> None:
        """Ask a trial to end; see Executor."""
        if trial in self._where:
            self._stopping.add(trial)
            self._where[trial].executor.stop(trial)

    def wait(self, timeout: float | None) -> Sequence[Event]:
        """What happened anywhere; see Executor.

        Raises:
            BackendError: no place can be used any more.
        """
        if len(self._places) == 1:
            return [event for one in self._places.values() for event in self._heard(one, timeout)]
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            events = [event for one in self._places.values() for event in self._heard(one, SLICE)]
            if events or (end is not None and time.monotonic() >= end):
                return events

    def close(self) -> None:
        """Let go of all places; see Executor."""
        for one in self._places.values():
            one.executor.close()

    def _next(self) -> tuple[Place, Lease]:
        """Where the next trial goes; the engine asks for room before it starts anything."""
        if self._chosen is None:
            raise RuntimeError("no place has room")
        return self._chosen

    def _enter(self, trial: int, place: Place, lease: Lease) -> None:
        self._where[trial] = place
        place.trials[trial] = lease

    def _heard(self, place: Place, timeout: float | None) -> Sequence[Event]:
        if place.error is not None:
            return []
        try:
            events = place.executor.wait(timeout)
        except BackendError as error:
            return self._lose(place, error)
        for event in events:
            if isinstance(event, Exited):
                self._leave(event.trial)
        return events

    def _leave(self, trial: int) -> None:
        self._stopping.discard(trial)
        place = self._where.pop(trial)
        place.pool.release(place.trials.pop(trial))

    def _lose(self, place: Place, error: BackendError) -> Sequence[Event]:
        """Do without a place from now on."""
        place.error = error
        if all(one.error is not None for one in self._places.values()):
            raise error
        if self._chosen is not None and self._chosen[0] is place:
            self._chosen = None
        failure = Failure(kind=FailureKind.INFRASTRUCTURE, message=f"{place.name} cannot be used any more: {error}")
        gone, stopping = list(place.trials), set(self._stopping)
        for trial in gone:
            self._leave(trial)
        self._note(f"{place.name} cannot be used any more; its trials go elsewhere: {error}")
        return [Exited(one, failure, one in stopping, place.name, (), time.time(), lost=True) for one in gone]
