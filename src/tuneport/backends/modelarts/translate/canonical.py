"""What can be said in several ways, said in one.

A request is canonical when it says nothing twice: what follows from the search (the constraints of searched
parameters) or is the default anyway is left out, numbers are written as Python writes them, places as
``/bucket/…``, and lists whose order has no meaning are in our order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, TypeAlias

from tuneport.backends.modelarts.translate import autosearch, data, study
from tuneport.backends.modelarts.translate.job import RETRIES, pruned
from tuneport.backends.modelarts.translate.machines import REQUIREMENTS
from tuneport.backends.modelarts.translate.places import write_obs
from tuneport.backends.modelarts.translate.values import (
    boolean,
    counted,
    kind_of,
    listed,
    number,
    seen,
    text,
    typed,
    whole,
)

Json: TypeAlias = dict[str, Any]


def canonical(request: Json, kind: str) -> Json:
    """A well-formed request, said in our way. It is changed in place."""
    return pruned(_CANONICAL[kind](request))


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
    requirements = request.get("resource_requirements", [])
    for one in filter(lambda one: "value" in one, requirements):  # as replies call it
        one["values"] = one.pop("value")
    requirements.sort(key=lambda one: (*REQUIREMENTS, one.get("key")).index(one.get("key")))
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


_UNSAID: Final = (
    *("id", "subscription_id", "item_version_id", "code_dir", "boot_file", "command", "local_code_dir", "working_dir"),
    *("autosearch_config_path", "autosearch_framework_path"),
)
"""What says nothing where it is empty."""


def _program(part: Json) -> None:
    _places(part, "code_dir", "boot_file")
    _drop(part, **dict.fromkeys(_UNSAID, ""))
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
        _drop(reward, regex="")
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
        first.append({"key": "num_samples", "value": str(study.DEFAULT_TRIALS)})
        _settings(search["algo_configs"][0])
    fixed = [one for one in parameters if one.get("name") in entries]
    for one in fixed:
        _fixed(one)
    return searched + sorted(fixed, key=lambda one: one.get("value") is None)


def _range(item: Json, entry: Json) -> None:
    for name in ("lower_bound", "upper_bound", "discrete_points_num"):
        _drop(item, **{name: ""})
    item["discrete_values"] = values = listed(item.get("discrete_values"))
    constraint, value = entry.setdefault("constraint", {}), entry.get("value")
    discrete = item.get("param_type") != "continuous" and values
    item["param_type"] = "discrete" if discrete else "continuous"
    if discrete:
        kind = constraint.setdefault("type", kind_of([seen(one) for one in values]))
        item["discrete_values"] = values = _values(values, kind)
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


def _values(values: list[str], kind: str) -> list[str]:
    """Numbers in order, and booleans as the service prints them."""
    if kind == "Boolean":
        return [one if (read := boolean(one)) is None else text(read) for one in values]
    numbers = [counted(one, kind) for one in values] if kind in {"Integer", "Float"} else []
    ordered = sorted(one for one in numbers if one is not None)
    distinct = len(ordered) == len(values) and all(a < b for a, b in pairwise(ordered))
    return [text(one) for one in ordered] if distinct else values


def _real(value: str) -> str:
    read = number(value)
    return value if read is None else text(float(read))


def derived(item: Json) -> Json:
    """What the constraint of a searched parameter says that follows from the search."""
    if item.get("param_type") == "continuous" or not item.get("discrete_values"):
        return {"valid_type": "Range", "valid_range": [item.get("lower_bound"), item.get("upper_bound")]}
    return {"valid_type": "Choice", "valid_range": item["discrete_values"]}


def _undress(constraint: Json, item: Json) -> None:
    """Take away what makes no difference: the search gives every value, and all that it gives is allowed."""
    if not _restricts(constraint, item):
        constraint.pop("valid_type", None)
        constraint.pop("valid_range", None)
    _drop(constraint, editable=True, required=True)
    _unconstrained(constraint)


def _restricts(constraint: Json, item: Json) -> bool:
    """Whether a constraint may forbid something that is searched."""
    follows = derived(item)
    allowed, searched = constraint.get("valid_range", []), follows["valid_range"]
    match constraint.get("valid_type", follows["valid_type"]):
        case "None":
            return False
        case "Choice":
            return follows["valid_type"] != "Choice" or not set(searched) <= set(allowed)
    low, high, *values = [*map(number, allowed), *map(number, searched)] if len(allowed) == 2 else (None, None)
    return low is None or high is None or not all(one is not None and low <= one <= high for one in values)


def _unconstrained(constraint: Json) -> None:
    _drop(constraint, editable=False, required=False, sensitive=False, valid_type="None")


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
    defaults = {key: option.default for key, option in study.OPTIONS.get(search["type"], {}).items() if option.default}
    _drop(search, max_concurrent=1, **defaults)
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
    if one.get("base", 1) < 1:  # 0.5 ** 3 is 2 ** -3
        one["base"], start, stop = autosearch.short(1 / one["base"]), -start, -stop
    one["start"], one["stop"] = (autosearch.short(value) for value in sorted((start, stop)))
    return one


_CANONICAL: Final[Mapping[str, Callable[[Json], Json]]] = {"job": _job, "algorithm": _stored, "yaml": _file}
