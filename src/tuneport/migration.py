"""Jobs and runs that move house: with what has been found so far, and with what is left of the budget.

::

    run ── job, record ──► what is left of the budget, history ──► the other backend's job ──► a new run, linked
                                                      └── known to the search there: exactly by ours, natively where a
                                                          service takes it, as a smaller space if that is asked for
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from tuneport import api, translating
from tuneport.backends import registry
from tuneport.catalog.relocation import relocate
from tuneport.config import load as load_config
from tuneport.errors import JobError, PayloadError, Problem
from tuneport.files.histories import read_history
from tuneport.handle import Run
from tuneport.model.history import Fit, History, fit, history_of
from tuneport.model.job import Budget, TuningJob, WarmStart
from tuneport.model.results import RunState, StudyResult, Trial, TrialState
from tuneport.model.study import Bayesian, Random
from tuneport.packaging import packed
from tuneport.translation.capabilities import Fidelity, Home
from tuneport.translation.report import FieldReport, TranslationReport

_LEARNS = "sagemaker"
"""The service whose jobs can learn from its own earlier ones."""
_MOST_PARENTS = 5
_SEEDS = 2**31
_OUTPUT = "/trial/output/uri"
_HERE = Home(uri=r"(?!\w+://).*|file://.*")
"""What a job of this machine may name: its own places; of other things that only clouds know, it takes no notice."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A job in another house.

    Attributes:
        job: what is asked for there; of a run, what is left of it.
        payload: how it is said there.
        form: what kind of document that is.
        report: every field that is not simply kept, and everything that stays behind.
        history: what the run had found; None if it was a document.
        fit: what of that means something to the job.
        knowledge: whether the search there knows of it, and by what means; None if there is nothing to know.
        run: the new run, if it was submitted.
    """

    job: TuningJob
    payload: dict[str, Any]
    form: str
    report: TranslationReport
    history: History | None = None
    fit: Fit | None = None
    knowledge: FieldReport | None = None
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class House:
    """Where a run moves to.

    Attributes:
        name: the backend.
        settings: of that backend, over the configured ones.
        form: what kind of document a cloud gets.
        base: directory that relative paths of the job mean; None: the current one.
        workspace: where runs are recorded; None: the configured one.
        shrink: draw the ranges in around the best trials where the search there cannot be told of them.
        drive: our own search is to drive trials there; see `api.submit`.
        tolerate: the worst fidelity that may be lost on submitting.
    """

    name: str
    settings: Mapping[str, Any] | None = None
    form: str | None = None
    base: Path | None = None
    workspace: str | Path | None = None
    shrink: bool = False
    drive: bool = False
    tolerate: str = "emulated"

    @property
    def is_cloud(self) -> bool:
        """Whether the search is that of a cloud, which has jobs in its own words."""
        return not self.drive and translating.has_documents(registry.load(self.name))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a run moves from.

    Attributes:
        job: what it was to do.
        result: its own record.
        record: that of the runs that it goes on with as well.
    """

    job: TuningJob
    result: StudyResult
    record: StudyResult

    @classmethod
    def of_run(cls, run: Run, workspace: str | Path | None) -> _Source:
        result = run.result
        return cls(run.job, result, whole(result, workspace=workspace))

    @classmethod
    def of_files(cls, job: TuningJob, source: str, name: str | Path) -> _Source:
        """A job whose trials were written down."""
        history = read_history(name, job.study.objectives)
        result = StudyResult(
            ref=history.source,
            name=job.name,
            backend=source,
            state=RunState.STOPPED,
            objectives=job.study.objectives,
            trials=history.trials,
        )
        return cls(job, result, result)


def migrate(
    payload: object,
    source: str | None = None,
    to: str | None = None,
    *,
    history: str | Path | None = None,
    submit: bool = False,
    stop_source: bool = False,
    max_trials: int | None = None,
    settings: Mapping[str, Any] | None = None,
    form: str | None = None,
    base: Path | None = None,
    workspace: str | Path | None = None,
    shrink: bool = False,
    drive: bool = False,
    tolerate: str = "emulated",
) -> Moved:
    """Move a job, or a run with all that it has found, to another backend.

    Args:
        payload: a run or its reference, or a cloud's own document as plain data.
        source: the cloud whose document it is.
        to: the backend to move to; None: the configured one.
        history: of a document, what its run has found: a file of trials, see `tuneport.files.histories`.
        submit: start what is left of a run there; otherwise nothing is sent.
        stop_source: stop the run first, and wait for its end. Without it, what still runs there goes on and does not
            count.
        max_trials: trials to run there; None: what is left of the run's own.
        settings: of the backend, over the configured ones.
        form: what kind of document to make.
        base: directory that relative paths of the job mean; None: the current one.
        workspace: where runs are recorded; None: the configured one.
        shrink: draw the ranges in around the best trials where the search there cannot be told of them.
        drive: our own search is to drive trials there; see `api.submit`.
        tolerate: the worst fidelity that may be lost on submitting.

    Returns:
        The job, how it is said there, and a report.

    Raises:
        PayloadError: the document is malformed.
        JobError: nothing is left of the budget, or the job cannot run there; nothing has been stopped or sent.
        ToleranceError: it would lose more than is tolerated; nothing has been stopped or sent.
        RunNotFoundError: there is no such run.
        BackendNotFoundError: there is no such backend.
    """
    target = to or load_config().on
    if isinstance(payload, (Run, str)):
        run = payload if isinstance(payload, Run) else api.attach(payload, workspace=workspace)
        settings = _settled(run, target, settings)
        house = House(target, settings, form, base, workspace, shrink, drive, tolerate)
        moved = _prepared(_Source.of_run(run, workspace), house, max_trials)
        if submit and stop_source and not run.state.ended:
            _check(moved, house)
            run.stop()
            run.wait()
            moved = _prepared(_Source.of_run(run, workspace), house, max_trials)  # what has ended since then counts
    elif source is None:
        raise PayloadError("a document does not say whose it is", hint="name its cloud as `source`")
    elif history is None and not submit:
        made = translating.migrate(payload, source, target, settings=settings, form=form)
        return Moved(made.job, made.payload, made.form, made.report)
    elif history is None:
        raise PayloadError(
            "a document is no run", hint="submit the job that import_job makes of it, or give its history"
        )
    else:
        house = House(target, settings, form, base, workspace, shrink, drive, tolerate)
        job = translating.import_job(payload, source).job
        moved = _prepared(_Source.of_files(job, source, history), house, max_trials)
    if not submit:
        return moved
    _check(moved, house)
    return _submitted(moved, house)


