"""Vertex AI keeps the contract of backends (docs/contract.md)."""

from pathlib import Path

from tuneport.backends.vertex import BACKEND
from tuneport.testing.conformance import Conformance

_BUCKET = "gs://bucket"
_KEY = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"


class TestVertex(Conformance):
    backend = BACKEND
    settings = {
        "image": "gcr.io/p/train:1",
        "machine": "n1-standard-4",
        "output": f"{_BUCKET}/output/",
        "service_account": "setting@p.iam.gserviceaccount.com",
    }
    at_home = {
        "registry.example/train:1": "gcr.io/p/train:1",
        "registry.example/b:1": "gcr.io/p/b:1",
        "s3://bucket/train/": f"{_BUCKET}/train/",
        "s3://bucket/results/": f"{_BUCKET}/results/",
        "trainer": "trainer@p.iam.gserviceaccount.com",
        "net": "projects/1/global/networks/net",
        "key": _KEY,
        "board": "projects/1/locations/us-central1/tensorboards/2",
    }
    goldens = Path(__file__).parents[1] / "golden" / "vertex"
    mutants = 20_000
