"""Google's own SDK, unmodified, on the emulated Vertex AI: over REST and over gRPC, high-level classes and clients."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from ipaddress import ip_address

import grpc
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform import hyperparameter_tuning as hpt
from google.cloud.aiplatform import initializer, jobs
from google.cloud.aiplatform_v1 import types
from google.cloud.aiplatform_v1.services.job_service import JobServiceClient
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport
from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport
from google.protobuf import json_format

from tuneport.emulators.faults import Kind
from tuneport.emulators.pace import Pace
from tuneport.emulators.programs import Programs
from tuneport.emulators.vertex import Options

PARENT = "projects/p/locations/us-central1"
IMAGE = "gcr.io/p/trainer:1"
SLOW = f"{sys.executable} -c 'import time; time.sleep(60)'"
TRAINER = """
import json, os, random, sys
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
chance = random.Random(int(flags["seed"]))
loss = (float(flags["lr"]) - 0.03) ** 2 * int(flags["layers"]) + float(flags.get("momentum", 1)) + chance.random()
line = {"loss": str(loss), "global_step": "3", "timestamp": 1.5, "trial": os.environ.get("CLOUD_ML_TRIAL_ID", "0")}
print(loss)
if "CLOUD_ML_HP_METRIC_FILE" in os.environ:
    with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "w") as file:
        file.write(json.dumps(line) + "\\n")
"""
"""Reports as cloudml-hypertune does; the same flags give the same loss."""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="session")
def certificate():
    """A private key and a certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, signed.public_bytes(pem)


@pytest.fixture(params=["rest", "grpc"])
def sdk(request, make_api, monkeypatch):
    """The high-level SDK, pointed at a new door by its documented settings alone; looking often."""
    monkeypatch.setattr(jobs, "_JOB_WAIT_TIME", 0.05)
    monkeypatch.setattr(jobs, "_LOG_WAIT_TIME", 0.05)

    def make(**arguments):
        options = None
        if request.param == "grpc":
            options = Options(certificate=request.getfixturevalue("certificate"))
            roots = request.getfixturevalue("tmp_path_factory").getbasetemp() / "roots.pem"
            roots.write_bytes(options.certificate[1])
            monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(roots))
        api = make_api(options, **arguments)
        aiplatform.init(
            project="p",
            location="us-central1",
            staging_bucket="gs://bucket",
            credentials=AnonymousCredentials(),
            api_endpoint=api.door.endpoints["vertex" if request.param == "rest" else "vertex_grpc"],
            api_transport=request.param,
        )
        return api

    yield make
    initializer.global_config.__init__()


@pytest.fixture(params=["rest", "grpc"])
def client(request, api):
    """Makes the low-level clients, for the door of `api`."""
    opened = []

    def make(kind, transport):
        if request.param == "rest":
            endpoint = {"api_endpoint": api.door.endpoints["vertex"]}
            made = kind(transport="rest", credentials=AnonymousCredentials(), client_options=endpoint)
        else:
            made = kind(transport=transport(channel=grpc.insecure_channel(api.door.endpoints["vertex_grpc"])))
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.transport.close()


@pytest.fixture
def job_client(client):
    return client(JobServiceClient, JobServiceGrpcTransport)


@pytest.fixture
def request_of(job):
    return json_format.ParseDict(job, types.HyperparameterTuningJob.pb()())


def tuning(custom=None, **more):
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": IMAGE, "args": ["--seed=7"]},
    }
    child = hpt.DoubleParameterSpec(min=0.1, max=0.9, scale="unspecified", parent_values=["sgd"])
    arguments = {
        "display_name": "digits",
        "custom_job": custom or aiplatform.CustomJob(display_name="trial", worker_pool_specs=[pool]),
        "metric_spec": {"loss": "minimize"},
        "parameter_spec": {
            "lr": hpt.DoubleParameterSpec(min=1e-4, max=0.1, scale="log"),
            "layers": hpt.IntegerParameterSpec(min=0, max=8, scale="linear"),
            "batch": hpt.DiscreteParameterSpec(values=[16, 32], scale="linear"),
            "opt": hpt.CategoricalParameterSpec(values=["adam", "sgd"], conditional_parameter_spec={"momentum": child}),
        },
        "max_trial_count": 4,
        "parallel_trial_count": 2,
        "labels": {"team": "vision"},
    }
    return aiplatform.HyperparameterTuningJob(**(arguments | more))


# ---- high-level -----------------------------------------------------------------------------------------------------


