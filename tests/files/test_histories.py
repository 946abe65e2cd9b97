"""Histories as files: what was written is read, tables and studies of others are understood, bad files are refused."""

import json

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tuneport as tp
from tuneport.errors import JobError
from tuneport.files.histories import read_history, write_history
from tuneport.model.history import History, fit

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
AIM = [tp.maximize("accuracy")]
STUDY = tp.StudySpec(
    parameters=[tp.Float("lr", 1e-5, 1, scale="log"), tp.Int("layers", 1, 8), tp.Categorical("opt", ["adam", "sgd"])],
    objectives=AIM,
)


def trial(number, accuracy, **parameters):
    return tp.Trial(
        id=number,
        parameters=parameters,
        state="succeeded",
        measurements=[{"metrics": {"accuracy": accuracy}, "step": 1}],
        final_measurement={"metrics": {"accuracy": accuracy}, "step": 1},
        started=1.5,
        ended=2.5,
        links={"log": "here"},
    )


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(), st.one_of(st.booleans(), st.integers(-9, 9), st.floats(-1, 1), TEXT))))
def test_what_is_written_is_read(tmp_path_factory, said):
    trials = [trial(number, accuracy, p=value) for number, (accuracy, value) in enumerate(said, 1)]
    history = History(source="vertex:a/b", objectives=AIM, parameters=STUDY.parameters, fixed={"x": 1}, trials=trials)
    path = tmp_path_factory.mktemp("history") / "h.jsonl"
    text = write_history(history, path)
    assert path.read_text(encoding="utf-8") == text
    again = read_history(path)
    assert write_history(again) == text  # NaN is not equal to itself, but to its text
    assert [type(one.parameters["p"]) for one in again.trials] == [type(value) for _, value in said]


def test_a_table_of_our_own_records(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "trial,state,param.lr,param.layers,param.opt,metric.accuracy,seconds,failure\n"
        "1,succeeded,0.1,2,adam,0.9,1.5,\n"
        "2,failed,0.2,3,sgd,,1.5,code\n"
    )
    found = fit([read_history(path, AIM)], STUDY)
    assert [one.parameters for one in found.trials] == [{"lr": 0.1, "layers": 2, "opt": "adam"}]
    assert found.reasons == {"they have no result": 1}


def test_a_plain_table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('lr,layers,opt,accuracy,loss\n0.1,2,"adam",0.9,1\n0.3,4,sgd,nan,1\n')
    found = fit([read_history(path, AIM)], STUDY)
    assert [(one.parameters["lr"], one.metrics) for one in found.trials] == [(0.1, {"accuracy": 0.9})]


def optuna_study(storage=None):
    study = optuna.create_study(direction="maximize", storage=storage, study_name="digits")
    space = {
        "lr": optuna.distributions.FloatDistribution(1e-5, 1, log=True),
        "layers": optuna.distributions.IntDistribution(1, 8),
        "opt": optuna.distributions.CategoricalDistribution(["adam", "sgd"]),
    }
    point = {"lr": 0.1, "layers": 2, "opt": "adam"}
    study.add_trial(optuna.create_trial(params=point, distributions=space, value=0.9))
    pruned = optuna.trial.TrialState.PRUNED
    study.add_trial(optuna.create_trial(state=pruned, params=point, distributions=space, intermediate_values={1: 0.4}))
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.FAIL, params=point, distributions=space))
    return study


def test_a_data_frame_of_optuna(tmp_path):
    path = tmp_path / "t.csv"
    optuna_study().trials_dataframe().to_csv(path)
    found = fit([read_history(path, AIM)], STUDY)
    assert found.trials[0].parameters == {"lr": 0.1, "layers": 2, "opt": "adam"}


def test_a_study_of_optuna(tmp_path):
    storage = f"sqlite:///{tmp_path}/o.db"
    optuna_study(storage)
    history = read_history(f"optuna:{storage}#digits", AIM)
    assert [one.state for one in history.trials] == ["succeeded", "stopped", "failed"]
    assert [one.metrics for one in history.trials] == [{"accuracy": 0.9}, {"accuracy": 0.4}, {}]
    assert len(fit([history], STUDY).trials) == 2


HEAD = json.dumps({"history": 1, "source": "x"})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("h.jsonl", "", "must begin with a line that has 'history'"),
        ("h.jsonl", "[1]\n", "must be a mapping"),
        ("h.jsonl", HEAD + "\n{oops\n", "h.jsonl:2:1: is not JSON"),
        ("h.jsonl", HEAD + '\n{"id": 1, "state": "fine", "parameters": {}}\n', "h.jsonl:2: 1 problem"),
        ("h.jsonl", '{"history": 9, "source": "x"}\n', "h.jsonl:1: 1 problem"),
        ("h.jsonl", '{"history": 1, "source": "x", "more": 1}\n', "h.jsonl:1: 1 problem"),
        ("h.csv", "", "has no column with a metric"),
        ("h.csv", "lr,acuracy\n1,2\n", "did you mean 'acuracy'"),
        ("h.txt", "", "is no history"),
    ],
)
def test_bad_files_are_refused_with_their_place(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(JobError) as caught:
        read_history(path, AIM)
    assert said in f"{caught.value} {[str(one) for one in caught.value.problems]} {caught.value.hint}"


def test_what_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(JobError, match="cannot be read"):
        read_history(tmp_path / "none.jsonl")
    with pytest.raises(JobError, match="cannot be read"):
        read_history(f"optuna:sqlite:///{tmp_path}/none.db#none")
