"""Parameters near those of another trial: what population-based training explores with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tuneport.model.parameters import Categorical, Discrete, Float, Int
from tuneport.model.word import Scalar
from tuneport.search.dimensions import Dimension
from tuneport.search.space import Space

FACTORS = (0.8, 1.2)
"""What numbers are multiplied by (Jaderberg et al. 2017)."""
_LEAST = 0.1
"""A number on a linear scale moves as if it were at least this share of the range, so that none is stuck at 0."""


def perturbed(
    space: Space, parameters: Mapping[str, Scalar], resample: float, rng: np.random.Generator
) -> dict[str, Scalar]:
    """A point near another one.

    Each parameter is drawn anew with some chance, and moves otherwise: a number by a fifth, measured from the upper end
    if its scale is finest there, and if it comes in steps by at least one; a listed number to a neighbour. A choice
    stays. What only the new point's conditions switch on is drawn.

    Args:
        space: to which both points belong.
        parameters: the other point.
        resample: the chance to be drawn anew.
        rng: decides.
    """
    old = space.encode(parameters)
    drawn, chances, ups = rng.random((3, len(space)))
    new = [
        fresh if np.isnan(u) or chance < resample else _moved(dimension, float(u), FACTORS[int(up < 0.5)])
        for dimension, u, fresh, chance, up in zip(space.dimensions, old, drawn, chances, ups, strict=True)
    ]
    return space.decode(np.array(new, dtype=float))


def _moved(dimension: Dimension, u: float, factor: float) -> float:
    """The coordinate of a value nearby; at an end of the range it may be the same."""
    parameter = dimension.parameter
    if isinstance(parameter, Categorical):
        return u
    if not isinstance(parameter, Discrete):
        target = _scaled(parameter, float(dimension.value(u)), factor)
        moved = dimension.coordinate(min(max(target, float(parameter.low)), float(parameter.high)))
        if dimension.count is None or dimension.code(np.asarray(moved)) != dimension.code(np.asarray(u)):
            return moved
    last = (dimension.count or 1) - 1
    return float(dimension.middle(np.clip(dimension.code(np.asarray(u)) + (1 if factor > 1 else -1), 0, last)))


def _scaled(parameter: Float | Int, value: float, factor: float) -> float:
    """A number that is larger or smaller by a factor, as its scale measures it."""
    low, high = float(parameter.low), float(parameter.high)
    match parameter.scale:
        case "log":
            return value * factor
        case "reverse_log":
            end = 1.0 if low >= 0 and high < 1 else low + high
            return end - (end - value) * factor
        case _:
            return value + (factor - 1) * max(abs(value), _LEAST * (high - low))
