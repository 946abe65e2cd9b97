"""What ModelArts says of a job and its trials, as our results, and the same the other way round for its emulator.

Trials are rows of tables whose columns are known by their names alone: which there are, and in which order, differs.
Cells are text, whatever they say; the one that holds the parameters may be an object, or Python's spelling of one.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tuneport.backends.modelarts.translate.rules import at
from tuneport.backends.modelarts.translate.study import GOALS, MODES
from tuneport.backends.modelarts.translate.values import number
from tuneport.errors import PayloadError, Problem
from tuneport.model.results import (
    Failure,
    FailureKind,
    Measurement,
    RunReason,
    RunState,
    StudyResult,
    Trial,
    TrialState,
)

Json: TypeAlias = dict[str, Any]

_PHASES: Final[Mapping[str, tuple[RunState, RunReason | None]]] = {
    "Pending": (RunState.PENDING, None),
    "Creating": (RunState.PENDING, None),
    "Running": (RunState.RUNNING, None),
    "Terminating": (RunState.STOPPING, RunReason.REQUEST),
    "Completed": (RunState.SUCCEEDED, RunReason.COMPLETED),
    "Failed": (RunState.FAILED, RunReason.FAILURES),
    "Abnormal": (RunState.FAILED, RunReason.FAILURES),
    "Terminated": (RunState.STOPPED, RunReason.REQUEST),
}
"""Phases of a job; the first of several that mean the same is what is rendered."""
_PHASES_RENDERED = {state: phase for phase, (state, _) in reversed(list(_PHASES.items()))} | {
    RunState.INTERRUPTED: "Running"
}
_SECONDARY = {"Pending": "Queuing"}
_TRIAL_STATES: Final = {
    "PENDING": TrialState.REQUESTED,
    "RUNNING": TrialState.RUNNING,
    "PAUSED": TrialState.PAUSED,
    "TERMINATED": TrialState.SUCCEEDED,
    "ERROR": TrialState.FAILED,
}
_TRIALS_RENDERED = {
    TrialState.REQUESTED: "PENDING",
    TrialState.RUNNING: "RUNNING",
    TrialState.PAUSED: "PAUSED",
    TrialState.STOPPING: "RUNNING",
    TrialState.FAILED: "ERROR",
}
"""All others have ended: TERMINATED."""

_LIST: Final = ("", "done", "pid", "config", "trial_id", "training_iteration", "time_total_s", "worker_index")
_AFTER: Final = ("reward_attr", "status")
_REPORT: Final = ("done", "pid", "best_reward", "time_total_s", "config")
_OURS: Final = {*_LIST, *_AFTER, "best_reward"}
"""Columns that are no metrics."""
_LONGEST = 100_000
_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf(?:inity)?)(?!\w)", re.IGNORECASE | re.ASCII
)
_MOST_CHARACTERS = 1000


class ModelArtsStatus:
    """Reads jobs and tables of trials, and writes them."""

    def parse(self, described: Json, trials: Iterable[Json] = ()) -> StudyResult:
        """Our record of a job; `trials` are tables: pages of the list, and those of single trials with their reports.

        Raises:
            PayloadError: something is no job, or no table.
        """
        metadata, status = at(described, "/metadata"), at(described, "/status")
        rewards = at(described, "/algorithm/policies/auto_search/reward_attrs")
        objectives = [
            {"metric": one["name"], "goal": MODES.get(str(one.get("mode")), "maximize")}
            for one in rewards
            if isinstance(one, dict) and one.get("name")
        ]
        if not metadata or not isinstance(status, dict) or not objectives:
            raise PayloadError(
                "this is no job with a search",
                problems=[Problem("", "metadata and algorithm.policies.auto_search are required")],
            )
        phase = status.get("phase", "Pending")
        state, reason = _PHASES.get(phase, (RunState.RUNNING, None))
        created = _seconds(metadata.get("create_time"))
        started = _seconds(status.get("start_time")) or created
        spent = _seconds(status.get("duration"))
        tables = [*([described["trials"]] if "trials" in described else []), *trials]
        return StudyResult.model_validate(
            {
                "ref": str(metadata.get("id") or metadata.get("name")),
                "name": str(metadata.get("name")),
                "backend": "modelarts",
                "state": state,
                "reason": reason,
                "message": "" if phase in _PHASES else f"ModelArts says {phase}",
                "objectives": objectives,
                "trials": list(_trials(tables, objectives[0]["metric"], state)),
                "created": created,
                "ended": started + spent if state.ended and started is not None and spent is not None else None,
            }
        )

    def render(self, result: StudyResult) -> Json:
        """The job as the service shows it, with the list of its trials beside it as ``trials``."""
        phase = _PHASES_RENDERED[result.state]
        created = result.created or 0
        rewards = [{"name": one.metric, "mode": GOALS[one.goal]} for one in result.objectives]
        return {
            "kind": "job",
            "metadata": {"id": result.ref, "name": result.name, "create_time": _milliseconds(created)},
            "status": {
                "phase": phase,
                "secondary_phase": _SECONDARY.get(phase, phase),
                "start_time": 0 if phase == "Pending" else _milliseconds(created),
                "duration": _milliseconds(max(0, (result.ended or created) - created)),
                "tasks": ["worker-0"],
            },
            "algorithm": {"policies": {"auto_search": {"reward_attrs": rewards}}},
            "trials": self.table(result),
        }

    def table(self, result: StudyResult, offset: int = 0, limit: int | None = None) -> Json:
        """The list of trials, or a page of it."""
        metrics = [one.metric for one in result.objectives]
        page = result.trials[offset:] if limit is None else result.trials[offset : offset + limit]
        header = [*_LIST, *_AFTER, *metrics, "best_reward"]
        rows = [_row(index, trial, result) for index, trial in enumerate(page, start=offset)]
        return {
            "total": len(result.trials),
            "count": len(page),
            "limit": 50 if limit is None else limit,
            "offset": offset,
            "group_by": "",
            "items": {"header": header, "data": [[row[name] for name in header] for row in rows]},
        }

    def reports(self, result: StudyResult, trial: Trial) -> Json:
        """A single trial, a row for each of its reports."""
        metrics = [one.metric for one in result.objectives]
        header = [*_REPORT, *metrics, "trial_id", "training_iteration", "reward_attr"]
        rows = []
        for count, measured in enumerate(trial.measurements, start=1):
            so_far = trial.model_copy(
                update={"measurements": trial.measurements[:count], "final_measurement": measured}
            )
            done = trial.state.ended and count == len(trial.measurements)
            rows.append(_row(trial.id - 1, so_far, result) | {"done": str(done)})
        return {"header": header, "data": [[row[name] for name in header] for row in rows]}


STATUS = ModelArtsStatus()


# ---- tables to trials -----------------------------------------------------------------------------------------------


def _trials(tables: Iterable[Json], primary: str, run: RunState) -> Iterator[Trial]:
    """Every trial once, with the reports of its own table if there is one."""
    listed: dict[str, Json] = {}
    reports: dict[str, list[Json]] = {}
    for table in tables:
        single = "items" not in table
        for row in _rows(at(table, "/items") or table):
            key = str(row.get("trial_id") or f"row {len(listed)}")
            listed[key] = listed.get(key, {}) | row
            if single:
                reports.setdefault(key, []).append(row)
    numbered = zip(_numbers(listed.values()), listed.items(), strict=True)
    made = [_trial(number, row, reports.get(key, []), primary, run) for number, (key, row) in numbered]
    yield from sorted(made, key=lambda trial: trial.id)


def _numbers(rows: Iterable[Json]) -> Sequence[int]:
    """The trials' numbers: their own if each has one, else their places in the table."""
    indices = [_config(row.get("config")).get("trial_index") for row in rows]
    own = [one + 1 for one in indices if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 2**53]
    return own if len(set(own)) == len(indices) else range(1, len(indices) + 1)


