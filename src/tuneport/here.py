"""Jobs on this machine: checked against it and recorded in a workspace. What drives them is loaded when it is used."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tuneport.backends import registry
from tuneport.backends.local.settings import LocalSettings, RaySettings
from tuneport.config import load as load_config
from tuneport.engine.launch import LaunchContract
from tuneport.errors import BackendNotFoundError, JobError, Problem, TuneportError
from tuneport.handle import LOCAL
from tuneport.model.feature_usage import pausing
from tuneport.model.job import Budget, TuningJob
from tuneport.model.results import Trial
from tuneport.model.study import CmaEs, Plugin
from tuneport.model.trial_spec import Resources, TrialSpec
from tuneport.translation.capabilities import screen

if TYPE_CHECKING:
    from tuneport.backends.local.client import LocalClient
    from tuneport.engine.executors.places import PlacesExecutor

W = TypeVar("W", TrialSpec, Budget)


def settings(on: str, given: Mapping[str, Any] | None = None, workspace: str | Path | None = None) -> LocalSettings:
    """The settings of a backend that runs jobs here, all layers considered.

    Args:
        on: the backend.
        given: over the configured ones.
        workspace: the workspace, if a call names it.

    Raises:
        BackendNotFoundError: it runs no jobs here.
        SettingsError: they are invalid.
    """
    own = dict(given or {}) if workspace is None else {**(given or {}), "workspace": str(workspace)}
    chosen = load_config({"on": on, on: own}).settings(registry.load(on))
    if not isinstance(chosen, LocalSettings):
        raise BackendNotFoundError(f"'{on}' neither runs jobs here nor has documents of its own", backend=on)
    return chosen


def runs(workspace: str | Path | None = None) -> LocalClient:
    """The runs of a workspace.

    Raises:
        RunNotFoundError: it is not there.
    """
    return opened(settings(LOCAL, workspace=workspace))


def opened(chosen: LocalSettings, *, create: bool = False) -> LocalClient:
    """The runs of the workspace of these settings; `create`: make it if it is not there.

    Raises:
        RunNotFoundError: it is not there.
    """
    from tuneport.backends.local.client import LocalClient  # noqa: PLC0415 - loads numpy, which clouds do not need

    return LocalClient(chosen, _contract, create=create, elsewhere=_elsewhere)


def _contract(name: str) -> LaunchContract:
    contract: LaunchContract = importlib.import_module(f"tuneport.backends.{name}.launch").launch
    return contract


def _elsewhere(run: str, job: TuningJob, manifest: Mapping[str, Any], note: Callable[[str], None]) -> PlacesExecutor:
    from tuneport.driven import executor  # noqa: PLC0415 - most runs stay here

    return executor(run, job, manifest, note)


def problems(job: TuningJob | Mapping[str, Any], on: str, chosen: LocalSettings, base: Path | None) -> list[Problem]:
    """Everything that is wrong with a job, and all that stands in the way of running it here.

    Args:
        job: a job, or plain data that should be one; what is right of it by itself is looked at even if it is none.
        on: the backend that runs it here.
        chosen: its settings.
        base: directory that relative paths of the job mean; None: the current one.
    """
    if isinstance(job, TuningJob):
        lacking = screen(job, registry.load(on).capabilities)
        priced = load_config().prices.problems(job.budget, LOCAL, job.trial)
        machine = _machine_problems(job.trial, job.budget, chosen, base)
        return [*lacking, *machine, *priced, *_search_problems(job), *_pausing_problems(job, chosen)]
    try:
        return problems(TuningJob.model_validate(dict(job)), on, chosen, base)
    except JobError as error:
        trial, budget = _part(TrialSpec, job.get("trial")), _part(Budget, job.get("budget", {}))
        return [*error.problems, *_machine_problems(trial, budget, chosen, base)]


def _part(kind: type[W], data: Any) -> W | None:
    try:
        return kind.model_validate(data)
    except JobError:
        return None


def _machine_problems(
    trial: TrialSpec | None, budget: Budget | None, chosen: LocalSettings, base: Path | None
) -> Iterator[Problem]:
    from tuneport.engine.devices import discover  # noqa: PLC0415 - what clouds do not need
    from tuneport.engine.preflight import local_problems  # noqa: PLC0415

    address = (chosen.address or os.environ.get("RAY_ADDRESS")) if isinstance(chosen, RaySettings) else None
    if address is None or trial is None:
        yield from local_problems(trial, budget, base or Path.cwd(), discover(chosen.gpus))
        return
    from tuneport.engine.executors.cluster import cluster_problems  # noqa: PLC0415

    yield from local_problems(trial.changed(resources=Resources()), budget, base or Path.cwd(), ())
    yield from cluster_problems(trial.resources, address)


def _pausing_problems(job: TuningJob, chosen: LocalSettings) -> Iterator[Problem]:
    """Only our own contract has one place for the checkpoints of all attempts, wherever results go."""
    if chosen.contract != LOCAL:
        for pointer in pausing(job):
            message = f"trials under the contract of {chosen.contract} cannot pause"
            yield Problem(pointer, message, hint="use the contract local, or early stopping that stops trials")


def _search_problems(job: TuningJob) -> Iterator[Problem]:
    """What a searcher that is made of other packages does not find."""
    if isinstance(job.study.algorithm, (CmaEs, Plugin)):
        from tuneport.search.study import Study  # noqa: PLC0415 - loads numpy

        try:
            Study(job.study, seed=0, budget=job.budget)
        except TuneportError as error:
            yield Problem("/study/algorithm", error.message, error.hint)


def create(
    job: TuningJob | Mapping[str, Any],
    on: str,
    chosen: LocalSettings,
    base: Path | None,
    known: Callable[[TuningJob], Sequence[Trial]] = lambda _: (),
) -> tuple[LocalClient, str]:
    """Check everything, then record a new run.

    Args:
        job: the job, or plain data that is one.
        on: the backend that runs it here.
        chosen: its settings.
        base: directory that relative paths of the job mean; None: the current one.
        known: for a valid job, trials of earlier runs that its search is to know.

    Returns:
        The runs of the workspace, and the id of the new one.

    Raises:
        JobError: the job cannot run here; nothing has been recorded.
    """
    if amiss := problems(job, on, chosen, base):
        name = job.name if isinstance(job, TuningJob) else job.get("name")
        raise JobError.of(f"job '{name}' cannot run here", amiss)
    valid = job if isinstance(job, TuningJob) else TuningJob.model_validate(dict(job))
    from tuneport.engine.executors.process import ProcessExecutor  # noqa: PLC0415 - see opened

    earlier = known(valid)
    client = opened(chosen, create=True)
    rate = load_config().prices.rate(LOCAL, valid.trial)
    return client, client.create(valid, base or Path.cwd(), ProcessExecutor.name, version(), earlier, rate=rate)


def create_driven(
    job: TuningJob,
    places: Sequence[Mapping[str, Any]],
    workspace: str | Path | None,
    base: Path | None,
    earlier: Sequence[Trial],
) -> tuple[LocalClient, str]:
    """Record a new run whose trials are elsewhere, by places that `driven.places` has made."""
    from tuneport.engine.executors.places import PlacesExecutor  # noqa: PLC0415 - see opened

    client = opened(settings(LOCAL, workspace=workspace), create=True)
    rates = [one["rate"] for one in places]
    rate = None if None in rates else max(rates)  # so that a limit on money holds wherever the trials are
    made = client.create(job, base or Path.cwd(), PlacesExecutor.name, version(), earlier, places, rate=rate)
    return client, made


def version() -> str:
    """This tuneport's version, which every run notes."""
    from tuneport import __version__  # noqa: PLC0415 - reads the installed metadata, which costs a little

    return __version__
