"""The documents: which one it is, what its wrapping is, and what can be said in several ways said in one.

A request is canonical when it says nothing twice: what follows from the search (the constraints of searched
parameters) or is the default anyway is left out, numbers are written as Python writes them, places as
``/bucket/…``, and lists whose order has no meaning are in our order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Final, TypeAlias

from tuneport.backends.modelarts.translate import autosearch, data, study
from tuneport.backends.modelarts.translate.job import RETRIES, pruned
from tuneport.backends.modelarts.translate.places import write_obs
from tuneport.backends.modelarts.translate.values import boolean, kind_of, number, seen, text, typed, whole
from tuneport.errors import PayloadError, Problem
from tuneport.model.word import short
from tuneport.translation.shape import Shape, schema_of

Json: TypeAlias = dict[str, Any]

FORMS: Final = ("job", "algorithm", "yaml", "terraform")
KINDS: Final[Mapping[str, str]] = {
    "job": "job",
    "terraform": "job",
    "response": "job",
    "algorithm": "algorithm",
    "algorithm-response": "algorithm",
    "yaml": "yaml",
}
"""Form to what it says: responses are what the service answers, `terraform` is how its provider says a job."""
_ROOTS = {
    "job": "Job",
    "terraform": "Job",
    "response": "ShowTrainingJobDetailsResponse",
    "algorithm": "Algorithm",
    "algorithm-response": "ShowAlgorithmByUuidResponse",
    "yaml": "AutoSearchYaml",
}
BESIDE = ("tags", "region")
"""What stands beside a job although the service takes it elsewhere: tags in a call of their own."""


# ---- which document it is -------------------------------------------------------------------------------------------


def recognised(document: object) -> str:
    """The form of a document.

    Raises:
        PayloadError: it is none from which a job can be read.
    """
    if not isinstance(document, dict):
        raise _refused(Problem("", "must be an object"))
    keys = {str(key).replace("_", "").lower() for key in document}
    if "traininginput" in keys:
        raise _refused(
            Problem("/trainingInput", "an AutoNet file of 2019 (dialect C); ModelArts does not run these any more"),
            hint="write its params as the search of a training job",
        )
    table = document.get("items", document)
    if isinstance(table, dict) and {"header", "data"} <= table.keys():
        raise _refused(
            Problem("", "a table of trials, not a job: it has results, but neither ranges nor a program"),
            hint="import the training job; its trials are read beside it",
        )
    if keys & {"searchspace", "searchalgorithm"}:
        return "yaml"
    if keys & {"jobconfig", "advancedconfig"}:
        return "algorithm-response" if _answered(document, _ANSWERED["algorithm"]) else "algorithm"
    if not keys & {"algorithm", "spec", "metadata", "kind"}:
        raise _refused(
            Problem("", f"no document of ModelArts has the keys {short(sorted(map(str, document)))}"),
            hint="known are training jobs (metadata, algorithm, spec), stored algorithms (metadata, job_config, "
            "advanced_config) and AutoSearch files (search_space, search_algorithm)",
        )
    if "status" in keys:
        return "response"
    dressed = isinstance(document.get("tags"), dict) or isinstance(document.get("metadata"), list)
    return "terraform" if dressed or "region" in keys else "job"


def _refused(problem: Problem, hint: str | None = None) -> PayloadError:
    return PayloadError("this is no tuning job of ModelArts", problems=[problem], hint=hint)


@cache
def shape(form: str) -> Shape:
    """The vendor's model of a form; replies may have more in them than it knows."""
    schema = schema_of("tuneport.backends.modelarts")
    definitions = dict(schema["$defs"])
    ranges = definitions["SearchParams"]
    kinds = {"type": "string", "enum": ["continuous", "discrete", "discreate"]}  # as a past edition prints it
    definitions["SearchParams"] = ranges | {"properties": ranges["properties"] | {"param_type": kinds}}
    return Shape({"$defs": definitions}, _ROOTS[form], unknown="keep" if form.endswith("response") else "refuse")


@cache
def strict_shape(kind: str) -> Shape:
    """The vendor's model of what is sent."""
    return Shape(schema_of("tuneport.backends.modelarts"), _ROOTS[kind])


def opened(document: Json, form: str) -> Json:
    """The document by the vendor's model, with what stands beside it.

    Raises:
        PayloadError: it does not follow the model.
    """
    beside = {name: document[name] for name in BESIDE if KINDS[form] == "job" and document.get(name) is not None}
    request = shape(form).read({key: value for key, value in document.items() if key not in beside})
    if "tags" in beside:
        request["tags"] = _tags(beside["tags"])
    if "region" in beside:
        request["region"] = str(beside["region"])
    return request


