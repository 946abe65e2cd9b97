"""The launch contracts: as data, and by running real trainers under every one of them."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tuneport_trial
from tuneport.backends.local import launch as local
from tuneport.backends.modelarts import launch as modelarts
from tuneport.backends.sagemaker import launch as sagemaker
from tuneport.backends.vertex import launch as vertex
from tuneport.engine.executors.process import ProcessExecutor
from tuneport.engine.executors.protocols import Emitted, Exited
from tuneport.engine.launch import PRINTED, Reported, TrialContext
from tuneport.errors import JobError
from tuneport.model.job import TuningJob

CONTRACTS = {
    "local": local.launch,
    "vertex": vertex.launch,
    "sagemaker": sagemaker.launch,
    "modelarts": modelarts.launch,
}
FIXED = {"dropout": 0.1, "epochs": 3, "bias": True, "tag": "a b=c", "frozen": False}
SEARCHED = {"lr": 1e-05, "whole": 2.0, "layers": 4, "width": "1", "n": 1, "opt": "null", "amsgrad": "true"}

TRAINER = """
import json, os, pathlib, sys, tuneport_trial as trial

seen = {"host": trial.host(), "params": trial.params(), "data": trial.data_dir("train")}
for name in ("checkpoint_dir", "model_dir"):
    seen[name] = getattr(trial, name)()
    pathlib.Path(seen[name], "left").touch()
for step in range(3):
    print("epoch", step, "accuracy=", step)  # other output that looks like a metric
    trial.report(step=step, accuracy=0.5 + step / 10, **{"val/loss": float("nan") if step == 0 else 1 / 3})
pathlib.Path(os.environ["SEEN"]).write_text(json.dumps(seen))
"""

FUNCTION = """
import json, os, pathlib, tuneport_trial as trial

def objective(**params):
    trial.report(step=0, accuracy=0.5, **{"val/loss": float("nan")})
    trial.report(step=1, accuracy=0.6, **{"val/loss": 1 / 3})
    pathlib.Path(os.environ["SEEN"]).write_text(json.dumps({"params": params}))
    return {"accuracy": 0.7, "val/loss": 1 / 3}

def of_dict(config):
    pathlib.Path(os.environ["SEEN"]).write_text(json.dumps({"params": config}))
    return config["lr"]
"""

PLAIN = """
import argparse, json, os, pathlib

def flag(text):
    return {"true": True, "false": False}[text.lower()]

parser = argparse.ArgumentParser()
for name, kind in {"dropout": float, "epochs": int, "bias": flag, "tag": str, "frozen": flag, "lr": float,
                   "whole": float, "layers": int, "width": str, "opt": str, "amsgrad": str, "seed": int}.items():
    parser.add_argument("--" + name, type=kind, required=True)
parser.add_argument("-n", "--n", type=int, required=True)
params, _ = parser.parse_known_args()
pathlib.Path(os.environ["SEEN"]).write_text(json.dumps({"params": vars(params)}))
for step in range(3):
    print("epoch %d acc: %.1f" % (step, 0.5 + step / 10))
"""


def job(**trial) -> TuningJob:
    number = {"kind": "float", "low": 0, "high": 10}
    return TuningJob.model_validate(
        {
            "name": "digits",
            "study": {
                "parameters": [{"name": name, **number} for name in SEARCHED],
                "objectives": [
                    {"metric": "accuracy", "goal": "maximize"},
                    {"metric": "val/loss", "goal": "minimize"},
                ],
            },
            "trial": {
                "parameters": FIXED,
                "inputs": [{"name": "train", "uri": "data/digits"}],
                **({} if {"function", "module"} & trial.keys() else {"command": ["python", "train.py"]}),
                **trial,
            },
        }
    )


def context(tmp_path: Path, **trial) -> TrialContext:
    folder = tmp_path / "trial"
    folder.mkdir(exist_ok=True)
    return TrialContext(job(**trial), "digits-7f", 3, 1, SEARCHED, str(folder), str(tmp_path), sys.executable, cpus=2)


class Ran:
    """A trial that the process executor started under one host's contract, and what came of it."""

    def __init__(self, host: str, trial: TrialContext) -> None:
        self.launch = CONTRACTS[host](trial)
        seen = Path(trial.base, "seen.json")
        job = trial.job.changed(trial=trial.job.trial.changed(env={"SEEN": str(seen)}))
        executor = ProcessExecutor(CONTRACTS[host], grace=1.0)
        executor.start(replace(trial, job=job), timeout=60.0)
        events = list(executor.wait(None))
        while not isinstance(events[-1], Exited):
            events += executor.wait(None)
        executor.close()
        assert events[-1].failure is None, events[-1]
        self.seen = json.loads(seen.read_text())
        self.reports = [(one.report.step, dict(one.report.metrics)) for one in events if isinstance(one, Emitted)]


