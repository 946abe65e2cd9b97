"""What clients ask for: jobs of ours that can run, and documents as the service repeats them with all that it adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tuneport.backends.modelarts.translate import TRANSLATOR
from tuneport.backends.modelarts.translate.rules import at
from tuneport.emulators.launching import NOTHING
from tuneport.emulators.modelarts import catalog
from tuneport.emulators.modelarts.refusals import INVALID, RefusalError, invalid
from tuneport.emulators.programs import Programs
from tuneport.errors import JobError, PayloadError, Problem
from tuneport.model.job import TuningJob
from tuneport.translation.lowering import HINTS_VARIABLE

Json: TypeAlias = dict[str, Any]

_UNCONSTRAINED: Final[Json] = {
    "editable": False,
    "required": False,
    "sensitive": False,
    "valid_type": "None",
    "valid_range": [],
}
_NO_SEARCH: Final[Json] = {
    "reward_attrs": [{"name": "emulated", "mode": "max", "regex": "(?!)"}],
    "search_params": [{"name": NOTHING, "param_type": "discrete", "discrete_values": ["1"]}],
    "algo_configs": [{"name": "bayes_opt_search", "params": [{"key": "num_samples", "value": "1", "type": "Integer"}]}],
}
"""The search of a job that has none: nothing finds its metric."""
_ANNOTATIONS = {"job_template": "Template DL", "key_task": "worker"}
_HOME = "/home/ma-user/modelarts"
_PROGRAM = ("code_dir", "boot_file", "command", "engine")


def read(body: Json) -> Json:
    """A document, if it is one at all, without what is null: that says nothing.

    Raises:
        RefusalError: it has no name.
    """
    said: Json = _without_nulls(body)
    if not at(said, "/metadata/name"):
        raise RefusalError(INVALID, "/metadata/name: required, but missing")
    return said


def _without_nulls(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _without_nulls(one) for key, one in part.items() if one is not None}
    return [_without_nulls(one) for one in part] if isinstance(part, list) else part


def job(request: Json) -> TuningJob:
    """The job that a request asks for: in the service's own words, which knows nothing of what hints say besides.

    Raises:
        RefusalError: the service would refuse it.
    """
    try:
        reading = TRANSLATOR.read(request)
        problems = TRANSLATOR.problems(reading.request, reading.form)
        if not problems:
            plain, hints = _without_hints(reading.request)
            asked = TRANSLATOR.from_native(plain, reading.form)[0]
            return asked.model_copy(update={"trial": asked.trial.changed(env={**asked.trial.env, **hints})})
    except (PayloadError, JobError) as error:
        problems = list(error.problems) or [Problem("", error.message)]
    raise invalid(problems)


def _without_hints(request: Json) -> tuple[Json, dict[str, str]]:
    """A request without the variable that tells trials what their parameters stand for, and that variable."""
    env = at(request, "/algorithm/environments")
    hints = {name: text for name, text in env.items() if name == HINTS_VARIABLE}
    if not hints:
        return request, {}
    plain = {name: text for name, text in env.items() if name not in hints}
    return request | {"algorithm": request["algorithm"] | {"environments": plain}}, hints


def is_search(request: Json) -> bool:
    """Whether a job searches anything, or is none; others run once."""
    algorithm = at(request, "/algorithm")
    if not isinstance(algorithm, dict) or not isinstance(algorithm.get("parameters") or [], list):
        return True
    policies = algorithm.get("policies") or {}
    return policies != {} or "autosearch_config_path" in algorithm


def searching(request: Json) -> Json:
    """A job without a search as one that searches nothing, in a single trial."""
    algorithm: Json = request["algorithm"]
    parameters = [*(algorithm.get("parameters") or ()), {"name": NOTHING, "value": "1"}]
    return request | {"algorithm": algorithm | {"parameters": parameters, "policies": {"auto_search": _NO_SEARCH}}}


def runnable(asked: TuningJob, parallel: int) -> TuningJob:
    """The job with what the service decides: how many trials run at once, and that it fails when all of them have."""
    budget = asked.budget.model_copy(
        update={"parallel_trials": parallel, "max_failed_trials": asked.budget.max_trials},
    )
    return asked.model_copy(update={"budget": budget})


def by_stored_name(asked: TuningJob, stored: Json, programs: Programs) -> TuningJob:
    """The job as its stored algorithm, where something is mapped to that, and nothing to what the algorithm starts."""
    for name in (stored["metadata"]["name"], stored["metadata"]["id"]):
        plain = dict.fromkeys(("image", "command", "module", "package")) | {"args": (), "algorithm": name}
        trial = asked.trial.model_copy(update=plain)
        if programs.find(asked.trial) is None and programs.find(trial) is not None:
            return asked.model_copy(update={"trial": trial})
    return asked


# ---- jobs of stored algorithms --------------------------------------------------------------------------------------


def completed(request: Json, stored: Json) -> Json:
    """A job of a stored algorithm, with all that the algorithm says and the job does not."""
    config, algorithm = stored["job_config"], request["algorithm"]
    given = {one.get("name"): one for one in algorithm.get("parameters") or ()}
    declared = config.get("parameters") or ()
    parameters = [one | given.pop(one.get("name"), {}) for one in declared]
    search = at(request, "/algorithm/policies/auto_search") or _one_of_each(at(stored, "/advanced_config/auto_search"))
    program = {name: config[name] for name in _PROGRAM if config.get(name)}
    filled = {
        **program,
        **algorithm,
        "name": stored["metadata"]["name"],
        "parameters": [*parameters, *given.values()],
        "policies": {"auto_search": search},
    }
    return request | {"algorithm": filled}


def _one_of_each(search: Json) -> Json:
    """A stored algorithm may offer several metrics and algorithms; a job has one of each."""
    several = {name: search[name][:1] for name in ("reward_attrs", "algo_configs") if search.get(name)}
    return search | several


def without_identity(request: Json) -> Json:
    """A completed job as if it said itself what it runs."""
    algorithm = {key: value for key, value in request["algorithm"].items() if key not in {"id", "name"}}
    return request | {"algorithm": algorithm}


# ---- what the service adds ------------------------------------------------------------------------------------------


def filled(request: Json) -> Json:
    """A job as the service repeats it, with its defaults."""
    metadata = {"workspace_id": "0", "description": "", **request["metadata"]}
    metadata["annotations"] = _ANNOTATIONS | (metadata.get("annotations") or {})
    algorithm = {"name": "", **request["algorithm"]}
    if "parameters" in algorithm:
        algorithm["parameters"] = [_parameter(one) for one in algorithm["parameters"]]
    for folder in ("inputs", "outputs"):
        if folder in algorithm:
            algorithm[folder] = [_channel(one, folder, index) for index, one in enumerate(algorithm[folder])]
    if engine := algorithm.get("engine"):
        algorithm["engine"] = _engine(engine)
    spec = request.get("spec") or {}
    return {
        **request,
        "metadata": metadata,
        "algorithm": algorithm,
        "spec": spec | {"resource": _resource(spec.get("resource") or {})},
    }


def _parameter(one: Json) -> Json:
    return one | {"constraint": _UNCONSTRAINED | (one.get("constraint") or {})}


def _channel(one: Json, folder: str, index: int) -> Json:
    added: Json = {"local_dir": f"{_HOME}/{folder}/{one.get('name')}_{index}"}
    return added | ({"mode": "upload_periodically", "period": 30} if folder == "outputs" else {}) | one


def _engine(engine: Json) -> Json:
    known: Mapping[str, Any] = catalog.ENGINES.get(engine.get("engine_id", ""), {})
    return {name: known[name] for name in ("engine_name", "engine_version") if name in known} | engine


def _resource(resource: Json) -> Json:
    said = {"policy": "regular", "node_count": 1, **resource}
    flavor: Any = catalog.FLAVORS.get(resource.get("flavor_id", ""))
    if flavor is None:
        return said
    info = flavor["flavor_info"]
    disk = info["disk"] | {"size": str(info["disk"]["size"])}  # of jobs it is text, of flavors a number
    detail = {name: flavor[name] for name in ("flavor_type", "billing")} | {"flavor_info": info | {"disk": disk}}
    return {"flavor_name": flavor["flavor_name"], "flavor_detail": detail, **said}


def filled_algorithm(request: Json) -> Json:
    """A stored algorithm as the service repeats it: lists of values are one text, requirements have a `value`."""
    metadata = {"workspace_id": "0", "description": "", "tags": [], **request["metadata"]}
    advanced = request.get("advanced_config") or {}
    search = at(request, "/advanced_config/auto_search")
    if search:
        metadata["tags"] = [{"key": "auto_search"}, *metadata["tags"]]
        ranges = [_as_text(one) for one in search.get("search_params") or ()]
        advanced = advanced | {"auto_search": search | {"search_params": ranges}}
    config = dict(request.get("job_config") or {})
    if config.get("parameters"):
        config["parameters"] = [_parameter(one) for one in config["parameters"]]
    requirements = [
        {"value" if key == "values" else key: value for key, value in one.items()}
        for one in request.get("resource_requirements") or ()
    ]
    return {
        "metadata": metadata,
        "job_config": config,
        "resource_requirements": requirements,
        "advanced_config": advanced or {"auto_search": {}},
    }


def _as_text(one: Json) -> Json:
    values = one.get("discrete_values")
    return one | {"discrete_values": ",".join(values)} if isinstance(values, list) else one
