"""Our own search with trials elsewhere: each is one training job of a cloud, whose tuner is not asked.

A driven run is a run of this machine's workspace, whose manifest says in which places its trials are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from tuneport import exchange, translating
from tuneport.backends import registry
from tuneport.backends.protocols import Drivable, Json
from tuneport.config import load as load_config
from tuneport.engine.executors.cloud import CloudExecutor, Documents
from tuneport.engine.executors.protocols import Executor
from tuneport.engine.launch import TrialContext
from tuneport.errors import BackendNotFoundError, JobError, Problem
from tuneport.exchange import Translated
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Categorical
from tuneport.model.study import Random
from tuneport.model.word import Word
from tuneport.search.study import Study
from tuneport.translation.capabilities import Fidelity, screen
from tuneport.translation.report import TranslationReport

OURS = ("/study", "/budget", "/warm_start", "/trial/timeout", "/trial/retries", "/trial/metrics", "/trial/variants")
"""What the driver does itself, so that the cloud need not: search, limits, and reading metrics from output."""
PLACES = "places"
"""In a manifest: the places of a run's trials, in the order of preference."""


def places(job: TuningJob, on: str, settings: Mapping[str, Any] | None, tolerate: Fidelity) -> list[Json]:
    """Where a job's trials are to run, for the manifest of its run, once everything has been checked.

    Raises:
        JobError: the job cannot run there.
        ToleranceError: its trials would lose more than is tolerated.
        BackendNotFoundError: there is no such cloud, or its trials cannot be driven.
    """
    backend = drivable(on)
    if problems := refusals(job, on, settings):
        raise JobError.of(f"trials of job '{job.name}' cannot run on {on}", problems)
    chosen = translating.settings_of(backend, settings)
    for example in _examples(job):
        report = translating.translate(example, on, settings=chosen).report
        TranslationReport(fields=tuple(one for one in report.fields if not _is_ours(one.pointer))).require(tolerate)
    return [{"backend": on, "settings": chosen.model_dump(mode="json")}]


def refusals(job: TuningJob, on: str, settings: Mapping[str, Any] | None = None) -> list[Problem]:
    """Everything that stands in the way of driving a job's trials there; empty if nothing does.

    Raises:
        BackendNotFoundError: there is no such cloud, or its trials cannot be driven.
        SettingsError: the settings are invalid.
    """
    drivable(on)
    found = [one for one in screen(job, registry.load("local").capabilities) if _is_ours(one.pointer)]
    for one in _examples(job):
        found += [
            problem for problem in translating.refusals(one, on, settings=settings) if not _is_ours(problem.pointer)
        ]
    return list(dict.fromkeys(found))


def _is_ours(pointer: str) -> bool:
    return any(f"{pointer}/".startswith(f"{one}/") for one in OURS)


def drivable(name: str) -> Drivable[Any]:
    """The cloud of that name.

    Raises:
        BackendNotFoundError: there is none, or it runs no single training jobs.
    """
    backend = translating.cloud(name)
    if not hasattr(backend, "training"):
        others = ", ".join(one for one in translating.clouds() if hasattr(registry.load(one), "training"))
        message = f"trials on '{name}' cannot be driven from here"
        raise BackendNotFoundError(message, backend=name, hint=f"those of {others} can be")
    return cast("Drivable[Any]", backend)


def executor(run: str, manifest: Mapping[str, Any]) -> Executor:
    """What starts a driven run's trials where its manifest says.

    Raises:
        BackendError: there is no way there.
    """
    (place,) = manifest[PLACES]
    backend = drivable(place["backend"])
    settings = backend.settings_type.model_validate(place["settings"])
    return CloudExecutor(backend.jobs(settings, run), _documents(backend, settings))


def _documents(backend: Drivable[Any], settings: Word) -> Documents:
    def document(trial: TrialContext) -> Json:
        return backend.training.document(_translated(backend, settings, point(trial)).request, trial)

    return document


def _translated(backend: Drivable[Any], settings: Word, job: TuningJob) -> Translated:
    return exchange.translate(job, backend, settings, form=backend.training.form, maps=load_config().maps)


# ---- jobs that search nothing ---------------------------------------------------------------------------------------


def point(trial: TrialContext) -> TuningJob:
    """A job that searches nothing but the point of a trial, whose results have a folder of their own."""
    return _point(trial.job, trial.parameters, f"{trial.run}/{trial.trial}")


def _point(job: TuningJob, parameters: Mapping[str, Any], folder: str) -> TuningJob:
    spec = job.trial
    output = spec.output and spec.output.model_copy(update={"uri": f"{spec.output.uri.rstrip('/')}/{folder}"})
    choices = tuple(Categorical(name, (value,)) for name, value in parameters.items())
    study = job.study.model_copy(update={"parameters": choices, "algorithm": Random(), "early_stopping": None})
    undone = {"variants": (), "retries": 0, "timeout": None, "output": output}
    return job.model_copy(
        update={
            "study": study,
            "trial": spec.model_copy(update=undone),
            "budget": Budget(max_trials=1),
            "warm_start": (),
        }
    )


def _examples(job: TuningJob) -> Iterator[TuningJob]:
    """Points of the job of each kind that its trials can be: with no variant, and with each of them."""
    parameters = Study(job.study, seed=0).propose()
    for one in (None, *job.trial.variants):
        chosen = parameters if one is None else {**parameters, one.when.parameter: one.when.values[0]}
        yield _point(job.under(chosen), chosen, "0")
