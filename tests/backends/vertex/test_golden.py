"""Golden documents of Vertex AI: what they are recognised as. What they mean is told by the contract of backends."""

from pathlib import Path

import pytest

from tuneport import exchange
from tuneport.backends.vertex import BACKEND
from tuneport.files import read_document
from tuneport.testing.conformance import golden_documents

GOLDEN = {one.stem: one for one in golden_documents(Path(__file__).parents[2] / "golden" / "vertex")}
FORMS = {
    "carried": "job",
    "conditions": "job",
    "create": "create/job-snake",
    "custom": "custom-snake",
    "everything": "job",
    "gapic": "job-snake",
    "gcloud": "gcloud",
    "pipeline": "pipeline",
    "response": "response",
    "spec": "custom-spec",
    "symbols": "job",
}


def read(name):
    return exchange.read(read_document(GOLDEN[name]).data, BACKEND)


@pytest.mark.parametrize("name", GOLDEN)
def test_documents_are_recognised(name):
    assert read(name).form == FORMS[name]


def test_settings_are_read_where_a_request_says_them():
    said = {name: read(name).settings for name in ("everything", "create", "pipeline", "gcloud")}
    assert (said["everything"].project, said["everything"].region) == ("p", "europe-west4")
    assert (said["create"].project, said["create"].region) == ("demo", "europe-west4")
    assert said["pipeline"].region == "europe-west4"
    assert said["gcloud"] == BACKEND.settings_type()
