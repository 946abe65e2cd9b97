"""Fixtures for tests of the engine: a workspace, and jobs around tiny real trainers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.backends.local.settings import LocalSettings
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Float
from tuneport.model.results import StudyResult
from tuneport.model.study import Random, StudySpec, minimize
from tuneport.model.trial_spec import TrialSpec

DRIVER = """
import sys
from pathlib import Path
from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.backends.local.settings import LocalSettings
client = LocalClient(LocalSettings(workspace=Path(sys.argv[1]), grace=1.0, gpus=0), lambda _: launch)
client.drive(sys.argv[2])
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    settings = LocalSettings(workspace=tmp_path / "workspace", grace=1.0, gpus=0)
    client = LocalClient(settings, lambda _: launch, create=True)
    yield client
    client.close()


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., TuningJob]:
    """A job whose trial runs a Python script; it knows `x` and prints or reports."""

    def make(script: str, **fields: Any) -> TuningJob:
        path = tmp_path / "trainer.py"
        path.write_text(f"import sys, os, time\nx = float(sys.argv[1].partition('=')[2])\n{script}\n")
        study = {
            "parameters": (Float("x", 0.0, 1.0),),
            "objectives": (minimize("loss"),),
            "algorithm": Random(seed=1),
        } | fields.pop("study", {})
        trial = {"command": ("python", str(path)), "metrics": {"loss": r"loss=(\S+)"}} | fields.pop("trial", {})
        budget = {"max_trials": 3} | fields.pop("budget", {})
        return TuningJob(
            name="test", study=StudySpec(**study), trial=TrialSpec(**trial), budget=Budget(**budget), **fields
        )

    return make


@pytest.fixture
def run(client: LocalClient, tmp_path: Path) -> Callable[[TuningJob], StudyResult]:
    """Runs a job to its end in this process."""

    def drive(job: TuningJob) -> StudyResult:
        name = client.create(job, tmp_path, "process", "test")
        client.drive(name)
        return client.result(name)

    return drive


@pytest.fixture
def start_driver() -> Callable[..., subprocess.Popen[bytes]]:
    """Starts a process that drives a run, to be killed; `first` is code that it runs before."""

    def start(client: LocalClient, name: str, first: str = "") -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", first + DRIVER, str(client.workspace), name])

    return start


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes GPUs that NVML then shows, here and in processes that are started; see standins/pynvml.py."""

    def make(*gpus: dict[str, Any]) -> Path:
        folder = tmp_path / "gpus"
        folder.mkdir(exist_ok=True)
        (folder / "gpus.json").write_text(json.dumps(gpus))
        standins = str(Path(__file__).parent / "standins")
        monkeypatch.setenv("STANDIN_GPUS", str(folder))
        monkeypatch.setenv("TMPDIR", str(tmp_path))  # where runs tell each other what they lease
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setenv("PYTHONPATH", standins, prepend=os.pathsep)
        monkeypatch.syspath_prepend(standins)
        monkeypatch.delitem(sys.modules, "pynvml", raising=False)
        return folder

    return make


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes on this machine, to which this process is not connected."""
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - loading Ray takes longer than most tests

    health = {  # a dead node is noticed within seconds, a slow one is not taken for dead
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 1000,
        "health_check_timeout_ms": 10_000,
        "health_check_failure_threshold": 3,
    }
    head = {"num_cpus": 2, "include_dashboard": False, "_system_config": health}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=2)
    yield cluster
    cluster.shutdown()
