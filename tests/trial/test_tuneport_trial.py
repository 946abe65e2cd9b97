"""The trainer's side: what it reads and writes on each host, and what it asks of the Python that it runs in."""

import ast
import base64
import contextlib
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tuneport_trial as trial

SOURCE = Path(trial.__file__)
HOST_VARIABLES = ("TUNEPORT_", "CLOUD_ML_", "AIP_", "SM_", "SAGEMAKER_", "TRAINING_JOB_", "MA_", "train_url")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No host at all, in an empty directory; and nothing is remembered afterwards."""
    for name in os.environ:
        if name.startswith(HOST_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path / "ml"))
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.chdir(tmp_path)
    trial.reset()
    yield
    trial.reset()


@pytest.fixture
def local(monkeypatch, tmp_path):
    """A trial of this machine; returns its document, to be changed and written again by calling `write`."""
    document = {
        "protocol": 1,
        "run": "r",
        "trial": 1,
        "attempt": 1,
        "objective": "accuracy",
        "metrics": ["accuracy"],
        "parameters": {"lr": 0.1, "n": "1"},
        "report": str(tmp_path / "reports.jsonl"),
        "checkpoint_dir": str(tmp_path / "deep" / "checkpoints"),
        "model_dir": str(tmp_path / "deep" / "model"),
        "data": {"train": "/data/digits"},
    }
    (tmp_path / "trial.json").write_text(json.dumps(document))
    monkeypatch.setenv("TUNEPORT_TRIAL", str(tmp_path / "trial.json"))
    return document


def argv(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    trial.reset()


def python(*words, env=None, cwd=None):
    return subprocess.run(
        [sys.executable, *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE.parent), **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def reported(document):
    return [json.loads(line) for line in Path(document["report"]).read_text().splitlines()]


# The file itself


def test_it_is_python_3_7_of_the_standard_library_alone():
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 7))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules.add(node.module.partition(".")[0])
    assert modules <= sys.stdlib_module_names


def test_its_import_loads_next_to_nothing():
    known = "import __future__, importlib, json, os, re, sys, time; known = set(sys.modules)"
    code = f"{known}; import tuneport_trial; print(*set(sys.modules) - known)"
    assert python("-S", "-c", code).stdout == "tuneport_trial\n"


def test_it_runs_from_a_copy_next_to_the_trainer(tmp_path):
    (tmp_path / "tuneport_trial.py").write_text(SOURCE.read_text())
    (tmp_path / "train.py").write_text("import tuneport_trial as t; print(t.__file__, t.params())")
    out = python("-E", "train.py", "--lr=0.5", cwd=tmp_path).stdout
    assert out == f"{tmp_path}/tuneport_trial.py {{'lr': 0.5}}\n"


# Reports


NUMPY = [np.float32(1), np.int64(1), np.bool_(True), np.array(1.0), np.array([[1.0]])]


@pytest.mark.parametrize("value", [1, 1.0, True, Decimal(1), Fraction(1), *NUMPY])
def test_numbers_of_any_kind_are_metrics(local, value):
    trial.report(accuracy=value)
    assert reported(local)[0]["metrics"] == {"accuracy": 1.0}


@pytest.mark.parametrize("value", ["0.9", b"0.9", None, [0.9], {}, 1j, np.array([0.1, 0.2]), np.array("x"), 10**400])
def test_what_is_no_number_is_refused_by_name(local, value):
    with pytest.raises(TypeError, match="metric 'accuracy' must be one number"):
        trial.report(loss=0.1, accuracy=value)
    assert not Path(local["report"]).exists()


@pytest.mark.parametrize(
    "name", ["", "a b", "a=b", "a\n", "\ud800", "trial", "timestamp", "global_step", "checkpoint_path"]
)
def test_names_that_some_host_cannot_write_are_refused_everywhere(name):
    with pytest.raises(ValueError, match="cannot name a metric"):
        trial.report(**{name: 1.0})


def test_a_report_without_metrics_is_refused():
    with pytest.raises(ValueError, match="at least one metric"):
        trial.report(step=1)


@pytest.mark.parametrize(("step", "written"), [(None, None), (0, 0), (3, 3), (3.0, 3), (np.int64(3), 3)])
def test_steps(local, step, written):
    trial.report(step, accuracy=0.5)
    assert reported(local)[0]["step"] == written


@pytest.mark.parametrize("step", [-1, 1.5, math.nan, "1", [1]])
def test_steps_that_are_none(step):
    with pytest.raises((TypeError, ValueError), match="step must be"):
        trial.report(step=step, accuracy=0.5)


# This machine


def test_local_reports_are_lines_of_json_that_json_knows(local):
    trial.report(step=1, accuracy=0.5, loss=math.nan)
    trial.report(accuracy=-math.inf, loss=math.inf)
    first, second = reported(local)
    assert first == {"time": pytest.approx(first["time"]), "step": 1, "metrics": {"accuracy": 0.5, "loss": "nan"}}
    assert second["metrics"] == {"accuracy": "-inf", "loss": "inf"}
    assert first["time"] <= second["time"]


def test_local_reports_of_several_processes_stay_whole(local):
    report = "t.report(step=n, accuracy=0.1, **{'m%d' % i: i for i in range(40)})"
    code = f"import tuneport_trial as t\nfor n in range(300): {report}"
    env = {"PYTHONPATH": str(SOURCE.parent), "TUNEPORT_TRIAL": os.environ["TUNEPORT_TRIAL"]}
    writers = [subprocess.Popen([sys.executable, "-c", code], env=env) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert sorted(line["step"] for line in reported(local)) == sorted(3 * list(range(300)))


def test_local_parameters_and_places(local):
    assert trial.host() == "local"
    assert trial.params() == {"lr": 0.1, "n": "1"}
    trial.params().clear()
    assert trial.params() == {"lr": 0.1, "n": "1"}
    assert trial.checkpoint_dir() == local["checkpoint_dir"]
    assert trial.model_dir() == local["model_dir"]
    assert Path(local["checkpoint_dir"]).is_dir()
    assert Path(local["model_dir"]).is_dir()
    assert trial.data_dir("train") == "/data/digits"
    with pytest.raises(LookupError, match="no input 'test'; this job has: train"):
        trial.data_dir("test")


def test_a_protocol_of_another_version_is_refused(local, tmp_path):
    (tmp_path / "trial.json").write_text(json.dumps({**local, "protocol": 2}))
    with pytest.raises(RuntimeError, match="speaks protocol 2, this tuneport_trial speaks 1"):
        trial.params()


# No host: flags and printed lines


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("3", 3), ("-3", -3), ("+3", 3), ("0", 0)),
        *(("3.0", 3.0), (".5", 0.5), ("1.", 1.0), ("1e-05", 1e-05), ("-2E3", -2000.0)),
        *(("true", True), ("True", True), ("false", False), ("False", False)),
        *((text, text) for text in ("", "TRUE", "007", "1_000", "1e", "nan", "inf", "0x10", "٣", "a=b", "None", "1 ")),
    ],
)
def test_text_is_typed_by_what_it_looks_like(monkeypatch, text, value):
    argv(monkeypatch, f"--x={text}")
    assert (type(trial.params()["x"]), trial.params()["x"]) == (type(value), value)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        *(("text", "1", "1"), ("text", "true", "true"), ("int", "3", 3), ("int", "3.0", 3), ("int", "2.9999", 3)),
        *(("float", "3", 3.0), ("float", "1e5", 1e5), ("float", "inf", math.inf)),
        *(("bool", "True", True), ("bool", "false", False), ("bool", "1", True)),
    ],
)
def test_the_space_decides_types(monkeypatch, kind, text, value):
    monkeypatch.setenv("TUNEPORT_SPACE", json.dumps({"x": kind, "inactive": "int"}))
    argv(monkeypatch, f"--x={text}", "--epochs=20")
    assert {name: (type(it), it) for name, it in trial.params().items()} == {"x": (type(value), value)}


@pytest.mark.parametrize(
    ("kind", "text"), [("int", "many"), ("int", "inf"), ("float", ""), ("bool", "2"), ("odd", "1")]
)
def test_text_that_is_not_of_its_type_is_refused_by_name(monkeypatch, kind, text):
    monkeypatch.setenv("TUNEPORT_SPACE", json.dumps({"x": kind}))
    argv(monkeypatch, f"--x={text}")
    with pytest.raises(ValueError, match=f"parameter 'x' must be {kind}, not '{text}'"):
        trial.params()


def test_a_space_that_is_no_object_is_refused(monkeypatch):
    monkeypatch.setenv("TUNEPORT_SPACE", "[]")
    with pytest.raises(TypeError, match="TUNEPORT_SPACE must be a JSON object"):
        trial.params()


def test_both_forms_of_flags_are_read(monkeypatch):
    argv(monkeypatch, "data.csv", "--a", "-1", "--b=2", "--c", "--d", "x y", "-v", "--", "--b=3", "--e")
    assert trial.params() == {"a": -1, "b": 3, "c": True, "d": "x y", "e": True}


@given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="="), min_size=1), st.text()))
@settings(deadline=None)
def test_any_flag_comes_back_as_text(values):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEPORT_SPACE", json.dumps(dict.fromkeys(values, "text")))
        argv(patch, *(f"--{name}={value}" for name, value in values.items()))
        assert trial.params() == values


@given(st.dictionaries(st.from_regex(r"[^\s=]{1,30}", fullmatch=True), st.floats(), min_size=1))
@settings(deadline=None)
def test_the_pattern_finds_every_metric_that_is_printed(values):
    values = {name: value for name, value in values.items() if name not in trial.RESERVED | {"step"}} or {"a": 1.0}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        trial.report(step=7, **values)
    line = out.getvalue()
    assert line.startswith("tuneport: step=7 ")
    assert line.endswith("\n")
    for name, value in values.items():
        assert re.findall(trial.pattern(name), line) == [repr(value)]


def test_places_without_a_host(monkeypatch, tmp_path):
    argv(monkeypatch, "--train=/data/a")
    monkeypatch.setenv("TUNEPORT_INPUTS", '{"test": "gs://bucket/x"}')
    assert trial.host() == "none"
    assert (trial.checkpoint_dir(), trial.model_dir()) == (f"{tmp_path}/checkpoints", f"{tmp_path}/model")
    assert (trial.data_dir("train"), trial.data_dir("test")) == ("/data/a", "/gcs/bucket/x")
    with pytest.raises(LookupError, match="no input 'other'"):
        trial.data_dir("other")


# Vertex AI


@pytest.fixture
def vertex(monkeypatch, tmp_path):
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "hypertune" / "output.metrics"))
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "7")
    monkeypatch.setattr("time.time", lambda: 1795217072.59)
    return tmp_path / "hypertune" / "output.metrics"


def test_vertex_reports_as_cloudml_hypertune_writes_them(vertex):
    trial.report(step=2, loss=0.1, accuracy=1e-09)
    trial.report(step=2.0, loss=math.nan)
    assert vertex.read_text() == (
        '{"checkpoint_path": "", "global_step": "2", "loss": "0.1", "timestamp": 1795217072.59, "trial": "7"}\n'
        '{"accuracy": "1e-09", "checkpoint_path": "", "global_step": "2", "timestamp": 1795217072.59, "trial": "7"}\n'
        '{"checkpoint_path": "", "global_step": "2", "loss": "nan", "timestamp": 1795217072.59, "trial": "7"}\n'
    )


def test_vertex_keeps_the_last_hundred_entries_and_counts_reports_without_steps(vertex):
    trial.report(step=0, loss=0.5)
    for _ in range(150):
        trial.report(loss=0.1)
    assert [json.loads(line)["global_step"] for line in vertex.read_text().splitlines()] == [
        str(step) for step in range(51, 151)
    ]


def test_vertex_places_in_buckets_are_mounted(vertex, monkeypatch):
    made = []
    monkeypatch.setattr("os.makedirs", lambda path, exist_ok: made.append(path))
    monkeypatch.setenv("AIP_MODEL_DIR", "gs://bucket/7/model/")
    monkeypatch.setenv("AIP_CHECKPOINT_DIR", "gs://bucket/7/checkpoints/")
    assert trial.host() == "vertex"
    assert trial.model_dir() == "/gcs/bucket/7/model/"
    assert trial.checkpoint_dir() == "/gcs/bucket/7/checkpoints/"
    assert made == ["/gcs/bucket/7/model/", "/gcs/bucket/7/checkpoints/"]


def test_vertex_mounts_are_found_by_their_names(vertex, monkeypatch):
    there = {"/mnt/nfs/train", "/mnt/nfs/test", "/mnt/lustre/train", "/mnt/lustre/cache"}
    monkeypatch.setattr("os.path.isdir", lambda path: path in there)
    monkeypatch.setenv("TUNEPORT_INPUTS", '{"test": "gs://bucket/test"}')
    monkeypatch.setattr("sys.argv", ["train.py", "--train=0.8"])  # a parameter of that name
    assert trial.data_dir("train") == "/mnt/nfs/train"
    assert trial.data_dir("cache") == "/mnt/lustre/cache"
    assert trial.data_dir("test") == "/gcs/bucket/test"
    with pytest.raises(LookupError):
        trial.data_dir("other")


# SageMaker


@pytest.fixture
def sagemaker(tmp_path):
    config = tmp_path / "ml" / "input" / "config"
    config.mkdir(parents=True)

    def write(values):
        (config / "hyperparameters.json").write_text(json.dumps(values))
        trial.reset()
        return tmp_path / "ml"

    return write


def test_sagemaker_values_are_read_as_its_toolkit_reads_them(sagemaker):
    sagemaker(
        {
            "n": "3",
            "lr": "1e-05",
            "opt": "adam",
            "quoted": '"adam"',
            "one": '"1"',
            "flag": "true",
            "py": "True",
            "nested": '{"a": [1]}',
            "none": "null",
            "lone": '"',
            "_tuning_objective_metric": "acc",
            "sagemaker_program": '"train.py"',
            "sagemaker_x": "1",
        }
    )
    assert trial.host() == "sagemaker"
    assert trial.params() == {
        "n": 3,
        "lr": 1e-05,
        "opt": "adam",
        "quoted": "adam",
        "one": "1",
        "flag": True,
        "py": "True",
        "nested": {"a": [1]},
        "none": None,
        "lone": '"',
    }


def test_sagemaker_types_can_be_decided_by_the_space(sagemaker, monkeypatch):
    monkeypatch.setenv("TUNEPORT_SPACE", '{"py": "bool", "text": "text", "quoted": "text", "n": "int", "x": "float"}')
    sagemaker({"py": "True", "text": "1", "quoted": '"1"', "n": '"16"', "x": "1", "other": "1"})
    assert trial.params() == {"py": True, "text": "1", "quoted": "1", "n": 16, "x": 1.0, "other": 1}


def test_sagemaker_places(sagemaker, monkeypatch):
    base = sagemaker({})
    assert trial.model_dir() == f"{base}/model"
    assert trial.checkpoint_dir() == f"{base}/checkpoints/"
    monkeypatch.setenv("TRAINING_JOB_NAME", "digits-003")
    monkeypatch.setenv("SM_MODEL_DIR", f"{base}/other")
    monkeypatch.setenv("SM_CHANNEL_TRAIN", "/data/train")
    (base / "input" / "data" / "test").mkdir(parents=True)
    assert trial.checkpoint_dir() == f"{base}/checkpoints/digits-003"
    assert trial.model_dir() == f"{base}/other"
    assert trial.data_dir("train") == "/data/train"
    assert trial.data_dir("test") == f"{base}/input/data/test"
    with pytest.raises(LookupError, match="neither SM_CHANNEL_OTHER nor"):
        trial.data_dir("other")


@pytest.mark.parametrize("name", ["sagemaker_tuneport_space", "tuneport_space"])
def test_sagemaker_brings_hints_as_a_hyperparameter(sagemaker, name):
    hints = {
        "": 1,
        "log10_lr": {"name": "lr", "kind": "float", "range": [0.001, 0.1], "log": True},
        "on": {"choices": {"true": True, '"true"': "true"}},
        "n": {"kind": "int", "range": [8, 64], "step": 8},
    }
    texts = {"log10_lr": "-2", "on": "true", "n": '"23.9"', "opt": '"1"', "epochs": "20", "sagemaker_program": "x"}
    sagemaker({**texts, name: json.dumps(hints)})
    assert trial.params() == {"lr": 0.01, "on": True, "n": 24, "opt": "1", "epochs": 20}
    sagemaker({**texts, "on": '"true"', name: json.dumps(hints)})
    assert trial.params()["on"] == "true"


# ModelArts


def test_modelarts_places_are_flags_or_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("MA_JOB_DIR", "/home/ma-user/modelarts/user-job-dir")
    monkeypatch.setenv("train_url", str(tmp_path / "variable"))
    argv(monkeypatch, "--data_url=/cache/data", f"--train_url={tmp_path}/flag")
    assert trial.host() == "modelarts"
    assert trial.data_dir("data_url") == "/cache/data"
    assert trial.model_dir() == f"{tmp_path}/flag/model"
    argv(monkeypatch)
    assert trial.checkpoint_dir() == f"{tmp_path}/variable/checkpoints"
    monkeypatch.delenv("train_url")
    assert trial.checkpoint_dir() == f"{tmp_path}/checkpoints"


def test_hints_of_a_stored_algorithm_of_modelarts_are_a_flag(monkeypatch):
    monkeypatch.setenv("MA_JOB_DIR", "/home/ma-user/modelarts/user-job-dir")
    monkeypatch.setenv("TUNEPORT_SPACE", json.dumps({"": 1, "x": {"kind": "int", "range": [1, 9]}}))
    hints = json.dumps({"": 1, "log10_lr": {"kind": "float", "log": True, "name": "lr", "range": [0.001, 10]}})
    packed = base64.urlsafe_b64encode(hints.encode()).decode().rstrip("=")
    argv(monkeypatch, f"--tuneport_space={packed}", "--log10_lr=-2.0", "--x=3.0")
    assert trial.params() == {"lr": 0.01, "x": 3.0}
    argv(monkeypatch, "--x=3.0")
    assert trial.params() == {"x": 3}


# Being asked to end

ASKED = """
import os, signal, sys, threading
{before}
import tuneport_trial as t
other = []
thread = threading.Thread(target=lambda: other.append(t.should_stop()))
thread.start(); thread.join()
assert other == [False] and t.should_stop() is False
os.kill(os.getpid(), signal.SIGTERM)
while not t.should_stop():
    pass
