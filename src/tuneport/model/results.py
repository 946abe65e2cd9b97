"""What came out: measurements, trials, how they ended, and the record of a whole run. Times are POSIX seconds, UTC."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import WithJsonSchema

from tuneport.model.study import Algorithm, Constraint, Objective
from tuneport.model.word import Scalar, Str, Word

Metric: TypeAlias = Annotated[
    float, WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]})
]
"""What a trainer measured. JSON has no word for some of it, so that it is said as text."""


class TrialState(StrEnum):
    """Where a trial is in its life. The names are Vizier's; `failed` is apart from `infeasible`."""

    REQUESTED = "requested"
    RUNNING = "running"
    PAUSED = "paused"
    """It rests at its checkpoint and may go on."""
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    STOPPED = "stopped"
    INFEASIBLE = "infeasible"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the trial's record does not change any more."""
        return self in _ENDED


_ENDED = frozenset({TrialState.SUCCEEDED, TrialState.STOPPED, TrialState.INFEASIBLE, TrialState.FAILED})


class FailureKind(StrEnum):
    """Why a trial has no ordinary result; one vocabulary for every backend."""

    CODE = "code"
    """The trainer crashed or exited with an error."""
    METRIC_MISSING = "metric_missing"
    """It ended well but never gave the primary metric."""
    INFEASIBLE = "infeasible"
    """These parameters have no usable result: the metric is not a finite number."""
    PREEMPTED = "preempted"
    """Somebody else took its machine or killed its process."""
    TIMED_OUT = "timed_out"
    """It ran longer than `trial.timeout`."""
    OUT_OF_MEMORY = "out_of_memory"
    """Main or GPU memory did not suffice."""
    STOPPED_BY_SCHEDULER = "stopped_by_scheduler"
    """Early stopping gave its place to others."""
    CANCELLED = "cancelled"
    """A person, or the end of the run, stopped it."""
    INFRASTRUCTURE = "infrastructure"
    """It could not be started, or the machine failed."""

    @property
    def retryable(self) -> bool:
        """Whether another attempt may go better, so that `trial.retries` applies."""
        return self in _RETRYABLE


_RETRYABLE = frozenset({FailureKind.CODE, FailureKind.PREEMPTED, FailureKind.OUT_OF_MEMORY, FailureKind.INFRASTRUCTURE})


class RunState(StrEnum):
    """Where a run is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    INTERRUPTED = "interrupted"
    """Its driver is gone; it can be resumed."""
    SUCCEEDED = "succeeded"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the run is over for good."""
        return self in {RunState.SUCCEEDED, RunState.STOPPED, RunState.FAILED}


class RunReason(StrEnum):
    """Why a run ended."""

    COMPLETED = "completed"
    """All trials of the budget have ended."""
    EXHAUSTED = "exhausted"
    """Every point of a finite space has been tried."""
    TARGET = "target"
    """A trial reached the objective's target."""
    TIME = "time"
    """`max_seconds` is spent."""
    COST = "cost"
    """`max_cost` is spent."""
    NO_IMPROVEMENT = "no_improvement"
    """`max_trials_without_improvement` trials in a row did not beat the best."""
    REQUEST = "request"
    """A person stopped it."""
    FAILURES = "failures"
    """Too many trials failed; see `max_failed_trials`."""


class Measurement(Word):
    """What a trial reported at one moment."""

    metrics: dict[str, Metric]
    """Metric name to value; NaN and infinities can occur."""
    step: int | None = None
    """The trainer's own step or epoch, if it said one."""
    elapsed: float | None = None
    """Seconds since the trial's start."""


class Failure(Word):
    """Why a trial has no ordinary result."""

    kind: FailureKind
    message: str
    """One sentence for a person."""
    exit_code: int | None = None
    """Exit status of the process; negative: the signal that ended it."""
    last_lines: tuple[str, ...] = ()
    """The end of its output, at most 20 lines."""


