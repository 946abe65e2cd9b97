"""Documents that tests begin with."""

import copy

SEARCH = {
    "reward_attrs": [{"name": "acc", "mode": "max", "regex": "acc=(.*)"}],
    "search_params": [
        {"name": "lr", "param_type": "continuous", "lower_bound": "0.001", "upper_bound": "0.1"},
        {"name": "opt", "param_type": "discrete", "discrete_values": ["adam", "sgd"]},
    ],
    "algo_configs": [{"name": "tpe_search", "params": [{"key": "num_samples", "value": "30", "type": "Integer"}]}],
}
JOB = {
    "kind": "job",
    "metadata": {"name": "sweep", "annotations": {"fault-tolerance/job-retry-num": "1"}},
    "algorithm": {
        "code_dir": "/bucket/code/",
        "boot_file": "/bucket/code/fit.py",
        "engine": {"engine_id": "pytorch_1.8.0-cuda_10.2-py_3.7-ubuntu_18.04-x86_64"},
        "parameters": [
            {"name": "lr", "constraint": {"type": "Float"}},
            {"name": "opt", "constraint": {"type": "String"}},
            {"name": "epochs", "value": "5", "constraint": {"type": "Integer"}},
        ],
        "inputs": [{"name": "data_url", "remote": {"obs": {"obs_url": "/bucket/data/"}}}],
        "outputs": [{"name": "train_url", "remote": {"obs": {"obs_url": "/bucket/out/"}}}],
        "environments": {"A": "1"},
        "policies": {"auto_search": SEARCH},
    },
    "spec": {
        "resource": {"flavor_id": "modelarts.vm.cpu.8u", "node_count": 1},
        "auto_stop": {"time_unit": "HOURS", "duration": 1},
    },
    "tags": [{"key": "team", "value": "vision"}],
}
ALGORITHM = {
    "metadata": {"name": "stored"},
    "job_config": {name: JOB["algorithm"][name] for name in ("code_dir", "boot_file", "engine", "parameters")},
    "advanced_config": {"auto_search": SEARCH},
}
FILE = {
    "general": {"instance_per_trial": 1, "gpu_per_instance": 0},
    "search_space": [
        {
            "params": [
                {"type": "continuous_param", "name": "lr", "start": 0.001, "stop": 0.1},
                {"type": "discrete_param", "name": "opt", "values": ["adam", "sgd"]},
            ]
        }
    ],
    "search_algorithm": {"type": "bayes_opt_search", "reward_attr": "acc", "mode": "max", "num_samples": 30},
}
DOCUMENTS = {"job": JOB, "algorithm": ALGORITHM, "yaml": FILE}


def changed(document, changes):
    """A copy with values laid over it by JSON pointer; `...` takes one away."""
    whole = copy.deepcopy(document)
    for pointer, value in changes.items():
        *way, last = [int(part) if part.isdecimal() else part.replace("~1", "/") for part in pointer.split("/")[1:]]
        here = whole
        for part in way:
            here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
        if value is ...:
            del here[last]
        elif isinstance(here, list) and last == len(here):
            here.append(value)
        else:
            here[last] = value
    return whole
