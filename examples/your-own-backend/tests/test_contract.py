"""Nimbus keeps the contract of backends: docs/contract.md of tuneport."""

from pathlib import Path

from tuneport_nimbus import BACKEND

from tuneport.testing.conformance import Conformance


class TestNimbus(Conformance):
    backend = BACKEND
    settings = {"image": "nimbus/train:1", "results": "nim://bucket/results/"}
    at_home = {
        "registry.example/train:1": "nimbus/train:1",
        "registry.example/b:1": "nimbus/b:1",
        "s3://bucket/train/": "nim://bucket/train/",
        "s3://bucket/results/": "nim://bucket/results/",
        "n1-standard-8": "n.large",
    }
    goldens = Path(__file__).parent / "golden"
