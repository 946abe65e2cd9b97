"""A trial as it grows."""

from __future__ import annotations

from dataclasses import dataclass, field

from tuneport.model.results import Failure, Measurement, Trial, TrialState
from tuneport.model.word import Scalar
from tuneport.search.protocols import Decision, Observation


@dataclass(slots=True)
class Progress:
    """What a study knows of one trial."""

    id: int
    parameters: dict[str, Scalar]
    parent: int | None = None
    origin: int = 0
    """The step at which it began: that of its parent."""
    state: TrialState = TrialState.RUNNING
    measurements: list[Measurement] = field(default_factory=list)
    final_measurement: Measurement | None = None
    failure: Failure | None = None
    kept: int = 0
    """Measurements from before its attempt, which a restart does not take back."""
    reports: int = 0
    """Measurements that carried the primary metric."""
    step: int = 0
    """How far it is: the step that it last said, or else the number of its reports."""
    decision: Decision = Decision.CONTINUE
    """The scheduler's last word; only an attempt that begins anew takes STOP back."""
    observed: Observation | None = None
    """What searchers know of it, as of its end or its latest pause."""
    _trial: Trial | None = None
    """The finished record, made when it is first looked at."""

    def add(self, measurement: Measurement, metric: str) -> bool:
        """Take a measurement; whether it carries the primary `metric`."""
        if len(self.measurements) == self.kept and measurement.step is not None:
            self._rewind(measurement.step, metric)
        self.measurements.append(measurement)
        if metric not in measurement.metrics:
            return False
        self.reports += 1
        self.step = self.origin + self.reports if measurement.step is None else measurement.step
        return True

    def restart(self, metric: str) -> None:
        """Forget what this attempt has reported."""
        del self.measurements[self.kept :]
        self._recount(metric)
        self.decision = Decision.CONTINUE

    def resume(self) -> None:
        """Another attempt goes on where this one stood."""
        self.kept = len(self.measurements)
        if self.decision is Decision.PAUSE:
            self.decision = Decision.CONTINUE
        self.state = TrialState.RUNNING

    def trial(self) -> Trial:
        """The record of the trial; made without validation, since every part has been checked on its way in."""
        if self._trial is not None:
            return self._trial
        trial = Trial.model_construct(
            id=self.id,
            parameters=self.parameters,
            state=self.state,
            measurements=tuple(self.measurements),
            final_measurement=self.final_measurement,
            failure=self.failure,
            parent=self.parent,
        )
        if self.state.ended:
            self._trial = trial
        return trial

    def _rewind(self, step: int, metric: str) -> None:
        """An attempt went on from before the last step that was reported: what came from `step` on is repeated.

        Reports without a step cannot be told apart, and stay.
        """
        while self.measurements and (last := self.measurements[-1].step) is not None and last >= step:
            self.measurements.pop()
        if len(self.measurements) < self.kept:
            self.kept = len(self.measurements)
            self._recount(metric)

    def _recount(self, metric: str) -> None:
        self.reports = sum(metric in one.metrics for one in self.measurements)
