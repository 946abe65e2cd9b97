"""The emulated Vertex AI by plain HTTP: what it says of jobs, in which order, and how it refuses."""

from __future__ import annotations

import copy
import json
import re
import sys

import pytest

from tuneport.backends.vertex.status import STATUS
from tuneport.emulators.faults import Kind
from tuneport.emulators.pace import Pace
from tuneport.emulators.programs import Programs
from tuneport.emulators.vertex import Options

PARENT = "projects/p/locations/us-central1"
JOBS = "hyperparameterTuningJobs"
DEFINITIONS = "gs://google-cloud-aiplatform/schema/trainingjob/definition"
TASK = ("studySpec", "trialJobSpec", "maxTrialCount", "parallelTrialCount")
BOUNDED = """
import json, os, sys
x = float(sys.argv[-1].removeprefix("--x="))
with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "w") as file:
    for step in range(2):
        for name, value in (("loss", 1 - x + step), ("heat", x)):
            print(json.dumps({name: str(value), "global_step": str(step + 1)}), file=file)
"""
"""The better the trial, the hotter it gets; reports as cloudml-hypertune does, a metric at a time."""
SLOW = f"{sys.executable} -c 'import time; time.sleep(60)'"


def pipeline(job, **more):
    inputs = {name: copy.deepcopy(job[name]) for name in TASK} | {"maxTrialCount": 3.0, "parallelTrialCount": 2.0}
    definition = f"{DEFINITIONS}/hyperparameter_tuning_task_1.0.0.yaml"
    return {"displayName": "tuned", "trainingTaskDefinition": definition, "trainingTaskInputs": inputs} | more


# ---- life of a job --------------------------------------------------------------------------------------------------


def test_a_created_job_is_echoed_in_the_services_own_spelling(api, job):
    job["trialJobSpec"]["scheduling"] = {"timeout": "3600s", "strategy": 4}
    job["studySpec"]["algorithm"] = 3
    job["study_spec"] = job.pop("studySpec")
    made = api.create(body=job, labels={"team": "vision"})
    pool = made["trialJobSpec"]["workerPoolSpecs"][0]
    assert re.fullmatch(rf"{PARENT}/{JOBS}/\d{{19}}", made["name"])
    assert made["state"] == "JOB_STATE_PENDING"
    assert made["createTime"] == made["updateTime"]
    assert {"startTime", "endTime", "trials", "error", "maxFailedTrialCount"}.isdisjoint(made)
    assert pool["replicaCount"] == "1"
    assert pool["diskSpec"] == {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100}
    assert made["studySpec"]["algorithm"] == "RANDOM_SEARCH"
    assert made["trialJobSpec"]["scheduling"]["strategy"] == "SPOT"
    assert made["studySpec"]["parameters"][0]["doubleValueSpec"] == {"maxValue": 1}  # zeros are not said


def test_states_come_in_the_recorded_order(make_api):
    api = make_api(speed=0.0, pace=Pace(creating=1, queued=2, pending=3, quick=True))
    name = api.create()["name"]
    seen = []
    for seconds in (0, 2, 2):
        api.host.clock.advance(seconds)
        seen.append(api("GET", name)["state"])
    api.host.clock.advance(5)
    ended = api.ended(name)
    assert [*seen, ended["state"]] == [f"JOB_STATE_{one}" for one in ("PENDING", "QUEUED", "PENDING", "SUCCEEDED")]
    assert ended["endTime"] == ended["updateTime"]


def test_an_ended_job_has_its_trials_each_with_a_custom_job(api):
    ended = api.ended(api.create()["name"])
    assert {trial["id"] for trial in ended["trials"]} == {"1", "2", "3"}
    for trial in ended["trials"]:
        assert trial["state"] == "SUCCEEDED"
        assert "measurements" not in trial
        assert [one["metricId"] for one in trial["finalMeasurement"]["metrics"]] == ["loss"]
        custom = api("GET", trial["customJob"])
        value = trial["parameters"][0]["value"]
        assert custom["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"] == ["--epochs=5", f"--x={value}"]
        assert (custom["state"], custom["endTime"]) == ("JOB_STATE_SUCCEEDED", trial["endTime"])
    listed = api("GET", f"{PARENT}/customJobs")["customJobs"]
    assert {one["name"] for one in listed} == {trial["customJob"] for trial in ended["trials"]}


