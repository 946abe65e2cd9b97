"""The public verbs: check, run, submit, resume, attach, runs. The backend is one word."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneport import here, translating
from tuneport.backends import registry
from tuneport.config import load as load_config
from tuneport.errors import JobError, Problem, RunNotFoundError
from tuneport.handle import LOCAL, Progress, Run, parts
from tuneport.model.job import TuningJob
from tuneport.model.results import StudyResult, Trial
from tuneport.packaging import packed, upload
from tuneport.remote.ledger import Ledger
from tuneport.remote.runs import RemoteRuns, last_seen
from tuneport.translation.capabilities import Fidelity

if TYPE_CHECKING:
    from tuneport.backends.local.client import LocalClient
    from tuneport.model.history import History

_BEGIN = """
import sys
import tuneport
tuneport.attach(sys.argv[1], workspace=sys.argv[2]).begin()
"""
"""What the process of a submitted run does: begin with it, unless somebody has stopped it in the meantime."""


def check(
    job: TuningJob | Mapping[str, Any],
    *,
    on: str | None = None,
    settings: Mapping[str, Any] | None = None,
    base: Path | None = None,
    drive: bool = False,
    workspace: str | Path | None = None,
) -> list[Problem]:
    """Everything that is wrong with a job, and all that stands in the way of running it there; empty if nothing does.

    Args:
        job: a job, or plain data that should be one.
        on: the backend; None: the configured one.
        settings: of that backend, over the configured ones.
        base: directory that relative paths of the job mean; None: the current one.
        drive: our own search is to drive its trials there; see `submit`.
        workspace: where it is to be recorded; None: the configured one.

    Raises:
        JobError: `job` is neither a job nor a mapping or, for a cloud, no valid job.
        BackendNotFoundError: there is no such backend.
    """
    _check_kind(job)
    name, settings = _meant(on, settings)
    if _is_driven(name, drive=drive):
        from tuneport import driven  # noqa: PLC0415 - loads the engine, which clouds do not need

        return driven.refusals(_valid(job), _names(name), settings, base or Path.cwd())
    if translating.has_documents(registry.load(name)):
        valid = _valid(job)
        return translating.with_way_out(_refusals(valid, name, settings, base), name, valid)
    return here.problems(job, name, here.settings(name, settings, workspace), base)


def _refusals(job: TuningJob, name: str, settings: Mapping[str, Any] | None, base: Path | None) -> list[Problem]:
    """What stands in the way of running a job on a cloud, its code being where `submit` would put it."""
    try:
        placed, _ = packed(job, name, settings=settings, base=base)
    except JobError as error:
        others = translating.refusals(job, name, settings=settings)
        return [*error.problems, *(one for one in others if one.pointer != "/trial/package")]
    return translating.refusals(placed, name, settings=settings)


def _meant(on: str | None, settings: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any] | None]:
    """The backend, and its settings; the address of a Ray cluster says both."""
    name = on or load_config().on
    return ("ray", {**(settings or {}), "address": name}) if name.startswith("ray://") else (name, settings)


def _check_kind(job: object) -> None:
    """A file's name, say, is no job; what is wrong inside of a mapping is told by validation."""
    if not isinstance(job, (TuningJob, Mapping)):
        raise JobError(f"must be a TuningJob (tuneport.files.read_job reads a file), not {type(job).__name__}")


def _valid(job: TuningJob | Mapping[str, Any]) -> TuningJob:
    return job if isinstance(job, TuningJob) else TuningJob.model_validate(dict(job))


def _is_driven(name: str, *, drive: bool) -> bool:
    """Whether our own search drives trials elsewhere; on this machine alone it does so anyway."""
    return "," in name or (drive and name != LOCAL)


def _names(on: str) -> list[str]:
    return list(dict.fromkeys(one.strip() for one in on.split(",")))


