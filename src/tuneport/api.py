"""The public verbs: run, submit, resume, attach, tune, and the handle of a run. The backend is one word."""

from __future__ import annotations

import importlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tuneport import translating
from tuneport.backends import registry
from tuneport.backends.local.client import NAME as LOCAL
from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.settings import LocalSettings
from tuneport.config import load as load_config
from tuneport.engine.devices import discover
from tuneport.engine.executors.function import FunctionExecutor
from tuneport.engine.executors.process import ProcessExecutor
from tuneport.engine.launch import LaunchContract
from tuneport.engine.preflight import local_problems
from tuneport.errors import (
    BackendNotFoundError,
    ConflictError,
    JobError,
    MissingExtraError,
    Problem,
    RunNotFoundError,
    TrialsFailedError,
    WaitTimeoutError,
)
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Categorical, Discrete, Float, Int
from tuneport.model.results import RunState, StudyResult, Trial
from tuneport.model.study import Algorithm, EarlyStopping, Objective, StudySpec
from tuneport.model.trial_spec import TrialSpec
from tuneport.remote.ledger import Ledger
from tuneport.remote.runs import RemoteRuns, last_seen
from tuneport.translation.capabilities import Fidelity, screen

if TYPE_CHECKING:
    import pandas as pd

W = TypeVar("W", TrialSpec, Budget)
Progress = Callable[[StudyResult], None]
Parameters = Sequence[Float | Int | Discrete | Categorical]


_BEGIN = """
import sys
import tuneport
tuneport.attach(sys.argv[1], workspace=sys.argv[2]).begin()
"""
"""What the process of a submitted run does: begin with it, unless somebody has stopped it in the meantime."""


class Run:
    """A run that was submitted somewhere, by the reference under which it is found again.

    Everything is read when it is asked for; a Run holds no state of its own and can be made anew with `attach`.
    """

    def __init__(self, client: LocalClient | RemoteRuns, name: str) -> None:
        self._client = client
        self._name = name

    @property
    def ref(self) -> str:
        """Reference for `attach` and the command line, such as local:digits-7f3a or sagemaker:eu-west-1/digits-7f3a."""
        return self._client.ref(self._name)

    @property
    def job(self) -> TuningJob:
        """The job that it runs."""
        return self._client.job(self._name)

    @property
    def result(self) -> StudyResult:
        """Its whole record as it is now."""
        return self._client.result(self._name)

    @property
    def state(self) -> RunState:
        """Where it is in its life."""
        return self.result.state

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Its trials so far, by id."""
        return self.result.trials

    @property
    def best(self) -> Trial | None:
        """The best trial so far; None while there is no result."""
        return self.result.best

    @property
    def folder(self) -> Path | None:
        """Where its trials keep their files; None if that is not on this machine."""
        return self._client.folder(self._name) if isinstance(self._client, LocalClient) else None

    def changes(self) -> Iterator[StudyResult]:
        """Its record now and after each change, until nobody drives it any more."""
        return self._client.changes(self._name)

    def wait(self, timeout: float | None = None, *, progress: Progress | None = None) -> StudyResult:
        """Wait until it has ended or was interrupted.

        Args:
            timeout: at most so many seconds; None: as long as it takes.
            progress: is called with the record now and whenever it has changed.

        Raises:
            WaitTimeoutError: the time is over; the run goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        for last in self._client.changes(self._name, end):
            if progress is not None:
                progress(last)
        if last.state in {RunState.PENDING, RunState.RUNNING, RunState.STOPPING}:
            msg = f"run {self.ref} has not ended after {timeout:g} s"
            raise WaitTimeoutError(msg, hint="wait again, or follow it")
        return last

    def stop(self, trial: int | None = None) -> None:
        """Ask it, or one of its trials, to stop.

        Returns at once if the run is driven. If nobody drives it any more, this process stops what is left of it, which
        takes at most the grace.
        """
        self._client.stop(self._name, trial)

    def begin(self) -> None:
        """Drive it in this process if nobody has yet: what `submit` does in a process of its own."""
        _local(self).drive(self._name, fresh=True)

    def delete(self) -> None:
        """Forget it and remove its files."""
        self._client.delete(self._name)

    def logs(self, trial: int, *, follow: bool = False) -> Iterator[str]:
        """Lines that a trial wrote; with `follow`, until it ends."""
        return self._client.logs(self._name, trial, follow=follow)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per trial, as StudyResult.to_records.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            from pandas import DataFrame  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError("to_dataframe needs pandas", hint="pip install 'tuneport[report]'") from error
        return DataFrame(self.result.to_records())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, Path | None]:
        return self.ref, self._client.workspace if isinstance(self._client, LocalClient) else None

    def __repr__(self) -> str:
        return f"<tuneport.Run {self.ref}>"


