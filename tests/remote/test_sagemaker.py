"""Jobs on SageMaker through tuneport's own client, against the emulator: sent once, read back, stopped, deleted."""

import builtins
import os
import sys
from collections import Counter

import botocore.exceptions
import botocore.loaders
import pytest
from botocore.parsers import ResponseParserError

import tuneport as tp
from tuneport.backends import retries
from tuneport.backends.sagemaker import client as sagemaker
from tuneport.backends.sagemaker.client import SageMakerClient
from tuneport.backends.sagemaker.settings import SageMakerSettings
from tuneport.backends.sagemaker.status import STATUS
from tuneport.emulators.faults import Faults
from tuneport.emulators.host import Host
from tuneport.emulators.pace import Pace
from tuneport.emulators.programs import Programs
from tuneport.emulators.sagemaker import serve
from tuneport.errors import (
    AuthError,
    BackendError,
    BackendNotInstalledError,
    ConflictError,
    QuotaError,
    RunNotFoundError,
    UnavailableError,
)
from tuneport.model.results import TrialState

IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/trainer:1"
SCRIPT = "import tuneport_trial as t; p = t.params(); print(f\"loss={(p['x'] - 0.3) ** 2 + p['k'] / 7}\")"
COMMAND = (sys.executable, "-c", SCRIPT)
SETTINGS = {"role": "arn:aws:iam::111122223333:role/tuning", "machine": "ml.m5.large", "region": "eu-west-1"}


