"""What earlier trials say of where to search, for searches that are not ours: a smaller space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneport.model.parameters import Float, Int
from tuneport.model.results import Trial
from tuneport.model.study import StudySpec
from tuneport.search.protocols import Observation
from tuneport.search.searchers.precedents import Precedents
from tuneport.search.space import Space


def shrunk(study: StudySpec, trials: Sequence[Trial]) -> StudySpec:
    """The study with its ranges drawn in to a box around the best quarter of earlier trials, with some room.

    What a service's search cannot be told, its space can say (bounding-box transfer: Perrone et al., "Learning search
    spaces for Bayesian optimization", NeurIPS 2019). Lists of values stay as they are: an order of merit among a few
    values says too little to take some away.

    Args:
        study: what is to be searched.
        trials: of that space, with the primary metric; see `tuneport.model.history.fit`.

    Returns:
        the very same study if fewer trials than it has parameters are known.
    """
    space = Space(study.parameters)
    if len(trials) < max(len(space), 2):
        return study
    sign = -1.0 if study.objective.goal == "maximize" else 1.0
    known = [
        Observation(one.id, one.parameters, (sign * one.metrics[study.objective.metric],), one.state) for one in trials
    ]
    low, high = Precedents(space, known).box()
    drawn: dict[int, Any] = {}
    for dimension, start, end in zip(space.dimensions, low, high, strict=True):
        parameter = dimension.parameter
        if isinstance(parameter, (Float, Int)):
            drawn[id(parameter)] = _between(parameter, dimension.value(float(start)), dimension.value(float(end)))
    return study.changed(parameters=[drawn.get(id(one), one) for one in study.parameters])


def _between(parameter: Float | Int, low: Any, high: Any) -> Float | Int:
    default = parameter.default
    inside = default is not None and low <= default <= high
    return parameter.changed(low=low, high=high, default=default if inside else None)
