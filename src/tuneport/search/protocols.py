"""What a searcher and a scheduler are, for those who write one and for the study that holds both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from tuneport.model.results import TrialState
from tuneport.model.word import Json, Scalar
from tuneport.search.space import Space


class Decision(StrEnum):
    """What a scheduler says to a report."""

    CONTINUE = "continue"
    STOP = "stop"
    """It is not worth its place."""
    COMPLETE = "complete"
    """It has had all the steps that a trial gets, and may end as a success."""
    PAUSE = "pause"
    """Its place is for others now; it may go on from its checkpoint later."""


@dataclass(frozen=True, slots=True)
class Resume:
    """A paused trial is to go on."""

    trial: int


@dataclass(frozen=True, slots=True)
class Replace:
    """A new trial is to go on from a copy of another's checkpoint, in place of one that has fallen behind.

    Attributes:
        trial: the paused one that is to end; None: it has failed already.
        parent: the paused one whose checkpoint and parameters are taken.
    """

    trial: int | None
    parent: int


Due: TypeAlias = Resume | Replace
"""What is to be done about paused trials before any new trial is asked for."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A trial that has ended, or has paused at least once, as a searcher sees it: with what it had then.

    Attributes:
        number: the trial's id, counting from 1.
        parameters: name to typed value; active parameters only.
        losses: one number per objective, negated where the goal is to maximise, so that smaller is always better;
            None if the trial failed, was infeasible or gave no finite primary metric.
        state: how it ended, or that it paused.
        excess: by how much it breaks each constraint, at most 0 where it keeps it; infinite where it does not say.
        rungs: steps and the primary losses there, where early stopping compares trials at certain steps; ascending.
    """

    number: int
    parameters: Mapping[str, Scalar]
    losses: tuple[float, ...] | None
    state: TrialState
    excess: tuple[float, ...] = ()
    rungs: tuple[tuple[int, float], ...] = ()

    @property
    def legal(self) -> bool:
        """Whether it keeps every constraint."""
        return not self.excess or max(self.excess) <= 0


class Searcher(Protocol):
    """Proposes points.

    A searcher is a function of its arguments and of the seed it was made with: it keeps nothing between calls that
    changes a result (caches are fine). So a replay of the same history gives the same suggestions.
    """

    adaptive: bool
    """Whether results change what it proposes; if not, suggestions may be made long before they are needed."""

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """The parameters of trial `number`.

        Args:
            number: its id, counting from 1; the source of all randomness together with the seed.
            finished: trials that have ended, or have paused at least once, in the order of their ids, whoever was
                first; what is said of one that paused changes as it goes on.
            pending: parameters of the other trials, which run now, in the order of their ids.

        Raises:
            SpaceExhaustedError: the space is finite and has been suggested completely.
        """
        ...


class SearcherFactory(Protocol):
    """What an entry point of the group `tuneport.searchers` is: a class of searchers, or a function that makes one.

    It may have an attribute `packages`, names of installed packages whose versions belong to the record of a run.
    """

    def __call__(self, space: Space, seed: int, options: Mapping[str, Json]) -> Searcher:
        """Make a searcher.

        Args:
            space: what is searched; its `dimensions` turn values into coordinates of the unit cube and back.
            seed: makes the suggestions repeatable.
            options: what the job says under `algorithm.options`.

        Raises:
            ValueError: the options are wrong; what it says is told to the user. So is a TypeError.
        """
        ...


class Scheduler(Protocol):
    """Decides on each report whether a trial goes on. It sees what happens in the order of the record."""

    def asked(self, trial: int, parent: int | None) -> None:
        """Take note of a new trial, and of the one whose checkpoint it goes on from."""
        del trial, parent

    def report(self, trial: int, step: int, loss: float) -> Decision:
        """Take one report of the primary metric.

        Args:
            trial: the trial's id.
            step: its own step if it says one, else the count of its reports so far, from 1, after the step at which its
                parent stood.
            loss: the primary metric, negated if it is maximised; may be NaN.
        """
        ...

    def restarted(self, trial: int) -> None:
        """Forget where a running trial stands: a new attempt of it begins, and is judged from its first step on.

        What the old attempt left to measure others by may stay.
        """
        del trial

    def paused(self, trial: int) -> None:
        """Take note that a trial rests at its checkpoint, as it was told to."""
        del trial

    def resumed(self, trial: int) -> None:
        """Take note that a paused trial goes on."""
        del trial

    def ended(self, trial: int, state: TrialState) -> None:
        """Take note that a trial ended."""
        del trial, state

    def due(self) -> Due | None:
        """What is to be done about paused trials next; the same until it has been done."""
        return None

    def wants_more(self) -> bool:
        """Whether trials are wanted besides those that are due."""
        return True
