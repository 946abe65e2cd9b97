"""What the service says of jobs and training jobs, as results and back."""

import pytest
from hypothesis import HealthCheck, given, settings

from tuneport.backends.protocols import Reading
from tuneport.backends.sagemaker import BACKEND
from tuneport.errors import PayloadError
from tuneport.model.results import FailureKind, RunReason, RunState, TrialState
from tuneport.testing.specimens import results
from tuneport.translation.shape import Shape, schema_of

from .documents import CONFIG, ONE, changed, golden, plain

STATUS = BACKEND.status
SCHEMA = schema_of("tuneport.backends.sagemaker")


def job(number=1, status="Completed", **more):
    """A training job's summary."""
    return {
        "TrainingJobName": f"Done-1-{number:03}-e8daaf89",
        "TrainingJobArn": f"arn:aws:sagemaker:us-west-2:111122223333:training-job/done-1-{number:03}-e8daaf89",
        "CreationTime": 1634538000 + number,
        "TrainingJobStatus": status,
        "TunedHyperParameters": {"num_round": "20"},
        **more,
    }


def scored(value):
    return {"FinalHyperParameterTuningJobObjectiveMetric": {"MetricName": "validation:error", "Value": value}}


def parse(*trials, **more):
    return STATUS.parse(golden("describe") | more, trials)


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("InProgress", RunState.RUNNING, None),
        ("Completed", RunState.SUCCEEDED, RunReason.COMPLETED),
        ("Failed", RunState.FAILED, RunReason.FAILURES),
        ("Stopping", RunState.STOPPING, RunReason.REQUEST),
        ("Stopped", RunState.STOPPED, RunReason.REQUEST),
        ("Deleting", RunState.STOPPED, None),
        ("DeleteFailed", RunState.STOPPED, None),
        ("Imagining", RunState.RUNNING, None),
    ],
)
def test_states_of_jobs(status, state, reason):
    read = parse(HyperParameterTuningJobStatus=status)
    assert (read.state, read.reason) == (state, reason)


def test_the_best_model_is_linked():
    output = golden("describe")[ONE]["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    assert parse().links == {"model": f"{output}/Done-1-002-e8daaf89/output/model.tar.gz"}
    definition = golden("describe")[ONE]
    loose = {ONE: definition | {"OutputDataConfig": {"S3OutputPath": "s3://b/", "CompressionType": "NONE"}}}
    assert parse(**loose).links == {"model": "s3://b/Done-1-002-e8daaf89/output/model/"}
    assert parse(BestTrainingJob=None).links == {}


def test_every_state_of_the_vendors_model_is_known():
    for status in SCHEMA["$defs"]["HyperParameterTuningJobStatus"]["enum"]:
        assert parse(HyperParameterTuningJobStatus=status).state.ended or status in {"InProgress", "Stopping"}
    for status in SCHEMA["$defs"]["TrainingJobStatus"]["enum"]:
        (trial,) = parse(job(status=status, TrainingStartTime=1)).trials
        assert trial.state.ended or status in {"InProgress", "Stopping"}


def test_the_record_of_a_job():
    read = parse(FailureReason=None)
    assert (read.ref, read.name, read.backend) == ("us-west-2/Done-1", "Done-1", "sagemaker")
    assert (read.created, read.ended, read.message) == (1634536861.477, 1634540461.0, "")
    assert read.objectives[0].metric == "validation:error"
    assert parse(FailureReason="no luck").message == "no luck"


@pytest.mark.parametrize(
    ("asked", "reason"), [("Enabled", RunReason.NO_IMPROVEMENT), ("Disabled", RunReason.COMPLETED)]
)
def test_convergence_ends_a_job_only_if_it_was_asked_to(asked, reason):
    criteria = {"TuningJobCompletionCriteria": {"ConvergenceDetected": {"CompleteOnConvergence": asked}}}
    details = {"TuningJobCompletionDetails": {"ConvergenceDetectedTime": 1634540461.0}}
    assert parse(**{CONFIG: golden("describe")[CONFIG] | criteria}, **details).reason is reason


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        (1634538000, 1634538000.0),
        (1634538000.25, 1634538000.25),
        ("2021-10-18T06:20:00Z", 1634538000.0),
        ("2021-10-18T06:20:00.25Z", 1634538000.25),
        ("2021-10-18T08:20:00+02:00", 1634538000.0),
        ("2021-10-18 06:20:00", 1634538000.0),
        ("2000-02-29T00:00:00-0130", 951_787_800.0),
        ("yesterday", None),
        (None, None),
        (True, None),
        (float("nan"), None),
    ],
)
def test_times(time, moment):
    assert parse(CreationTime=time).created == moment


