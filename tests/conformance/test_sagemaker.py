"""SageMaker keeps the contract of backends (docs/contract.md)."""

from pathlib import Path

from tuneport.backends.sagemaker import BACKEND
from tuneport.testing.conformance import Conformance

_REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


class TestSageMaker(Conformance):
    backend = BACKEND
    settings = {
        "region": "eu-west-1",
        "role": "arn:aws:iam::123456789012:role/tuning",
        "output": "s3://bucket/output",
        "image": f"{_REGISTRY}/train:1",
        "machine": "ml.m5.xlarge",
    }
    at_home = {
        "registry.example/train:1": f"{_REGISTRY}/train:1",
        "registry.example/b:1": f"{_REGISTRY}/b:1",
        "gs://bucket/train.tar.gz": "s3://bucket/train.tar.gz",
        "nfs://10.0.0.2/data": "efs://fs-0123456789abcdef0/data",
        "trainer": "arn:aws:iam::123456789012:role/trainer",
        "key": "arn:aws:kms:eu-west-1:123456789012:key/0",
        "n1-standard-8": "ml.m5.2xlarge",
        "pool-1": "arn:aws:sagemaker:eu-west-1:123456789012:training-plan/plan-1",
        "local:older": "sagemaker:older",
    }
    goldens = Path(__file__).parents[1] / "golden" / "sagemaker"
    mutants = 20_000
