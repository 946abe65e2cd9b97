"""The AutoSearch file that a job's `autosearch_config_path` names: just a search, with numbers that are numbers.

It has no name, nor does it say what is run: some Python file, by the AutoSearch engine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias, cast

from tuneport.backends.modelarts.capabilities import FILE_VOCABULARY
from tuneport.backends.modelarts.translate import study
from tuneport.backends.modelarts.translate.values import kind_of
from tuneport.model.job import TuningJob
from tuneport.model.parameters import MAX_CHOICES, Categorical, Discrete, Float
from tuneport.model.study import Grid
from tuneport.translation.lowering import lower

Json: TypeAlias = dict[str, Any]

ENGINE: Final = "AutoSearch-python3.6"
NAME: Final = "autosearch"
CONTINUOUS, DISCRETE = "continuous_param", "discrete_param"
GRID: Final = "grid_search"

_BASES = (10, 2)
_DIGITS = 13


def write_file(job: TuningJob) -> Json:
    """The search alone; hints that restore what is lowered have no place here."""
    resources = job.trial.resources
    general = {
        "instance_per_trial": resources.replicas,
        "gpu_per_instance": math.ceil(resources.gpus),
        "cpu_per_instance": None if resources.cpus is None else math.ceil(resources.cpus),
    }
    lowered = lower([study.without_step(one) for one in job.study.parameters], FILE_VOCABULARY).parameters
    params = [_write_parameter(low, origin) for low, origin in zip(lowered, job.study.parameters, strict=True)]
    return {
        "general": {name: value for name, value in general.items() if value is not None},
        "search_space": [{"params": params}],
        "search_algorithm": _write_algorithm(job),
    }


def read_file(request: Json) -> Json:
    """The plain data of a job."""
    general, search = request.get("general", {}), request["search_algorithm"]
    grid = search["type"] == GRID
    algorithm = {"kind": "grid"} if grid else study.read_algorithm(search["type"], search)
    parallel = search.get("max_concurrent")
    return {
        "name": NAME,
        "study": {
            "parameters": [_read_parameter(one) for one in request["search_space"][0]["params"]],
            "objectives": [{"metric": search.get("reward_attr"), "goal": study.MODES[search["mode"]]}],
            "algorithm": algorithm,
        },
        "trial": {
            "image": ENGINE,
            "command": ["python", "${boot_file}"],
            "resources": {
                "replicas": _count(general.get("instance_per_trial")) or 1,
                "gpus": _count(general.get("gpu_per_instance")) or 0,
                "cpus": _count(general.get("cpu_per_instance")) or None,
            },
        },
        "budget": {
            "max_trials": None if grid and "num_samples" not in search else study.read_trials(search),
            "parallel_trials": _count(parallel) or 1,
        },
    }


def _write_algorithm(job: TuningJob) -> Json:
    objective = job.study.objective
    grid, most = isinstance(job.study.algorithm, Grid), job.budget.max_trials
    limit = {} if most is None else {"num_samples": most}
    name, said = (GRID, limit) if grid else study.write_algorithm(job.study, most)
    parallel = job.budget.parallel_trials
    return {
        "type": name,
        **({} if parallel == 1 else {"max_concurrent": parallel}),
        "reward_attr": objective.metric,
        "mode": study.GOALS[objective.goal],
        **said,
    }


# ---- parameters -----------------------------------------------------------------------------------------------------


def _write_parameter(parameter: study.Parameter, origin: study.Parameter) -> Json:
    match parameter:
        case Categorical():
            choices = parameter.choices
            return {"type": DISCRETE, "name": parameter.name, "values": increasing(choices) or list(choices)}
        case Discrete():
            powers = _exponents(parameter) if parameter.scale == "log" else None
            listed = {"type": DISCRETE, "name": parameter.name, "values": list(parameter.values)}
            return listed if powers is None else {"type": CONTINUOUS, "name": parameter.name, **powers}
    made = cast("Float", parameter)
    start, stop, rest = made.low, made.high, {}
    if made.scale == "log":
        start, stop, rest = _exponent(start, 10), _exponent(stop, 10), {"base": 10}
    if (points := study.points(origin)) is not None:
        rest = {"num": points}
    return {"type": CONTINUOUS, "name": made.name, "start": short(start), "stop": short(stop), **rest}


def _read_parameter(item: Json) -> Json:
    if item["type"] == DISCRETE:
        return _read_values(item["name"], item["values"])
    start, stop, count = item["start"], item["stop"], item.get("num")
    plain: Json = {"kind": "float", "name": item["name"], "low": start, "high": stop}
    if (base := item.get("base")) is not None:
        if isinstance(count, int) and 1 < count <= MAX_CHOICES and start < stop:
            return {
                "kind": "discrete",
                "name": item["name"],
                "values": _powers(base, start, stop, count),
                "scale": "log",
            }
        return plain | {"low": _power(base, start), "high": _power(base, stop), "scale": "log"}
    if isinstance(count, int) and count > 1 and start < stop:
        plain["step"] = (stop - start) / (count - 1)
    return plain


def _read_values(name: str, values: Sequence[Any]) -> Json:
    numbers = increasing(values)
    if numbers is None:
        return {"kind": "categorical", "name": name, "choices": values}
    return {"kind": "discrete", "name": name, "values": numbers}


def increasing(values: Sequence[Any]) -> list[Any] | None:
    """The values in order if they are different numbers; None for all else."""
    if kind_of(values) not in {"Integer", "Float"}:
        return None
    numbers = sorted(values)
    return numbers if all(a < b for a, b in pairwise(numbers)) else None


def _exponents(parameter: Discrete) -> Json | None:
    """The list as evenly spaced powers, if it is one that reads back as the same."""
    values, count = parameter.values, len(parameter.values)
    if count < 2 or not all(isinstance(value, float) for value in values):
        return None
    spans = [(_exponent(values[0], base), _exponent(values[-1], base), base) for base in _BASES]
    for start, stop, base in sorted(spans, key=lambda span: not (span[0].is_integer() and span[1].is_integer())):
        if _powers(base, start, stop, count) == list(values):
            return {"start": short(start), "stop": short(stop), "num": count, "base": base}
    return None


def _powers(base: float, start: float, stop: float, count: int) -> list[float]:
    return [_power(base, start + (stop - start) * index / (count - 1)) for index in range(count)]


def _power(base: float, exponent: float) -> float:
    """A power without what computing it leaves in the last digits."""
    return float(f"{float(base) ** exponent:.{_DIGITS}g}")


def _exponent(value: float, base: int) -> float:
    """The exponent whose power `_power` gives back, up to as many digits as it keeps."""
    return (math.log10 if base == 10 else math.log2)(float(f"{value:.{_DIGITS}g}"))


def short(value: float) -> float:
    """A number as people write it into such files."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else value


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0
