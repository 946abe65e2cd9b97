"""The nameplate of Vertex AI, its settings, and its table."""

import re

import pytest

from tuneport import exchange
from tuneport.backends.vertex import BACKEND
from tuneport.model.features import Feature
from tuneport.model.job import TuningJob


def test_every_feature_is_judged_with_evidence():
    supports = BACKEND.capabilities.supports
    assert supports.keys() == set(Feature)
    assert not [feature for feature, support in supports.items() if not support.evidence]


def test_settings_say_what_a_job_leaves_open():
    board = "projects/p/locations/l/tensorboards/1"
    said = {name: f"the-{name}" for name in BACKEND.settings_type.WORDS} | {"tensorboard": board}
    parameter = {"name": "x", "kind": "int", "low": 1, "high": 2}
    study = {"parameters": [parameter], "objectives": [{"metric": "m", "goal": "maximize"}]}
    job = TuningJob.model_validate({"name": "job", "study": study, "trial": {"command": ["train"]}})
    completed = exchange.translate(job, BACKEND, BACKEND.settings_type(**said)).job
    assert completed.trial.image == "the-image"
    assert completed.trial.output.uri == "the-output"
    assert completed.trial.identity == "the-service_account"
    assert completed.trial.network.name == "the-network"
    assert completed.trial.encryption.key == "the-key"
    assert completed.trial.resources.machine == "the-machine"
    assert completed.trial.resources.pool == "the-pool"
    assert completed.experiment.tensorboard == board


@pytest.mark.parametrize(
    ("kind", "ours", "others"),
    [
        ("uri", ["gs://b/x", "nfs://10.0.0.2/x"], ["s3://b/x", "obs://b/x", "data/train"]),
        (
            "image",
            [
                "gcr.io/p/i:1",
                "us-docker.pkg.dev/p/r/i@sha256:1",
                "eu.gcr.io/p/i",
                "python:3.12",
                "user/image",
                "docker.io/a/b:1",
            ],
            ["123456789012.dkr.ecr.us-east-1.amazonaws.com/i:1", "swr.cn-north-4.myhuaweicloud.com/o/i:1"],
        ),
        ("machine", ["n1-standard-8", "a2-highgpu-1g", "n1-custom-8-16384"], ["ml.p3.2xlarge", "modelarts.vm.gpu.t4"]),
        ("identity", ["a@p.iam.gserviceaccount.com"], ["arn:aws:iam::123456789012:role/r", "agency"]),
        ("network", ["projects/1/global/networks/n"], ["vpc-1", "subnet-1"]),
        ("key", ["projects/p/locations/l/keyRings/r/cryptoKeys/k"], ["arn:aws:kms:eu-west-1:1:key/k"]),
    ],
)
def test_what_is_at_home_here(kind, ours, others):
    pattern = getattr(BACKEND.capabilities.home, kind)
    assert all(re.fullmatch(pattern, one) for one in ours)
    assert not any(re.fullmatch(pattern, one) for one in others)