def _local(run: Run) -> LocalClient:
    """The client of a run of this machine.

    Raises:
        ConflictError: a service drives it.
    """
    client = run._client  # noqa: SLF001 - one module
    if not isinstance(client, LocalClient):
        raise ConflictError(f"run {run.ref} is driven by its service", hint=f"follow it: tuneport follow {run.ref}")
    return client


def check(
    job: TuningJob | Mapping[str, Any],
    *,
    on: str | None = None,
    settings: Mapping[str, Any] | None = None,
    base: Path | None = None,
    workspace: str | Path | None = None,
) -> list[Problem]:
    """Everything that is wrong with a job, and all that stands in the way of running it there; empty if nothing does.

    Args:
        job: a job, or plain data that should be one.
        on: the backend; None: the configured one.
        settings: of that backend, over the configured ones.
        base: directory that relative paths of the job mean; None: the current one.
        workspace: where it is to be recorded; None: the configured one.

    Raises:
        JobError: `job` is neither a job nor a mapping or, for a cloud, no valid job.
        BackendNotFoundError: there is no such backend.
    """
    _check_kind(job)
    name = on or load_config().on
    if translating.has_documents(registry.load(name)):
        valid = job if isinstance(job, TuningJob) else TuningJob.model_validate(dict(job))
        return translating.refusals(valid, name, settings=settings)
    name, chosen = _settings(on, _within(settings, workspace))
    if isinstance(job, TuningJob):
        problems = screen(job, registry.load(name).capabilities)
        return [*problems, *_machine_problems(job.trial, job.budget, chosen, base)]
    try:
        return check(TuningJob.model_validate(dict(job)), on=on, settings=settings, base=base, workspace=workspace)
    except JobError as error:
        # What is right by itself is looked at all the same, so that one report says everything.
        trial, budget = _part(TrialSpec, job.get("trial")), _part(Budget, job.get("budget", {}))
        return [*error.problems, *_machine_problems(trial, budget, chosen, base)]


def _check_kind(job: object) -> None:
    """A file's name, say, is no job; what is wrong inside of a mapping is told by validation."""
    if not isinstance(job, (TuningJob, Mapping)):
        raise JobError(f"must be a TuningJob (tuneport.files.read_job reads a file), not {type(job).__name__}")


def _part(kind: type[W], data: Any) -> W | None:
    try:
        return kind.model_validate(data)
    except JobError:
        return None


def _machine_problems(
    trial: TrialSpec | None, budget: Budget | None, settings: LocalSettings, base: Path | None
) -> Iterator[Problem]:
    yield from local_problems(trial, budget, base or Path.cwd(), discover(settings.gpus))


def submit(
    job: TuningJob | Mapping[str, Any],
    *,
    on: str | None = None,
    settings: Mapping[str, Any] | None = None,
    base: Path | None = None,
    tolerate: str = "emulated",
    form: str | None = None,
    workspace: str | Path | None = None,
) -> Run:
    """Start a job and return at once. On this machine it runs in a process of its own, which outlives this one.

    Args:
        job: the job, or plain data that is one.
        on: the backend, "local" unless configured otherwise.
        settings: of that backend, over the configured ones; for local see LocalSettings.
        base: directory that relative paths of the job mean; None: the current one.
        tolerate: the worst fidelity that may be lost on the way to a cloud; nothing is sent if the report holds worse.
        form: what kind of document a cloud gets.
        workspace: where the run is recorded; None: the configured one.

    Raises:
        JobError: the job cannot run there; nothing has been started.
        ToleranceError: it would lose more than is tolerated; nothing has been sent.
        BackendNotFoundError: there is no such backend.
        BackendError: the service refuses it, or cannot be reached.
    """
    name = on or load_config().on
    if translating.has_documents(registry.load(name)):
        return _send(job, name, settings, Fidelity(tolerate), form, workspace)
    client, made = _create(job, name, _within(settings, workspace), base)
    client.detach(made, [sys.executable, "-c", _BEGIN, made, str(client.workspace)])
    return Run(client, made)


