"""tuneport's own client of Vertex AI: on the emulator, and on a session that answers what a test says."""

from __future__ import annotations

import inspect
import json
import os
import sys
from itertools import product

import google.auth.exceptions
import pytest
import requests
import requests.exceptions
from google.rpc.code_pb2 import Code

import tuneport as tp
from tuneport.backends import retries
from tuneport.backends.vertex import BACKEND, client
from tuneport.emulators.pace import Pace
from tuneport.emulators.programs import Programs
from tuneport.errors import (
    AuthError,
    BackendError,
    BackendNotInstalledError,
    ConflictError,
    QuotaError,
    RunNotFoundError,
    UnavailableError,
)
from tuneport.model.results import RunState, TrialState
from tuneport.translating import translate

IMAGE = "gcr.io/p/trainer:1"
PARENT = "projects/p/locations/us-central1"
TRAINER = """
import sys, tuneport_trial as t
p = t.params()
print("layers", type(p["layers"]).__name__)
t.report(loss=(p["lr"] - 0.03) ** 2 + p["layers"], step=1)
"""
JOBS = "vertex/hyperparameterTuningJobs"


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(retries, "SLOWEST", 0.001)
    monkeypatch.setattr(client, "_POLL", 0.001)


@pytest.fixture
def make_door(open_door, monkeypatch):
    def make(**arguments):
        host, door = open_door("vertex", **arguments)
        monkeypatch.setenv("TUNEPORT_VERTEX__ENDPOINT", door.endpoints["vertex"])
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
        return host

    return make


@pytest.fixture
def job():
    return tp.TuningJob(
        name="digits",
        study=tp.StudySpec(
            parameters=[
                tp.Float("lr", 1e-4, 0.1, scale="log"),
                tp.Int("layers", 1, 8),
                tp.Categorical("wide", [True, False]),
            ],
            objectives=[tp.minimize("loss")],
        ),
        trial=tp.TrialSpec(image=IMAGE, resources=tp.Resources(machine="n1-standard-4")),
        budget=tp.Budget(max_trials=4, parallel_trials=2),
    )


@pytest.fixture
def payload(job):
    return translate(job, "vertex", settings={"project": "p"}).payload


# ---- on the emulator ------------------------------------------------------------------------------------------------


def test_a_job_goes_there_and_its_trials_come_back(make_door, job, tmp_path, monkeypatch):
    make_door(pace=Pace(), programs=Programs({IMAGE: (sys.executable, "-c", TRAINER)}))
    run = tp.submit(job, on="vertex", workspace=tmp_path / "here")
    result = run.wait(timeout=60)
    assert result.state is RunState.SUCCEEDED
    assert run.ref.startswith("vertex:us-central1/p/")
    for trial in result.trials:
        assert {name: type(value) for name, value in trial.parameters.items()} == {
            "lr": float,
            "layers": int,
            "wide": bool,
        }
        assert trial.metrics["loss"] == (trial.parameters["lr"] - 0.03) ** 2 + trial.parameters["layers"]
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")  # the reference says where the job is
    elsewhere = tp.attach(run.ref, workspace=tmp_path / "elsewhere")
    assert elsewhere.best == result.best
    assert "layers int" in list(elsewhere.logs(1))
    with pytest.raises(ConflictError):
        elsewhere.stop()
    elsewhere.delete()
    with pytest.raises(RunNotFoundError):
        run.result()


def test_a_job_is_stopped_but_no_trial_of_it(make_door, job, tmp_path):
    make_door(pace=Pace(), programs=Programs({IMAGE: (sys.executable, "-c", "import time; time.sleep(60)")}))
    run = tp.submit(job, on="vertex", workspace=tmp_path)
    while not run.trials:
        pass
    with pytest.raises(BackendError, match="cannot stop one trial"):
        run.stop(1)
    with pytest.raises(ConflictError):
        run.delete()
    run.stop()
    assert run.wait(timeout=30).state is RunState.STOPPED


