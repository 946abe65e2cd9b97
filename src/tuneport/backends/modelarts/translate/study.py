"""What is searched, for what and how: the `auto_search` block, and the `parameters` entries that belong to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias, cast

from tuneport.backends.modelarts.capabilities import VOCABULARY
from tuneport.backends.modelarts.translate.values import Kind, boolean, counted, kind_of, number, text, typed, whole
from tuneport.engine.launch import PRINTED
from tuneport.model.parameters import Categorical, Discrete, Float, Int
from tuneport.model.study import Anneal, Bayesian, StudySpec, Tpe
from tuneport.model.trial_spec import TrialSpec
from tuneport.model.word import Scalar
from tuneport.translation.lowering import Hint, Vocabulary, lower, raised

Json: TypeAlias = dict[str, Any]
Parameter: TypeAlias = Float | Int | Discrete | Categorical

# ---- the search space -----------------------------------------------------------------------------------------------

_CLASSES: Mapping[str, type[Parameter]] = {"float": Float, "discrete": Discrete, "categorical": Categorical}


class Space(NamedTuple):
    """A search space in the service's words: ranges, the hyperparameters that have them, what restores the rest."""

    search_params: list[Json]
    parameters: list[Json]
    hints: Mapping[str, Hint]


def write_space(parameters: Sequence[Parameter]) -> Space:
    """The space; booleans and evenly divided ranges are said as they are, all else that is foreign is lowered."""
    lowered = lower([without_step(one) for one in parameters], _vocabulary(parameters))
    hints, ranges, entries = dict(lowered.hints), [], []
    for low, origin in zip(lowered.parameters, parameters, strict=True):
        said = low
        if _is_boolean(origin) and hints.get(low.name, {}).keys() == {"choices"}:
            said = origin
            del hints[low.name]
        ranges.append(_write_range(said, origin))
        entries.append(_write_entry(said))
    return Space(ranges, entries, hints)


def read_space(
    search_params: Sequence[Json], parameters: Mapping[str, Json], hints: Mapping[str, Hint] | None
) -> list[Any]:
    """The parameters, as plain data or, where hints had to be followed, as words."""
    found = [_read_parameter(one, parameters.get(one["name"], {})) for one in search_params]
    if not hints:
        return [plain | besides for plain, besides in found]
    given = [_CLASSES[plain["kind"]].model_validate(plain) for plain, _ in found]
    vocabulary = _vocabulary(given)
    booleans = lower([one for one in given if _is_boolean(one)], vocabulary)
    texts = {one.name: one for one in booleans.parameters}
    made = raised([texts.get(one.name, one) for one in given], {**hints, **booleans.hints}, vocabulary)
    return [one.model_copy(update=besides) if besides else one for one, (_, besides) in zip(made, found, strict=True)]


def _vocabulary(parameters: Sequence[Parameter]) -> Vocabulary:
    """Lists of any length can be said; a limit is only for ranges that would have to be listed."""
    longest = max((len(one.values) for one in parameters if isinstance(one, Discrete)), default=0)
    return VOCABULARY if longest <= VOCABULARY.listed_numbers else replace(VOCABULARY, listed_numbers=longest)


def without_step(parameter: Parameter) -> Parameter:
    """A parameter whose step, if it has one, is said by a number of points."""
    return parameter if points(parameter) is None else parameter.model_copy(update={"step": None})


def _is_boolean(parameter: Parameter) -> bool:
    return isinstance(parameter, Categorical) and all(isinstance(choice, bool) for choice in parameter.choices)


def points(parameter: Parameter) -> int | None:
    """How many evenly spaced values a stepped range has, if that count says the step exactly."""
    if not isinstance(parameter, Float) or parameter.step is None or parameter.scale == "log":
        return None
    width = parameter.high - parameter.low
    count = round(width / parameter.step) + 1
    return count if count > 1 and width / (count - 1) == parameter.step else None


def _write_range(parameter: Parameter, origin: Parameter) -> Json:
    if isinstance(parameter, Float):
        bounds = {"lower_bound": text(parameter.low), "upper_bound": text(parameter.high)}
        count = points(origin)
        divided = {} if count is None else {"discrete_points_num": str(count)}
        return {"name": parameter.name, "param_type": "continuous", **bounds, **divided}
    values = list(map(text, _values(parameter)))
    return {"name": parameter.name, "param_type": "discrete", "discrete_values": values}


