"""Trials as training jobs of a cloud, one each: submitted, watched by its lists and logs, and stopped by its calls.

A job's name, or a label, says which attempt of which trial it is. So a runner that comes after a killed one submits
what ran once more, and the service's own answer tells whether it is there already: nothing is lost, nothing runs twice.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tuneport.backends.protocols import JobRef, JobStatus, Json, SingleJobs
from tuneport.engine.executors.process import ATTEMPT_FILES
from tuneport.engine.executors.protocols import Emitted, Event, Exited
from tuneport.engine.launch import Reported, TrialContext
from tuneport.engine.printed import Printed
from tuneport.errors import AuthError, BackendError, QuotaError, TuneportError
from tuneport.model.results import Failure, FailureKind

SOONEST, LATEST = 0.25, 10.0
"""Least and most seconds between two looks at the service; while nothing changes, they come less and less often."""
NO_METRIC_YET = 6
"""How much longer than others a job is listened to after its end that has not reported anything."""
UNSEEN = 60.0
"""Seconds after which a job that the service does not know any more is gone."""
LAST_LINES = 20
MOST_LOG = 8 << 20
"""Characters of a job's output that are kept here; the service has all of it."""
_CUT = "[... the rest of this output is with the service ...]\n"
_NOT_ITS_DOING = frozenset({FailureKind.PREEMPTED, FailureKind.INFRASTRUCTURE})
"""Ends for which a trial is started again whatever its job says of retries."""

_ENDS_OF_TIME = frozenset({FailureKind.CANCELLED, FailureKind.CODE, FailureKind.TIMED_OUT})

Documents = Callable[[TrialContext], Json]
"""The training job of a trial, in the service's words. Raises TuneportError if there is none."""


@dataclass(slots=True)
class _Running:
    context: TrialContext
    timeout: float | None
    printed: Printed
    log: _Log
    seen: float
    """When the service last knew it, by the monotonic clock."""
    ref: JobRef | None = None
    stopping: bool = False
    timed_out: bool = False
    measured: bool = False
    over: float | None = None
    """When its end was first seen, by the monotonic clock."""
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


