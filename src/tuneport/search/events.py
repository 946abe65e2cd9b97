"""What can happen to a study, and measurements as people give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tuneport.errors import SearchError
from tuneport.model.results import Failure, Measurement, TrialState
from tuneport.model.word import Scalar


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial began, with these active parameters, and from the checkpoint of its parent if it has one."""

    trial: int
    parameters: Mapping[str, Scalar]
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """A running trial gave a measurement."""

    trial: int
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial came to its end; the measurement that counts is None where there is no result."""

    trial: int
    state: TrialState
    final_measurement: Measurement | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Restarted:
    """A running trial is heard anew: what it reported since it was asked for, or resumed, does not count any more."""

    trial: int


@dataclass(frozen=True, slots=True)
class Paused:
    """A running trial rests at its checkpoint."""

    trial: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """A trial that rests, or that was cut off, goes on from its checkpoint: what it had reported counts."""

    trial: int


Event: TypeAlias = Asked | Reported | Restarted | Paused | Resumed | Ended
"""All that can happen to a study. The same events in the same order make the same study."""


def measurement(metrics: Mapping[str, Any], step: int | None, elapsed: float | None) -> Measurement:
    """A measurement of anything that is a number.

    Raises:
        SearchError: a metric is not a number.
    """
    numbers = {name: _number(name, value) for name, value in metrics.items()}
    return Measurement.model_construct(metrics=numbers, step=step, elapsed=elapsed)


def _number(name: str, value: Any) -> float:
    """A metric as a float: any real number will do, also one of numpy's; text and whole tensors will not."""
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SearchError(f"metric '{name}' must be a number, not {value!r}")
