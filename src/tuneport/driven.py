"""Our own search with trials elsewhere: each is one training job of a cloud, whose tuner is not asked.

A driven run is a run of this machine's workspace, whose manifest says in which places its trials are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from tuneport import exchange, translating
from tuneport.backends import registry
from tuneport.backends.local.settings import LocalSettings
from tuneport.backends.protocols import Drivable, Json
from tuneport.catalog.relocation import Maps
from tuneport.config import load as load_config
from tuneport.engine.devices import Pool, discover, wanted
from tuneport.engine.executors.cloud import CloudExecutor, Documents
from tuneport.engine.executors.places import Place, PlacesExecutor
from tuneport.engine.executors.process import ProcessExecutor
from tuneport.engine.launch import TrialContext
from tuneport.engine.metering import Metering
from tuneport.engine.nvml import connected
from tuneport.engine.preflight import local_problems
from tuneport.errors import BackendNotFoundError, JobError, Problem, SettingsError
from tuneport.model.feature_usage import pausing
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Categorical
from tuneport.model.study import Random
from tuneport.model.trial_spec import Resources, TrialSpec
from tuneport.model.word import Word
from tuneport.packaging import packed, upload
from tuneport.search.study import Study
from tuneport.translation.capabilities import Fidelity, screen
from tuneport.translation.report import TranslationReport

LOCAL = "local"
_CODE = ("package", "module", "command")
"""Words of a trial that say what it runs of a package."""
PLACES = "places"
"""In a manifest: the places of a run's trials, in the order of preference."""


def places(
    job: TuningJob,
    on: Sequence[str],
    settings: Mapping[str, Any] | None,
    parallel: Mapping[str, int] | None,
    tolerate: Fidelity,
    base: Path,
) -> list[Json]:
    """Where a job's trials are to run, for the manifest of its run, once everything has been checked.

    Args:
        job: the job.
        on: clouds, and "local", the most preferred one first.
        settings: of the one place, or of several, each by its name; over the configured ones.
        parallel: most trials at once in some of the places.
        tolerate: the worst fidelity that may be lost of a trial.
        base: directory that relative paths of the job mean.

    Raises:
        JobError: the job cannot run there.
        ToleranceError: its trials would lose more than is tolerated.
        BackendNotFoundError: there is no such cloud, or its trials cannot be driven.
        SettingsError: settings, or numbers of trials, are for places that are not meant.
    """
    given = _by_place(on, settings)
    rooms = dict(parallel or {})
    if wrong := [one for one in (*given, *rooms) if one not in on] or [one for one, n in rooms.items() if n < 1]:
        hint = f"trials are to run on {', '.join(on)}, at least one at a time"
        raise SettingsError(f"'{wrong[0]}' is not to be used so", hint=hint)
    if problems := refusals(job, on, settings, base):
        raise JobError.of(f"trials of job '{job.name}' cannot run on {', '.join(on)}", problems)
    made: list[Json] = []
    uploads = []
    for name in on:
        chosen = _settings_of(name, given.get(name))
        said: Json = {"name": name, "settings": chosen.model_dump(mode="json"), "parallel": rooms.get(name)}
        said["rate"] = load_config().prices.rate(name, _there(job, name, chosen))
        if name != LOCAL:
            code = packed(job, name, settings=given.get(name), base=base)
            _require(code.job, name, chosen, tolerate)
            uploads.append((code.uploads, chosen))
            said["maps"] = load_config().maps.model_dump(mode="json")  # whoever resumes the run may have others
            said["code"] = code.job.trial.model_dump(mode="json", include=set(_CODE)) if code.uploads else None
        made.append(said)
    for files, chosen in uploads:  # nothing goes anywhere before all is known to be possible
        upload(files, chosen)
    return made


def _require(job: TuningJob, name: str, chosen: Word, tolerate: Fidelity) -> None:
    """Insist on a fidelity of what trials are, whatever the cloud would make of the search."""
    for example in _examples(job):
        asked = _asked(drivable(name), example)
        fields = translating.translate(asked, name, settings=chosen).report.fields
        TranslationReport(fields=tuple(one for one in fields if not translating.is_ours(one.pointer))).require(tolerate)


def _there(job: TuningJob, name: str, chosen: Word) -> TrialSpec:
    """A trial as it is meant in a place, with its machine."""
    return job.trial if name == LOCAL else translating.translate(job, name, settings=chosen).job.trial