def typed(values: dict) -> dict:
    return {name: (type(value), value) for name, value in values.items()}


@pytest.mark.parametrize("host", CONTRACTS)
def test_one_trainer_gets_and_gives_the_same_on_every_host(host, tmp_path):
    (tmp_path / "train.py").write_text(TRAINER)
    (tmp_path / "data" / "digits").mkdir(parents=True)
    ran = Ran(host, context(tmp_path, args=["--seed=7"]))
    assert ran.seen["host"] == host
    assert typed(ran.seen["params"]) == typed(FIXED | SEARCHED)
    assert ran.seen["data"] == str(tmp_path / "data" / "digits")
    first = 1 if ran.launch.patterns else 0  # printed reports are counted from 1
    assert [step for step, _ in ran.reports] == [first, first + 1, first + 2]
    assert [metrics["accuracy"] for _, metrics in ran.reports] == [0.5, 0.6, 0.7]
    assert [str(metrics["val/loss"]) for _, metrics in ran.reports] == ["nan", repr(1 / 3), repr(1 / 3)]
    for name in ("checkpoint_dir", "model_dir"):
        assert Path(ran.seen[name]).is_relative_to(tmp_path / "trial")
        assert Path(ran.seen[name], "left").exists()


@pytest.mark.parametrize("host", CONTRACTS)
def test_a_function_is_a_trial_on_every_host(host, tmp_path):
    (tmp_path / "train.py").write_text(FUNCTION)
    ran = Ran(host, context(tmp_path, function="train:objective"))
    assert typed(ran.seen["params"]) == typed(FIXED | SEARCHED)
    assert [metrics["accuracy"] for _, metrics in ran.reports] == [0.5, 0.6, 0.7]


@pytest.mark.parametrize("host", CONTRACTS)
def test_the_number_that_a_function_returns_is_the_objective_on_every_host(host, tmp_path):
    (tmp_path / "train.py").write_text(FUNCTION)
    ran = Ran(host, context(tmp_path, function="train:of_dict"))
    assert typed(ran.seen["params"]) == typed(FIXED | SEARCHED)
    assert [metrics for _, metrics in ran.reports] == [{"accuracy": 1e-05}]


@pytest.mark.parametrize("host", CONTRACTS)
def test_a_trainer_that_knows_nothing_of_tuneport(host, tmp_path):
    (tmp_path / "train.py").write_text(PLAIN)
    ran = Ran(host, context(tmp_path, args=["--seed=7"], metrics={"accuracy": r"acc: ([\d.]+)"}))
    assert typed(ran.seen["params"]) == typed(FIXED | SEARCHED | {"seed": 7})
    printed = [(1, {"accuracy": 0.5}), (2, {"accuracy": 0.6}), (3, {"accuracy": 0.7})]
    assert ran.reports == ([] if host == "vertex" else printed)  # Vertex does not read output


def test_flags_follow_each_hosts_spelling(tmp_path):
    searched = ["--lr=1e-05", "--whole=2.0", "--layers=4", "--width=1", "--n=1", "--opt=null", "--amsgrad=true"]
    fixed = ["--dropout=0.1", "--epochs=3", "--bias=true", "--tag=a b=c", "--frozen=false"]
    for host in ("local", "vertex"):
        assert list(CONTRACTS[host](context(tmp_path)).argv[2:]) == fixed + searched
    assert list(modelarts.launch(context(tmp_path)).argv[2:]) == [
        f"--train={tmp_path}/data/digits",
        *("--dropout=0.1", "--epochs=3", "--bias=True", "--tag=a b=c", "--frozen=False"),
        *searched,
    ]
    assert list(sagemaker.launch(context(tmp_path)).argv[2:]) == [
        *("--amsgrad", "true", "--bias", "True", "--dropout", "0.1", "--epochs", "3", "--frozen", "False"),
        *("--layers", "4", "--lr", "1e-05", "-n", "1", "--opt", "null", "--tag", "a b=c", "--whole", "2.0"),
        *("--width", "1"),
    ]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"command": ["python3", "train.py"], "args": ["-v"]}, [sys.executable, "train.py", "-v"]),
        ({"command": ["/opt/python", "x"]}, ["/opt/python", "x"]),
        ({"command": ["bash", "python"]}, ["bash", "python"]),
        ({"module": "train.main", "args": ["-v"]}, [sys.executable, "-m", "train.main", "-v"]),
        ({"function": "train:run"}, [sys.executable, "-m", "tuneport_trial", "train:run"]),
    ],
)
@pytest.mark.parametrize("host", CONTRACTS)
def test_programs(host, spec, words, tmp_path):
    launched = CONTRACTS[host](context(tmp_path, parameters={}, inputs=[], **spec))
    assert list(launched.argv[: len(words)]) == words
    assert launched.argv[len(words)].startswith("-")
    assert launched.cwd == str(tmp_path)