def submit(
    job: TuningJob | Mapping[str, Any],
    *,
    on: str | None = None,
    settings: Mapping[str, Any] | None = None,
    base: Path | None = None,
    tolerate: str = "emulated",
    form: str | None = None,
    drive: bool = False,
    parallel: Mapping[str, int] | None = None,
    history: Sequence[History] = (),
    workspace: str | Path | None = None,
) -> Run:
    """Start a job and return at once. On this machine it runs in a process of its own, which outlives this one.

    Args:
        job: the job, or plain data that is one.
        on: the backend, "local" unless configured otherwise; of several, such as "vertex,local", each trial goes to the
            first that has room.
        settings: of that backend, over the configured ones; for local see LocalSettings. Of several, each by its name.
        base: directory that relative paths of the job mean; None: the current one.
        tolerate: the worst fidelity that may be lost on the way to a cloud; nothing is sent if the report holds worse.
        form: what kind of document a cloud gets.
        drive: our own search drives the trials, each of which is one training job of the cloud: whatever its tuner
            lacks. The run is one of this machine; it can be interrupted and resumed, and takes over what goes on there.
        parallel: of a driven run, the most trials at once in some of its places.
        history: what earlier runs have found, beside those of `job.warm_start`, for a search that is ours.
        workspace: where the run is recorded; None: the configured one.

    Raises:
        JobError: the job cannot run there; nothing has been started.
        ToleranceError: it would lose more than is tolerated; nothing has been sent.
        BackendNotFoundError: there is no such backend.
        BackendError: the service refuses it, or cannot be reached.
    """
    _check_kind(job)
    name, settings = _meant(on, settings)
    if _is_driven(name, drive=drive):
        client, made = _create_driven(job, name, settings, base, Fidelity(tolerate), parallel, history, workspace)
    elif translating.has_documents(registry.load(name)):
        return _send(job, name, settings, Fidelity(tolerate), form, workspace, base)
    else:
        client, made = _create(job, name, settings, base, history, workspace)
    client.detach(made, [sys.executable, "-c", _BEGIN, made, str(client.workspace)])
    return Run(client, made)


def _create(
    job: TuningJob | Mapping[str, Any],
    name: str,
    settings: Mapping[str, Any] | None,
    base: Path | None,
    history: Sequence[History],
    workspace: str | Path | None,
) -> tuple[LocalClient, str]:
    """Check everything, then record a run of this machine, which knows what earlier ones have found."""

    def known(valid: TuningJob) -> Sequence[Trial]:
        return _known(valid, base, history, workspace)

    return here.create(job, name, here.settings(name, settings, workspace), base, known)


def _known(
    job: TuningJob, base: Path | None, history: Sequence[History], workspace: str | Path | None
) -> Sequence[Trial]:
    """What earlier runs have found that means something to a job."""
    from tuneport.model.history import fit  # noqa: PLC0415 - not every run has a history

    earlier = [_history(one.run, job, base, workspace) for one in job.warm_start]
    return fit([*history, *earlier], job.study).trials


def _create_driven(
    job: TuningJob | Mapping[str, Any],
    name: str,
    settings: Mapping[str, Any] | None,
    base: Path | None,
    tolerate: Fidelity,
    parallel: Mapping[str, int] | None,
    history: Sequence[History],
    workspace: str | Path | None,
) -> tuple[LocalClient, str]:
    """Check everything, then record a run of this machine whose trials are elsewhere."""
    from tuneport import driven  # noqa: PLC0415 - loads the engine, which clouds do not need

    valid, names = _valid(job), _names(name)
    places = driven.places(valid, names, settings, parallel, tolerate, base or Path.cwd())
    if parallel and set(parallel) == set(names):
        budget = valid.budget.changed(parallel_trials=sum(parallel.values()))
        valid = valid.model_copy(update={"budget": budget})
    earlier = _known(valid, base, history, workspace)
    return here.create_driven(valid, places, workspace, base, earlier)