def job_of(trials=3, **trial):
    return tp.TuningJob.model_validate(
        {
            "name": "digits",
            "study": {
                "parameters": [  # in the order in which requests have them: integers before all others
                    {"name": "k", "kind": "int", "low": 1, "high": 9, "scale": "linear"},
                    {"name": "x", "kind": "float", "low": 0, "high": 1, "scale": "linear"},
                ],
                "objectives": [{"metric": "loss", "goal": "minimize"}],
                "algorithm": {"kind": "random", "seed": 3},
            },
            "trial": {
                "image": IMAGE,
                "output": {"uri": "s3://bucket/runs"},
                "metrics": {"loss": "loss=([-+0-9.eE]+)"},
                "timeout": 3600,
            }
            | trial,
            "budget": {"max_trials": trials, "parallel_trials": min(trials, 10)},
        }
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Credentials of no worth, no settings of this machine's user, and short pauses."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulated")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulated")
    monkeypatch.setattr(retries, "SLOWEST", 0.01)
    monkeypatch.setattr("tuneport.remote.runs.SOONEST", 0.05)


@pytest.fixture
def service(tmp_path, monkeypatch):
    """The emulator, with trials in no time unless they are mapped; tuneport finds it by its settings."""
    faults = Faults()
    host = Host(pace=Pace(quick=True), faults=faults, programs=Programs(), grace=1.0, base=tmp_path)
    door = serve(host, faults, 0)
    monkeypatch.setenv("TUNEPORT_SAGEMAKER__ENDPOINT", door.endpoints["sagemaker"])
    host.faults_of_calls = faults
    yield host
    door.close()
    host.close()


@pytest.fixture
def submit(tmp_path):
    return lambda job: tp.submit(job, on="sagemaker", settings=SETTINGS, workspace=tmp_path / "workspace")


def service_url():
    return os.environ["TUNEPORT_SAGEMAKER__ENDPOINT"]


def payload():
    return tp.translate(job_of(1), to="sagemaker", settings=SETTINGS).payload


def jobs(host):
    return host.documents.all("sagemaker/tuning-job")


# ---- a job's life ---------------------------------------------------------------------------------------------------


def test_a_job_runs_there_as_it_would_here(service, submit, tmp_path):
    service.programs.map(IMAGE, COMMAND)
    run = submit(job_of())
    there = run.wait(timeout=30)
    local = job_of(image=None, output=None, command=COMMAND)
    here = tp.run(local, on="local", workspace=tmp_path / "here").result
    assert there.state == "succeeded"
    assert run.job == job_of()
    assert [one.parameters for one in there.trials] == [one.parameters for one in here.trials]
    for remote, mine in zip(there.trials, here.trials, strict=True):
        assert remote.metrics["loss"] == pytest.approx(mine.metrics["loss"], rel=1e-7)
    assert run.best.id == here.best.id
    assert there.links["model"].startswith("s3://bucket/runs")
    assert there.links["model"].endswith("/output/model.tar.gz")
    assert [line for line in run.logs(1) if line.startswith("loss=")] != []
    assert tp.attach(run.ref, workspace=tmp_path / "elsewhere").result.trials == there.trials
    run.delete()
    with pytest.raises(RunNotFoundError):
        run.wait()


def test_stopping_a_trial_and_then_the_job(service, submit):
    service.programs.map(IMAGE, (sys.executable, "-c", "import time; time.sleep(60)"))
    run = submit(job_of())
    for seen in run.changes():
        if all(one.state is TrialState.RUNNING for one in seen.trials) and len(seen.trials) == 3:
            break
    run.stop(2)
    for seen in run.changes():
        if seen.trials[1].state.ended:
            break
    assert [one.state for one in seen.trials] == [TrialState.RUNNING, TrialState.STOPPED, TrialState.RUNNING]
    run.stop()
    assert run.wait(timeout=20).state == "stopped"
    with pytest.raises(ConflictError):
        run.stop()


def test_a_reference_names_region_and_job(service, submit):
    run = submit(job_of(1))
    backend, _, ref = run.ref.partition(":")
    region, name = ref.split("/")
    assert (backend, region) == ("sagemaker", "eu-west-1")
    assert name.startswith("digits-")
    with pytest.raises(RunNotFoundError, match="REGION/NAME"):
        tp.attach("sagemaker:digits").wait()


def test_names_are_cut_to_what_the_service_takes():
    assert sagemaker._marked("a" * 40, "0f3a9c") == "a" * 25 + "-0f3a9c"
    assert sagemaker._marked("a" * 24 + "-b", "0f3a9c") == "a" * 24 + "-0f3a9c"
    assert sagemaker._marked("", "0f3a9c") == "0f3a9c"


# ---- sent once ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost", "reset", "error", "throttle"])
def test_a_creation_of_unknown_outcome_is_looked_for_before_it_is_sent_again(service, submit, fault):
    service.faults_of_calls.add(fault, "CreateHyper*", calls=[1])
    run = submit(job_of(1))
    assert [run.ref.lower().endswith(one.name) for one in jobs(service)] == [True]


def test_a_job_that_is_seen_late_is_ours_all_the_same(service, monkeypatch):
    """Its first answer is lost, and Describe does not know it yet."""
    service.faults_of_calls.add("lost", "CreateHyper*", calls=[1])
    client = SageMakerClient(SageMakerSettings(region="eu-west-1"), service_url())
    call = client._call

    def blind(method, **request):
        if method.startswith("describe"):
            raise RunNotFoundError("not yet")
        return call(method, **request)

    monkeypatch.setattr(client, "_call", blind)
    assert client.submit(payload(), "0f3a9c") == "eu-west-1/digits-0f3a9c"
    assert len(jobs(service)) == 1


def test_a_name_that_another_job_has_is_a_conflict(service):
    client = SageMakerClient(SageMakerSettings(region="eu-west-1"), service_url())
    client.submit(payload(), "0f3a9c")
    with pytest.raises(ConflictError):
        client.submit(payload(), "0f3a9c")
    assert client.submit(payload(), "0f3a9c", again=True) == "eu-west-1/digits-0f3a9c"


def test_a_thousand_trials_are_read_in_few_calls(service, monkeypatch):
    client = SageMakerClient(SageMakerSettings(region="eu-west-1"), service_url())
    request = payload()
    limits = {"MaxNumberOfTrainingJobs": 1000, "MaxParallelTrainingJobs": 10}
    request["HyperParameterTuningJobConfig"]["ResourceLimits"] = limits
    ref = client.submit(request, "0f3a9c")
    service.wait(jobs(service)[0].run, timeout=30)
    call, calls = client._call, Counter()

    def counted(method, **asked):
        calls[method] += 1
        return call(method, **asked)

    monkeypatch.setattr(client, "_call", counted)
    result = STATUS.parse(client.describe(ref), client.trials(ref))
    assert [one.id for one in result.trials] == list(range(1, 1001))
    assert calls.total() <= 12


# ---- errors ---------------------------------------------------------------------------------------------------------


EXCEPTIONS = [
    one
    for one in vars(botocore.exceptions).values()
    if isinstance(one, type)
    and issubclass(one, botocore.exceptions.BotoCoreError)
    and one.__module__ == "botocore.exceptions"
]


def raising(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_whatever_botocore_raises_is_an_error_of_ours(kind):
    error = kind.__new__(kind)
    Exception.__init__(error, "it")
    with pytest.raises(BackendError) as caught:
        sagemaker._translated(raising(error))
    assert caught.value.__cause__ is error
    name = kind.__name__
    if any(word in name for word in ("Credential", "Token", "SSO", "Login", "ProfileNotFound")):
        assert isinstance(caught.value, AuthError)
    if any(word in name for word in ("Timeout", "Connection", "HTTPClient", "Streaming", "IncompleteRead")):
        assert caught.value.retryable


def test_an_answer_that_cannot_be_read_is_worth_another_try():
    with pytest.raises(UnavailableError):
        sagemaker._translated(raising(ResponseParserError("<html>")))


def answered(code, status=400, text="no", operation="DescribeTrainingJob"):
    response = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return sagemaker.answered(botocore.exceptions.ClientError(response, operation))


def modelled_codes():
    for name in ("sagemaker", "logs"):
        shapes = botocore.loaders.Loader().load_service_model(name, "service-2")["shapes"]
        for shape, said in shapes.items():
            if said.get("exception"):
                yield said.get("error", {}).get("code", shape)


KINDS = {
    "ResourceNotFound": RunNotFoundError,
    "ResourceNotFoundException": RunNotFoundError,
    "ResourceInUse": ConflictError,
    "ConflictException": ConflictError,
    "ResourceAlreadyExistsException": ConflictError,
    "ResourceLimitExceeded": QuotaError,
    "LimitExceededException": QuotaError,
    "ServiceQuotaExceededException": QuotaError,
    "ThrottlingException": UnavailableError,
    "ServiceUnavailableException": UnavailableError,
    "InternalServerException": UnavailableError,
    "OperationAbortedException": UnavailableError,
    "UnrecognizedClientException": AuthError,
    "AccessDeniedException": AuthError,
}


@pytest.mark.parametrize("code", sorted(set(modelled_codes())))
def test_every_modelled_code_has_its_error(code):
    assert type(answered(code)) is KINDS.get(code, BackendError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered("ThrottlingException"), UnavailableError),
        (answered("InternalFailure", 500), UnavailableError),
        (answered("Odd", 503), UnavailableError),
        (answered("429", 429), UnavailableError),
        (answered("ExpiredTokenException"), AuthError),
        (answered("Odd", 403), AuthError),
        (answered("ValidationException", text="1 validation error detected"), BackendError),
        (answered("ValidationException", text="Requested resource not found."), RunNotFoundError),
        (answered("ValidationException", text="is in status Stopped", operation="StopTrainingJob"), ConflictError),
    ],
)
def test_other_codes_are_told_by_words_and_status(error, kind):
    assert type(error) is kind