@pytest.mark.parametrize("host", CONTRACTS)
def test_a_command_starts_in_its_package(host, tmp_path):
    assert CONTRACTS[host](context(tmp_path, package="src")).cwd == f"{tmp_path}/src"


@pytest.mark.parametrize("host", CONTRACTS)
def test_an_image_runs_by_its_command_or_not_at_all(host, tmp_path):
    assert CONTRACTS[host](context(tmp_path, image="repo/train:1")).argv[1] == "train.py"
    with pytest.raises(JobError, match="the job: 1 problem") as caught:
        CONTRACTS[host](context(tmp_path, image="repo/train:1", command=None))
    assert [problem.pointer for problem in caught.value.problems] == ["/trial/command"]


@pytest.mark.parametrize("host", CONTRACTS)
def test_variables_of_every_contract(host, tmp_path):
    def env(**trial):
        return CONTRACTS[host](context(tmp_path, **trial)).env

    assert "OMP_NUM_THREADS" not in env()
    assert env(resources={"cpus": 2})["OMP_NUM_THREADS"] == "2"
    part = CONTRACTS[host](replace(context(tmp_path, resources={"cpus": 0.5}), cpus=0)).env
    assert part["OMP_NUM_THREADS"] == "1"
    assert part.get("SM_NUM_CPUS", "1") == "1"
    asked = env(resources={"cpus": 2}, env={"OMP_NUM_THREADS": "1", "KEY": "value"})
    assert (asked["OMP_NUM_THREADS"], asked["KEY"], asked["PYTHONUNBUFFERED"]) == ("1", "value", "1")
    assert env(module="m", package="src")["PYTHONPATH"] == f"{tmp_path}/src"
    assert env(module="m", package="src", env={"PYTHONPATH": "/lib"})["PYTHONPATH"] == f"{tmp_path}/src:/lib"
    assert "PYTHONPATH" not in env(module="m", package="gs://bucket/p.tar.gz")
    assert "CUDA_VISIBLE_DEVICES" not in env()


@pytest.mark.parametrize("host", CONTRACTS)
def test_leased_gpus_win_over_the_jobs_own_variables(host, tmp_path):
    trial = context(tmp_path, env={"CUDA_VISIBLE_DEVICES": "7"})
    env = CONTRACTS[host](replace(trial, gpus=("0", "2"))).env
    assert env["CUDA_VISIBLE_DEVICES"] == "0,2"
    assert {env[name] for name in ("SM_NUM_GPUS", "MA_NUM_GPUS") if name in env} <= {"2"}


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("data", "{base}/data"),
        ("/data/x/", "/data/x/"),
        ("file:///data/a%20b", "/data/a b"),
        ("file://localhost/data", "/data"),
        ("s3://bucket/x/", "s3://bucket/x/"),
        ("obs://bucket/x/", "obs://bucket/x/"),
    ],
)
def test_inputs_are_paths_of_this_machine_or_stay_uris(uri, place, tmp_path):
    place = place.format(base=tmp_path)
    trial = context(tmp_path, inputs=[{"name": "train-1", "uri": uri}])
    assert json.loads(local.launch(trial).files["trial.json"])["data"] == {"train-1": place}
    assert json.loads(vertex.launch(trial).env["TUNEPORT_INPUTS"]) == {"train-1": place}
    assert sagemaker.launch(trial).env["SM_CHANNEL_TRAIN-1"] == place
    assert f"--train-1={place}" in modelarts.launch(trial).argv


