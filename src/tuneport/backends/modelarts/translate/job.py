"""A training job or a stored algorithm as a whole: our words to its parts and back."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tuneport.backends.modelarts.settings import ModelArtsSettings
from tuneport.backends.modelarts.translate import data, study
from tuneport.backends.modelarts.translate.machines import (
    read_requirements,
    read_resources,
    write_requirements,
    write_resources,
)
from tuneport.backends.modelarts.translate.places import read_obs, write_obs
from tuneport.backends.modelarts.translate.program import read_program, write_program
from tuneport.backends.modelarts.translate.values import kind_of, seen, text, typed, whole
from tuneport.model.job import TuningJob
from tuneport.model.word import Scalar
from tuneport.translation.lowering import HINTS_VARIABLE, Hint, hints_text, read_hints

Json: TypeAlias = dict[str, Any]

RETRIES: Final = "fault-tolerance/job-retry-num"
"""The annotation that says how often the service starts a job anew."""
HINTS_PARAMETER: Final = "tuneport_space"
"""The hints of a stored algorithm, which has no variables: a parameter that is a flag of every trial."""
_HOUR = 3600


# ---- training jobs --------------------------------------------------------------------------------------------------


def write_job(job: TuningJob, settings: ModelArtsSettings) -> Json:
    """A training job with a search."""
    trial = job.trial
    search, space = _write_search(job)
    hints = {HINTS_VARIABLE: hints_text(space.hints)} if space.hints else {}
    algorithm = write_program(trial) | {
        "parameters": [*space.parameters, *_write_fixed(trial.parameters)],
        "inputs": data.write_channels(trial),
        "outputs": data.write_outputs(trial),
        "environments": hints | data.write_mounts(trial) | trial.env,
        "policies": {"auto_search": search},
    }
    spec = {
        "resource": write_resources(trial.resources),
        "volumes": data.write_volumes(trial),
        "log_export_path": {} if settings.logs is None else {"obs_url": write_obs(settings.logs)},
        "auto_stop": _write_stop(job.budget.max_seconds),
    }
    experiment = {} if job.experiment.name is None else {"name": job.experiment.name}
    metadata = _write_metadata(job, settings) | {
        "annotations": {RETRIES: str(trial.retries)} if trial.retries else {},
        "training_experiment_reference": experiment,
    }
    whole_job = {
        "kind": "job",
        "metadata": metadata,
        "algorithm": algorithm,
        "spec": spec,
        "tags": write_tags(job.labels),
        **({} if settings.region is None else {"region": settings.region}),
    }
    return pruned(whole_job)


def read_job(request: Json) -> tuple[Json, Json]:
    """The plain data of a job, and of settings."""
    metadata, algorithm, spec = request.get("metadata", {}), request.get("algorithm", {}), request.get("spec", {})
    env, volumes = dict(algorithm.get("environments", {})), spec.get("volumes", [])
    hints = read_hints(env.get(HINTS_VARIABLE, ""))
    mounts = data.read_mounts(env, volumes)
    for variable in (HINTS_VARIABLE,) * (hints is not None) + (data.INPUTS_VARIABLE,) * bool(mounts):
        del env[variable]
    channels = list(data.read_channels(algorithm.get("inputs", [])))
    mounted = data.read_volumes(volumes, mounts, {one["name"] for one in channels})
    search = algorithm.get("policies", {}).get("auto_search", {})
    job = _read_search(search, algorithm.get("parameters", []), hints)
    job["trial"] |= {
        **read_program(algorithm),
        "inputs": [*channels, *mounted],
        "output": data.read_outputs(algorithm.get("outputs", [])),
        "env": {name: value for name, value in env.items() if _is_variable(name)},
        "resources": read_resources(spec.get("resource", {})),
        "retries": _read_retries(metadata),
    }
    job["budget"]["max_seconds"] = _read_stop(spec.get("auto_stop", {}))
    job |= _read_metadata(metadata) | {
        "labels": read_tags(request.get("tags", [])),
        "experiment": {"name": metadata.get("training_experiment_reference", {}).get("name")},
    }
    logs = spec.get("log_export_path", {}).get("obs_url")
    settings = {
        "workspace": metadata.get("workspace_id"),
        "logs": None if logs is None else read_obs(logs),
        "region": request.get("region"),
    }
    return job, settings


# ---- stored algorithms ----------------------------------------------------------------------------------------------


def write_stored(job: TuningJob, settings: ModelArtsSettings) -> Json:
    """A stored algorithm with a search; where jobs made of it run, on what data, they say themselves."""
    search, space = _write_search(job)
    hints = {} if not space.hints else {HINTS_PARAMETER: _packed(hints_text(space.hints))}
    config = write_program(job.trial) | {
        "parameters": [*space.parameters, *_write_fixed(hints | job.trial.parameters)],
        "inputs": data.write_declared(job.trial),
        "outputs": data.write_declared_outputs(job.trial),
    }
    for name in ("id", "subscription_id", "item_version_id"):
        config.pop(name, None)  # an algorithm is made of no other
    metadata = _write_metadata(job, settings) | {"tags": write_tags(job.labels)}
    stored = {
        "metadata": metadata,
        "job_config": config,
        "resource_requirements": write_requirements(job.trial.resources),
        "advanced_config": {"auto_search": search},
    }
    return pruned(stored | ({} if settings.region is None else {"region": settings.region}))


def read_stored(request: Json) -> tuple[Json, Json]:
    """The plain data of a job, and of settings."""
    metadata, config = request.get("metadata", {}), request.get("job_config", {})
    search, parameters = request.get("advanced_config", {}).get("auto_search", {}), config.get("parameters", [])
    hints = _read_hints(parameters)
    if hints is not None:
        parameters = [one for one in parameters if one.get("name") != HINTS_PARAMETER]
    job = _read_search(search, parameters, hints)
    job["trial"] |= {
        **read_program(config),
        "inputs": list(data.read_declared(config.get("inputs", []))),
        "output": data.read_declared_outputs(config.get("outputs", [])),
        "resources": read_requirements(request.get("resource_requirements", [])),
    }
    job |= _read_metadata(metadata) | {"labels": read_tags(metadata.get("tags", []))}
    return job, {"workspace": metadata.get("workspace_id"), "region": request.get("region")}


def _read_hints(parameters: list[Json]) -> Mapping[str, Hint] | None:
    said = next((one.get("value") for one in parameters if one.get("name") == HINTS_PARAMETER), None)
    return None if said is None else read_hints(_unpacked(str(said)))


def _packed(hints: str) -> str:
    """Text that any shell leaves as it is: flags of an own image are appended to its command."""
    return base64.urlsafe_b64encode(hints.encode()).decode().rstrip("=")


def _unpacked(flag: str) -> str:
    """The inverse of `_packed`; empty if it is none."""
    try:
        return base64.urlsafe_b64decode(flag + "==").decode()
    except ValueError:
        return ""


# ---- what both have in common ---------------------------------------------------------------------------------------


def _write_search(job: TuningJob) -> tuple[Json, study.Space]:
    space = study.write_space(job.study.parameters)
    search = {
        "reward_attrs": study.write_objectives(job.study, job.trial),
        "search_params": space.search_params,
        "algo_configs": [study.write_settings(*study.write_algorithm(job.study, job.budget.max_trials))],
    }
    return search, space


def _read_search(search: Json, parameters: list[Json], hints: Mapping[str, Hint] | None) -> Json:
    entries = {one.get("name", ""): one for one in parameters}
    ranges, rewards = search.get("search_params", []), search.get("reward_attrs", [])
    config = search["algo_configs"][0]
    said = study.read_settings(config)
    return {
        "study": {
            "parameters": study.read_space(ranges, entries, hints),
            "objectives": study.read_objectives(rewards),
            "algorithm": study.read_algorithm(config["name"], said),
        },
        "trial": {
            "metrics": study.read_patterns(rewards),
            "parameters": _read_fixed(parameters, {one.get("name") for one in ranges}),
        },
        "budget": {"max_trials": study.read_trials(said)},
    }


def _write_fixed(parameters: Mapping[str, Scalar]) -> list[Json]:
    return [
        {"name": name, "value": text(value), "constraint": {"type": kind_of([value])}}
        for name, value in parameters.items()
    ]


def _read_fixed(parameters: list[Json], searched: set[str]) -> Json:
    return {
        one["name"]: typed(one["value"], kind)
        if (kind := one.get("constraint", {}).get("type"))
        else seen(one["value"])
        for one in parameters
        if one.get("value") is not None and one.get("name") not in searched and one.get("name")
    }


def _write_metadata(job: TuningJob, settings: ModelArtsSettings) -> Json:
    described = {} if job.description is None else {"description": job.description}
    return {
        "name": job.name,
        **described,
        **({} if settings.workspace is None else {"workspace_id": settings.workspace}),
    }


def _read_metadata(metadata: Json) -> Json:
    return {"name": metadata.get("name"), "description": metadata.get("description")}


def write_tags(labels: Mapping[str, str]) -> list[Json]:
    """Labels as tags; a tag may do without a value."""
    return [{"key": key, "value": value} if value else {"key": key} for key, value in labels.items()]


def read_tags(tags: list[Json]) -> dict[str, str]:
    """The inverse of `write_tags`."""
    return {one["key"]: one.get("value", "") for one in tags if one.get("key")}


def _write_stop(seconds: float | None) -> Json:
    return {} if seconds is None else {"time_unit": "HOURS", "duration": math.ceil(seconds / _HOUR)}


def _read_stop(stop: Json) -> float | None:
    duration: Any = stop.get("duration")
    fits = stop.get("time_unit") == "HOURS" and isinstance(duration, int) and 1 <= duration < 1e10 / _HOUR
    return float(duration * _HOUR) if fits else None


def _read_retries(metadata: Json) -> int:
    retries = whole(metadata.get("annotations", {}).get(RETRIES))
    return retries if retries is not None and 0 <= retries <= 100 else 0


def _is_variable(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def pruned(document: Json) -> Json:
    """A document without empty lists and objects, which say nothing."""
    found: Json = {}
    for key, value in document.items():
        part = value
        if isinstance(value, dict):
            part = pruned(value)
        elif isinstance(value, list):
            part = [pruned(one) if isinstance(one, dict) else one for one in value]
        if part is not None and part not in ({}, []):
            found[key] = part
    return found
