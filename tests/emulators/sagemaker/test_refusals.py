"""What is refused, in the service's codes and words; nothing is kept of it."""

import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

JOB = {"HyperParameterTuningJobName": "Demo-1"}
CONFIG = "HyperParameterTuningJobConfig"


def code_of(call, *arguments, **named):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] < 500
    return caught.value.response["Error"]["Code"]


def limits(trials, parallel=1):
    return {"MaxNumberOfTrainingJobs": trials, "MaxParallelTrainingJobs": parallel}


CATEGORIES = {"CategoricalParameterRanges": [{"Name": "opt", "Values": ["a", "b"]}]}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"Strategy": "Nope"}, "1 validation error detected: Value at 'hyperParameterTuningJobConfig.strategy'"),
        ({"ParameterRanges": CATEGORIES, "ResourceLimits": limits(3)}, "maxNumberOfTrainingJobs"),
        ({"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "other"}}, "metricDefinitions"),
        ({"Strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto"}, "trainingJobEarlyStoppingType"),
        (
            {"ParameterRanges": {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "1", "MaxValue": "1"}]}},
            "parameterRanges.continuousParameterRanges.1.member.maxValue",
        ),
    ],
)
def test_a_request_that_the_service_would_refuse(cloud, request_of, config, said):
    with pytest.raises(ClientError, match="ValidationException") as caught:
        cloud.create(request_of(**config))
    assert said in str(caught.value)
    assert cloud.client().list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"] == []


def test_all_violations_are_counted(cloud, request_of):
    request = request_of(name="a" * 40, Strategy="Nope")
    request["TrainingJobDefinition"]["RoleArn"] = "arn:nonsense:of-twenty-letters"
    with pytest.raises(ClientError, match="3 validation errors detected"):
        cloud.create(request)


def test_quotas_have_a_code_of_their_own(cloud, request_of):
    sagemaker = cloud.client()
    for over in (limits(751), limits(10, 101)):
        with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded):
            cloud.create(request_of(Strategy="Bayesian", ResourceLimits=over))


def test_a_name_is_taken_in_any_capitals(cloud, request_of):
    cloud.create()
    with pytest.raises(cloud.client().exceptions.ResourceInUse):
        cloud.create(name="dEMO-1")


def test_names_of_deleted_jobs_may_be_kept_from_others(reopen):
    with reopen(reuse_names=False) as cloud:
        cloud.create()
        cloud.ended()
        cloud.client().delete_hyper_parameter_tuning_job(**JOB)
        assert code_of(cloud.create) == "ResourceInUse"


def test_so_many_jobs_run_at_once(reopen, image):
    with reopen(most_jobs=1) as cloud:
        cloud.create(name="one")
        cloud.ended("one")
        cloud.host.programs.map(image, ("sleep", "60"))
        cloud.create(name="two")
        assert code_of(cloud.create, name="three") == "ResourceLimitExceeded"
        cloud.client().stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="two")
        cloud.ended("two")


def test_what_is_not_there(cloud):
    sagemaker = cloud.client()
    for operation in ("describe", "stop", "delete"):
        assert code_of(getattr(sagemaker, f"{operation}_hyper_parameter_tuning_job"), **JOB) == "ResourceNotFound"
    assert code_of(sagemaker.list_training_jobs_for_hyper_parameter_tuning_job, **JOB) == "ResourceNotFound"
    for operation in ("describe", "stop"):
        call = getattr(sagemaker, f"{operation}_training_job")
        assert code_of(call, TrainingJobName="Demo-1-001-0123abcd") == "ValidationException"


@pytest.mark.parametrize(
    "request_",
    [{"MaxResults": 101}, {"SortBy": "Colour"}, {"NextToken": "nonsense"}, {"NameContains": "a_b"}],
    ids=str,
)
def test_lists_are_checked_too(cloud, request_):
    assert code_of(cloud.client().list_hyper_parameter_tuning_jobs, **request_) == "ValidationException"


def test_unknown_operations_are_the_clients_mistake(cloud):
    sagemaker = cloud.client()
    assert code_of(sagemaker.search, Resource="HyperParameterTuningJob") == "UnknownOperationException"
    assert code_of(sagemaker.delete_training_job, TrainingJobName="x") == "UnknownOperationException"
    assert code_of(cloud.client("lambda").list_functions) == "UnknownOperationException"


SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20261121/eu-west-1/sagemaker/aws4_request, x=y"}


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"{", SIGNED, "SerializationException"),
        (b"[]", SIGNED, "SerializationException"),
        (b"{}", {}, "MissingAuthenticationToken"),
        (b"{}", SIGNED | {"X-Amz-Target": "SageMaker.NoSuchThing"}, "UnknownOperationException"),
    ],
)
def test_requests_that_no_sdk_makes(cloud, body, headers, code):
    target = {"X-Amz-Target": "SageMaker.DescribeHyperParameterTuningJob"}
    request = urllib.request.Request(cloud.url, body, {**target, **headers})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as answer:
        assert answer.code < 500
        assert json.loads(answer.read())["__type"] == code


def test_injected_faults_have_the_services_words(cloud):
    sagemaker = cloud.client()
    for kind, code, status in (
        ("throttle", "ThrottlingException", 400),
        ("quota", "ResourceLimitExceeded", 400),
        ("error", "InternalFailure", 500),
    ):
        cloud.faults.clear()
        cloud.faults.add(kind, "DescribeHyper*")
        with pytest.raises(ClientError) as caught:
            sagemaker.describe_hyper_parameter_tuning_job(**JOB)
        error = caught.value.response
        assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
