"""What can be wrong with answers themselves, for every client: what comes back is a result, or one of our errors."""

import json

import pytest
from wire import Wire, said

import tuneport as tp
from tuneport.backends import modelarts, retries, sagemaker, vertex
from tuneport.errors import (
    AuthError,
    BackendError,
    ConflictError,
    QuotaError,
    RunNotFoundError,
    TuneportError,
    UnavailableError,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:huaweicloudsdkcore")

PAGE = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
STUDY = {
    "parameters": [{"name": "lr", "kind": "float", "low": 0.001, "high": 0.1}],
    "objectives": [{"metric": "loss", "goal": "minimize"}],
}


class Vertex:
    backend = vertex.BACKEND
    settings = {"project": "p"}
    trial = {"image": "gcr.io/p/t:1", "resources": {"machine": "n1-standard-4"}}
    ref = "us-central1/p/123"
    known = {"name": "projects/p/locations/us-central1/hyperparameterTuningJobs/123", "state": "JOB_STATE_RUNNING"}
    state, trials = "state", "trials"
    kinds = {400: BackendError, 401: AuthError, 403: AuthError, 404: RunNotFoundError, 409: ConflictError}

    @classmethod
    def pages(cls, described, *trials):
        return [described | {"trials": list(trials)}]

    @staticmethod
    def trial_of(state, value, metric):
        final = {"metrics": [{"metricId": "loss", "value": metric}]}
        return {"id": "1", "state": state, "finalMeasurement": final,
                "parameters": [{"parameterId": "lr", "value": value}]}  # fmt: skip


class SageMaker:
    backend = sagemaker.BACKEND
    settings = {"role": "arn:aws:iam::123456789012:role/t", "output": "s3://bucket/out", "region": "eu-west-1"}
    trial = {
        "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/t:1",
        "resources": {"machine": "ml.m5.large"},
        "timeout": 3600,
        "metrics": {"loss": "loss=(.*)"},
    }
    ref = "eu-west-1/digits-123"
    known = {"HyperParameterTuningJobName": "digits-123", "HyperParameterTuningJobStatus": "InProgress",
             "HyperParameterTuningJobArn": "arn:aws:sagemaker:eu-west-1:1:hyper-parameter-tuning-job/digits-123",
             "CreationTime": 1.7e9}  # fmt: skip
    state = "HyperParameterTuningJobStatus"
    kinds = {400: BackendError, 401: AuthError, 403: AuthError, 404: BackendError, 409: BackendError}

    @classmethod
    def pages(cls, described, *trials):
        return [described, {"TrainingJobSummaries": list(trials)}]

    @staticmethod
    def trial_of(state, value, metric):
        final = {"MetricName": "loss", "Value": metric}
        return {"TrainingJobName": "digits-123-001-0f", "TrainingJobStatus": state, "CreationTime": 1.7e9,
                "TunedHyperParameters": {"lr": str(value)}, "FinalHyperParameterTuningJobObjectiveMetric": final,
                "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:1:training-job/digits-123-001-0f"}  # fmt: skip


class ModelArts:
    backend = modelarts.BACKEND
    settings = {}
    trial = {"image": "team/t:1", "command": ["python", "t.py"], "resources": {"machine": "modelarts.vm.cpu.8u"}}
    ref = "cn-north-4/123"
    known = {"metadata": {"id": "123", "name": "digits-123"}, "status": {"phase": "Running"}}
    state = "status/phase"
    kinds = {400: BackendError, 401: AuthError, 403: AuthError, 404: RunNotFoundError, 409: ConflictError}

    @classmethod
    def pages(cls, described, *trials):
        header = ["trial_id", "config", "status", "loss"]
        return [described, {}, {"total": len(trials), "items": {"header": header, "data": list(trials)}}]

    @staticmethod
    def trial_of(state, value, metric):
        return ["0f3a", json.dumps({"lr": value}), state, str(metric)]


@pytest.fixture(params=[Vertex, SageMaker, ModelArts], ids=lambda one: one.__name__)
def cloud(request):
    return request.param


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    monkeypatch.setattr(retries, "SLOWEST", 0.001)
    monkeypatch.setattr(retries, "ATTEMPTS", 3)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulated")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulated")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


@pytest.fixture
def wire():
    made = Wire()
    yield made
    made.close()


@pytest.fixture
def client(cloud, wire):
    return cloud.backend.connect(cloud.backend.settings_type(**cloud.settings), endpoint=wire.url)


@pytest.fixture
def run(cloud, wire, monkeypatch, tmp_path):
    """The run of `ref`, with all that reads it."""
    for name, value in (cloud.settings | {"endpoint": wire.url}).items():
        monkeypatch.setenv(f"TUNEPORT_{cloud.backend.name.upper()}__{name.upper()}", value)
    return tp.attach(f"{cloud.backend.name}:{cloud.ref}", workspace=tmp_path)


