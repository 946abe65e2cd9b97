"""Vertex AI through google-cloud-aiplatform's own clients, over gRPC: the same client, calls of another kind."""

import grpc
import pytest
from google.api_core import exceptions

import tuneport as tp
from tuneport import api
from tuneport.backends.vertex.gapic import _of_call
from tuneport.errors import BackendError, ConflictError, RunNotFoundError, UnavailableError

SETTINGS = {
    "image": "gcr.io/t/t:1",
    "output": "gs://b/o",
    "machine": "n1-standard-4",
    "project": "p",
    "transport": "grpc",
}


@pytest.fixture
def settings(tuneport_cloud):
    return SETTINGS | {"endpoint": f"http://{tuneport_cloud['vertex_grpc']}"}


def job(**budget):
    return tp.TuningJob(
        name="digits",
        study=tp.StudySpec(
            parameters=[tp.Float("rate", 1e-3, 1, scale="log"), tp.Int("width", 1, 8)],
            objectives=[tp.minimize("loss")],
        ),
        trial=tp.TrialSpec(image="gcr.io/t/t:1"),
        budget=tp.Budget(**({"max_trials": 3} | budget)),
    )


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, settings):
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(f"TUNEPORT_VERTEX__{name.upper()}", value)


def test_a_job_is_submitted_followed_read_and_deleted():
    run = tp.submit(job(), on="vertex")
    assert run.wait(60).state == "succeeded"
    assert [type(one) for one in run.trials[0].parameters.values()] == [float, int]
    assert all("loss" in one.metrics for one in run.trials)
    assert tp.attach(run.ref).job.study.parameters == job().study.parameters
    run.delete()
    with pytest.raises(RunNotFoundError):
        _ = run.state


def test_it_is_what_rest_would_have_read(tuneport_cloud, monkeypatch):
    run = tp.submit(job(), on="vertex")
    run.wait(60)
    over_grpc = run.result
    api.ledger().forget(run.ref)  # which remembers how it was submitted
    monkeypatch.setenv("TUNEPORT_VERTEX__TRANSPORT", "rest")
    monkeypatch.setenv("TUNEPORT_VERTEX__ENDPOINT", tuneport_cloud["vertex"])
    assert tp.attach(run.ref).result == over_grpc


def test_pipelines_and_stopping(tuneport_cloud):
    tuneport_cloud.map("gcr.io/t/t:1", "sleep 60")
    for form in ("job", "pipeline"):
        run = tp.submit(job(), on="vertex", form=form)
        run.stop()
        assert run.wait(60).state == "stopped"
        with pytest.raises(ConflictError):
            run.stop()


def test_an_answer_that_is_lost_makes_one_job(tuneport_cloud):
    tuneport_cloud.faults.add("lost", "vertex/hyperparameterTuningJobs*", calls=[1])
    run = tp.submit(job(), on="vertex")
    assert run.wait(60).state == "succeeded"


def test_refusals_say_where(tuneport_cloud):
    with pytest.raises(BackendError, match="Vertex AI"):
        tp.attach("vertex:us-central1/p/12").wait()


@pytest.mark.parametrize("kind", [one for one in vars(exceptions).values() if isinstance(one, type)], ids=str)
def test_every_refusal_of_the_sdk_is_one_of_ours(kind):
    if not issubclass(kind, exceptions.GoogleAPICallError):
        return
    found = _of_call(kind("no"))
    assert isinstance(found, BackendError)
    assert "no" in found.message
    if kind.grpc_status_code is grpc.StatusCode.UNAVAILABLE:
        assert isinstance(found, UnavailableError)