def _send(
    job: TuningJob | Mapping[str, Any],
    name: str,
    settings: Mapping[str, Any] | None,
    tolerate: Fidelity,
    form: str | None,
    workspace: str | Path | None,
) -> Run:
    """Check everything, then submit the job to a cloud."""
    _check_kind(job)
    valid = job if isinstance(job, TuningJob) else TuningJob.model_validate(dict(job))
    if problems := translating.refusals(valid, name, settings=settings):
        raise JobError.of(f"job '{valid.name}' cannot run on {name}", problems)
    translated = translating.to_submit(valid, name, settings=settings, form=form)
    translated.report.require(tolerate)
    runs_there = _remote(name, settings, workspace)
    return Run(runs_there, runs_there.submit(valid, translated))


def run(
    job: TuningJob | Mapping[str, Any],
    *,
    on: str | None = None,
    settings: Mapping[str, Any] | None = None,
    base: Path | None = None,
    progress: Progress | None = None,
    tolerate: str = "emulated",
    workspace: str | Path | None = None,
) -> Run:
    """Run a job to its end. On this machine it is driven by this process; elsewhere it is submitted and waited for.

    Args:
        job: the job, or plain data that is one.
        on: the backend, "local" unless configured otherwise.
        settings: of that backend, over the configured ones; for local see LocalSettings.
        base: directory that relative paths of the job mean; None: the current one.
        progress: is called with the record as it grows, some ten times a second at most.
        tolerate: as in `submit`.
        workspace: where the run is recorded; None: the configured one.

    Raises:
        JobError: the job cannot run there; nothing has been started.
        ToleranceError: it would lose more than is tolerated; nothing has been sent.
        BackendError: the service refuses it, or cannot be reached.
        KeyboardInterrupt: interrupted; the run is recorded and `resume` goes on with it, or a service does anyway.
    """
    name = on or load_config().on
    if translating.has_documents(registry.load(name)):
        sent = submit(job, on=name, settings=settings, tolerate=tolerate, workspace=workspace)
        sent.wait(progress=progress)
        return sent
    client, made = _create(job, name, _within(settings, workspace), base)
    client.drive(made, progress)
    return Run(client, made)


def resume(ref: str, *, workspace: str | Path | None = None, progress: Progress | None = None) -> Run:
    """Go on with an interrupted or stopped run of this machine, in this process, to its end.

    What ended stays ended; trials that still run are taken over, those that were cut off run again.

    Args:
        ref: its reference, or the beginning of its id.
        workspace: where it is recorded; None: the configured one.
        progress: as in `run`.

    Raises:
        RunNotFoundError: there is no such run.
        ConflictError: it has ended, or another process or a service drives it.
    """
    handle = attach(ref, workspace=workspace)
    _local(handle).drive(handle._name, progress)  # noqa: SLF001 - one module
    return handle


def attach(ref: str, *, workspace: str | Path | None = None) -> Run:
    """The handle of a run that was started before, by anybody, from any machine.

    Args:
        ref: its reference such as local:digits-7f3a or sagemaker:eu-west-1/digits-7f3a; of runs of this machine also
            its id, or the beginning of just one id.
        workspace: where it is recorded; None: the configured one.

    Raises:
        RunNotFoundError: there is no such run, or no such workspace. Whether a service has it is seen when it is asked.
        BackendNotFoundError: there is no such backend.
        TypeError: the reference is not text.
    """
    backend, name = _parts(ref)
    if backend != LOCAL:
        return Run(_remote(backend, None, workspace), name)
    client = _client(_settings(LOCAL, _at(workspace))[1])
    return Run(client, client.find(name))


