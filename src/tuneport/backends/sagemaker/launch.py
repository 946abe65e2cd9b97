"""How a trial runs on SageMaker: a file of text values in, printed lines out, places below a prefix that is moved.

What the service does for a container (the files below /opt/ml), and what its training toolkit does for a script
(SM_ variables, arguments), so that both kinds of trainers find what they know.
"""

from __future__ import annotations

import json
import posixpath
import zlib
from collections.abc import Mapping
from typing import Any

from tuneport.backends.sagemaker.hyperparameters import OBJECTIVE, text_of
from tuneport.engine.launch import (
    Launch,
    TrialContext,
    as_machine,
    directory,
    environment,
    inputs,
    printed,
    program,
    results,
    values,
)
from tuneport.model.word import Scalar

PREFIX = "ml"
"""Stands for /opt/ml, in the trial's folder."""
FAILURE = f"{PREFIX}/output/failure"
"""Where a trial may say why it failed."""
GROUP = "homogeneousCluster"
NETWORK = "lo"
_FOLDERS = ("input/data", "output/data", "output/intermediate", "checkpoints")


def launch(trial: TrialContext) -> Launch:
    """Describe a trial as SageMaker would start it, with its places in the trial's folder."""
    trial = as_machine(trial)
    objective = trial.job.study.objective.metric
    config = {
        "hyperparameters": {name: text_of(value) for name, value in values(trial).items()} | {OBJECTIVE: objective},
        "inputdataconfig": _channels(trial),
        "resourceconfig": _resources(trial),
    }
    arguments = _arguments(values(trial))
    return Launch(
        argv=(*program(trial), *arguments),
        cwd=directory(trial),
        env=environment(trial) | _platform(trial) | _toolkit(trial, arguments),
        files={f"{PREFIX}/input/config/{name}.json": json.dumps(content) for name, content in config.items()},
        folders=(*(f"{PREFIX}/{name}" for name in _FOLDERS), _model(trial)),
        patterns=printed(trial),
    )


def _arguments(parameters: Mapping[str, Scalar]) -> list[str]:
    """The toolkit's arguments: sorted, name and value apart, one dash for names of one character, True and False."""
    pairs = [("--" + name if len(name) > 1 else "-" + name, str(value)) for name, value in sorted(parameters.items())]
    return [word for pair in pairs for word in pair]


def _channels(trial: TrialContext) -> dict[str, Any]:
    channel = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    return {one.name: channel for one in trial.job.trial.inputs}


def _hosts(trial: TrialContext) -> list[str]:
    """What the machines are called; MASTER_ADDR says where the first one is."""
    return [f"algo-{number}" for number in range(1, len(trial.replica.peers) + 1)]


def _resources(trial: TrialContext) -> dict[str, Any]:
    machine = trial.job.trial.resources.machine or "local"
    hosts = _hosts(trial)
    return {
        "current_host": hosts[trial.replica.rank],
        "current_instance_type": machine,
        "current_group_name": GROUP,
        "hosts": hosts,
        "instance_groups": [{"instance_group_name": GROUP, "instance_type": machine, "hosts": hosts}],
        "network_interface_name": NETWORK,
    }


def _platform(trial: TrialContext) -> dict[str, str]:
    """What the service sets for every container; the mark at the end of its name is the same at every attempt."""
    mark = zlib.crc32(f"{trial.run}/{trial.trial}".encode())
    name = f"{trial.job.name}-{trial.trial:03}-{mark:08x}"
    return {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": f"arn:aws:sagemaker:local:000000000000:training-job/{name.lower()}",
    }


def _model(trial: TrialContext) -> str:
    """Where the model goes: the service uploads it to the job's output; here it is written there at once."""
    return posixpath.join(results(trial) or posixpath.join(trial.folder, PREFIX), "model")


def _toolkit(trial: TrialContext, arguments: list[str]) -> dict[str, str]:
    """What the training toolkit sets for a script. Channels point to the data itself, which is not copied here."""
    base = posixpath.join(trial.folder, PREFIX)
    directories = {
        "model_dir": _model(trial),
        "input_dir": f"{base}/input",
        "input_config_dir": f"{base}/input/config",
        "output_dir": f"{base}/output",
        "output_data_dir": f"{base}/output/data",
        "output_intermediate_dir": f"{base}/output/intermediate",
    }
    facts = directories | {
        "channels": sorted(inputs(trial)),
        "current_host": _hosts(trial)[trial.replica.rank],
        "current_instance_group": GROUP,
        "current_instance_type": _resources(trial)["current_instance_type"],
        "hosts": _hosts(trial),
        "input_data_config": _channels(trial),
        "log_level": 20,
        "network_interface_name": NETWORK,
        "num_cpus": max(1, trial.cpus),
        "num_gpus": len(trial.gpus),
        "num_neurons": 0,
        "resource_config": _resources(trial),
    }
    described = facts | {
        "hyperparameters": values(trial),
        "channel_input_dirs": inputs(trial),
        "job_name": _platform(trial)["TRAINING_JOB_NAME"],
        "is_master": trial.replica.rank == 0,
        "master_hostname": _hosts(trial)[0],
    }
    variables = facts | {
        "hps": values(trial),
        "user_args": arguments,
        "framework_params": {},
        "training_env": described,
        **{f"hp_{name}": value for name, value in values(trial).items()},
        **{f"channel_{name}": path for name, path in inputs(trial).items()},
    }
    return {"SAGEMAKER_BASE_DIR": base} | {f"SM_{name.upper()}": _variable(value) for name, value in variables.items()}


def _variable(value: Any) -> str:
    """Text as it is, all else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