def _tags(tags: Any) -> list[Json]:
    if isinstance(tags, dict):
        tags = [{"key": key, "value": value} for key, value in tags.items()]
    if not isinstance(tags, list) or not all(isinstance(one, dict) for one in tags):
        raise _refused(Problem("/tags", "must be a list of keys and values"))
    problems = [
        Problem(f"/tags/{index}", "must be an object with a text key and a text value")
        for index, one in enumerate(tags)
        if not isinstance(one.get("key"), str) or not isinstance(one.get("value") or "", str) or len(one) > 2
    ]
    if problems:
        raise PayloadError("tags", problems=problems)
    return [{"key": one["key"]} | ({"value": one["value"]} if one.get("value") else {}) for one in tags]


# ---- what the service answers beyond the request --------------------------------------------------------------------

_ANSWERED: Final[Mapping[str, Json]] = {
    "job": {
        "status": ...,
        "metadata": {
            "id": ...,
            "create_time": ...,
            "user_name": ...,
            "user_id": ...,
            "annotations": {"job_template": ..., "key_task": ...},
            "training_experiment_reference": {"serial_number": ...},
        },
        "algorithm": {"name": ...},
        "spec": {
            "resource": {
                "policy": ...,
                "flavor_name": ...,
                "flavor_detail": ...,
                "pool_name": ...,
                "main_container_allocated_resources": ...,
            }
        },
        "endpoints": {"jupyter_lab": ..., "mindstudio_insight": ..., "tensorboard": ...},
    },
    "algorithm": {
        "metadata": dict.fromkeys(
            (
                "id", "create_time", "update_time", "user_name", "domain_id", "source", "api_version", "is_valid",
                "state", "size", "attr_list", "version_num",
            ),
            ...,
        ),
        "job_config": {"code_tree": ...},
    },
}  # fmt: skip
"""What the service adds; `...` is all of it."""


def _answered(document: Any, mask: Json) -> bool:
    return isinstance(document, dict) and any(
        key in document and (part is ... or _answered(document[key], part)) for key, part in mask.items()
    )


def taken_apart(document: Json, form: str) -> tuple[Json, Json]:
    """A document as what was asked for and what was answered."""
    if not form.endswith("response"):
        return document, {}
    return _split(document, _ANSWERED[KINDS[form]])


def _split(document: Json, mask: Json) -> tuple[Json, Json]:
    request, response = {}, {}
    for key, value in document.items():
        part = mask.get(key, {})
        if part is ...:
            response[key] = value
        elif part and isinstance(value, dict):
            request[key], answered = _split(value, part)
            response |= {key: answered} if answered else {}
        else:
            request[key] = value
    return request, response


def merged(request: Json, response: Json) -> Json:
    """The inverse of `taken_apart`."""
    both = dict(request)
    for key, value in response.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


# ---- one way to say it ----------------------------------------------------------------------------------------------


def canonical(request: Json, form: str) -> Json:
    """A well-formed request, said in our way. It is changed in place."""
    return pruned(_CANONICAL[KINDS[form]](request))


def _job(request: Json) -> Json:
    request.setdefault("kind", "job")
    metadata, algorithm = request.setdefault("metadata", {}), request["algorithm"]
    _metadata(metadata)
    _drop(metadata.get("annotations", {}), **{RETRIES: "0"})
    _program(algorithm)
    _drop(algorithm, name="")
    if isinstance(algorithm.get("environments"), list):
        algorithm["environments"] = {key: value for one in algorithm["environments"] for key, value in one.items()}
    for folder in ("inputs", "outputs"):
        for index, one in enumerate(algorithm.get(folder, [])):
            _channel(one, f"/home/ma-user/modelarts/{folder}/{one.get('name')}_{index}")
    _sort(algorithm, "inputs", data.is_input)
    _sort(algorithm, "outputs", data.is_output)
    algorithm["parameters"] = _search(algorithm["policies"]["auto_search"], algorithm.get("parameters", []))
    spec = request.setdefault("spec", {})
    spec.setdefault("resource", {}).setdefault("node_count", 1)
    logs = spec.get("log_export_path", {})
    _drop(logs, obs_url="", host_path="")
    _places(logs, "obs_url")
    for volume in spec.get("volumes", []):
        volume.get("nfs", {}).setdefault("read_only", False)
        _places(volume.get("obs", {}), "obs_path")
    _sort(spec, "volumes", data.is_volume)
    return request


