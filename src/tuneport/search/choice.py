"""Which algorithm a study is searched with, what `auto` stands for, and what that is made of."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import assert_never

from tuneport.model.job import Budget
from tuneport.model.study import (
    Algorithm,
    Anneal,
    Asha,
    Auto,
    Bayesian,
    CmaEs,
    Grid,
    Hyperband,
    Pbt,
    Plugin,
    Random,
    Sobol,
    StudySpec,
    Tpe,
)
from tuneport.search.searchers.plugins import packages_of
from tuneport.search.space import Space

_ROUNDS = 3
"""Fewer rounds of parallel trials than this teach a model next to nothing."""


def chosen(study: StudySpec, space: Space, budget: Budget) -> tuple[Algorithm, str, str]:
    """The algorithm of a study, the packages that it is made of with their versions, and why it was chosen.

    Only `auto` has a reason; it looks at the space, the budget and what else is asked for.
    """
    algorithm, reason = study.algorithm, ""
    if isinstance(algorithm, Auto):
        algorithm, reason = suited(study, space, budget)
    return algorithm, provenance(algorithm), reason


def suited(study: StudySpec, space: Space, budget: Budget) -> tuple[Algorithm, str]:
    """The algorithm that suits a study and its budget, and why."""
    trials, parallel = budget.max_trials, budget.parallel_trials
    if space.size is not None and trials is not None and space.size <= trials and study.objective.target is None:
        return Grid(), f"{trials} trials are enough for all {space.size} points of the space"
    if trials is not None and trials < _ROUNDS * parallel:
        return Sobol(), f"with {trials} trials, {parallel} at a time, hardly any can learn from others"
    several = len(study.objectives) > 1 or study.constraints
    count = "1 parameter" if len(space) == 1 else f"{len(space)} parameters"
    what = "several objectives or constraints" if several else count
    amount = "any number of" if trials is None else str(trials)
    results = "results, those at rungs too," if staged(study) else "results"
    return Bayesian(), f"for {what} and {amount} trials, a model of all {results} finds most per trial"


def staged(study: StudySpec) -> bool:
    """Whether a model learns from what trials had at every rung: where they stop or pause there, for one objective."""
    return isinstance(study.early_stopping, Asha) and len(study.objectives) == 1


def provenance(algorithm: Algorithm) -> str:
    """The packages that an algorithm is made of, with their versions."""
    match algorithm:
        case CmaEs():
            packages = ["tuneport", "cmaes", "numpy"]
        case Plugin():
            packages = packages_of(algorithm.name)
        case Sobol() | Bayesian():
            packages = ["tuneport", "numpy", "scipy"]
        case Random() | Grid() | Tpe() | Anneal() | Hyperband() | Pbt() | Auto():
            packages = ["tuneport", "numpy"]
        case _:
            assert_never(algorithm)
    return ", ".join(f"{name} {_version(name)}" for name in packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
