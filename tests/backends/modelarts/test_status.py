"""Jobs and tables of trials: every phase, every layout that is known, and back."""

import math

import pytest

from tuneport.backends.modelarts.status import STATUS
from tuneport.errors import PayloadError
from tuneport.model.results import Measurement, RunReason, RunState, StudyResult, Trial, TrialState
from tuneport.model.study import maximize, minimize

JOB = {
    "metadata": {"id": "5b60", "name": "sweep", "create_time": 1636515222282},
    "status": {"phase": "Completed", "start_time": 1636515225000, "duration": 20500},
    "algorithm": {
        "policies": {"auto_search": {"reward_attrs": [{"name": "acc", "mode": "max"}, {"name": "loss", "mode": "min"}]}}
    },
}
CONFIG = {
    "batch_size": 32,
    "learning_rate": 0.055,
    "trial_index": 0,
    "param/batch_size": 32,
    "param/learning_rate": 0.055,
}
SECOND = {"batch_size": 16, "learning_rate": 0.04, "trial_index": 1}
LOSS = "tensor(0.0754, device='cuda:0', requires_grad=True)"
HEADER = [
    *("", "done", "pid", "config", "trial_id", "training_iteration", "time_total_s", "worker_index", "reward_attr"),
    *("status", "acc", "loss", "best_reward"),
]
LISTED = {
    "total": 2,
    "count": 2,
    "limit": 50,
    "offset": 0,
    "group_by": "",
    "items": {
        "header": HEADER,
        "data": [
            ["1", "True", "315", SECOND, "ae548666", "2", "3.6", "", "0.0", "TERMINATED", "0.0", LOSS, "0.0"],
            ["0", "True", "314", CONFIG, "ae544174", "2", "19.5", "", "0.0625", "TERMINATED", "0.0625", LOSS, "0.0625"],
        ],
    },
}
CONSOLE = {
    "items": {
        "header": ["", "time_total_s", "config", "pid", "reward_attr", "training_iteration", "done", "trial_id", "acc"],
        "data": [["0", "19.5", str(CONFIG), "314", "0.0625", "2", "True", "ae544174", "0.0625"]],
    }
}
SINGLE = {
    "header": ["done", "pid", "best_reward", "time_total_s", "config", "acc", "loss", "trial_id", "training_iteration"],
    "data": [
        ["False", "314", "0.05", "9.5", CONFIG, "0.05", "nan", "ae544174", "1"],
        ["True", "314", "0.0625", "19.5", CONFIG, "0.0625", LOSS, "ae544174", "2"],
    ],
}


def described(**status):
    return JOB | {"status": JOB["status"] | status}


def row(**cells):
    """A list of one trial, whose cells are these."""
    plain = dict(zip(HEADER, LISTED["items"]["data"][1], strict=True))
    return {"items": {"header": HEADER, "data": [[{**plain, **cells}[name] for name in HEADER]]}}


def only(table, **status):
    (trial,) = STATUS.parse(described(**status), [table]).trials
    return trial


def test_the_list_of_trials():
    result = STATUS.parse(JOB, [LISTED])
    assert (result.ref, result.name, result.backend) == ("5b60", "sweep", "modelarts")
    assert result.objectives == (maximize("acc"), minimize("loss"))
    assert (result.created, result.ended) == (1636515222.282, 1636515245.5)
    first, second = result.trials
    assert (first.id, first.state, first.links) == (1, TrialState.SUCCEEDED, {"trial": "ae544174"})
    assert first.parameters == {"batch_size": 32, "learning_rate": 0.055}
    assert first.final_measurement == Measurement(metrics={"acc": 0.0625, "loss": 0.0754}, step=2, elapsed=19.5)
    assert (second.id, second.parameters["batch_size"]) == (2, 16)
    assert result.best == first


def test_the_layout_of_the_console():
    trial = only(CONSOLE)
    assert trial.parameters == {"batch_size": 32, "learning_rate": 0.055}
    assert trial.metrics == {"acc": 0.0625}