def _stored(request: Json) -> Json:
    metadata, config = request.setdefault("metadata", {}), request.setdefault("job_config", {})
    _metadata(metadata)
    metadata["tags"] = [one for one in metadata.get("tags", []) if one != {"key": "auto_search"}]
    for tag in metadata["tags"]:
        _drop(tag, value="")
    _program(config)
    for folder in ("inputs", "outputs"):
        for one in config.get(folder, []):
            _drop(one, description="", remote_constraints=[{"data_type": "obs"}])
    _sort(config, "outputs", data.is_output)
    config["parameters"] = _search(request["advanced_config"]["auto_search"], config.get("parameters", []))
    return request


def _drop(part: Json, **defaults: Any) -> None:
    for name, default in defaults.items():
        if name in part and part[name] == default:
            del part[name]


def _sort(part: Json, name: str, known: Callable[[Json], bool]) -> None:
    """First what our words say, then what is kept aside."""
    if name in part:
        part[name] = sorted(part[name], key=lambda one: not known(one))


def _places(part: Json, *names: str) -> None:
    for name in names:
        if name in part:
            part[name] = write_obs(part[name])


def _metadata(metadata: Json) -> None:
    _drop(metadata, description="NULL", workspace_id="0")
    _drop(metadata, description="")


def _program(part: Json) -> None:
    _places(part, "code_dir", "boot_file")
    _drop(part, boot_file="", code_dir="", command="", id="")
    engine = part.get("engine", {})
    _drop(engine, engine_id="", engine_name="", engine_version="", image_url="")
    if "engine_id" in engine:  # it says which one; name and version would say it again
        engine.pop("engine_name", None)
        engine.pop("engine_version", None)


def _channel(one: Json, usual: str) -> None:
    _drop(one, local_dir=usual, description="", mode="upload_periodically", period=30)
    _drop(one, period="30")
    remote = one.get("remote", {})
    _places(remote.get("obs", {}), "obs_url")
    remote.get("dataset", {}).pop("obs_url", None)


def _search(search: Json, parameters: list[Json]) -> list[Json]:
    """The search in our way; what comes back are the parameters: the searched ones, in order, then the fixed ones."""
    _drop(search, skip_search_params="")
    for reward in search["reward_attrs"]:
        reward.setdefault("regex", study.printed(reward["name"]))
    entries = {one.get("name"): one for one in parameters}
    searched = []
    for item in search["search_params"]:
        entry = entries.pop(item["name"], {"name": item["name"]})
        _range(item, entry)
        searched.append(entry)
    for config in search["algo_configs"]:
        _settings(config)
    first: list[Json] = search["algo_configs"][0]["params"]
    if all(one["key"] != "num_samples" for one in first):
        first.append({"key": "num_samples", "value": str(study.DEFAULT_TRIALS), "type": "Integer"})
        _settings(search["algo_configs"][0])
    fixed = [one for one in parameters if one.get("name") in entries]
    for one in fixed:
        _fixed(one)
    return searched + sorted(fixed, key=lambda one: one.get("value") is None)


def _range(item: Json, entry: Json) -> None:
    for name in ("lower_bound", "upper_bound", "discrete_points_num", "discrete_values"):
        _drop(item, **{name: ""})
    constraint, value = entry.setdefault("constraint", {}), entry.get("value")
    discrete = item.get("param_type") in {"discrete", "discreate"} or bool(item.get("discrete_values"))
    item["param_type"] = "discrete" if discrete else "continuous"
    if discrete:
        item["discrete_values"] = listed = _listed(item["discrete_values"])
        kind = constraint.setdefault("type", kind_of([seen(one) for one in listed]))
        item["discrete_values"] = values = _values(listed, kind)
        if value is not None and kind in {"Integer", "Float", "Boolean"}:
            read = boolean if kind == "Boolean" else number
            entry["value"] = next((one for one in values if read(one) is not None and read(one) == read(value)), value)
    else:
        constraint.setdefault("type", "Float")
        for name in ("lower_bound", "upper_bound"):
            item[name] = _real(item[name])
        if (points := whole(item.get("discrete_points_num"))) is not None:
            item["discrete_points_num"] = str(points)
        if value is not None:
            entry["value"] = _real(value)
    _undress(constraint, item)
    _drop(entry, description="")


def _listed(values: list[str] | str) -> list[str]:
    """Replies about stored algorithms say lists as one text."""
    return [one.strip(" '\"") for one in values.strip("[]").split(",")] if isinstance(values, str) else values


