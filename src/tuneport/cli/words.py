"""Runs and trials in words and tables, as plain text."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneport.model.results import (
    DeviceUse,
    RunReason,
    RunState,
    Search,
    StudyResult,
    Trial,
    TrialState,
    usable,
)
from tuneport.model.study import Objective
from tuneport.model.trial_spec import about

SHOWN = 10
"""Trials in the table at the end of a run."""
_CELL = 32
"""Characters of a table's cell; the JSON output has all of them."""

EXIT_STATUS = {RunState.FAILED: 9, RunState.STOPPED: 8, RunState.INTERRUPTED: 130}


def exit_status(result: StudyResult) -> int:
    """What the command line ends with after a run that ended so."""
    if result.reason is RunReason.FAILURES:
        return 7
    return EXIT_STATUS.get(result.state, 0)


def number(value: Any) -> str:
    """A value as people read it: six digits of a real number are enough."""
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def assignments(values: Mapping[str, Any]) -> str:
    """Names and values on one line."""
    return " ".join(f"{name}={number(value)}" for name, value in values.items())


def duration(seconds: float) -> str:
    """A span of time with as much detail as is of use."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(at: float | None) -> str:
    """A point in time on the clock of this machine."""
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def counts(trials: Iterable[Trial]) -> str:
    """How many trials are in which state."""
    found = Counter(trial.state for trial in trials)
    return ", ".join(f"{found[state]} {state.value}" for state in TrialState if found[state]) or "none yet"


def metric(trial: Trial, objective: Objective) -> str:
    """The primary metric of a trial, with its name."""
    return f"{objective.metric} {number(trial.metrics[objective.metric])}"


def ranked(result: StudyResult) -> list[Trial]:
    """The trials from the best to the worst; those without a usable result last, by id."""
    objective = result.objectives[0]
    sign = -1.0 if objective.goal == "maximize" else 1.0

    def rank(trial: Trial) -> tuple[bool, float, int]:
        value = trial.metrics.get(objective.metric)
        if value is None or not usable(value) or trial.state in {TrialState.FAILED, TrialState.INFEASIBLE}:
            return True, 0.0, trial.id
        return False, sign * value, trial.id

    return sorted(result.trials, key=rank)


def trial_table(trials: Sequence[Trial]) -> str:
    """One line per trial: state, metrics, parameters, seconds, and what went wrong if anything did."""
    metrics = _names(trial.metrics for trial in trials)
    parameters = _names(trial.parameters for trial in trials)
    reports = any(len(trial.measurements) > 1 for trial in trials)
    failed = any(trial.failure for trial in trials)
    heirs = any(trial.parent is not None for trial in trials)
    moved = any("run" in trial.links for trial in trials)
    columns = {"parent": heirs, "reports": reports, "why": failed, "run": moved}
    optional = [name for name, present in columns.items() if present]
    rows = [["trial", "state", *metrics, *parameters, "seconds", *optional]]
    rows += [
        [
            str(trial.id),
            trial.state.value,
            *(number(trial.metrics[name]) if name in trial.metrics else "" for name in metrics),
            *(number(trial.parameters[name]) if name in trial.parameters else "" for name in parameters),
            "" if trial.duration is None else f"{trial.duration:.1f}",
            *(["" if trial.parent is None else str(trial.parent)] if heirs else []),
            *([str(len(trial.measurements))] if reports else []),
            *([trial.failure.kind.value if trial.failure else ""] if failed else []),
            *([trial.links.get("run", "")] if moved else []),
        ]
        for trial in trials
    ]
    return table(rows)


def table(rows: Sequence[Sequence[str]], *, whole: bool = False) -> str:
    """Rows of cells in columns, the first row being the names; on a terminal no line is wider than it.

    Args:
        rows: the cells.
        whole: the first column is never cut short, as what people copy from it.
    """
    short = [
        [cell if len(cell) <= _CELL or (whole and at == 0) else f"{cell[: _CELL - 1]}…" for at, cell in enumerate(row)]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*short, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in short)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return "\n".join(line if width is None or len(line) <= width else f"{line[: width - 1]}…" for line in lines)


def best_text(result: StudyResult) -> str:
    """The best trial with its parameters, one per line and with all digits."""
    best = result.best
    if best is None:
        return "no trial has a result"
    others = [f"{name} {number(value)}" for name, value in best.metrics.items() if name != result.objectives[0].metric]
    whose = f"trial {best.links['trial']} of {best.links['run']}" if "run" in best.links else f"trial {best.id}"
    title = ", ".join([f"best: {whose}", metric(best, result.objectives[0]), *others])
    width = max(map(len, best.parameters), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in best.parameters.items())])


def headline(result: StudyResult) -> str:
    """A run in one line."""
    state, message = result.state.value, result.message
    said = message if message.startswith(state) else ", ".join(filter(None, (state, message)))
    return f"{result.ref}: {said}"


def searched(result: StudyResult) -> list[str]:
    """By what a run was searched, and what else there is to know of how it ran."""
    found = [] if result.search is None else [_search(result.search)]
    front = len(result.pareto) if len(result.objectives) > 1 else 0
    return [*found, *([f"{front} trials that none beats in every objective"] if front else []), *result.notes]


def _search(search: Search) -> str:
    chosen = f", chosen by auto: {search.reason}" if search.reason else ""
    return f"searched by {search.algorithm.kind} of {search.version}{chosen}"


def chain(result: StudyResult) -> list[str]:
    """The runs that a run goes on with, a line each, in their order."""
    counts = Counter(trial.links["run"] for trial in result.trials if "run" in trial.links)
    return [f"goes on with {ref}: {count} trials" for ref, count in counts.items()]


def spent(result: StudyResult) -> list[str]:
    """What a run has cost, if that is known."""
    from tuneport.config import load

    prices = load().prices
    return [] if result.cost is None else [f"spent {result.cost:.2f} {prices.currency}, by {prices}"]


def device_table(devices: Sequence[DeviceUse]) -> list[str]:
    """The GPUs on which trials of a run are, in a table if there are any; - where something is not known."""
    rows = [["device", "name", "trials", "memory", "busy"]]
    rows += [
        [
            one.id,
            one.name,
            ", ".join(map(str, one.trials)) or "none",
            f"{_size(one.used)} of {_size(one.memory)}",
            "-" if one.busy is None else f"{one.busy:.0%}",
        ]
        for one in devices
    ]
    return [table(rows, whole=True)] if devices else []


def _size(size: int | None) -> str:
    return "-" if size is None else about(size)


def tally(result: StudyResult) -> str:
    """How many trials a run has, and how they are."""
    return f"{len(result.trials)} trials: {counts(result.trials)}" if result.trials else "no trials yet"


def kept(result: StudyResult, folder: Path | None) -> str:
    """Where a run is kept."""
    return f"kept in {folder} as {result.ref}" if folder else f"kept as {result.ref}"


def summary(result: StudyResult, folder: Path | None) -> str:
    """All that a person wants to know at the end of a run."""
    shown = ranked(result)[:SHOWN]
    more = len(result.trials) - len(shown)
    parts = [headline(result), best_text(result), trial_table(shown)]
    if more > 0:
        parts[-1] += f"\n… and {more} more: tuneport trials {result.ref}"
    took = f" in {duration(result.ended - result.created)}" if result.ended and result.created else ""
    parts.append(f"{tally(result)}{took}\n{kept(result, folder)}")
    return "\n\n".join(parts)


def _names(groups: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))
