"""ModelArts keeps the contract of backends (docs/contract.md)."""

from pathlib import Path

from tuneport.backends.modelarts import BACKEND
from tuneport.testing.conformance import Conformance


class TestModelArts(Conformance):
    backend = BACKEND
    settings = {"image": "team/train:1", "machine": "modelarts.vm.cpu.8u", "output": "obs://bucket/output/"}
    at_home = {
        "registry.example/train:1": "team/train:1",
        "registry.example/b:1": "team/b:1",
        "s3://bucket/train/": "obs://bucket/train/",
        "s3://bucket/results/": "obs://bucket/results/",
        "gs://bucket/train.tar.gz": "obs://bucket/train/",
        "n1-standard-8": "modelarts.vm.cpu.8u",
        "a100-40gb": "v100-32gb",
    }
    goldens = Path(__file__).parents[1] / "golden" / "modelarts"
    mutants = 20_000