print("left cleanly")
"""


def test_sigterm_asks_a_trial_to_end_and_earlier_handlers_hear_of_it():
    assert python("-c", ASKED.format(before="")).stdout == "left cleanly\n"
    handler = "signal.signal(signal.SIGTERM, lambda *_: print('heard'))"
    assert python("-c", ASKED.format(before=handler)).stdout == "heard\nleft cleanly\n"


def test_a_trial_that_never_asks_is_ended_by_the_signal():
    code = "import os, signal, tuneport_trial; os.kill(os.getpid(), signal.SIGTERM); print('still here')"
    assert python("-c", code).returncode == -signal.SIGTERM


def test_should_stop_is_cheap():
    code = "import timeit, tuneport_trial as t; t.should_stop(); print(timeit.timeit(t.should_stop, number=100_000))"
    assert float(python("-c", code).stdout) < 1  # 10 µs each, some fifty times what it takes


# Functions


FUNCTIONS = """
import tuneport_trial as t

def keywords(lr, n, extra=3): return lr + n + extra
def of_dict(config, verbose=False): return config["lr"]
def one_parameter(lr): return lr
def mapping(**values): return {"accuracy": values["lr"], "loss": 1}
def nothing(**values): t.report(step=1, accuracy=0.25)
def both(**values):
    t.report(step=1, accuracy=0.25)
    return 0.5
