"""The example of a backend keeps the contract; it is adopted as its author would do it."""

import sys
from pathlib import Path

from tuneport.testing.conformance import Conformance

PLUGIN = Path(__file__).parents[2] / "examples" / "your-own-backend"
sys.path.insert(0, str(PLUGIN))
from tuneport_nimbus import BACKEND  # noqa: E402


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
    goldens = PLUGIN / "tests" / "golden"
