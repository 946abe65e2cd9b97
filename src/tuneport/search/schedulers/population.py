"""Population-based training, generation by generation (Jaderberg et al. 2017)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuneport.model.results import TrialState
from tuneport.model.study import Pbt
from tuneport.search.protocols import Decision, Due, Replace, Resume, Scheduler


@dataclass(slots=True)
class _Member:
    """A trial of the population.

    Attributes:
        loss: what it had at the end of the latest generation that it came to.
        generations: how many it has come to the end of.
        rests: whether its checkpoint is left alone.
    """

    loss: float = math.inf
    generations: int = 0
    rests: bool = False


class PopulationScheduler(Scheduler):
    """Pauses all members after every interval, and lets trials that go on from the best take the place of the worst.

    All members are compared by what they had after as many steps, whoever was faster, and checkpoints are copied while
    nobody writes to them. A member that has failed is replaced as well; one that ended by itself, or was stopped,
    leaves. A member that is as good as those that would take its place stays. When the budget has no trials left for
    heirs, nobody pauses. A population of which all have failed is not begun anew.

    Args:
        rule: the size of the population, the interval and the quantile.
        seed: decides, with the generation, whose heir takes whose place.
        max_trials: of the budget; None: any number.
    """

    def __init__(self, rule: Pbt, seed: int, max_trials: int | None) -> None:
        self._rule = rule
        self._seed = seed
        self._max = math.inf if rule.max_resource is None else rule.max_resource
        self._heirs = math.inf if max_trials is None else max_trials - rule.population
        self._founders = 0
        self._members: dict[int, _Member] = {}
        self._failed = 0
        self._generation = 0
        self._plan: deque[Due] = deque()

    def asked(self, trial: int, parent: int | None) -> None:
        """The population grows, or has an heir; see `Scheduler.asked`."""
        self._members[trial] = _Member(generations=self._generation)
        if parent is None:
            self._founders += 1
        elif self._plan:
            self._plan.popleft()

    def report(self, trial: int, step: int, loss: float) -> Decision:
        """Whether the trial has come to the end of the generation; see `Scheduler.report`."""
        member = self._members[trial]
        if step >= self._max:
            return Decision.COMPLETE
        if member.generations == self._generation and step >= (self._generation + 1) * self._rule.interval:
            member.loss = loss if math.isfinite(loss) else math.inf
            member.generations += 1
        over = member.generations > self._generation
        return Decision.PAUSE if over and self._heirs > 0 else Decision.CONTINUE

    def paused(self, trial: int) -> None:
        """The last member to rest ends the generation; see `Scheduler.paused`."""
        self._members[trial].rests = True
        self._end_generation()

    def resumed(self, trial: int) -> None:
        """A member goes on; see `Scheduler.resumed`."""
        self._members[trial].rests = False
        self._plan = deque(one for one in self._plan if one.trial != trial)

    def restarted(self, trial: int) -> None:
        """The new attempt comes to the end of the generation once more; see `Scheduler.restarted`."""
        member = self._members[trial]
        member.generations = min(member.generations, self._generation)

    def ended(self, trial: int, state: TrialState) -> None:
        """A member has left, or has failed; see `Scheduler.ended`."""
        del self._members[trial]
        kept = (one for one in self._plan if one != Resume(trial))
        self._plan = deque(
            Replace(None, one.parent) if isinstance(one, Replace) and one.trial == trial else one for one in kept
        )
        self._failed += state in {TrialState.FAILED, TrialState.INFEASIBLE}
        self._end_generation()

    def due(self) -> Due | None:
        """Heirs first, while their parents rest; then those that stay. See `Scheduler.due`."""
        return self._plan[0] if self._plan else None

    def wants_more(self) -> bool:
        """Until the population is complete; see `Scheduler.wants_more`."""
        return self._founders < self._rule.population

    def _end_generation(self) -> None:
        """Once all members rest, plan what becomes of each."""
        if self._plan or self.wants_more() or not all(one.rests for one in self._members.values()):
            return
        order = sorted(self._members, key=lambda trial: (self._members[trial].loss, trial))
        count = max(1, int(len(order) * self._rule.quantile))
        parents = [trial for trial in order[:count] if self._members[trial].loss < math.inf]
        worst = order[max(count, len(order) - count) :]
        places = [*[None] * self._failed, *reversed(worst)] if parents else []
        replaced = self._replaced(places, parents)
        gone = {one.trial for one in replaced}
        self._plan.extend(replaced)
        self._plan.extend(Resume(trial) for trial in sorted(self._members) if trial not in gone)
        self._heirs -= len(replaced)
        if parents:
            self._failed = 0
        self._generation += 1

    def _replaced(self, places: Sequence[int | None], parents: Sequence[int]) -> list[Replace]:
        """Whose heir takes which place, for as many as the budget allows; None is the place of one that failed."""
        rng = np.random.default_rng([self._seed, self._generation])
        found = [Replace(place, parents[int(rng.integers(len(parents)))]) for place in places]
        better = [one for one in found if one.trial is None or self._loss(one.trial) > self._loss(one.parent)]
        return better[: None if self._heirs == math.inf else int(self._heirs)]

    def _loss(self, trial: int) -> float:
        return self._members[trial].loss
