"""What the emulators share: jobs that run here, and documents about them, in a folder that outlives the emulator.

A door gives a job with the native request that it came from, and reads back what became of it::

    document = host.submit("sagemaker/tuning-job", name, request, job, contract="sagemaker")
    host.result(document.run)           # the StudyResult by now, in the time of host.clock
    host.logs(document.run, trial=1)
    host.stop(document.run)
    host.documents.change(document.kind, name, lambda body: body | {"Tags": tags})
    host.delete(document)

Every method may be called from any thread. A name that is taken is a ConflictError, one that is unknown a
RunNotFoundError, a trial that does not run an UnknownTrialError; the door words them as its service does.
"""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.settings import LocalSettings
from tuneport.emulators import launching
from tuneport.emulators.documents import Document, Documents
from tuneport.emulators.driver import Driver
from tuneport.emulators.faults import Fault, Faults
from tuneport.emulators.pace import Clock, Pace, Point
from tuneport.emulators.programs import Program, Programs
from tuneport.emulators.timed import TimedExecutor, actor
from tuneport.engine.devices import Pool, discover, wanted
from tuneport.engine.executors.protocols import Executor
from tuneport.engine.launch import LaunchContract, TrialContext
from tuneport.errors import (
    ConflictError,
    DeviceError,
    JobError,
    Problem,
    SettingsError,
    TuneportError,
    UnknownTrialError,
    WaitTimeoutError,
)
from tuneport.model.job import TuningJob
from tuneport.model.results import RunState, StudyResult, Trial
from tuneport.model.trial_spec import Resources

GRACE = 10.0
"""Seconds between asking a trial to end and killing it, unless the emulator is told otherwise."""
_POLL = 0.02
_PATIENCE = 10.0
"""Seconds that closing waits for the end of runs, beyond their grace."""
_UNLIMITED = {"cpus": None, "memory": None}

_log = logging.getLogger(__name__)


