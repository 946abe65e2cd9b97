"""What earlier runs found, as data that is independent of where they ran, and what of it means something to a study."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tuneport.model.job import TuningJob
from tuneport.model.parameters import Categorical, Discrete, Float, Int, Parameter, allowed, parents_first
from tuneport.model.results import StudyResult, Trial, TrialState, usable
from tuneport.model.study import Objective, StudySpec
from tuneport.model.word import Scalar, Str, Word, did_you_mean, short

_TRUE, _FALSE = frozenset({"true", "True"}), frozenset({"false", "False"})
_UNUSABLE = frozenset({TrialState.FAILED, TrialState.INFEASIBLE})


class History(Word):
    """The trials of one earlier run."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    source: Str
    """The run's reference, or the file that they were read from."""
    objectives: tuple[Objective, ...] = ()
    """What the run was after; empty if that is not known."""
    parameters: tuple[Parameter, ...] = ()
    """The space that it searched; empty if that is not known."""
    fixed: dict[Str, Scalar] = {}
    """Parameters that every trial had in common: a study that searches them now knows what they were."""
    trials: tuple[Trial, ...] = ()
    """Its trials, also those that have not ended."""

    @property
    def ended(self) -> tuple[Trial, ...]:
        """The trials whose record does not change any more."""
        return tuple(trial for trial in self.trials if trial.state.ended)


def history_of(job: TuningJob, result: StudyResult) -> History:
    """What a run has found so far."""
    return History(
        source=result.ref,
        objectives=result.objectives,
        parameters=job.study.parameters,
        fixed=job.trial.parameters,
        trials=result.trials,
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """What of earlier runs means something to a study.

    Attributes:
        trials: those that do, as trials of the study: its own parameters, typed as it has them, and its metric names;
            numbered from 1.
        reasons: why others do not, and how many of them.
    """

    trials: tuple[Trial, ...]
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def unused(self) -> int:
        """How many trials mean nothing to the study."""
        return sum(self.reasons.values())

    def __str__(self) -> str:
        used = f"{len(self.trials)} of {len(self.trials) + self.unused} earlier trials are used"
        return "; ".join([used, *(f"{count} not: {reason}" for reason, count in self.reasons.items())])


def fit(histories: Iterable[History], study: StudySpec) -> Fit:
    """The trials of earlier runs that are points of a study's space, have its primary metric and keep its bounds.

    Ranges may have changed: what lies outside of them now is not used. Parameters that the study has no more are left
    out; one that is new must have been fixed before, or have a default, which is then taken for what it was in effect.
    A bound of which none of the trials says anything, as its metric is new, leaves out nobody. Values are read as the
    study types them, since clouds and tables know text only.
    """
    found = [_fitted(trial, history.fixed, study) for history in histories for trial in history.trials]
    points = [one for one in found if not isinstance(one, str)]
    bounds = study.constraints
    broken = _broken([[bound.excess(one.metrics.get(bound.metric)) for bound in bounds] for one in points])
    reasons = Counter(one for one in found if isinstance(one, str))
    reasons.update(f"they break the bound on '{bounds[index].metric}'" for index in broken if index is not None)
    kept = (point for point, index in zip(points, broken, strict=True) if index is None)
    trials = tuple(one.model_copy(update={"id": number}) for number, one in enumerate(kept, 1))
    return Fit(trials, dict(reasons.most_common()))


def _broken(excess: Sequence[Sequence[float]]) -> list[int | None]:
    """Of each trial, by how much it exceeds each bound, the first bound that it breaks; None: it keeps them all."""
    said = [index for index, column in enumerate(zip(*excess, strict=True)) if min(column) < math.inf]
    return [next((index for index in said if one[index] > 0), None) for one in excess]


def _fitted(trial: Trial, fixed: Mapping[str, Scalar], study: StudySpec) -> Trial | str:
    """The trial as one of the study, or why it is none."""
    if not trial.state.ended:
        return "they have not ended"
    objective = study.objective
    metrics = trial.metrics
    if trial.state in _UNUSABLE or not metrics:
        return "they have no result"
    if objective.metric not in metrics:
        return f"they have no metric '{objective.metric}'; {did_you_mean(objective.metric, sorted(metrics))}"
    if not usable(metrics[objective.metric]):
        return f"their '{objective.metric}' is no finite number"
    known = {**fixed, **trial.parameters}
    point: dict[str, Scalar] = {}
    for parameter in parents_first(study.parameters):
        if parameter.when is not None and not parameter.when.holds(point):
            continue
        value = read_value(parameter, known.get(parameter.name, parameter.default))
        if value is None:
            return f"nothing says what '{parameter.name}' was"
        if not allowed(parameter, value):
            return f"'{parameter.name}' was {_outside(parameter, value)}"
        point[parameter.name] = value
    return trial.model_copy(update={"parameters": point})


def _outside(parameter: Parameter, value: Scalar) -> str:
    if isinstance(parameter, (Float, Int)) and not isinstance(value, (str, bool)):
        if not parameter.low <= value <= parameter.high:
            return f"outside of {parameter.low!r} to {parameter.high!r}"
        return "not a step of the range"
    return f"{short(value)}, which is no value of it"


def read_value(parameter: Parameter, value: Any) -> Scalar | None:
    """A value as the parameter types it, where text or another kind of number says the same; else as it is."""
    match parameter:
        case Categorical():
            return _choice(parameter.choices, value)
        case Float():
            number = _number(value)
            return value if number is None else float(number)
        case Int():
            number = _number(value)
            return value if number is None or number != int(number) else int(number)
        case Discrete():
            number = _number(value)
            return next((one for one in parameter.values if one == number), value)


def _choice(choices: Sequence[Scalar], value: Any) -> Scalar | None:
    """The choice that is meant: itself, or the only one that is spelled so."""
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    spelled = [choice for choice in choices if _spells(choice, value)]
    return spelled[0] if len(spelled) == 1 else value


def _spells(choice: Scalar, value: Any) -> bool:
    if isinstance(choice, bool):
        return value in (_TRUE if choice else _FALSE) if isinstance(value, str) else False
    if isinstance(choice, str):
        return not isinstance(value, bool) and str(value) == choice
    return _number(value) == choice


def _number(value: Any) -> float | int | None:
    """A finite number, or text that spells one; None for all else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return value if isinstance(value, int) else number