def test_a_single_trial_has_a_row_for_each_report():
    (trial, _) = STATUS.parse(JOB, [LISTED, SINGLE]).trials
    assert [one.metrics["acc"] for one in trial.measurements] == [0.05, 0.0625]
    assert math.isnan(trial.measurements[0].metrics["loss"])
    assert trial.metrics == {"acc": 0.0625, "loss": 0.0754}


def test_pages_of_one_list_are_one_list():
    pages = [{"items": {"header": HEADER, "data": [one]}} for one in LISTED["items"]["data"]]
    assert STATUS.parse(JOB, pages) == STATUS.parse(JOB, [LISTED])


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        ({"lr": 0.05, "opt": "sgd", "trial_index": 0, "param/lr": 0.05}, {"lr": 0.05, "opt": "sgd"}),
        ("{'lr': 0.05, 'on': True, 'trial_index': 0}", {"lr": 0.05, "on": True}),
        ("{'lr': Decimal('0.05'), 'n': 3}", {"lr": 0.05, "n": 3}),
        ("{'lr': Decimal('NaN'), 'n': 3}", {"n": 3}),
        ("{'lr': nan, **x, 'n': np.float64(0.5), 'opt': 'inf'}", {"n": 0.5, "opt": "inf"}),
        ("{'lr': __import__('os')}", {}),
        ("[" * 1000, {}),
        ("", {}),
        (None, {}),
        ([1], {}),
    ],
)
def test_the_cell_of_parameters(config, parameters):
    assert only(row(config=config)).parameters == parameters


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0.0625", 0.0625),
        ("-1e-05", -1e-05),
        ("5", 5.0),
        (".5", 0.5),
        (0.25, 0.25),
        ("tensor(0.0754, device='cuda:0')", 0.0754),
        ("tensor([[3.5]], dtype=torch.float64)", 3.5),
        ("inf", math.inf),
        ("", None),
        ("none", None),
        ("information", None),
        (None, None),
    ],
)
def test_the_cell_of_a_metric(cell, value):
    assert only(row(loss=cell)).metrics.get("loss") == value


@pytest.mark.parametrize(
    ("cells", "phase", "state", "failure"),
    [
        ({"status": "TERMINATED"}, "Running", TrialState.SUCCEEDED, None),
        ({"status": "RUNNING", "done": "False"}, "Running", TrialState.RUNNING, None),
        ({"status": "PAUSED"}, "Running", TrialState.PAUSED, None),
        ({"status": "PENDING"}, "Running", TrialState.REQUESTED, None),
        ({"status": "RUNNING", "done": "False"}, "Terminated", TrialState.STOPPED, None),
        ({"status": "ERROR"}, "Running", TrialState.FAILED, "code"),
        ({"status": "", "done": "False"}, "Running", TrialState.RUNNING, None),
        ({"status": "", "done": "True"}, "Running", TrialState.SUCCEEDED, None),
        ({"acc": "", "reward_attr": ""}, "Completed", TrialState.FAILED, "metric_missing"),
        ({"acc": "", "reward_attr": ""}, "Terminated", TrialState.STOPPED, None),
        ({"acc": "nan", "reward_attr": ""}, "Completed", TrialState.INFEASIBLE, "infeasible"),
    ],
)
def test_states_of_trials(cells, phase, state, failure):
    trial = only(row(**cells), phase=phase)
    assert trial.state is state
    assert (trial.failure.kind if trial.failure else None) == failure


def test_trials_that_share_an_index_are_still_told_apart():
    assert [one.id for one in STATUS.parse(JOB, [LISTED, row(trial_id="another")]).trials] == [1, 2, 3]


@pytest.mark.parametrize(("cell", "elapsed"), [("1.5", 1.5), ("0", 0), ("-1", None), ("nan", None), ("inf", None)])
def test_time_is_not_below_zero(cell, elapsed):
    assert only(row(time_total_s=cell)).measurements[0].elapsed == elapsed


def test_the_reward_stands_in_for_its_metric():
    assert only(row(acc="", reward_attr="0.5")).metrics["acc"] == 0.5


