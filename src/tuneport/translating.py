"""The public verbs that move jobs between clouds: translate, import_job, migrate, refusals, plan, diff."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from tuneport import exchange
from tuneport.backends import registry
from tuneport.backends.protocols import Backend, Cloud
from tuneport.catalog.prices import Estimate, Prices, estimate
from tuneport.catalog.relocation import Maps
from tuneport.config import load as load_config
from tuneport.errors import BackendNotFoundError, JobError, PayloadError, Problem, SettingsError, TuneportError
from tuneport.exchange import Imported, Migrated, Translated
from tuneport.model.job import TuningJob
from tuneport.model.results import Trial
from tuneport.model.word import Word
from tuneport.translation.blame import blamed
from tuneport.translation.box import FORM
from tuneport.translation.capabilities import Fidelity, screen
from tuneport.translation.measure import Change, compare

Json = dict[str, Any]
Job = TuningJob | Mapping[str, Any]


def translate(
    job: Job, to: str, *, settings: Mapping[str, Any] | Word | None = None, form: str | None = None
) -> Translated:
    """Say a job in a cloud's words. Nothing is sent.

    Args:
        job: the job, or plain data that is one.
        to: the cloud: vertex, sagemaker or modelarts.
        settings: of that cloud, over the configured ones.
        form: what kind of document; None: the one that the job was read from there, or else what is submitted.

    Returns:
        The document, and a report of every field that is not simply kept. What the cloud cannot do is reported as
        unsupported; `report.require` insists on a fidelity.

    Raises:
        JobError: `job` is no valid job.
        BackendNotFoundError: there is no such backend, or it has no documents.
        PayloadError: it has no such form.
        SettingsError: the settings are invalid.
    """
    backend = cloud(to)
    return exchange.translate(
        _job(job), backend, settings_of(backend, settings), form=form, maps=_maps(), material=_material
    )


def to_submit(
    job: Job, on: str, *, settings: Mapping[str, Any] | Word | None = None, form: str | None = None
) -> Translated:
    """As `translate`, in a form that the cloud's service takes; `plain` is what is sent.

    Raises:
        JobError: `job` is no valid job.
        BackendNotFoundError: there is no such backend, or it has no documents.
        PayloadError: the form cannot be submitted.
        SettingsError: the settings are invalid.
    """
    backend, valid = cloud(on), _job(job)
    forms = backend.capabilities.submits or backend.translator.forms[:1]
    if form is not None and form not in forms:
        raise PayloadError(f"{on} takes no '{form}'", hint=f"what can be submitted there: {', '.join(forms)}")
    remembered = valid.native.get(on, {}).get(FORM)
    return translate(valid, on, settings=settings, form=form or (remembered if remembered in forms else forms[0]))


def import_job(payload: object, source: str) -> Imported:
    """Understand a cloud's own document: a request, a response, or a tool's resource that carries one.

    Args:
        payload: the document as plain data.
        source: the cloud whose document it is.

    Returns:
        The job, with a box of what our words cannot say. Translating it back to `source` gives the same document.

    Raises:
        BackendNotFoundError: there is no such backend, or it has no documents.
        PayloadError: the document is malformed; every problem with its JSON pointer.
    """
    return exchange.read(payload, cloud(source))


def migrate(
    payload: object,
    source: str,
    to: str,
    *,
    settings: Mapping[str, Any] | Word | None = None,
    form: str | None = None,
) -> Migrated:
    """Say what one cloud's document asks for in another cloud's words. Nothing is sent.

    Args:
        payload: the document as plain data.
        source: the cloud whose document it is.
        to: the other cloud.
        settings: of the other cloud, over the configured ones.
        form: what kind of document to make.

    Returns:
        The job, the new document, and a report of every field that is not simply kept and of all that stays behind.

    Raises:
        BackendNotFoundError: there is no such backend, or it has no documents.
        PayloadError: the document is malformed.
        SettingsError: the settings are invalid.
    """
    backend = cloud(to)
    imported = import_job(payload, source)
    return exchange.migrate(
        imported, backend, settings_of(backend, settings), form=form, maps=_maps(), material=_material
    )


def refusals(job: TuningJob, on: str, *, settings: Mapping[str, Any] | Word | None = None) -> list[Problem]:
    """Everything for which a cloud would refuse a job, and all that it cannot do; empty if it would take it.

    Args:
        job: the job.
        on: the cloud.
        settings: of that cloud, over the configured ones.

    Raises:
        BackendNotFoundError: there is no such backend, or it has no documents.
        SettingsError: the settings are invalid.
    """
    backend = cloud(on)
    chosen = settings_of(backend, settings)

    def refused(one: TuningJob) -> list[Problem]:
        made = exchange.translate(one, backend, chosen, maps=_maps())
        return backend.translator.problems(made.request, made.form)

    translated = exchange.translate(job, backend, chosen, maps=_maps(), material=_material)
    unsupported = [
        Problem(field.pointer, field.note or "cannot be said there")
        for field in translated.report.fields
        if field.fidelity is Fidelity.UNSUPPORTED
    ]
    screened = [problem for problem in screen(translated.job, backend.capabilities) if not _told(problem, unsupported)]
    return [*unsupported, *screened, *blamed(job, refused)]


OURS = ("/study", "/budget", "/warm_start", "/trial/timeout", "/trial/retries", "/trial/metrics", "/trial/variants")
"""What our own search does itself when it drives trials on a cloud: search, limits, and finding metrics in output."""
_DRIVE = "search here, and have trials run there: --drive"


def is_ours(pointer: str) -> bool:
    """Whether our own search does that, so that a cloud that runs its trials need not."""
    return any(f"{pointer}/".startswith(f"{one}/") for one in OURS)


def with_way_out(problems: Sequence[Problem], on: str, job: TuningJob) -> list[Problem]:
    """Problems of a job on a cloud, with the hint where driving its trials there would do without that."""
    if not hasattr(cloud(on), "training") or job.study.pauses:
        return list(problems)
    return [
        replace(one, hint="; or ".join(filter(None, (one.hint, _DRIVE)))) if is_ours(one.pointer) else one
        for one in problems
    ]


def _told(problem: Problem, others: Sequence[Problem]) -> bool:
    """Whether one of the others is about the same place or about a part of it, or says so of what the place is in."""
    return any(
        f"{other.pointer}/".startswith(f"{problem.pointer}/")
        or (
            f"{problem.pointer}/".startswith(f"{other.pointer}/") and other.message.partition(";")[0] in problem.message
        )
        for other in others
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What submitting a job would mean.

    Attributes:
        translated: the document and its report.
        trials: most trials; None: until another limit is reached.
        parallel: trials at the same time.
        seconds: longest time that it can take as far as limits say; None: nothing bounds it.
        machine: what one trial runs on, in the cloud's words.
        replicas: machines per trial.
        unresolved: all that stands in the way.
        rate: what an hour of one trial costs; None: not known.
        cost: what the run may cost; None: not known.
        prices: by which that is.
    """

    translated: Translated
    trials: int | None
    parallel: int
    seconds: float | None
    machine: str | None
    replicas: int
    unresolved: list[Problem]
    rate: float | None
    cost: Estimate | None
    prices: Prices


