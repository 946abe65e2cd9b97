"""The logs of training jobs by boto3's client of CloudWatch Logs."""

import sys

import pytest

GROUP = "/aws/sagemaker/TrainingJobs"
PRINT = (sys.executable, "-c", "for i in range(7): print('line', i)\nprint('loss=1')")


@pytest.fixture
def logs(cloud, image):
    cloud.host.programs.map(image, PRINT)
    cloud.create()
    cloud.ended()
    return cloud.client("logs")


@pytest.fixture
def stream(cloud, logs):
    name = cloud.trainings()[0]["TrainingJobName"]
    (found,) = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    return found["logStreamName"]


def test_every_training_job_has_a_stream(cloud, logs, stream):
    streams = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)["logStreams"]
    assert {one["logStreamName"].split("/")[0] for one in streams} == {
        one["TrainingJobName"] for one in cloud.trainings()
    }
    assert stream.split("/")[1].startswith("algo-1-")
    pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=GROUP, PaginationConfig={"PageSize": 3})
    assert sum(len(page["logStreams"]) for page in pages) == 4


def test_a_stream_is_read_from_its_head_to_its_end(logs, stream):
    request = {"logGroupName": GROUP, "logStreamName": stream, "limit": 3}
    page = logs.get_log_events(**request, startFromHead=True)
    lines, token = [], None
    while page["nextForwardToken"] != token:
        lines += [one["message"] for one in page["events"]]
        token = page["nextForwardToken"]
        page = logs.get_log_events(**request, nextToken=token)
    assert lines == [*(f"line {number}" for number in range(7)), "loss=1"]


def test_a_stream_is_read_backwards(logs, stream):
    request = {"logGroupName": GROUP, "logStreamName": stream, "limit": 3}
    last = logs.get_log_events(**request)
    assert [one["message"] for one in last["events"]] == ["line 5", "line 6", "loss=1"]
    before = logs.get_log_events(**request, nextToken=last["nextBackwardToken"])
    assert [one["message"] for one in before["events"]] == ["line 2", "line 3", "line 4"]


def test_events_are_filtered_over_streams(logs, stream):
    arn = f"arn:aws:logs:eu-west-1:000000000000:log-group:{GROUP}"
    found = logs.filter_log_events(logGroupIdentifier=arn, filterPattern='"line 3"')["events"]
    assert [one["message"] for one in found] == ["line 3"] * 4
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=GROUP, logStreamNames=[stream], PaginationConfig={"PageSize": 5}
    )
    events = [one for page in pages for one in page["events"]]
    assert len(events) == 8
    later = logs.filter_log_events(logGroupName=GROUP, logStreamNames=[stream], startTime=events[5]["timestamp"])
    assert [one["message"] for one in later["events"]] == ["line 5", "line 6", "loss=1"]


def test_what_is_not_there(cloud):
    logs = cloud.client("logs")
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="group"):
        logs.filter_log_events(logGroupName=GROUP)
    cloud.create()
    cloud.ended()
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="stream"):
        logs.get_log_events(logGroupName=GROUP, logStreamName="nobody")
    for wrong in ({"filterPattern": "{ $.x = 1 }"}, {"limit": 10_001}, {"nextToken": "x"}):
        with pytest.raises(logs.exceptions.InvalidParameterException):
            logs.filter_log_events(logGroupName=GROUP, **wrong)
