"""All that is wrong with a job is reported at once, with pointers and places; nothing but JobError comes out."""

import json
import math
import re

import pytest

from tuneport import Budget, Categorical, Float, Int, StudySpec, TrialSpec, TuningJob, When, files, maximize, when
from tuneport.errors import JobError

EVERYTHING_WRONG = """\
name: digits
lables: {team: vision}
study:
  parameters:
    - {name: low, kind: float, low: 2, high: 1}
    - {name: log, kind: float, low: 0, high: 1, scale: log}
    - {name: orphan, kind: int, low: 1, high: 2, when: {parameter: nobody, values: [1]}}
    - {name: a, kind: int, low: 1, high: 2, when: {parameter: b, values: [1]}}
    - {name: b, kind: int, low: 1, high: 2, when: {parameter: a, values: [1]}}
    - {name: twice, kind: int, low: 1, high: 2}
    - {name: twice, kind: int, low: 1, high: 4}
    - {name: stepless, kind: float, low: 0, high: 1}
    - {name: typed, kind: int, low: "1", high: 2.5, setp: 1}
    - {name: kind, kind: flaot, low: 0, high: 1}
    - {name: never, kind: int, low: 1, high: 2, when: {parameter: twice, values: [9]}}
    - {name: same, kind: categorical, choices: [1, 1, 1.0]}
    - {name: falling, kind: discrete, values: [2, 1]}
    - {name: outside, kind: int, low: 1, high: 2, default: 3}
    - {kind: int, low: 1, high: .inf}
  objectives: [{metric: a b, goal: maximise}, {metric: c, goal: minimize}, {metric: c, goal: maximize}]
  algorithm: {kind: grid}
trial:
  args: [--token=ghp_0123456789abcdefghijABCDEFGHIJ012345, [1]]
  parameters: {a: 1}
  env: {BAD NAME: x}
  timeout: never
  metrics: {c: "("}
budget: {parallel_trials: 0, max_trials: 1.5}
"""
PROBLEMS = {
    "/lables": "unknown key 'lables'; did you mean 'labels'?",
    "/study/parameters/0/low": "must not be above high",
    "/study/parameters/0/step": "a grid needs a step for the continuous parameter 'low'",
    "/study/parameters/1/step": "a grid needs a step for the continuous parameter 'log'",
    "/study/parameters/1/scale": "a log scale needs low > 0",
    "/study/parameters/2/when/parameter": "there is no parameter 'nobody'",
    "/study/parameters/4/when/parameter": "conditions run in a circle: a -> b -> a",
    "/study/parameters/6/name": "'twice' is defined twice",
    "/study/parameters/7/step": "a grid needs a step for the continuous parameter 'stepless'",
    "/study/parameters/8/low": "must be a number, not '1'",
    "/study/parameters/8/high": "must be a whole number, not 2.5",
    "/study/parameters/8/setp": "did you mean 'step'?",
    "/study/parameters/9": "unknown kind 'flaot'; known are 'float', 'int', 'discrete', 'categorical'",
    "/study/parameters/10/when/values/0": "'twice' is never 9",
    "/study/parameters/11/choices/1": "1 is listed twice",
    "/study/parameters/12/values": "must be strictly increasing",
    "/study/parameters/13/default": "must lie between 1 and 2, not 3",
    "/study/parameters/14/name": "required, but missing",
    "/study/parameters/14/high": "must be a finite number, not inf",
    "/study/objectives/0/metric": "should match pattern",
    "/study/objectives/0/goal": "must be 'maximize' or 'minimize', got 'maximise'",
    "/study/objectives/2/metric": "metric 'c' is already among the objectives",
    "/trial": "says nothing to run",
    "/trial/args/0": "looks like a credential",
    "/trial/args/1": "must be text, got [1]",
    "/trial/env/BAD NAME": "should match pattern",
    "/trial/timeout": "must be seconds or a duration such as 2h",
    "/trial/metrics/c": "is not a regular expression",
    "/budget/parallel_trials": "greater than or equal to 1",
    "/budget/max_trials": "must be a whole number, not 1.5",
}