def test_a_cancelled_job_says_so_and_can_be_deleted(make_api):
    api = make_api(pace=Pace(), programs=Programs.read([f"gcr.io/p/trainer:1={SLOW}"]))
    name = api.create()["name"]
    refused = api("DELETE", name, status=400)["error"]
    assert refused["status"] == "FAILED_PRECONDITION"
    assert api("POST", f"{name}:cancel", {}) == {}
    ended = api.ended(name)
    assert ended["state"] == "JOB_STATE_CANCELLED"
    assert ended["error"] == {"code": 1, "message": "CANCELED"}
    operation = api("DELETE", name)
    assert operation["done"] is True
    assert operation["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    for prefix in ("/v1", "/ui"):
        assert api("GET", f"{prefix}/{operation['name']}") == operation
    assert api("GET", f"{PARENT}/operations")["operations"] == [operation]
    gone = {"code": 404, "message": "The HyperparameterTuningJob does not exist.", "status": "NOT_FOUND"}
    assert api("GET", name, status=404)["error"] == gone
    assert api("POST", f"{name}:cancel", {}, status=404)["error"] == gone


@pytest.mark.parametrize(("options", "status"), [(None, 400), (Options(cancel_ended=True), 200)])
def test_cancelling_what_has_ended(make_api, options, status):
    api = make_api(options)
    name = api.create()["name"]
    api.ended(name)
    api("POST", f"{name}:cancel", {}, status=status)


def test_failed_trials_are_infeasible_and_enough_of_them_fail_the_job(make_api):
    api = make_api(pace=Pace(), programs=Programs.read([f"gcr.io/p/trainer:1={sys.executable} -c '1/0'"]))
    ended = api.ended(api.create(maxFailedTrialCount=1, parallelTrialCount=1)["name"])
    assert ended["state"] == "JOB_STATE_FAILED"
    assert ended["error"]["message"]
    trial = ended["trials"][0]
    assert trial["state"] == "INFEASIBLE"
    assert "ZeroDivisionError" in trial["infeasibleReason"]
    assert "finalMeasurement" not in trial
    assert api("GET", trial["customJob"])["state"] == "JOB_STATE_FAILED"


@pytest.mark.parametrize("stopping", [False, True])
def test_limits_of_the_study_are_echoed_and_have_no_effect_unless_wanted(make_api, job, stopping):
    api = make_api(Options(stopping=stopping), programs=Programs({"gcr.io/p/trainer:1": lambda x: 1.0}))
    job["studySpec"]["studyStoppingConfig"] = {"maxNumTrialsNoProgress": 1}
    ended = api.ended(api.create(body=job, parallelTrialCount=1)["name"])
    assert ended["studySpec"]["studyStoppingConfig"] == {"maxNumTrialsNoProgress": 1}
    assert (len(ended["trials"]) < 3) is stopping


# ---- custom jobs and pipelines --------------------------------------------------------------------------------------


def test_a_custom_job_runs_once_and_needs_no_metric(make_api, job):
    code = "import os, sys; print(sys.argv[1:], os.environ['TUNEPORT_SPACE'])"
    api = make_api(pace=Pace(), programs=Programs({"gcr.io/p/trainer:1": (sys.executable, "-c", code)}))
    job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"] = ["train"]
    ended = api.ended(api.create("customJobs", {"displayName": "once", "jobSpec": job["trialJobSpec"]})["name"])
    assert ended["state"] == "JOB_STATE_SUCCEEDED"
    assert "trials" not in ended
    number = ended["name"].rpartition("/")[2]
    asked = {"resourceNames": ["projects/p"], "filter": f'resource.labels.job_id="{number}"'}
    entries = api("POST", "/v2/entries:list", asked)["entries"]
    assert [one["jsonPayload"]["message"] for one in entries] == ["['train'] {}"]


def test_a_pipeline_shows_the_job_behind_it_its_best_trial_and_the_model(api, job):
    asked = pipeline(job, modelToUpload={"displayName": "best"}, labels={"a": "b"})
    made = api.create("trainingPipelines", asked)
    assert made["state"] == "PIPELINE_STATE_PENDING"
    assert made["trainingTaskInputs"] == asked["trainingTaskInputs"]
    ended = api.ended(made["name"])
    assert ended["state"] == "PIPELINE_STATE_SUCCEEDED"
    behind = api("GET", ended["trainingTaskMetadata"]["backingHyperparameterTuningJob"])
    best = min(behind["trials"], key=lambda one: one["finalMeasurement"]["metrics"][0]["value"])
    assert ended["trainingTaskMetadata"]["bestTrialBackingCustomJob"] == best["customJob"]
    assert ended["modelToUpload"]["name"].startswith(f"{PARENT}/models/")
    assert api("DELETE", behind["name"], status=400)["error"]["status"] == "FAILED_PRECONDITION"
    assert api("DELETE", made["name"])["done"] is True
    assert api("DELETE", behind["name"])["done"] is True


def test_the_best_trial_keeps_the_bound_although_others_are_better(make_api, job, tmp_path):
    (tmp_path / "train.py").write_text(BOUNDED)
    api = make_api(programs=Programs.read([f"gcr.io/p/trainer:1={sys.executable} {tmp_path / 'train.py'}"]))
    job["studySpec"] = {
        "algorithm": "GRID_SEARCH",
        "measurementSelectionType": "BEST_MEASUREMENT",
        "metrics": [
            {"metricId": "loss", "goal": "MINIMIZE"},
            {"metricId": "heat", "goal": "MINIMIZE", "safetyConfig": {"safetyThreshold": 0.5}},
        ],
        "parameters": [{"parameterId": "x", "discreteValueSpec": {"values": [0.25, 0.5, 0.75]}}],
    }
    ended = api.ended(api.create("trainingPipelines", pipeline(job))["name"])
    behind = api("GET", ended["trainingTaskMetadata"]["backingHyperparameterTuningJob"])
    assert behind["studySpec"]["metrics"] == job["studySpec"]["metrics"]
    read = STATUS.parse(behind)
    assert {trial.metrics["loss"]: trial.metrics["heat"] for trial in read.trials} == {0.75: 0.25, 0.5: 0.5, 0.25: 0.75}
    assert read.best.metrics == {"loss": 0.5, "heat": 0.5}
    assert ended["trainingTaskMetadata"]["bestTrialBackingCustomJob"] == read.best.links["custom_job"]


def test_a_pipelines_inputs_are_refused_as_one(api, job):
    asked = pipeline(job)
    asked["trainingTaskInputs"]["studySpec"]["metrics"] = "loss"
    error = api.create("trainingPipelines", asked, status=400)["error"]
    assert "training_pipeline.training_task_inputs" in error["message"]
    assert "hyperparameter_tuning_task_1.0.0.yaml" in error["message"]


def test_the_custom_job_of_a_trial_can_be_cancelled_by_itself(make_api):
    api = make_api(pace=Pace(), programs=Programs.read([f"gcr.io/p/trainer:1={SLOW}"]))
    name = api.create(maxTrialCount=2, parallelTrialCount=1)["name"]
    first = api.until(lambda: api("GET", name).get("trials"))[0]["customJob"]
    api.until(lambda: api("GET", first)["state"] == "JOB_STATE_RUNNING")
    api("POST", f"{first}:cancel", {})
    api.until(lambda: api("GET", first)["state"] == "JOB_STATE_CANCELLED")
    assert api("POST", f"{first}:cancel", {}, status=400)["error"]["status"] == "FAILED_PRECONDITION"
    assert api("DELETE", first, status=400)["error"]["status"] == "FAILED_PRECONDITION"
    assert len(api.until(lambda: len(api("GET", name)["trials"]) == 2 and api("GET", name)["trials"])) == 2


# ---- refusals -------------------------------------------------------------------------------------------------------


def test_all_problems_are_told_with_the_services_paths(api, job):
    job["trialJobSpec"]["workerPoolSpecs"][0]["machineSpec"]["acceleratorType"] = "NVIDIA_TESLA_T4"
    job["studySpec"]["parameters"][0]["scaleType"] = "UNIT_LOG_SCALE"
    error = api.create(body=job, status=400)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    fields = [one["field"] for one in error["details"][0]["fieldViolations"]]
    assert "study_spec.parameters[0].double_value_spec.min_value" in fields
    assert error["message"].startswith("List of found errors:\t1.Field: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"displayName": None}, "display_name|displayName"),
        ({"maxTrialCount": 0}, "max_trial_count"),
        ({"seed": 1}, 'Unknown name "seed"'),
        ({"DisplayName": "x"}, 'Unknown name "DisplayName"'),
        ({"maxFailedTrialCount": 4}, "max_failed_trial_count"),
        ({"labels": {"Team": "x"}}, "labels"),
        ({"studySpec": {"algorithm": "BAYESIAN"}}, "algorithm"),
    ],
)
def test_what_the_service_refuses_is_refused(api, job, change, said):
    body = {name: value for name, value in (job | change).items() if value is not None}
    error = api.create(body=body, status=400)["error"]
    assert error["status"] == "INVALID_ARGUMENT"
    assert re.search(said, error["message"])
    assert api("GET", f"{PARENT}/{JOBS}") == {JOBS: []}