@pytest.mark.parametrize(
    ("more", "state", "failure"),
    [
        ({"status": "InProgress"}, TrialState.REQUESTED, None),
        ({"status": "InProgress", "TrainingStartTime": 5}, TrialState.RUNNING, None),
        ({"status": "Stopping", "TrainingStartTime": 5}, TrialState.STOPPING, None),
        (scored(0.5), TrialState.SUCCEEDED, None),
        ({}, TrialState.FAILED, FailureKind.METRIC_MISSING),
        ({"status": "Stopped", **scored(0.5)}, TrialState.STOPPED, None),
        ({"status": "Stopped"}, TrialState.STOPPED, None),
        ({"status": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}, TrialState.FAILED, FailureKind.TIMED_OUT),
        (
            {"status": "Stopped", "SecondaryStatus": "MaxWaitTimeExceeded"},
            TrialState.FAILED,
            FailureKind.INFRASTRUCTURE,
        ),
        ({"status": "Failed", "FailureReason": "AlgorithmError: exit 1"}, TrialState.FAILED, FailureKind.CODE),
        (
            {"status": "Failed", "FailureReason": "InternalServerError: x"},
            TrialState.FAILED,
            FailureKind.INFRASTRUCTURE,
        ),
        ({"status": "Failed", "FailureReason": "CUDA out of memory"}, TrialState.FAILED, FailureKind.OUT_OF_MEMORY),
        ({"status": "Failed"}, TrialState.FAILED, FailureKind.CODE),
    ],
)
def test_states_of_trials(more, state, failure):
    (trial,) = parse(job(**more)).trials
    assert trial.state is state
    assert (trial.failure.kind if trial.failure else None) is failure


def test_the_record_of_a_trial():
    (trial,) = parse(job(17, TrainingStartTime=5, TrainingEndTime=9.5, **scored(0.125))).trials
    assert trial.id == 17
    assert trial.parameters == {"num_round": 20}
    assert trial.metrics == {"validation:error": 0.125}
    assert (trial.started, trial.ended) == (5.0, 9.5)
    assert trial.links == {"trial": "Done-1-017-e8daaf89"}


def test_a_training_jobs_own_description():
    described = job(TrainingStartTime=5) | {
        "HyperParameters": {"num_round": "12", "base_score": "0.5", "_tuning_objective_metric": "validation:error"},
        "FinalMetricDataList": [
            {"MetricName": "validation:error", "Value": 0.25, "Timestamp": 1},
            {"MetricName": "train:error", "Value": 0.5, "Timestamp": 1},
        ],
        "ModelArtifacts": {"S3ModelArtifacts": "s3://demo-bucket/out/model.tar.gz"},
    }
    del described["TunedHyperParameters"]
    (trial,) = parse(described).trials
    assert trial.parameters == {"num_round": 12}
    assert trial.metrics == {"validation:error": 0.25, "train:error": 0.5}
    assert trial.links["model"] == "s3://demo-bucket/out/model.tar.gz"


def test_trials_are_numbered_as_their_names_say_or_else_as_they_came():
    assert [one.id for one in parse(job(3), job(1)).trials] == [1, 3]
    foreign = [
        job(n) | {"TrainingJobName": f"some-{n}", "TunedHyperParameters": {"num_round": str(n)}} for n in (12, 11)
    ]
    assert [(one.id, one.parameters["num_round"]) for one in parse(*foreign).trials] == [(1, 11), (2, 12)]


