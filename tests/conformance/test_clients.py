"""Runs keep the contract of runs (docs/contract.md): on this machine, and by the clients on the clouds' emulators."""

import sys

import pytest

from tuneport.backends import local, modelarts, retries, sagemaker, vertex
from tuneport.testing.clients import TRAINER, ClientConformance, RunConformance

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:huaweicloudsdkcore")


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(retries, "SLOWEST", 0.001)


class TestLocal(RunConformance):
    backend = local.BACKEND
    trial = {"command": ["python", "-c", TRAINER]}
    unknown = "local:no-such-run"
    refused = {"/trial/command": ["no-such-program"]}


class OnAnEmulator(ClientConformance):
    @pytest.fixture(autouse=True)
    def emulated(self, tuneport_cloud):
        tuneport_cloud.map(self.trial["image"], [sys.executable, "-c", TRAINER])
        return tuneport_cloud

    def test_an_answer_that_is_lost_is_looked_for(self, job, tmp_path, emulated):
        """K4, where the connection breaks after the job has been made."""
        emulated.faults.add("lost", "Create*", calls={1})
        run = self.submit(job, tmp_path)
        assert [kind for _, kind in emulated.faults.struck] == ["lost"]
        documents = [one for one in emulated.host.documents.with_runs() if one.run is not None]
        assert len(documents) == 1
        assert run.wait(self.timeout).best is not None


class TestVertex(OnAnEmulator):
    backend = vertex.BACKEND
    trial = {"image": "gcr.io/p/specimen:1", "resources": {"machine": "n1-standard-4"}}
    unknown = "vertex:us-central1/emulated/4611686018427387904"
    refused = {"/trial/image": None, "/trial/function": "specimen:train"}


class TestSageMaker(OnAnEmulator):
    backend = sagemaker.BACKEND
    settings = {"role": "arn:aws:iam::123456789012:role/tuning", "output": "s3://bucket/output"}
    trial = {
        "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/specimen:1",
        "resources": {"machine": "ml.m5.large"},
        "timeout": 3600,
    }
    unknown = "sagemaker:eu-west-1/no-such-job"
    refused = {"/budget/parallel_trials": 101, "/budget/max_trials": 200}


class TestModelArts(OnAnEmulator):
    backend = modelarts.BACKEND
    trial = {
        "image": "team/specimen:1",
        "command": ["python", "specimen.py"],
        "resources": {"machine": "modelarts.vm.cpu.8u"},
    }
    unknown = "modelarts:cn-north-4/0f2ccdbb-4f34-4d53-afb9-d526f3be8c68"
    refused = {"/trial/image": None, "/trial/function": "specimen:train"}
