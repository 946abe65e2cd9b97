"""ModelArts keeps what every backend promises."""

from pathlib import Path

from tuneport.backends.modelarts import BACKEND
from tuneport.testing.conformance import Conformance


class TestModelArts(Conformance):
    backend = BACKEND
    settings = {
        "image": "team/train:1",
        "machine": "modelarts.vm.cpu.8u",
        "output": "obs://bucket/results/",
    }
    at_home = {
        "registry.example/train:1": "team/train:1",
        "registry.example/b:1": "team/b:1",
        "gs://bucket/train.tar.gz": "obs://bucket/train/",
        "s3://bucket/train/": "obs://bucket/train/",
        "s3://bucket/results/": "obs://bucket/results/",
        "n1-standard-8": "modelarts.vm.cpu.8u",
        "a100-40gb": "v100-32gb",
    }
    goldens = Path(__file__).parents[2] / "golden" / "modelarts"
