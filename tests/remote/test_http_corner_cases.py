"""What can be wrong with HTTP itself where the SDKs use requests: what comes back is a result, or one of our errors.

What can be wrong with the bytes of answers, for every client, is in test_on_the_wire.py.
"""

import pytest
import requests
import responses
import urllib3
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession

from tuneport.backends import modelarts, retries
from tuneport.backends.vertex.client import VertexClient
from tuneport.errors import AuthError, BackendError, ConflictError, QuotaError, RunNotFoundError, UnavailableError

HOST = "https://us-central1-aiplatform.googleapis.com"
JOBS = f"{HOST}/v1/projects/p/locations/us-central1/hyperparameterTuningJobs"
REF = "us-central1/p/123"
PAGE = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
JOB = {"name": "projects/p/locations/us-central1/hyperparameterTuningJobs/123", "displayName": "digits"}
PAYLOAD = {"displayName": "digits", "studySpec": {}, "trialJobSpec": {}}


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(retries, "SLOWEST", 0.0)


@pytest.fixture
def wire():
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def client():
    session = AuthorizedSession(AnonymousCredentials())
    return VertexClient(session, "p", "us-central1", HOST, "https://logging.googleapis.com")


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 200, "body": '{"name": "projects/p/loc'},
        {"status": 200, "body": PAGE, "content_type": "text/html"},
        {"status": 200, "body": b"\xff\xfe\x00"},
        {"status": 200, "body": ""},
        {"status": 200, "json": {}},
        {"status": 200, "json": ["a", "list"]},
        {"status": 502, "body": PAGE, "content_type": "text/html"},
        {"status": 503, "body": ""},
        {"status": 500, "json": []},
        {"status": 504, "json": {"error": "a text"}},
        {"status": 429, "json": {"error": {"status": "RESOURCE_EXHAUSTED"}}, "headers": {"Retry-After": "1"}},
        {"status": 429, "body": "", "headers": {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}},
        {"body": requests.exceptions.ConnectionError("reset")},
        {"body": requests.exceptions.ReadTimeout("slow")},
        {"body": requests.exceptions.ChunkedEncodingError("cut off")},
        {"body": requests.exceptions.ContentDecodingError("no gzip")},
    ],
)
def test_what_passes_is_asked_again(wire, client, answer):
    wire.get(f"{JOBS}/123", **answer)
    wire.get(f"{JOBS}/123", json=JOB)
    assert client.describe(REF) == JOB


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BackendError), (401, AuthError), (403, AuthError), (404, RunNotFoundError), (409, ConflictError)],
)
@pytest.mark.parametrize("body", ["", PAGE, "{", '{"error": null}', '{"error": {"status": "NEW", "message": 3}}'])
def test_refusals_without_words_are_known_by_their_status(wire, client, status, kind, body):
    wire.get(f"{JOBS}/123", status=status, body=body)
    with pytest.raises(kind) as caught:
        client.describe(REF)
    assert type(caught.value) is kind
    assert not caught.value.retryable
    assert caught.value.message


def test_a_service_that_stays_down_is_given_up(wire, client):
    wire.get(f"{JOBS}/123", status=503, body=PAGE, content_type="text/html")
    with pytest.raises(UnavailableError):
        client.describe(REF)
    assert len(wire.calls) == retries.ATTEMPTS


def test_a_quota_of_the_project_is_not_waited_for(wire, client):
    message = "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus"
    wire.post(JOBS, status=429, json={"error": {"status": "RESOURCE_EXHAUSTED", "message": message}})
    with pytest.raises(QuotaError):
        client.submit(PAYLOAD, "a1b2c3")
    assert len(wire.calls) == 1


@pytest.mark.parametrize("answer", [{"body": '{"name": "proj'}, {"body": ""}, {"body": PAGE}, {"status": 502}])
def test_a_creation_whose_answer_is_broken_is_looked_for(wire, client, answer):
    wire.post(JOBS, **answer)
    wire.get(JOBS, json={"hyperparameterTuningJobs": [JOB]})
    assert client.submit(PAYLOAD, "a1b2c3") == REF
    assert [call.request.method for call in wire.calls] == ["POST", "GET"]


def test_empty_bodies_are_fine_where_nothing_is_to_be_said(wire, client):
    wire.post(f"{JOBS}/123:cancel", body="")
    client.stop(REF)
    wire.delete(f"{JOBS}/123", body="")
    client.delete(REF)


def test_a_read_is_redirected_but_not_forever(wire, client):
    wire.get(f"{JOBS}/123", status=302, headers={"Location": f"{HOST}/elsewhere"})
    wire.get(f"{HOST}/elsewhere", json=JOB)
    assert client.describe(REF) == JOB
    wire.get(f"{HOST}/round", status=302, headers={"Location": f"{HOST}/round"})
    wire.replace("GET", f"{HOST}/elsewhere", status=302, headers={"Location": f"{HOST}/round"})
    with pytest.raises(BackendError):
        client.describe(REF)


# ---- ModelArts ------------------------------------------------------------------------------------------------------

TRAINING_JOBS = "http://modelarts.test/v2/emulated/training-jobs"
TRAINING_JOB = {"metadata": {"id": "123", "name": "digits-a1b2c3"}}


@pytest.fixture
def huawei(monkeypatch):
    monkeypatch.delenv("HUAWEICLOUD_SDK_AK", raising=False)
    return modelarts.BACKEND.connect(modelarts.BACKEND.settings_type(endpoint="http://modelarts.test"))


EXCEPTIONS = [
    requests.exceptions.ConnectionError("reset"),
    requests.exceptions.ConnectTimeout("slow"),
    requests.exceptions.ReadTimeout("slow"),
    requests.exceptions.ChunkedEncodingError("cut off"),
    requests.exceptions.ContentDecodingError("no gzip"),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:huaweicloudsdkcore")
@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_modelarts_is_asked_again_and_a_creation_looked_for(wire, huawei, error):
    wire.get(f"{TRAINING_JOBS}/123", body=error)
    wire.get(f"{TRAINING_JOBS}/123", json=TRAINING_JOB)
    wire.get("http://modelarts.test/v2/emulated/modelarts-training-job/123/tags", json={"tags": []})
    assert huawei.describe("cn-north-4/123") == TRAINING_JOB
    wire.post(TRAINING_JOBS, body=error)
    wire.post("http://modelarts.test/v2/emulated/training-job-searches", json={"items": [TRAINING_JOB]})
    assert huawei.submit({"metadata": {"name": "digits"}, "algorithm": {}}, "a1b2c3") == "cn-north-4/123"
    assert [call.request.method for call in wire.calls][-2:] == ["POST", "POST"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:huaweicloudsdkcore")
def test_modelarts_that_cannot_be_trusted_is_not_asked_again(wire, huawei):
    reason = urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.SSLError("certificate"))
    wire.get(f"{TRAINING_JOBS}/123", body=requests.exceptions.SSLError(reason))
    with pytest.raises(BackendError) as caught:
        huawei.describe("cn-north-4/123")
    assert not caught.value.retryable
    assert len(wire.calls) == 1