def each(lr):
    yield lr
    yield None
    yield {"accuracy": lr / 2, "loss": 1}
def asked(lr):
    import os, signal
    try:
        yield 1
        os.kill(os.getpid(), signal.SIGTERM)
        yield 2
        print("not reached")
    finally:
        print("closed")
def text(**values): return "0.9"
def broken(**values): raise RuntimeError("out of luck")

class Model:
    @staticmethod
    def run(**values): return 0.75
"""


@pytest.fixture
def function(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "train.py").write_text(FUNCTIONS)

    def run(name, *flags, **env):
        return python("-m", "tuneport_trial", f"pkg.train:{name}", *flags, env=env, cwd=tmp_path)

    return run


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("keywords", "tuneport: accuracy=5.5\n"),
        ("of_dict", "tuneport: accuracy=0.5\n"),
        ("mapping", "tuneport: accuracy=0.5 loss=1.0\n"),
        ("nothing", "tuneport: step=1 accuracy=0.25\n"),
        ("both", "tuneport: step=1 accuracy=0.25\ntuneport: accuracy=0.5\n"),
        ("Model.run", "tuneport: accuracy=0.75\n"),
        ("each", "tuneport: step=1 accuracy=0.5\ntuneport: step=3 accuracy=0.25 loss=1.0\n"),
        ("asked", "tuneport: step=1 accuracy=1.0\ntuneport: step=2 accuracy=2.0\nclosed\n"),
    ],
)
def test_what_a_function_returns_is_reported(function, name, printed):
    run = function(name, "--lr=0.5", *(["--n=2"] if name == "keywords" else []), TUNEPORT_OBJECTIVE="accuracy")
    assert (run.stdout, run.returncode) == (printed, 0), run.stderr


def test_a_single_argument_that_is_a_parameter_gets_its_value(function):
    assert function("one_parameter", "--lr=0.5").stdout == "tuneport: objective=0.5\n"


def test_a_function_that_reports_and_returns_loses_nothing_on_vertex(function, tmp_path):
    function("both", "--lr=0.5", CLOUD_ML_HP_METRIC_FILE=str(tmp_path / "m" / "out"), TUNEPORT_OBJECTIVE="accuracy")
    lines = [json.loads(line) for line in (tmp_path / "m" / "out").read_text().splitlines()]
    assert [(line["global_step"], line["accuracy"]) for line in lines] == [("1", "0.25"), ("2", "0.5")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "RuntimeError: out of luck"),
        ("text", "TypeError: metric 'objective' must be one number, not '0.9'"),
        ("missing", "AttributeError: module 'pkg.train' has no attribute 'missing'"),
        ("keywords", "missing 1 required positional argument: 'n'"),
    ],
)
def test_a_function_that_fails_ends_with_a_traceback(function, name, message):
    run = function(name, "--lr=0.5")
    assert run.returncode == 1
    assert message in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("words", [[], ["pkg.train"], [":f"], ["pkg.train:"]])
def test_how_to_call_it(words):
    run = python("-m", "tuneport_trial", *words)
    assert run.returncode == 1
    assert run.stderr == "usage: python -m tuneport_trial package.module:function [--name=value ...]\n"


# Which host


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "none"),
        ({"MA_VJ_NAME": "x"}, "modelarts"),
        ({"MA_JOB_DIR": "x", "CLOUD_ML_TRIAL_ID": "1"}, "vertex"),
        ({"CLOUD_ML_HP_METRIC_FILE": "/x/y"}, "vertex"),
        ({"CLOUD_ML_TRIAL_ID": ""}, "none"),
    ],
)
def test_the_host_is_found_by_its_variables(monkeypatch, variables, name):
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert trial.host() == name


@pytest.mark.parametrize("variable", ["SM_TRAINING_ENV", "TRAINING_JOB_NAME"])
def test_sagemaker_is_found_by_its_variables_and_comes_before_modelarts(monkeypatch, sagemaker, variable):
    sagemaker({})
    monkeypatch.setenv("MA_JOB_DIR", "x")
    assert trial.host() == "modelarts"
    trial.reset()
    monkeypatch.setenv(variable, "x")
    assert trial.host() == "sagemaker"


def test_the_host_is_remembered_until_it_is_reset(local, monkeypatch):
    assert trial.host() == "local"
    monkeypatch.delenv("TUNEPORT_TRIAL")
    assert trial.host() == "local"
    trial.reset()
    assert trial.host() == "none"