@pytest.mark.parametrize("host", CONTRACTS)
def test_results_go_to_the_jobs_output_on_this_machine(host, tmp_path):
    (tmp_path / "train.py").write_text(TRAINER)
    ran = Ran(host, context(tmp_path, output={"uri": "out"}))
    assert Path(ran.seen["model_dir"]).is_relative_to(tmp_path / "out" / "digits-7f" / "3")
    assert len(ran.reports) == 3


@pytest.mark.parametrize("host", CONTRACTS)
def test_results_stay_in_the_trials_folder_if_the_output_is_elsewhere(host, tmp_path):
    (tmp_path / "train.py").write_text(TRAINER)
    ran = Ran(host, context(tmp_path, output={"uri": "s3://bucket/out"}))
    assert Path(ran.seen["model_dir"]).is_relative_to(tmp_path / "trial")


def test_trial_json(tmp_path):
    launched = local.launch(context(tmp_path, metrics={"accuracy": "acc (.*)"}))
    folder = tmp_path / "trial"
    assert json.loads(launched.files["trial.json"]) == {
        "protocol": tuneport_trial.PROTOCOL,
        "run": "digits-7f",
        "trial": 3,
        "attempt": 1,
        "parameters": FIXED | SEARCHED,
        "objective": "accuracy",
        "metrics": ["accuracy", "val/loss"],
        "report": f"{folder}/reports.jsonl",
        "checkpoint_dir": f"{folder}/checkpoints",
        "model_dir": f"{folder}/model",
        "data": {"train": f"{tmp_path}/data/digits"},
    }
    assert launched.env["TUNEPORT_TRIAL"] == f"{folder}/trial.json"
    assert launched.patterns == {"accuracy": "acc (.*)"}


def test_vertex_platform(tmp_path):
    env = vertex.launch(context(tmp_path)).env
    assert env["CLOUD_ML_TRIAL_ID"] == "3"
    assert env["CLOUD_ML_JOB_ID"]
    assert env["CLOUD_ML_PROJECT_ID"].isdigit()
    assert env["CLOUD_ML_REGION"]
    assert env["AIP_TENSORBOARD_LOG_DIR"] == f"{tmp_path}/trial/logs/"
    assert json.loads(env["CLUSTER_SPEC"])["task"] == {"type": "workerpool0", "index": 0, "trial": "3"}


def test_sagemaker_tree_is_what_the_service_and_its_toolkit_make(tmp_path):
    trial = context(tmp_path)
    launched = sagemaker.launch(trial)
    base = launched.env["SAGEMAKER_BASE_DIR"]
    config = {Path(name).name: json.loads(text) for name, text in launched.files.items() if "/input/config/" in name}
    assert config["hyperparameters.json"] == {
        "dropout": "0.1",
        "epochs": "3",
        "bias": "true",
        "tag": "a b=c",
        "frozen": "false",
        "lr": "1e-05",
        "whole": "2.0",
        "layers": "4",
        "width": '"1"',
        "n": "1",
        "opt": '"null"',
        "amsgrad": '"true"',
        "_tuning_objective_metric": "accuracy",
    }
    assert config["inputdataconfig.json"]["train"]["TrainingInputMode"] == "File"
    assert config["resourceconfig.json"]["hosts"] == ["algo-1"]
    env = launched.env
    assert env["SM_MODEL_DIR"] == f"{base}/model"
    assert env["SM_CHANNELS"] == '["train"]'
    assert (env["SM_HP_LR"], env["SM_HP_BIAS"], env["SM_HP_TAG"]) == ("1e-05", "true", "a b=c")
    assert typed(json.loads(env["SM_HPS"])) == typed(FIXED | SEARCHED)
    assert json.loads(env["SM_TRAINING_ENV"])["channel_input_dirs"] == {"train": f"{tmp_path}/data/digits"}
    assert json.loads(env["SM_USER_ARGS"]) == list(launched.argv[2:])
    assert re.fullmatch(r"digits-003-[0-9a-f]{8}", env["TRAINING_JOB_NAME"])
    assert env["TRAINING_JOB_ARN"].endswith(f":training-job/{env['TRAINING_JOB_NAME']}")
    assert env["TRAINING_JOB_NAME"] == sagemaker.launch(replace(trial, attempt=2)).env["TRAINING_JOB_NAME"]