class Host:
    """Runs jobs for the doors, and keeps their documents.

    Args:
        folder: keeps everything; None: a temporary one that goes with the host, and all that still runs with it.
        programs: what trials run; what is not mapped is played by the synthetic trainer.
        pace: how long jobs wait before they run.
        speed: seconds of its clock per second; see Clock.
        simulated: its clock jumps from one event to the next; see Clock.
        faults: what goes wrong in trials.
        base: the directory in which trials start; None: the current one.
        grace: seconds between asking a trial to end and killing it.

    Raises:
        ConflictError: another emulator uses the folder.
        StoreError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        programs: Programs | None = None,
        pace: Pace | None = None,
        speed: float = 1.0,
        simulated: bool = False,
        faults: Faults | None = None,
        base: Path | None = None,
        grace: float = GRACE,
    ) -> None:
        self.programs = programs or Programs()
        self.pace = pace or Pace()
        self.faults = faults or Faults()
        self._temporary = folder is None
        self.folder = (folder or Path(tempfile.mkdtemp(prefix="tuneport-"))).absolute()
        self._base = base or Path.cwd()
        self._grace = grace
        self._claim = _claim(self.folder)
        self.documents = Documents(self.folder / "documents.db")
        self.clock = Clock(speed, self._points(), simulated=simulated, keep=self._keep_time)
        self._lock = threading.Lock()
        """Held while the reading client is used, or a driver is looked up."""
        self._drivers: dict[str, Driver] = {}
        self._client = self.connect()
        self._resume()

    # What doors do with jobs ------------------------------------------------------------------------------------

    def submit(
        self,
        kind: str,
        name: str,
        body: Mapping[str, Any],
        job: TuningJob,
        contract: str,
        history: Sequence[Trial] = (),
    ) -> Document:
        """Keep a document and run the job that it asks for, in the background.

        Args:
            kind: what it is, such as sagemaker/tuning-job.
            name: unique within its kind.
            body: the native request, and whatever else the door wants to find again.
            job: what the request asks for.
            contract: whose launch contract trials are started by: a backend's name.
            history: trials of earlier jobs that the search is to know.

        Raises:
            ConflictError: the name is taken.
            JobError: its variants are mapped to commands as well as to functions.
        """
        executor = _executor(self.programs.of(job), quick=self.pace.quick)
        fitted = self._fitted(job)
        with closing(self.connect(contract, gpus=None if wanted(fitted.trial.resources) else 0)) as client:
            run = client.create(fitted, self._base, executor, version("tuneport"), history)
            document = Document(kind, name, self.clock.now(), dict(body), run, contract, executor)
            driver = self._driver(document)  # there before anybody can find the document, and ask it to stop
            try:
                self.documents.add(document)
            except TuneportError:
                self._forget(run)
                client.delete(run)
                raise
        driver.start()
        return document

    def result(self, run: str) -> StudyResult:
        """The run as it is now. It is never interrupted: what no driver has yet is pending."""
        with self._lock:
            result, driver = self._client.result(run), self._drivers.get(run)
        return result if result.state.ended else _seen(result, driver)

    def phase(self, document: Document) -> str | None:
        """What a pending job waits for by its age: "creating", "queued", "pending", or None once that is over."""
        return self.pace.phase(self.clock.now() - document.created)

    def job(self, run: str) -> TuningJob:
        """The job of a run, as it runs here."""
        with self._lock:
            return self._client.job(run)

    def stop(self, run: str, trial: int | None = None) -> None:
        """Ask a run, or one of its trials, to stop. Returns at once.

        Raises:
            UnknownTrialError: the trial does not run.
            ConflictError: the run has ended.
        """
        with self._lock:
            driver = self._drivers.get(run)
            if trial is not None and all(one.id != trial for one in self._client.result(run).trials):
                raise UnknownTrialError(f"run {run} has no trial {trial}")  # whether its driver can hear yet or not
            if driver is None or not driver.note_stop(trial):
                self._client.stop(run, trial)
        if trial is None:
            self.documents.note_stop(run)

    def delete(self, document: Document) -> None:
        """Forget a document and, if it has one, its run with all files.

        Raises:
            ConflictError: the run has not ended.
        """
        if document.run is not None:
            state = self.result(document.run).state
            if not state.ended:
                raise ConflictError(f"{document.kind} '{document.name}' is {state}")
            with self._lock:
                driver = self._drivers.get(document.run)
            if driver is not None:
                driver.join(_PATIENCE)
            with self._lock:
                self._client.delete(document.run)
            self._forget(document.run)
        self.documents.remove(document.kind, document.name)

    def logs(self, run: str, trial: int) -> list[str]:
        """The lines that a trial wrote so far; of one within this process, what it reported.

        Raises:
            UnknownTrialError: the run has no such trial.
        """
        with self._lock:
            written = list(self._client.logs(run, trial))
            if written:
                return written
            result, job = self._client.result(run), self._client.job(run)
        one = result.trials[trial - 1]
        program = self.programs.find(job.trial.under(one.parameters))
        return list(launching.lines(job, one, synthetic=program is None))

    def written(self, run: str, trial: int, path: str, most: int) -> str:
        """The first characters of a file that a trial wrote into its folder; nothing if it did not."""
        with self._lock:
            folder = self._client.folder(run)
        try:
            with (folder / "trials" / str(trial) / path).open(encoding="utf-8", errors="replace") as file:
                return file.read(most)
        except OSError:
            return ""

    def wait(self, run: str, timeout: float | None = None) -> StudyResult:
        """The run once it has ended.

        Raises:
            WaitTimeoutError: that took longer than so many seconds of real time.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not (result := self.result(run)).state.ended:
            if end is not None and time.monotonic() > end:
                raise WaitTimeoutError(f"run {run} is {result.state} after {timeout:g} s")
            time.sleep(_POLL)
        return result

    def place(self, uri: str) -> Path:
        """The folder that stands for a place elsewhere, such as s3://bucket/key: put data there, find results there."""
        return launching.place(self.folder / "places", uri)

    def close(self) -> None:
        """Let go of everything.

        What runs in a folder that stays is left to itself: processes go on, and the next host reads what they have
        come to. With a temporary folder everything is stopped and removed. Closing again has no effect.
        """
        if self._claim.closed:
            return
        drivers = list(self._drivers.values())
        for driver in drivers:
            if self._temporary:
                with suppress(TuneportError):
                    self.stop(driver.run)
            else:
                driver.leave()
        for driver in drivers:
            driver.join(self._grace + _PATIENCE)
        with self._lock:
            self._client.close()
        self.documents.close()
        self._claim.close()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    # What drivers need ------------------------------------------------------------------------------------------

    def connect(
        self, contract: str = "local", gpus: int | None = None, around: Callable[[Executor], Executor] | None = None
    ) -> LocalClient:
        """A client of the workspace, for use in one thread; see LocalClient."""
        settings = LocalSettings(workspace=self.folder / "workspace", contract=contract, grace=self._grace, gpus=gpus)
        return LocalClient(settings, self._contract, create=True, clock=self.clock.now, around=around)

    def timed(self, document: Document, inside: Executor) -> TimedExecutor:
        """The executor of a document's run, in the time of the clock."""
        assert document.run is not None  # noqa: S101 - tells the type checker what was asked for
        run, limit = document.run, self.job(document.run).budget.max_seconds

        def stop(trial: int | None) -> None:
            with suppress(UnknownTrialError, ConflictError):  # it has ended in the meantime
                self.stop(run, trial)

        return TimedExecutor(inside, self.clock, run, limit=limit, draw=self._drawn, stop=stop)

    def function(self, document: Document) -> Callable[..., Any] | None:
        """What trials within this process do; None for those that are processes."""
        if document.executor != "function" or document.run is None:
            return None

        def begin(trial: TrialContext) -> None:
            self.clock.act_as(actor(trial))

        return launching.function(self.job(document.run), self.programs, self._drawn, begin, self._pause)

    def _contract(self, name: str) -> LaunchContract:
        base: LaunchContract = import_module(f"tuneport.backends.{name}.launch").launch
        places, speed = self.folder / "places", self.clock.speed
        step = self.pace.step / speed if speed else 0.0
        return launching.contract(base, self.programs, self._drawn, places, step, speed)

    def _pause(self) -> None:
        self.clock.sleep(self.pace.step)

    def _drawn(self, trial: TrialContext) -> Fault | None:
        return self.faults.of_trial(trial.job.name, trial.trial, trial.attempt)

    def _fitted(self, job: TuningJob) -> TuningJob:
        """The job without GPUs that this machine has not; its trials share the rest of it."""
        resources = _fitting(job.trial.resources, job.budget.parallel_trials).model_copy(update=_UNLIMITED)
        variants = [
            one.model_copy(update={"resources": one.resources and one.resources.model_copy(update=_UNLIMITED)})
            for one in job.trial.variants
        ]
        changes = {"resources": resources, "variants": tuple(variants)}
        return job.model_copy(update={"trial": job.trial.model_copy(update=changes)})

    # Beginning again --------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Go on with all that had not ended when the last host of this folder did."""
        for document in self.documents.with_runs():
            assert document.run is not None  # noqa: S101 - tells the type checker what was asked for
            if not self._client.result(document.run).state.ended:
                self._driver(document).start()

    def _driver(self, document: Document) -> Driver:
        driver = Driver(self, document)
        with self._lock:
            self._drivers[driver.run] = driver
        return driver

    def _forget(self, run: str) -> None:
        with self._lock:
            self._drivers.pop(run, None)
        self.clock.leave(run)

    def _points(self) -> list[Point]:
        """Where the clock of the last host of this folder has come to."""
        file = self.folder / "clock.json"
        return [tuple(one) for one in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []

    def _keep_time(self, points: Sequence[Point]) -> None:
        """Write down what the clock shows, whole whenever we are killed."""
        new = self.folder / "clock.new"
        with suppress(OSError):  # the folder of a temporary host may have gone
            new.write_text(json.dumps(points), encoding="utf-8")
            new.replace(self.folder / "clock.json")


def _claim(folder: Path) -> IO[str]:
    """Be the one host of a folder; the lock goes with the process, however that ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / "lock").open("a")
    except OSError as error:
        raise SettingsError(f"the state folder {folder} cannot be used: {error}") from error
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConflictError(f"another emulator uses {folder}", hint="give each its own --state") from None
    return file


def _executor(programs: list[Program | None], *, quick: bool) -> str:
    """Where trials run.

    Raises:
        JobError: some would be processes, others not.
    """
    inside = any(callable(one) for one in programs)
    commands = any(isinstance(one, tuple) for one in programs)
    if inside and commands:
        message = "what its variants run is mapped to commands as well as to functions; map all to one or the other"
        raise JobError.of("the job", [Problem("/trial/variants", message)])
    return "function" if inside or (quick and not commands) else "process"


def _fitting(resources: Resources, parallel: int) -> Resources:
    """What trials lease: GPUs where there are enough for as many trials as run at once, or else none."""
    none = resources.model_copy(update={"gpus": 0, "gpu_memory": None})
    if not wanted(resources):
        return resources
    try:
        room = Pool(discover(), resources).capacity
    except DeviceError:
        return none
    return resources if room is not None and room >= parallel else none


def _seen(result: StudyResult, driver: Driver | None) -> StudyResult:
    """A run that has not ended, as its service would show it."""
    if driver is not None and driver.error is not None:
        return result.model_copy(update={"state": RunState.FAILED, "message": driver.error})
    if driver is not None and driver.stopping:
        return result.model_copy(update={"state": RunState.STOPPING})
    if result.state is RunState.INTERRUPTED:
        state = RunState.RUNNING if result.trials else RunState.PENDING
        return result.model_copy(update={"state": state, "message": ""})
    return result
