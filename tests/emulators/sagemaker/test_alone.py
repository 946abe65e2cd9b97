"""Training jobs that no tuning job launched, through botocore: created, shown, listed, stopped, refused."""

import sys
import time

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from tuneport.emulators.programs import Programs

IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/trainer:1"
ROLE = "arn:aws:iam::111122223333:role/tuning"


def request(name="alone-1", **more):
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {"lr": "0.1", "opt": "sgd"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/runs"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    } | more


@pytest.fixture
def connected(open_door, tmp_path):
    opened = []

    def make(script):
        programs = Programs({IMAGE: (sys.executable, "-c", script)})
        _, door = open_door("sagemaker", programs=programs, base=tmp_path)
        session = Session()
        session.set_credentials("emulated", "emulated")
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        url = door.endpoints["sagemaker"]
        opened.append(session.create_client("sagemaker", region_name="eu-west-1", endpoint_url=url, config=config))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


def ended(api, name="alone-1", seconds=20.0):
    end = time.monotonic() + seconds
    while (job := api.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] in {"InProgress", "Stopping"}:
        assert time.monotonic() < end, "it never ended"
        time.sleep(0.05)
    return job


def test_it_runs_with_its_hyperparameters_and_is_shown_as_it_was_asked_for(connected):
    api = connected("import tuneport_trial as t; assert t.params() == {'lr': 0.1, 'opt': 'sgd'}, t.params()")
    asked = request(Environment={"A": "b"}, Tags=[{"Key": "team", "Value": "vision"}])
    arn = api.create_training_job(**asked)["TrainingJobArn"]
    assert arn.endswith(":training-job/alone-1")
    job = ended(api)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    assert {name: job[name] for name in asked if name != "Tags"} == {
        name: value for name, value in asked.items() if name != "Tags"
    }
    assert "TuningJobArn" not in job
    assert api.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "vision"}]


def test_it_is_listed_by_a_part_of_its_name(connected):
    api = connected("pass")
    for name in ("run-a-1", "run-a-2", "run-b-1"):
        api.create_training_job(**request(name))
    listed = api.list_training_jobs(NameContains="run-a", SortBy="Name")["TrainingJobSummaries"]
    assert [one["TrainingJobName"] for one in listed] == ["run-a-1", "run-a-2"]


def test_a_name_is_given_once(connected):
    api = connected("pass")
    api.create_training_job(**request())
    with pytest.raises(ClientError, match="ResourceInUse"):
        api.create_training_job(**request())


def test_a_program_that_fails_says_so(connected):
    api = connected("raise SystemExit(3)")
    api.create_training_job(**request())
    job = ended(api)
    assert job["TrainingJobStatus"] == "Failed"
    assert "AlgorithmError" in job["FailureReason"]
    assert "exit code: 3" in job["FailureReason"]


def test_it_is_stopped_at_any_moment(connected):
    api = connected("import time; time.sleep(60)")
    api.create_training_job(**request())
    api.stop_training_job(TrainingJobName="alone-1")
    assert ended(api)["TrainingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="is in status Stopped"):
        api.stop_training_job(TrainingJobName="alone-1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"RoleArn": "me"}, "roleArn"),
        ({"StoppingCondition": {"MaxWaitTimeInSeconds": 5}}, "MaxWaitTimeInSeconds|maxWaitTimeInSeconds"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "AlgorithmSpecification|algorithmSpecification"),
    ],
)
def test_the_service_refuses_what_its_model_and_its_rules_do(connected, change, said):
    api = connected("pass")
    with pytest.raises(ClientError, match=said):
        api.create_training_job(**request(**change))
