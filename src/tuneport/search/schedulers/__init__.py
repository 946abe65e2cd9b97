"""Schedulers judge trials while they run. Each is a fold over the reports in the order of the record."""

from __future__ import annotations

from collections.abc import Mapping

from tuneport.errors import SearchError
from tuneport.model.job import Budget
from tuneport.model.study import (
    Asha,
    AutoStopping,
    CurveStopping,
    HalvingForm,
    Hyperband,
    MedianStopping,
    Pbt,
    StudySpec,
)
from tuneport.search.protocols import Scheduler
from tuneport.search.schedulers.asha import AshaScheduler
from tuneport.search.schedulers.hyperband import Halving, HyperbandScheduler
from tuneport.search.schedulers.median import MedianScheduler
from tuneport.search.schedulers.none import NoStopping
from tuneport.search.schedulers.population import PopulationScheduler
from tuneport.search.schedulers.promotion import PromotionScheduler

_HALVINGS: Mapping[HalvingForm, Halving] = {"stopping": AshaScheduler, "promotion": PromotionScheduler}


def make_scheduler(spec: StudySpec, seed: int = 0, budget: Budget | None = None) -> Scheduler:
    """The scheduler that a study's early stopping, or its algorithm, stands for.

    Args:
        spec: the study.
        seed: decides what is left to chance.
        budget: how many trials there may be.

    Raises:
        SearchError: the rule is one that only a cloud has.
    """
    match spec.algorithm:
        case Hyperband() as rule:
            halving = _HALVINGS[rule.form]
            return HyperbandScheduler(rule.min_resource, rule.max_resource, rule.reduction_factor, halving)
        case Pbt() as rule:
            return PopulationScheduler(rule, seed, budget.max_trials if budget else None)
    match spec.early_stopping:
        case None:
            return NoStopping()
        case AutoStopping():
            return _median(MedianStopping())
        case MedianStopping() as median:
            return _median(median)
        case Asha() as asha:
            return _HALVINGS[asha.form](asha.min_resource, asha.max_resource, asha.reduction_factor)
        case CurveStopping():
            raise SearchError(
                "the search core cannot extrapolate learning curves",
                hint="take early_stopping median or asha, or a backend that has curve stopping",
            )


def _median(median: MedianStopping) -> MedianScheduler:
    return MedianScheduler(median.rule, median.min_trials, median.min_steps)