@pytest.mark.parametrize(
    ("phase", "state", "reason"),
    [
        ("Creating", RunState.PENDING, None),
        ("Pending", RunState.PENDING, None),
        ("Running", RunState.RUNNING, None),
        ("Terminating", RunState.STOPPING, RunReason.REQUEST),
        ("Completed", RunState.SUCCEEDED, RunReason.COMPLETED),
        ("Failed", RunState.FAILED, RunReason.FAILURES),
        ("Abnormal", RunState.FAILED, RunReason.FAILURES),
        ("Terminated", RunState.STOPPED, RunReason.REQUEST),
        ("Dreaming", RunState.RUNNING, None),
    ],
)
def test_phases_of_jobs(phase, state, reason):
    result = STATUS.parse(described(phase=phase))
    assert (result.state, result.reason) == (state, reason)
    assert ("Dreaming" in result.message) == (phase == "Dreaming")
    assert (result.ended is None) != state.ended


@pytest.mark.parametrize(
    ("job", "tables"),
    [
        ({}, []),
        ({"metadata": {"name": "x"}}, []),
        (JOB | {"status": "Running"}, []),
        ({"metadata": {"name": "x"}, "algorithm": {"policies": {"auto_search": {"reward_attrs": "acc"}}}}, []),
        ({"metadata": {"name": "x"}, "algorithm": {"policies": {"auto_search": {"reward_attrs": [1]}}}}, []),
        (JOB, [{}]),
        (JOB, [{"header": ["a"], "data": "b"}]),
        (JOB, [{"header": [], "data": [1]}]),
    ],
)
def test_what_is_no_job_or_no_table(job, tables):
    with pytest.raises(PayloadError) as caught:
        STATUS.parse(job, tables)
    assert caught.value.problems


def result(state=RunState.SUCCEEDED):
    measurements = [
        Measurement(metrics={"acc": value, "loss": 1 - value}, step=step, elapsed=step * 1.5)
        for step, value in [(1, 0.5), (2, 0.75)]
    ]
    done = {"state": TrialState.SUCCEEDED, "measurements": measurements, "final_measurement": measurements[-1]}
    return StudyResult(
        ref="5b60",
        name="sweep",
        backend="modelarts",
        state=state,
        reason=RunReason.COMPLETED,
        objectives=(maximize("acc"), minimize("loss")),
        trials=(
            Trial(id=1, parameters={"lr": 1e-05, "opt": "sgd", "on": True}, links={"trial": "ae544174"}, **done),
            Trial(id=2, parameters={"lr": 0.1}, links={"trial": "ae548666"}, state=TrialState.FAILED),
        ),
        created=1000.0,
        ended=2000.0,
    )


def test_what_is_rendered_is_parsed():
    made = result()
    parsed = STATUS.parse(STATUS.render(made), [STATUS.reports(made, made.trials[0])])
    assert parsed.trials[0] == made.trials[0]
    assert parsed.trials[1].state is TrialState.FAILED
    assert parsed.changed(trials=()) == made.changed(trials=())


@pytest.mark.parametrize("state", RunState)
def test_every_state_of_a_run_has_a_phase(state):
    again = STATUS.parse(STATUS.render(result(state)))
    assert again.state is (RunState.RUNNING if state is RunState.INTERRUPTED else state)


def test_tables_look_as_the_service_makes_them():
    table = STATUS.table(result())
    assert table["items"]["header"] == HEADER
    assert table["items"]["data"][0] == [
        *("0", "True", ""),
        {
            "lr": 1e-05,
            "opt": "sgd",
            "on": True,
            "trial_index": 0,
            "param/lr": 1e-05,
            "param/opt": "sgd",
            "param/on": True,
        },
        *("ae544174", "2", "3.0", "", "0.75", "TERMINATED", "0.75", "0.25", "0.75"),
    ]
    assert (table["total"], table["count"], table["limit"], table["offset"]) == (2, 2, 50, 0)
    page = STATUS.table(result(), offset=1, limit=1)
    assert (page["total"], page["count"], [one[0] for one in page["items"]["data"]]) == (2, 1, ["1"])
    reports = STATUS.reports(result(), result().trials[0])
    assert [one[0] for one in reports["data"]] == ["False", "True"]