def plan(job: Job, on: str, *, settings: Mapping[str, Any] | Word | None = None, earlier: Iterable[Trial] = ()) -> Plan:
    """What would be sent to a cloud, and what it means. Nothing is sent.

    Args:
        job: the job, or plain data that is one.
        on: the cloud.
        settings: of that cloud, over the configured ones.
        earlier: trials of earlier runs of its kind, which say how long trials take.

    Raises:
        JobError: `job` is no valid job.
        BackendNotFoundError: there is no such backend, or it has no documents.
        SettingsError: the settings are invalid.
    """
    valid = _job(job)
    translated = translate(valid, on, settings=settings)
    trial, budget = translated.job.trial, translated.job.budget
    prices = load_config().prices
    rate = prices.rate(on, trial)
    return Plan(
        translated=translated,
        trials=budget.max_trials,
        parallel=budget.parallel_trials,
        seconds=_longest(translated.job),
        machine=trial.resources.machine,
        replicas=trial.resources.replicas,
        unresolved=refusals(valid, on, settings=settings),
        rate=rate,
        cost=None if rate is None else estimate(rate, budget.max_trials, _longest_busy(translated.job), earlier),
        prices=prices,
    )


def _longest(job: TuningJob) -> float | None:
    """Seconds after which a run has ended whatever happens, waiting for capacity left out."""
    budget, trial = job.budget, job.trial
    bounds = [] if budget.max_seconds is None else [budget.max_seconds]
    if budget.max_trials is not None and trial.timeout is not None:
        rounds = math.ceil(budget.max_trials / budget.parallel_trials)
        bounds.append(rounds * trial.timeout * (1 + trial.retries))
    return min(bounds, default=None)


