"""What SageMaker says of a training job, and what it is asked for one."""

import pytest

from tuneport import driven
from tuneport.backends.sagemaker.training import status_of
from tuneport.model.job import TuningJob
from tuneport.model.results import FailureKind

K = FailureKind


@pytest.mark.parametrize(
    ("status", "second", "reason", "kind", "code"),
    [
        ("Completed", "Completed", None, None, None),
        ("Stopped", "Stopped", None, K.CANCELLED, None),
        ("Stopped", "MaxRuntimeExceeded", None, K.TIMED_OUT, None),
        ("Stopped", "MaxWaitTimeExceeded", None, K.INFRASTRUCTURE, None),
        ("Stopped", "Interrupted", None, K.PREEMPTED, None),
        ("Failed", "Failed", "AlgorithmError: ExecuteUserScriptError, exit code: 1", K.CODE, 1),
        ("Failed", "Failed", "AlgorithmError: CUDA out of memory, exit code: 1", K.OUT_OF_MEMORY, 1),
        ("Failed", "Failed", "InternalServerError: We encountered an internal error.", K.INFRASTRUCTURE, None),
        ("Failed", "Failed", "CapacityError: Unable to provision ML compute capacity.", K.INFRASTRUCTURE, None),
        ("Failed", "Failed", "ClientError: Data download failed: NoSuchKey", K.CODE, None),
    ],
)  # fmt: skip
def test_how_a_job_ended(status, second, reason, kind, code):
    job = {"TrainingJobStatus": status, "SecondaryStatus": second, "TrainingStartTime": 1.0, "TrainingEndTime": 3.0}
    said = status_of(job | ({"FailureReason": reason} if reason else {}))
    assert (said.started, said.ended) == (1.0, 3.0)
    assert (said.failure and said.failure.kind) == kind
    assert (said.failure and said.failure.exit_code) == code


@pytest.mark.parametrize(
    ("second", "begun"), [("Starting", False), ("Pending", False), ("Downloading", False), ("Training", True)]
)
def test_how_a_job_goes_by_its_item_in_a_list(second, begun):
    said = status_of({"TrainingJobStatus": "InProgress", "SecondaryStatus": second, "LastModifiedTime": 2.0})
    assert said.ended is None
    assert said.started == (2.0 if begun else None)


def job_of(**trial):
    return TuningJob.model_validate(
        {
            "name": "digits",
            "labels": {"team": "vision"},
            "study": {
                "parameters": [{"name": "x", "kind": "float", "low": 0, "high": 1, "step": 0.5}],
                "objectives": [{"metric": "loss", "goal": "minimize"}],
            },
            "trial": {
                "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/t:1",
                "parameters": {"fixed": "1"},
                "timeout": 60,
                "spot": True,
                "resources": {"machine": "ml.m5.large"},
                "output": {"uri": "s3://bucket/runs/"},
                "identity": "arn:aws:iam::111122223333:role/tuning",
            }
            | trial,
            "native": {
                "sagemaker": {"TrainingJobDefinition": {"CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints"}}}
            },
        }
    )


def test_hyperparameters_are_the_tuners_without_its_hints_and_the_box_counts():
    document = driven.preview(job_of(), "sagemaker", {"region": "eu-west-1"})
    x = document["HyperParameters"].pop("x")
    assert x in {"0.0", "0.5", "1.0"}
    assert document["HyperParameters"] == {"fixed": '"1"'}
    assert document["TrainingJobName"] == "run-00000000-1-1"
    assert document["OutputDataConfig"] == {"S3OutputPath": "s3://bucket/runs/run-00000000/1"}
    assert document["StoppingCondition"]["MaxRuntimeInSeconds"] == 60
    assert document["EnableManagedSpotTraining"] is True
    assert document["Environment"] == {"TUNEPORT_OBJECTIVE": "loss"}
    assert document["Tags"] == [{"Key": "team", "Value": "vision"}]
    assert document["CheckpointConfig"] == {"S3Uri": "s3://bucket/checkpoints"}
    assert "ContainerArguments" not in document["AlgorithmSpecification"]


@pytest.mark.parametrize(
    ("trial", "entry"),
    [
        ({"command": ["python", "train.py"]}, ["python", "train.py"]),
        ({"module": "team.train"}, ["python3", "-m", "team.train"]),
        ({"args": ["train"]}, None),
    ],
)
def test_a_container_is_told_its_program_and_all_arguments(trial, entry):
    algorithm = driven.preview(job_of(**trial), "sagemaker", {"region": "eu-west-1"})["AlgorithmSpecification"]
    assert algorithm.get("ContainerEntrypoint") == entry
    assert algorithm["ContainerArguments"][-2:-1] == ["--fixed=1"]
    assert algorithm["ContainerArguments"][-1].startswith("--x=")


def test_a_package_of_s3_is_run_by_the_images_toolkit():
    job = job_of(command=["python", "train.py"], package="s3://bucket/code.tar.gz")
    document = driven.preview(job, "sagemaker", {"region": "eu-west-1"})
    assert document["HyperParameters"]["sagemaker_program"] == "train.py"
    assert "ContainerEntrypoint" not in document["AlgorithmSpecification"]
