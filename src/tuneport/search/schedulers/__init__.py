"""Schedulers judge trials while they run. Each is a fold over the reports in the order of the record."""

from __future__ import annotations

from tuneport.model.study import StudySpec
from tuneport.search.protocols import Scheduler
from tuneport.search.schedulers.none import NoStopping


def make_scheduler(spec: StudySpec) -> Scheduler:
    """The scheduler that a study's early stopping, or its algorithm, stands for.

    Raises:
        SearchError: the rule is one that only a cloud has.
    """
    del spec
    return NoStopping()