def _parts(ref: str) -> tuple[str, str]:
    """The backend of a reference, and what the backend calls the run."""
    if not isinstance(ref, str):
        raise TypeError(f"a run's reference must be text such as 'local:digits-7f3a', not {type(ref).__name__}")
    backend, colon, name = ref.partition(":")
    if not colon:
        return LOCAL, ref
    if backend != LOCAL:
        translating.cloud(backend)
    return backend, name


def _remote(name: str, settings: Mapping[str, Any] | None = None, workspace: str | Path | None = None) -> RemoteRuns:
    backend = translating.cloud(name)
    return RemoteRuns(backend, translating.settings_of(backend, settings), _ledger(workspace))


def _ledger(workspace: str | Path | None) -> Ledger:
    return Ledger(_settings(LOCAL, _at(workspace))[1].workspace)


def runs(*, workspace: str | Path | None = None) -> list[StudyResult]:
    """The records of all runs of a workspace, newest first.

    Runs of services are as they were when they were last looked at from here, without trials; no service is asked.

    Args:
        workspace: where they are recorded; None: the configured one, which has none as long as it has not been made.

    Raises:
        RunNotFoundError: the workspace that was given is not there.
    """
    try:
        client = _client(_settings(LOCAL, _at(workspace))[1])
    except RunNotFoundError:
        if workspace is not None:
            raise
        return []
    found = [client.result(name) for name in client.runs()]
    found += [last_seen(one) for one in _ledger(workspace).submissions()]
    return sorted(found, key=lambda result: result.created or 0.0, reverse=True)


def tune(
    function: Callable[..., Any],
    parameters: Parameters,
    *,
    goal: Literal["minimize", "maximize"] = "minimize",
    metric: str = "objective",
    max_trials: int | None = 50,
    parallel_trials: int = 1,
    algorithm: Algorithm | None = None,
    early_stopping: EarlyStopping | None = None,
    seed: int | None = None,
    name: str | None = None,
    workspace: str | Path | None = None,
    resume: str | None = None,
    progress: Progress | None = None,
    **budget: Any,
) -> Trial:
    """Tune a plain Python function in this process.

    Args:
        function: gets the parameters as keyword arguments (or as one dict, if it takes a single argument that is not
            the name of a parameter) and returns the metric, or a mapping of metrics. If it yields, every value is a
            report, and early stopping may end it.
        parameters: the search space.
        goal: which way is better.
        metric: what the returned number is called.
        max_trials: calls in all.
        parallel_trials: calls at the same time, on threads.
        algorithm: how points are proposed; None: the default of StudySpec.
        early_stopping: how hopeless trials are ended; for functions that yield.
        seed: makes the suggestions repeatable; for the default algorithm, others carry their own.
        name: of the run; None: the function's.
        workspace: where the run is recorded; None: the configured one.
        resume: reference of an earlier call's run that was interrupted, to go on with it. What is searched, and for
            what, must be what that run was made with. The algorithm with its seed, and limits, go on as recorded; those
            that are given must be the same.
        progress: as in `run`.
        **budget: other fields of Budget, such as max_seconds.

    Returns:
        The best trial: its `parameters`, and its `metrics`.

    Raises:
        JobError: the arguments make no valid job, or not that of the run to resume; nothing has been started.
        TrialsFailedError: no call gave a result.
        KeyboardInterrupt: interrupted; it says how to go on.
    """
    if not callable(function):
        raise JobError(f"what is tuned must be a function, not {type(function).__name__}")
    chosen = {} if algorithm is None else {"algorithm": algorithm}
    if seed is not None:
        chosen["algorithm"] = (algorithm or StudySpec.model_fields["algorithm"].default).changed(seed=seed)
    label = getattr(function, "__qualname__", type(function).__qualname__)
    job = TuningJob(
        name=name or label.strip("<>"),
        study=StudySpec(
            parameters=tuple(parameters),
            objectives=(Objective(metric=metric, goal=goal),),
            early_stopping=early_stopping,
            **chosen,
        ),
        trial=TrialSpec(function=_function_label(function, label)),
        budget=Budget(max_trials=max_trials, parallel_trials=parallel_trials, **budget),
    )
    return _tune(function, job, workspace, resume, progress)


