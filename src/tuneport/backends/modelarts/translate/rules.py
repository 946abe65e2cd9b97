"""What the service refuses although its schema allows it: the documented rules between fields, and limits.

Every rule is a function over a request that yields problems with pointers into it. Symbolic values are never wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, TypeAlias

from tuneport.backends.modelarts.translate.autosearch import CONTINUOUS, DISCRETE, GRID
from tuneport.backends.modelarts.translate.job import RETRIES
from tuneport.backends.modelarts.translate.study import MODES, OPTIONS
from tuneport.backends.modelarts.translate.values import Kind, boolean, listed, number, whole
from tuneport.errors import Problem
from tuneport.model.parameters import MAX_CHOICES
from tuneport.model.trial_spec import MAX_PATTERN
from tuneport.model.word import did_you_mean, short
from tuneport.translation.shape import is_symbolic

Json: TypeAlias = dict[str, Any]

SEARCH: Final = {"job": "/algorithm/policies/auto_search", "algorithm": "/advanced_config/auto_search"}
"""Where the search is, by the kind of document."""
PROGRAM: Final = {"job": "/algorithm", "algorithm": "/job_config"}
"""Where is what runs."""
ACQUISITIONS: Final = ("ucb", "ei", "poi")
PARAM_TYPES: Final = (None, "", "continuous", "discrete", "discreate")
"""What searched parameters may call their kind; the last one is how a past edition prints it."""
KINDS: Final = (None, CONTINUOUS, DISCRETE, "continuous", "discrete")
"""What parameters of AutoSearch files may call their kind; None: it is seen."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def malformed(request: Json, kind: str) -> list[Problem]:
    """What keeps a request from being a search at all."""
    if kind == "yaml":
        return list(_file(request))
    where = SEARCH[kind]
    search = at(request, where)
    if not search:
        return [_no_search(request, kind)]
    return list(
        chain(_rewards(search, where), _ranges(search, where), _algorithms(search, where), _names(request, kind))
    )


def refused(request: Json, kind: str) -> list[Problem]:
    """Everything for which the service would refuse the request."""
    found = malformed(request, kind)
    if kind == "yaml":
        return found
    where = SEARCH[kind]
    search = at(request, where)
    found += chain(_empty_ranges(search, where), _patterns(search, where), _options(search, where))
    found += chain(_metadata(request), _program(request, kind), _parameters(request, kind))
    if kind == "job":
        found += chain(_identity(request), _environment(request), _channels(request))
        found += chain(_machines(request), _times(request), _tags(request))
    return found


def beside(request: Json) -> list[Problem]:
    """What makes no tags: these stand beside a job, and are no part of its schema."""
    tags = request.get("tags", [])
    if not isinstance(tags, list):
        return [Problem("/tags", "must be a list of keys and values")]
    return [
        Problem(f"/tags/{index}", "must be an object with a text key and a text value")
        for index, one in enumerate(tags)
        if not isinstance(one, dict)
        or not isinstance(one.get("key"), str)
        or not isinstance(one.get("value") or "", str)
        or not one.keys() <= {"key", "value"}
    ]


def at(request: Any, pointer: str) -> Any:
    """What stands there; an empty object if nothing does."""
    for part in pointer.split("/")[1:]:
        request = request.get(part) if isinstance(request, dict) else None
    return {} if request is None else request


def _items(part: Any, name: str, where: str) -> Iterator[tuple[Json, str]]:
    """The items of a list with their pointers."""
    for index, one in enumerate(part.get(name) or ()):
        yield one, f"{where}/{name}/{index}"


