"""The schemas are fresh, standard, and accept and refuse what the model does."""

import importlib.util
import json
import re
from pathlib import Path

import jsonschema
import pytest

from tuneport import files, schemas
from tuneport.model.results import Measurement, RunState, StudyResult, Trial, TrialState
from tuneport.model.study import maximize
from tuneport.translation.report import TranslationReport

ROOT = Path(__file__).parent.parent
SAMPLE = """\
$schema: schemas/job.schema.json
name: digits
labels: {team: vision, year: 2024}
study:
  parameters:
    - {name: lr, kind: float, low: 1e-5, high: 0.1, scale: log}
    - {name: layers, kind: int, low: 1, high: 8}
    - {name: batch, kind: discrete, values: [16, 32, 64, 128]}
    - {name: opt, kind: categorical, choices: [adam, sgd]}
    - {name: momentum, kind: float, low: 0.5, high: 0.99, when: {parameter: opt, values: [sgd]}}
  objectives: [{metric: accuracy, goal: maximize, target: 0.999}]
  algorithm: {kind: bayesian, seed: 7}
  early_stopping: {kind: median}
  measurement: last
trial:
  command: [python, train.py]
  args: ["--epochs=20", 3]
  parameters: {dropout: 0.1}
  env: {OMP_NUM_THREADS: "4", WORKERS: 2}
  inputs: [{name: train, uri: "s3://data/digits/"}]
  output: {uri: "s3://runs/digits/"}
  resources: {gpus: 1, gpu_type: a100-40gb, cpus: 8, memory: 64GiB, disk: 100GiB, replicas: 1, machine: null}
  timeout: 2h
  retries: 1
  spot: false
  metrics: {accuracy: "accuracy=([-+0-9.eE]+)"}
budget: {max_trials: 64, parallel_trials: 4, max_failed_trials: 5, max_seconds: 14400,
         max_trials_without_improvement: 20, max_cost: null}
warm_start: [{run: "sagemaker:eu-west-1/older-job", kind: transfer}]
native: {}
"""
WRONG = [
    ("name: digits", "name: ''"),
    ("labels", "lables"),
    ("kind: float, low: 1e-5", "low: 1e-5"),
    ("kind: float, low: 1e-5", "kind: flaot, low: 1e-5"),
    ("low: 1, high: 8", "low: 1, high: 8.5"),
    ("low: 1, high: 8", "low: 1"),
    ("values: [16, 32, 64, 128]", "values: []"),
    ("goal: maximize", "goal: max"),
    ("seed: 7", "seed: -1"),
    ("kind: bayesian, seed: 7", "seed: 7"),
    ("measurement: last", "measurement: first"),
    ("command: [python, train.py]", "command: python train.py"),
    ("replicas: 1", "replicas: 0"),
    ("spot: false", "spot: maybe"),
    ("parallel_trials: 4", "parallel_trials: 0"),
    ("kind: transfer", "kind: transfr"),
    ("retries: 1", "retries: 1.5"),
]


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tools" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_checked_in_is_fresh(generate):
    assert generate.stale() == []
    assert generate.main(["--check"]) == 0


def test_what_is_stale_is_told(generate, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "stale: schemas/job.schema.json" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("name", schemas.NAMES)
def test_schemas_are_standard(name):
    made = schemas.schema(name)
    jsonschema.Draft202012Validator.check_schema(made)
    assert made["$id"] == f"urn:tuneport:schema:{name}:1"
    assert not re.search(r'"(ge|gt|le|lt)":', schemas.text(name))
    assert "description" in json.dumps(made["properties"])


def valid(data):
    return jsonschema.Draft202012Validator(schemas.schema("job")).is_valid(data)


def data_of(path, text):
    path.write_text(text)
    return files.read_document(path).data


def test_the_documented_job_is_accepted_by_schema_and_model(tmp_path):
    path = tmp_path / "job.yaml"
    assert valid(data_of(path, SAMPLE))
    assert files.read_job(path).trial.env["WORKERS"] == "2"


@pytest.mark.parametrize(("right", "wrong"), WRONG)
def test_what_the_model_refuses_the_schema_refuses(tmp_path, right, wrong):
    assert right in SAMPLE
    path = tmp_path / "job.yaml"
    assert not valid(data_of(path, SAMPLE.replace(right, wrong, 1)))
    with pytest.raises(files.JobError):
        files.read_job(path)


def test_results_with_numbers_that_json_does_not_know():
    measured = Measurement(metrics={"m": float("nan"), "n": float("-inf")}, step=1)
    trial = Trial(id=1, parameters={"x": 1}, state=TrialState.FAILED, measurements=(measured,))
    result = StudyResult(
        ref="local:x", name="x", backend="local", state=RunState.FAILED, objectives=(maximize("m"),), trials=(trial,)
    )
    data = json.loads(result.model_dump_json())
    jsonschema.validate(data, schemas.schema("results"))
    again = StudyResult.model_validate(data)
    assert again.trials[0].measurements[0].metrics["n"] == float("-inf")
    jsonschema.validate(TranslationReport().model_dump(mode="json"), schemas.schema("report"))


def test_an_unknown_schema():
    with pytest.raises(KeyError, match="did you mean 'job'"):
        schemas.schema("jobs")
