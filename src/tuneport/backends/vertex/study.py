"""The study: parameters as a tree of specs, metrics, algorithm, stopping; each as a pair of writing and reading."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Categorical, Discrete, Float, Int, allowed
from tuneport.model.study import Asha, AutoStopping, Constraint, CurveStopping, MedianStopping, Objective
from tuneport.translation.shape import is_symbolic

Json: TypeAlias = dict[str, Any]
Parameter: TypeAlias = Float | Int | Discrete | Categorical

DEEPEST = 30
"""Levels of conditions that are written; JSON readers give up on deeper documents."""
LEAST_GAP = 1e-10
"""Numbers that are nearer to each other are the same."""
MOST_SPECS = 10_000
"""Specs in one study: a child stands below each definition of its parent, so that few names can make many specs."""


def given(**members: Any) -> Json:
    """The members that say something."""
    return {name: value for name, value in members.items() if value is not None}


def inverse(words: Mapping[str, str]) -> dict[str, str]:
    """Their words to ours; where several of ours became one of theirs, the first one."""
    return {theirs: ours for ours, theirs in reversed(list(words.items()))}


# ---- scalars --------------------------------------------------------------------------------------------------------

_WHOLE = re.compile(r"-?[0-9]{1,19}")
_DURATION = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?s")
_TOO_LONG = 1e10


def whole(value: Any) -> int | None:
    """A whole number of 32 or 64 bits; None for a symbol."""
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """A finite number; None for a symbol."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def duration(seconds: float) -> str:
    """Seconds as protobuf writes them: no decimals, or 3, 6 or 9 of them; never so few that nothing is left."""
    whole_part, _, decimals = f"{max(seconds, 1e-9):.9f}".partition(".")
    significant = decimals.rstrip("0")
    return f"{whole_part}.{decimals[: -(-len(significant) // 3) * 3]}s" if significant else f"{whole_part}s"


def elapsed(text: Any) -> float | None:
    """Seconds of a duration; None for a symbol."""
    return float(text[:-1]) if isinstance(text, str) and _DURATION.fullmatch(text) else None


def seconds(text: Any) -> float | None:
    """Seconds that limit something; None for a symbol, and for none or more of them than a job can say."""
    amount = elapsed(text)
    return amount if amount is not None and 0 < amount < _TOO_LONG else None


# ---- parameters -----------------------------------------------------------------------------------------------------

