"""Trials of the emulated ModelArts as tables, in the columns and spellings that are known; which parameters matter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, pstdev, pvariance
from typing import Any, Literal, TypeAlias

from tuneport.backends.modelarts.status import STATUS
from tuneport.emulators.modelarts.refusals import INVALID, RefusalError
from tuneport.model.results import StudyResult, Trial, TrialState

Json: TypeAlias = dict[str, Any]
Layout: TypeAlias = Literal["documented", "console"]
Config: TypeAlias = Literal["object", "repr"]

_CONSOLE = (
    "",
    "time_total_s",
    "config",
    "pid",
    "reward_attr",
    "worker_index",
    "training_iteration",
    "done",
    "trial_id",
)
"""Columns as a past console shows them; after them the metric and its best value."""
_FIRST_PROCESS = 300
_FOLDS = 4
_GROUPS = 3


def process(trial: Trial) -> str:
    """The id of a trial's process."""
    return str(_FIRST_PROCESS + trial.id)


def trial_id(job: str, trial: Trial) -> str:
    """What the service calls a trial; those of a job begin alike."""
    return f"{job[:4]}{trial.id:04x}"


def find(job: str, result: StudyResult, ident: str) -> Trial:
    """The trial of that name.

    Raises:
        RefusalError: there is none.
    """
    for trial in result.trials:
        if trial_id(job, trial) == ident:
            return trial
    raise RefusalError(INVALID, f"trial {ident} not found")


def listed(job: str, result: StudyResult, offset: int, limit: int, layout: Layout, config: Config) -> Json:
    """A page of the list of trials."""
    table = STATUS.table(_named(job, result), offset, limit)
    return table | {"items": _laid_out(table["items"], result, layout, config)}


def reports(job: str, result: StudyResult, trial: Trial, config: Config) -> Json:
    """One trial, a row for each of its reports."""
    named = _named(job, result)
    return _laid_out(STATUS.reports(named, named.trials[result.trials.index(trial)]), result, "documented", config)


def _named(job: str, result: StudyResult) -> StudyResult:
    return result.model_copy(update={"trials": tuple(_as_listed(job, one) for one in result.trials)})


def _as_listed(job: str, trial: Trial) -> Trial:
    """A trial by its name there; of one that runs, the last report counts so far, and of one that failed none does."""
    last = trial.measurements[-1] if trial.measurements and not trial.state.ended else trial.final_measurement
    if trial.state is TrialState.FAILED:
        last = None
    return trial.model_copy(update={"links": {"trial": trial_id(job, trial)}, "final_measurement": last})


def _laid_out(table: Json, result: StudyResult, layout: Layout, config: Config) -> Json:
    processes = {one.id - 1: process(one) for one in result.trials}
    rows = [dict(zip(table["header"], row, strict=True)) for row in table["data"]]
    for row in rows:
        row["pid"] = processes[row["config"]["trial_index"]]
        if config == "repr":
            row["config"] = repr(row["config"])
    header = table["header"]
    if layout == "console":
        header = [*_CONSOLE, result.objectives[0].metric, "best_reward"]
    return {"header": header, "data": [[row[name] for name in header] for row in rows]}


# ---- which parameters matter ----------------------------------------------------------------------------------------


def analysis(result: StudyResult) -> Json:
    """How much each parameter explains of the differences between trials, with the deviation between parts of them."""
    metric = result.objectives[0].metric
    measured = [one for one in result.trials if math.isfinite(one.metrics.get(metric, math.nan))]
    names = dict.fromkeys(name for one in measured for name in one.parameters)
    data = []
    for name in names:
        shares = [_explained(part, name, metric) for part in _parts(measured)]
        data.append([name, f"{fmean(shares):.4f}/{pstdev(shares):.4f}"])
    return {"header": ["parameters", "the mean/std of importance"], "data": data}


def _parts(trials: Sequence[Trial]) -> Iterable[Sequence[Trial]]:
    """The trials without each of several of their parts."""
    return ([one for index, one in enumerate(trials) if index % _FOLDS != fold] or trials for fold in range(_FOLDS))


def _explained(trials: Sequence[Trial], name: str, metric: str) -> float:
    """The share of the metric's variance that lies between trials with different values."""
    largest = max((abs(one.metrics[metric]) for one in trials), default=0.0) or 1.0  # squares must fit into floats
    values = {one.id: one.metrics[metric] / largest for one in trials}
    whole = pvariance(values.values()) if values else 0.0
    if not whole > 0:
        return 0.0
    groups = _groups({one.id: one.parameters[name] for one in trials if name in one.parameters})
    means = {ident: fmean(values[one] for one in group) for group in groups for ident in group}
    return min(1.0, pvariance(means.values()) / whole) if means else 0.0


def _groups(settings: Mapping[int, Any]) -> list[list[int]]:
    """Trials with the same value, or, of numbers, with values of a similar size."""
    if all(isinstance(value, (int, float)) for value in settings.values()) and len(set(settings.values())) > _GROUPS:
        ordered = sorted(settings, key=lambda ident: settings[ident])
        size = -(-len(ordered) // _GROUPS)
        return [ordered[start : start + size] for start in range(0, len(ordered), size)]
    groups: dict[Any, list[int]] = {}
    for ident, value in settings.items():
        groups.setdefault(value, []).append(ident)
    return list(groups.values())