def _rows(table: Json) -> Iterator[Json]:
    header, data = table.get("header"), table.get("data")
    if not isinstance(header, list) or not isinstance(data, list) or not all(isinstance(row, list) for row in data):
        raise PayloadError("this is no table of trials", problems=[Problem("", "header and data must be lists")])
    for row in data:
        yield dict(zip(map(str, header), row, strict=False))


def _trial(number: int, row: Json, reports: Sequence[Json], primary: str, run: RunState) -> Trial:
    config = _config(row.get("config"))
    measurements = tuple(filter(None, (_measurement(one, primary) for one in reports or [row])))
    state = _TRIAL_STATES.get(str(row.get("status", "")).upper())
    if state is None:
        state = TrialState.SUCCEEDED if str(row.get("done")) == "True" else TrialState.RUNNING
    nothing = not any(primary in one.metrics for one in measurements)
    cut_off = run is RunState.STOPPED and state is TrialState.SUCCEEDED and nothing
    if cut_off or (run.ended and not state.ended):  # what a stopped job took along is TERMINATED like what has ended
        state = TrialState.STOPPED
    final = measurements[-1] if measurements and state.ended else None
    failure = None
    if state is TrialState.SUCCEEDED and (final is None or primary not in final.metrics):
        state, failure = TrialState.FAILED, Failure(kind=FailureKind.METRIC_MISSING, message="no reward was found")
    elif state is TrialState.SUCCEEDED and final is not None and not math.isfinite(final.metrics[primary]):
        state, failure = TrialState.INFEASIBLE, Failure(kind=FailureKind.INFEASIBLE, message="the reward is no number")
    elif state is TrialState.FAILED:
        failure = Failure(kind=FailureKind.CODE, message="ModelArts gives no reason")
    return Trial(
        id=number,
        parameters={
            name: value
            for name, value in config.items()
            if name != "trial_index" and not name.startswith("param/") and isinstance(value, (str, bool, int, float))
        },
        state=state,
        measurements=measurements,
        final_measurement=final,
        failure=failure,
        links={"trial": str(row["trial_id"])} if row.get("trial_id") else {},
    )