# ---- connecting -----------------------------------------------------------------------------------------------------


def test_without_boto3_the_extra_is_named(monkeypatch):
    found = builtins.__import__

    def missing(name, *rest, **named):
        if name.startswith("botocore"):
            raise ImportError(name)
        return found(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(BackendNotInstalledError, match=r"tuneport\[sagemaker\]"):
        SageMakerClient(SageMakerSettings())


def test_without_credentials_or_region_it_is_said(monkeypatch):
    with pytest.raises(BackendError, match="AWS_DEFAULT_REGION"):
        SageMakerClient(SageMakerSettings())
    with pytest.raises(AuthError, match="nobody"):
        SageMakerClient(SageMakerSettings(region="eu-west-1", profile="nobody"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AuthError, match="no AWS credentials"):
        SageMakerClient(SageMakerSettings(region="eu-west-1"))


def test_what_aws_settings_say_is_honoured(service, monkeypatch, tmp_path):
    url = service_url()
    monkeypatch.delenv("TUNEPORT_SAGEMAKER__ENDPOINT")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (tmp_path / "config").write_text(
        f"[profile here]\nregion = us-west-2\nendpoint_url = {url}\n"
        "aws_access_key_id = emulated\naws_secret_access_key = emulated\n"
    )
    client = SageMakerClient(SageMakerSettings(profile="here"))
    assert client.submit(payload(), "0f3a9c") == "us-west-2/digits-0f3a9c"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert SageMakerClient(SageMakerSettings()).describe("us-west-2/digits-0f3a9c")


def test_a_probe_tells_the_way_without_secrets(service, monkeypatch):
    client = SageMakerClient(SageMakerSettings(region="eu-west-1"), service_url())
    service.faults_of_calls.add("quota", "FilterLogEvents")
    client.submit(payload(), "0f3a9c")
    service.wait(jobs(service)[0].run, timeout=10)
    found = {one.what: one for one in client.probe()}
    assert found["credentials"].found == "emul…ed from env"
    assert found["endpoint"].found == service_url()
    assert found["region"].found == "eu-west-1"
    assert found["tuning jobs"].ok
    assert not found["logs"].ok
