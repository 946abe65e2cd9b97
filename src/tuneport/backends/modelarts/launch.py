"""How a trial runs on ModelArts: flags in, printed lines out; inputs and outputs are flags as well."""

from __future__ import annotations

import posixpath

from tuneport.engine.launch import (
    Launch,
    TrialContext,
    as_machine,
    directory,
    environment,
    flags,
    inputs,
    plain_text,
    printed,
    program,
    results,
    spoken,
)
from tuneport.model.word import Scalar

OUTPUT = "train_url"
"""What the output is called unless a job says it: a flag where there is one, else a variable that no parser sees."""


def launch(trial: TrialContext) -> Launch:
    """Describe a trial as ModelArts would start it, with its places in the trial's folder."""
    trial = as_machine(trial)
    output = posixpath.join(results(trial) or trial.folder, "output")
    said = trial.job.trial.output
    data = inputs(trial) | ({} if said is None else {said.name or OUTPUT: output})
    return Launch(
        argv=(*program(trial), *(f"--{name}={path}" for name, path in data.items()), *flags(trial, _text)),
        cwd=directory(trial),
        env=spoken(trial) | environment(trial) | _platform(trial) | ({OUTPUT: output} if said is None else {}),
        folders=("log", output),
        patterns=printed(trial),
    )


def _text(value: Scalar) -> str:
    return str(value) if isinstance(value, bool) else plain_text(value)


def _platform(trial: TrialContext) -> dict[str, str]:
    name = f"modelarts-job-{trial.run}-{trial.trial}"
    rank, peers = trial.replica.rank, trial.replica.peers
    return {
        "MA_HOME": trial.folder,
        "MA_MOUNT_PATH": trial.folder,
        "MA_JOB_DIR": trial.base,
        "MA_LOG_DIR": posixpath.join(trial.folder, "log"),
        "MA_VJ_NAME": name,
        "MA_TASK_NAME": "worker",
        "MA_NUM_HOSTS": str(len(peers)),
        "MA_NUM_GPUS": str(len(trial.gpus)),
        "MA_CURRENT_IP": trial.replica.place.host,
        "MA_CURRENT_INSTANCE_NAME": f"{name}-worker-{rank}",
        "VC_TASK_INDEX": str(rank),
        "VC_WORKER_NUM": str(len(peers)),
        "VC_WORKER_HOSTS": ",".join(peer.host for peer in peers),
    }