SCALES = {"linear": "UNIT_LINEAR_SCALE", "log": "UNIT_LOG_SCALE", "reverse_log": "UNIT_REVERSE_LOG_SCALE"}
"""`auto` is said by saying nothing."""
_SCALES_READ = inverse(SCALES)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of parameter is said: the member that holds its values, and that of a condition on it."""

    spec: str
    condition: str | None
    write: Callable[[Any], Any]
    """One value."""
    read: Callable[[Any], Any]
    """One value; None for a symbol where we have no word for it."""


def _same_text(value: Any) -> Any:
    return value if isinstance(value, str) else None


_KINDS = {
    "float": _Kind("doubleValueSpec", None, float, number),
    "int": _Kind("integerValueSpec", "parentIntValues", lambda value: str(int(value)), whole),
    "discrete": _Kind("discreteValueSpec", "parentDiscreteValues", lambda value: value, number),
    "categorical": _Kind("categoricalValueSpec", "parentCategoricalValues", str, _same_text),
}
VALUE_SPECS = {kind.spec: name for name, kind in _KINDS.items()}
CONDITIONS = {kind.condition: name for name, kind in _KINDS.items() if kind.condition is not None}


def _write_parameter(parameter: Parameter) -> Json:
    kind = _KINDS[parameter.kind]
    values: Json
    match parameter:
        case Float() | Int():
            values = {"minValue": kind.write(parameter.low), "maxValue": kind.write(parameter.high)}
        case Discrete():
            values = {"values": list(parameter.values)}
        case Categorical():
            values = {"values": [str(choice) for choice in parameter.choices]}
    if parameter.default is not None:
        values["defaultValue"] = kind.write(parameter.default)
    return {"parameterId": parameter.name, kind.spec: values, **given(scaleType=_write_scale(parameter))}


def _write_scale(parameter: Parameter) -> str | None:
    """How it is measured; the service chooses where it reaches down to 0, which has no logarithm from above there."""
    match parameter:
        case Float() | Int():
            least = parameter.low
        case Discrete():
            least = parameter.values[0]
        case Categorical():
            return None
    return None if parameter.scale == "reverse_log" and least <= 0 else SCALES.get(parameter.scale)


def _read_parameter(spec: Json) -> Json | None:
    """Our words for a spec without its children; None if it says no values."""
    name = next((kind for member, kind in VALUE_SPECS.items() if member in spec), None)
    if name is None:
        return None
    kind = _KINDS[name]
    values = spec[kind.spec]
    found: Json = {"name": spec["parameterId"], "kind": name}
    if name in {"float", "int"}:
        found["low"], found["high"] = _bounds(kind.read(values["minValue"]), kind.read(values["maxValue"]))
    else:
        listed = [value for value in map(kind.read, values["values"]) if value is not None]
        found["choices" if name == "categorical" else "values"] = listed or [1]
    if name != "categorical":
        found["scale"] = _SCALES_READ.get(spec.get("scaleType", ""), "auto")
    default = kind.read(values.get("defaultValue"))
    if name == "discrete" and default is not None:
        default = _nearest(found["values"], default)  # as the service rounds it
    return found if default is None else found | {"default": default}


def _nearest(ascending: Sequence[float], value: float) -> float:
    at = bisect_left(ascending, value)
    return min(ascending[max(0, at - 1) : at + 1], key=lambda one: abs(one - value))


def _bounds(low: float | None, high: float | None) -> tuple[float, float]:
    """Both bounds; one that is a symbol is taken for the other, so that every scale can have it."""
    known = [bound for bound in (low, high) if bound is not None] or [1]
    return (known[0] if low is None else low), (known[-1] if high is None else high)


def write_space(parameters: Sequence[Parameter]) -> list[Json]:
    """Specs of parameters without conditions, with all others nested below their parents."""
    children: dict[str, list[Parameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.when is not None:
            children[parameter.when.parameter].append(parameter)
    tops = [(parameter, _write_parameter(parameter), 1) for parameter in parameters if parameter.when is None]
    waiting = deque(tops)
    count = len(tops)
    while waiting:
        parent, above, depth = waiting.popleft()
        for child in children[parent.name] if depth < DEEPEST else ():
            condition = _write_condition(parent, child)
            if condition and count < MOST_SPECS:
                spec = _write_parameter(child)
                above.setdefault("conditionalParameterSpecs", []).append({"parameterSpec": spec, **condition})
                waiting.append((child, spec, depth + 1))
                count += 1
    return [spec for _, spec, _ in tops]


def _write_condition(parent: Parameter, child: Parameter) -> Json:
    """Of the values that switch the child on, those that this definition of its parent can have."""
    kind = _KINDS[parent.kind]
    values = [kind.write(value) for value in (child.when.values if child.when else ()) if allowed(parent, value)]
    return {kind.condition: {"values": values}} if kind.condition is not None and values else {}


def read_space(specs: Sequence[Json]) -> list[Json]:
    """The tree as a flat list: each parameter, then those that depend on it."""
    found: list[Json] = []
    origins: list[int] = []
    waiting: list[tuple[Json, Json, int]] = [(spec, {}, 0) for spec in reversed(specs)]
    while waiting:
        spec, when, origin = waiting.pop()
        parameter = _read_parameter(spec)
        if parameter is None:
            continue
        found.append(parameter | when)
        origins.append(origin)
        for conditional in reversed(spec.get("conditionalParameterSpecs", ())):
            if values := _read_condition(conditional, spec):
                below = {"when": {"parameter": spec["parameterId"], "values": values}}
                waiting.append((conditional["parameterSpec"], below, len(found)))
    return _united(found, origins)


def _read_condition(conditional: Json, parent: Json) -> list[Any]:
    """Values of the parent; a symbol is one only if it is listed there, and a number need not be exact to the end."""
    listed: Sequence[Any] = next((parent[one].get("values", ()) for one in VALUE_SPECS if one in parent), ())
    numbers = [one for one in map(number, listed) if one is not None]
    for member, kind in CONDITIONS.items():
        if member in conditional:
            said = [one for one in conditional[member]["values"] if not is_symbolic(one) or one in listed]
            known = [value for value in map(_KINDS[kind].read, said) if value is not None]
            return [_as_listed(numbers, value) for value in known] if kind == "discrete" and numbers else known
    return []


def _as_listed(ascending: Sequence[float], value: float) -> float:
    near = _nearest(ascending, value)
    return near if abs(near - value) <= LEAST_GAP else value


def _united(parameters: list[Json], origins: list[int]) -> list[Json]:
    """One parameter for each that stands, alike, below several definitions of its parent."""
    if len({parameter["name"] for parameter in parameters}) == len(parameters):
        return parameters
    united: dict[str, tuple[Json, int]] = {}
    for index, (parameter, origin) in enumerate(zip(parameters, origins, strict=True)):
        when = parameter.get("when", {})
        key = repr((parameter | {"when": None}, when.get("parameter")))
        twin, elsewhere = united.get(key, (None, origin))
        if twin is None or elsewhere == origin:
            united[f"{key} {index}" if twin else key] = (parameter, origin)
        else:
            twin["when"]["values"] += [value for value in when["values"] if value not in twin["when"]["values"]]
    return [parameter for parameter, _ in united.values()]


def parameter_specs(request: Json) -> Iterator[tuple[str, Json]]:
    """Every spec of a request with its JSON pointer, parents first."""
    here = "/studySpec/parameters"
    waiting = [
        (f"{here}/{index}", spec) for index, spec in reversed(list(enumerate(request["studySpec"]["parameters"])))
    ]
    while waiting:
        place, spec = waiting.pop()
        yield place, spec
        for index, conditional in reversed(list(enumerate(spec.get("conditionalParameterSpecs", ())))):
            waiting.append((f"{place}/conditionalParameterSpecs/{index}/parameterSpec", conditional["parameterSpec"]))


# ---- metrics, algorithm, measurement --------------------------------------------------------------------------------

GOALS = {"maximize": "MAXIMIZE", "minimize": "MINIMIZE"}
ALGORITHMS = {"random": "RANDOM_SEARCH", "grid": "GRID_SEARCH", "sobol": "RANDOM_SEARCH", "hyperband": "RANDOM_SEARCH"}
"""Model-based ones have no name there: saying nothing means Bayesian optimisation."""
MEASUREMENTS = {"best": "BEST_MEASUREMENT"}
"""The last measurement counts where nothing is said."""
_GOALS_READ, _ALGORITHMS_READ, _MEASUREMENTS_READ = inverse(GOALS), inverse(ALGORITHMS), inverse(MEASUREMENTS)


_SAFE_SIDES = {"at_most": "MINIMIZE", "at_least": "MAXIMIZE"}
"""The goal of a safety metric says which side of its threshold is safe. The service's documents do not say it, nor that
the threshold itself is safe; Google's open-source Vizier does, for which a trial without the metric is safe as well."""


