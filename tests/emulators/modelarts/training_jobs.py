"""Requests to the door of ModelArts, the plainest ones, and ways to send them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkmodelarts import v1

from tuneport.emulators import modelarts
from tuneport.emulators.host import Host

ENGINE = "pytorch_1.8.0-cuda_10.2-py_3.7-ubuntu_18.04-x86_64"
SEARCH = {
    "reward_attrs": [{"name": "loss", "mode": "min", "regex": r"loss=(\S+)"}],
    "search_params": [
        {"name": "x", "param_type": "continuous", "lower_bound": "0.0", "upper_bound": "1.0"},
        {"name": "size", "param_type": "discrete", "discrete_values": ["1", "2", "4"]},
    ],
    "algo_configs": [
        {
            "name": "tpe_search",
            "params": [
                {"key": "num_samples", "value": "3", "type": "Integer"},
                {"key": "seed", "value": "7", "type": "Integer"},
            ],
        }
    ],
}
PARAMETERS = [
    {"name": "x", "value": "0.5", "constraint": {"type": "Float", "editable": True, "valid_type": "Range",
                                               "valid_range": ["0.0", "1.0"]}},
    {"name": "size", "constraint": {"type": "Integer", "editable": True, "valid_type": "Choice",
                                    "valid_range": ["1", "2", "4"]}},
    {"name": "epochs", "value": "5", "constraint": {"type": "Integer"}},
]  # fmt: skip
JOB = {
    "kind": "job",
    "metadata": {"name": "digits"},
    "algorithm": {
        "code_dir": "/bucket/code/",
        "boot_file": "/bucket/code/fit.py",
        "engine": {"engine_id": ENGINE},
        "parameters": PARAMETERS,
        "inputs": [{"name": "data_url", "remote": {"obs": {"obs_url": "/bucket/data/"}}}],
        "outputs": [{"name": "train_url", "remote": {"obs": {"obs_url": "/bucket/out/"}}}],
        "policies": {"auto_search": SEARCH},
    },
    "spec": {"resource": {"flavor_id": "modelarts.vm.cpu.8u", "node_count": 1}},
}
ALGORITHM = {
    "metadata": {"name": "fitting", "description": "fits"},
    "job_config": {
        "code_dir": "/bucket/code/",
        "boot_file": "/bucket/code/fit.py",
        "engine": {"engine_id": ENGINE},
        "parameters": PARAMETERS,
        "parameters_customization": True,
    },
    "resource_requirements": [{"key": "flavor_type", "values": ["CPU"], "operator": "in"}],
    "advanced_config": {"auto_search": SEARCH},
}


class Api:
    """The door by plain HTTP, and by the vendor's SDK."""

    def __init__(self, door: modelarts.ModelArtsDoor, host: Host, until: Callable[..., Any]) -> None:
        self.door, self.host, self.faults, self.until = door, host, host.faults, until
        self.url = door.endpoints["modelarts"]
        self.session = requests.Session()

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200, **query: Any) -> Any:
        reply = self.session.request(method, f"{self.url}/v2/p{path}", json=body, params=query)
        assert reply.status_code == status, reply.text
        return reply.json() if reply.content else None

    def refused(self, method: str, path: str, body: Any = None, status: int = 400, **query: Any) -> str:
        reply = self(method, path, body, status, **query)
        assert set(reply) == {"error_code", "error_msg"}
        return reply["error_code"].removeprefix("ModelArts.")

    def create(self, body: Any = None, **metadata: Any) -> str:
        made = copy.deepcopy(body or JOB)
        made["metadata"] |= metadata
        return self("POST", "/training-jobs", made, 201)["metadata"]["id"]

    def ended(self, ident: str) -> Any:
        live = {"Creating", "Pending", "Running", "Terminating"}
        path = f"/training-jobs/{ident}"
        return self.until(
            lambda: next((one for one in [self("GET", path)] if one["status"]["phase"] not in live), None)
        )

    def rows(self, ident: str, **query: Any) -> list[dict[str, Any]]:
        table = self("GET", f"/training-jobs/{ident}/autosearch-trials", **query)["items"]
        return [dict(zip(table["header"], row, strict=True)) for row in table["data"]]

    def sdk(self, ak: str = "ak", sk: str = "sk", kind: str = "ModelArtsClient") -> Any:
        credentials = BasicCredentials(ak, sk, "p")
        return getattr(v1, kind).new_builder().with_credentials(credentials).with_endpoint(self.url).build()
