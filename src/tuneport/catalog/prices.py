"""What machines cost, as the user's table says, and what that makes of a run. Nothing is taken from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tuneport.catalog import machines
from tuneport.errors import Problem
from tuneport.model.job import Budget
from tuneport.model.results import Trial
from tuneport.model.trial_spec import TrialSpec
from tuneport.model.word import Number, Str, Word

ANY = "*"
"""The price of a machine that has none of its own."""
_HOUR = 3600.0

Price = Annotated[Number, Field(ge=0)]


class Prices(Word):
    """A price table: ``[prices]`` in tuneport.toml."""

    currency: Str = "USD"
    """What amounts are in."""
    dated: Annotated[Str, Field(pattern=r"^\d{4}-\d\d-\d\d$")] | None = None
    """The day for which the table holds, such as 2026-11-01."""
    sample: bool = False
    """Whether the figures only show the format; whatever is made of them says so."""
    spot: Annotated[Number, Field(gt=0, le=1)] | None = None
    """What spot capacity costs, as a share of the price; None: not known."""
    per_hour: dict[Str, dict[Str, Price]] = {}
    """Backend to machine type to price per hour; ``*`` stands for those not listed, and on `local` for one trial.
    A GPU that is attached to a machine has a price of its own, by its kind."""

    def rate(self, backend: str, trial: TrialSpec) -> float | None:
        """What an hour of one trial costs, all replicas together; None if that is not known.

        Args:
            backend: where it runs.
            trial: as it is meant there, with its machine.
        """
        table, resources = self.per_hour.get(backend, {}), trial.resources
        price = table.get(resources.machine or ANY, table.get(ANY))
        if price is None or (trial.spot and self.spot is None):
            return None
        machine = machines.find(backend, resources.machine or "")
        if resources.gpus and machine is not None and not machine.gpus:
            attached = table.get(resources.gpu_type or "")
            if attached is None:
                return None
            price += attached * resources.gpus
        return price * resources.replicas * (self.spot or 1.0 if trial.spot else 1.0)

    def problems(self, budget: Budget, backend: str, trial: TrialSpec) -> list[Problem]:
        """What stands in the way of keeping to a limit on money: none is kept if the price is not known."""
        if budget.max_cost is None or self.rate(backend, trial) is not None:
            return []
        machine = trial.resources.machine or ANY
        message = f"what an hour of a trial costs on {backend} is not known"
        hint = f'say it in tuneport.toml, under [prices.per_hour.{backend}]: "{machine}" = 0.5'
        return [Problem("/budget/max_cost", message, hint)]

    def __str__(self) -> str:
        dated = f" of {self.dated}" if self.dated else ""
        return f"{'sample ' if self.sample else ''}prices{dated}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run may cost.

    Attributes:
        low: if its trials take as long as the quick ones of earlier runs; None: no earlier ones are known.
        high: at most: by its limits or, if there are none, by the slow ones of earlier runs; None: nothing bounds it.
    """

    low: float | None
    high: float | None


def estimate(rate: float, trials: int | None, seconds: float | None, earlier: Iterable[Trial]) -> Estimate:
    """What a run may cost.

    Args:
        rate: price of an hour of one trial.
        trials: most trials; None: as many as other limits allow.
        seconds: most seconds of all its trials together; None: no limit says.
        earlier: trials of earlier runs of its kind, whose durations are taken for what is to be expected.
    """
    taken = sorted(one.duration for one in earlier if one.duration is not None)
    bound = None if seconds is None else seconds / _HOUR * rate
    if not taken or trials is None:
        return Estimate(None, bound)
    quick, slow = (taken[int(share * (len(taken) - 1))] * trials / _HOUR * rate for share in (0.1, 0.9))
    return Estimate(quick, slow) if bound is None else Estimate(min(quick, bound), min(slow, bound))


def spent(rate: float, trials: Iterable[Trial]) -> float:
    """What trials that have ended have cost: the latest attempt of each.

    Args:
        rate: price of an hour of one trial.
        trials: all of a run.
    """
    return sum(one.duration or 0.0 for one in trials) / _HOUR * rate