def _config(cell: Any) -> dict[str, Any]:
    """The parameters, be they an object, or Python's spelling of one, with decimals or without."""
    if isinstance(cell, str) and len(cell) <= _LONGEST:
        cell = dict(_spelt(cell))
    if not isinstance(cell, dict):
        return {}
    return {str(name): value for name, value in cell.items() if not isinstance(value, float) or math.isfinite(value)}


def _spelt(text: str) -> Iterator[tuple[Any, Any]]:
    """The items of Python's spelling of a dict; one that has no plain value, such as nan, is not there."""
    try:
        spelt = ast.parse(text.strip(), mode="eval").body
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return
    for key, value in zip(spelt.keys, spelt.values, strict=True) if isinstance(spelt, ast.Dict) else ():
        inside = value.args[0] if isinstance(value, ast.Call) and len(value.args) == 1 else None
        try:
            name, plain = ast.literal_eval(key or ""), ast.literal_eval(inside or value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        yield name, plain if inside is None or not isinstance(plain, str) else number(plain)


def _measurement(row: Json, primary: str) -> Measurement | None:
    """A report; the reward's own column stands in where its metric has none."""
    metrics = {name: value for name, cell in row.items() if name not in _OURS and (value := _metric(cell)) is not None}
    if primary not in metrics and (reward := _metric(row.get("reward_attr"))) is not None:
        metrics[primary] = reward
    if not metrics:
        return None
    return Measurement(
        metrics=metrics, step=_step(row.get("training_iteration")), elapsed=_elapsed(row.get("time_total_s"))
    )


def _metric(cell: Any) -> float | None:
    """The first number in a cell, such as 0.0754 in "tensor(0.0754, device='cuda:0')"."""
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return float(cell) if abs(cell) < 2**1023 or cell != cell else None  # noqa: PLR0124 - NaN is a report as well
    found = _NUMBER.search(cell[:_MOST_CHARACTERS]) if isinstance(cell, str) else None
    return float(found[0]) if found else None


def _elapsed(cell: Any) -> float | None:
    seconds = _metric(cell)
    return seconds if seconds is not None and 0 <= seconds < math.inf else None


def _step(cell: Any) -> int | None:
    value = _metric(cell)
    return int(value) if value is not None and value.is_integer() and 0 <= value < 2**53 else None


# ---- trials to tables -----------------------------------------------------------------------------------------------


def _row(index: int, trial: Trial, result: StudyResult) -> Json:
    """All cells of a trial by their columns."""
    primary = result.objectives[0]
    metrics = {one.metric: _cell(trial.metrics.get(one.metric)) for one in result.objectives}
    seen = [one.metrics[primary.metric] for one in trial.measurements if primary.metric in one.metrics]
    seen = [value for value in [*seen, *_given(trial.metrics.get(primary.metric))] if not math.isnan(value)]
    best = (max if primary.goal == "maximize" else min)(seen, default=None)
    last = trial.measurements[-1] if trial.measurements else trial.final_measurement
    elapsed = last.elapsed if last is not None and last.elapsed is not None else trial.duration
    steps = last.step if last is not None and last.step is not None else len(trial.measurements)
    return {
        "": str(index),
        "done": str(trial.state.ended),
        "pid": "",
        "config": {
            **trial.parameters,
            "trial_index": trial.id - 1,
            **{f"param/{name}": value for name, value in trial.parameters.items()},
        },
        "trial_id": trial.links.get("trial") or f"{trial.id:08x}",
        "training_iteration": str(steps),
        "time_total_s": _cell(elapsed),
        "worker_index": "",
        **metrics,
        "reward_attr": metrics[primary.metric],
        "status": _TRIALS_RENDERED.get(trial.state, "TERMINATED"),
        "best_reward": _cell(best),
    }


def _given(value: float | None) -> list[float]:
    return [] if value is None else [value]


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


# ---- times ----------------------------------------------------------------------------------------------------------


def _seconds(milliseconds: Any) -> float | None:
    """Seconds of the service's milliseconds; 0 is never."""
    fits = isinstance(milliseconds, (int, float)) and not isinstance(milliseconds, bool) and abs(milliseconds) < 2**53
    return milliseconds / 1000 if fits and milliseconds > 0 else None


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