def _write_entry(parameter: Parameter) -> Json:
    entry: Json = {"name": parameter.name, "constraint": {"type": _kind(parameter)}}
    if parameter.default is not None:
        entry["value"] = text(parameter.default)
    if parameter.description is not None:
        entry["description"] = parameter.description
    return entry


def _kind(parameter: Parameter) -> Kind:
    match parameter:
        case Categorical():
            return "Boolean" if _is_boolean(parameter) else "String"
        case Discrete():
            return kind_of(parameter.values)
    return "Float"


def _values(parameter: Parameter) -> tuple[Scalar, ...]:
    return parameter.choices if isinstance(parameter, Categorical) else cast("Discrete", parameter).values


def _read_parameter(item: Json, entry: Json) -> tuple[Json, Json]:
    """The parameter as it looks when lowered, and what it has besides."""
    plain, besides = _read_range(item, entry)
    return plain | {"name": item["name"], "description": entry.get("description")}, besides


def _read_range(item: Json, entry: Json) -> tuple[Json, Json]:
    kind: Any = entry.get("constraint", {}).get("type")
    default: Any = entry.get("value")
    if item.get("param_type") == "continuous":
        return _read_continuous(item, number(default))
    values: list[str] = item["discrete_values"]
    numbers = [counted(value, kind) for value in values]
    if kind in {"Integer", "Float"} and _increase(numbers):
        chosen = None if default is None else next((one for one in numbers if one == number(default)), None)
        return {"kind": "discrete", "values": numbers, "default": chosen}, {}
    if kind == "Boolean" and None not in map(boolean, values):
        typed_choices = {"choices": tuple(map(boolean, values)), "default": boolean(default)}
        return {"kind": "categorical", **typed_choices}, typed_choices
    return {"kind": "categorical", "choices": values, "default": default if default in values else None}, {}


def _read_continuous(item: Json, default: float | None) -> tuple[Json, Json]:
    low, high = float(item["lower_bound"]), float(item["upper_bound"])
    fits = default is not None and low <= default <= high
    plain = {"kind": "float", "low": low, "high": high, "default": default if fits else None}
    count = whole(item.get("discrete_points_num"))
    return plain, {"step": (high - low) / (count - 1)} if count is not None and count > 1 and low < high else {}


def _increase(numbers: Sequence[float | None]) -> bool:
    return None not in numbers and all(a < b for a, b in pairwise(cast("Sequence[float]", numbers)))


# ---- objectives -----------------------------------------------------------------------------------------------------

GOALS: Final = {"maximize": "max", "minimize": "min"}
MODES: Final = {mode: goal for goal, mode in GOALS.items()}


def printed(metric: str) -> str:
    """The pattern that finds a metric as tuneport_trial prints it."""
    return PRINTED.format(metric=re.escape(metric))


def write_objectives(study: StudySpec, trial: TrialSpec) -> list[Json]:
    """Every objective with the pattern that finds it in the output; the service wants one."""
    return [
        {
            "name": one.metric,
            "mode": GOALS[one.goal],
            "regex": trial.metrics.get(one.metric, printed(one.metric)),
        }
        for one in study.objectives
    ]


def read_objectives(reward_attrs: Sequence[Json]) -> list[Json]:
    """The objectives."""
    return [{"metric": one.get("name"), "goal": MODES[one["mode"]]} for one in reward_attrs]


def read_patterns(reward_attrs: Sequence[Json]) -> dict[str, str]:
    """The patterns of metrics that the trainer does not report through tuneport_trial."""
    return {one["name"]: one["regex"] for one in reward_attrs if one["regex"] != printed(one["name"])}


# ---- how points are proposed, and how many --------------------------------------------------------------------------

DEFAULT_TRIALS: Final = 20
"""What `num_samples` is where nothing is said."""
INITIAL_TRIALS: Final = 20
"""What `n_initial_points` is where nothing is said: a search of no more trials than these is random."""