class CloudExecutor:
    """Starts each trial as a training job.

    What the service cannot be asked for a while is asked later. Only what no waiting helps against, such as
    credentials that have ended, is raised by `wait`: jobs go on meanwhile, and a resumed run takes them over.

    Args:
        jobs: the run's training jobs at the service.
        documents: a trial's training job in the service's words.
        note: takes sentences that are to be recorded with the run.
        patient: wait for a service that cannot be reached; else that is raised as well, and that it has no room at all.
    """

    name = "cloud"

    def __init__(
        self, jobs: SingleJobs, documents: Documents, note: Callable[[str], None], *, patient: bool = True
    ) -> None:
        self._jobs = jobs
        self._note = note
        self._documents = documents
        self._patient = patient
        self._running: dict[int, _Running] = {}
        self._events: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()
        self._lock = threading.Lock()
        """Held while the running trials, or what is known of one of them, change."""
        self._closed = threading.Event()
        self._watched = False

    def handle(self) -> dict[str, Any]:
        """Run, trial and attempt say all; see Executor."""
        return {}

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        """Submit a trial's job; see Executor."""
        self._begin(context, timeout, again=False)

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        """Take over a trial's job, which is submitted now if it never was; see Executor."""
        del handle
        self._begin(context, timeout, again=True)
        return True

    def stop(self, trial: int) -> None:
        """Ask a trial's job to end; see Executor."""
        with self._lock:
            running = self._running.get(trial)
            if running is None or running.stopping:
                return
            running.stopping = True
            ref = running.ref
        if ref is not None:
            self._in_background(self._stop, ref)

    def wait(self, timeout: float | None) -> Sequence[Event]:
        """What happened; see Executor.

        Raises:
            BackendError: the service cannot be used any more.
        """
        events: list[Event] = []
        try:
            while True:
                one = self._events.get(timeout=timeout) if not events else self._events.get_nowait()
                if isinstance(one, Exception):
                    if not events:
                        raise one
                    self._events.put(one)
                    return events
                events.append(one)
        except queue.Empty:
            return events

    def close(self) -> None:
        """Let go of the service; jobs that still run are left to themselves. See Executor."""
        self._closed.set()
        for running in self._running.values():
            running.log.close()

    # Submitting and stopping ------------------------------------------------------------------------------------

    def _begin(self, context: TrialContext, timeout: float | None, *, again: bool) -> None:
        objectives = [objective.metric for objective in context.job.study.objectives]
        printed = Printed(context.job.trial.metrics, objectives)
        log = _Log(Path(context.folder), context.attempt)
        running = _Running(context, timeout, printed, log, time.monotonic())
        with self._lock:
            self._running[context.trial] = running
            if not self._watched:
                self._watched = True
                self._in_background(self._watch)
        self._in_background(self._submit, running, again)

    def _in_background(self, target: Callable[..., None], *arguments: Any) -> None:
        """Do what may take minutes beside everything else; whoever ends does not wait for it."""

        def work() -> None:
            try:
                target(*arguments)
            except Exception as error:  # noqa: BLE001 - whatever it is, `wait` raises it
                self._events.put(error)

        threading.Thread(target=work, daemon=True).start()

    def _submit(self, running: _Running, again: bool) -> None:
        """Send a trial's job, again and again while that may help."""
        try:
            document = self._documents(running.context)
        except TuneportError as error:
            self._exit(running, Failure(kind=FailureKind.INFRASTRUCTURE, message=f"has no training job: {error}"))
            return
        while not self._closed.is_set():
            if running.stopping and not again:
                self._exit(running, None)
                return
            try:
                ref = self._jobs.submit(document, again=again)
            except BackendError as error:
                if not self._may_still_go(running, error):
                    return
                again = again or error.retryable  # perhaps it got through
                self._closed.wait(LATEST)
                continue
            self._submitted(running, ref)
            return

    def _may_still_go(self, running: _Running, error: BackendError) -> bool:
        """Whether to submit again later; if not, says what comes of the trial, or of all of them."""
        if isinstance(error, AuthError) or error.retryable:
            self._bear(error)
        with self._lock:
            alone = all(one is running or one.ref is None for one in self._running.values())
        full = isinstance(error, QuotaError)
        if full and alone and not self._patient:
            raise error  # there is no room here at all, but perhaps elsewhere
        if error.retryable or (full and not alone):  # others that end make room
            return True
        self._exit(running, Failure(kind=FailureKind.INFRASTRUCTURE, message=str(error)))
        return False

    def _submitted(self, running: _Running, ref: JobRef) -> None:
        with self._lock:
            running.ref, running.seen = ref, time.monotonic()
            stop = running.stopping  # that came while it was being submitted
        if stop:
            self._stop(ref)

    def _stop(self, ref: JobRef) -> None:
        while not self._closed.is_set():
            try:
                self._jobs.stop(ref)
            except BackendError as error:
                self._bear(error)
                self._closed.wait(LATEST)
            else:
                return

    def _bear(self, error: BackendError) -> None:
        """Wait for a service that is down.

        Raises:
            BackendError: no waiting helps, or nobody wants to wait.
        """
        if not (error.retryable and self._patient):
            raise error
        self._note(f"trials go on, but nothing is heard of them: {error.message}")

    # Watching ---------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        pause = SOONEST
        while not self._closed.wait(pause):
            try:
                changed = self._look()
            except BackendError as error:
                self._bear(error)
                changed = False
            pause = SOONEST if changed else min(pause * 1.5, LATEST)

    def _look(self) -> bool:
        """Ask how all jobs are and what they wrote. Whether anything is new."""
        with self._lock:
            known = {running.ref: running for running in self._running.values() if running.ref is not None}
        if not known:
            return False
        statuses = self._jobs.poll(known.keys())
        begun = [ref for ref, status in statuses.items() if status.started is not None or status.ended is not None]
        said = self._jobs.lines(begun) if begun else {}
        news = [self._hear(running, statuses.get(ref), said.get(ref, [])) for ref, running in known.items()]
        return any(news)

    def _hear(self, running: _Running, status: JobStatus | None, lines: Sequence[str]) -> bool:
        """Take what the service says of one job. Whether it is news."""
        now = time.monotonic()
        if status is None:
            if now - running.seen > UNSEEN:
                self._exit(running, Failure(kind=FailureKind.INFRASTRUCTURE, message="its service knows it no more"))
            return False
        running.seen = now
        running.log.write(lines)
        running.last_lines.extend(lines)
        self._emit(running, running.printed.read(lines, time.time()))
        if status.ended is None:
            self._check_time(running, status)
            return bool(lines)
        if running.over is None:
            running.over = now
        late = self._jobs.late * (1 if running.measured or status.failure is not None else NO_METRIC_YET)
        if lines or now - running.over < late:
            return True
        self._emit(running, running.printed.finish())
        self._exit(running, self._failure(running, status), status.ended)
        return True

    def _emit(self, running: _Running, reports: Sequence[Reported]) -> None:
        objective = running.context.job.study.objective.metric
        for report in reports:
            running.measured = running.measured or objective in report.metrics
            self._events.put(Emitted(running.context.trial, report))

    def _check_time(self, running: _Running, status: JobStatus) -> None:
        """Stop a job that has run for too long, should its service not do so."""
        late = running.timeout is not None and status.started is not None and not running.timed_out
        if late and time.time() - (status.started or 0.0) > (running.timeout or 0.0):
            running.timed_out = True
            self._in_background(self._stop, running.ref)

    def _failure(self, running: _Running, status: JobStatus) -> Failure | None:
        """Why a job did not end well, with what it wrote last."""
        if not running.stopping and (running.timed_out or _at_its_limit(running, status)):
            message = f"ran longer than its time-out of {running.timeout or 0:g} s"
            return Failure(kind=FailureKind.TIMED_OUT, message=message, last_lines=tuple(running.last_lines))
        if status.failure is None or (running.stopping and status.failure.kind is FailureKind.CANCELLED):
            return None
        return status.failure.changed(last_lines=tuple(running.last_lines))

    def _exit(self, running: _Running, failure: Failure | None, ended: float | None = None) -> None:
        """Tell of a trial's end, once; without a moment, of one whose job there is not."""
        trial = running.context.trial
        with self._lock:
            if self._running.get(trial) is not running:
                return
            del self._running[trial]
        running.log.close()
        lost = failure is not None and ended is not None and failure.kind in _NOT_ITS_DOING
        self._events.put(
            Exited(
                trial,
                failure,
                running.stopping,
                running.printed.looked_for,
                tuple(running.last_lines),
                ended or time.time(),
                lost=lost,
            )
        )


def _at_its_limit(running: _Running, status: JobStatus) -> bool:
    """Whether a job ended badly when its time was over: services have several words for that."""
    if running.timeout is None or status.started is None or status.ended is None or status.failure is None:
        return False
    return status.ended - status.started >= running.timeout and status.failure.kind in _ENDS_OF_TIME


class _Log:
    """What is kept here of a job's output, where `tuneport logs` looks for it; an earlier attempt's moves aside."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self._path = folder / "output.log"
        self._file: IO[str] | None = None
        self._left = MOST_LOG
        folder.mkdir(parents=True, exist_ok=True)
        earlier = folder / f"attempt-{attempt - 1}"
        if attempt > 1 and not earlier.exists():
            earlier.mkdir()
            for one in (folder / name for name in ATTEMPT_FILES):
                if one.exists():
                    one.replace(earlier / one.name)
        self._path.unlink(missing_ok=True)  # all that an adopted job wrote comes once more

    def write(self, lines: Sequence[str]) -> None:
        """Keep some more lines."""
        if not lines or self._left <= 0:
            return
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace")
        text = "".join(f"{line}\n" for line in lines)
        self._left -= len(text)
        self._file.write(text if self._left > 0 else _CUT)
        self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._left = 0
