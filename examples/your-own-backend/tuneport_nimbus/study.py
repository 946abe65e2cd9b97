"""Search spaces and methods in Nimbus' words and back: pairs of functions, one that writes and one that reads."""

from __future__ import annotations

from typing import Any

from tuneport.model.job import TuningJob
from tuneport.model.parameters import Categorical, Float, Int
from tuneport.translation.lowering import Parameter

Json = dict[str, Any]

METHODS = {"random": "RANDOM", "grid": "GRID", "bayesian": "BAYES"}
NEAREST = {**METHODS, "sobol": "RANDOM", "tpe": "BAYES"}
DIRECTIONS = {"maximize": "UP", "minimize": "DOWN"}


def write_study(job: TuningJob) -> Json:
    algorithm, goal = job.study.algorithm, job.study.objective
    return {
        "method": NEAREST.get(algorithm.kind),
        "seed": algorithm.seed,
        "goal": {"metric": goal.metric, "direction": DIRECTIONS[goal.goal]},
    }


def read_study(request: Json, parameters: tuple[Parameter, ...]) -> Json:
    kinds = {native: kind for kind, native in METHODS.items()}
    goals = {native: goal for goal, native in DIRECTIONS.items()}
    goal = request["goal"]
    return {
        "parameters": parameters,
        "objectives": [{"metric": goal["metric"], "goal": goals.get(goal["direction"], "maximize")}],
        "algorithm": {"kind": kinds.get(request.get("method", ""), "random"), "seed": _number(request.get("seed"))},
    }


def write_knob(parameter: Parameter) -> Json:
    if isinstance(parameter, Categorical):
        return {"name": parameter.name, "choices": list(parameter.choices)}
    ends = {"low": parameter.low, "high": parameter.high}  # type: ignore[union-attr] # lowering leaves no other kinds
    kind = {"whole": True} if isinstance(parameter, Int) else {}
    return {"name": parameter.name, **ends, **kind, **({"log": True} if parameter.scale == "log" else {})}  # type: ignore[union-attr]


def read_knob(knob: Json) -> Parameter:
    if "choices" in knob:
        return Categorical(knob["name"], knob["choices"])
    kind = Int if knob.get("whole") is True else Float
    return kind(knob["name"], knob.get("low"), knob.get("high"), scale="log" if knob.get("log") is True else "linear")  # type: ignore[arg-type]


def _number(value: Any) -> int | None:
    """A seed; a placeholder such as ${SEED} stays in the box."""
    return value if isinstance(value, int) else None
