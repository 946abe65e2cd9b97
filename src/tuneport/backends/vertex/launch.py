"""How a trial runs on Vertex AI: flags in, the report file of cloudml-hypertune out, places in AIP_ variables."""

from __future__ import annotations

import json
import posixpath

from tuneport.engine.launch import (
    Launch,
    Reported,
    ReportFile,
    TrialContext,
    as_machine,
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
    trial = as_machine(trial)
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
    return {
        "TUNEPORT_INPUTS": json.dumps(inputs(trial)),
        "CLOUD_ML_TRIAL_ID": str(trial.trial),
        "CLOUD_ML_JOB_ID": f"{trial.run}-{trial.trial}",
        "CLOUD_ML_PROJECT_ID": "0",
        "CLOUD_ML_REGION": "local",
        "CLOUD_ML_HP_METRIC_FILE": posixpath.join(trial.folder, REPORTS),
    } | _cluster(trial)


def _cluster(trial: TrialContext) -> dict[str, str]:
    """Who else belongs to the trial: the first one is a pool of its own, and all others are another."""
    addresses = [f"{peer.host}:{peer.port}" for peer in trial.replica.peers]
    spec = {"CLUSTER_SPEC": _described(trial, ("workerpool0", "workerpool1"), addresses)}
    if len(addresses) > 1:
        spec["TF_CONFIG"] = _described(trial, ("chief", "worker"), addresses)
    return spec


def _described(trial: TrialContext, roles: tuple[str, str], addresses: list[str]) -> str:
    rank, (chief, worker) = trial.replica.rank, roles
    members = {chief: addresses[:1], worker: addresses[1:]}
    task = {"type": worker if rank else chief, "index": max(0, rank - 1), "trial": str(trial.trial)}
    cluster = {role: there for role, there in members.items() if there}
    return json.dumps({"cluster": cluster, "environment": "cloud", "task": task, "job": {}})


def _places(trial: TrialContext) -> dict[str, str]:
    base = results(trial) or trial.folder
    return {
        "AIP_MODEL_DIR": posixpath.join(base, "model/"),
        "AIP_CHECKPOINT_DIR": posixpath.join(base, "checkpoints/"),
        "AIP_TENSORBOARD_LOG_DIR": posixpath.join(base, "logs/"),
    }
