"""No early stopping."""

from __future__ import annotations

from tuneport.model.results import TrialState
from tuneport.search.protocols import Decision


class NoStopping:
    """Lets every trial run to its end."""

    def report(self, trial: int, step: int, loss: float) -> Decision:
        """Always to go on; see `Scheduler.report`."""
        del trial, step, loss
        return Decision.CONTINUE

    def restarted(self, trial: int) -> None:
        """Takes no note; see `Scheduler.restarted`."""

    def ended(self, trial: int, state: TrialState) -> None:
        """Takes no note; see `Scheduler.ended`."""
