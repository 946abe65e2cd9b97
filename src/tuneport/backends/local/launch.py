"""How a trial runs on this machine: flags and trial.json in, a file of JSON lines out. See docs/trial-protocol.md."""

from __future__ import annotations

import json
import posixpath

from tuneport.engine.launch import (
    CHECKPOINTS,
    Launch,
    Reported,
    ReportFile,
    TrialContext,
    directory,
    environment,
    flags,
    inputs,
    json_object,
    measured,
    moment,
    own_folder,
    plain_text,
    program,
    results,
    values,
    whole,
)

PROTOCOL = 1
"""Version of trial.json and of the report file."""
REPORTS = "reports.jsonl"


def launch(trial: TrialContext) -> Launch:
    """Describe a trial as it runs on this machine."""
    document = {
        "protocol": PROTOCOL,
        "run": trial.run,
        "trial": trial.trial,
        "attempt": trial.attempt,
        "parameters": values(trial),
        "objective": trial.job.study.objective.metric,
        "metrics": [objective.metric for objective in trial.job.study.objectives],
        "report": posixpath.join(own_folder(trial), REPORTS),
        "checkpoint_dir": posixpath.join(trial.folder, CHECKPOINTS),
        "model_dir": posixpath.join(results(trial) or trial.folder, "model"),
        "data": inputs(trial),
    }
    return Launch(
        argv=(*program(trial), *flags(trial, plain_text)),
        cwd=directory(trial),
        env=environment(trial) | {"TUNEPORT_TRIAL": posixpath.join(own_folder(trial), "trial.json")},
        files={"trial.json": json.dumps(document, indent=2) + "\n"},
        reports=ReportFile(REPORTS, parse_report),
        patterns=trial.job.trial.metrics,
    )


def parse_report(line: str) -> Reported | None:
    """One line of the report file; None if it is none."""
    entry = json_object(line)
    metrics = entry.get("metrics") if entry is not None else None
    if entry is None or not isinstance(metrics, dict):
        return None
    read = measured(metrics)
    return Reported(read, step=whole(entry.get("step")), time=moment(entry.get("time"))) if read else None