def problems(data):
    with pytest.raises(JobError) as caught:
        TuningJob.model_validate(data)
    return {problem.pointer: problem for problem in caught.value.problems}


@pytest.fixture
def wrong_file(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(EVERYTHING_WRONG)
    return path


def test_all_problems_at_once_with_pointers_and_places(wrong_file):
    with pytest.raises(JobError) as caught:
        files.read_job(wrong_file)
    found = {problem.pointer: problem for problem in caught.value.problems}
    for pointer, message in PROBLEMS.items():
        assert message in found[pointer].message, found[pointer]
    lines = EVERYTHING_WRONG.splitlines()
    for problem in found.values():
        line, column = map(int, re.fullmatch(rf"{wrong_file}:(\d+):(\d+)", problem.place).groups())
        assert lines[line - 1][column - 1 :].strip()
    assert found["/lables"].place.endswith(":2:1")
    assert found["/study/parameters/0/low"].place == f"{wrong_file}:5:37"
    assert found["/study/parameters/8/setp"].place.endswith(f":13:{lines[12].index('setp') + 1}")
    assert found["/study/parameters/14/name"].place.endswith(":19:7"), "what is missing is missed in its parent"
    assert found["/trial/env/BAD NAME"].place.endswith(f":25:{lines[24].index('BAD') + 1}")
    assert len(found) == len(PROBLEMS), found.keys() - PROBLEMS.keys()


def test_a_problem_in_json_text_has_the_same_pointer():
    data = {"name": "x", "study": {"parameters": [{"kind": "int", "name": "x", "low": "a", "high": 1}]}}
    with pytest.raises(JobError) as caught:
        TuningJob.model_validate_json(json.dumps(data))
    assert "/study/parameters/0/low" in {problem.pointer for problem in caught.value.problems}


PARAMETER = {"name": "x", "kind": "float", "low": 0, "high": 1}


def job(**parts):
    data = {
        "name": "x",
        "study": {"parameters": [PARAMETER], "objectives": [{"metric": "m", "goal": "maximize"}]},
        "trial": {"command": ["x"]},
    }
    return data | parts


def test_the_plain_job_is_fine():
    assert TuningJob.model_validate(job()).name == "x"


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"schema_version": 2}, "/schema_version"),
        ({"budget": {"max_trials": None}}, "/budget/max_trials"),
        ({"budget": []}, "/budget"),
        ({"budget": {"max_trials": True}}, "/budget/max_trials"),
        ({"budget": {"max_trials": 10**400}}, "/budget/max_trials"),
        ({"budget": {"max_seconds": -1}}, "/budget/max_seconds"),
        ({"budget": {"max_seconds": "9" * 5000}}, "/budget/max_seconds"),
        ({"trial": {}}, "/trial"),
        ({"trial": {"command": []}}, "/trial/command"),
        ({"trial": {"command": "python train.py"}}, "/trial/command"),
        ({"trial": {"command": ["a\0b"]}}, "/trial/command/0"),
        ({"trial": {"command": ["\ud800"]}}, "/trial/command/0"),
        ({"trial": {"command": {"x"}}}, "/trial/command"),
        ({"trial": {"command": ["x"], "module": "y"}}, "/trial"),
        ({"trial": {"image": "x", "function": "m:f"}}, "/trial"),
        ({"trial": {"function": "m:f", "package": "y"}}, "/trial/package"),
        ({"trial": {"module": "no module"}}, "/trial/module"),
        ({"trial": {"function": "f"}}, "/trial/function"),
        ({"trial": {"command": ["x"], "parameters": {"x": 1}}}, "/trial/parameters/x"),
        ({"trial": {"command": ["x"], "parameters": {"k": "AKIA0123456789ABCDEF"}}}, "/trial/parameters/k"),
        ({"trial": {"command": ["x"], "parameters": {"k": math.nan}}}, "/trial/parameters/k"),
        ({"trial": {"command": ["x"], "inputs": [{"name": "a", "uri": "x"}] * 2}}, "/trial/inputs/1/name"),
        ({"trial": {"command": ["x"], "resources": {"gpus": 1.5}}}, "/trial/resources/gpus"),
        ({"trial": {"command": ["x"], "resources": {"gpus": [1]}}}, "/trial/resources/gpus"),
        ({"trial": {"command": ["x"], "resources": {"gpus": 2, "gpu_memory": "1GiB"}}}, "/trial/resources/gpu_memory"),
        ({"trial": {"command": ["x"], "resources": {"memory": "64 apples"}}}, "/trial/resources/memory"),
        ({"trial": {"command": ["x"], "resources": {"memory": math.inf}}}, "/trial/resources/memory"),
        ({"trial": {"command": ["x"], "metrics": {"m": "(" * 500 + ")" * 500}}}, "/trial/metrics/m"),
        ({"trial": {"command": ["x"], "metrics": {"m": "(?i)" + "[\0-\uffff]" * 1000}}}, "/trial/metrics/m"),
        ({"native": {"vertex": {"a": math.nan}}}, "/native/vertex/a"),
        ({"native": {"vertex": {"a": {1: 2}}}}, "/native/vertex/a"),
        ({"native": {"vertex": {"a": object()}}}, "/native/vertex/a"),
        ({"native": {"vertex": {"\ud800": 1}}}, "/native/vertex/\ufffd\ufffd\ufffd"),
        ({"study": None}, "/study"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_thing_wrong(parts, pointer):
    assert problems(job(**parts)).keys() == {pointer}


@pytest.mark.parametrize("value", [None, 0, "x", [], [1], object()])
def test_no_job_at_all(value):
    assert problems(value)[""].message.startswith("must be a mapping")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"low": 10**400}, "low"),
        ({"low": -1e308, "high": 1e308}, "high"),
        ({"step": 0}, "step"),
        ({"step": 1e-12}, "step"),
        ({"scale": "reverse_log", "low": -1}, "scale"),
        ({"scale": "logarithmic"}, "scale"),
        ({"default": math.nan}, "default"),
        ({"name": "a=b"}, "name"),
        ({"name": "a\0"}, "name"),
        ({"when": {"parameter": "x", "values": []}}, "when/values"),
        ({"when": {"parameter": "x", "values": [1]}}, "when/parameter"),
    ],
)
def test_one_thing_wrong_with_a_range(fields, field):
    study = {"parameters": [PARAMETER | fields], "objectives": [{"metric": "m", "goal": "maximize"}]}
    assert f"/study/parameters/0/{field}" in problems(job(study=study))