def write_metrics(objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> list[Json]:
    """Metrics to optimise, then those with a safety threshold: each of them once, with one threshold."""
    optimised = [{"metricId": one.metric, "goal": GOALS[one.goal]} for one in objectives]
    names = {one.metric for one in objectives}
    return optimised + [safety for one in constraints if one.metric not in names for safety in _write_safety(one)]


def _write_safety(constraint: Constraint) -> list[Json]:
    """The metric of a bound; nothing for two bounds, since a metric has one threshold."""
    safeties = [
        {"metricId": constraint.metric, "goal": goal, "safetyConfig": {"safetyThreshold": bound}}
        for side, goal in _SAFE_SIDES.items()
        if (bound := getattr(constraint, side)) is not None
    ]
    return safeties if len(safeties) == 1 else []


def read_metrics(metrics: Sequence[Json]) -> Json:
    """Our words for metrics. One with a safety threshold is a bound, no objective; symbols bound nothing yet."""
    objectives = [
        {"metric": one["metricId"], "goal": _GOALS_READ.get(one["goal"], "maximize")}
        for one in metrics
        if "safetyConfig" not in one
    ]
    bounds = [(one, number(one["safetyConfig"].get("safetyThreshold", 0))) for one in metrics if "safetyConfig" in one]
    constraints = [
        {"metric": one["metricId"], "at_most" if one["goal"] == "MINIMIZE" else "at_least": bound}
        for one, bound in bounds
        if bound is not None and not is_symbolic(one["goal"])
    ]
    return {"objectives": objectives, "constraints": constraints}


# ---- early stopping -------------------------------------------------------------------------------------------------


def _write_stopping(job: TuningJob) -> Json:
    """The median rule stands for those that the service lacks."""
    match job.study.early_stopping:
        case CurveStopping() as rule:
            elapsed = given(useElapsedDuration=rule.use_elapsed or None)
            if rule.model == "decay":
                return {"decayCurveStoppingSpec": elapsed}
            steps = {"maxStepCount": rule.max_steps, "minStepCount": rule.min_steps}
            return {
                "convexAutomatedStoppingSpec": {name: str(count) for name, count in steps.items() if count} | elapsed
            }
        case MedianStopping() | Asha() | AutoStopping():
            return {"medianAutomatedStoppingSpec": {}}
    return {}


def _read_stopping(study: Json) -> Json | None:
    if "medianAutomatedStoppingSpec" in study:
        return {"kind": "median"}
    for member, model in (("decayCurveStoppingSpec", "decay"), ("convexAutomatedStoppingSpec", "convex")):
        if member in study:
            spec = study[member]
            steps = given(max_steps=whole(spec.get("maxStepCount")), min_steps=whole(spec.get("minStepCount")))
            elapsed = spec.get("useElapsedDuration") is True
            return {"kind": "curve", "model": model, "use_elapsed": elapsed, **steps}
    return None


def _write_end(budget: Budget) -> Json | None:
    """When the whole study ends early."""
    limit = None if budget.max_seconds is None else {"maxDuration": duration(budget.max_seconds)}
    config = given(maximumRuntimeConstraint=limit, maxNumTrialsNoProgress=budget.max_trials_without_improvement)
    return config or None


def _read_end(study: Json) -> Json:
    config = study.get("studyStoppingConfig", {})
    return given(
        max_seconds=seconds(config.get("maximumRuntimeConstraint", {}).get("maxDuration")),
        max_trials_without_improvement=whole(config.get("maxNumTrialsNoProgress")) or None,
    )


# ---- the whole ------------------------------------------------------------------------------------------------------


def write_study(job: TuningJob, parameters: Sequence[Parameter]) -> Json:
    """The study and its limits; `parameters` are in the service's words."""
    study, budget = job.study, job.budget
    return {
        "studySpec": {
            "metrics": write_metrics(study.objectives, study.constraints),
            "parameters": write_space(parameters),
            **given(
                algorithm=ALGORITHMS.get(study.algorithm.kind),
                measurementSelectionType=MEASUREMENTS.get(study.measurement),
                studyStoppingConfig=_write_end(budget),
            ),
            **_write_stopping(job),
        },
        **given(maxTrialCount=budget.max_trials),
        "parallelTrialCount": budget.parallel_trials,
        **given(maxFailedTrialCount=budget.max_failed_trials),
    }


def read_study(request: Json) -> tuple[Json, Json]:
    """Our words for the study, and for the budget."""
    spec = request["studySpec"]
    study = {
        "parameters": read_space(spec["parameters"]),
        **read_metrics(spec["metrics"]),
        "algorithm": {"kind": _ALGORITHMS_READ.get(spec.get("algorithm", ""), "bayesian")},
        "early_stopping": _read_stopping(spec),
        "measurement": _MEASUREMENTS_READ.get(spec.get("measurementSelectionType", ""), "last"),
    }
    counts = {"max_trials": request.get("maxTrialCount"), "parallel_trials": request["parallelTrialCount"]}
    budget = {word: count for word, count in counts.items() if not is_symbolic(count)}
    failed = whole(request.get("maxFailedTrialCount"))
    return study, budget | given(max_failed_trials=failed) | _read_end(spec)