def answers(*documents):
    return [said(200, json.dumps(one)) for one in documents]


BROKEN = {
    "cut off": said(200, '{"name": "projects/p/loc'),
    "a page": said(200, PAGE, "Content-Type: text/html"),
    "no text": said(200, b"\xff\xfe\x00\x80"),
    "nothing": said(200),
    "no object": said(200, '["a", "list"]'),
    "an empty object": said(200, "{}"),
    "a gateway": said(502, PAGE, "Content-Type: text/html"),
    "down": said(503),
    "a list": said(500, "[]"),
    "a text": said(504, '{"error": "a text"}'),
    "too many": said(429, "", "Retry-After: 1"),
    "too many until": said(429, PAGE, "Retry-After: Wed, 21 Oct 2099 07:28:00 GMT"),
    "reset": Wire.RESET,
    "reset in the middle": said(200, '{"name": "projects', length=4000),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no gzip": said(200, b"plain", "Content-Encoding: gzip"),
    "a chunk that is cut off": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"name"',
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_what_passes_is_asked_again(cloud, client, wire, broken):
    wire.answers = [broken, *answers(cloud.known, {})]
    assert client.describe(cloud.ref).items() >= cloud.known.items()
    wire.answers = [broken]
    with pytest.raises(UnavailableError):
        client.describe(cloud.ref)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_refusals_without_words_are_known_by_their_status(cloud, client, wire, status):
    bodies = ["", PAGE, "{", '{"error": null}', '{"error": {"status": "NEW", "message": 3}}', "[3]"]
    for asked, body in enumerate(bodies, start=1):
        wire.answers = [said(status, body)]
        with pytest.raises(cloud.kinds[status]) as caught:
            client.describe(cloud.ref)
        assert type(caught.value) is cloud.kinds[status]
        assert caught.value.message
        assert len(wire.asked) == asked


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirections_lead_to_a_result_or_an_error(cloud, client, wire, status):
    wire.answers = [said(status, "", f"Location: {wire.url}/elsewhere")]  # for ever
    with pytest.raises(BackendError):
        client.describe(cloud.ref)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_creation_whose_answer_is_broken_is_looked_for(cloud, client, wire, broken):
    job = {"name": "digits", "study": STUDY, "trial": cloud.trial, "budget": {"max_trials": 2}}
    payload = tp.translate(job, cloud.backend.name, settings=cloud.settings).payload
    listed = {"name": "digits-123", "items": [cloud.known], "displayName": "digits"} | cloud.known
    known = [cloud.known | {"displayName": "digits"}]
    listed |= {"hyperparameterTuningJobs": known, "nextPageToken": ""}
    wire.answers = [broken, *answers(listed)]
    assert client.submit(payload, "123") == cloud.ref
    assert len(wire.asked) == 2


@pytest.mark.parametrize("state", ["", "SOMETHING_NEW", None, 7, "Running "])
def test_states_that_nobody_knows_do_not_end_a_run(cloud, run, wire, state):
    head, _, tail = cloud.state.partition("/")
    described = cloud.known | {head: {tail: state} if tail else state}
    wire.answers = answers(*cloud.pages(described, cloud.trial_of("Hovering", 0.01, 0.5)))
    result = outcome(run)
    assert result is None or not result.state.ended


@pytest.mark.parametrize("value", [1e308, -1e308, 1e-320, 10**400, "NaN", "Infinity", "", None, [], "x" * 10_000])
def test_odd_values_of_parameters_and_metrics(cloud, run, wire, value):
    wire.answers = answers(*cloud.pages(cloud.known, cloud.trial_of("Completed", value, value)))
    outcome(run)


@pytest.mark.parametrize("missing", range(6))
def test_fields_that_are_missing(cloud, run, wire, missing):
    full = cloud.trial_of("Completed", 0.01, 0.5)
    left = {name: full[name] for name in list(full)[:missing]} if isinstance(full, dict) else full[:missing]
    wire.answers = answers(*cloud.pages(cloud.known, left))
    outcome(run)


def outcome(run):
    """The result of a run, or None where there is an error of ours instead; anything else is not to happen."""
    try:
        return run.result
    except TuneportError:
        return None


def test_a_quota_is_not_waited_for(cloud, client, wire):
    words = {
        "vertex": said(429, json.dumps({"error": {"status": "RESOURCE_EXHAUSTED",
                       "message": "The following quota metrics exceed quota limits: custom_model_training_cpus"}})),
        "sagemaker": said(400, '{"__type": "ResourceLimitExceeded", "message": "no more"}'),
        "modelarts": said(403, '{"error_code": "ModelArts.2816", "error_msg": "no more"}'),
    }  # fmt: skip
    wire.answers = [words[cloud.backend.name]]
    with pytest.raises(QuotaError):
        client.describe(cloud.ref)
    assert len(wire.asked) == 1
