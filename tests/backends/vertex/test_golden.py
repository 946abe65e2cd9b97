"""Documents of Vertex AI beside the jobs that a person read out of them."""

import json
from pathlib import Path

import pytest

from tuneport import exchange
from tuneport.backends.vertex import BACKEND
from tuneport.files import read_job

GOLDEN = Path(__file__).parents[2] / "golden" / "vertex"
POOL = "/trialJobSpec/workerPoolSpecs/[0]"
FORMS = {
    "carried": "job",
    "conditions": "job",
    "custom": "custom-snake",
    "everything": "job",
    "gapic": "job-snake",
    "gcloud": "gcloud",
    "pipeline": "pipeline",
    "response": "response",
    "spec": "custom-spec",
    "symbols": "job",
}
BOXED = {
    "conditions": ["/trialJobSpec/workerPoolSpecs/[1]", "/trialJobSpec/workerPoolSpecs/[2]"],
    "everything": [
        "/studySpec/metrics/[latency]",
        "/studySpec/observationNoise",
        "/studySpec/convexAutomatedStoppingSpec/minMeasurementCount",
        "/studySpec/studyStoppingConfig/minNumTrials",
        f"{POOL}/machineSpec/reservationAffinity",
        f"{POOL}/diskSpec/bootDiskType",
        "/trialJobSpec/scheduling/strategy",
        "/trialJobSpec/scheduling/disableRetries",
        "/trialJobSpec/reservedIpRanges",
        "/trialJobSpec/enableWebAccess",
    ],
    "gapic": [
        f"{POOL}/pythonPackageSpec/packageUris/[1]",
        "/trialJobSpec/workerPoolSpecs/[1]/pythonPackageSpec/packageUris/[1]",
    ],
    "pipeline": ["/inputDataConfig", "/modelToUpload"],
    "spec": [f"{POOL}/machineSpec/tpuTopology"],
    "symbols": [
        "/maxTrialCount",
        "/parallelTrialCount",
        "/studySpec/metrics/[${METRIC}]/goal",
        "/studySpec/parameters/[lr]/doubleValueSpec/minValue",
        "/studySpec/parameters/[lr]/scaleType",
        f"{POOL}/machineSpec/acceleratorCount",
        "/trialJobSpec/scheduling",
    ],
}


def document(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def test_every_golden_is_tested():
    assert {path.stem for path in GOLDEN.glob("*.json")} == FORMS.keys()


@pytest.mark.parametrize("name", FORMS)
def test_the_job_is_the_one_that_a_person_reads(name):
    read = exchange.read(document(name), BACKEND)
    assert read.form == FORMS[name]
    assert read.job.model_copy(update={"native": {}}) == read_job(GOLDEN / f"{name}.job.yaml")


@pytest.mark.parametrize("name", FORMS)
def test_what_has_no_word_is_kept(name):
    boxed = exchange.read(document(name), BACKEND).boxed
    expected = BOXED.get(name, [])
    assert all(any(f"{one}/".startswith(f"{place}/") for place in expected) for one in boxed), boxed
    assert all(any(f"{one}/".startswith(f"{place}/") for one in boxed) for place in expected), boxed


@pytest.mark.parametrize("name", FORMS)
def test_the_document_comes_back(name):
    read = exchange.read(document(name), BACKEND)
    back = exchange.translate(read.job, BACKEND, read.settings, form=read.form)
    assert back.payload == document(name)


def test_settings_are_read_where_a_request_says_them():
    said = exchange.read(document("everything"), BACKEND).settings
    assert (said.project, said.region) == ("p", "europe-west4")
    assert exchange.read(document("pipeline"), BACKEND).settings.region == "europe-west4"
    assert exchange.read(document("gcloud"), BACKEND).settings == BACKEND.settings_type()
