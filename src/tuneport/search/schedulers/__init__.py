"""Schedulers judge trials while they run. Each is a fold over the reports in the order of the record."""

from __future__ import annotations

from tuneport.errors import SearchError
from tuneport.model.study import Asha, AutoStopping, CurveStopping, Hyperband, MedianStopping, StudySpec
from tuneport.search.protocols import Scheduler
from tuneport.search.schedulers.asha import AshaScheduler
from tuneport.search.schedulers.hyperband import HyperbandScheduler
from tuneport.search.schedulers.median import MedianScheduler
from tuneport.search.schedulers.none import NoStopping


def make_scheduler(spec: StudySpec) -> Scheduler:
    """The scheduler that a study's early stopping, or its algorithm, stands for.

    Raises:
        SearchError: the rule is one that only a cloud has.
    """
    if isinstance(spec.algorithm, Hyperband):
        hyperband = spec.algorithm
        return HyperbandScheduler(hyperband.min_resource, hyperband.max_resource, hyperband.reduction_factor)
    match spec.early_stopping:
        case None:
            return NoStopping()
        case AutoStopping():
            return _median(MedianStopping())
        case MedianStopping() as median:
            return _median(median)
        case Asha() as asha:
            return AshaScheduler(asha.min_resource, asha.max_resource, asha.reduction_factor)
        case CurveStopping():
            raise SearchError(
                "the search core cannot extrapolate learning curves",
                hint="take early_stopping median or asha, or a backend that has curve stopping",
            )


def _median(median: MedianStopping) -> MedianScheduler:
    return MedianScheduler(median.rule, median.min_trials, median.min_steps)
