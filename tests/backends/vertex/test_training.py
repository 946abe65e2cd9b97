"""What Vertex AI says of a custom job, and what one is asked for."""

import pytest

from tuneport import driven
from tuneport.backends.vertex.training import status_of
from tuneport.model.job import TuningJob
from tuneport.model.results import FailureKind

K = FailureKind


@pytest.mark.parametrize(
    ("state", "error", "kind", "code"),
    [
        ("SUCCEEDED", None, None, None),
        ("PARTIALLY_SUCCEEDED", None, None, None),
        ("CANCELLED", {"code": 1, "message": "CANCELED"}, K.CANCELLED, None),
        ("EXPIRED", {"code": 4, "message": "max wait"}, K.INFRASTRUCTURE, None),
        ("FAILED", {"code": 3, "message": "The replica workerpool0-0 exited with a non-zero status of 3."}, K.CODE, 3),
        ("FAILED", {"code": 3, "message": "out of memory, exited with a non-zero status of 137"}, K.OUT_OF_MEMORY, 137),
        ("FAILED", {"code": 8, "message": "Resources are insufficient in us-central1."}, K.INFRASTRUCTURE, None),
        ("FAILED", {"code": 13, "message": "Internal error occurred."}, K.INFRASTRUCTURE, None),
        ("FAILED", {"code": 10, "message": "The VM was preempted too often."}, K.PREEMPTED, None),
        ("FAILED", {"code": 4, "message": "timeout"}, K.TIMED_OUT, None),
        ("FAILED", None, K.CODE, None),
    ],
)  # fmt: skip
def test_how_a_job_ended(state, error, kind, code):
    job = {"state": f"JOB_STATE_{state}", "startTime": "1970-01-01T00:00:01Z", "endTime": "1970-01-01T00:00:03Z"}
    status = status_of(job | ({"error": error} if error else {}))
    assert (status.started, status.ended) == (1.0, 3.0)
    assert (status.failure and status.failure.kind) == kind
    assert (status.failure and status.failure.exit_code) == code


@pytest.mark.parametrize(
    ("state", "begun"),
    [("QUEUED", False), ("PENDING", False), ("PAUSED", False), ("RUNNING", True), ("CANCELLING", True)],
)
def test_how_a_job_goes(state, begun):
    status = status_of({"state": f"JOB_STATE_{state}", "startTime": "1970-01-01T00:00:01Z"})
    assert status.ended is None
    assert (status.started is not None) is begun


def test_every_machine_of_a_trial_gets_its_parameters_and_the_job_its_labels():
    job = TuningJob.model_validate(
        {
            "name": "digits",
            "labels": {"team": "vision"},
            "study": {
                "parameters": [{"name": "x", "kind": "float", "low": 0, "high": 1}],
                "objectives": [{"metric": "loss", "goal": "minimize"}],
            },
            "trial": {
                "image": "gcr.io/p/t:1",
                "parameters": {"fixed": True},
                "env": {"A": "b"},
                "timeout": 60,
                "resources": {"machine": "n1-standard-4", "replicas": 3},
                "output": {"uri": "gs://bucket/runs"},
            },
        }
    )
    document = driven.preview(job, "vertex", {"project": "p"})
    assert document["displayName"] == "run-00000000-1-1"
    assert document["labels"] == {
        "team": "vision", "tuneport": "run-00000000-1-1", "tuneport_run": "run-00000000"
    }  # fmt: skip
    assert document["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"] == "gs://bucket/runs/run-00000000/1"
    assert document["jobSpec"]["scheduling"]["timeout"] == "60s"
    first, others = document["jobSpec"]["workerPoolSpecs"]
    assert others["replicaCount"] == "2"
    assert first["containerSpec"] == others["containerSpec"]
    assert first["containerSpec"]["args"][0] == "--fixed=true"
    assert [one.partition("=")[0] for one in first["containerSpec"]["args"]] == ["--fixed", "--x"]
    told = {one["name"]: one["value"] for one in first["containerSpec"]["env"]}
    assert told == {
        "A": "b",
        "TUNEPORT_SPACE": '{"fixed": "bool", "x": "float"}',
        "TUNEPORT_OBJECTIVE": "loss",
        "TUNEPORT_REPORT": "print",
    }


def test_pools_of_a_box_get_the_parameters_too_and_only_what_custom_jobs_have_is_sent():
    pools = [{"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1", "containerSpec": {"imageUri": "e"}}]
    job = TuningJob.model_validate(
        {
            "name": "digits",
            "study": {
                "parameters": [{"name": "x", "kind": "float", "low": 0, "high": 1}],
                "objectives": [{"metric": "loss", "goal": "minimize"}],
            },
            "trial": {"image": "gcr.io/p/t:1", "resources": {"machine": "n1-standard-4"}},
            "native": {
                "vertex": {
                    "modelToUpload": {"displayName": "m"},
                    "trialJobSpec": {"workerPoolSpecs": {"[1]": {"$is": {}}, "[2]": {"$is": pools[0]}}},
                }
            },
        }
    )
    document = driven.preview(job, "vertex", {"project": "p"})
    assert document.keys() == {"displayName", "labels", "jobSpec"}
    ours, unused, boxed = document["jobSpec"]["workerPoolSpecs"]
    assert unused == {}
    assert boxed["containerSpec"]["args"] == ours["containerSpec"]["args"]
    assert boxed["containerSpec"]["env"] == ours["containerSpec"]["env"]