def test_a_pipeline_is_followed_through_the_job_behind_it(make_door, job, tmp_path):
    host = make_door()
    uploading = job.changed(native={"vertex": {"$form": "pipeline", "modelToUpload": {"displayName": "best"}}})
    run = tp.submit(uploading, on="vertex", workspace=tmp_path)
    assert "/trainingPipelines/" in run.ref
    result = run.wait(timeout=30)
    assert result.links["model"].startswith(f"{PARENT}/models/")
    assert [trial.state for trial in result.trials] == [TrialState.SUCCEEDED] * 4
    assert any("synthetic" in line for line in run.logs(2))
    run.delete()
    assert host.documents.all("vertex/trainingPipelines") == []


def settings_here():
    return BACKEND.settings_type(endpoint=os.environ["TUNEPORT_VERTEX__ENDPOINT"])


def name_of(run):
    region, project, number = run.ref.removeprefix("vertex:").split("/")
    return f"projects/{project}/locations/{region}/hyperparameterTuningJobs/{number}"


# ---- on a session of the test's own ---------------------------------------------------------------------------------


class Session:
    """Answers with what a test says, and keeps what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def request(self, method, url, json=None, params=None, timeout=None):
        assert timeout
        self.asked.append((method, url, json, params))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, requests.Response) else reply(answer)


def reply(body, status=200):
    made = requests.Response()
    made.status_code = status
    made._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return made


def refused(status, code, message="no", **more):
    return reply({"error": {"code": code, "message": message, "status": status, **more}}, code)


def connected(*answers):
    session = Session(*answers)
    return client.VertexClient(session, "p", "us-central1", "https://service", "https://logging"), session


def test_a_thousand_trials_cost_one_call(payload, tmp_path):
    trials = [
        {"id": str(number), "state": "SUCCEEDED", "parameters": [{"parameterId": "lr", "value": 0.01}],
         "finalMeasurement": {"metrics": [{"metricId": "loss", "value": 0.5}]}}
        for number in range(1, 1001)
    ]  # fmt: skip
    name = f"{PARENT}/hyperparameterTuningJobs/1"
    tuned = payload | {"name": name, "state": "JOB_STATE_RUNNING", "trials": trials}
    behind = {"backingHyperparameterTuningJob": name}
    inputs = {one: payload[one] for one in ("studySpec", "trialJobSpec", "maxTrialCount", "parallelTrialCount")}
    pipeline = {
        "name": f"{PARENT}/trainingPipelines/2",
        "displayName": "d",
        "state": "PIPELINE_STATE_RUNNING",
        "trainingTaskDefinition": "gs://google-cloud-aiplatform/schema/trainingjob/definition/"
        "hyperparameter_tuning_task_1.0.0.yaml",
        "trainingTaskInputs": inputs,
        "trainingTaskMetadata": behind,
    }
    for answers, ref, calls in [
        ([tuned], "us-central1/p/1", 1),
        ([pipeline, pipeline, tuned], "us-central1/p/trainingPipelines/2", 3),
    ]:
        made, session = connected(*answers)
        result = BACKEND.status.parse(made.describe(ref), made.trials(ref))
        assert len(result.trials) == 1000
        assert len(session.asked) == calls


def test_a_submission_is_marked_and_looked_for_by_its_mark(payload):
    names = {"6": "another's", "7": payload["displayName"]}
    items = [{"name": f"{PARENT}/hyperparameterTuningJobs/{one}", "displayName": title} for one, title in names.items()]
    listed = {"hyperparameterTuningJobs": items}
    made, session = connected(requests.exceptions.ConnectionError("reset"), {"nextPageToken": "2"}, listed)
    assert made.submit(payload | {"labels": {"team": "a"}}, "abc") == "us-central1/p/7"
    (_, url, sent, _), (*_, first), (*_, second) = session.asked
    assert url == f"https://service/v1/{PARENT}/hyperparameterTuningJobs"
    assert sent["labels"] == {"team": "a", "tuneport": "abc"}
    assert first == {"filter": 'labels.tuneport="abc"', "readMask": "name,displayName"}
    assert second == first | {"pageToken": "2"}


@pytest.mark.parametrize(
    ("document", "collection"),
    [
        ({"studySpec": {}}, "hyperparameterTuningJobs"),
        ({"study_spec": {}}, "hyperparameterTuningJobs"),
        ({"trainingTaskDefinition": "x"}, "trainingPipelines"),
        ({"training_task_definition": "x"}, "trainingPipelines"),
        ({"jobSpec": {}}, "customJobs"),
    ],
)
def test_documents_go_where_they_belong(document, collection):
    made, session = connected({"name": f"{PARENT}/{collection}/7"})
    ref = made.submit(document, "abc")
    assert session.asked[0][1] == f"https://service/v1/{PARENT}/{collection}"
    made.describe(ref)
    assert session.asked[1][1] == f"https://service/v1/{PARENT}/{collection}/7"


def test_what_is_no_resource_of_its_own_is_not_sent():
    made, session = connected({})
    with pytest.raises(BackendError, match="cannot be submitted"):
        made.submit({"workerPoolSpecs": []}, "abc")
    assert session.asked == []


@pytest.mark.parametrize("ref", ["", "us-central1", "us-central1/p", "us-central1/p/", "a/b/c/d/e", "//1"])
def test_what_is_no_reference_is_said_to_be_none(ref):
    made, session = connected({})
    with pytest.raises(RunNotFoundError, match="no job of Vertex AI"):
        made.describe(ref)
    assert session.asked == []


def test_a_deletion_is_waited_for():
    done = {"name": "operations/1", "done": True, "response": {}}
    made, session = connected({"name": "operations/1"}, {"name": "operations/1", "done": False}, done)
    made.delete("us-central1/p/1")
    assert len(session.asked) == 3
    failed = {"name": "operations/1", "done": True, "error": {"code": 9, "message": "not yet"}}
    with pytest.raises(ConflictError, match="not yet"):
        connected(failed)[0].delete("us-central1/p/1")


def test_a_repeated_deletion_or_stop_may_find_that_it_is_done():
    lost, gone, ended = (
        requests.exceptions.ReadTimeout(),
        refused("NOT_FOUND", 404),
        refused("FAILED_PRECONDITION", 400),
    )
    connected(lost, gone)[0].delete("us-central1/p/1")
    connected(lost, ended)[0].stop("us-central1/p/1")
    with pytest.raises(RunNotFoundError):
        connected(gone)[0].delete("us-central1/p/1")
    with pytest.raises(ConflictError):
        connected(ended)[0].stop("us-central1/p/1")


# ---- errors ---------------------------------------------------------------------------------------------------------


def error_of(answer):
    made, _ = connected(answer)
    with pytest.raises(BackendError) as raised:
        made._call("GET", "https://service")
    return raised.value


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused("INVALID_ARGUMENT", 400), BackendError),
        (refused("FAILED_PRECONDITION", 400), ConflictError),
        (refused("UNAUTHENTICATED", 401), AuthError),
        (refused("PERMISSION_DENIED", 403), AuthError),
        (refused("NOT_FOUND", 404), RunNotFoundError),
        (refused("ALREADY_EXISTS", 409), ConflictError),
        (refused("ABORTED", 409), UnavailableError),
        (refused("RESOURCE_EXHAUSTED", 429, "Quota exceeded for 'Requests per minute per region'."), UnavailableError),
        (
            refused("RESOURCE_EXHAUSTED", 429, "The following quota metrics exceed quota limits: custom_cpus"),
            QuotaError,
        ),
        (refused("INTERNAL", 500), UnavailableError),
        (refused("UNIMPLEMENTED", 501), BackendError),
        (refused("SOMETHING_NEW", 400), BackendError),
        (reply(b"<html>Bad Gateway</html>", 502), UnavailableError),
        (reply(b"<html>Forbidden</html>", 403), AuthError),
        (reply(b"[]", 404), RunNotFoundError),
        (reply(b'{"error": "invalid_grant"}', 401), AuthError),
        (reply(b'{"name": "cut o'), UnavailableError),
        (requests.exceptions.SSLError("certificate"), BackendError),
        (google.auth.exceptions.RefreshError("expired"), AuthError),
        (google.auth.exceptions.RefreshError("busy", retryable=True), UnavailableError),
        (google.auth.exceptions.TransportError("no route"), UnavailableError),
        (ConnectionResetError("reset"), UnavailableError),
    ],
)
def test_errors_are_ours_with_theirs_as_the_cause(answer, kind):
    error = error_of(answer)
    assert type(error) is kind
    assert isinstance(error.__cause__, Exception)
    assert error.backend == "vertex"


def exceptions_of(module, root):
    return [one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, root)]


def test_every_exception_and_every_code_has_an_error_of_ours():
    theirs = exceptions_of(google.auth.exceptions, google.auth.exceptions.GoogleAuthError)
    theirs += exceptions_of(requests.exceptions, requests.exceptions.RequestException)
    assert len(theirs) > 30
    for one in theirs:
        made = one("no", "doc", 0) if issubclass(one, requests.exceptions.JSONDecodeError) else one("no")
        if isinstance(made, requests.exceptions.HTTPError):
            made.response = reply(b"", 500)
        assert error_of(made).__cause__ is made
    codes = {number: name for name, number in Code.items() if number}
    assert codes == dict(enumerate(client.STATUSES, start=1))
    for status, code in product([*client.STATUSES, None], [400, 401, 403, 404, 408, 409, 418, 429, 499, 500, 503, 504]):
        assert error_of(refused(status, code)).message


def test_problems_of_a_request_have_their_places():
    field = "trial_job_spec.worker_pool_specs[0].machine_spec.accelerator_type"
    detail = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field, "description": "no"}],
    }
    (problem,) = error_of(refused("INVALID_ARGUMENT", 400, details=[detail])).problems
    assert problem.pointer == "/trialJobSpec/workerPoolSpecs/0/machineSpec/acceleratorType"


# ---- credentials ----------------------------------------------------------------------------------------------------

USER = {
    "type": "authorized_user",
    "client_id": "c",
    "client_secret": "s",
    "refresh_token": "r",
    "quota_project_id": "paid",
}


@pytest.fixture
def adc(monkeypatch, tmp_path):
    """Application default credentials from a file, and nothing else."""
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    file = tmp_path / "adc.json"
    file.write_text(json.dumps(USER))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    return file


def test_application_default_credentials_and_their_places_are_used(adc, monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "mine")
    made = BACKEND.connect(BACKEND.settings_type(region="europe-west4"))
    assert made._service == "https://europe-west4-aiplatform.googleapis.com/v1"
    assert made._logging == "https://logging.googleapis.com/v2"
    assert made._project == "mine"
    assert made._session.credentials.quota_project_id == "paid"
    made = BACKEND.connect(BACKEND.settings_type(project="other"), endpoint="https://private.example/")
    assert (made._service, made._project) == ("https://private.example/v1", "other")


def test_a_probe_tells_the_way_without_secrets(adc, make_door, monkeypatch):
    host = make_door()
    host.faults.add("quota", "ListLogEntries")
    found = {one.what: one for one in BACKEND.connect(settings_here()).probe()}
    assert {name for name, one in found.items() if not one.ok} == {"logs"}
    assert found["project"].found == "p"
    assert found["tuning jobs"].found == "may be read"
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    there = {one.what: one for one in BACKEND.connect(BACKEND.settings_type(region="europe-west4")).probe()}
    assert not there["project"].ok
    assert there["endpoint"].found == "https://europe-west4-aiplatform.googleapis.com"
    assert there["credentials"].found == "oauth2.credentials"
    assert found["credentials"].found == "none"
    assert "tuning jobs" not in there


def test_credentials_do_not_travel_in_the_clear(adc):
    made = BACKEND.connect(BACKEND.settings_type(project="p", endpoint="http://127.0.0.1:1"))
    assert type(made._session.credentials).__name__ == "AnonymousCredentials"


def test_missing_credentials_projects_and_packages_are_told(adc, monkeypatch):
    with pytest.raises(AuthError, match="which project"):
        BACKEND.connect(BACKEND.settings_type(endpoint="http://127.0.0.1:1")).submit({"studySpec": {}}, "abc")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    with pytest.raises(AuthError, match="gcloud auth application-default login") as raised:
        BACKEND.connect(BACKEND.settings_type(project="p"))
    assert isinstance(raised.value.__cause__, google.auth.exceptions.DefaultCredentialsError)
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(BackendNotInstalledError, match=r"pip install 'tuneport\[vertex\]'"):
        BACKEND.connect(BACKEND.settings_type(project="p"))
