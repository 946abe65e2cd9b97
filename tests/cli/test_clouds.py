"""run, submit, follow and stop on a cloud: nothing is sent too early, and Ctrl-C only stops watching."""

import json
import os
import sys

import pytest

TRIAL = {"image": "gcr.io/p/t:1", "resources": {"machine": "n1-standard-4"}}
ENDLESS = "import time; time.sleep(600)"


@pytest.fixture
def write(desk, tuneport_cloud):
    """Writes the file of a job for Vertex AI; commands find the emulators by the environment."""
    desk.env |= {name: value for name, value in os.environ.items() if name.startswith(("TUNEPORT", "GOOGLE"))}

    def written(code=None, **study):
        job = json.loads((desk.folder / desk.job()).read_text()) | {"trial": TRIAL}
        del job["study"]["algorithm"]
        job["study"] |= study
        (desk.folder / "job.yaml").write_text(json.dumps(job))
        if code is not None:
            tuneport_cloud.map(TRIAL["image"], [sys.executable, "-c", code])
        return "job.yaml"

    return written


def sent(cloud):
    return cloud.host.documents.with_runs()


def test_dry_run_shows_what_would_be_sent_and_sends_nothing(desk, write, tuneport_cloud):
    done = desk.here("submit", write(), "--on", "vertex", "--dry-run")
    assert done.status == 0
    assert json.loads(done.out)["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["imageUri"] == TRIAL["image"]
    assert sent(tuneport_cloud) == []
    assert desk.here("runs", "--json").json == []


def test_more_loss_than_is_tolerated_is_not_sent(desk, write, tuneport_cloud):
    lossy = write(parameters=[{"name": "x", "kind": "categorical", "choices": [True, False]}])  # Vertex AI has texts
    for verb in ("submit", "run"):
        done = desk.here(verb, lossy, "--on", "vertex", "--tolerate", "exact", "--json")
        assert (done.status, done.json["error"]["code"]) == (4, "lossy-translation")
    assert sent(tuneport_cloud) == []
    assert desk.here("submit", lossy, "--on", "vertex", "--tolerate", "emulated").status == 0
    assert len(sent(tuneport_cloud)) == 1


def test_control_c_during_run_only_stops_watching(desk, write, tuneport_cloud):
    process = desk.start("run", write(ENDLESS), "--on", "vertex")
    desk.until_said(process, "run vertex:")
    done = desk.interrupt(process)
    (one,) = desk.here("runs", "--json").json
    assert done.status == 130
    assert done.err.endswith(f"go on with it: tuneport follow {one['ref']}\n")
    assert desk.here("status", one["ref"], "--json").json["state"] == "running"
    assert desk.here("resume", one["ref"]).status == 1
    watching = desk.start("follow", one["ref"])
    desk.until_said(watching, f"run {one['ref']}")
    assert desk.interrupt(watching).status == 130
    assert desk.here("stop", one["ref"], "1").status == 1  # Vertex AI has no way to
    assert desk.here("stop", one["ref"]).status == 0
    assert desk.here("follow", one["ref"], "-q").status == 8


def test_one_trial_is_stopped_and_its_log_read(desk, tuneport_cloud):
    job = json.loads((desk.folder / desk.job()).read_text())
    image = {"image": "team/t:1", "command": ["python", "t.py"], "resources": {"machine": "modelarts.vm.cpu.8u"}}
    (desk.folder / "job.yaml").write_text(json.dumps(job | {"trial": image, "budget": {"max_trials": 1}}))
    tuneport_cloud.map("team/t:1", [sys.executable, "-c", f"print('begun', flush=True); {ENDLESS}"])
    ref = desk.here("submit", "job.yaml", "--on", "modelarts", "--tolerate", "dropped").out.strip()
    desk.until(lambda: "begun" in desk.here("logs", ref, "1").out)
    assert desk.here("stop", ref, "1").status == 0
    desk.until(lambda: desk.here("trials", ref, "--json").json[0]["state"] != "running")


@pytest.mark.parametrize(("fault", "status"), [("quota", 6), ("error", 1)])
def test_what_the_service_refuses_has_its_exit_status(desk, write, tuneport_cloud, monkeypatch, fault, status):
    monkeypatch.setattr("tuneport.backends.retries.ATTEMPTS", 2)
    tuneport_cloud.faults.add(fault, "Create*")
    done = desk.here("submit", write(), "--on", "vertex", "--json")
    assert (done.status, sent(tuneport_cloud)) == (status, [])


def test_without_credentials_the_status_is_five(desk, write, monkeypatch):
    monkeypatch.setenv("TUNEPORT_VERTEX__ENDPOINT", "https://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(desk.folder / "none.json"))
    done = desk.here("submit", write(), "--on", "vertex", "--json")
    assert (done.status, done.json["error"]["code"]) == (5, "auth")


def test_an_emulated_cloud_is_looked_at_by_doctor(desk, tuneport_cloud):
    done = desk.here("doctor", "vertex", "sagemaker", "modelarts", "--json")
    found = {(one["about"], one["what"]): one for one in done.json}
    assert done.status == 0, [one for one in done.json if not one["ok"]]
    for cloud, package in [
        ("vertex", "google-cloud-aiplatform"),
        ("sagemaker", "boto3"),
        ("modelarts", "huaweicloudsdkmodelarts"),
    ]:
        assert found[cloud, package]["found"][0].isdigit()
        assert found[cloud, "endpoint"]["found"].rstrip("/") == tuneport_cloud[cloud]
        assert found[cloud, "credentials"]["found"]
    assert found["modelarts", "engines"]["found"] == "PyTorch, TensorFlow, Custom"
    assert found["sagemaker", "tuning jobs"]["found"] == "can be read"