def _by_place(on: Sequence[str], settings: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return dict(settings or {}) if len(on) > 1 else {on[0]: settings}


def _settings_of(name: str, given: Mapping[str, Any] | None) -> Word:
    if name != LOCAL:
        return translating.settings_of(drivable(name), given)
    return load_config({LOCAL: dict(given or {})}).settings(registry.load(LOCAL))


def refusals(job: TuningJob, on: Sequence[str], settings: Mapping[str, Any] | None, base: Path) -> list[Problem]:
    """Everything that stands in the way of driving a job's trials in these places; empty if nothing does.

    Raises:
        BackendNotFoundError: there is no such cloud, or its trials cannot be driven.
        SettingsError: the settings are invalid.
    """
    given = _by_place(on, settings)
    lacking = screen(job, registry.load(LOCAL).capabilities)
    found = [one for one in lacking if translating.is_ours(one.pointer)]
    for name in on:
        chosen = _settings_of(name, given.get(name))
        found += load_config().prices.problems(job.budget, name, _there(job, name, chosen))
        if isinstance(chosen, LocalSettings):
            found += [*lacking, *local_problems(job.trial, job.budget, base, discover(chosen.gpus))]
            continue
        try:
            placed = packed(job, name, settings=given.get(name), base=base).job
        except JobError as error:
            placed = job
            found += error.problems
        for one in _examples(placed):
            refused = translating.refusals(_asked(drivable(name), one), name, settings=chosen)
            found += [problem for problem in refused if not translating.is_ours(problem.pointer)]
    if any(name != LOCAL for name in on):
        how = "search where trials run on this machine or on Ray, or use early stopping that stops trials"
        found += [Problem(one, "trials elsewhere cannot pause: checkpoints stay behind", how) for one in pausing(job)]
    return list(dict.fromkeys(found))


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


def executor(run: str, job: TuningJob, manifest: Mapping[str, Any], note: Callable[[str], None]) -> PlacesExecutor:
    """What starts a run's trials where its manifest says.

    Raises:
        BackendError: there is no way to one of the places.
    """
    listed = manifest[PLACES]
    return PlacesExecutor([_place(one, run, job, note, alone=len(listed) == 1) for one in listed], note)


def _place(said: Mapping[str, Any], run: str, job: TuningJob, note: Callable[[str], None], *, alone: bool) -> Place:
    name, room = said["name"], said["parallel"]
    if name == LOCAL:
        local = LocalSettings.model_validate(said["settings"])
        devices = discover(local.gpus)
        metering = Metering(connected() if wanted(job.trial.resources) else None, devices)
        contract = registry.load(local.contract).launch
        here = ProcessExecutor(contract, grace=local.grace, note=note, metering=metering)
        return Place(name, here, Pool(devices, job.trial.resources), room, elsewhere=False)
    backend = drivable(name)
    settings = backend.settings_type.model_validate(said["settings"])
    documents = _documents(backend, settings, Maps.model_validate(said["maps"]), job.trial, said["code"])
    there = CloudExecutor(backend.jobs(settings, run), documents, note, patient=alone)
    return Place(name, there, Pool((), Resources()), room)


def _documents(
    backend: Drivable[Any], settings: Word, maps: Maps, plain: TrialSpec, code: Mapping[str, Any] | None = None
) -> Documents:
    """What makes training jobs of trials, whose code is where it was uploaded to, unless a variant has other code."""

    def document(trial: TrialContext) -> Json:
        spec = trial.job.trial
        if code and all(getattr(spec, word) == getattr(plain, word) for word in _CODE):
            moved = trial.job.model_copy(update={"trial": spec.changed(**code)})
            trial = replace(trial, job=moved)
        asked = _asked(backend, point(trial))
        made = exchange.translate(asked, backend, settings, form=backend.training.form, maps=maps)
        return backend.training.document(made.request, trial)

    return document


def preview(job: TuningJob, on: str, settings: Mapping[str, Any] | None = None) -> Json:
    """What a cloud would be sent for the first trial of a run, but for the values that its search will choose.

    Raises:
        BackendNotFoundError: there is no such cloud, or its trials cannot be driven.
    """
    backend, parameters = drivable(on), Study(job.study, seed=0).propose()
    trial = TrialContext(job.under(parameters), "run-00000000", 1, 1, parameters, "", "", "python")
    return _documents(backend, _settings_of(on, settings), load_config().maps, job.trial)(trial)


def _asked(backend: Drivable[Any], job: TuningJob) -> TuningJob:
    """A job without what its backend says of training jobs by itself."""
    return job.model_copy(update={"trial": backend.training.translated(job.trial)})


# ---- jobs that search nothing ---------------------------------------------------------------------------------------


def point(trial: TrialContext) -> TuningJob:
    """A job that searches nothing but the point of a trial, whose results have a folder of their own."""
    return _point(trial.job, trial.parameters, f"{trial.run}/{trial.trial}")


def _point(job: TuningJob, parameters: Mapping[str, Any], folder: str) -> TuningJob:
    spec = job.trial
    output = spec.output and spec.output.model_copy(update={"uri": f"{spec.output.uri.rstrip('/')}/{folder}"})
    choices = tuple(Categorical(name, (value,)) for name, value in parameters.items())
    study = job.study.model_copy(update={"parameters": choices, "algorithm": Random(), "early_stopping": None})
    undone = {"variants": (), "retries": 0, "resumable": False, "output": output}
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