def test_values_have_the_types_of_their_parameters():
    document = changed(plain(), f"/{CONFIG}/ResourceLimits/MaxRuntimeInSeconds", 600)
    tuned = {"lr": "1", "depth": "3.0", "batch": "16", "opt": "sgd", "other": "0.5"}
    trial = job(TunedHyperParameters=tuned, TrainingJobStatus="Stopped")
    (read,) = STATUS.parse(document, [trial]).trials
    assert [(type(value), value) for value in read.parameters.values()] == [
        (float, 1.0), (int, 3), (int, 16), (str, "sgd"), (float, 0.5),
    ]  # fmt: skip
    assert STATUS.parse(document).state is RunState.PENDING


def test_a_trial_of_one_of_several_definitions_knows_which():
    trial = job(TrainingJobDefinitionName="trees", TunedHyperParameters={"rounds": "12", "wd": "0.5"})
    (read,) = STATUS.parse(golden("definitions"), [trial]).trials
    assert read.parameters == {"sagemaker_definition": "trees", "rounds": 12, "wd": 0.5}


@pytest.mark.parametrize(
    "trial", [{}, {"TrainingJobName": 5, "TunedHyperParameters": []}, {"FinalMetricDataList": [1]}]
)
def test_nonsense_about_trials_does_no_harm(trial):
    assert [one.id for one in parse(trial).trials] == [1]


def test_what_is_no_reply_is_refused():
    with pytest.raises(PayloadError):
        STATUS.parse({"HyperParameterTuningJobStatus": "Completed"})


@given(results("sagemaker"))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_rendered_is_a_reply_and_a_list_by_the_vendors_model(result):
    rendered = STATUS.render(result)
    summaries = rendered.pop("TrainingJobSummaries")
    request = BACKEND.translator.read(plain()).request
    reply = BACKEND.translator.write(Reading("describe", request, rendered))
    assert Shape(SCHEMA, "DescribeHyperParameterTuningJobResponse").problems(reply) == []
    shape = Shape(SCHEMA, "HyperParameterTrainingJobSummary")
    assert [problem for one in summaries for problem in shape.problems(one)] == []
    assert sum(rendered["TrainingJobStatusCounters"].values()) == len(summaries)
    assert sum(rendered["ObjectiveStatusCounters"].values()) == len(summaries)
    assert ("BestTrainingJob" in rendered) == (result.best is not None)
    assert rendered["HyperParameterTuningJobArn"].islower()


@given(results("sagemaker"))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_rendered_is_understood(result):
    read = STATUS.parse(plain() | STATUS.render(result))
    assert read.state.ended == result.state.ended
    assert [one.id for one in read.trials] == [one.id for one in result.trials]
    for ours, theirs in zip(result.trials, read.trials, strict=True):
        assert theirs.started == ours.started
        assert theirs.ended == ours.ended
        assert list(theirs.metrics.values()) == list(ours.metrics.values())
        assert theirs.parameters == ours.parameters
        said = {TrialState.INFEASIBLE: TrialState.FAILED, TrialState.PAUSED: TrialState.RUNNING}
        kept = said.get(ours.state, ours.state)
        assert theirs.state is kept or ours.started is None


def test_failures_are_counted_apart():
    described = golden("describe")
    read = STATUS.parse(described, [job(1, **scored(1)), job(2, "Failed"), job(3, "InProgress"), job(4, "Stopped")])
    rendered = STATUS.render(read)
    assert rendered["TrainingJobStatusCounters"] == {
        "Completed": 1, "InProgress": 1, "RetryableError": 0, "NonRetryableError": 1, "Stopped": 1,
    }  # fmt: skip
    assert rendered["ObjectiveStatusCounters"] == {"Succeeded": 1, "Pending": 1, "Failed": 2}
    assert rendered["TrainingJobSummaries"][0]["TrainingJobName"] == "Done-1-001-e8daaf89"
    assert rendered["HyperParameterTuningJobArn"].split(":")[3] == "us-west-2"
    assert described[ONE] == golden("describe")[ONE]
