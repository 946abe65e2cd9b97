"""Jobs as a cloud's request would ask for them, and hosts that are closed when a test ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuneport.emulators.host import Host
from tuneport.model.job import TuningJob

sys.path.append(str(Path(__file__).parent))  # for small_door

MakeJob = Callable[..., TuningJob]
MakeHost = Callable[..., Host]


@pytest.fixture
def make_job() -> MakeJob:
    def make(
        *, trial: dict[str, Any] | None = None, study: dict[str, Any] | None = None, name: str = "digits", **budget: Any
    ) -> TuningJob:
        return TuningJob.model_validate(
            {
                "name": name,
                "study": {
                    "parameters": [{"name": "x", "kind": "float", "low": 0, "high": 1}],
                    "objectives": [{"metric": "loss", "goal": "minimize"}],
                    "algorithm": {"kind": "random", "seed": 1},
                }
                | (study or {}),
                "trial": {"image": "gcr.io/p/trainer:1"} | (trial or {}),
                "budget": {"max_trials": 3, "parallel_trials": 2} | budget,
            }
        )

    return make


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[MakeHost]:
    hosts = []

    def make(**arguments: Any) -> Host:
        host = Host(**({"grace": 1.0, "base": tmp_path} | arguments))
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.close()
