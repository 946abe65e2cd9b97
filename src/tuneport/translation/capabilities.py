"""What a backend can do, as data: per feature how faithfully, by what means, and within which limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import total_ordering
from typing import Literal

from tuneport.errors import Problem
from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.feature_usage import used
from tuneport.model.features import Feature
from tuneport.model.job import TuningJob
from tuneport.translation.lowering import Vocabulary


@total_ordering
class Fidelity(Enum):
    """How faithfully something is done, from best to worst."""

    EXACT = "exact"
    """It means there what it means here."""
    EMULATED = "emulated"
    """The backend has no word for it; something of ours does it all the same."""
    DROPPED = "dropped"
    """It is left out, and results do not depend on it."""
    APPROXIMATED = "approximated"
    """Something similar is done; results may differ."""
    UNSUPPORTED = "unsupported"
    """It cannot be done; the job must be changed."""

    def __init__(self, _: str) -> None:
        self.rank = len(type(self).__members__)

    def __lt__(self, other: Fidelity) -> bool:
        return self.rank < other.rank


@dataclass(frozen=True, slots=True)
class Support:
    """How a backend does one feature.

    Attributes:
        fidelity: how faithfully.
        note: what differs, or why it cannot be done; a clause for people.
        by: what does it, where it is emulated.
        instead: the way out, where it is unsupported.
        evidence: where the backend's own documents say so.
    """

    fidelity: Fidelity
    note: str = ""
    by: str | None = None
    instead: str | None = None
    evidence: str = ""


def exact(note: str = "", *, evidence: str = "") -> Support:
    """It means there what it means here."""
    return Support(Fidelity.EXACT, note, evidence=evidence)


def emulated(by: str, note: str = "", *, evidence: str = "") -> Support:
    """Something of ours does it."""
    return Support(Fidelity.EMULATED, note, by=by, evidence=evidence)


def dropped(note: str, *, evidence: str = "") -> Support:
    """It is left out; results do not depend on it."""
    return Support(Fidelity.DROPPED, note, evidence=evidence)


def approximated(note: str, *, evidence: str = "") -> Support:
    """Something similar is done."""
    return Support(Fidelity.APPROXIMATED, note, evidence=evidence)


def unsupported(note: str, *, instead: str | None = None, evidence: str = "") -> Support:
    """It cannot be done, for this reason."""
    return Support(Fidelity.UNSUPPORTED, note, instead=instead, evidence=evidence)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most of what a backend takes; None: no limit of its own."""

    max_parameters: int | None = None
    max_objectives: int | None = None
    max_trials: int | None = None
    max_parallel_trials: int | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """What names and places look like in a backend's own words; what looks otherwise is elsewhere and has to be mapped.

    Patterns are whole-string regular expressions: "" takes nothing, ".*" all.

    Attributes:
        cloud: its name in the machine catalogue; "" has none.
        uri: places of data.
        image: container images.
        machine: machine types.
        identity: whom trials run as.
        network: networks, subnets and security groups.
        key: encryption keys.
        pool: reserved machines.
        algorithm: stored algorithms.
        experiment: experiments, their runs, and TensorBoard instances.
        run: earlier runs to learn from.
        code: how it takes a package of code: as a source distribution that pip installs, as an archive of a folder, or
            as a folder; "": not at all.
    """

    cloud: str = ""
    uri: str = ".*"
    image: str = ".*"
    machine: str = ".*"
    identity: str = ".*"
    network: str = ".*"
    key: str = ".*"
    pool: str = ".*"
    algorithm: str = ".*"
    experiment: str = ".*"
    run: str = ".*"
    code: Literal["", "distribution", "archive", "folder"] = ""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that every job must say there, by itself or through the backend's settings.

    Attributes:
        pointer: JSON pointer of the word.
        why: why it cannot be without.
        hint: how to say it.
    """

    pointer: str
    why: str
    hint: str


_UNLISTED = unsupported("this backend does not know it")
_AMOUNTS: Mapping[str, tuple[str, Callable[[TuningJob], int]]] = {
    "max_parameters": ("/study/parameters", lambda job: len(job.study.parameters)),
    "max_objectives": ("/study/objectives", lambda job: len(job.study.objectives)),
    "max_trials": ("/budget/max_trials", lambda job: job.budget.max_trials or 0),
    "max_parallel_trials": ("/budget/parallel_trials", lambda job: job.budget.parallel_trials),
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """All that a backend can do. A feature that is not listed is unsupported."""

    supports: Mapping[Feature, Support]
    limits: Limits = Limits()
    vocabulary: Vocabulary | None = None
    """The kinds of parameters that it has words for; None: all of ours."""
    submits: tuple[str, ...] = ()
    """Forms of its documents that can be submitted; empty: the first that its translator has."""
    without_machines: frozenset[str] = frozenset()
    """Forms of its documents that have no word for machines, so that none is looked for."""
    by_form: Mapping[str, Mapping[Feature, Support]] = field(default_factory=dict)
    """For some forms of its documents, what they do otherwise."""
    home: Home = Home()
    needs: tuple[Need, ...] = ()
    material: tuple[str, ...] = ()
    """Of what its documents say beyond our words, what matters when a job leaves: pointers with `*` for any one part.
    The rest is lost without harm."""

    def of(self, form: str) -> Capabilities:
        """What one form of its documents can do."""
        if form not in self.by_form:
            return self
        return replace(self, supports={**self.supports, **self.by_form[form]}, by_form={})

    def support(self, feature: Feature) -> Support:
        """How one feature is done."""
        return self.supports.get(feature, _UNLISTED)


def screen(job: TuningJob, capabilities: Capabilities) -> list[Problem]:
    """Everything in a job that a backend cannot do at all, with reason and way out; empty if it can do everything."""
    return [*_unsupported(job, capabilities), *_exceeded(job, capabilities.limits)]


def _unsupported(job: TuningJob, capabilities: Capabilities) -> Iterator[Problem]:
    for feature, pointers in used(job).items():
        support = capabilities.support(feature)
        if support.fidelity is Fidelity.UNSUPPORTED:
            for pointer in pointers:
                message = f"{CATALOGUE[feature].says} ({feature}) is not supported: {support.note}"
                yield Problem(pointer, message, hint=support.instead)


def _exceeded(job: TuningJob, limits: Limits) -> Iterator[Problem]:
    for limit in fields(limits):
        most = getattr(limits, limit.name)
        pointer, measure = _AMOUNTS[limit.name]
        if most is not None and (amount := measure(job)) > most:
            yield Problem(pointer, f"{amount} is more than this backend takes: {limit.name} is {most}")
