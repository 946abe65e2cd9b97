"""The door of Vertex AI, open for one test, and the plainest requests."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tuneport.emulators import vertex
from tuneport.emulators.host import Host

IMAGE = "gcr.io/p/trainer:1"
PARENT = "projects/p/locations/us-central1"
POOL = {
    "machineSpec": {"machineType": "n1-standard-4"},
    "replicaCount": 1,
    "containerSpec": {"imageUri": IMAGE, "args": ["--epochs=5"]},
}
JOB = {
    "displayName": "digits",
    "maxTrialCount": 3,
    "parallelTrialCount": 2,
    "studySpec": {
        "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
        "parameters": [{"parameterId": "x", "doubleValueSpec": {"minValue": 0, "maxValue": 1}}],
    },
    "trialJobSpec": {"workerPoolSpecs": [POOL]},
}


class Api:
    """The door by plain HTTP."""

    def __init__(self, door: vertex.VertexDoor, host: Host, until: Callable[..., Any]) -> None:
        self.door, self.host, self.faults, self.until = door, host, host.faults, until
        self.session = requests.Session()

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200, **query: Any) -> Any:
        path = path if path.startswith("/") else f"/v1/{path}"
        reply = self.session.request(method, self.door.endpoints["vertex"] + path, json=body, params=query)
        assert reply.status_code == status, reply.text
        return reply.json()

    def create(
        self, collection: str = "hyperparameterTuningJobs", body: Any = None, status: int = 200, **more: Any
    ) -> Any:
        return self("POST", f"{PARENT}/{collection}", copy.deepcopy(body or JOB) | more, status)

    def ended(self, name: str) -> Any:
        return self.until(lambda: next((one for one in [self("GET", name)] if "endTime" in one), None))


@pytest.fixture
def make_api(open_door: Callable[..., Any], until: Callable[..., Any]) -> Iterator[Callable[..., Api]]:
    opened = []

    def make(options: vertex.Options | None = None, **arguments: Any) -> Api:
        host, door = open_door("vertex", options, **arguments)
        opened.append(Api(door, host, until))
        return opened[-1]

    yield make
    for api in opened:
        api.session.close()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()


@pytest.fixture
def job() -> dict[str, Any]:
    return copy.deepcopy(JOB)
