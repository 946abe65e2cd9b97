"""No early stopping."""

from __future__ import annotations

from tuneport.search.protocols import Decision, Scheduler


class NoStopping(Scheduler):
    """Lets every trial run to its end."""

    def report(self, trial: int, step: int, loss: float) -> Decision:
        """Always to go on; see `Scheduler.report`."""
        del trial, step, loss
        return Decision.CONTINUE
