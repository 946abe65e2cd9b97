"""The synthetic trainer: stands in for every image, module and boot file that nobody mapped to a program.

It trains nothing. Its metric is a function of the parameters alone, with one optimum somewhere in the space and a
learning curve towards it, so that searches have something to find and the same job always gives the same figures.
As a process it is started as a real trainer would be, ``python -m tuneport_trial tuneport.emulators.trainer:train``,
and says in its output what it is.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneport.model.job import TuningJob  # a trial does without, and starts the sooner

FUNCTION = "tuneport.emulators.trainer:train"
VARIABLE = "TUNEPORT_SYNTHETIC"
"""Holds the description of a job, for the process."""
STEPS = 5


def describe(job: TuningJob, step: float) -> dict[str, Any]:
    """All that the trainer knows of a job, as plain data.

    Args:
        job: as a trial knows it.
        step: seconds that a step takes.
    """
    sides = {one.metric: "minimize" if one.at_least is None else "maximize" for one in job.study.constraints}
    goals = {one.metric: one.goal for one in job.study.objectives}
    return {
        "note": note(job),
        "space": {one.name: _range(one) for one in job.study.parameters},
        "metrics": list((sides | goals).items()),
        "step": step,
    }


def note(job: TuningJob) -> str:
    """What the log of such a trial begins with."""
    trial = job.trial
    name = trial.image or trial.module or trial.algorithm or " ".join(trial.command or ())
    return f"tuneport: this is the synthetic trainer: nobody mapped a program to {name!r}, which the job names"


def _range(parameter: Any) -> list[Any] | None:
    """Least and greatest value, and whether the scale is logarithmic; None for values without order."""
    if parameter.kind == "categorical":
        return None
    bounds = parameter.values if parameter.kind == "discrete" else (parameter.low, parameter.high)
    return [float(bounds[0]), float(bounds[-1]), parameter.scale == "log"]


def curve(described: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """The metrics of every step: between 0 and 1, the lower the better for what is minimized, or bounded from above."""
    space = described["space"]
    for step in range(1, STEPS + 1):
        metrics = {}
        for metric, goal in described["metrics"]:
            distances = [_distance(space[name], metric, name, parameters[name]) for name in space if name in parameters]
            loss = 0.02 + 0.9 * sum(distances) / max(1, len(distances))
            loss += (1 - loss) * math.exp(1 - step) * 0.5 if step < STEPS else 0.0
            metrics[metric] = round(loss if goal == "minimize" else 1 - loss, 6)
        yield metrics


def _distance(bounds: list[Any] | None, metric: str, name: str, value: Any) -> float:
    """How far a value is from the best one, between 0 and 1."""
    if bounds is None:
        return _chance(metric, name, str(value).lower())
    low, high, log = bounds
    place = float(value)
    if log:
        low, high, place = math.log(low), math.log(high), math.log(max(place, low))
    share = (place - low) / (high - low) if high > low else 0.0
    far = abs(share - 0.2 - 0.6 * _chance(metric, name))
    return min(1.0, float(far * math.sqrt(far)))


def _chance(*words: str) -> float:
    """A number from 0 to 1 that is always the same for the same words."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def train(tuneport_parameters: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Train as a process, in the way of whatever host started it."""
    described = json.loads(os.environ[VARIABLE])
    print(described["note"], flush=True)
    for metrics in curve(described, tuneport_parameters):
        time.sleep(described["step"])
        yield metrics
