"""The mind alone: asks for points, takes results, and is rebuilt from the record of what happened."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np

from tuneport.errors import SearchError, TrialFinishedError, UnknownTrialError
from tuneport.model.history import History, fit
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
from tuneport.model.study import Asha, Pbt, StudySpec
from tuneport.model.word import Scalar
from tuneport.search.choice import chosen, staged
from tuneport.search.events import Asked, Ended, Event, Paused, Reported, Restarted, Resumed, measurement
from tuneport.search.perturbation import perturbed
from tuneport.search.progress import Progress
from tuneport.search.protocols import Decision, Due, Observation, Searcher
from tuneport.search.schedulers import make_scheduler
from tuneport.search.schedulers.asha import rung_losses
from tuneport.search.searchers import make_searcher
from tuneport.search.space import Space


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
        history: trials of earlier jobs, whose ranges may have been others. Of those that mean something to this study
            (see `tuneport.model.history.fit`), adaptive searchers begin with the best, and the Bayesian one learns from
            all.
        lazy: make what proposes points only with `prepare` or the first proposal, so that what has happened can be read
            wherever it happened, whatever is installed here.

    Attributes:
        search: what proposes the points, and why; never auto.

    Raises:
        SearchError: the spec asks for what the search core cannot do; if `lazy`, by `prepare` or the first proposal.
        MissingExtraError: a package that the algorithm needs is not installed; likewise.
    """

    def __init__(
        self,
        spec: StudySpec,
        *,
        seed: int | None = None,
        budget: Budget | None = None,
        on_event: Callable[[Event], object] | None = None,
        history: Sequence[Trial] = (),
        lazy: bool = False,
    ) -> None:
        self.spec = spec
        self.seed = next(s for s in (spec.algorithm.seed, seed, _drawn_seed()) if s is not None)
        self.space = Space(spec.parameters)
        self._on_event = on_event
        self._sign = _sign(spec.objective.goal)
        self._stages = spec.early_stopping if isinstance(spec.early_stopping, Asha) else None
        earlier = History(source="earlier jobs", trials=tuple(history))
        self._earlier = [self._observation(one) for one in fit([earlier], spec).trials]
        algorithm, version, reason = chosen(spec, self.space, budget or Budget())
        self.search = Search(algorithm=algorithm.changed(seed=self.seed), version=version, reason=reason)
        self._scheduler = make_scheduler(spec, self.seed, budget)
        self._trials: dict[int, Progress] = {}
        self._running: dict[int, Progress] = {}
        self._paused: dict[int, Progress] = {}
        self._finished: list[Observation] = []
        self._losses: dict[int, float] = {}  # of the trials that can be best
        self._last_id = 0
        if not lazy:
            self.prepare()

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
        """The study to which the recorded `events` led, given all else that it was made with.

        `on_event` gets only what happens from now on.
        """
        study = cls(spec, seed=seed, budget=budget, on_event=on_event, history=history)
        for event in events:
            study.apply(event)
        return study

    def prepare(self) -> Searcher:
        """What proposes the points, made now if it has not been.

        Raises:
            SearchError: the spec asks for what the search core cannot do.
            MissingExtraError: a package that the algorithm needs is not installed.
        """
        return self._searcher

    @cached_property
    def _searcher(self) -> Searcher:
        rungs = staged(self.spec)
        return make_searcher(self.search.algorithm, self.space, self.seed, self._earlier, staged=rungs)

    @property
    def adaptive(self) -> bool:
        """Whether results change what is proposed; if not, a proposal stays good until it is asked for."""
        return self._searcher.adaptive

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials by id."""
        return tuple(self._trials[number].trial() for number in sorted(self._trials))

    @property
    def running(self) -> tuple[int, ...]:
        """Ids of the trials that have neither ended nor paused, in order."""
        return tuple(sorted(self._running))

    @property
    def paused(self) -> tuple[int, ...]:
        """Ids of the trials that rest at their checkpoints, in order."""
        return tuple(sorted(self._paused))

    @property
    def finished(self) -> int:
        """Number of trials that have ended, however."""
        return len(self._trials) - len(self._running) - len(self._paused)

    @property
    def best(self) -> Trial | None:
        """The trial with the best primary metric of those that keep all constraints, the earlier of equals; or None."""
        _, best = min(((loss, number) for number, loss in self._losses.items()), default=(0.0, None))
        return None if best is None else self.trial(best)

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
        return self._known(trial).trial()

    def due(self) -> Due | None:
        """What is to be done about paused trials before a new one is asked for; None if nothing is.

        `Resume`: tell `resume`. `Replace`: end its trial, if it names one, and `ask` for one with its parent.
        """
        return self._scheduler.due()

    @property
    def wants_more(self) -> bool:
        """Whether new trials are wanted besides those that are due; populations have a size."""
        return self._scheduler.wants_more()

    def propose(self, parent: Trial | int | None = None) -> dict[str, Scalar]:
        """The parameters that `ask` would give its next trial. Nothing is recorded.

        Raises:
            SearchError: trials of this study have no parents.
            SpaceExhaustedError: every point of a finite space has been suggested.
            UnknownTrialError: the parent was never asked for.
        """
        number = self._last_id + 1
        if parent is None:
            waiting = [self._running[one] for one in sorted(self._running)]
            pending = [one.parameters for one in waiting if one.observed is None]
            return self._searcher.suggest(number, self._finished, pending)
        rng = np.random.default_rng([self.seed, number])
        return perturbed(self.space, self._known(parent).parameters, self._breeding().resample, rng)

    def ask(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        id: int | None = None,  # noqa: A002
        parent: Trial | int | None = None,
    ) -> Trial:
        """Begin a trial.

        Args:
            parameters: what to try; None: what `propose` says.
            id: its number, above 0 and not in use; None: one more than the highest.
            parent: the trial from whose checkpoint it goes on.

        Raises:
            SearchError: the parameters are no point of the space, the id is taken, or trials have no parents here.
            SpaceExhaustedError: every point of a finite space has been suggested.
            UnknownTrialError: the parent was never asked for.
        """
        number = self._last_id + 1 if id is None else id
        if number < 1 or number in self._trials:
            raise SearchError(f"trial {number} cannot be asked for: ids are above 0 and used once")
        if parent is not None:
            self._breeding()
        point = self.propose(parent) if parameters is None else self.space.legal(parameters)
        self._record(Asked(number, point, None if parent is None else self._known(parent).id))
        return self.trial(number)

    def pause(self, trial: Trial | int) -> Trial:
        """Let a trial rest at its checkpoint, as a report of it was told to.

        Raises:
            SearchError: it was not told to.
            UnknownTrialError: the trial was never asked for.
            TrialFinishedError: it has ended.
        """
        progress = self._open(trial)
        if progress.decision is not Decision.PAUSE or progress.state is TrialState.PAUSED:
            raise SearchError(f"trial {progress.id} is not to pause")
        self._record(Paused(progress.id))
        return self.trial(progress.id)

    def resume(self, trial: Trial | int) -> Trial:
        """Let a trial go on from its checkpoint, one that has paused or one that was cut off.

        Raises:
            UnknownTrialError: the trial was never asked for.
            TrialFinishedError: it has ended.
        """
        progress = self._open(trial)
        self._record(Resumed(progress.id))
        return self.trial(progress.id)

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
        return self._record(Reported(number, measurement(metrics, step, elapsed)))

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
        last = None if metrics is None else measurement(metrics, None, None)
        if last is not None:
            self._record(Reported(progress.id, last))
        self._record(self.ending(progress.id, state=state, failure=failure))
        return self.trial(progress.id)

    def decision(self, trial: Trial | int) -> Decision:
        """What the scheduler has said to a trial's reports so far; only an attempt that begins anew takes STOP back.

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
            case Paused():
                return self._rested(event)
            case Resumed():
                return self._resumed(event)
            case Ended():
                return self._ended(event)

    def _record(self, event: Event) -> Decision:
        if self._on_event is not None:
            self._on_event(event)
        return self.apply(event)

    def _asked(self, event: Asked) -> Decision:
        if event.trial in self._trials:
            raise SearchError(f"trial {event.trial} was asked for twice")
        progress = Progress(event.trial, dict(event.parameters), parent=event.parent)
        if event.parent is not None:
            progress.origin = self._known(event.parent).step
        self._trials[event.trial] = self._running[event.trial] = progress
        self._last_id = max(self._last_id, event.trial)
        self._scheduler.asked(event.trial, event.parent)
        return Decision.CONTINUE

    def _reported(self, event: Reported) -> Decision:
        progress = self._open(event.trial)
        metric = self.spec.objective.metric
        if not progress.add(event.measurement, metric):
            return progress.decision
        loss = self._sign * event.measurement.metrics[metric]
        decision = self._scheduler.report(event.trial, progress.step, loss)
        if progress.decision is Decision.CONTINUE:
            progress.decision = decision
        return progress.decision

    def _restarted(self, event: Restarted) -> Decision:
        progress = self._open(event.trial)
        progress.restart(self.spec.objective.metric)
        self._scheduler.restarted(event.trial)
        return progress.decision

    def _rested(self, event: Paused) -> Decision:
        progress = self._open(event.trial)
        progress.state = TrialState.PAUSED
        progress.final_measurement = final_measurement(
            progress.measurements, self.spec.objective, self.spec.measurement
        )
        self._paused[event.trial] = self._running.pop(event.trial)
        self._observe(progress)
        self._scheduler.paused(event.trial)
        return progress.decision

    def _resumed(self, event: Resumed) -> Decision:
        progress = self._open(event.trial)
        rested = event.trial in self._paused
        progress.resume()
        if rested:
            self._running[event.trial] = self._paused.pop(event.trial)
            self._scheduler.resumed(event.trial)
        return progress.decision

    def _ended(self, event: Ended) -> Decision:
        progress = self._open(event.trial)
        progress.state = event.state
        progress.final_measurement = event.final_measurement
        progress.failure = event.failure
        self._running.pop(event.trial, None)
        self._paused.pop(event.trial, None)
        self._observe(progress)
        self._scheduler.ended(event.trial, event.state)
        return Decision.CONTINUE

    def _observe(self, progress: Progress) -> None:
        """Let searchers know what a trial has come to; what they knew of it before is replaced."""
        observation = self._observation(progress.trial())
        at = bisect_left(self._finished, progress.id, key=_number)
        self._finished[at : at + (progress.observed is not None)] = [observation]
        progress.observed = observation
        self._losses.pop(progress.id, None)
        if observation.losses is not None and observation.legal:
            self._losses[progress.id] = observation.losses[0]

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

    def _breeding(self) -> Pbt:
        algorithm = self.search.algorithm
        if not isinstance(algorithm, Pbt):
            raise SearchError(f"trials of {algorithm.kind} have no parents; those of pbt have")
        return algorithm

    def _known(self, trial: Trial | int) -> Progress:
        number = trial.id if isinstance(trial, Trial) else trial
        progress = self._trials.get(number)
        if progress is None:
            raise UnknownTrialError(f"trial {number} was never asked for in this study")
        return progress

    def _open(self, trial: Trial | int) -> Progress:
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


def _failed(number: int, state: TrialState, kind: FailureKind, message: str, final: Measurement | None = None) -> Ended:
    return Ended(number, state, final, Failure(kind=kind, message=message))
