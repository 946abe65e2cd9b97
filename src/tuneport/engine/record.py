"""A run as its journal tells it: the fold of recorded events into a study, its trials and the state of the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tuneport.engine.devices import Lease
from tuneport.engine.metering import Usage
from tuneport.engine.store import Event, RunRow
from tuneport.engine.tally import Tally, Verdict
from tuneport.model.job import TuningJob
from tuneport.model.results import Failure, Measurement, RunReason, RunState, Search, StudyResult, Trial, TrialState
from tuneport.model.study import StudySpec
from tuneport.search.events import Asked, Ended, Paused, Reported, Restarted, Resumed
from tuneport.search.study import Study

SCHEDULER, COMPLETE, PAUSE, PERSON, RUN_ENDS = "scheduler", "complete", "pause", "person", "run_ends"
"""Why a trial is being stopped."""


@dataclass(slots=True)
class Life:
    """What the engine knows of a trial beyond what the study does."""

    attempt: int = 0
    retries: int = 0
    losses: int = 0
    reports: int = 0
    stopping: str | None = None
    started: float | None = None
    rested: float | None = None
    """When its latest attempt ended in a pause."""
    ended: float | None = None
    lease: Lease = field(default_factory=Lease)
    peak: Usage = field(default_factory=Usage)
    """The most that any attempt has had."""
    handle: dict[str, Any] = field(default_factory=dict)


class Record:
    """Everything that is known of one run. Apply its events in their order, and read.

    Args:
        row: what was fixed when the run was made.
        ref: the run's reference.
        clock: the time that the store records.
    """

    def __init__(self, row: RunRow, ref: str, clock: Callable[[], float] = time.time) -> None:
        self.row = row
        self.ref = ref
        self.job = TuningJob.model_validate_json(row.job)
        earlier = [Trial.model_validate(one) for one in row.manifest.get("history", ())]
        self._earlier = earlier
        self.study = self._study(self.job.study)
        self.search = self.study.search
        self._clock = clock
        self.tally = Tally(self.job)
        self.lives: dict[int, Life] = {}
        self.running: dict[int, None] = {}
        """Trials that have been started and have not ended, in the order of their start."""
        self.waiting: dict[int, None] = {}
        """Trials that have been asked for and are to be started, or started again."""
        self.paused: dict[int, None] = {}
        """Trials that rest at their checkpoints."""
        self.state = RunState.PENDING
        self.reason: RunReason | None = None
        self.message = ""
        self.notes: list[str] = []
        self.needed = 0
        """The most bytes of a GPU that a trial is known to need."""
        self.cramped: list[Lease] = []
        """Leases with which trials ran out of a GPU's memory."""
        self.seq = 0
        self.ended: float | None = None
        self._ended: dict[int, Trial] = {}
        self._worked = 0.0
        self._busy = 0.0
        self._began: float | None = None
        self._last = row.created

    def apply(self, event: Event) -> None:
        """Take the next event."""
        if event.trial is None:
            self._apply_to_run(event)
        else:
            self._apply_to_trial(event, event.trial, event.body or {})
            self._learn(event, self.lives[event.trial], event.body or {})
        self.seq = max(self.seq, event.seq)
        self._last = max(self._last, event.at)

    def _apply_to_run(self, event: Event) -> None:
        body = event.body or {}
        match event.kind:
            case "began":
                self._pause()
                self._began = event.at
                self.state, self.reason, self.message, self.ended = RunState.RUNNING, None, "", None
                if "search" in body:
                    self._search_by(Search.model_validate(body["search"]))
            case "noted":
                self.notes.append(body["message"])
            case "stopping":
                self.state = RunState.STOPPING
            case "interrupted":
                self._last = max(self._last, event.at)
                self._pause()
                self.state, self.message = RunState.INTERRUPTED, body["message"]
            case "finished":
                self._last = max(self._last, event.at)
                self._pause()
                self.state, self.reason = RunState(body["state"]), RunReason(body["reason"])
                self.message, self.ended = body["message"], event.at

    def _study(self, spec: StudySpec) -> Study:
        return Study(spec, seed=self.row.manifest["seed"], budget=self.job.budget, history=self._earlier, lazy=True)

    def searching(self) -> Search:
        """What searches from now on: what did from the beginning, in the versions that are installed now.

        Raises:
            SearchError: the searcher that another package offered is not there any more.
            MissingExtraError: a package that the algorithm needs is not installed.
        """
        self.study.prepare()
        return self.search.changed(version=self.study.search.version)

    def _search_by(self, search: Search) -> None:
        """What `auto` stands for is settled when a run begins, whatever would be chosen today."""
        if not self.lives and search.algorithm != self.study.search.algorithm:
            self.study = self._study(self.job.study.changed(algorithm=search.algorithm))
        self.search = search

    def _apply_to_trial(self, event: Event, trial: int, body: dict[str, Any]) -> None:
        match event.kind:
            case "asked":
                self.study.apply(Asked(trial, body["parameters"], body.get("parent")))
                self.lives[trial] = Life()
                self.waiting[trial] = None
            case "started":
                self.lives[trial] = Life(
                    attempt=body["attempt"],
                    retries=self.lives[trial].retries,
                    losses=self.lives[trial].losses,
                    peak=self.lives[trial].peak,
                    started=event.at,
                    lease=Lease(tuple(body["devices"]), body["share"], body["memory"], tuple(body.get("cores", ()))),
                    handle=body["handle"],
                )
                self._move(trial, self.running)
            case "reported":
                self.lives[trial].reports += 1
                self.study.apply(Reported(trial, _measurement(body)))
            case "ended":
                if trial in self.running:
                    self._leave(trial, event.at)
                self.lives[trial].ended = self.lives[trial].rested or event.at
                self._move(trial, None)
                self.study.apply(_end(trial, body))
                self.tally.add(self.study.trial(trial))
            case _:
                self._apply_to_attempt(event, trial, body)

    def _apply_to_attempt(self, event: Event, trial: int, body: dict[str, Any]) -> None:
        match event.kind:
            case "adopted":
                self.lives[trial].reports = 0
                self.study.apply(Restarted(trial))
            case "stopping":
                self.lives[trial].stopping = body["why"]
            case "requeued":
                self._leave(trial, event.at)
                life = self.lives[trial]
                life.retries += body["counts"] == "retry"
                life.losses += body["counts"] == "loss"
                self.study.apply(Resumed(trial) if self.job.trial.resumable else Restarted(trial))
                self._move(trial, self.waiting)
            case "paused":
                self._leave(trial, event.at)
                self.lives[trial].rested = event.at
                self.study.apply(Paused(trial))
                self.tally.add(self.study.trial(trial))
                self._move(trial, self.paused)
            case "resumed":
                self.study.apply(Resumed(trial))
                self._move(trial, self.waiting)

    def _leave(self, trial: int, at: float) -> None:
        """An attempt of a trial is over."""
        life = self.lives[trial]
        self._busy += at - (life.started or at)
        life.stopping = None

    def _learn(self, event: Event, life: Life, body: dict[str, Any]) -> None:
        """Remember what trials take of memory; before its first report, one may not have got to what takes most."""
        if event.kind == "measured":
            life.peak |= Usage(body["memory"], body["gpu_memory"])
            self.needed = max(self.needed, life.peak.gpu_memory if life.reports else 0)
        elif event.kind == "requeued" and body["counts"] == "room":
            self.cramped.append(life.lease)

    def _move(self, trial: int, to: dict[int, None] | None) -> None:
        self.running.pop(trial, None)
        self.waiting.pop(trial, None)
        self.paused.pop(trial, None)
        if to is not None:
            to[trial] = None

    def _pause(self) -> None:
        if self._began is not None:
            self._worked += self._last - self._began
            self._began = None

    @property
    def seconds(self) -> float:
        """Seconds for which the run has been driven, up to now."""
        return self._worked + (self._clock() - self._began if self._began is not None else 0.0)

    @property
    def cost(self) -> float:
        """What all attempts of all trials have cost up to now; 0 if prices are not known."""
        now = self._clock()
        running = sum(now - (self.lives[trial].started or now) for trial in self.running)
        return (self._busy + running) / 3600 * float(self.row.manifest.get("rate", 0))

    def verdict(self) -> Verdict | None:
        """Why the run is to end now; None if it may go on."""
        cost = 0.0 if self.job.budget.max_cost is None else self.cost  # looks at all trials that run
        return self.tally.verdict(self.seconds, cost)

    def trial(self, trial: Trial) -> Trial:
        """A trial of the study with what the engine knows of it."""
        if known := self._ended.get(trial.id):
            return known
        life = self.lives[trial.id]
        state = trial.state
        if trial.id in self.waiting:
            state = TrialState.REQUESTED
        elif life.stopping and not state.ended:
            state = TrialState.STOPPING
        links = trial.links | {"place": life.handle["place"]} if "place" in life.handle else trial.links
        fields = {
            "links": links,
            "state": state,
            "attempt": max(1, life.attempt),
            "started": life.started,
            "ended": life.ended,
            "memory": life.peak.memory or None,
            "gpu_memory": life.peak.gpu_memory or None,
        }
        copy = trial.model_copy(update=fields)
        if state.ended:
            self._ended[trial.id] = copy
        return copy

    def result(self, *, driven: bool) -> StudyResult:
        """The run as it is now.

        Args:
            driven: whether some process is driving it; if not, a run that has not ended was interrupted.
        """
        state = self.state
        if state in {RunState.RUNNING, RunState.STOPPING} and not driven:
            state = RunState.INTERRUPTED
        return StudyResult.model_construct(
            ref=self.ref,
            name=self.job.name,
            backend="local",
            state=state,
            objectives=self.job.study.objectives,
            constraints=self.job.study.constraints,
            search=self.search,
            trials=tuple(self.trial(trial) for trial in self.study.trials),
            reason=self.reason,
            message=self.message,
            notes=tuple(dict.fromkeys(self.notes)),
            cost=self.cost if "rate" in self.row.manifest else None,
            created=self.row.created,
            ended=self.ended,
        )


def measurement_body(of: Measurement) -> dict[str, Any]:
    """The row of a measurement."""
    return {"metrics": dict(of.metrics), "step": of.step, "elapsed": of.elapsed}


def end_body(end: Ended) -> dict[str, Any]:
    """The row of a trial's end."""
    return {
        "state": end.state.value,
        "final": measurement_body(end.final_measurement) if end.final_measurement else None,
        "failure": end.failure.model_dump(mode="json") if end.failure else None,
    }


def _measurement(body: dict[str, Any]) -> Measurement:
    # Rows are our own, so they are trusted; validating each would make a resume several times slower.
    return Measurement.model_construct(metrics=body["metrics"], step=body["step"], elapsed=body["elapsed"])


def _end(trial: int, body: dict[str, Any]) -> Ended:
    final, failure = body["final"], body["failure"]
    return Ended(
        trial,
        TrialState(body["state"]),
        _measurement(final) if final else None,
        Failure.model_validate(failure) if failure else None,
    )
