"""SageMaker's emulator with boto3's clients of it, and a request that it takes."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tuneport.emulators.faults import Faults
from tuneport.emulators.host import Host
from tuneport.emulators.pace import Pace
from tuneport.emulators.sagemaker import serve
from tuneport.emulators.sagemaker.tuning import Options

REQUEST = {
    "HyperParameterTuningJobName": "Demo-1",
    "HyperParameterTuningJobConfig": {
        "Strategy": "Random",
        "RandomSeed": 7,
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": {
            "ContinuousParameterRanges": [{"Name": "lr", "MinValue": "1e-4", "MaxValue": "0.1"}],
            "IntegerParameterRanges": [{"Name": "depth", "MinValue": "2", "MaxValue": "9", "ScalingType": "Linear"}],
            "CategoricalParameterRanges": [{"Name": "opt", "Values": ["adam", '"sgd"']}],
        },
    },
    "TrainingJobDefinition": {
        "StaticHyperParameters": {"epochs": "10"},
        "AlgorithmSpecification": {
            "TrainingImage": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/demo:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([-+0-9.eE]+)"}],
        },
        "RoleArn": "arn:aws:iam::111122223333:role/demo",
        "OutputDataConfig": {"S3OutputPath": "s3://demo-bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    },
}
IMAGE = REQUEST["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"]


class Cloud:
    """The emulator, and clients of it."""

    def __init__(self, host: Host, faults: Faults, url: str) -> None:
        self.host = host
        self.faults = faults
        self.url = url
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str = "sagemaker", region: str = "eu-west-1") -> Any:
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id="emulated",
                aws_secret_access_key="emulated",
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service, region]

    def create(self, request: dict[str, Any] | None = None, **named: Any) -> str:
        answer = self.client().create_hyper_parameter_tuning_job(**(request or changed(**named)))
        return answer["HyperParameterTuningJobArn"]

    def describe(self, name: str = "Demo-1") -> dict[str, Any]:
        return self.client().describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    def ended(self, name: str = "Demo-1") -> dict[str, Any]:
        return self.until(lambda: (said := self.describe(name))["HyperParameterTuningJobStatus"] in ENDED and said)

    def trainings(self, name: str = "Demo-1", **request: Any) -> list[dict[str, Any]]:
        asked = {"HyperParameterTuningJobName": name, **request}
        return self.client().list_training_jobs_for_hyper_parameter_tuning_job(**asked)["TrainingJobSummaries"]

    def until(self, look: Callable[[], Any], patience: float = 20) -> Any:
        end = time.monotonic() + patience
        while not (found := look()):
            assert time.monotonic() < end, "nothing came of it"
            time.sleep(0.02)
        return found

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


ENDED = {"Completed", "Failed", "Stopped"}


def changed(name: str = "Demo-1", **config: Any) -> dict[str, Any]:
    """The request under another name, with members of its configuration replaced; None: removed."""
    request: dict[str, Any] = copy.deepcopy(REQUEST)
    request["HyperParameterTuningJobName"] = name
    request["HyperParameterTuningJobConfig"] |= config
    for member in [member for member, value in config.items() if value is None]:
        del request["HyperParameterTuningJobConfig"][member]
    return request


@pytest.fixture
def request_of() -> Callable[..., dict[str, Any]]:
    return changed


@pytest.fixture
def image() -> str:
    return IMAGE


@contextmanager
def opened(base: Path, folder: Path | None = None, **options: Any) -> Iterator[Cloud]:
    faults = Faults()
    host = Host(folder, pace=Pace(quick=True), faults=faults, grace=1.0, base=base)
    door = serve(host, faults, 0, Options(**options))
    made = Cloud(host, faults, door.endpoints["sagemaker"])
    try:
        yield made
    finally:
        made.close()
        door.close()
        host.close()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def reopen(tmp_path: Path) -> Callable[..., AbstractContextManager[Cloud]]:
    """Opens an emulator that keeps its state, with options."""
    return lambda **options: opened(tmp_path, tmp_path / "state", **options)
