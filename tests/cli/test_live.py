"""`check --live` and `doctor` ask the cloud whether the way to it is free, by harmless reads."""

import json

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:huaweicloudsdkcore")

ARN = "arn:aws:iam::123456789012:role/tuning"
JOBS = {
    "vertex": ({"image": "gcr.io/p/t:1", "resources": {"machine": "n1-standard-4"}}, ()),
    "sagemaker": (
        {
            "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/t:1",
            "resources": {"machine": "ml.m5.large"},
            "timeout": 3600,
        },
        ("--set", f"role={ARN}", "--set", "output=s3://bucket/out"),
    ),
    "modelarts": (
        {"image": "team/t:1", "command": ["python", "t.py"], "resources": {"machine": "modelarts.vm.cpu.8u"}},
        (),
    ),
}


@pytest.fixture
def check(desk, tuneport_cloud, monkeypatch):
    """Checks the job of a cloud; the endpoints are in the environment of the test, and so of the command."""

    def checked(cloud, *options):
        trial, settings = JOBS[cloud]
        job = json.loads((desk.folder / desk.job()).read_text()) | {"trial": trial}
        del job["study"]["algorithm"]
        (desk.folder / "job.yaml").write_text(json.dumps(job))
        return desk.here("check", "job.yaml", "--on", cloud, *settings, *options)

    return checked


@pytest.mark.parametrize("cloud", JOBS)
def test_the_way_is_free(check, cloud, tuneport_cloud):
    done = check(cloud, "--live")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("ok: tiny")
    assert tuneport_cloud.host.documents.with_runs() == []


def test_what_is_in_the_way_is_told_with_a_hint(check, tuneport_cloud):
    tuneport_cloud.faults.add("quota", "List*")
    assert check("vertex").status == 0
    done = check("vertex", "--live", "--json")
    assert done.status == 5
    error = done.json["error"]
    assert error["code"] == "auth"
    assert {one["message"].partition(":")[0] for one in error["problems"]} >= {"tuning jobs", "pipelines"}
    assert "the way to vertex is not free" in error["message"]


def test_what_the_job_names_is_looked_for(check, monkeypatch):
    monkeypatch.setitem(JOBS["modelarts"][0], "resources", {"machine": "modelarts.vm.cpu.9u"})
    done = check("modelarts", "--live", "--json")
    assert done.status == 5
    (problem,) = done.json["error"]["problems"]
    assert problem["message"] == "machine type: modelarts.vm.cpu.9u is not offered"


def test_without_a_project_there_is_no_way(check, monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    done = check("vertex", "--live", "--json")
    assert done.status == 5
    assert [one["hint"] for one in done.json["error"]["problems"]] == [
        "set project in [vertex] of tuneport.toml, TUNEPORT_VERTEX__PROJECT or GOOGLE_CLOUD_PROJECT"
    ]


def test_only_clouds_can_be_asked(desk):
    done = desk.here("check", desk.job(), "--live")
    assert done.status == 2
