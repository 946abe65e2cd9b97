"""What ends a run before its trials are done: budgets that are spent, a target that is reached, too many failures."""

from __future__ import annotations

from dataclasses import dataclass

from tuneport.model.job import TuningJob
from tuneport.model.results import RunReason, RunState, Trial, TrialState, eligible


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the run ends now, and what becomes of it; trials that still run are stopped."""

    state: RunState
    reason: RunReason
    message: str


class Tally:
    """Counts that the budgets need, kept up to date trial by trial, and what they say.

    Args:
        job: has the budgets.
    """

    def __init__(self, job: TuningJob) -> None:
        self._budget = job.budget
        self._objective = job.study.objective
        self._constraints = job.study.constraints
        self._counted: set[int] = set()
        self._good = 0
        self._failed = 0
        self._since_best = 0
        self._best: float | None = None

    def add(self, trial: Trial) -> None:
        """Take a trial into account that has ended or paused; one that was stopped counts with what it had."""
        new = trial.id not in self._counted
        self._counted.add(trial.id)
        if trial.state in {TrialState.FAILED, TrialState.INFEASIBLE}:
            self._failed += trial.state is TrialState.FAILED
            self._since_best += new
            return
        if not eligible(trial, [self._objective], ()):
            return
        self._good += new
        value = trial.metrics[self._objective.metric]
        if not eligible(trial, [self._objective], self._constraints):
            self._since_best += new
        elif self._best is None or self._objective.better(value, self._best):
            self._best, self._since_best = value, 0
        else:
            self._since_best += new

    def verdict(self, seconds: float, cost: float) -> Verdict | None:
        """Why the run is to end now; None if it may go on.

        Args:
            seconds: for which it has been driven.
            cost: of all its trials.
        """
        return self._limits(seconds, cost) or self._failures()

    def done(self, *, exhausted: bool) -> Verdict:
        """Why the run ends that has nothing left to do."""
        if exhausted:
            return self._spent(RunReason.EXHAUSTED, "every point of the space has been tried")
        return self._spent(RunReason.COMPLETED, "all trials have ended")

    def _limits(self, seconds: float, cost: float) -> Verdict | None:
        budget, best = self._budget, self._best
        if best is not None and self._objective.reached(best):
            message = f"the target {self._objective.target:g} for {self._objective.metric} is reached"
            return Verdict(RunState.SUCCEEDED, RunReason.TARGET, message)
        if budget.max_seconds is not None and seconds >= budget.max_seconds:
            return self._spent(RunReason.TIME, f"the time budget of {budget.max_seconds:g} s is spent")
        if budget.max_cost is not None and cost >= budget.max_cost:
            return self._spent(RunReason.COST, f"the money of the budget, {budget.max_cost:g}, is spent")
        patience = budget.max_trials_without_improvement
        if patience is not None and self._since_best >= patience:
            message = f"{patience} trials in a row did not improve on the best"
            return self._spent(RunReason.NO_IMPROVEMENT, message)
        return None

    def _spent(self, reason: RunReason, message: str) -> Verdict:
        """A budget is spent: a success if it bought a result."""
        if self._good:
            return Verdict(RunState.SUCCEEDED, reason, message)
        return Verdict(RunState.FAILED, reason, f"{message}, and none has a result")

    def _failures(self) -> Verdict | None:
        """The rules of `Budget.max_failed_trials`."""
        most, failed, good = self._budget.max_failed_trials, self._failed, self._good
        message = None
        if most is None:
            if failed >= 5 and not good:
                message = "the first 5 trials to end have all failed"
        elif most > 0:
            if failed >= most:
                message = f"{failed} trials have failed; at most {most - 1} may"
        elif failed and not good:
            message = "the first trial failed"
        elif failed >= 5 and failed > good:
            message = f"{failed} trials have failed and only {good} have not"
        return Verdict(RunState.FAILED, RunReason.FAILURES, message) if message else None
