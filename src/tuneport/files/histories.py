"""Histories as files: JSON lines of our own, tables in CSV, and the studies of Optuna.

JSON lines begin with a head, ``{"history": 1, "source": …, "objectives": […], "parameters": […], "fixed": {…}}``; then
there is one trial per line, as `tuneport trials --json` shows it. A table has a header and a row per trial. Parameters
are its columns ``param.NAME`` or, as in Optuna's data frames, ``params_NAME``; metrics ``metric.NAME`` or
``values_NAME``. Where no column is marked so, the objectives that are asked for are metrics, and all else parameters.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneport.errors import JobError, MissingExtraError
from tuneport.files import write_text
from tuneport.files.document import Place, syntax_error
from tuneport.model.history import History
from tuneport.model.results import Trial, TrialState
from tuneport.model.study import Objective
from tuneport.model.word import did_you_mean

OPTUNA = "optuna:"
"""How a study of Optuna is named: ``optuna:STORAGE#STUDY``, such as optuna:sqlite:///tuning.db#digits."""
SUFFIXES = (".jsonl", ".csv")
"""How files of trials end."""
_VERSION = "history"
_PARAMETER, _METRIC = ("param.", "params_"), ("metric.", "values_")
_OPTUNA_STATES = {"COMPLETE": "succeeded", "PRUNED": "stopped", "FAIL": "failed", "RUNNING": "running"}
_NOT_PARAMETERS = frozenset({"trial", "number", "id", "state", "seconds", "failure", "duration"})
_NOT_PARAMETERS_EITHER = ("datetime_", "user_attrs_", "system_attrs_", "intermediate_")


def is_history(name: str) -> bool:
    """Whether a name means a file of trials or a study of Optuna, and not a run's reference."""
    return name.startswith(OPTUNA) or name.lower().endswith(SUFFIXES)


def read_history(name: str | Path, objectives: Sequence[Objective] = ()) -> History:
    """The trials in a file or in a study of Optuna.

    Args:
        name: a path that ends in .jsonl or .csv, or ``optuna:STORAGE#STUDY``.
        objectives: what the reader is after; its metrics name what a source leaves unnamed.

    Raises:
        JobError: it cannot be read, with the place of what is wrong.
        MissingExtraError: it is a study of Optuna, which is not installed.
    """
    if str(name).startswith(OPTUNA):
        return _read_optuna(str(name), objectives)
    if not is_history(str(name)):
        raise JobError(
            f"{name} is no history", hint="files of trials end in .jsonl or .csv; of Optuna: optuna:STORAGE#STUDY"
        )
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise syntax_error(str(name), f"cannot be read: {reason}") from error
    return (_read_table if str(name).lower().endswith(".csv") else _read_lines)(text, str(name), objectives)


def write_history(history: History, path: str | Path | None = None) -> str:
    """A history as JSON lines, also written to `path`.

    Raises:
        JobError: the file cannot be written.
    """
    head = {_VERSION: history.schema_version, **history.model_dump(mode="json", exclude={"trials", "schema_version"})}
    # The words themselves make the text of trials, since only they can say NaN and infinities in JSON.
    lines = [json.dumps(head, ensure_ascii=False), *(trial.model_dump_json() for trial in history.trials)]
    text = "".join(f"{line}\n" for line in lines)
    if path is not None:
        write_text(text, path)
    return text


# ---- JSON lines ----------------------------------------------------------------------------------------------------


