"""The loop: ask, launch, measure, decide, tell, record. Every step is in the journal before the next one is taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tuneport.engine.checkpoints import inherit
from tuneport.engine.devices import Lease, Leases
from tuneport.engine.diagnosis import of_device
from tuneport.engine.executors.protocols import Emitted, Executor, Exited, Measured
from tuneport.engine.floods import Flood
from tuneport.engine.launch import Reported, TrialContext
from tuneport.engine.record import COMPLETE, PAUSE, PERSON, RUN_ENDS, SCHEDULER, Record, end_body, measurement_body
from tuneport.engine.store import Event, Store
from tuneport.engine.tally import Verdict
from tuneport.errors import SpaceExhaustedError
from tuneport.model.job import TuningJob
from tuneport.model.results import Failure, FailureKind, Measurement, RunReason, RunState, Trial, TrialState
from tuneport.search.protocols import Decision, Replace, Resume

PATIENCE = 0.25
"""Seconds between looks at requests of other processes and at the clock, while nothing happens."""
MAX_REPORTS = 10_000
"""Reports of one attempt that are recorded one by one; of more, only the best and the last, to bound memory."""
MAX_LOSSES = 3
"""A trial whose watcher is killed is started again so many times before it counts as failed."""


class Engine:
    """Drives one run from wherever its record stands to its end.

    Args:
        store: where the run is recorded.
        record: the run so far.
        executor: where trials run.
        pool: the devices that trials lease.
        base: directory that relative paths of the job mean.
        python: interpreter for Python trials.
        cpus: processor cores of this machine.
        observer: called with the record whenever it has changed.
        notes: sentences that the executor wants recorded; taken out as they are.
        lasts: whether a running trial is left to itself by an interruption, to be adopted later; None: all are stopped.
    """

    def __init__(
        self,
        store: Store,
        record: Record,
        executor: Executor,
        pool: Leases,
        *,
        base: str,
        python: str,
        cpus: int,
        observer: Callable[[Record], None] | None = None,
        notes: deque[str] | None = None,
        lasts: Callable[[int], bool] | None = None,
    ) -> None:
        self._store = store
        self._record = record
        self._executor = executor
        self._pool = pool
        self._base = base
        self._python = python
        self._cpus = cpus
        self._observer = observer
        self._notes = deque() if notes is None else notes
        self._lasts = lasts
        self._job = record.job
        self._objective = record.job.study.objective
        self._varied: dict[int, TuningJob] = {}
        self._verdict: Verdict | None = None
        self._interrupted = False
        self._exhausted = False
        self._ready: dict[str, Any] | None = None
        self._requests: set[int | None] = set()
        self._floods: dict[int, Flood] = {}
        self._unsaved: list[Event] = []

    def interrupt(self) -> None:
        """End soon and cleanly, so that the run can be resumed; may be called by a signal handler."""
        self._interrupted = True

    def run(self, *, stopping: bool = False) -> None:
        """Drive the run until it ends or is interrupted; with `stopping`, only to stop what still runs.

        Nothing is proposed to stop it, so that what searched it need not be installed any more.
        """
        search = {} if stopping else {"search": self._record.searching().model_dump(mode="json")}
        self._write(Event("began", None, search))
        self._save()
        if stopping:
            self._store.request_stop(self._record.row.id, None)
        self._take_over()
        while not self._over():
            self._judge()
            self._stop_what_must()
            self._fill()
            self._save()
            self._notify()
            for event in self._executor.wait(PATIENCE):
                if isinstance(event, Emitted):
                    self._measure(event.trial, self._by_our_names(event))
                elif isinstance(event, Measured):
                    self._write(
                        Event("measured", event.trial, {"memory": event.memory, "gpu_memory": event.gpu_memory})
                    )
                else:
                    self._conclude(event)
        self._finish()

    # Reading and writing the record -----------------------------------------------------------------------------

    def _write(self, event: Event) -> None:
        """Note an event; it is on disk with the next `_save`."""
        stamped = Event(event.kind, event.trial, event.body, event.at or self._store.clock())
        self._unsaved.append(stamped)
        self._record.apply(stamped)

    def _save(self) -> None:
        while self._notes:
            self._write(Event("noted", None, {"message": self._notes.popleft()}))
        if self._unsaved:
            self._record.seq = self._store.append(self._record.row.id, self._unsaved)
            self._unsaved = []

    def _notify(self) -> None:
        if self._observer is not None:
            self._observer(self._record)

    # The beginning and the end ----------------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Adopt the trials that an earlier runner left running; what is gone without a result waits to run again."""
        for lease in self._record.cramped:
            self._pool.more_room(lease)
        for trial in list(self._record.running):
            life = self._record.lives[trial]
            context = self._context(trial, life.attempt, life.lease)
            adopted = self._executor.adopt(context, life.handle, timeout=context.job.trial.timeout)
            if adopted:
                self._pool.retake(life.lease)
                self._write(Event("adopted", trial))  # all that it has reported will be read once more
                if life.stopping is not None:
                    self._executor.stop(trial)  # whoever decided so may not have got to saying it
            elif life.stopping == PAUSE:
                self._rest(trial)  # that was decided, and stays so
            elif life.stopping in {SCHEDULER, COMPLETE, PERSON}:
                self._end_stopped(trial, life.stopping)  # likewise
            else:
                self._write(Event("requeued", trial, {"counts": "nothing", "failure": None}))
        self._save()

    def _over(self) -> bool:
        done = self._verdict is not None or self._interrupted or self._nothing_left()
        return done and all(self._is_left(trial) for trial in self._record.running)

    def _is_left(self, trial: int) -> bool:
        """Whether an interruption leaves a running trial to itself."""
        if self._lasts is None or not self._interrupted or self._verdict is not None:
            return False
        return self._record.lives[trial].stopping is None and self._lasts(trial)

    def _nothing_left(self) -> bool:
        return self._asked_all() and not self._record.waiting and self._record.study.due() is None

    def _asked_all(self) -> bool:
        most = self._job.budget.max_trials
        enough = self._exhausted or not self._record.study.wants_more
        return enough or (most is not None and len(self._record.lives) >= most)

    def _finish(self) -> None:
        if self._verdict is None and self._interrupted and (self._record.running or not self._nothing_left()):
            left = "; its trials go on where they are" if self._record.running else ""
            self._write(Event("interrupted", None, {"message": f"interrupted{left}; it can be resumed"}))
        else:
            verdict = self._verdict or self._record.verdict() or self._record.tally.done(exhausted=self._exhausted)
            for trial in list(self._record.waiting):
                message = "the run ended before it could run again"
                self._end(trial, TrialState.STOPPED, _stopped(FailureKind.CANCELLED, message))
            for trial in list(self._record.paused):
                self._end_stopped(trial, PAUSE)
            body = {"state": verdict.state.value, "reason": verdict.reason.value, "message": verdict.message}
            self._write(Event("finished", None, body))
        self._save()
        self._notify()

    # What ends a run early --------------------------------------------------------------------------------------

    def _judge(self) -> None:
        self._requests = self._store.stop_requests(self._record.row.id)
        if self._verdict is None:
            self._verdict = self._stop_request() or self._record.verdict()
        if (self._verdict is not None or self._interrupted) and self._record.state is not RunState.STOPPING:
            self._write(Event("stopping"))

    def _stop_request(self) -> Verdict | None:
        if None in self._requests:
            return Verdict(RunState.STOPPED, RunReason.REQUEST, "stopped by request")
        return None

    def _stop_what_must(self) -> None:
        """Stop single trials on request, and all of them when the run must end now."""
        hurry = self._interrupted or self._verdict is not None
        if not hurry and not self._requests:
            return  # of many running trials, not even one is looked at
        for trial in [one for one in self._record.paused if one in self._requests]:
            self._end_stopped(trial, PERSON)
        for trial in list(self._record.running):
            if self._record.lives[trial].stopping is None:
                if trial in self._requests:
                    self._stop(trial, PERSON)
                elif hurry and not self._is_left(trial):
                    self._stop(trial, RUN_ENDS)

    def _stop(self, trial: int, why: str) -> None:
        self._write(Event("stopping", trial, {"why": why}))
        self._save()
        self._executor.stop(trial)

    # Starting ---------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Start trials while there is room, then think about the next one while they run."""
        self._pool.learn(self._record.needed)
        while self._verdict is None and not self._interrupted:
            if len(self._record.running) >= self._job.budget.parallel_trials:
                break
            lease = self._pool.lease()
            if lease is None:
                break
            trial = self._next()
            if trial is None:
                self._pool.release(lease)
                break
            self._start(trial, lease)
        self._look_ahead()

    def _next(self) -> int | None:
        """A trial that waits for another attempt, one that is due, or else a new one; None if there is none."""
        if self._record.waiting:
            return next(iter(self._record.waiting))
        match self._record.study.due():
            case Resume(trial):
                if self._record.study.adaptive:
                    self._ready = None  # results have come since: it would be older with every promotion
                self._write(Event("resumed", trial))
                return trial
            case Replace(trial, parent):
                return self._replace(trial, parent)
        parameters, self._ready = self._ready or self._propose(), None
        if parameters is None:
            return None
        trial = len(self._record.lives) + 1
        self._write(Event("asked", trial, {"parameters": parameters}))
        return trial

    def _replace(self, replaced: int | None, parent: int) -> int:
        """Begin a trial that goes on from another's checkpoint, in place of a paused one or of one that has failed."""
        trial = len(self._record.lives) + 1
        parameters = self._record.study.propose(parent)
        run = self._record.row.id
        if not inherit(self._store.trial_folder(run, parent), self._store.trial_folder(run, trial)):
            self._notes.append(f"trial {parent} left no checkpoint where trial {trial} goes on from it")
        if replaced is not None:
            message = f"trial {trial} took its place, which goes on from trial {parent}"
            self._end(replaced, TrialState.STOPPED, _stopped(FailureKind.STOPPED_BY_SCHEDULER, message))
        self._write(Event("asked", trial, {"parameters": parameters, "parent": parent}))
        return trial

    def _propose(self) -> dict[str, Any] | None:
        if self._asked_all():
            return None
        if self._record.study.adaptive:
            self._save()  # thinking can take long enough to be killed in
        try:
            return self._record.study.propose()
        except SpaceExhaustedError:
            self._exhausted = True
            return None

    def _look_ahead(self) -> None:
        """Have one suggestion ready while all places are taken.

        Not for a sequential search that learns: it would then always think without the newest result.
        """
        if self._interrupted or self._verdict is not None or self._ready is not None:
            return
        if self._job.budget.parallel_trials > 1 or not self._record.study.adaptive:
            self._ready = self._propose()

    def _start(self, trial: int, lease: Lease) -> None:
        attempt = self._record.lives[trial].attempt + 1
        body = {
            "attempt": attempt,
            "devices": lease.devices,
            "share": lease.share,
            "memory": lease.memory,
            "cores": lease.cores,
            "handle": self._executor.handle(),
        }
        self._write(Event("started", trial, body))
        self._save()
        context = self._context(trial, attempt, lease)
        self._executor.start(context, timeout=context.job.trial.timeout)

    def _context(self, trial: int, attempt: int, lease: Lease) -> TrialContext:
        run, job = self._record.row.id, self._job_of(trial)
        return TrialContext(
            job=job,
            run=run,
            trial=trial,
            attempt=attempt,
            parameters=self._record.study.trial(trial).parameters,
            folder=str(self._store.trial_folder(run, trial)),
            base=self._base,
            python=self._python,
            gpus=lease.devices,
            cores=lease.cores,
            cpus=max(1, int(job.trial.resources.cpus or self._cpus // self._job.budget.parallel_trials)),
        )

    def _job_of(self, trial: int) -> TuningJob:
        """The job as a trial knows it, with the variants that its parameters choose."""
        if trial not in self._varied:
            self._varied[trial] = self._job.under(self._record.study.trial(trial).parameters)
        return self._varied[trial]

    # What running trials say ------------------------------------------------------------------------------------

    def _by_our_names(self, event: Emitted) -> Reported:
        """A report in which the primary metric has the objective's name, whatever the trial calls it."""
        ours, theirs = self._objective.metric, self._job_of(event.trial).study.objective.metric
        if theirs == ours:
            return event.report
        metrics = {name: value for name, value in event.report.metrics.items() if name not in {ours, theirs}}
        if theirs in event.report.metrics:
            metrics[ours] = event.report.metrics[theirs]
        return replace(event.report, metrics=metrics)

    def _measure(self, trial: int, report: Reported) -> None:
        """Record a report and do what the scheduler says; of a flood of reports, the first ones and the last."""
        life = self._record.lives[trial]
        if not report.metrics:
            return
        if life.reports >= MAX_REPORTS:
            self._floods.setdefault(trial, Flood(self._objective)).add(report)
            return
        elapsed = report.time - life.started if report.time is not None and life.started is not None else None
        body = measurement_body(
            Measurement.model_construct(metrics=dict(report.metrics), step=report.step, elapsed=elapsed)
        )
        self._write(Event("reported", trial, body))
        decision = self._record.study.decision(trial)
        if life.stopping is None and decision is not Decision.CONTINUE:
            self._stop(trial, _WHY[decision])

    def _conclude(self, event: Exited) -> None:
        """A trial's process has ended: start it again, or record what became of it."""
        trial, life = event.trial, self._record.lives[event.trial]
        if trial in self._floods:
            life.reports = 0
            for report in self._floods.pop(trial).reports():
                self._measure(trial, report)
        self._pool.release(life.lease)
        if life.stopping == RUN_ENDS and self._verdict is None and (event.stopped or event.lost):
            self._requeue(trial, "nothing", None)  # interrupted: it runs again when the run is resumed
        elif life.stopping == PAUSE and event.stopped:
            self._rest(trial, event.time)
        elif life.stopping is not None and event.stopped:
            self._end_stopped(trial, life.stopping, event.last_lines, event.time)
        elif event.lost and life.losses < MAX_LOSSES:
            self._requeue(trial, "loss", event.failure)
        elif event.failure is None:
            self._end_well(trial, event)
        elif of_device(event.failure) and self._pool.more_room(life.lease):
            self._requeue(trial, "room", event.failure)  # it was packed too tightly
        elif event.failure.kind.retryable and life.retries < self._job_of(trial).trial.retries:
            self._requeue(trial, "retry", event.failure)
        else:
            self._end(trial, TrialState.FAILED, event.failure, event.time)

    def _requeue(self, trial: int, counts: str, failure: Failure | None) -> None:
        said = failure.model_dump(mode="json") if failure else None
        self._write(Event("requeued", trial, {"counts": counts, "failure": said}))

    def _rest(self, trial: int, at: float = 0.0) -> None:
        """Record that a trial has paused."""
        self._write(Event("paused", trial, at=at))

    def _end_well(self, trial: int, event: Exited) -> None:
        """It ended by itself without an error; whether that is a success depends on its metrics."""
        end = self._record.study.ending(trial)
        failure = end.failure
        if failure is not None and failure.kind is FailureKind.METRIC_MISSING:
            failure = self._missing(self._record.study.trial(trial), event)
        elif failure is not None:
            failure = failure.changed(exit_code=0, last_lines=event.last_lines)
        self._end(trial, end.state, failure, event.time)

    def _missing(self, trial: Trial, event: Exited) -> Failure:
        seen = sorted({name for m in trial.measurements for name in m.metrics})
        others = f"; it did report {', '.join(seen)}" if seen else ""
        wanted = self._job_of(trial.id).study.objective.metric
        message = f"never reported '{wanted}'{others}; looked for {event.looked_for}"
        return Failure(kind=FailureKind.METRIC_MISSING, message=message, exit_code=0, last_lines=event.last_lines)

    def _end_stopped(self, trial: int, why: str, last_lines: Sequence[str] = (), at: float = 0.0) -> None:
        """Record the end of a trial that we stopped."""
        if why == COMPLETE:
            self._end(trial, None, None, at)
        elif why in {SCHEDULER, PAUSE}:
            message = "early stopping gave its place to more promising trials"
            if why == PAUSE:
                message = "it paused, and was not among those that went on before the run ended"
            self._end(trial, TrialState.STOPPED, _stopped(FailureKind.STOPPED_BY_SCHEDULER, message, last_lines), at)
        else:
            message = "stopped by request" if why == PERSON else "stopped because the run ended"
            self._end(trial, TrialState.STOPPED, _stopped(FailureKind.CANCELLED, message, last_lines), at)

    def _end(self, trial: int, state: TrialState | None, failure: Failure | None, at: float = 0.0) -> None:
        """Record the end of a trial; without a state, its metrics decide."""
        self._write(Event("ended", trial, end_body(self._record.study.ending(trial, state=state, failure=failure)), at))
        self._varied.pop(trial, None)


_WHY = {Decision.STOP: SCHEDULER, Decision.COMPLETE: COMPLETE, Decision.PAUSE: PAUSE}
"""Why a trial is being stopped, by what the scheduler decided."""


def _stopped(kind: FailureKind, message: str, last_lines: Sequence[str] = ()) -> Failure:
    return Failure(kind=kind, message=message, last_lines=tuple(last_lines))