@pytest.mark.parametrize("body", [[], "x", {"labels": 1}, {"studySpec": json.loads("[" * 900 + "]" * 900)}])
def test_what_is_no_message_is_refused(api, body):
    for collection in (JOBS, "customJobs", "trainingPipelines"):
        error = api("POST", f"{PARENT}/{collection}", body, status=400)["error"]
        assert error["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(("name", "value"), [("pageSize", "x"), ("pageSize", -1), ("pageToken", "abc")])
def test_pages_that_are_none_are_refused(api, name, value):
    error = api("GET", f"{PARENT}/{JOBS}", status=400, **{name: value})["error"]
    assert error["status"] == "INVALID_ARGUMENT"


def test_a_metric_without_a_goal_is_maximized(api, job):
    job["studySpec"]["metrics"] = [{"metricId": "accuracy"}]
    api.create(body=job)


def test_nothing_is_at_unknown_places(api):
    assert api("GET", f"{PARENT}/customJobs/12", status=404)["error"]["message"] == "The CustomJob does not exist."
    assert api("GET", "projects/p/models", status=404)["error"]["status"] == "NOT_FOUND"
    assert api("PUT", f"{PARENT}/{JOBS}", {}, status=405)["error"]["code"] == 405


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", 429, "RESOURCE_EXHAUSTED"),
        ("quota", 429, "RESOURCE_EXHAUSTED"),
        ("error", 503, "UNAVAILABLE"),
    ],
)
def test_faults_are_worded_as_the_service_words_them(api, kind, code, status):
    api.faults.add(Kind(kind), "ListHyperparameterTuningJobs")
    error = api("GET", f"{PARENT}/{JOBS}", status=code)["error"]
    assert (error["code"], error["status"]) == (code, status)


