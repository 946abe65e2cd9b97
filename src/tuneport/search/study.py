"""The mind alone: asks for points, takes results, and is rebuilt from the record of what happened."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np

from tuneport.errors import SearchError, TrialFinishedError, UnknownTrialError
from tuneport.model.job import Budget
from tuneport.model.results import (
    Failure,
    FailureKind,
    Measurement,
    Search,
    Trial,
    TrialState,
    final_measurement,
    pareto,
    usable,
)
from tuneport.model.study import Asha, StudySpec
from tuneport.model.word import Scalar
from tuneport.search.choice import chosen
from tuneport.search.protocols import Decision, Observation
from tuneport.search.schedulers import make_scheduler
from tuneport.search.schedulers.asha import rung_losses
from tuneport.search.searchers import make_searcher
from tuneport.search.space import Space


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial began, with these active parameters."""

    trial: int
    parameters: Mapping[str, Scalar]


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
    """A running trial begins again from nothing: what it had reported does not count any more."""

    trial: int


Event: TypeAlias = Asked | Reported | Restarted | Ended
"""All that can happen to a study. The same events in the same order make the same study."""


@dataclass(slots=True)
class _Progress:
    """A trial as it grows."""

    id: int
    parameters: dict[str, Scalar]
    state: TrialState = TrialState.RUNNING
    measurements: list[Measurement] = field(default_factory=list)
    final_measurement: Measurement | None = None
    failure: Failure | None = None
    reports: int = 0
    """Measurements that carried the primary metric."""
    decision: Decision = Decision.CONTINUE
    """The scheduler's last word; only a restart takes STOP back."""
    trial: Trial | None = None
    """The finished record, made when it is first looked at."""


