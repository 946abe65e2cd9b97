"""How a trial runs on Vertex AI: flags in, the report file of cloudml-hypertune out, places in AIP_ variables."""

from __future__ import annotations

import json
import posixpath

from tuneport.engine.launch import (
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
    plain_text,
    program,
    results,
    spoken,
    whole,
)

REPORTS = "hypertune/output.metrics"
_FIXED = {"checkpoint_path", "global_step", "timestamp", "trial"}


def launch(trial: TrialContext) -> Launch:
    """Describe a trial as Vertex AI would start it, with its places in the trial's folder."""
    places = _places(trial)
    return Launch(
        argv=(*program(trial), *flags(trial, plain_text)),
        cwd=directory(trial),
        env=spoken(trial) | environment(trial) | _platform(trial) | places,
        folders=(posixpath.dirname(REPORTS), *places.values()),
        reports=ReportFile(REPORTS, parse_report, rewritten=True),
    )


def parse_report(line: str) -> Reported | None:
    """One line of cloudml-hypertune's file, which holds one metric as text; None if it is none."""
    entry = json_object(line) or {}
    metrics = measured({name: text for name, text in entry.items() if name not in _FIXED})
    return Reported(metrics, whole(entry.get("global_step")), moment(entry.get("timestamp"))) if metrics else None


def _platform(trial: TrialContext) -> dict[str, str]:
    cluster = {
        "cluster": {"workerpool0": ["127.0.0.1:2222"]},
        "environment": "cloud",
        "task": {"type": "workerpool0", "index": 0, "trial": str(trial.trial)},
        "job": {},
    }
    return {
        "TUNEPORT_INPUTS": json.dumps(inputs(trial)),
        "CLOUD_ML_TRIAL_ID": str(trial.trial),
        "CLOUD_ML_JOB_ID": f"{trial.run}-{trial.trial}",
        "CLOUD_ML_PROJECT_ID": "0",
        "CLOUD_ML_REGION": "local",
        "CLOUD_ML_HP_METRIC_FILE": posixpath.join(trial.folder, REPORTS),
        "CLUSTER_SPEC": json.dumps(cluster),
    }


def _places(trial: TrialContext) -> dict[str, str]:
    base = results(trial) or trial.folder
    return {
        "AIP_MODEL_DIR": posixpath.join(base, "model/"),
        "AIP_CHECKPOINT_DIR": posixpath.join(base, "checkpoints/"),
        "AIP_TENSORBOARD_LOG_DIR": posixpath.join(base, "logs/"),
    }
