"""What a job means is restored from what a host with fewer kinds of parameters says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tuneport_trial as trial
from tuneport.backends.sagemaker.hyperparameters import HINTS, text_of
from tuneport.engine.launch import plain_text
from tuneport.model.parameters import Categorical, Float, Int, when
from tuneport.search.space import Space
from tuneport.testing.strategies import spaces
from tuneport.translation.lowering import Vocabulary, hints_text, lower

LINEAR = frozenset({"linear"})
VOCABULARIES = {
    "rich": Vocabulary(listed_numbers=1000, conditions=True),
    "flat": Vocabulary(listed_numbers=10),
    "poor": Vocabulary(
        ints=False,
        float_scales=LINEAR,
        int_scales=LINEAR,
        list_scales=LINEAR,
        names=r"[A-Za-z0-9_-]{1,64}",
    ),
}


@pytest.fixture(autouse=True)
def no_host(monkeypatch, tmp_path):
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path / "ml"))
    monkeypatch.delenv("TUNEPORT_TRIAL", raising=False)
    yield
    trial.reset()


def params(hints, *words):
    """What a trial without a host reads from its command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEPORT_SPACE", hints)
        patch.setattr(sys, "argv", ["train.py", *words])
        trial.reset()
        return trial.params()


def flags(values):
    return [f"--{name}={plain_text(value)}" for name, value in values.items()]


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=VOCABULARIES)
@given(space=spaces(), data=st.data())
def test_every_point_of_a_lowered_space_becomes_a_point_of_the_space(vocabulary, space, data):
    lowered = lower(space, vocabulary)
    searched = Space(lowered.parameters)
    cube = data.draw(st.lists(st.floats(0, 1), min_size=len(searched), max_size=len(searched)))
    point = searched.decode(np.array(cube))
    meant = params(hints_text(lowered.hints), *flags(point))
    assert Space.key(Space(space).legal(meant)) == Space.key(meant)


