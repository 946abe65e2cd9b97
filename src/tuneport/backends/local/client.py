"""Runs on this machine: made, driven, watched and stopped through the store of a workspace."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from tuneport.backends.local.settings import LocalSettings, RaySettings
from tuneport.engine.devices import Leases, Pool, discover, wanted
from tuneport.engine.engine import Engine
from tuneport.engine.executors.cluster import cluster_problems
from tuneport.engine.executors.function import FunctionExecutor
from tuneport.engine.executors.places import PlacesExecutor
from tuneport.engine.executors.process import ProcessExecutor
from tuneport.engine.executors.protocols import Executor
from tuneport.engine.executors.ray import RayExecutor
from tuneport.engine.executors.warming import preload_problems
from tuneport.engine.host import Host, cores, main_memory, most, processors
from tuneport.engine.launch import LaunchContract
from tuneport.engine.ledger import Ledger, machine_folder
from tuneport.engine.logs import follow_log, read_log
from tuneport.engine.metering import Metering
from tuneport.engine.nvml import connected
from tuneport.engine.occupancy import occupancy
from tuneport.engine.record import Record
from tuneport.engine.store import RunRow, Store
from tuneport.errors import ConflictError, EngineError, JobError, UnknownTrialError
from tuneport.model.job import TuningJob
from tuneport.model.results import DeviceUse, RunState, StudyResult, Trial
from tuneport.model.trial_spec import TrialSpec

Observer = Callable[[StudyResult], None]
Note = Callable[[str], None]
Elsewhere = Callable[[str, TuningJob, Mapping[str, Any], Note], PlacesExecutor]
NAME = "local"
POLL = 0.1
"""Seconds between looks at the journal of a run that another process drives."""
UNBEGUN = 15.0
"""Seconds after which a run that nobody has begun to drive is taken for interrupted."""
LIVE = frozenset({RunState.RUNNING, RunState.STOPPING})
"""States that need somebody who drives the run."""
NOTIFY = 0.1
"""Seconds between two calls of an observer; a change in between is told with the next."""


class LocalClient:
    """One workspace of this machine.

    Args:
        settings: of the local backend.
        contracts: from the name of a launch contract to the contract.
        create: make the workspace if it is not there.
        clock: the time of what is recorded.
        around: what stands between the engine of a job and the executor of its trials.
        elsewhere: starts the trials of a run that are not on this machine alone, by its id, job and manifest.
    """

    def __init__(
        self,
        settings: LocalSettings,
        contracts: Callable[[str], LaunchContract],
        *,
        create: bool = False,
        clock: Callable[[], float] = time.time,
        around: Callable[[Executor], Executor] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._settings = settings
        self._elsewhere = elsewhere
        self._contracts = contracts
        self._around = around
        self._store = Store(Path(settings.workspace), create=create, clock=clock)
        self._records: dict[str, Record] = {}
        self._drivers: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def workspace(self) -> Path:
        """The workspace's directory."""
        return self._store.path

    def ref(self, run: str) -> str:
        """The reference of a run."""
        return f"{NAME}:{run}"

    def close(self) -> None:
        """Let go of the journal."""
        self._store.close()

    def create(
        self,
        job: TuningJob,
        base: Path,
        executor: str,
        version: str,
        history: Sequence[Trial] = (),
        places: Sequence[Mapping[str, Any]] = (),
        *,
        rate: float | None = None,
    ) -> str:
        """Record a new run. Nothing is started yet.

        Args:
            job: what it runs.
            base: directory that relative paths of the job mean.
            executor: what is to start its trials.
            version: of tuneport.
            history: trials of earlier runs that its search is to know.
            places: where its trials are, if not on this machine alone: plain data for `elsewhere`.
            rate: what an hour of one trial costs; None: not known.

        Returns:
            its id.

        Raises:
            JobError: its modules cannot be preloaded, or no node of its cluster has room for a trial.
            BackendError: its cluster does not answer, or has other versions than this machine.
        """
        settings = self._settings
        if problems := preload_problems(job.trial, str(base), str(settings.python or sys.executable)):
            raise JobError.of(f"job '{job.name}' cannot run here", problems)
        if isinstance(settings, RaySettings):
            executor = RayExecutor.name
            if problems := cluster_problems(job.trial.resources, settings.address):
                raise JobError.of(f"job '{job.name}' cannot run on the Ray cluster", problems)
        drawn = job.study.algorithm.seed
        manifest = {
            "seed": drawn if drawn is not None else secrets.randbits(32),
            "base": os.path.relpath(base, self._store.path),
            "executor": executor,
            "contract": settings.contract,
            "gpus": settings.gpus,
            "grace": settings.grace,
            "python": str(settings.python) if settings.python else None,
            "version": version,
        }
        if isinstance(settings, RaySettings):
            brought = None if settings.working_dir is None else str(settings.working_dir.resolve())
            manifest["ray"] = {"address": settings.address or os.environ.get("RAY_ADDRESS"), "working_dir": brought}
        if history:
            kept = {"id", "parameters", "state", "final_measurement"}
            manifest["history"] = [one.model_dump(mode="json", include=kept) for one in history]
        if places:
            manifest["places"] = list(places)
        if rate is not None:
            manifest["rate"] = rate
        return self._store.create(job.name, job.model_dump_json(), manifest).id

    def find(self, name: str) -> str:
        """The id of the run that `name` means: an id, or the beginning of just one."""
        return self._store.find(name).id

    def runs(self) -> list[str]:
        """Ids of all runs, newest first."""
        return [row.id for row in self._store.runs()]

    # Driving ----------------------------------------------------------------------------------------------------

    def drive(
        self,
        run: str,
        observer: Observer | None = None,
        function: Callable[..., Any] | None = None,
        *,
        stopping: bool = False,
        fresh: bool = False,
    ) -> None:
        """Drive a run in this process until it ends, or until it is interrupted.

        Args:
            run: its id.
            observer: is told the run's state now and then.
            function: the objective, for a run that tunes a function of this process.
            stopping: only stop what still runs, and end the run.
            fresh: do nothing unless it has never been driven.

        Raises:
            ConflictError: another process drives it, it has ended, or it needs the function that it was made with.
            KeyboardInterrupt: SIGINT or SIGTERM came; everything is recorded and the run can be resumed.
        """
        row = self._store.find(run)
        if not stopping:
            _check_executor(row, function)
        with self._store.driving(run):
            self._store.forget_requests(run)  # at once: from now on, requests are meant for us
            record = self._replay(row)
            if fresh and record.state is not RunState.PENDING:
                return  # somebody stopped it, or took it over, before it could begin
            if record.state.ended and record.state is not RunState.STOPPED:
                raise ConflictError(f"run {run} has ended: {record.message}", backend=NAME)
            with contextlib.ExitStack() as held:
                engine, executor = self._engine(row, record, function, observer, held)
                held.callback(executor.close)
                with _interruptible(engine):
                    engine.run(stopping=stopping)
            if record.state is RunState.INTERRUPTED:
                raise KeyboardInterrupt

    def _engine(
        self,
        row: RunRow,
        record: Record,
        function: Callable[..., Any] | None,
        observer: Observer | None,
        held: contextlib.ExitStack,
    ) -> tuple[Engine, Executor]:
        manifest = row.manifest
        notes: deque[str] = deque()
        away = self._away(row, record.job, notes.append)
        executor: Executor
        pool: Leases
        if away is not None:
            executor = pool = away
        elif manifest["executor"] == FunctionExecutor.name:
            executor = FunctionExecutor(function or _no_function)
            pool = Pool(discover(manifest["gpus"]), record.job.trial.resources)
        else:
            executor, pool = self._here(row, record.job.trial, notes.append, held)
        if self._around is not None:
            executor = self._around(executor)
        engine = Engine(
            self._store,
            record,
            executor,
            pool,
            base=str((self._store.path / manifest["base"]).resolve()),
            python=manifest["python"] or sys.executable,
            cpus=processors(),
            observer=_Notifier(observer) if observer else None,
            notes=notes,
            lasts=away.lasts if isinstance(away, PlacesExecutor) else None,
        )
        return engine, executor

    def _here(
        self, row: RunRow, trial: TrialSpec, note: Note, held: contextlib.ExitStack
    ) -> tuple[ProcessExecutor, Pool]:
        """What starts processes on this machine, and leases what it has, of which other runs may have some."""
        manifest, ledger, meter = row.manifest, None, None
        devices, host = discover(manifest["gpus"]), Host(most(trial), cores(), main_memory())
        if wanted(trial.resources) or host.wanted:
            # Declared devices exist in one workspace's view alone.
            folder = machine_folder() if manifest["gpus"] is None else self._store.path / "leases"
            ledger = held.enter_context(contextlib.closing(Ledger(folder, row.id)))
        if wanted(trial.resources) and (meter := connected()):
            held.callback(meter.close)
        pool = Pool(devices, trial.resources, ledger, note, host if host.wanted else None)
        executor = ProcessExecutor(
            self._contracts(manifest["contract"]),
            grace=manifest["grace"],
            keeps=() if ledger is None else (ledger.descriptor,),
            note=note,
            metering=Metering(meter, devices),
        )
        return executor, pool

    def _away(self, row: RunRow, job: TuningJob, note: Note) -> PlacesExecutor | RayExecutor | None:
        """What starts the trials of a run elsewhere, and leases their places; None for one of this machine alone."""
        manifest = row.manifest
        if manifest["executor"] == RayExecutor.name:
            contract = self._contracts(manifest["contract"])
            return RayExecutor(
                contract, row.id, job.trial.resources, **manifest["ray"], grace=manifest["grace"], note=note
            )
        if "places" not in manifest:
            return None
        if self._elsewhere is None:
            raise ConflictError(f"trials of run {row.id} are not on this machine", backend=NAME)
        return self._elsewhere(row.id, job, manifest, note)

    def detach(self, run: str, argv: Sequence[str]) -> None:
        """Start the process that is to drive a run, in the background; it outlives this one."""
        log = self._store.folder(run) / "driver.log"
        with log.open("ab") as output:
            driver = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._drivers[run] = driver
        threading.Thread(target=driver.wait, daemon=True).start()  # so that it leaves no zombie, whoever forgets it

    # Watching ---------------------------------------------------------------------------------------------------

    def result(self, run: str) -> StudyResult:
        """The run as it is now."""
        record, driven = self._record(run), self._store.driven(run)
        if record.state in LIVE and not driven:
            record = self._record(run)  # a driver that has just ended has written all it had by now
            driven = self._store.driven(run)  # and another one may have begun
        result = record.result(driven=driven)
        if record.state is RunState.PENDING and not driven:
            return self._unbegun(run, result)
        return result

    def _unbegun(self, run: str, result: StudyResult) -> StudyResult:
        """A run that nobody drives yet; after a while, that is no longer to be expected."""
        driver = self._drivers.get(run)
        late = self._store.clock() - (result.created or 0.0) > UNBEGUN
        if not late or (driver is not None and driver.poll() is None):
            return result
        return result.model_copy(update={"state": RunState.INTERRUPTED, "message": "it was never begun"})

    def changes(self, run: str, until: float | None = None) -> Iterator[StudyResult]:
        """The run as it is now and whenever it has changed, until nobody drives it any more.

        Args:
            run: its id.
            until: not longer than to this moment of time.monotonic().

        Raises:
            EngineError: its driver could not be started.
        """
        seen: tuple[int, RunState] | None = None
        while True:
            result = self.result(run)
            now = self._records[run].seq, result.state  # as far as `result` knows: it is not brought up to date here
            if now != seen:
                seen = now
                yield result
            if result.state is not RunState.PENDING and result.state not in LIVE:
                return
            self._check_driver(run, result)
            if until is not None and time.monotonic() >= until:
                return
            time.sleep(POLL)

    def _check_driver(self, run: str, result: StudyResult) -> None:
        driver = self._drivers.get(run)
        if driver is not None and driver.poll() is not None and result.state is RunState.PENDING:
            said = (self._store.folder(run) / "driver.log").read_text(encoding="utf-8", errors="replace")
            raise EngineError(f"run {run} could not be started:\n{said[-2000:]}")

    def job(self, run: str) -> TuningJob:
        """The job of a run."""
        return self._record(run).job

    def folder(self, run: str) -> Path:
        """The folder of a run."""
        return self._store.folder(run)

    def devices(self, run: str) -> Sequence[DeviceUse]:
        """The GPUs of this machine and what they have to do, while trials of a run are on them."""
        return occupancy(self._record(run))

    def logs(self, run: str, trial: int, *, follow: bool = False) -> Iterator[str]:
        """Lines of a trial's output.

        Raises:
            UnknownTrialError: the run has no such trial.
        """
        record = self._record(run)
        if trial not in record.lives:
            raise UnknownTrialError(f"run {run} has no trial {trial}; it has {len(record.lives)}")
        folder = self._store.trial_folder(run, trial)
        if not follow:
            return read_log(folder)
        return follow_log(folder, lambda: self._silent(run, trial))

    def _silent(self, run: str, trial: int) -> bool:
        record = self._record(run)
        return record.lives[trial].ended is not None or not self._store.driven(run)

    # Ending -----------------------------------------------------------------------------------------------------

    def stop(self, run: str, trial: int | None = None) -> None:
        """Ask a run, or one of its trials, to stop. Returns at once; an interrupted run is stopped for good.

        Raises:
            UnknownTrialError: the trial does not run.
            ConflictError: the run has ended, or nobody drives it and only one trial is to be stopped.
        """
        record = self._record(run)
        if record.state.ended:
            raise ConflictError(f"run {run} has ended: {record.message}", backend=NAME)
        if trial is not None and trial not in record.running and trial not in record.paused:
            raise UnknownTrialError(f"trial {trial} of run {run} is not running")
        if self._store.driven(run):
            self._store.request_stop(run, trial)
        elif trial is None:
            self.drive(run, stopping=True)  # nobody is there to hear it: take over and end it
        else:
            raise ConflictError(f"nobody drives run {run}", backend=NAME, hint=f"first: tuneport resume {run}")

    def delete(self, run: str) -> None:
        """Forget a run and remove its files.

        Raises:
            ConflictError: it is being driven.
        """
        with self._store.driving(run):
            record = self._replay(self._store.find(run))
            if record.running and not record.state.ended:
                raise ConflictError(
                    f"trials of run {run} may still be running", backend=NAME, hint=f"first: tuneport stop {run}"
                )
            self._store.delete(run)
        self._records.pop(run, None)

    # The record -------------------------------------------------------------------------------------------------

    def _record(self, run: str) -> Record:
        """The record of a run, brought up to date."""
        record = self._records.get(run)
        if record is None:
            record = self._records[run] = Record(self._store.find(run), f"{NAME}:{run}", self._store.clock)
        for event in self._store.events(run, after=record.seq):
            record.apply(event)
        return record

    def _replay(self, row: RunRow) -> Record:
        self._records.pop(row.id, None)
        return self._record(row.id)


def _check_executor(row: RunRow, function: Callable[..., Any] | None) -> None:
    if row.manifest["executor"] == FunctionExecutor.name and function is None:
        raise ConflictError(
            f"run {row.id} tunes a function of a Python process",
            backend=NAME,
            hint=f"go on with it there: tuneport.tune(function, ..., resume='{row.id}')",
        )
    if row.manifest["executor"] != FunctionExecutor.name and function is not None:
        raise ConflictError(f"run {row.id} runs programs, not a function", backend=NAME)


class _Notifier:
    """Tells an observer of changes, but not more often than it is of use to a person."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._told = 0.0

    def __call__(self, record: Record) -> None:
        now = time.monotonic()
        final = record.state not in LIVE
        if final or now - self._told >= NOTIFY:
            self._told = now
            self._observer(record.result(driven=True))


def _no_function(**_: object) -> None:
    """Stands for the function of a run that is only being stopped: nothing is started any more."""


@contextlib.contextmanager
def _interruptible(engine: Engine) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the run cleanly; a second SIGINT does not wait for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)
        engine.interrupt()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