def _history(name: str, job: TuningJob, base: Path | None, workspace: str | Path | None) -> History:
    """What `warm_start` names: a file of trials, or a run."""
    from tuneport.files.histories import OPTUNA, is_history, read_history  # noqa: PLC0415 - loads a YAML reader

    if is_history(name):
        placed = name if name.startswith(OPTUNA) else (base or Path.cwd()) / name
        return read_history(placed, job.study.objectives)
    from tuneport.model.history import history_of  # noqa: PLC0415 - see _known

    earlier = attach(name, workspace=workspace)
    return history_of(earlier.job, earlier.result)


def _send(
    job: TuningJob | Mapping[str, Any],
    name: str,
    settings: Mapping[str, Any] | None,
    tolerate: Fidelity,
    form: str | None,
    workspace: str | Path | None,
    base: Path | None,
) -> Run:
    """Check everything, then submit the job to a cloud, its code first."""
    valid, uploads = packed(_valid(job), name, settings=settings, base=base)
    if problems := translating.refusals(valid, name, settings=settings):
        problems = translating.with_way_out(problems, name, valid)
        raise JobError.of(f"job '{valid.name}' cannot run on {name}", problems)
    translated = translating.to_submit(valid, name, settings=settings, form=form)
    translated.report.require(tolerate)
    upload(uploads, translating.settings_of(translating.cloud(name), settings))
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
    drive: bool = False,
    parallel: Mapping[str, int] | None = None,
    workspace: str | Path | None = None,
) -> Run:
    """Run a job to its end. On this machine it is driven by this process; elsewhere it is submitted and waited for.

    Args:
        job: the job, or plain data that is one.
        on: the backend, or several, as in `submit`.
        settings: of that backend, over the configured ones; for local see LocalSettings. Of several, each by its name.
        base: directory that relative paths of the job mean; None: the current one.
        progress: is called with the record as it grows, some ten times a second at most.
        tolerate: as in `submit`.
        drive: as in `submit`.
        parallel: as in `submit`.
        workspace: where the run is recorded; None: the configured one.

    Raises:
        JobError: the job cannot run there; nothing has been started.
        ToleranceError: it would lose more than is tolerated; nothing has been sent.
        BackendError: the service refuses it, or cannot be reached.
        KeyboardInterrupt: interrupted; the run is recorded and `resume` goes on with it, or a service does anyway.
    """
    _check_kind(job)
    name, settings = _meant(on, settings)
    if _is_driven(name, drive=drive):
        client, made = _create_driven(job, name, settings, base, Fidelity(tolerate), parallel, (), workspace)
    elif translating.has_documents(registry.load(name)):
        sent = submit(job, on=name, settings=settings, tolerate=tolerate, workspace=workspace)
        sent.wait(progress=progress)
        return sent
    else:
        client, made = _create(job, name, settings, base, (), workspace)
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
    handle.resume(progress)
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
    backend, name = parts(ref)
    if backend != LOCAL:
        return Run(_remote(backend, None, workspace), name)
    client = here.runs(workspace)
    return Run(client, client.find(name))


def _remote(name: str, settings: Mapping[str, Any] | None = None, workspace: str | Path | None = None) -> RemoteRuns:
    backend = translating.cloud(name)
    return RemoteRuns(backend, translating.settings_of(backend, settings), ledger(workspace), load_config().prices)


def ledger(workspace: str | Path | None = None) -> Ledger:
    """What was submitted to services from a workspace, and which runs go on with others; None: the configured one."""
    return Ledger(here.settings(LOCAL, workspace=workspace).workspace)


def runs(*, workspace: str | Path | None = None) -> list[StudyResult]:
    """The records of all runs of a workspace, newest first.

    Runs of services are as they were when they were last looked at from here, their trials with their results but
    without what they reported on the way; no service is asked.

    Args:
        workspace: where they are recorded; None: the configured one, which has none as long as it has not been made.

    Raises:
        RunNotFoundError: the workspace that was given is not there.
    """
    try:
        client = here.runs(workspace)
    except RunNotFoundError:
        if workspace is not None:
            raise
        return []
    found = [client.result(name) for name in client.runs()]
    found += [last_seen(one) for one in ledger(workspace).submissions()]
    return sorted(found, key=lambda result: result.created or 0.0, reverse=True)