@given(space=spaces(), data=st.data())
def test_so_it_does_on_sagemaker_where_values_keep_their_types_as_json(tmp_path_factory, space, data):
    lowered = lower(space, Vocabulary(typed_choices=True))
    searched = Space(lowered.parameters)
    cube = data.draw(st.lists(st.floats(0, 1), min_size=len(searched), max_size=len(searched)))
    texts = {name: text_of(value) for name, value in searched.decode(np.array(cube)).items()}
    folder = tmp_path_factory.mktemp("ml") / "input" / "config"
    folder.mkdir(parents=True)
    (folder / "hyperparameters.json").write_text(json.dumps(texts | {HINTS: hints_text(lowered.hints)}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(folder.parent.parent))
        trial.reset()
        meant = trial.params()
    assert Space.key(Space(space).legal(meant)) == Space.key(meant)


@given(space=spaces(), data=st.data())
def test_fixed_parameters_pass_beside_hints(space, data):
    lowered = lower(space, VOCABULARIES["poor"])
    searched = Space(lowered.parameters)
    fixed = {"fixed\nname": data.draw(st.integers() | st.booleans() | st.sampled_from(["adam", "a b"]))}
    meant = params(hints_text(lowered.hints), *flags(fixed), *flags(searched.decode(np.zeros(len(searched)))))
    assert meant["fixed\nname"] == fixed["fixed\nname"]


@pytest.mark.parametrize("step", [0.1, 0.3, 1e-7])
def test_grid_points_are_those_of_the_search_to_the_last_bit(step):
    space = [Float("x", 0.1, 0.1 + 1000 * step, step=step)]
    lowered = lower(space, VOCABULARIES["poor"])
    for index, point in enumerate(Space(space).points()):
        near = point["x"] + (0.4 if index % 2 else -0.4) * step
        assert params(hints_text(lowered.hints), f"--x={near!r}") == point


@pytest.mark.parametrize(("text", "value"), [("-5", 1e-5), ("0", 1.0), ("-7.5", 1e-5), ("3", 1.0), ("-2", 0.01)])
def test_logarithms(text, value):
    lowered = lower([Float("lr", 1e-5, 1.0, scale="log")], VOCABULARIES["poor"])
    assert params(hints_text(lowered.hints), f"--log10_lr={text}") == {"lr": value}


def test_the_largest_number_comes_back():
    lowered = lower([Float("x", 1.0, sys.float_info.max, scale="log")], VOCABULARIES["poor"])
    (value,) = params(hints_text(lowered.hints), f"--log10_x={lowered.parameters[0].high!r}").values()
    assert value == pytest.approx(sys.float_info.max)


def test_steps_of_large_whole_numbers_stay_below_their_bound():
    lowered = lower([Int("n", 0, 10**12 - 1, step=10**5)], VOCABULARIES["poor"])
    assert params(hints_text(lowered.hints), f"--n={10**12 - 1}") == {"n": 10**12 - 10**5}


def test_parameters_of_other_branches_are_left_out_along_chains():
    space = [
        Float("rate", 0.0, 1.0, when=when("opt", "adam")),
        Float("rate", 1.0, 2.0, when=when("opt", "sgd")),
        Int("nesterov_from", 1, 9, when=when("nesterov", True)),
        Categorical("nesterov", [True, False], when=when("opt", "sgd")),
        Categorical("opt", ["adam", "sgd"]),
    ]
    hints = hints_text(lower(space, VOCABULARIES["flat"]).hints)
    words = ["--rate_adam=0.5", "--rate_sgd=1.5", "--nesterov_from=3", "--nesterov=true"]
    assert params(hints, *words, "--opt=adam") == {"rate": 0.5, "opt": "adam"}
    assert params(hints, *words, "--opt=sgd") == {"rate": 1.5, "nesterov_from": 3, "nesterov": True, "opt": "sgd"}
    assert params(hints, *words) == {}, "without the parent, there are none of its children"


def test_a_parent_that_is_one_is_not_true():
    hints = json.dumps({"": 1, "x": {"when": ["on", [True]]}, "y": {"when": ["on", [1.0]]}})
    assert params(hints, "--on=1", "--x=2", "--y=3") == {"on": 1, "y": 3}
    assert params(hints, "--on=true", "--x=2", "--y=3") == {"on": True, "x": 2}


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        ({"kind": "float", "range": [0, 1], "step": 0.5}, "many"),
        ({"kind": "float", "range": [0, 1]}, "nan"),
        ({"kind": "int", "range": [0, 1], "log": True}, "inf"),
        ({"choices": {"true": True}}, "1"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(hint, text):
    with pytest.raises(ValueError, match=f"parameter 'x' cannot be '{text}'"):
        params(json.dumps({"": 1, "x": hint}), f"--x={text}")


def test_hints_of_another_version_are_refused():
    with pytest.raises(RuntimeError, match="have version 2, this tuneport_trial reads 1"):
        params(json.dumps({"": 2}))


@pytest.mark.parametrize("variable", ["CLOUD_ML_TRIAL_ID", "MA_VJ_NAME"])
def test_hosts_with_flags_bring_hints_in_a_variable(variable):
    lowered = lower([Float("lr", 1e-4, 1.0, scale="log"), Int("n", 8, 64, step=8)], VOCABULARIES["poor"])
    code = "import json, tuneport_trial as t; print(t.host(), json.dumps(t.params()))"
    run = subprocess.run(
        [sys.executable, "-c", code, "--log10_lr=-2", "--n=16.0", "--epochs=5"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(trial.__file__).parent),
            variable: "1",
            "TUNEPORT_SPACE": hints_text(lowered.hints),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    host, _, text = run.stdout.partition(" ")
    assert host in {"vertex", "modelarts"}
    assert json.loads(text) == {"lr": 0.01, "n": 16, "epochs": 5}