def _function_label(function: Callable[..., Any], label: str) -> str:
    """What the record calls a function that lives in this process only."""
    parts = f"{getattr(function, '__module__', None) or 'builtins'}:{label}"
    return re.sub(r"[^\w.:]", "", parts)


def _tune(
    function: Callable[..., Any],
    job: TuningJob,
    workspace: str | Path | None,
    resume: str | None,
    progress: Progress | None,
) -> Trial:
    given = None if resume is None else _parts(resume)[1]
    client = _client(_settings("local", _at(workspace))[1], create=given is None)
    if given is None:
        name = client.create(job, Path.cwd(), FunctionExecutor.name, _version())
    else:
        name = client.find(given)
        _check_same(name, job, client.job(name))
    try:
        client.drive(name, progress, function)
    except KeyboardInterrupt:
        ref = Run(client, name).ref
        raise KeyboardInterrupt(f"interrupted; go on with tuneport.tune(..., resume={ref!r})") from None
    result = client.result(name)
    if result.best is None:
        failures = [trial.failure.message for trial in result.trials if trial.failure]
        said = f"; the first: {failures[0]}" if failures else ""
        raise TrialsFailedError(f"run {result.ref} has no result: {result.message}{said}")
    return result.best


def _check_same(name: str, given: TuningJob, recorded: TuningJob) -> None:
    """The arguments of a call that resumes a run must be those that the run was made with, as far as they are given."""
    left_out = set() if "algorithm" in given.study.model_fields_set else {"algorithm"}
    defaults = Budget()
    left_out |= {field for field, value in given.budget if value == getattr(defaults, field)}
    words = [("study", given.study, recorded.study), ("budget", given.budget, recorded.budget)]
    problems = [
        Problem(f"/{part}/{field}", f"is not what run {name} was made with")
        for part, now, before in words
        for field, value in now
        if field not in left_out and value != getattr(before, field)
    ]
    if problems:
        hint = "give the same arguments, or leave resume out"
        raise JobError(f"run {name} cannot be resumed with other arguments", problems=problems, hint=hint)


def _create(
    job: TuningJob | Mapping[str, Any], on: str | None, settings: Mapping[str, Any] | None, base: Path | None
) -> tuple[LocalClient, str]:
    """Check everything, then record the new run."""
    problems = check(job, on=on, settings=settings, base=base)
    chosen = _settings(on, settings)[1]
    if problems:
        name = job.name if isinstance(job, TuningJob) else job.get("name")
        raise JobError.of(f"job '{name}' cannot run here", problems)
    job = job if isinstance(job, TuningJob) else TuningJob.model_validate(dict(job))
    client = _client(chosen, create=True)
    return client, client.create(job, base or Path.cwd(), ProcessExecutor.name, _version())


def _settings(on: str | None, settings: Mapping[str, Any] | None) -> tuple[str, LocalSettings]:
    """The backend that is meant and its settings, all layers considered."""
    name = on or load_config().on
    backend = registry.load(name)
    chosen = load_config({"on": name, name: dict(settings or {})}).settings(backend)
    if not isinstance(chosen, LocalSettings):
        raise BackendNotFoundError(f"'{name}' neither runs jobs here nor has documents of its own", backend=name)
    return name, chosen


def _client(settings: LocalSettings, *, create: bool = False) -> LocalClient:
    return LocalClient(settings, _contract, create=create)


def _contract(name: str) -> LaunchContract:
    contract: LaunchContract = importlib.import_module(f"tuneport.backends.{name}.launch").launch
    return contract


def _within(settings: Mapping[str, Any] | None, workspace: str | Path | None) -> dict[str, Any]:
    """Settings of this machine, with the workspace that a call names."""
    return {**(settings or {}), **_at(workspace)}


def _at(workspace: str | Path | None) -> dict[str, Any]:
    return {} if workspace is None else {"workspace": str(workspace)}


def _version() -> str:
    from tuneport import __version__  # noqa: PLC0415 - reads the installed metadata, which costs a little

    return __version__