def _values(values: list[str], kind: str) -> list[str]:
    """Numbers in order, and booleans as the service prints them."""
    if kind == "Boolean":
        return [one if (read := boolean(one)) is None else text(read) for one in values]
    numbers = [number(one) for one in values] if kind in {"Integer", "Float"} else []
    ordered = sorted(one for one in numbers if one is not None)
    distinct = len(ordered) == len(values) and all(a < b for a, b in pairwise(ordered))
    return [text(one) for one in ordered] if distinct else values


def _real(value: str) -> str:
    read = number(value)
    return value if read is None else text(float(read))


def _derived(item: Json) -> Json:
    """What the constraint of a searched parameter says that follows from the search."""
    if item["param_type"] == "continuous":
        return {"valid_type": "Range", "valid_range": [item["lower_bound"], item["upper_bound"]]}
    return {"valid_type": "Choice", "valid_range": item["discrete_values"]}


def _undress(constraint: Json, item: Json) -> None:
    derived = _derived(item)
    allowed = constraint.get("valid_range", [])
    if [_real(one) for one in allowed] == derived["valid_range"] or allowed == derived["valid_range"]:
        constraint.pop("valid_range", None)
        _drop(constraint, valid_type=derived["valid_type"])
    _drop(constraint, editable=True)
    _unconstrained(constraint)


def _unconstrained(constraint: Json) -> None:
    _drop(constraint, editable=False, required=False, sensitive=False, valid_type="None")


def dressed(request: Json, form: str) -> Json:
    """A request with what follows from the search: constraints, without which the console would not search."""
    document = dict(request)
    place = {"job": "algorithm", "algorithm": "job_config"}.get(KINDS[form])
    if place is not None:
        search = (
            request.get("algorithm", {}).get("policies", {})
            if place == "algorithm"
            else request.get("advanced_config", {})
        )
        ranges = {one.get("name"): one for one in search.get("auto_search", {}).get("search_params", [])}
        document[place] = request.get(place, {}) | {
            "parameters": [
                one | {"constraint": {"editable": True, **_derived(ranges[one["name"]]), **one.get("constraint", {})}}
                if one.get("name") in ranges
                else one
                for one in request.get(place, {}).get("parameters", [])
            ]
        }
    if form == "terraform":
        document["tags"] = {one["key"]: one.get("value", "") for one in document.get("tags", [])}
    return document


def _settings(config: Json) -> None:
    """Settings of an algorithm in our order, without those that are the default."""
    known = study.OPTIONS[config["name"]]
    rank = {key: index for index, key in enumerate(known)}
    kept = []
    for one in config.setdefault("params", []):
        option = known[one["key"]]
        value = typed(one["value"], option.kind)
        if option.default is None or value != option.default:
            kept.append(one | {"value": text(value), "type": one.get("type", option.kind)})
    config["params"] = sorted(kept, key=lambda one: rank[one["key"]])


def _fixed(entry: Json) -> None:
    constraint, value = entry.setdefault("constraint", {}), entry.get("value")
    _unconstrained(constraint)
    _drop(entry, description="")
    if value is not None:
        kind = constraint.setdefault("type", kind_of([seen(value)]))
        entry["value"] = text(typed(value, kind))


def _file(request: Json) -> Json:
    """An AutoSearch file: one group, every parameter with its own type, ranges upwards."""
    params = [
        _file_parameter({**({"type": group["type"]} if "type" in group else {}), **one})
        for group in request["search_space"]
        for one in group["params"]
    ]
    search = request["search_algorithm"]
    search.setdefault("mode", "max")
    if search["type"] != autosearch.GRID:
        search.setdefault("num_samples", study.DEFAULT_TRIALS)
    _drop(search, max_concurrent=1, kind="ucb")
    _drop(request, scheduler={"type": "FIFOScheduler"})
    general = {"instance_per_trial": 1, "gpu_per_instance": 0, **request.get("general", {})}
    return request | {"search_space": [{"params": params}], "general": general}


def _file_parameter(one: Json) -> Json:
    kind = one.get("type", "discrete" if "values" in one else "continuous").removesuffix("_param")
    one["type"] = f"{kind}_param"
    if kind == "discrete":
        one["values"] = autosearch.increasing(one["values"]) or one["values"]
        return one
    start, stop = one["start"], one["stop"]
    falls = start > stop if one.get("base", 2) > 1 else start < stop
    one["start"], one["stop"] = (autosearch.short(value) for value in ((stop, start) if falls else (start, stop)))
    return one


_CANONICAL: Final[Mapping[str, Callable[[Json], Json]]] = {"job": _job, "algorithm": _stored, "yaml": _file}