def _settled(run: Run, target: str, settings: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The settings; a run that stays on its cloud stays in its region, unless another one is named."""
    backend, _, name = run.ref.partition(":")
    if backend != target or not translating.has_documents(registry.load(target)):
        return settings
    chosen = translating.settings_of(translating.cloud(target), settings)
    return (
        settings
        if getattr(chosen, "region", "") is not None
        else {**(settings or {}), "region": name.partition("/")[0]}
    )


def whole(result: StudyResult, *, workspace: str | Path | None = None) -> StudyResult:
    """The record of a run together with that of the runs that it goes on with, each trial once.

    Trials are numbered from 1 in the order of the runs; those of earlier runs have links `run` and `trial` to what they
    are.
    """
    origin = origin_of(result.ref, workspace=workspace)
    if origin is None:
        return result
    places = [(one.links.get("run"), one.links.get("trial")) for one in origin.trials]
    places += [(result.ref, str(one.id)) for one in result.trials]
    numbers = {place: number for number, place in enumerate(places, 1)}
    trials = (
        one.model_copy(update={"id": number, "parent": numbers.get((run, str(one.parent)))})
        for number, (one, (run, _)) in enumerate(zip((*origin.trials, *result.trials), places, strict=True), 1)
    )
    return result.model_copy(update={"trials": tuple(trials)})


def origin_of(ref: str, *, workspace: str | Path | None = None) -> History | None:
    """What a run goes on with; None if it began by itself, or was moved from another machine."""
    return api.ledger(workspace).origin(ref)


def _prepared(source: _Source, house: House, max_trials: int | None) -> Moved:
    """What is left of a run, in words of the house. Nothing is sent."""
    trials = [_linked(one, source.result.ref) for one in source.record.trials if _counts(one)]
    found = history_of(source.job, source.record).changed(trials=trials)
    left = _left(source.job, source.result, max_trials)
    used = fit([found], left.study)
    left, knowledge = _knowing(left, source.result, used, house) if trials else (left, None)
    if not house.is_cloud:
        left, fields = (left, []) if house.drive else _brought_here(left)
        return Moved(left, left.brief(), "job", TranslationReport(fields=tuple(fields)), found, used, knowledge)
    placed, _ = packed(left, house.name, settings=house.settings, base=house.base)
    made = translating.to_submit(placed, house.name, settings=house.settings, form=house.form)
    return Moved(left, made.payload, made.form, made.report, found, used, knowledge)


def _brought_here(job: TuningJob) -> tuple[TuningJob, list[FieldReport]]:
    """The job with places of this machine, as far as maps say; results that went to a cloud stay with the run."""
    job, fields = relocate(job, _HERE, load_config().maps)
    output = job.trial.output
    if output is None or all(one.pointer != _OUTPUT or one.fidelity is Fidelity.EXACT for one in fields):
        return job, fields
    note = "results stay there; [map.uri] can say where else"
    kept = FieldReport(pointer=_OUTPUT, fidelity=Fidelity.EMULATED, before=output.uri, by="the run's folder", note=note)
    job = job.changed(trial=job.trial.changed(output=None))
    return job, [kept if one.pointer == _OUTPUT else one for one in fields]


def _linked(trial: Trial, ref: str) -> Trial:
    """A trial that says whose it is; one that was inherited says so already."""
    if "run" in trial.links:
        return trial
    return trial.model_copy(update={"links": {"trial": str(trial.id), **trial.links, "run": ref}})


def _counts(trial: Trial) -> bool:
    """Whether a trial has used up its part of the budget: what was cut off without a result runs again elsewhere."""
    return trial.state.ended and (trial.state is not TrialState.STOPPED or trial.final_measurement is not None)


def _left(job: TuningJob, result: StudyResult, max_trials: int | None) -> TuningJob:
    """The job with what the run has left of its budget, and a seed that does not propose the same points again.

    Raises:
        JobError: nothing is left.
    """
    done = [one for one in result.trials if _counts(one)]
    left = {**_budget_left(job.budget, result, done), **({} if max_trials is None else {"max_trials": max_trials})}
    spent = [
        Problem(f"/budget/{name}", "is spent", "say how many trials to run: --trials N, or max_trials=N")
        for name, value in left.items()
        if value is not None and value <= 0
    ]
    if spent:
        raise JobError.of(f"nothing is left of the budget of run {result.ref}", spent)
    algorithm = job.study.algorithm
    if algorithm.seed is not None and done:
        algorithm = algorithm.changed(seed=(algorithm.seed + len(done)) % _SEEDS)
    return job.changed(budget=job.budget.changed(**left), study=job.study.changed(algorithm=algorithm))


def _budget_left(budget: Budget, result: StudyResult, done: list[Trial]) -> dict[str, Any]:
    """What is left of each limit that a run uses up."""
    left: dict[str, Any] = {}
    if budget.max_trials is not None:
        left["max_trials"] = budget.max_trials - len(done)
    if budget.max_seconds is not None and result.created is not None:
        left["max_seconds"] = budget.max_seconds - ((result.ended or time.time()) - result.created)
    if budget.max_cost is not None and result.cost is not None:
        left["max_cost"] = budget.max_cost - result.cost
    if budget.max_failed_trials:
        left["max_failed_trials"] = budget.max_failed_trials - sum(one.state is TrialState.FAILED for one in done)
    return left


def _knowing(job: TuningJob, result: StudyResult, used: Fit, house: House) -> tuple[TuningJob, FieldReport]:
    """The job with its history as the search of the house can take it, and how well that is."""
    if not house.is_cloud:
        return job, _told(Fidelity.EXACT, used, "search core")
    obstacle = _not_native(job, result, house)
    if obstacle is None:
        parent = WarmStart(run=result.ref, kind="transfer")
        return job.changed(warm_start=(*job.warm_start, parent)), _told(Fidelity.EXACT, used, "WarmStartConfig")
    if not result.ref.startswith(f"{house.name}:"):
        job = job.changed(warm_start=())  # what the run itself began with stays where it can be read
    if not house.shrink:
        way_out = "--drive lets our own search learn from them, --shrink draws the ranges in around the best"
        return job, _told(Fidelity.DROPPED, used, None, f"{obstacle}: the search begins anew; {way_out}")
    from tuneport.search.transfer import shrunk  # noqa: PLC0415 - loads numpy

    study = shrunk(job.study, used.trials)
    note = "the ranges are drawn in around the best" if study is not job.study else "too few to draw the ranges in"
    return job.changed(study=study), _told(Fidelity.APPROXIMATED, used, "bounding box", note)


def _told(fidelity: Fidelity, used: Fit, by: str | None, note: str = "") -> FieldReport:
    return FieldReport(pointer="/warm_start", fidelity=fidelity, after=str(used), by=by, note=note)


def _not_native(job: TuningJob, result: StudyResult, house: House) -> str | None:
    """Why a service cannot learn from a run by itself; None if it can.

    The rules are those of SageMaker's page "Run a Warm Start Hyperparameter Tuning Job". That both are in one account
    is not looked at: what is asked of the run is asked with the credentials that the new job is submitted with.
    """
    backend, _, name = result.ref.partition(":")
    if backend != house.name or backend != _LEARNS:
        return f"{house.name} cannot be told of trials elsewhere"
    chosen = translating.settings_of(translating.cloud(backend), house.settings)
    if name.partition("/")[0] != getattr(chosen, "region", None):
        return "a job learns only from those of its own region"
    if not result.state.ended:
        return "a job learns only from those that have ended"
    if not isinstance(job.study.algorithm, (Bayesian, Random)):
        return "only Bayesian and random search learn from earlier jobs"
    if len(job.warm_start) >= _MOST_PARENTS:
        return f"a job has at most {_MOST_PARENTS} parents"
    return None


def _check(moved: Moved, house: House) -> None:
    """Refuse what cannot be submitted, before anything is stopped."""
    problems = api.check(
        moved.job,
        on=house.name,
        settings=house.settings,
        base=house.base,
        workspace=house.workspace,
        drive=house.drive,
    )
    if problems:
        raise JobError.of(f"job '{moved.job.name}' cannot run on {house.name}", problems)
    moved.report.require(Fidelity(house.tolerate))


def _submitted(moved: Moved, house: House) -> Moved:
    """The new run, which knows where it comes from."""
    history = cast("History", moved.history)
    run = api.submit(
        moved.job,
        on=house.name,
        settings=house.settings,
        base=house.base,
        tolerate=house.tolerate,
        form=house.form,
        drive=house.drive,
        workspace=house.workspace,
        history=() if house.is_cloud else (history,),
    )
    if history.trials:
        api.ledger(house.workspace).goes_on(run.ref, history)
    return replace(moved, run=run)