def test_presence_is_not_truth():
    made = TuningJob.model_validate(
        job(
            study={
                "parameters": [{"name": "x", "kind": "float", "low": -1, "high": 0, "default": 0}],
                "objectives": [{"metric": "m", "goal": "minimize", "target": 0.0}],
                "algorithm": {"kind": "random", "seed": 0},
            },
            budget={"max_failed_trials": 0},
        )
    )
    said = made.brief()
    assert said["study"]["parameters"][0]["default"] == 0
    assert said["study"]["objectives"][0]["target"] == 0
    assert said["study"]["algorithm"] == {"kind": "random", "seed": 0}
    assert said["budget"] == {"max_failed_trials": 0}
    assert TuningJob.model_validate(said) == made


def test_the_constructors_raise_the_same_errors():
    with pytest.raises(JobError) as caught:
        StudySpec(
            parameters=[Float("x", 2, 1), Int("y", 0, 1, when=when("z", 1))],
            objectives=[maximize("m")],
        )
    assert [problem.pointer for problem in caught.value.problems] == ["/low"]
    with pytest.raises(JobError, match="no parameter 'z'"):
        StudySpec(parameters=[Int("y", 0, 1, when=when("z", 1))], objectives=[maximize("m")])
    with pytest.raises(TypeError, match="at most 3 positional"):
        Float("x", 0, 1, 2)
    with pytest.raises(JobError, match="a set has no order"):
        Categorical("x", {"a", "b"})