# ---- lists ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def several(api):
    made = [api.create(displayName=f"job-{index}", labels={"n": str(index % 2)})["name"] for index in range(5)]
    for name in made:
        api.ended(name)
    return made


def test_lists_come_in_pages_newest_first_and_without_trials(api, several):
    found, token = [], {}
    for size in (2, 2, 1):
        reply = api("GET", f"{PARENT}/{JOBS}", pageSize=2, **token)
        assert len(reply[JOBS]) == size
        found += reply[JOBS]
        token = {"pageToken": reply["nextPageToken"]} if "nextPageToken" in reply else {}
        api.create()  # what comes in between moves nothing
    assert not token
    assert [one["name"] for one in found] == several[::-1]
    assert all("trials" not in one and one["state"] == "JOB_STATE_SUCCEEDED" for one in found)
    assert api("GET", f"{PARENT}/{JOBS}", pageToken="nonsense", status=400)["error"]["status"] == "INVALID_ARGUMENT"
    assert api("GET", f"projects/other/locations/us-central1/{JOBS}") == {JOBS: []}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('display_name="job-3"', [3]),
        ('displayName:"job-*" AND labels.n=1', [1, 3]),
        ('state!="JOB_STATE_SUCCEEDED"', []),
        ("labels.n:* NOT labels.n=0", [1, 3]),
        ('create_time>"2020-01-01T00:00:00Z" AND (display_name="job-0" OR display_name="job-4")', [0, 4]),
        ('create_time<"2020-01-01T00:00:00Z"', []),
    ],
)
def test_lists_are_filtered(api, several, text, found):
    reply = api("GET", f"{PARENT}/{JOBS}", filter=text, readMask="name")
    assert reply[JOBS] == [{"name": several[index]} for index in reversed(found)]


def test_masks_pick_members(api, several):
    (item, *_) = api("GET", f"{PARENT}/{JOBS}", readMask="displayName,study_spec.metrics")[JOBS]
    assert item == {"displayName": "job-4", "studySpec": {"metrics": [{"metricId": "loss", "goal": "MINIMIZE"}]}}


@pytest.mark.parametrize("text", ["state", 'state>"x"', "(state=x", "error=1", 'training_task_definition="x"'])
def test_filters_that_the_service_does_not_know_are_refused(api, text):
    error = api("GET", f"{PARENT}/{JOBS}", filter=text, status=400)["error"]
    assert error["status"] == "INVALID_ARGUMENT"