class Option(NamedTuple):
    """A setting of a search algorithm: its kind, and its documented default if leaving it out says the same."""

    kind: Kind
    default: Scalar | None = None


_SHARED: Final = {"num_samples": Option("Integer"), "seed": Option("Integer")}
OPTIONS: Final[Mapping[str, Mapping[str, Option]]] = {
    "bayes_opt_search": {
        **_SHARED,
        "kind": Option("String", "ucb"),
        "kappa": Option("Float", 2.5),
        "xi": Option("Float", 0.0),
    },
    "tpe_search": {**_SHARED, "gamma": Option("Float", 0.25), "n_initial_points": Option("Integer", INITIAL_TRIALS)},
    "anneal_search": {**_SHARED, "avg_best_idx": Option("Float", 2.0), "shrink_coef": Option("Float", 0.1)},
}
"""The service's algorithms with their settings, first those that all have. A seed has no default: unsaid is unmeant."""


def write_algorithm(study: StudySpec, max_trials: int | None) -> tuple[str, dict[str, Scalar]]:
    """The algorithm's name, and those of its settings that are not at their defaults.

    What the service lacks becomes random search, which is Parzen estimation that never gets to estimate.
    """
    trials = DEFAULT_TRIALS if max_trials is None else max_trials
    algorithm = study.algorithm
    said: dict[str, Scalar]
    match algorithm:
        case Bayesian():
            name, said = "bayes_opt_search", {}
        case Tpe() if algorithm.initial_trials < trials:
            name, said = "tpe_search", {"gamma": algorithm.gamma, "n_initial_points": algorithm.initial_trials}
        case Anneal():
            name, said = "anneal_search", {"avg_best_idx": algorithm.average_best, "shrink_coef": algorithm.shrink}
        case _:
            name, said = "tpe_search", {"n_initial_points": max(trials, INITIAL_TRIALS)}
    said["num_samples"] = trials
    if algorithm.seed is not None:
        said["seed"] = algorithm.seed
    known = OPTIONS[name]
    return name, {key: said[key] for key in known if key in said and said[key] != known[key].default}


def read_algorithm(name: str, said: Mapping[str, Any]) -> Json:
    """The algorithm that a name and its typed settings mean; settings that make no sense are not understood."""
    trials = _within(said.get("num_samples"), int, 1) or DEFAULT_TRIALS
    found: Json = {"seed": _within(said.get("seed"), int, 0)}
    match name:
        case "bayes_opt_search":
            found["kind"] = "bayesian"
        case "anneal_search":
            found |= {
                "kind": "anneal",
                "average_best": _within(said.get("avg_best_idx"), float, 1),
                "shrink": _within(said.get("shrink_coef"), float, 0),
            }
        case "tpe_search":
            initial = _within(said.get("n_initial_points", INITIAL_TRIALS), int, 1)
            if initial is not None and initial >= trials:
                found["kind"] = "random"
            else:
                gamma = _within(said.get("gamma"), float, 0)
                found |= {"kind": "tpe", "initial_trials": initial, "gamma": gamma if gamma and gamma < 1 else None}
    return {key: value for key, value in found.items() if value is not None}


def read_trials(said: Mapping[str, Any]) -> int:
    """How many trials there are to be."""
    return _within(said.get("num_samples"), int, 1) or DEFAULT_TRIALS


def _within(value: Any, kind: type[int | float], low: float) -> Any:
    """A number of this kind that is not below `low`; None for all else."""
    if isinstance(value, bool) or not isinstance(value, (kind, int)):
        return None
    return value if value >= low else None


def write_settings(name: str, said: Mapping[str, Scalar]) -> Json:
    """An algorithm as an item of `algo_configs`."""
    known = OPTIONS[name]
    return {
        "name": name,
        "params": [{"key": key, "value": text(value), "type": known[key].kind} for key, value in said.items()],
    }


def read_settings(config: Json) -> dict[str, Any]:
    """The typed settings of an item of `algo_configs`."""
    known = OPTIONS[config["name"]]
    return {
        one["key"]: typed(one["value"], known[one["key"]].kind)
        for one in config.get("params", ())
        if one.get("key") in known and "value" in one
    }