def test_a_job_runs_its_trials_and_has_the_metrics_of_a_local_run(sdk):
    api = sdk(pace=Pace(), programs=Programs({IMAGE: (sys.executable, "-c", TRAINER)}))
    job = tuning()
    job.run(sync=True, timeout=7200, max_wait_duration=10)
    assert job.state == types.JobState.JOB_STATE_SUCCEEDED
    assert len(job.trials) == 4
    for trial in job.trials:
        custom = api("GET", trial.custom_job)
        args = custom["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]
        assert ("sgd" in "".join(args)) is any(one.startswith("--momentum") for one in args)
        local = subprocess.run([sys.executable, "-c", TRAINER, *args], capture_output=True, check=True, text=True)
        assert trial.final_measurement.metrics[0].value == float(local.stdout)
        assert trial.final_measurement.step_count == 3


def test_jobs_are_found_listed_and_deleted(sdk):
    sdk()
    job = tuning()
    job.run(sync=False)
    job.wait()
    again = aiplatform.HyperparameterTuningJob.get(job.resource_name)
    assert again.state == types.JobState.JOB_STATE_SUCCEEDED
    assert (again.start_time, again.end_time) == (job.start_time, job.end_time)
    assert again.error.code == 0
    assert again.labels == {"team": "vision"}
    listed = aiplatform.HyperparameterTuningJob.list(filter='display_name="digits" AND labels.team=vision')
    assert [one.resource_name for one in listed] == [job.resource_name]
    assert aiplatform.HyperparameterTuningJob.list(filter='state="JOB_STATE_FAILED"') == []
    assert len(aiplatform.CustomJob.list()) == 4
    job.delete()
    with pytest.raises(exceptions.NotFound, match=r"The HyperparameterTuningJob does not exist\."):
        aiplatform.HyperparameterTuningJob.get(again.resource_name)


def test_a_job_is_cancelled(sdk):
    sdk(pace=Pace(), programs=Programs.read([f"{IMAGE}={SLOW}"]))
    job = tuning()
    job.run(sync=False)
    job.wait_for_resource_creation()
    job.cancel()
    with pytest.raises(RuntimeError, match="CANCELED"):
        job.wait()
    assert job.state == types.JobState.JOB_STATE_CANCELLED
    assert job.error.code == 1


def test_a_custom_job_runs(sdk):
    sdk()
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": IMAGE},
    }
    job = aiplatform.CustomJob(display_name="once", worker_pool_specs=[pool])
    job.run(sync=True)
    assert job.state == types.JobState.JOB_STATE_SUCCEEDED
    job.delete()


# ---- clients --------------------------------------------------------------------------------------------------------


def test_jobs_are_listed_in_pages(job_client, request_of):
    names = [
        job_client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=request_of).name
        for _ in range(3)
    ]
    request = types.ListHyperparameterTuningJobsRequest(
        parent=PARENT, page_size=1, read_mask={"paths": ["name", "display_name"]}
    )
    listed = list(job_client.list_hyperparameter_tuning_jobs(request))
    assert [one.name for one in listed] == names[::-1]
    assert all(one.display_name == "digits" and one.max_trial_count == 0 for one in listed)


def test_refusals_are_the_sdks_exceptions_with_details(job_client, request_of, api):
    request_of.max_failed_trial_count = 9
    request_of.trial_job_spec.worker_pool_specs[0].machine_spec.accelerator_type = 5
    with pytest.raises(exceptions.BadRequest) as refused:
        job_client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=request_of)
    (details,) = refused.value.details  # plain data over REST
    details = details if isinstance(details, dict) else json_format.MessageToDict(details)
    fields = {one["field"] for one in details["fieldViolations"]}
    assert fields == {"max_failed_trial_count", "trial_job_spec.worker_pool_specs[0].machine_spec.accelerator_type"}
    with pytest.raises(exceptions.NotFound):
        job_client.get_custom_job(name=f"{PARENT}/customJobs/12")


@pytest.mark.parametrize(
    ("fault", "exception"),
    [
        ("throttle", exceptions.TooManyRequests),
        ("quota", exceptions.TooManyRequests),
        ("error", exceptions.ServiceUnavailable),
    ],
)
def test_faults_are_the_sdks_exceptions(job_client, request_of, api, fault, exception):
    api.faults.add(Kind(fault), "CreateHyperparameterTuningJob")
    with pytest.raises(exception):
        job_client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=request_of)
    assert list(job_client.list_hyperparameter_tuning_jobs(parent=PARENT)) == []


def test_a_lost_answer_breaks_the_connection_after_the_work_is_done(job_client, request_of, api):
    api.faults.add(Kind.LOST, "CreateHyperparameterTuningJob")
    with pytest.raises((exceptions.ServiceUnavailable, requests.ConnectionError)):
        job_client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=request_of)
    assert len(list(job_client.list_hyperparameter_tuning_jobs(parent=PARENT))) == 1


def test_a_pipeline_runs_to_its_model(client, job_client, api, job):
    pipelines = client(PipelineServiceClient, PipelineServiceGrpcTransport)
    inputs = {one: job[one] for one in ("studySpec", "trialJobSpec", "maxTrialCount", "parallelTrialCount")}
    document = {
        "displayName": "tuned",
        "trainingTaskDefinition": "gs://google-cloud-aiplatform/schema/trainingjob/definition/"
        "hyperparameter_tuning_task_1.0.0.yaml",
        "trainingTaskInputs": inputs,
        "modelToUpload": {"displayName": "best"},
    }
    asked = json_format.ParseDict(document, types.TrainingPipeline.pb()())
    made = pipelines.create_training_pipeline(parent=PARENT, training_pipeline=asked)
    assert made.state == types.PipelineState.PIPELINE_STATE_PENDING
    api.ended(made.name)
    ended = pipelines.get_training_pipeline(name=made.name)
    behind = job_client.get_hyperparameter_tuning_job(
        name=ended.training_task_metadata["backingHyperparameterTuningJob"]
    )
    assert len(behind.trials) == 3
    assert ended.model_to_upload.name
    assert [one.name for one in pipelines.list_training_pipelines(parent=PARENT)] == [made.name]
    operation = pipelines.delete_training_pipeline(name=made.name)
    assert operation.result() is not None
    looked_up = pipelines.get_operation({"name": operation.operation.name})
    assert looked_up.done
