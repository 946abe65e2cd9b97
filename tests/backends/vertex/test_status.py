"""What the service says of jobs and trials, read and written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneport.backends.vertex import BACKEND
from tuneport.backends.vertex.forms import schema
from tuneport.backends.vertex.status import _timestamp
from tuneport.backends.vertex.status import moment as _moment
from tuneport.errors import PayloadError
from tuneport.model.results import (
    Failure,
    FailureKind,
    Measurement,
    RunReason,
    RunState,
    StudyResult,
    Trial,
    TrialState,
)
from tuneport.model.study import Constraint, maximize
from tuneport.translation.shape import Shape

from .documents import child, choice, discrete, double, integer, plain, space

STATUS = BACKEND.status
LOSS = {"metricId": "loss", "value": 0.5}
NAME = "projects/123/locations/europe-west4/hyperparameterTuningJobs/4611686018427387904"


def reply(document=None, **said):
    return {**(document or plain()), "name": NAME, "state": "JOB_STATE_RUNNING", **said}


@pytest.mark.parametrize(
    ("number", "name", "state", "reason"),
    [
        (0, "UNSPECIFIED", RunState.PENDING, None),
        (1, "QUEUED", RunState.PENDING, None),
        (2, "PENDING", RunState.PENDING, None),
        (3, "RUNNING", RunState.RUNNING, None),
        (4, "SUCCEEDED", RunState.SUCCEEDED, RunReason.COMPLETED),
        (5, "FAILED", RunState.FAILED, RunReason.FAILURES),
        (6, "CANCELLING", RunState.STOPPING, RunReason.REQUEST),
        (7, "CANCELLED", RunState.STOPPED, RunReason.REQUEST),
        (8, "PAUSED", RunState.INTERRUPTED, None),
        (9, "EXPIRED", RunState.FAILED, RunReason.TIME),
        (10, "UPDATING", RunState.RUNNING, None),
        (11, "PARTIALLY_SUCCEEDED", RunState.SUCCEEDED, RunReason.COMPLETED),
        ("DREAMING", "DREAMING", RunState.PENDING, None),
    ],
)
def test_every_state_of_a_job(number, name, state, reason):
    for said in (number, f"JOB_STATE_{name}"):
        read = STATUS.parse(reply(state=said))
        assert (read.state, read.reason) == (state, reason)


def test_a_pipeline_has_states_of_its_own():
    definition = "gs://google-cloud-aiplatform/schema/trainingjob/definition/hyperparameter_tuning_task_1.0.0.yaml"
    inputs = {key: value for key, value in plain().items() if key != "displayName"}
    document = {"displayName": "p", "trainingTaskDefinition": definition, "trainingTaskInputs": inputs}
    read = STATUS.parse({**document, "state": "PIPELINE_STATE_CANCELLED", "error": {"code": 1, "message": "CANCELED"}})
    assert (read.name, read.state, read.message) == ("p", RunState.STOPPED, "CANCELED")
    assert [objective.metric for objective in read.objectives] == ["loss"]


def test_the_model_of_a_pipeline_and_its_page_are_linked():
    definition = "gs://google-cloud-aiplatform/schema/trainingjob/definition/hyperparameter_tuning_task_1.0.0.yaml"
    inputs = {key: value for key, value in plain().items() if key != "displayName"}
    document = {
        "name": "projects/p/locations/europe-west4/trainingPipelines/12",
        "displayName": "p",
        "trainingTaskDefinition": definition,
        "trainingTaskInputs": inputs,
        "modelToUpload": {"displayName": "best", "name": "projects/p/locations/europe-west4/models/7"},
    }
    page = "https://console.cloud.google.com/agent-platform/locations/europe-west4/training/12?project=p"
    assert STATUS.parse(document).links == {"model": "projects/p/locations/europe-west4/models/7", "console": page}
    del document["modelToUpload"]["name"]
    assert STATUS.parse(document).links == {"console": page}


@pytest.mark.parametrize(
    ("number", "name", "state"),
    [
        (0, "STATE_UNSPECIFIED", TrialState.REQUESTED),
        (1, "REQUESTED", TrialState.REQUESTED),
        (2, "ACTIVE", TrialState.RUNNING),
        (3, "STOPPING", TrialState.STOPPING),
        (4, "SUCCEEDED", TrialState.SUCCEEDED),
        (5, "INFEASIBLE", TrialState.INFEASIBLE),
        ("DREAMING", "DREAMING", TrialState.REQUESTED),
    ],
)
def test_every_state_of_a_trial(number, name, state):
    for said in (number, name):
        assert STATUS.parse(reply(trials=[{"id": "1", "state": said}])).trials[0].state is state


def test_values_have_the_types_of_what_is_searched():
    inner = child(["a"], integer("n"))
    document = space(
        choice("c", "a", "b", children=[inner, child(["b"], double("n"))]),
        discrete("d", 16, 32.5),
        choice("flag", "true", "false"),
        discrete("step", 0, 4, 8, scaleType="UNIT_LINEAR_SCALE"),
    )
    values = {"c": "a", "n": 3.0, "d": 16.0, "flag": "true", "step": 4.0, "unknown": 1.5, "none": None}
    parameters = [{"parameterId": name, "value": value} for name, value in values.items()]
    (trial,) = STATUS.parse(reply(document, trials=[{"id": "1", "parameters": parameters}])).trials
    assert {name: (type(value), value) for name, value in trial.parameters.items()} == {
        "c": (str, "a"),
        "n": (int, 3),
        "d": (int, 16),
        "flag": (str, "true"),
        "step": (int, 4),
        "unknown": (float, 1.5),
    }


def test_trials_are_put_in_order_with_all_that_is_said_of_them():
    trials = [
        {"id": "10", "state": "ACTIVE"},
        {
            "id": "9",
            "state": "SUCCEEDED",
            "finalMeasurement": {
                "stepCount": "5",
                "elapsedDuration": "1.500s",
                "metrics": [{"metricId": "loss", "value": 0.5}],
            },
            "measurements": [{"metrics": [{"metricId": "loss", "value": "NaN"}, {"metricId": "zero"}]}],
            "startTime": "2026-02-03T10:00:05.123456789Z",
            "endTime": "2026-02-03T12:00:00+02:00",
            "customJob": "projects/123/locations/l/customJobs/77",
        },
        {"id": "2", "state": "INFEASIBLE", "infeasibleReason": "no metric"},
    ]
    read = STATUS.parse(reply(trials=trials, createTime="2026-02-03T10:00:00Z"))
    assert [trial.id for trial in read.trials] == [2, 9, 10]
    assert read.trials[0].failure == Failure(kind=FailureKind.INFEASIBLE, message="no metric")
    done = read.trials[1]
    assert done.final_measurement == Measurement(metrics={"loss": 0.5}, step=5, elapsed=1.5)
    assert math.isnan(done.measurements[0].metrics["loss"])
    assert done.measurements[0].metrics["zero"] == 0
    assert (done.started, done.ended) == (pytest.approx(1770112805.1234567), 1770112800)
    assert done.links == {"custom_job": "projects/123/locations/l/customJobs/77"}
    assert (read.ref, read.created, read.ended) == (NAME, 1770112800, None)
    assert read.best == done


def test_trials_may_come_apart_and_in_snake_case():
    trials = [
        {"id": "1", "state": 4, "final_measurement": {"step_count": 2, "metrics": [{"metric_id": "loss", "value": 1}]}}
    ]
    (trial,) = STATUS.parse(reply(), trials).trials
    assert trial.final_measurement == Measurement(metrics={"loss": 1.0}, step=2)
    assert STATUS.parse(reply(trials=[{"id": "7"}]), trials).trials[0].id == 7


def test_a_part_of_a_reply_will_do():
    read = STATUS.parse({"studySpec": {"metrics": [{"metricId": "m", "goal": 2}]}, "state": "JOB_STATE_QUEUED"})
    assert (read.name, read.objectives[0].goal, read.state) == ("", "minimize", RunState.PENDING)


METRICS = [
    {"metricId": "loss", "goal": "MINIMIZE"},
    {"metricId": "heat", "goal": "MINIMIZE", "safetyConfig": {"safetyThreshold": 2}},
]


@pytest.mark.parametrize("said", [plain(studySpec__metrics=METRICS), {"studySpec": {"metrics": METRICS}}])
def test_the_best_trial_is_one_that_is_safe(said):
    measured = [(0.3, 2.5), (0.5, 2), (0.4, None), (0.7, 1)]
    trials = [
        {
            "id": str(number),
            "state": "SUCCEEDED",
            "finalMeasurement": {
                "metrics": [
                    {"metricId": name, "value": value}
                    for name, value in (("loss", loss), ("heat", heat))
                    if value is not None
                ]
            },
        }
        for number, (loss, heat) in enumerate(measured, 1)
    ]
    read = STATUS.parse(reply(said, trials=trials))
    assert [one.metric for one in read.objectives] == ["loss"]
    assert read.constraints == (Constraint("heat", at_most=2),)
    assert read.trials[0].metrics == {"loss": 0.3, "heat": 2.5}
    assert read.best.id == 2
    assert [one.id for one in read.pareto] == [2]


@pytest.mark.parametrize(
    "document",
    [None, {}, {"state": 3}, reply(trials=[{"state": "ACTIVE"}]), reply(trials=[{"id": "x"}]), reply(trials=3)],
)
def test_what_is_no_reply_is_refused(document):
    with pytest.raises(PayloadError):
        STATUS.parse(document)


def result(*trials, state=RunState.SUCCEEDED, **more):
    objectives = (maximize("accuracy"),)
    return StudyResult(
        ref=NAME, name="digits", backend="vertex", state=state, objectives=objectives, trials=trials, **more
    )


FINAL = Measurement(metrics={"accuracy": 0.5, "size": math.inf}, step=3, elapsed=2.0)


def test_what_is_said_follows_the_vendors_model():
    trials = [
        Trial(
            id=1, parameters={"x": 0.5, "n": 3, "c": "a", "b": True}, state=state, final_measurement=FINAL, started=1.0
        )
        for state in TrialState
    ]
    for state in RunState:
        said = STATUS.render(result(*trials, state=state, created=1.5, ended=9.0))
        whole = plain() | said | {"studySpec": plain()["studySpec"]}
        assert Shape(schema(), "HyperparameterTuningJob").problems(whole) == []
    assert [trial["state"] for trial in said["trials"]] == [
        "REQUESTED",
        "ACTIVE",
        "ACTIVE",
        "STOPPING",
        "SUCCEEDED",
        "SUCCEEDED",
        "INFEASIBLE",
        "INFEASIBLE",
    ]


def test_what_was_said_is_read_again():
    trial = Trial(
        id=3,
        parameters={"x": 0.5},
        state=TrialState.SUCCEEDED,
        measurements=(FINAL,),
        final_measurement=FINAL,
        started=1770112805.125,
        ended=1770112900.0,
        links={"custom_job": "j"},
    )
    bounds = (Constraint("size", at_least=0.5),)
    said = result(trial, reason=RunReason.COMPLETED, constraints=bounds, created=1770112800.0, ended=1770112901.0)
    document = STATUS.render(said)
    assert STATUS.parse(document).model_copy(update={"links": {}}) == said
    assert document["startTime"] == "2026-02-03T10:00:05.125000Z"
    assert document["updateTime"] == document["endTime"] == "2026-02-03T10:01:41.000000Z"


def test_a_trial_without_a_result_is_infeasible():
    failure = Failure(kind=FailureKind.CODE, message="exit status 1")
    failed = Trial(id=1, parameters={}, state=TrialState.FAILED, final_measurement=FINAL, failure=failure)
    stopped = Trial(id=2, parameters={}, state=TrialState.STOPPED)
    said = STATUS.render(result(failed, stopped))["trials"]
    assert [(one["state"], one.get("infeasibleReason")) for one in said] == [
        ("INFEASIBLE", "exit status 1"),
        ("INFEASIBLE", None),
    ]
    assert "finalMeasurement" not in said[0]


def test_how_a_job_ended_badly():
    assert STATUS.render(result(state=RunState.STOPPED))["error"] == {"code": 1, "message": "CANCELED"}
    assert STATUS.render(result(state=RunState.FAILED, message="why"))["error"] == {"code": 13, "message": "why"}
    assert "error" not in STATUS.render(result())


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59Z", -1),
        ("2000-02-29T12:00:00Z", 951825600),
        ("2024-03-01T00:00:00Z", 1709251200),
        ("2100-03-01T00:00:00Z", 4107542400),
        ("2026-02-03T10:00:00.5+01:00", 1770109200.5),
        ("2026-02-03T10:00:00-00:30", 1770114600),
        ("yesterday", None),
        (None, None),
        (5, None),
    ],
)
def test_times(text, moment):
    assert _moment(text) == moment


@given(st.floats(0, 4e9))
def test_times_are_read_as_they_are_written(moment):
    assert _moment(_timestamp(moment)) == pytest.approx(moment, abs=1e-6)