def _longest_busy(job: TuningJob) -> float | None:
    """Most seconds of all trials together; None if nothing bounds them."""
    budget, trial = job.budget, job.trial
    bounds = [] if budget.max_seconds is None else [budget.max_seconds * budget.parallel_trials]
    if budget.max_trials is not None and trial.timeout is not None:
        bounds.append(budget.max_trials * trial.timeout * (1 + trial.retries))
    return min(bounds, default=None)


def diff(a: TuningJob, b: TuningJob) -> list[Change]:
    """Every place where two jobs differ in meaning: not in spelling, not in the order of parameters.

    What only one cloud understands is compared as well, under ``/native``.
    """
    return [*compare(a, b), *exchange.compare_boxes(a, b)]


def cloud(name: str) -> Cloud[Any]:
    """The backend of that name, if it has documents of its own.

    Raises:
        BackendNotFoundError: there is none, or it has no documents.
    """
    backend = registry.load(name)
    if not has_documents(backend):
        others = ", ".join(clouds())
        msg = f"'{name}' runs jobs as they are and has no documents of its own"
        raise BackendNotFoundError(msg, backend=name, hint=f"backends that have: {others}")
    return cast("Cloud[Any]", backend)


def has_documents(backend: Backend[Any]) -> bool:
    """Whether a backend is a cloud, which has jobs in its own words."""
    return hasattr(backend, "translator")


def clouds() -> list[str]:
    """Names of all backends that have documents of their own and that can be loaded."""
    found = []
    for name in registry.names():
        try:
            loaded = registry.load(name)
        except TuneportError:
            continue
        if has_documents(loaded):
            found.append(name)
    return found


def _job(job: Job) -> TuningJob:
    if isinstance(job, TuningJob):
        return job
    if not isinstance(job, Mapping):
        raise JobError(f"must be a TuningJob (tuneport.files.read_job reads a file), not {type(job).__name__}")
    return TuningJob.model_validate(dict(job))


def settings_of(backend: Cloud[Any], given: Mapping[str, Any] | Word | None) -> Word:
    """The settings of a cloud: configured, with those that a call gives laid over them.

    Raises:
        SettingsError: they are invalid.
    """
    if isinstance(given, Word):
        if not isinstance(given, backend.settings_type):
            raise SettingsError(f"must be {backend.settings_type.__name__}, not {type(given).__name__}")
        given = given.brief()
    config = load_config({backend.name: dict(given or {})})
    return cast("Word", config.settings(backend))


def _maps() -> Maps:
    return load_config().maps


def _material(name: str) -> tuple[str, ...]:
    """What matters of a backend's own box; unknown backends are taken at their word that something does not."""
    try:
        return registry.load(name).capabilities.material
    except TuneportError:
        return ()
