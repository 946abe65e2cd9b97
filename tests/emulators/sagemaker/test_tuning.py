"""Tuning jobs and their training jobs by boto3: what is shown, in which order, and how jobs end."""

import json
import struct
import sys

import pytest

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
JOB = {"HyperParameterTuningJobName": "Demo-1"}


def arns(name):
    return f"arn:aws:sagemaker:eu-west-1:000000000000:hyper-parameter-tuning-job/{name}"


def test_a_job_completes_and_everything_agrees(cloud):
    assert cloud.create() == arns("demo-1")
    said = cloud.ended("dEMO-1")
    assert said["HyperParameterTuningJobName"] == "Demo-1"
    assert said["HyperParameterTuningJobStatus"] == "Completed"
    counters = said["TrainingJobStatusCounters"]
    assert counters == {"Completed": 4, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}
    assert said["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    trainings = cloud.trainings()
    values = [one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for one in trainings]
    assert said["BestTrainingJob"] == trainings[values.index(min(values))]
    assert values == [struct.unpack("f", struct.pack("f", value))[0] for value in values]
    assert said["HyperParameterTuningEndTime"] >= said["CreationTime"]
    assert said["LastModifiedTime"] >= trainings[-1]["TrainingEndTime"]


def test_what_is_described_is_not_an_echo(cloud):
    cloud.create()
    said = cloud.describe()
    config, definition = said["HyperParameterTuningJobConfig"], said["TrainingJobDefinition"]
    assert definition["StaticHyperParameters"] == {"epochs": "10", "_tuning_objective_metric": "loss"}
    assert config["TrainingJobEarlyStoppingType"] == "Off"
    assert config["ParameterRanges"]["ContinuousParameterRanges"] == [
        {"Name": "lr", "MinValue": "1e-4", "MaxValue": "0.1", "ScalingType": "Auto"}
    ]
    assert definition["EnableManagedSpotTraining"] is False
    assert "Tags" not in said
    assert "OverallBestTrainingJob" not in said


def test_a_grid_knows_its_size(cloud, request_of):
    ranges = {"CategoricalParameterRanges": [{"Name": "opt", "Values": ["a", "b", "c"]}]}
    limits = {"MaxParallelTrainingJobs": 3}
    cloud.create(request_of(Strategy="Grid", RandomSeed=None, ParameterRanges=ranges, ResourceLimits=limits))
    config = cloud.ended()["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 3
    assert config["ParameterRanges"]["IntegerParameterRanges"] == []
    assert sorted(one["TunedHyperParameters"]["opt"] for one in cloud.trainings()) == ["a", "b", "c"]


def test_tuned_values_are_text_as_the_ranges_spell_it(cloud):
    cloud.create()
    cloud.ended()
    for one in cloud.trainings():
        tuned = one["TunedHyperParameters"]
        assert tuned["opt"] in {"adam", '"sgd"'}
        assert tuned["depth"].isdigit()
        assert 1e-4 <= float(tuned["lr"]) <= 0.1


def test_a_training_job_is_described_whole(cloud):
    cloud.create()
    cloud.ended()
    summary = cloud.trainings()[0]
    said = cloud.client().describe_training_job(TrainingJobName=summary["TrainingJobName"])
    assert said["TuningJobArn"] == arns("demo-1")
    assert said["TrainingJobArn"].endswith(f"training-job/{summary['TrainingJobName'].lower()}")
    assert said["HyperParameters"] == summary["TunedHyperParameters"] | {
        "epochs": "10",
        "_tuning_objective_metric": "loss",
    }
    path = f"s3://demo-bucket/out/{summary['TrainingJobName']}/output/model.tar.gz"
    assert said["ModelArtifacts"]["S3ModelArtifacts"] == path
    assert (said["TrainingJobStatus"], said["SecondaryStatus"]) == ("Completed", "Completed")
    assert [one["Status"] for one in said["SecondaryStatusTransitions"]] == ["Starting", "Training", "Completed"]
    final = summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert [(one["MetricName"], one["Value"]) for one in said["FinalMetricDataList"]] == [("loss", final)]
    cloud.client().get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=summary["TrainingJobName"])


def test_several_definitions_have_their_names_and_ranges(cloud, request_of):
    request = request_of(ParameterRanges=None, HyperParameterTuningJobObjective=None)
    definition = request.pop("TrainingJobDefinition")
    objective = {"Type": "Minimize", "MetricName": "loss"}
    request["TrainingJobDefinitions"] = [
        definition
        | {
            "DefinitionName": name,
            "TuningObjective": objective,
            "HyperParameterRanges": {"ContinuousParameterRanges": [{"Name": knob, "MinValue": "0", "MaxValue": "1"}]},
        }
        for name, knob in (("forest", "leaves"), ("net", "width"))
    ]
    request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"] = 8
    cloud.create(request)
    said = cloud.ended()
    assert [one["DefinitionName"] for one in said["TrainingJobDefinitions"]] == ["forest", "net"]
    knobs = {"forest": {"leaves"}, "net": {"width"}}
    trainings = cloud.trainings()
    assert {one["TrainingJobDefinitionName"] for one in trainings} == {"forest", "net"}
    for one in trainings:
        assert one["TunedHyperParameters"].keys() == knobs[one["TrainingJobDefinitionName"]]


def test_a_stopped_job_stops_its_training_jobs(cloud, image):
    cloud.host.programs.map(image, SLEEP)
    cloud.create()
    running = cloud.until(lambda: [one for one in cloud.trainings() if one["TrainingJobStatus"] == "InProgress"])
    sagemaker = cloud.client()
    assert cloud.describe()["HyperParameterTuningJobStatus"] == "InProgress"
    with pytest.raises(sagemaker.exceptions.ClientError, match="not in a terminal state"):
        sagemaker.delete_hyper_parameter_tuning_job(**JOB)
    sagemaker.stop_training_job(TrainingJobName=running[0]["TrainingJobName"])
    cloud.until(lambda: cloud.trainings(StatusEquals="Stopped"))
    with pytest.raises(sagemaker.exceptions.ClientError, match="is in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName=running[0]["TrainingJobName"])
    sagemaker.stop_hyper_parameter_tuning_job(**JOB)
    with pytest.raises(sagemaker.exceptions.ClientError, match="already"):
        sagemaker.stop_hyper_parameter_tuning_job(**JOB)
    said = cloud.ended()
    assert said["HyperParameterTuningJobStatus"] == "Stopped"
    assert said["TrainingJobStatusCounters"]["Stopped"] == len(cloud.trainings())
    assert "BestTrainingJob" not in said


def test_training_jobs_that_fail_say_why(cloud, image):
    cloud.host.programs.map(image, (sys.executable, "-c", "raise SystemExit('no such file')"))
    cloud.create()
    said = cloud.ended()
    assert said["HyperParameterTuningJobStatus"] == "Failed"
    assert said["FailureReason"]
    counters = said["TrainingJobStatusCounters"]
    assert (counters["NonRetryableError"], counters["RetryableError"]) == (4, 0)
    first = cloud.trainings()[0]
    assert (first["TrainingJobStatus"], first["ObjectiveStatus"]) == ("Failed", "Failed")
    assert first["FailureReason"].startswith("AlgorithmError: ")
    assert first["FailureReason"].endswith(", exit code: 1")


def test_what_a_training_job_writes_about_its_failure_is_the_reason(cloud, image, request_of):
    code = "import os; open(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('no data\\n' + 'x' * 2000); exit(3)"
    cloud.host.programs.map(image, (sys.executable, "-c", code))
    cloud.create(request_of(ResourceLimits={"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}))
    cloud.ended()
    (one,) = cloud.trainings()
    assert one["FailureReason"].startswith("AlgorithmError: no data\nxxx")
    assert one["FailureReason"].endswith("xxx, exit code: 3")
    assert len(one["FailureReason"]) == 1024
    said = cloud.client().describe_training_job(TrainingJobName=one["TrainingJobName"])
    assert said["FailureReason"] == one["FailureReason"]


@pytest.mark.parametrize("fault", [None, "metric-missing"])
def test_a_job_fails_after_its_first_five_training_jobs_have(cloud, image, request_of, fault):
    def train(**_):
        raise RuntimeError("broken")

    if fault:
        cloud.faults.add(fault)
    else:
        cloud.host.programs.map(image, train)
    cloud.create(request_of(ResourceLimits={"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 1}))
    said = cloud.ended()
    assert (said["HyperParameterTuningJobStatus"], len(cloud.trainings())) == ("Failed", 5)
    assert "5 trials" in said["FailureReason"]


def test_a_single_success_lets_a_job_go_on(cloud, image, request_of):
    calls = []

    def train(**_):
        calls.append(1)
        if len(calls) != 5:
            raise RuntimeError("broken")
        return 1.0

    cloud.host.programs.map(image, train)
    cloud.create(request_of(ResourceLimits={"MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 1}))
    said = cloud.ended()
    assert (said["HyperParameterTuningJobStatus"], len(cloud.trainings())) == ("Completed", 9)
    assert said["TrainingJobStatusCounters"]["NonRetryableError"] == 8


def test_faults_of_the_service_are_counted_apart(cloud, image):
    cloud.host.programs.map(image, ("echo", "loss=1"))
    cloud.faults.add("capacity", "Demo-1/2")
    cloud.create()
    counters = cloud.ended()["TrainingJobStatusCounters"]
    assert counters == {"Completed": 3, "InProgress": 0, "RetryableError": 1, "NonRetryableError": 0, "Stopped": 0}
    (failed,) = cloud.trainings(StatusEquals="Failed")
    assert failed["FailureReason"].startswith("CapacityError: ")


@pytest.mark.parametrize("kind", ["metric-missing", "infeasible"])
def test_without_a_metric_it_completes_but_its_objective_fails(cloud, kind):
    cloud.faults.add(kind, "Demo-1/1")
    cloud.create()
    said = cloud.ended()
    first = cloud.trainings()[0]
    assert (first["TrainingJobStatus"], first["ObjectiveStatus"]) == ("Completed", "Failed")
    assert "FinalHyperParameterTuningJobObjectiveMetric" not in first
    assert said["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 1}
    assert len(cloud.trainings(SortBy="FinalObjectiveMetricValue")) == 3


def test_too_long_a_training_job_is_stopped_not_failed(cloud, image, request_of):
    cloud.host.programs.map(image, SLEEP)
    request = request_of(ResourceLimits={"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1})
    request["TrainingJobDefinition"]["StoppingCondition"] = {"MaxRuntimeInSeconds": 1}
    cloud.create(request)
    cloud.ended()
    (one,) = cloud.trainings()
    said = cloud.client().describe_training_job(TrainingJobName=one["TrainingJobName"])
    assert (said["TrainingJobStatus"], said["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_deleting_leaves_the_training_jobs(cloud):
    cloud.create()
    cloud.ended()
    sagemaker, names = cloud.client(), [one["TrainingJobName"] for one in cloud.trainings()]
    sagemaker.delete_hyper_parameter_tuning_job(**JOB)
    for gone in (cloud.describe, lambda: sagemaker.delete_hyper_parameter_tuning_job(**JOB)):
        with pytest.raises(sagemaker.exceptions.ResourceNotFound):
            gone()
    assert sagemaker.describe_training_job(TrainingJobName=names[0])["TrainingJobStatus"] == "Completed"
    cloud.create()
    cloud.ended()
    assert not {one["TrainingJobName"] for one in cloud.trainings()} & set(names)


def test_a_warm_start_knows_the_best_of_all(cloud, request_of):
    cloud.create(name="parent")
    cloud.ended("parent")
    warm = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    cloud.create(request_of(name="child", RandomSeed=8) | {"WarmStartConfig": warm})
    child, parent = cloud.ended("child"), cloud.ended("parent")
    bests = {
        name: said["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for name, said in (("child", child), ("parent", parent))
    }
    overall = child["OverallBestTrainingJob"]
    assert overall["TuningJobName"] == min(bests, key=bests.get)
    assert overall["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == min(bests.values())
    lost = request_of(name="orphan") | {"WarmStartConfig": json.loads(json.dumps(warm).replace("parent", "nobody"))}
    with pytest.raises(cloud.client().exceptions.ClientError, match="nobody"):
        cloud.create(lost)


def bowl(lr, depth, opt="adam", **_):
    return (lr - 0.07) ** 2 * 100 + (depth - 7) ** 2 + (opt == "adam")


@pytest.mark.parametrize("kind", ["IdenticalDataAndAlgorithm", "TransferLearning"])
def test_a_warm_start_learns_from_its_parents(cloud, image, request_of, kind):
    cloud.host.programs.map(image, bowl)
    cloud.create(
        request_of(name="parent", ResourceLimits={"MaxNumberOfTrainingJobs": 40, "MaxParallelTrainingJobs": 4})
    )
    best = cloud.ended("parent")["BestTrainingJob"]["TunedHyperParameters"]
    few = {"Strategy": "Bayesian", "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1}}
    warm = {"ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}], "WarmStartType": kind}
    cloud.create(request_of(name="cold", **few))
    cloud.create(request_of(name="warm", **few) | {"WarmStartConfig": warm})
    values = {}
    for name in ("cold", "warm"):
        said = cloud.ended(name)
        values[name] = said["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert values["warm"] < values["cold"]
    first = cloud.trainings("warm")[0]["TunedHyperParameters"]
    assert first == best, "it begins where the parent was best"
    cloud.client().delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="parent")
    assert cloud.trainings("warm")[0]["TunedHyperParameters"] == first


def test_parents_that_do_something_else_are_refused(cloud, request_of):
    cloud.create(name="parent")
    cloud.ended("parent")
    child = request_of(name="child")
    config, definition = child["HyperParameterTuningJobConfig"], child["TrainingJobDefinition"]
    config["HyperParameterTuningJobObjective"] = {"Type": "Maximize", "MetricName": "loss"}
    ranges = config["ParameterRanges"]
    ranges["ContinuousParameterRanges"].append({"Name": "depth", "MinValue": "2", "MaxValue": "9"})
    del ranges["IntegerParameterRanges"]
    definition["StaticHyperParameters"] = {"batch": "32"}
    parent = [{"HyperParameterTuningJobName": "parent"}]
    warm = {"ParentHyperParameterTuningJobs": parent, "WarmStartType": "TransferLearning"}
    with pytest.raises(cloud.client().exceptions.ClientError) as caught:
        cloud.create(child | {"WarmStartConfig": warm})
    said = str(caught.value)
    assert "ValidationException" in said
    assert all(part in said for part in ("has the objective", "batch, epochs", "has depth in its Integer"))
    moved = request_of(name="moved")
    del moved["HyperParameterTuningJobConfig"]["ParameterRanges"]["IntegerParameterRanges"]
    moved["TrainingJobDefinition"]["StaticHyperParameters"]["depth"] = "4"
    cloud.create(moved | {"WarmStartConfig": warm})
    assert cloud.ended("moved")["HyperParameterTuningJobStatus"] == "Completed"


# ---- lists ----------------------------------------------------------------------------------------------------------


def names(answer):
    return [one["HyperParameterTuningJobName"] for one in answer["HyperParameterTuningJobSummaries"]]


def test_jobs_are_listed_by_name_in_pages_of_ten(cloud, request_of):
    one = {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}
    made = [f"job-{number:02}" for number in range(12)]
    for name in reversed(made):
        cloud.create(request_of(name=name, ResourceLimits=one))
    for name in made:
        cloud.ended(name)
    sagemaker = cloud.client()
    first = sagemaker.list_hyper_parameter_tuning_jobs()
    assert names(first) == made[:10]
    second = sagemaker.list_hyper_parameter_tuning_jobs(NextToken=first["NextToken"])
    assert names(second) == made[10:]
    assert "NextToken" not in second
    assert names(sagemaker.list_hyper_parameter_tuning_jobs(NameContains="B-03")) == ["job-03"]
    assert names(sagemaker.list_hyper_parameter_tuning_jobs(StatusEquals="Stopped")) == []
    latest = sagemaker.list_hyper_parameter_tuning_jobs(SortBy="CreationTime", SortOrder="Descending", MaxResults=1)
    assert names(latest) == ["job-00"]
    middle = cloud.describe("job-05")["CreationTime"]
    assert names(sagemaker.list_hyper_parameter_tuning_jobs(CreationTimeAfter=middle, MaxResults=100)) == made[:6]
    assert names(sagemaker.list_hyper_parameter_tuning_jobs(CreationTimeBefore=middle, MaxResults=100)) == made[5:]
    pages = sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(PaginationConfig={"PageSize": 5})
    assert [name for page in pages for name in names(page)] == made


def test_training_jobs_are_listed_in_every_order(cloud, request_of):
    cloud.create(request_of(ResourceLimits={"MaxNumberOfTrainingJobs": 11, "MaxParallelTrainingJobs": 3}))
    cloud.ended()
    listed = cloud.trainings(MaxResults=100)
    assert [one["TrainingJobName"].split("-")[2] for one in listed] == [f"{number:03}" for number in range(1, 12)]
    assert len(cloud.trainings()) == 10
    falling = cloud.trainings(SortBy="FinalObjectiveMetricValue", SortOrder="Descending", MaxResults=100)
    values = [one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for one in falling]
    assert values == sorted(values, reverse=True)
    pages = cloud.client().get_paginator("list_training_jobs").paginate(PaginationConfig={"PageSize": 4})
    found = [one["TrainingJobName"] for page in pages for one in page["TrainingJobSummaries"]]
    assert sorted(found) == [one["TrainingJobName"] for one in listed]
    assert cloud.client().list_training_jobs(NameContains="-004-")["TrainingJobSummaries"][0]["SecondaryStatus"]


def test_boto3_pages_and_waits_for_all_that_it_can(cloud, request_of):
    made = cloud.create(request_of(ResourceLimits={"MaxNumberOfTrainingJobs": 5, "MaxParallelTrainingJobs": 3}))
    sagemaker, few = cloud.client(), {"PaginationConfig": {"PageSize": 2}}
    cloud.ended()
    of_job = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(**JOB, **few)
    pages = [[one["TrainingJobName"] for one in page["TrainingJobSummaries"]] for page in of_job]
    assert [len(page) for page in pages] == [2, 2, 1]
    last = pages[-1][0]
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=last)
    sagemaker.add_tags(ResourceArn=made, Tags=[{"Key": "team", "Value": "vision"}])
    tags = sagemaker.get_paginator("list_tags").paginate(ResourceArn=made)
    assert [one["Key"] for page in tags for one in page["Tags"]] == ["team"]


def test_regions_do_not_know_of_each_other(cloud):
    cloud.create()
    elsewhere = cloud.client(region="us-east-1")
    assert names(elsewhere.list_hyper_parameter_tuning_jobs()) == []
    with pytest.raises(elsewhere.exceptions.ResourceNotFound):
        elsewhere.describe_hyper_parameter_tuning_job(**JOB)


# ---- tags -----------------------------------------------------------------------------------------------------------


def test_tags_are_kept_for_jobs_and_their_training_jobs(cloud, request_of):
    arn = cloud.create(request_of() | {"Tags": [{"Key": "team", "Value": "vision"}]})
    cloud.ended()
    sagemaker = cloud.client()
    training = cloud.trainings()[0]["TrainingJobArn"]
    added = sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": ""}])["Tags"]
    assert added == [{"Key": "team", "Value": "vision"}, {"Key": "stage", "Value": ""}]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team", "unknown"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": ""}]
    assert sagemaker.list_tags(ResourceArn=training)["Tags"] == [{"Key": "team", "Value": "vision"}]
    with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded):
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": str(number), "Value": ""} for number in range(50)])


# ---- restarts -------------------------------------------------------------------------------------------------------


def test_a_restart_finds_everything(reopen):
    with reopen() as first:
        first.create()
        before = first.ended()
        trainings = first.trainings()
    with reopen() as second:
        after = second.describe()
        assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}
        assert second.trainings() == trainings