def _twice(items: Iterable[tuple[Json, str]], key: str, what: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for one, here in items:
        name = one.get(key)
        if name in seen and not is_symbolic(name):
            yield Problem(f"{here}/{key}", f"{what} '{short(name)}' is already there")
        seen.add(name or "")


# ---- the search -----------------------------------------------------------------------------------------------------


def _no_search(request: Json, kind: str) -> Problem:
    program = at(request, PROGRAM[kind])
    if file := program.get("autosearch_config_path"):
        return Problem(
            f"{PROGRAM[kind]}/autosearch_config_path",
            f"the search of this job is in a file, {short(file)}",
            "import that file; what the job runs is then said in trial",
        )
    if stored := program.get("id") or program.get("subscription_id"):
        return Problem(
            SEARCH[kind],
            f"required, but missing: the search of this job is kept with the algorithm {short(stored)}",
            "import the stored algorithm, or say the search here",
        )
    return Problem(SEARCH[kind], "required, but missing: without a search this is no tuning job")


def _required(part: Json, name: str, where: str) -> Iterator[Problem]:
    if not part.get(name):
        yield Problem(f"{where}/{name}", "required, but missing")


def _rewards(search: Json, where: str) -> Iterator[Problem]:
    yield from _required(search, "reward_attrs", where)
    for one, here in _items(search, "reward_attrs", where):
        yield from _required(one, "name", here)
        if one.get("mode") not in MODES:
            yield Problem(f"{here}/mode", f"must be max or min, not {short(one.get('mode'))}")
        yield from _pattern(one.get("regex", ""), f"{here}/regex")
    yield from _twice(_items(search, "reward_attrs", where), "name", "metric")


def _pattern(regex: str, here: str) -> Iterator[Problem]:
    if len(regex) > MAX_PATTERN:
        yield Problem(here, f"{len(regex)} characters are more than {MAX_PATTERN}")
        return
    try:
        re.compile(regex)
    except (re.error, OverflowError, RecursionError) as error:
        yield Problem(here, f"is not a regular expression: {error}")


def _ranges(search: Json, where: str) -> Iterator[Problem]:
    yield from _required(search, "search_params", where)
    for one, here in _items(search, "search_params", where):
        yield from _required(one, "name", here)
        values = listed(one.get("discrete_values"))
        if (kind := one.get("param_type")) not in PARAM_TYPES:
            hint = did_you_mean(short(kind), ["continuous", "discrete"])
            yield Problem(f"{here}/param_type", f"no kind of parameter is called {short(kind)}", hint)
        elif kind == "continuous" or not (values or kind):
            yield from _bounds(one, here)
            yield from _points(one, here)
        elif not values:
            yield Problem(f"{here}/discrete_values", "a discrete parameter needs values")
        else:
            yield from _values(values, here)
    yield from _twice(_items(search, "search_params", where), "name", "searched parameter")


def _bounds(part: Json, here: str) -> Iterator[Problem]:
    bounds = [(name, number(part.get(name))) for name in ("lower_bound", "upper_bound")]
    for name, value in bounds:
        if value is None:
            given = part.get(name)
            problem = "required, but missing" if given is None else f"must be a finite number, not {short(given)}"
            hint = "say it before importing: ranges cannot wait for their bounds" if is_symbolic(given) else None
            yield Problem(f"{here}/{name}", problem, hint)
    low, high = (value for _, value in bounds)
    if low is not None and high is not None and (low > high or math.isinf(float(high) - float(low))):
        message = f"must not be above upper_bound: {low} > {high}" if low > high else "the range is wider than a double"
        yield Problem(f"{here}/lower_bound", message)


def _points(part: Json, here: str) -> Iterator[Problem]:
    points = part.get("discrete_points_num")
    count = whole(points)
    if points and not is_symbolic(points) and (count is None or count < 2):
        yield Problem(f"{here}/discrete_points_num", f"must be a whole number from 2, not {short(points)}")


def _values(values: list[str], here: str) -> Iterator[Problem]:
    if len(values) > MAX_CHOICES:
        yield Problem(f"{here}/discrete_values", f"{len(values)} values are more than {MAX_CHOICES}")
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield Problem(f"{here}/discrete_values/{index}", f"{short(value)} is listed twice")
        seen.add(value)


def _algorithms(search: Json, where: str) -> Iterator[Problem]:
    yield from _required(search, "algo_configs", where)
    for one, here in _items(search, "algo_configs", where):
        name = one.get("name")
        if name not in OPTIONS:
            hint = did_you_mean(short(name), list(OPTIONS))
            yield Problem(f"{here}/name", f"no algorithm is called {short(name)}", hint)
            continue
        for option, place in _items(one, "params", here):
            yield from _option(option, place, str(name))
        yield from _twice(_items(one, "params", here), "key", "setting")


def _option(option: Json, here: str, algorithm: str) -> Iterator[Problem]:
    options, key, value = OPTIONS[algorithm], str(option.get("key")), option.get("value")
    if key not in options:
        hint = did_you_mean(short(key), list(options))
        yield Problem(f"{here}/key", f"{algorithm} has no setting {short(key)}", hint)
    elif not is_symbolic(value) and not _fits(value, options[key].kind):
        yield Problem(f"{here}/value", f"must be {_KINDS[options[key].kind]}, not {short(value)}")
    elif key == "num_samples" and not is_symbolic(value) and (whole(value) or 0) < 1:
        yield Problem(f"{here}/value", f"must be at least 1, not {short(value)}")


def _fits(value: Any, kind: Kind) -> bool:
    """Whether a text says a value of this kind."""
    read = {"Integer": whole, "Float": number, "Boolean": boolean}.get(kind)
    return isinstance(value, str) and (read is None or read(value) is not None)


_KINDS = {"Integer": "a whole number", "Float": "a number", "String": "text", "Boolean": "a boolean"}


def _names(request: Json, kind: str) -> Iterator[Problem]:
    yield from _twice(_items(at(request, PROGRAM[kind]), "parameters", PROGRAM[kind]), "name", "parameter")


def _empty_ranges(search: Json, where: str) -> Iterator[Problem]:
    for one, here in _items(search, "search_params", where):
        low, high = number(one.get("lower_bound")), number(one.get("upper_bound"))
        if low is not None and low == high:
            yield Problem(f"{here}/upper_bound", f"must be above lower_bound, {low}", "say it as a fixed parameter")


def _patterns(search: Json, where: str) -> Iterator[Problem]:
    for one, here in _items(search, "reward_attrs", where):
        yield from _required(one, "regex", here)


def _options(search: Json, where: str) -> Iterator[Problem]:
    for config, here in _items(search, "algo_configs", where):
        for one, place in _items(config, "params", here):
            key, value = one.get("key"), one.get("value")
            if key == "kind" and value not in ACQUISITIONS and not is_symbolic(value):
                yield Problem(f"{place}/value", f"must be one of {', '.join(ACQUISITIONS)}, not {short(value)}")
            if key == "gamma" and (gamma := number(value)) is not None and not 0 < gamma < 1:
                yield Problem(f"{place}/value", f"must lie between 0 and 1, not {value}")


# ---- the AutoSearch file --------------------------------------------------------------------------------------------


def _file(request: Json) -> Iterator[Problem]:
    search, here = request["search_algorithm"], "/search_algorithm"
    grid = search["type"] == GRID
    if search["type"] not in {GRID, *OPTIONS}:
        known = [*OPTIONS, GRID]
        hint = did_you_mean(short(search["type"]), known)
        yield Problem(f"{here}/type", f"no algorithm is called {short(search['type'])}", hint)
    yield from _required(search, "reward_attr", here)
    if search.get("mode", "max") not in MODES:
        yield Problem(f"{here}/mode", f"must be max or min, not {short(search['mode'])}")
    groups = list(_items(request, "search_space", ""))
    for group, where in groups:
        for key in (key for key in group if key not in {"type", "params"}):
            yield Problem(f"{where}/{key}", "unknown key (known here: type, params)", key=True)
    items = [item for group, where in groups for item in _members(group, where)]
    for one, where in items:
        yield from _file_parameter(one, where, grid=grid)
    yield from _twice(items, "name", "searched parameter")


def _members(group: Json, where: str) -> Iterator[tuple[Json, str]]:
    """Parameters of a group, each with its own type or else the group's."""
    for one, here in _items(group, "params", where):
        yield {"type": group.get("type"), **one}, here


def _file_parameter(one: Json, here: str, *, grid: bool) -> Iterator[Problem]:
    kind = one["type"]
    if kind not in KINDS:
        hint = did_you_mean(short(kind), [CONTINUOUS, DISCRETE])
        yield Problem(f"{here}/type", f"no kind of parameter is called {short(kind)}", hint)
    elif kind in {CONTINUOUS, "continuous"} or (kind is None and "values" not in one):
        yield from _file_range(one, here, grid=grid)
    elif "values" not in one:
        yield Problem(f"{here}/values", "a discrete parameter needs values")
    else:
        if len(one["values"]) > MAX_CHOICES:
            yield Problem(f"{here}/values", f"{len(one['values'])} values are more than {MAX_CHOICES}")
        if len({(type(value), value) for value in one["values"]}) < len(one["values"]):
            yield Problem(f"{here}/values", "a value is listed twice")


def _file_range(one: Json, here: str, *, grid: bool) -> Iterator[Problem]:
    bounds = [one.get("start"), one.get("stop")]
    for name, value in zip(("start", "stop"), bounds, strict=True):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            problem = "required, but missing" if value is None else f"must be a number, not {short(value)}"
            yield Problem(f"{here}/{name}", problem)
            return
        if not _is_finite(value, one.get("base")):
            yield Problem(f"{here}/{name}", f"{value} is out of the range of numbers")
            return
    if bounds[0] != bounds[1]:
        yield from _file_points(one.get("num"), here, grid=grid)
    if "base" in one and (is_symbolic(one["base"]) or not 0 < one["base"] != 1):
        yield Problem(f"{here}/base", f"must be a positive number other than 1, not {short(one['base'])}")


def _file_points(count: Any, here: str, *, grid: bool) -> Iterator[Problem]:
    if grid and not isinstance(count, int):
        yield Problem(f"{here}/num", "a grid needs a number of points of each continuous parameter")
    if count == 1:
        yield Problem(f"{here}/num", "must be at least 2, not 1", "say a single value as values")


def _is_finite(value: float, base: Any) -> bool:
    """Whether a bound, or the power that it is the exponent of, is a number that doubles reach with some room."""
    if isinstance(base, (int, float)) and base > 0:
        return abs(value * math.log(base)) < 700 if abs(value) < 1e6 and base < 1e300 else False
    return abs(value) < 2**1022


# ---- everything else ------------------------------------------------------------------------------------------------


def _limited(part: Any, name: str, where: str, most: int) -> Iterator[Problem]:
    value = part.get(name)
    if isinstance(value, str) and len(value) > most:
        yield Problem(f"{where}/{name}", f"must have at most {most} characters, not {len(value)}")


def _named(part: Any, where: str) -> Iterator[Problem]:
    name = part.get("name")
    if isinstance(name, str) and not is_symbolic(name) and not _NAME.fullmatch(name):
        yield Problem(f"{where}/name", "must be 1 to 64 letters, digits, _ and -", "choose a name of these alone")


def _metadata(request: Json) -> Iterator[Problem]:
    metadata = at(request, "/metadata")
    yield from _named(metadata, "/metadata")
    yield from _limited(metadata, "description", "/metadata", 256)
    experiment, where = at(metadata, "/training_experiment_reference"), "/metadata/training_experiment_reference"
    yield from _limited(experiment, "name", where, 64)
    yield from _limited(experiment, "description", where, 256)
    retries = at(metadata, "/annotations").get(RETRIES)
    if retries is not None and not is_symbolic(retries) and not 1 <= (whole(retries) or 0) <= 3:
        place = f"/metadata/annotations/{RETRIES.replace('/', '~1')}"
        yield Problem(place, f"must be from 1 to 3, not {short(retries)}", "set trial.retries to 3 or less")


def _identity(request: Json) -> Iterator[Problem]:
    algorithm = at(request, "/algorithm")
    if (algorithm.get("subscription_id") is None) != (algorithm.get("item_version_id") is None):
        yield Problem("/algorithm", "subscription_id and item_version_id go together")
    if algorithm.get("id") and algorithm.get("subscription_id"):
        yield Problem("/algorithm", "id and subscription_id exclude each other")
    own = {"id", "subscription_id", "boot_file", "command"}
    if own.isdisjoint(algorithm):
        yield Problem(
            "/algorithm",
            "says nothing to run",
            "give a package with a Python file to start, an image with a command, …",
        )


def _program(request: Json, kind: str) -> Iterator[Problem]:
    where = PROGRAM[kind]
    program = at(request, where)
    code, boot, command = (program.get(name) for name in ("code_dir", "boot_file", "command"))
    engine = program.get("engine", {})
    if boot is not None and not is_symbolic(boot):
        if code is None or not (is_symbolic(code) or boot.startswith(f"{code.rstrip('/')}/")):
            yield Problem(f"{where}/boot_file", f"must lie inside of code_dir, {short(code)}")
        if not boot.endswith(".py"):
            yield Problem(f"{where}/boot_file", f"must be a .py file, not {short(boot)}")
    if engine.get("image_url") and not command and not engine.get("engine_name"):
        yield Problem(f"{where}/command", "required with an own image", "say the command that the image is to run")
    if command and "\n" in command:
        yield Problem(f"{where}/command", "must not have line breaks")
    if not engine and program.keys().isdisjoint({"id", "subscription_id"}):
        yield Problem(
            f"{where}/engine", "required, but missing", "set trial.image to a preset engine or an image of SWR"
        )


def _environment(request: Json) -> Iterator[Problem]:
    where = "/algorithm/environments"
    variables = at(request, where)
    if len(variables) > 100:
        yield Problem(where, f"{len(variables)} variables are more than 100")
    for name, value in variables.items():
        here = f"{where}/{name.replace('~', '~0').replace('/', '~1')}"
        if not _VARIABLE.fullmatch(name):
            yield Problem(here, "must be a name of letters, digits and _ that does not begin with a digit", key=True)
        if len(name) > 8192:
            yield Problem(here, f"must have at most 8192 characters, not {len(name)}", key=True)
        if isinstance(value, str) and len(value) > 4096:
            yield Problem(here, f"must have at most 4096 characters, not {len(value)}")


def _parameters(request: Json, document: str) -> Iterator[Problem]:
    where = PROGRAM[document]
    for one, here in _items(at(request, where), "parameters", where):
        yield from _required(one, "name", here)
        yield from _named(one, here)
        kind, value = one.get("constraint", {}).get("type", "String"), one.get("value")
        if value is not None and kind in _KINDS and not is_symbolic(value) and not _fits(value, kind):
            yield Problem(f"{here}/value", f"must be {_KINDS[kind]}, not {short(value)}")
    for one, here in _items(at(request, SEARCH[document]), "search_params", SEARCH[document]):
        yield from _named(one, here)


def _channels(request: Json) -> Iterator[Problem]:
    for name in ("inputs", "outputs"):
        algorithm = at(request, "/algorithm")
        for one, here in _items(algorithm, name, "/algorithm"):
            remote = one.get("remote", {})
            if name == "inputs" and len({"obs", "dataset"} & remote.keys()) != 1:
                yield Problem(f"{here}/remote", "must be either obs or dataset")
            url = remote.get("obs", {}).get("obs_url", "/")
            if not is_symbolic(url) and not url.startswith(("/", "obs://")):
                hint = "name a place such as obs://bucket/folder/"
                yield Problem(f"{here}/remote/obs/obs_url", f"must be a place on OBS, not {short(url)}", hint)
        yield from _twice(_items(algorithm, name, "/algorithm"), "name", name[:-1])


def _machines(request: Json) -> Iterator[Problem]:
    resource, where = at(request, "/spec/resource"), "/spec/resource"
    if resource.keys().isdisjoint({"flavor_id", "pool_id", "pool_group_id"}):
        yield Problem(f"{where}/flavor_id", "required in the public pool", "set trial.resources.machine, or a pool")
    if "main_container_customized_flavor" in resource and "pool_id" not in resource:
        yield Problem(f"{where}/main_container_customized_flavor", "is for dedicated pools alone: pool_id is missing")
    nodes = resource.get("node_count", 1)
    if isinstance(nodes, int) and nodes < 1:
        yield Problem(f"{where}/node_count", f"must be at least 1, not {nodes}")
    for one, here in _items(at(request, "/spec"), "volumes", "/spec"):
        if len(one) != 1:
            yield Problem(here, "must be one of nfs, pfs and obs")


def _times(request: Json) -> Iterator[Problem]:
    for name in ("auto_stop", "reserved_time"):
        span, where = at(request, f"/spec/{name}"), f"/spec/{name}"
        unit, duration = span.get("time_unit", "HOURS"), span.get("duration", 1)
        if unit != "HOURS" and not is_symbolic(unit):
            yield Problem(f"{where}/time_unit", f"must be HOURS, not {short(unit)}")
        if isinstance(duration, int) and duration < 1:
            yield Problem(f"{where}/duration", f"must be at least 1, not {duration}")


def _tags(request: Json) -> Iterator[Problem]:
    for one, here in _items(request, "tags", ""):
        yield from _limited(one, "key", here, 128)
        yield from _limited(one, "value", here, 255)
        if str(one.get("key", "")).startswith("_sys_"):
            yield Problem(f"{here}/key", "must not begin with _sys_")