class Trial(Word):
    """One try with one set of parameters."""

    id: int
    """Counts from 1 within the run."""
    parameters: dict[str, Scalar]
    """Active parameters with typed values; fixed ones are not repeated here."""
    state: TrialState
    measurements: tuple[Measurement, ...] = ()
    """Everything that was reported, in order."""
    final_measurement: Measurement | None = None
    """The result, chosen by `study.measurement`, as of its end or its latest pause; None if there is none."""
    failure: Failure | None = None
    attempt: int = 1
    """Which attempt this is; above 1 after retries and pauses."""
    parent: int | None = None
    """The trial from whose checkpoint it began, in population-based training."""
    started: float | None = None
    """When its latest attempt began."""
    ended: float | None = None
    """When it ended."""
    memory: int | None = None
    """The most main memory that its processes were seen to have, in bytes."""
    gpu_memory: int | None = None
    """The most memory of a GPU that its processes were seen to have, in bytes."""
    links: dict[str, str] = {}
    """Name to place: its folder, log, console page, model."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """The final metrics; empty if there is no result."""
        return self.final_measurement.metrics if self.final_measurement else {}

    @property
    def duration(self) -> float | None:
        """Seconds of the latest attempt, once it has ended."""
        return None if self.started is None or self.ended is None else self.ended - self.started


class DeviceUse(Word):
    """A GPU of this machine while trials of a run are on it."""

    id: str
    """As CUDA_VISIBLE_DEVICES names it."""
    name: str
    trials: tuple[int, ...] = ()
    """Those of the run that are on it."""
    memory: int | None = None
    """Its bytes; None if that is not known."""
    used: int | None = None
    """Bytes of it that are taken, by whomever."""
    busy: float | None = None
    """Part of the last moment in which it computed, from 0 to 1."""


class Search(Word):
    """What proposed the points of a run."""

    algorithm: Algorithm
    """With all its settings and its seed, as it was used; never auto."""
    version: Str
    """The packages that it is made of, such as "tuneport 0.1.0, cmaes 0.13.1"."""
    reason: Str = ""
    """Why it was chosen, if the job left that open."""


class StudyResult(Word):
    """The record of a run."""

    ref: str
    """Reference by which the run can be found again, such as local:digits-7f3a."""
    name: str
    """The job's name."""
    backend: str
    state: RunState
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    search: Search | None = None
    """What proposed its points; None if that is not known, as of services."""
    trials: tuple[Trial, ...]
    reason: RunReason | None = None
    """Why it ended; None while it has not."""
    message: str = ""
    """The same in one sentence."""
    notes: tuple[str, ...] = ()
    """What else there is to know of how it ran, in sentences, such as why trials were not run as asked for."""
    devices: tuple[DeviceUse, ...] = ()
    """GPUs of this machine on which trials of it are, where somebody has looked at them, as `status` does."""
    cost: float | None = None
    """What its trials have cost so far, by the user's price table and in its currency; None: not known."""
    created: float | None = None
    ended: float | None = None
    links: dict[str, str] = {}
    """Name to place: the best trial's model, the page in the service's console."""

    @property
    def best(self) -> Trial | None:
        """The trial with the best primary metric of those that keep all constraints, the earlier of equals; or None."""
        return best_trial(self.trials, self.objectives[0], self.constraints)

    @property
    def pareto(self) -> tuple[Trial, ...]:
        """The trials that keep all constraints and that no other beats in one objective without losing in another."""
        return pareto(self.trials, self.objectives, self.constraints)

    def to_records(self) -> list[dict[str, Any]]:
        """One flat row per trial: trial, state, parameters, metrics, seconds, failure."""
        return [record(trial) for trial in self.trials]


def record(trial: Trial) -> dict[str, Any]:
    """One flat row of a table; parameters come as `param.NAME`, metrics as `metric.NAME`, a parent if there is one."""
    return {
        "trial": trial.id,
        **({} if trial.parent is None else {"parent": trial.parent}),
        "state": trial.state.value,
        **{f"param.{name}": value for name, value in trial.parameters.items()},
        **{f"metric.{name}": value for name, value in trial.metrics.items()},
        "seconds": trial.duration,
        "failure": trial.failure.kind.value if trial.failure else None,
    }


def usable(value: float | None) -> bool:
    """Whether a metric's value can be compared: present and finite."""
    return value is not None and math.isfinite(value)


def best_trial(trials: Iterable[Trial], objective: Objective, constraints: Sequence[Constraint] = ()) -> Trial | None:
    """The trial with the best final value, the earlier one of equals; see `eligible`."""
    best: Trial | None = None
    for trial in trials:
        if not eligible(trial, [objective], constraints):
            continue
        if best is None or objective.better(trial.metrics[objective.metric], best.metrics[objective.metric]):
            best = trial
    return best


def eligible(trial: Trial, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> bool:
    """Whether a trial may be best: it neither failed nor is infeasible, has all results, and keeps all constraints."""
    return (
        trial.state not in {TrialState.FAILED, TrialState.INFEASIBLE}
        and all(usable(trial.metrics.get(one.metric)) for one in objectives)
        and all(one.excess(trial.metrics.get(one.metric)) <= 0 for one in constraints)
    )


def pareto(
    trials: Iterable[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
) -> tuple[Trial, ...]:
    """The eligible trials that no other beats in one objective without losing in another; equals stay together."""
    signs = [-1.0 if one.goal == "maximize" else 1.0 for one in objectives]
    rows = [
        (tuple(sign * trial.metrics[one.metric] for sign, one in zip(signs, objectives, strict=True)), trial)
        for trial in trials
        if eligible(trial, objectives, constraints)
    ]
    front: list[tuple[tuple[float, ...], Trial]] = []
    for row, trial in sorted(rows, key=lambda entry: (entry[0], entry[1].id)):  # nothing is beaten by what comes later
        if not any(other != row and all(a <= b for a, b in zip(other, row, strict=True)) for other, _ in front):
            front.append((row, trial))
    return tuple(sorted((trial for _, trial in front), key=lambda trial: trial.id))


def final_measurement(
    measurements: Sequence[Measurement], objective: Objective, selection: str = "last"
) -> Measurement | None:
    """The measurement that counts.

    Args:
        measurements: all of one trial's, in order.
        objective: the primary objective.
        selection: "last" or "best".

    Returns:
        With "best", the one with the best finite primary metric; with "last", the last that has the primary metric,
        joined by the latest value of every other metric. None if the primary metric was never reported.
    """
    having = [m for m in measurements if objective.metric in m.metrics]
    if not having:
        return None
    if selection == "best":
        finite = [m for m in having if math.isfinite(m.metrics[objective.metric])]
        best = finite[0] if finite else having[-1]
        for m in finite:
            if objective.better(m.metrics[objective.metric], best.metrics[objective.metric]):
                best = m
        return best
    last = having[-1]
    latest: dict[str, float] = {}
    for m in measurements:
        latest.update(m.metrics)
    if latest.keys() == last.metrics.keys():
        return last
    return Measurement.model_construct(metrics=latest | last.metrics, step=last.step, elapsed=last.elapsed)