def test_types_are_kept_apart():
    made = Categorical("x", [True, 1, 1.0, "1"])
    assert [type(choice) for choice in made.choices] == [bool, int, float, str]
    assert made.model_validate_json(made.model_dump_json()).choices == made.choices
    assert not When("x", [1]).holds({"x": True})
    assert When("x", [1]).holds({"x": 1.0})
    assert not When("x", ["1"]).holds({"x": 1})


def test_changed_validates():
    with pytest.raises(JobError, match="greater than or equal to 1"):
        Budget().changed(parallel_trials=0)
    assert TrialSpec(command=["x"]).changed(retries=2).retries == 2


def test_functions_that_another_process_cannot_import_are_refused():
    with pytest.raises(JobError, match="cannot be imported by another process"):
        TrialSpec(function=lambda x: x)
    assert TrialSpec(function=math.sqrt).function == "math:sqrt"


def test_huge_garbage_is_refused_in_bounded_size():
    assert len(problems(job(labels={str(number): [] for number in range(20_000)}))) <= 1000
    assert "/study/parameters" in problems(job(study={"parameters": [PARAMETER] * 5000, "objectives": []}))


def test_a_dense_net_of_conditions_is_checked_at_once():
    rungs = [
        {
            "name": f"x{i // 2}",
            "kind": "int",
            "low": 0,
            "high": 1,
            "when": {"parameter": f"x{i // 2 + 1}", "values": [i % 2]},
        }
        for i in range(80)
    ]
    study = {
        "parameters": [*rungs, {**PARAMETER, "kind": "int", "name": "x40"}],
        "objectives": job()["study"]["objectives"],
    }
    assert len(TuningJob.model_validate(job(study=study)).study.parameters) == 81


SECRET_NAMES = [
    *("password", "DB_PASSWORD", "db.passwd", "client_secret", "api_key", "apiKey", "OPENAI_API_KEY", "access-key"),
    *("AWS_SECRET_ACCESS_KEY", "private_key", "auth_token", "authToken", "accesstoken", "HF_TOKEN", "github_token"),
]
PLAIN_NAMES = [
    *(
        "lr",
        "max_tokens",
        "num_tokens",
        "token_dim",
        "tokenizer",
        "tokenizer_name",
        "mask_token",
        "pad_token",
        "key_dim",
    ),
    *("eos_token", "decoder_start_token", "placeholder_token", "token", "key", "PASSWORD_FILE", "secretary", "keyword"),
    *("secret_free", "PATH", "passwordless", "public_key"),
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_credentials_by_name_are_refused(name):
    hint = "export it in the environment in which tuneport runs"
    wrong = {"parameters": {name: "x"}, "args": [f"--{name}=x"], "command": ["run", f"-{name}=x"]}
    places = {f"/trial/parameters/{name}", "/trial/args/0", "/trial/command/1"}
    if name.replace("_", "").isalnum():
        wrong["env"] = {name: "x"}
        places.add(f"/trial/env/{name}")
    found = problems(job(trial=wrong))
    assert {place for place, problem in found.items() if hint in problem.message} == places


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_names_of_hyperparameters_are_no_credentials(name):
    assert TrialSpec(command=["run"], parameters={name: "x"}, args=[f"--{name}=x"], env={name: "x"})


@pytest.mark.parametrize("value", ["", "true", "0", "$HF_TOKEN", "${HF_TOKEN}", "${{ secrets.TOKEN }}", "$(token)"])
def test_references_and_switches_are_no_credentials(value):
    assert TrialSpec(command=["run"], env={"HF_TOKEN": value}, args=["--use-auth-token", f"--api-key={value}"])


def test_numbers_under_the_name_of_a_credential_pass():
    assert TrialSpec(command=["run"], parameters={"auth_token": True, "password": 3, "secret": 0.5})


def test_credentials_in_the_environment_of_a_job_are_refused():
    found = problems(job(trial={"command": ["x"], "env": {"ANY": "AKIA0123456789ABCDEF"}}))
    assert list(found) == ["/trial/env/ANY"]