class Study:
    """Proposes points, judges reports, and remembers what came of them.

    A study is a fold over events: `ask`, `report` and `tell` each make one (`tell` with metrics makes two), hand it to
    `on_event`, and apply it. `Study.replay` applies recorded events and arrives at the same study, which makes the same
    suggestions: these depend on the seed, the number of the trial and the results, not on the order in which they came.

    Args:
        spec: what is searched, for what, and how.
        seed: makes the suggestions repeatable, at least 0; the spec's own seed goes before it; with neither, one is
            drawn and can be read from `seed`.
        on_event: gets every event before it is applied, so that it can be recorded; what it raises goes to the caller
            and leaves the study as it was.
        budget: how much may be spent, for an algorithm that is to be chosen accordingly.
        history: trials of earlier jobs with the same primary metric, whose ranges may have been others; adaptive
            searchers begin with the best of them, and the Bayesian one learns from all.

    Attributes:
        search: what proposes the points, and why; never auto.

    Raises:
        SearchError: the spec asks for what the search core cannot do.
        MissingExtraError: a package that the algorithm needs is not installed.
    """

    def __init__(
        self,
        spec: StudySpec,
        *,
        seed: int | None = None,
        budget: Budget | None = None,
        on_event: Callable[[Event], object] | None = None,
        history: Sequence[Trial] = (),
    ) -> None:
        self.spec = spec
        self.seed = next(s for s in (spec.algorithm.seed, seed, _drawn_seed()) if s is not None)
        self.space = Space(spec.parameters)
        self._on_event = on_event
        self._sign = _sign(spec.objective.goal)
        self._stages = spec.early_stopping if isinstance(spec.early_stopping, Asha) else None
        earlier = [self._observation(one) for one in history if one.state.ended]
        algorithm, version, reason = chosen(spec, self.space, budget or Budget())
        self.search = Search(algorithm=algorithm.changed(seed=self.seed), version=version, reason=reason)
        self._searcher = make_searcher(
            algorithm, self.space, self.seed, earlier, staged=self._stages is not None and len(spec.objectives) == 1
        )
        self._scheduler = make_scheduler(spec)
        self._trials: dict[int, _Progress] = {}
        self._running: dict[int, _Progress] = {}
        self._finished: list[Observation] = []
        self._best: tuple[float, int] | None = None  # loss and id; of equal losses the earlier trial counts
        self._last_id = 0

    @classmethod
    def replay(
        cls,
        spec: StudySpec,
        events: Iterable[Event],
        *,
        seed: int | None = None,
        budget: Budget | None = None,
        on_event: Callable[[Event], object] | None = None,
        history: Sequence[Trial] = (),
    ) -> Self:
        """The study to which the recorded `events` led. `on_event` gets only what happens from now on."""
        study = cls(spec, seed=seed, budget=budget, on_event=on_event, history=history)
        for event in events:
            study.apply(event)
        return study

    @property
    def adaptive(self) -> bool:
        """Whether results change what is proposed; if not, a proposal stays good until it is asked for."""
        return self._searcher.adaptive

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials by id."""
        return tuple(_trial(self._trials[number]) for number in sorted(self._trials))

    @property
    def running(self) -> tuple[int, ...]:
        """Ids of the trials that have not ended, in order."""
        return tuple(sorted(self._running))

    @property
    def finished(self) -> int:
        """Number of trials that have ended, however."""
        return len(self._finished)

    @property
    def best(self) -> Trial | None:
        """The trial with the best primary metric of those that keep all constraints, the earlier of equals; or None."""
        return None if self._best is None else self.trial(self._best[1])

    @property
    def pareto(self) -> tuple[Trial, ...]:
        """The trials that keep all constraints and that no other beats in one objective without losing in another."""
        ended = (self.trial(one.number) for one in self._finished if one.losses is not None)
        return pareto(ended, self.spec.objectives, self.spec.constraints)

    def trial(self, trial: Trial | int) -> Trial:
        """The trial as it stands now.

        Raises:
            UnknownTrialError: it was never asked for.
        """
        return _trial(self._known(trial))

    def propose(self) -> dict[str, Scalar]:
        """The parameters that `ask` would give its next trial. Nothing is recorded.

        Raises:
            SpaceExhaustedError: every point of a finite space has been suggested.
        """
        pending = [self._running[number].parameters for number in sorted(self._running)]
        return self._searcher.suggest(self._last_id + 1, self._finished, pending)

    def ask(self, parameters: Mapping[str, Any] | None = None, *, id: int | None = None) -> Trial:  # noqa: A002
        """Begin a trial.

        Args:
            parameters: what to try; None: what `propose` says.
            id: its number, above 0 and not in use; None: one more than the highest.

        Raises:
            SearchError: the parameters are no point of the space, or the id is taken.
            SpaceExhaustedError: every point of a finite space has been suggested.
        """
        number = self._last_id + 1 if id is None else id
        if number < 1 or number in self._trials:
            raise SearchError(f"trial {number} cannot be asked for: ids are above 0 and used once")
        point = self.propose() if parameters is None else self.space.legal(parameters)
        self._record(Asked(number, point))
        return self.trial(number)

    def report(
        self,
        trial: Trial | int,
        metrics: Mapping[str, Any],
        *,
        step: int | None = None,
        elapsed: float | None = None,
    ) -> Decision:
        """Take a measurement of a running trial.

        Args:
            trial: the trial or its id.
            metrics: metric name to number; NaN and infinities are numbers here.
            step: the trainer's own step, if it says one.
            elapsed: seconds since the trial began.

        Returns:
            whether it should go on.

        Raises:
            SearchError: a metric is not a number.
            UnknownTrialError: the trial was never asked for.
            TrialFinishedError: it has ended.
        """
        number = self._open(trial).id
        return self._record(Reported(number, _measurement(metrics, step, elapsed)))

    def tell(
        self,
        trial: Trial | int,
        metrics: Mapping[str, Any] | None = None,
        *,
        state: TrialState | None = None,
        failure: Failure | None = None,
    ) -> Trial:
        """End a trial.

        Args:
            trial: the trial or its id.
            metrics: a last measurement, if there is one.
            state: how it ended; None: succeeded, or failed if a failure is given. A trial cannot succeed without a
                finite primary metric: it has failed if there is none, and is infeasible if it is not finite.
            failure: why it has no ordinary result.

        Returns:
            the trial as it will stay.

        Raises:
            SearchError: a metric is not a number, or `state` is not one in which a trial ends.
            UnknownTrialError: the trial was never asked for.
            TrialFinishedError: it has ended before.
        """
        progress = self._open(trial)
        if state is not None and not state.ended:
            raise SearchError(f"trial {progress.id} cannot end as '{state}'")
        last = None if metrics is None else _measurement(metrics, None, None)
        if last is not None:
            self._record(Reported(progress.id, last))
        self._record(self.ending(progress.id, state=state, failure=failure))
        return self.trial(progress.id)

    def decision(self, trial: Trial | int) -> Decision:
        """What the scheduler has said to a trial's reports so far; only a restart takes STOP back.

        Raises:
            UnknownTrialError: the trial was never asked for.
        """
        return self._known(trial).decision

    def ending(self, trial: Trial | int, *, state: TrialState | None = None, failure: Failure | None = None) -> Ended:
        """The event with which `tell` would end a trial, given what it has reported. Nothing is recorded.

        Raises:
            UnknownTrialError: the trial was never asked for.
            TrialFinishedError: it has ended before.
        """
        progress = self._open(trial)
        objective = self.spec.objective
        final = final_measurement(progress.measurements, objective, self.spec.measurement)
        if state is None:
            state = TrialState.SUCCEEDED if failure is None else TrialState.FAILED
        if state is TrialState.SUCCEEDED and final is None:
            message = f"it ended without giving the metric '{objective.metric}'"
            return _failed(progress.id, TrialState.FAILED, FailureKind.METRIC_MISSING, message)
        if state is TrialState.SUCCEEDED and final is not None and not usable(final.metrics[objective.metric]):
            message = f"the metric '{objective.metric}' is {final.metrics[objective.metric]}, which is no finite number"
            return _failed(progress.id, TrialState.INFEASIBLE, FailureKind.INFEASIBLE, message, final)
        if failure is None and state in _UNEXPLAINED:
            return _failed(progress.id, state, _UNEXPLAINED[state], f"it was told to be {state}", final)
        return Ended(progress.id, state, final, failure)

    def apply(self, event: Event) -> Decision:
        """Take an event into account without passing it to `on_event`: one step of a replay.

        Returns:
            what the scheduler says to a report; CONTINUE for other events.

        Raises:
            SearchError: a trial was asked for twice.
            UnknownTrialError: the trial was never asked for.
            TrialFinishedError: it has ended before.
        """
        match event:
            case Asked():
                return self._asked(event)
            case Reported():
                return self._reported(event)
            case Restarted():
                return self._restarted(event)
            case Ended():
                return self._ended(event)

    def _record(self, event: Event) -> Decision:
        if self._on_event is not None:
            self._on_event(event)
        return self.apply(event)

    def _asked(self, event: Asked) -> Decision:
        if event.trial in self._trials:
            raise SearchError(f"trial {event.trial} was asked for twice")
        progress = _Progress(event.trial, dict(event.parameters))
        self._trials[event.trial] = self._running[event.trial] = progress
        self._last_id = max(self._last_id, event.trial)
        return Decision.CONTINUE

    def _reported(self, event: Reported) -> Decision:
        progress = self._open(event.trial)
        progress.measurements.append(event.measurement)
        value = event.measurement.metrics.get(self.spec.objective.metric)
        if value is None:
            return progress.decision
        progress.reports += 1
        step = progress.reports if event.measurement.step is None else event.measurement.step
        decision = self._scheduler.report(event.trial, step, self._sign * value)
        if progress.decision is Decision.CONTINUE:
            progress.decision = decision
        return progress.decision

    def _restarted(self, event: Restarted) -> Decision:
        progress = self._open(event.trial)
        progress.measurements.clear()
        progress.reports, progress.decision = 0, Decision.CONTINUE
        self._scheduler.restarted(event.trial)
        return progress.decision

    def _ended(self, event: Ended) -> Decision:
        progress = self._open(event.trial)
        progress.state = event.state
        progress.final_measurement = event.final_measurement
        progress.failure = event.failure
        del self._running[event.trial]
        observation = self._observation(_trial(progress))
        insort(self._finished, observation, key=_number)
        self._scheduler.ended(event.trial, event.state)
        if observation.losses is not None and observation.legal:
            candidate = observation.losses[0], observation.number
            self._best = candidate if self._best is None else min(self._best, candidate)
        return Decision.CONTINUE

    def _observation(self, trial: Trial) -> Observation:
        metrics = {} if trial.final_measurement is None else trial.final_measurement.metrics
        losses = tuple(_sign(one.goal) * metrics.get(one.metric, math.nan) for one in self.spec.objectives)
        unusable = trial.state in {TrialState.FAILED, TrialState.INFEASIBLE}
        if unusable or not usable(metrics.get(self.spec.objective.metric)):
            return Observation(trial.id, trial.parameters, None, trial.state)
        bounds = self.spec.constraints
        excess = tuple(one.excess(metrics.get(one.metric)) for one in bounds) if bounds else ()
        return Observation(trial.id, trial.parameters, losses, trial.state, excess, self._rungs(trial.measurements))

    def _rungs(self, measurements: Iterable[Measurement]) -> tuple[tuple[int, float], ...]:
        if self._stages is None:
            return ()
        values = [(one.step, one.metrics.get(self.spec.objective.metric)) for one in measurements]
        losses = [(step, self._sign * value) for step, value in values if value is not None]
        reports = [(count if step is None else step, loss) for count, (step, loss) in enumerate(losses, 1)]
        return rung_losses(reports, self._stages, best=self.spec.measurement == "best")

    def _known(self, trial: Trial | int) -> _Progress:
        number = trial.id if isinstance(trial, Trial) else trial
        progress = self._trials.get(number)
        if progress is None:
            raise UnknownTrialError(f"trial {number} was never asked for in this study")
        return progress

    def _open(self, trial: Trial | int) -> _Progress:
        progress = self._known(trial)
        if progress.state.ended:
            raise TrialFinishedError(f"trial {progress.id} has ended as '{progress.state}'")
        return progress


_UNEXPLAINED = {TrialState.FAILED: FailureKind.CODE, TrialState.INFEASIBLE: FailureKind.INFEASIBLE}
"""What a bad end is put down to when nobody says why."""


def _drawn_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])


def _sign(goal: str) -> float:
    return -1.0 if goal == "maximize" else 1.0


def _number(observation: Observation) -> int:
    return observation.number


def _measurement(metrics: Mapping[str, Any], step: int | None, elapsed: float | None) -> Measurement:
    return Measurement.model_construct(
        metrics={name: _metric(name, value) for name, value in metrics.items()}, step=step, elapsed=elapsed
    )


def _metric(name: str, value: Any) -> float:
    """A metric as a float: any real number will do, also one of numpy's; text and whole tensors will not."""
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SearchError(f"metric '{name}' must be a number, not {value!r}")


def _failed(number: int, state: TrialState, kind: FailureKind, message: str, final: Measurement | None = None) -> Ended:
    return Ended(number, state, final, Failure(kind=kind, message=message))


def _trial(progress: _Progress) -> Trial:
    """The record of a trial; made without validation, since every part has been checked on its way in."""
    if progress.trial is not None:
        return progress.trial
    trial = Trial.model_construct(
        id=progress.id,
        parameters=progress.parameters,
        state=progress.state,
        measurements=tuple(progress.measurements),
        final_measurement=progress.final_measurement,
        failure=progress.failure,
    )
    if progress.state.ended:
        progress.trial = trial
    return trial