def test_modelarts_output_is_a_flag_only_if_the_job_has_one(tmp_path):
    without, having = modelarts.launch(context(tmp_path)), modelarts.launch(context(tmp_path, output={"uri": "out"}))
    assert not any(word.startswith("--train_url") for word in without.argv)
    assert without.env["train_url"] == f"{tmp_path}/trial/output"
    assert f"--train_url={tmp_path}/out/digits-7f/3/output" in having.argv
    assert "train_url" not in having.env
    assert without.env["MA_VJ_NAME"] == "modelarts-job-digits-7f-3"


@pytest.mark.parametrize("host", ["sagemaker", "modelarts"])
def test_hosts_that_read_output_look_for_what_the_job_says_or_else_for_printed_reports(host, tmp_path):
    said = CONTRACTS[host](context(tmp_path, metrics={"accuracy": "acc (.*)"}))
    assert said.patterns == {"accuracy": "acc (.*)"}
    unsaid = CONTRACTS[host](context(tmp_path))
    assert unsaid.patterns == {name: tuneport_trial.pattern(name) for name in ("accuracy", "val/loss")}
    assert tuneport_trial.pattern("x") == PRINTED.format(metric="x")


@pytest.mark.parametrize("host", CONTRACTS)
def test_contracts_are_functions_of_their_argument(host, tmp_path):
    trial = context(tmp_path)
    assert CONTRACTS[host](trial) == CONTRACTS[host](trial)
    assert not any((tmp_path / "trial").iterdir())


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
ENTRIES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(["metrics", "step", "time", "timestamp", "global_step", "accuracy", "trial"], JSON),
)
LINES = st.text() | JSON.map(json.dumps) | ENTRIES.map(json.dumps) | ENTRIES.map(lambda one: json.dumps(one)[:-3])


@settings(deadline=None)
@given(LINES)
def test_parsers_take_any_line(line):
    for parse in (local.parse_report, vertex.parse_report):
        report = parse(line)
        assert report is None or report.metrics
        if report is not None:
            assert all(type(value) is float for value in report.metrics.values())
            assert all(re.fullmatch(r"[^\s=\ud800-\udfff]+", name) for name in report.metrics)
            assert report.step is None or (type(report.step) is int and 0 <= report.step < 2**63)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"metrics": {"a": %s}}' % ("9" * 5000), '{"a": "1', "[]", "NaN", ""])
def test_parsers_pass_over_what_is_no_report(line):
    assert local.parse_report(line) is None
    assert vertex.parse_report(line) is None


def test_local_lines():
    line = '{"time": 5.5, "step": 2, "metrics": {"a": 1, "b": "nan", "c": "-inf", "d": null, "e": true, "f": "x"}}'
    report = local.parse_report(line)
    assert str(report) == str(Reported({"a": 1.0, "b": float("nan"), "c": float("-inf")}, step=2, time=5.5))


@pytest.mark.parametrize(
    ("step", "read"),
    [
        ("0", 0),
        ("3.0", 3),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("-1", None),
        ("1.5", None),
        ("1e30", None),
    ],
)
def test_steps_of_local_lines(step, read):
    assert local.parse_report(f'{{"step": {step}, "metrics": {{"a": 1}}}}') == Reported({"a": 1.0}, step=read)


@pytest.mark.parametrize("step", ["true", "[]", "NaN", '"1_0"', '" 1"', "null"])
def test_steps_of_local_lines_that_are_none(step):
    assert local.parse_report(f'{{"step": {step}, "metrics": {{"a": 1}}}}') == Reported({"a": 1.0})


def test_metrics_that_are_none_are_passed_over():
    names = {"a": 1, "": 1, "b c": 1, "d=": 1, "\ud800": 1, "e\n": 1, "é": 2}
    assert local.parse_report(json.dumps({"metrics": names})).metrics == {"a": 1.0, "é": 2.0}
    numbers = {"a": "1_0", "b": " 1", "c": "0x1", "d": "", "e": "1e3", "f": "-.5", "g": "\u0661", "h": "Infinity"}
    assert local.parse_report(json.dumps({"metrics": numbers})).metrics == {"e": 1e3, "f": -0.5, "h": float("inf")}
    assert local.parse_report('{"metrics": {"a b": 1}}') is None


def test_hypertune_lines():
    line = '{"checkpoint_path": "", "global_step": "2", "loss": "1e-09", "timestamp": 1795217072.59, "trial": "7"}'
    assert vertex.parse_report(line) == Reported({"loss": 1e-09}, step=2, time=1795217072.59)
    assert vertex.parse_report('{"training/hptuning/metric": "inf", "global_step": "0"}').metrics == {
        "training/hptuning/metric": float("inf")
    }
