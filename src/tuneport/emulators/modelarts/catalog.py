"""What ModelArts offers to everybody: search algorithms, templates of AutoSearch files, engines, machines, quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

_SHARED = (("num_samples", "20", "Integer"), ("seed", "1", "Integer"))
_SETTINGS: Final = {
    "bayes_opt_search": (("kind", "ucb", "String"), ("kappa", "2.5", "Float"), ("xi", "0.0", "Float"), *_SHARED),
    "tpe_search": (("gamma", "0.25", "Float"), ("n_initial_points", "20", "Integer"), *_SHARED),
    "anneal_search": (("avg_best_idx", "2.0", "Float"), ("shrink_coef", "0.1", "Float"), *_SHARED),
}
_DESCRIPTIONS = {
    "bayes_opt_search": "Bayesian optimization over a Gaussian process",
    "tpe_search": "Tree-structured Parzen estimators",
    "anneal_search": "Simulated annealing",
}
SEARCH_ALGORITHMS: Final[Json] = {
    "search_algo_count": len(_SETTINGS),
    "search_algo_list": [
        {
            "name": name,
            "params": [{"key": key, "value": value, "type": kind} for key, value, kind in settings],
            "description": _DESCRIPTIONS[name],
        }
        for name, settings in _SETTINGS.items()
    ],
}

TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "hpo": ("Anneal", "Bayes", "DragonFly", "FixNorm", "GridSearch", "TPE"),
    "nas": ("AutoBSS", "AutoEvo", "AutoTopo", "MBNAS"),
    "augment": ("AdvAutoAugment", "AutoAugment"),
    "compression": ("AutoCompress",),
}
"""Types of templates to their names."""
_GENERAL = "general:\n  instance_per_trial: 1\n  gpu_per_instance: 1\n  cpu_per_instance: 1\n"
_RANGE = (
    "search_space:\n  - params:\n    - type: continuous_param\n      name: lr\n      start: 0.001\n      stop: 0.1\n"
)
_GRID = "search_space:\n  - params:\n    - type: discrete_param\n      name: lr\n      values: [0.001, 0.01, 0.1]\n"
_REWARD = "  reward_attr: accuracy\n"
_SEARCHES: Final = {
    "Bayes": ("bayes_opt_search", "  num_samples: 8\n  kind: ucb\n  save_model_count: 3\n"),
    "TPE": ("tpe_search", "  num_samples: 8\n  save_model_count: 3\n"),
    "Anneal": ("anneal_search", "  num_samples: 8\n  save_model_count: 3\n"),
    "GridSearch": ("grid_search", ""),
}
"""Templates of which more is known than their names."""


def templates() -> Json:
    """The list of all templates."""
    untranslated = "algorithm_type_zh to translate"  # so in every edition
    return {
        "yaml_templates": [
            {"algorithm_type_en": kind, "algorithm_type_zh": untranslated, "algorithm_names": list(names)}
            for kind, names in TEMPLATES.items()
        ]
    }


def template(kind: str, name: str) -> Json | None:
    """One template; None if there is none. Of the texts only that for Bayes is like a public one."""
    if name not in TEMPLATES.get(kind, ()):
        return None
    if name not in _SEARCHES:
        return {"file_name": f"{name}.yaml", "content": f"# the emulator does not know the template {name}\n"}
    algorithm, settings = _SEARCHES[name]
    space = _GRID if name == "GridSearch" else _RANGE
    search = f"search_algorithm:\n  type: {algorithm}\n  max_concurrent: 4\n{_REWARD}{settings}  mode: max\n"
    content = "\n".join((_GENERAL, space, search, "scheduler:\n  type: FIFOScheduler"))
    return {"file_name": f"{name}.yaml", "content": content}


def _engine(name: str, ident: str, *, searches: bool = False, version: str | None = None) -> Json:
    engine: Json = {
        "engine_id": ident,
        "engine_name": name,
        "engine_version": version or ident,
        "v1_compatible": version is not None,
        "run_user": "" if version is not None else "1102",
        "image_info": {"cpu_image_url": "", "gpu_image_url": f"aip/{ident}:emulated", "image_version": "emulated"},
    }
    return engine | ({"tags": [{"key": "auto_search", "value": "True"}]} if searches else {})


ENGINES: Final = {
    one["engine_id"]: one
    for one in (
        _engine("PyTorch", "pytorch_1.8.0-cuda_10.2-py_3.7-ubuntu_18.04-x86_64", searches=True),
        _engine("TensorFlow", "tensorflow_2.1.0-cuda_10.1-py_3.7-ubuntu_18.04-x86_64", searches=True),
        _engine("PyTorch", "pytorch-cp36-1.4.0-v2", version="PyTorch-1.4.0-python3.6-v2", searches=True),
        _engine("TensorFlow", "tf-cp36-1.13.1-v2", version="TF-1.13.1-python3.6-v2", searches=True),
        _engine("PyTorch", "pytorch_1.8.2-cuda_11.1-py_3.7-ubuntu_18.04-x86_64"),
    )
}
"""Preset engines by their ids."""


def engines() -> Json:
    """The list of all engines."""
    return {"total": len(ENGINES), "items": list(ENGINES.values())}


def _flavor(ident: str, kind: str, cores: int, memory: int, gpu: Json | None = None) -> Json:
    info: Json = {
        "max_num": 16,
        "cpu": {"arch": "x86", "core_num": cores},
        "memory": {"size": memory, "unit": "GB"},
        "disk": {"size": 50, "unit": "GB"},
    }
    return {
        "flavor_id": ident,
        "flavor_name": f"Computing {kind} instance",
        "flavor_type": kind,
        "max_num": 16,
        "billing": {"code": ident, "unit_num": 1},
        "flavor_info": info | ({"gpu": gpu} if gpu else {}),
        "attributes": {},
    }


FLAVORS: Final = {
    one["flavor_id"]: one
    for one in (
        _flavor("modelarts.vm.cpu.2u", "CPU", 2, 8),
        _flavor("modelarts.vm.cpu.8u", "CPU", 8, 32),
        _flavor("modelarts.p3.large.public", "GPU", 8, 64, {"unit_num": 1, "product_name": "V100", "memory": "32GB"}),
        _flavor("modelarts.vm.gpu.8v100", "GPU", 72, 512, {"unit_num": 8, "product_name": "V100", "memory": "32GB"}),
    )
}
"""Machine types of the public pool by their ids."""

JOB_QUOTA: Final = 10_000
RESOURCE_QUOTAS: Final[Json] = {
    "quotas": {"resources": [{"type": kind, "quota": 15, "used": 0} for kind in ("pool", "network")]}
}
NETWORK_QUOTAS: Final[Json] = {
    "networkCidrs": ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8"],
    "networkQuota": 15,
    "poolQuota": 15,
    "pooHighAvailable": False,  # the service spells it so
}


def engine_runtimes() -> Json:
    """Engines with their runtimes, in lists that go together by index."""
    names = dict.fromkeys(one["engine_name"] for one in ENGINES.values())
    rows = [_runtimes(name) for name in names] + [_runtimes("Custom")]
    return {"count": len(rows), "total_count": len(rows), "engine_runtimes": rows}


def _runtimes(name: str) -> Json:
    runtimes = [ident for ident, one in ENGINES.items() if one["engine_name"] == name]
    alike = {"request_mode": "sync", "arch": "x86_64", "status_list": "normal", "image_source": "uniform_image"}
    return {
        "ai_engine": name,
        "runtimes": runtimes,
        "accelerators": [{"type": "none"} for _ in runtimes],
        **{key: [value] * len(runtimes) for key, value in alike.items()},
    }