def _read_lines(text: str, name: str, objectives: Sequence[Objective]) -> History:
    del objectives  # it says itself what it was after
    lines = [(number, _line(line, number, name)) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines or _VERSION not in lines[0][1]:
        raise syntax_error(name, f"must begin with a line that has '{_VERSION}'", Place(1, 1))
    head = {key: value for key, value in lines[0][1].items() if key != _VERSION}
    trials = []
    for number, line in lines[1:]:
        try:
            trials.append(Trial.model_validate(line))
        except JobError as error:
            raise JobError.of(f"{name}:{number}", error.problems) from None
    try:
        return History.model_validate({**head, "schema_version": lines[0][1][_VERSION], "trials": trials})
    except JobError as error:
        raise JobError.of(f"{name}:1", error.problems) from None


def _line(line: str, number: int, name: str) -> dict[str, Any]:
    try:
        read = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise syntax_error(name, f"is not JSON: {error}", Place(number, 1)) from None
    if not isinstance(read, dict):
        raise syntax_error(name, "must be a mapping", Place(number, 1))
    return read


# ---- tables --------------------------------------------------------------------------------------------------------


def _read_table(text: str, name: str, objectives: Sequence[Objective]) -> History:
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    header = [column for column in (rows[0] if rows else {}) if column]
    parameters, metrics = _columns(header, [one.metric for one in objectives], name)
    trials = tuple(_row(number, row, parameters, metrics) for number, row in enumerate(rows, 1))
    return History(source=name, objectives=tuple(objectives), trials=trials)


def _columns(header: Sequence[str], wanted: Sequence[str], name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Column to parameter, and column to metric."""
    parameters = dict(_marked(header, _PARAMETER))
    metrics = dict(_marked(header, _METRIC))
    if not metrics and "value" in header and wanted and wanted[0] not in header:
        metrics = {"value": wanted[0]}  # a data frame of Optuna with one objective
    metrics |= {column: column for column in header if column in wanted}
    if not metrics:
        hint = did_you_mean(wanted[0], header) if wanted else "metrics are columns named metric.NAME"
        raise syntax_error(name, f"has no column with a metric; {hint}", Place(1, 1))
    if not parameters:
        parameters = {column: column for column in header if column not in metrics and not _is_bookkeeping(column)}
    return parameters, metrics


def _marked(header: Iterable[str], marks: Iterable[str]) -> Iterator[tuple[str, str]]:
    for column in header:
        for mark in marks:
            if column.startswith(mark) and len(column) > len(mark):
                yield column, column.removeprefix(mark)


def _is_bookkeeping(column: str) -> bool:
    return column in _NOT_PARAMETERS or column.startswith(_NOT_PARAMETERS_EITHER)


def _row(number: int, row: Mapping[str, str], parameters: Mapping[str, str], metrics: Mapping[str, str]) -> Trial:
    said = {name: float(row[column]) for column, name in metrics.items() if _is_number(row.get(column))}
    state = row.get("state") or ("succeeded" if said else "failed")
    state = _OPTUNA_STATES.get(state, state)
    return _trial(
        number,
        {name: row[column] for column, name in parameters.items() if row.get(column)},
        said,
        state if state in set(TrialState) else "failed",
    )


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _trial(number: int, parameters: Mapping[str, Any], metrics: Mapping[str, float], state: str) -> Trial:
    final = {"final_measurement": {"metrics": dict(metrics)}} if metrics else {}
    return Trial.model_validate({"id": number, "parameters": dict(parameters), "state": state, **final})


# ---- Optuna --------------------------------------------------------------------------------------------------------


def _read_optuna(name: str, objectives: Sequence[Objective]) -> History:
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("a study of Optuna needs optuna", hint="pip install 'tuneport[optuna]'") from error
    storage, _, title = name.removeprefix(OPTUNA).rpartition("#")
    try:
        study = optuna.load_study(study_name=title or None, storage=storage or title)
        frozen = study.get_trials(deepcopy=False)
    except Exception as error:  # its storages raise what their drivers do
        raise JobError(
            f"{name} cannot be read: {error}", hint="optuna:STORAGE#STUDY, such as optuna:sqlite:///a.db#b"
        ) from error
    wanted = [one.metric for one in objectives]
    names = study.metric_names or (
        wanted if len(wanted) == len(study.directions) else ["value"] * len(study.directions)
    )
    return History(
        source=name,
        objectives=tuple(
            Objective(metric=metric, goal=direction.name.lower())
            for metric, direction in zip(names, study.directions, strict=True)
        ),
        trials=tuple(_frozen(one, names) for one in frozen),
    )


def _frozen(trial: Any, names: Sequence[str]) -> Trial:
    """A trial of Optuna; one that was pruned has what it reported last, if there is one objective."""
    values = list(trial.values or [])
    if not values and len(names) == 1 and trial.intermediate_values:
        values = [trial.intermediate_values[max(trial.intermediate_values)]]
    state = _OPTUNA_STATES.get(trial.state.name, "requested")
    parameters = {key: value for key, value in trial.params.items() if isinstance(value, (bool, int, float, str))}
    return _trial(trial.number + 1, parameters, dict(zip(names, values, strict=False)), state)
