"""Asynchronous successive halving in its stopping form (Li et al. 2020; the form is that of Syne Tune and Ray Tune)."""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable

from tuneport.model.results import TrialState
from tuneport.model.study import Asha
from tuneport.search.protocols import Decision, Scheduler


class AshaScheduler(Scheduler):
    """Judges a trial when it reaches a rung: it goes on if it is among the best share that have been there.

    Rungs lie at `min_resource` times the powers of `reduction_factor`, below `max_resource`. Of n losses seen at a
    rung, this one among them, the best n // reduction_factor go on, and always the best one. A trial that leaps over
    rungs is judged at each of them with the loss that it lands with. Losses that are not finite count as the worst
    possible.

    Args:
        min_resource: steps of the first rung.
        max_resource: steps after which a trial is complete; None: trials end by themselves.
        reduction_factor: one in this many goes on.
    """

    def __init__(self, min_resource: int, max_resource: int | None, reduction_factor: int) -> None:
        self._max = math.inf if max_resource is None else max_resource
        self._factor = reduction_factor
        self._first = min_resource
        self._rungs: dict[int, list[float]] = defaultdict(list)
        self._next: dict[int, int] = {}

    def report(self, trial: int, step: int, loss: float) -> Decision:
        """Whether the trial is among the best of every rung that it reaches; see `Scheduler.report`."""
        loss = loss if math.isfinite(loss) else math.inf
        decision = Decision.CONTINUE
        rung = self._next.get(trial, self._first)
        while rung <= step and rung < self._max:
            if not self._goes_on(self._rungs[rung], loss):
                decision = Decision.STOP
            rung *= self._factor
        self._next[trial] = rung
        return Decision.COMPLETE if step >= self._max else decision

    def restarted(self, trial: int) -> None:
        """The new attempt is judged at every rung again; what the old one left there stays. See `Scheduler`."""
        self._next.pop(trial, None)

    def ended(self, trial: int, state: TrialState) -> None:
        """Forget where the trial stood; what it left at the rungs stays. See `Scheduler.ended`."""
        del state
        self._next.pop(trial, None)

    def _goes_on(self, losses: list[float], loss: float) -> bool:
        insort(losses, loss)
        return loss <= losses[max(len(losses) // self._factor, 1) - 1]


def rung_losses(reports: Iterable[tuple[int, float]], rule: Asha, *, best: bool) -> tuple[tuple[int, float], ...]:
    """Steps and losses at the rungs that a trial reached, as it landed on them, and at its end; finite ones.

    Args:
        reports: steps, ascending, and losses.
        rule: says where the rungs are.
        best: whether a loss counts as the best so far.
    """
    found: dict[int, float] = {}
    rung, least, step, counts = rule.min_resource, math.inf, 0, math.inf
    for step, loss in reports:
        least = min(least, loss)
        counts = least if best else loss
        while rung <= step:
            found[rung] = counts
            rung *= rule.reduction_factor
    found[step] = counts
    return tuple((at, loss) for at, loss in sorted(found.items()) if math.isfinite(loss))
