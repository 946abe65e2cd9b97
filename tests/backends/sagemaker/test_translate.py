"""Jobs to requests and back: what comes back, what is written, what is read."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuneport import exchange
from tuneport.backends import registry
from tuneport.backends.sagemaker import BACKEND
from tuneport.backends.sagemaker.canonical import wire
from tuneport.backends.sagemaker.hyperparameters import HINTS
from tuneport.backends.sagemaker.space import DEFINITION
from tuneport.errors import JobError, PayloadError
from tuneport.model.job import TuningJob
from tuneport.testing import strategies
from tuneport.translation.capabilities import Fidelity
from tuneport.translation.lowering import read_hints
from tuneport.translation.measure import compare

from .documents import CONFIG, ONE, SEVERAL, changed, golden, plain

TRANSLATOR = BACKEND.translator
SETTINGS = BACKEND.settings_type(region="eu-west-1")
SOME = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/demo:1"
ROLE = "arn:aws:iam::111122223333:role/demo"
X = {"name": "x", "kind": "float", "low": 0.5, "high": 2}
OPT = {"name": "opt", "kind": "categorical", "choices": ["adam", "sgd"]}


def job(*parameters, study=(), trial=(), **more):
    """A job that the service takes, with these parameters."""
    return TuningJob.model_validate(
        {
            "name": "demo",
            "study": {
                "parameters": list(parameters) or [X],
                "objectives": [{"metric": "score", "goal": "maximize"}],
                **dict(study),
            },
            "trial": {
                "image": IMAGE,
                "identity": ROLE,
                "output": {"uri": "s3://demo-bucket/out"},
                "resources": {"machine": "ml.m5.large"},
                **dict(trial),
            },
            **more,
        }
    )


def there(one):
    return TRANSLATOR.to_native(one, SETTINGS, "request")


def back(one):
    return TRANSLATOR.from_native(there(one), "request")[0]


def differences(one):
    return [(change.pointer, change.before, change.after) for change in compare(one, back(one))]


def valid(one):
    assert TRANSLATOR.problems(there(one), "request") == []
    return there(one)


# ---- what comes back ------------------------------------------------------------------------------------------------


@given(strategies.jobs())
@SOME
def test_what_was_read_is_said_in_the_same_words(any_job):
    request = there(any_job)
    try:
        again, _ = TRANSLATOR.from_native(request, "request")
    except (JobError, PayloadError):
        assert TRANSLATOR.problems(request, "request")
    else:
        assert there(again) == request


EVERYTHING = job(
    {"name": "lr", "kind": "float", "low": 1e-5, "high": 0.1, "scale": "log"},
    {"name": "beta", "kind": "float", "low": 0.5, "high": 0.99, "scale": "reverse_log"},
    {"name": "free", "kind": "float", "low": -1, "high": 1, "scale": "auto"},
    {"name": "layers", "kind": "int", "low": 1, "high": 8},
    {"name": "width", "kind": "int", "low": 1, "high": 1024, "scale": "log"},
    {"name": "typed", "kind": "categorical", "choices": [1, 1.0, True, "1", "true", "a b", ""]},
    {"name": "batch", "kind": "discrete", "values": [16, 32, 64], "scale": "log"},
    {"name": "warmup", "kind": "float", "low": 0, "high": 1, "step": 0.25},
    {
        "name": "heads",
        "kind": "int",
        "low": 2,
        "high": 16,
        "step": 2,
        "when": {"parameter": "layers", "values": [3, 4]},
    },
    study={
        "objectives": [{"metric": "score", "goal": "minimize", "target": 0.0}],
        "algorithm": {"kind": "hyperband", "seed": 0, "min_resource": 2, "max_resource": 9},
    },
    trial={
        "command": ["python", "train.py"],
        "package": "s3://demo-bucket/code.tar.gz",
        "parameters": {"epochs": 3, "name": "3", "on": True, "rate": 0.5},
        "env": {"A": "", "B": "b"},
        "inputs": [
            {"name": "a", "uri": "s3://demo-bucket/a", "sharded": True, "content_type": "text/csv", "mode": "stream"},
            {"name": "b", "uri": "efs://fs-0123456789abcdef0/b", "writable": True, "mode": "copy"},
            {"name": "c", "uri": "fsx://fs-0123456789abcdef0/c"},
            {"name": "d", "uri": "s3://demo-bucket/d", "mode": "mount"},
            {"name": "e", "uri": "arn:aws:sagemaker:eu-west-1:aws:hub-content/public/DataSet/digits/1.0.0"},
        ],
        "output": {"uri": "s3://demo-bucket/out"},
        "resources": {
            "machine": "ml.p4d.24xlarge",
            "replicas": 2,
            "disk": "100GiB",
            "pool": "arn:aws:sagemaker:eu-west-1:111122223333:training-plan/p4d-week",
        },
        "timeout": 3600,
        "max_wait": 1800,
        "retries": 2,
        "spot": True,
        "network": {"subnets": ["subnet-1"], "security_groups": ["sg-1"], "isolated": True, "encrypted": True},
        "encryption": {"key": "alias/a", "disk_key": "1234abcd-12ab-34cd-56ef-1234567890ab"},
        "metrics": {"score": r"score=(\S+)", "loss": "loss=(.*)"},
    },
    labels={"team": "vision", "none": ""},
    budget={"max_trials": 20, "parallel_trials": 2, "max_seconds": 7200, "max_trials_without_improvement": 4},
    warm_start=[{"run": "sagemaker:older", "kind": "identical"}],
)


def test_everything_that_there_are_words_for_comes_back():
    assert differences(EVERYTHING) == []
    valid(EVERYTHING)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/trial", {"spot": False, "max_wait": 7200}),
        ("/trial", {"command": ["train"], "package": None}),
        ("/trial", {"command": None, "package": None, "metrics": {}}),
        ("/trial", {"command": None, "package": None, "image": None, "algorithm": "my-algorithm"}),
        ("/warm_start", [{"run": "sagemaker:a"}, {"run": "sagemaker:b"}]),
        ("/study", {"algorithm": {"kind": "random"}, "early_stopping": {"kind": "median", "rule": "sagemaker"}}),
        ("/study", {"algorithm": {"kind": "bayesian", "seed": 7}}),
        ("/budget", {"max_trials": None}),
    ],
)
def test_so_does_everything_else(pointer, value):
    data = EVERYTHING.model_dump()
    part = pointer.strip("/")
    data[part] = value if isinstance(value, list) else data[part] | value
    one = TuningJob.model_validate(data)
    assert differences(one) == []
    valid(one)


def test_hints_keep_out_of_the_trainers_way():
    static = there(EVERYTHING)[ONE]["StaticHyperParameters"]
    assert HINTS.startswith("sagemaker_")  # the training toolkit passes on no such names
    assert read_hints(static[HINTS]).keys() == {"batch", "warmup", "heads"}
    assert HINTS not in there(job())[ONE].get("StaticHyperParameters", {})


def test_a_users_own_parameter_of_that_name_stays():
    one = job({**X, "step": 0.25}, trial={"parameters": {HINTS: "mine"}})
    assert there(one)[ONE]["StaticHyperParameters"] == {HINTS: "mine"}
    assert back(one).trial.parameters == {HINTS: "mine"}


# ---- definitions ----------------------------------------------------------------------------------------------------


def on(value, **parameter):
    return {**parameter, "when": {"parameter": "opt", "values": [value]}}


MOMENTUM = {"name": "momentum", "kind": "float", "low": 0.5, "high": 0.9}
BRANCHED = (X, OPT, on("sgd", **MOMENTUM), on("adam", name="beta", kind="float", low=0.1, high=0.9))


def test_a_choice_that_all_conditions_hang_on_gets_definitions():
    request = valid(job(*BRANCHED))
    first, second = request[SEVERAL]
    assert ONE not in request
    assert request[CONFIG].keys().isdisjoint({"ParameterRanges", "HyperParameterTuningJobObjective"})
    assert [first["DefinitionName"], second["DefinitionName"]] == ["adam", "sgd"]
    assert [one["Name"] for one in first["HyperParameterRanges"]["ContinuousParameterRanges"]] == ["x", "beta"]
    assert [one["Name"] for one in second["HyperParameterRanges"]["ContinuousParameterRanges"]] == ["x", "momentum"]
    assert first["StaticHyperParameters"]["opt"] == "adam"
    assert second["StaticHyperParameters"] == {"opt": "sgd"}
    assert first["TuningObjective"] == {"Type": "Maximize", "MetricName": "score"}


@pytest.mark.parametrize(
    "parameters",
    [
        BRANCHED,
        (OPT, on("sgd", **X), on("adam", **X)),  # one name and one range in both
        (OPT, {**X, "when": {"parameter": "opt", "values": ["adam", "sgd"]}}),  # a condition that always holds
        ({**OPT, "default": "sgd"}, on("sgd", **X)),
        ({**OPT, "choices": [1, "1", 1.5, False]}, on("1", **X), on(1, **{**X, "high": 3})),
        (OPT, on("sgd", name="n", kind="int", low=1, high=3), {**X, "when": {"parameter": "n", "values": [2]}}),
        (OPT, on("sgd", name="n", kind="int", low=1, high=8, step=2)),
        (
            OPT,
            {**OPT, "name": "other"},
            on("sgd", **X),
            {**MOMENTUM, "when": {"parameter": "other", "values": ["adam"]}},
        ),
        ({**OPT, "choices": [f"c{n}" for n in range(10)]}, on("c3", **X)),
        ({**OPT, "choices": [f"c{n}" for n in range(11)]}, on("c3", **X)),
        ({**OPT, "choices": ["a b", "a-b", "é", ""]}, on("é", **X), MOMENTUM),
    ],
)
def test_conditions_come_back(parameters):
    one = job(*parameters, budget={"max_trials": 2})
    assert differences(one) == []
    valid(one)


def test_a_program_that_only_some_definitions_run_is_theirs_alone():
    script = {
        "when": {"parameter": "opt", "values": ["adam"]},
        "command": ["python", "a.py"],
        "package": "s3://b/a.tar",
    }
    one = job(OPT, X, trial={"variants": [script]})
    assert differences(one) == []
    assert back(one).under({"opt": "sgd"}).trial.command is None


def test_what_chooses_among_definitions_keeps_its_default():
    one = job(OPT | {"default": "sgd"}, {**X, "when": {"parameter": "opt", "values": ["sgd"]}})
    assert back(one).study.parameters == one.study.parameters


def test_ranges_of_a_grid_keep_their_conditions():
    inner = {
        "name": "inner",
        "kind": "categorical",
        "choices": ["c", "d"],
        "when": {"parameter": "opt", "values": ["sgd"]},
    }
    deep = {"name": "n", "kind": "int", "low": 1, "high": 3, "when": {"parameter": "inner", "values": ["c"]}}
    one = job(OPT, inner, deep, study={"algorithm": {"kind": "grid"}}, budget={"max_trials": None})
    assert back(one).study.parameters == one.study.parameters


def test_ten_definitions_and_not_one_more():
    def of(count):
        return there(job({**OPT, "choices": [f"c{n}" for n in range(count)]}, on("c3", **X)))

    assert len(of(10)[SEVERAL]) == 10
    assert SEVERAL not in of(11)


def test_definitions_have_legal_names_of_their_own():
    request = valid(job({**OPT, "choices": ["a b", "a-b", "é", "A-B"]}, on("é", **X), MOMENTUM))
    assert [one["DefinitionName"] for one in request[SEVERAL]] == ["a-b", "a-b-2", "x", "A-B-3"]


def test_hints_that_no_longer_fit_are_ignored():
    request = there(job(*BRANCHED))
    request[SEVERAL][1]["HyperParameterRanges"]["ContinuousParameterRanges"][1]["Name"] = "nesterov"
    read, _ = TRANSLATOR.from_native(request, "request")
    assert [one.name for one in read.study.parameters] == ["opt", "x", "beta", "nesterov"]
    assert read.study.parameters[3].when.values == ("sgd",)


@pytest.mark.parametrize(
    "hint",
    [
        '{"":1,"=branch":{"parameter":"opt","parameters":[[]]}}',
        '{"":1,"=branch":{"parameter":"opt","parameters":[["x","opt"]]}}',
        '{"":1,"=branch":{"parameter":"opt","parameters":7,"default":[]}}',
        '{"":1,"=branch":{"parameter":["opt"]}}',
        '{"":1,"=branch":{"parameter":"gone"}}',
        '{"":1,"=listed":{"x":{"kind":"int"}}}',
        '{"":1,"x":{"kind":"float","range":[1]}}',
    ],
)
def test_hints_of_others_do_no_harm(hint):
    request = there(job(*BRANCHED))
    request[SEVERAL][0]["StaticHyperParameters"][HINTS] = hint
    read, _ = TRANSLATOR.from_native(request, "request")
    assert {one.name for one in read.study.parameters} >= {"x", "beta", "momentum"}


VARIANTS = [
    {"when": {"parameter": "opt", "values": ["sgd"]}, "image": f"{IMAGE}b", "metric": "b_score", "timeout": 60},
]


def test_variants_come_back():
    one = job(OPT, X, trial={"timeout": 30, "variants": VARIANTS})
    first, second = valid(one)[SEVERAL]
    assert differences(one) == []
    assert second["TuningObjective"]["MetricName"] == "b_score"
    assert second["AlgorithmSpecification"]["MetricDefinitions"] == [
        {"Name": "b_score", "Regex": r"tuneport:.* b_score=(\S+)"}
    ]
    assert first["StoppingCondition"] == {"MaxRuntimeInSeconds": 30}


@pytest.mark.parametrize(
    ("word", "nothing"),
    [
        ("parameters", {}), ("env", {}), ("inputs", []), ("retries", 0), ("spot", False), ("network", {}),
        ("encryption", {}), ("metrics", {}), ("resources", {}),
    ],
)  # fmt: skip
def test_a_variant_may_do_without(word, nothing):
    trial = EVERYTHING.trial.model_dump() | {"max_wait": None}
    one = job(OPT, X, trial=trial | {"variants": [{"when": {"parameter": "opt", "values": ["sgd"]}, word: nothing}]})
    assert differences(one) == []


def test_definitions_stay_though_nothing_but_a_parameter_tells_them_apart():
    one = job(OPT, X, trial={"variants": [{"when": {"parameter": "opt", "values": ["sgd"]}, "retries": 0}]})
    assert len(there(one)[SEVERAL]) == 2
    assert there(back(one)) == there(one)


def test_choices_with_one_trial_share_a_variant():
    several = [{"when": {"parameter": "opt", "values": ["sgd", "rms"]}, "retries": 3}]
    one = job({**OPT, "choices": ["adam", "sgd", "rms"]}, X, trial={"variants": several})
    assert differences(one) == []


def test_definitions_of_others_stay_their_own():
    imported = exchange.read(golden("definitions"), BACKEND)
    parent = imported.job.study.parameters[0]
    assert (parent.name, parent.choices) == (DEFINITION, ("linear", "trees", "bought"))
    assert len(imported.boxed) == 1  # in which of two places the compute is said
    request = there(imported.job)
    assert all(DEFINITION not in one.get("StaticHyperParameters", {}) for one in request[SEVERAL])


def test_a_list_of_one_definition_stays_a_list():
    document = golden("definitions")
    document[SEVERAL] = document[SEVERAL][:1]
    imported = exchange.read(document, BACKEND)
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document
    assert imported.boxed == []


# ---- what is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "strategy"),
    [
        ("random", "Random"), ("sobol", "Random"), ("bayesian", "Bayesian"), ("tpe", "Bayesian"),
        ("anneal", "Bayesian"), ("hyperband", "Hyperband"),
    ],
)  # fmt: skip
def test_strategies(algorithm, strategy):
    assert valid(job(study={"algorithm": {"kind": algorithm}}))[CONFIG]["Strategy"] == strategy


@pytest.mark.parametrize(("parameters", "most"), [({}, 81), ({"epochs": 5}, None), ({"n_epochs": 5}, None)])
def test_hyperband_is_told_how_much_there_is(parameters, most):
    request = valid(job(study={"algorithm": {"kind": "hyperband"}}, trial={"parameters": parameters}))
    resources = request[CONFIG]["StrategyConfig"]["HyperbandStrategyConfig"]
    assert resources == {"MinResource": 1} | ({} if most is None else {"MaxResource": most})


@pytest.mark.parametrize(
    ("parameters", "said"), [([{"epochs": 9}, {"n_epochs": 3}], False), ([{"epochs": 9}, {}], True)]
)
def test_hyperband_is_told_so_unless_every_definition_says_the_epochs(parameters, said):
    variants = [
        {"when": {"parameter": "opt", "values": [choice]}, "parameters": fixed}
        for choice, fixed in zip(OPT["choices"], parameters, strict=True)
    ]
    request = valid(
        job(
            {"name": "lr", "kind": "float", "low": 0, "high": 1},
            OPT,
            study={"algorithm": {"kind": "hyperband"}},
            trial={"variants": variants},
        )
    )
    assert ("MaxResource" in request[CONFIG]["StrategyConfig"]["HyperbandStrategyConfig"]) == said


GRID = {"algorithm": {"kind": "grid"}}
N = {"name": "n", "kind": "int", "low": 1, "high": 30}


@pytest.mark.parametrize("most", [None, 60, 61])
def test_a_grid_of_ranges_is_one_of_choices(most):
    one = job(N, OPT, study=GRID, budget={"max_trials": most})
    config = valid(one)[CONFIG]
    assert config["Strategy"] == "Grid"
    assert [len(one["Values"]) for one in config["ParameterRanges"]["CategoricalParameterRanges"]] == [30, 2]
    assert config["ResourceLimits"].get("MaxNumberOfTrainingJobs", 60) == 60
    assert [change.pointer for change in compare(one, back(one))] == ["/budget/max_trials"] * (most == 61)


@pytest.mark.parametrize(("parameter", "most"), [(N, 59), ({**N, "high": 31}, 100)])
def test_a_grid_that_cannot_be_tried_as_a_whole_is_searched_at_random(parameter, most):
    one = job(parameter, OPT, study=GRID, budget={"max_trials": most})
    assert valid(one)[CONFIG]["Strategy"] == "Random"
    assert {change.pointer for change in compare(one, back(one))} <= {"/study/algorithm", "/budget/max_trials"}


def test_a_finite_space_is_not_tried_more_often_than_it_has_points():
    assert valid(job(OPT, {**N, "high": 3}))[CONFIG]["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 6
    assert valid(job(OPT, X))[CONFIG]["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 50


@pytest.mark.parametrize("rule", [{"kind": "median"}, {"kind": "asha"}, {"kind": "curve"}, {"kind": "auto"}])
def test_every_early_stopping_is_the_services_own(rule):
    one = job(study={"early_stopping": rule})
    assert valid(one)[CONFIG]["TrainingJobEarlyStoppingType"] == "Auto"
    assert back(one).study.early_stopping.rule == "sagemaker"


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["python", "train.py"], "train.py"),
        (["python3", "src/train.py"], "src/train.py"),
        (["train"], "train"),
        (["./train.sh"], "./train.sh"),
        (["train.py"], None),
        (["python", "-m", "train"], None),
        (["python", "train"], None),
        (["bash", "train.sh"], None),
    ],
)
def test_programs_that_script_mode_can_start(command, program):
    static = there(job(trial={"command": command}))[ONE].get("StaticHyperParameters", {})
    assert static.get("sagemaker_program") == program


@pytest.mark.parametrize(
    ("image", "asked"),
    [
        (IMAGE, True),
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1", False),
        ("382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans@sha256:0123", False),
        ("${image}", False),
    ],
)
def test_metrics_are_asked_for_where_the_service_does_not_know_them(image, asked):
    one = job(trial={"image": image})
    assert ("MetricDefinitions" in there(one)[ONE]["AlgorithmSpecification"]) is asked
    assert differences(one) == []


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("demo-1", "demo-1"), ("a--b", "a--b"), ("my_digits run", "my-digits-run"), ("-a-", "a"), ("é", "x"),
        ("${var.name}", "${var.name}"), ("a" * 40, "a" * 40),
    ],
)  # fmt: skip
def test_names_are_made_legal_but_never_cut(name, written):
    one = job().changed(name=name)
    assert there(one)["HyperParameterTuningJobName"] == written
    assert bool(TRANSLATOR.problems(there(one), "request")) is (len(name) > 32 or "$" in name)


@pytest.mark.parametrize(
    ("run", "name"),
    [("sagemaker:older", "older"), ("sagemaker:eu-west-1/older", "older"), ("local:older", "local:older"), ("/", "/")],
)
def test_references_of_earlier_jobs(run, name):
    warm = there(job(warm_start=[{"run": run}]))["WarmStartConfig"]
    assert warm["ParentHyperParameterTuningJobs"] == [{"HyperParameterTuningJobName": name}]


@pytest.mark.parametrize(
    ("trial", "condition"),
    [
        ({}, {}),
        ({"timeout": 0.5}, {"MaxRuntimeInSeconds": 1}),
        ({"max_wait": 7200}, {"MaxPendingTimeInSeconds": 7200}),
        ({"spot": True}, {"MaxWaitTimeInSeconds": 86400}),
        ({"spot": True, "max_wait": 100}, {"MaxWaitTimeInSeconds": 86500}),
        ({"spot": True, "timeout": 60, "max_wait": 5}, {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 65}),
        ({"spot": True, "timeout": 60}, {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}),
    ],
)
def test_times_and_waits(trial, condition):
    assert valid(job(trial=trial))[ONE]["StoppingCondition"] == condition


@pytest.mark.parametrize("scale", ["linear", "log", "reverse_log", "auto"])
def test_scales_of_ranges(scale):
    words = {"linear": "Linear", "log": "Logarithmic", "reverse_log": "ReverseLogarithmic", "auto": None}
    request = valid(job({**X, "high": 0.9, "scale": scale}))
    assert request[CONFIG]["ParameterRanges"]["ContinuousParameterRanges"][0].get("ScalingType") == words[scale]


def test_reverse_logarithms_that_the_service_lacks_are_linear():
    ranges = valid(job({**X, "scale": "reverse_log"}, {**N, "scale": "reverse_log"}))[CONFIG]["ParameterRanges"]
    assert ranges["ContinuousParameterRanges"][0]["ScalingType"] == "Linear"
    assert ranges["IntegerParameterRanges"][0]["ScalingType"] == "Linear"


# ---- what is read ---------------------------------------------------------------------------------------------------


def read(document):
    reading = TRANSLATOR.read(document)
    return TRANSLATOR.from_native(reading.request, reading.form)[0]


def test_the_region_is_that_of_the_images_registry():
    assert exchange.read(plain(), BACKEND).settings.region == "eu-west-1"


def test_autotune_comes_back_until_a_range_is_given():
    document = golden("autotune")
    imported = exchange.read(document, BACKEND)
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document
    parameters = [
        one.changed(choices=(4, 8)) if one.name == "max_depth" else one for one in imported.job.study.parameters
    ]
    edited = imported.job.changed(study=imported.job.study.changed(parameters=parameters))
    ranges = exchange.translate(edited, BACKEND, imported.settings).payload[CONFIG]["ParameterRanges"]
    assert ranges["AutoParameters"] == [{"Name": "tree_method", "ValueHint": "exact"}]
    assert ranges["CategoricalParameterRanges"] == [{"Name": "max_depth", "Values": ["4", "8"]}]


@pytest.mark.parametrize("name", ["autotune", "definitions"])
def test_compute_stays_where_it_was_said_when_the_machine_is_changed(name):
    imported = exchange.read(golden(name), BACKEND)
    data = imported.job.model_dump()
    for spec in (data["trial"], *data["trial"]["variants"]):
        if spec["resources"] is not None and spec["resources"]["machine"] is not None:
            spec["resources"]["machine"] = "ml.c5.xlarge"
    payload = exchange.translate(TuningJob.model_validate(data), BACKEND, imported.settings).payload
    definition = payload[ONE] if ONE in payload else payload[SEVERAL][1]
    assert "ResourceConfig" not in definition
    compute = definition["HyperParameterTuningResourceConfig"]
    assert compute.get("InstanceConfigs", [compute])[0]["InstanceType"] == "ml.c5.xlarge"
    assert "ml.m5.xlarge" in str(compute) or name == "definitions"


GROUPS = [
    {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 2, "InstanceGroupName": "learners"},
    {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "InstanceGroupName": "readers"},
]
PREFERENCES = [{"InstanceType": "ml.g5.xlarge"}, {"InstanceType": "ml.g4dn.xlarge"}]


@pytest.mark.parametrize(
    ("compute", "machine", "replicas"),
    [
        ({"InstanceGroups": GROUPS, "VolumeSizeInGB": 9}, "ml.p3.2xlarge", 2),
        ({"InstanceGroups": GROUPS[:1]}, "ml.p3.2xlarge", 2),
        ({"InstancePreferences": PREFERENCES, "InstanceCount": 3}, "ml.g5.xlarge", 3),
        ({"InstancePreferences": [{**one, "InstanceCount": 2} for one in PREFERENCES]}, "ml.g5.xlarge", 2),
    ],
)
def test_of_several_machines_the_first_is_the_trials(compute, machine, replicas):
    request = changed(plain(), f"/{ONE}/ResourceConfig", compute)
    imported = exchange.read(request, BACKEND)
    resources = imported.job.trial.resources
    assert (resources.machine, resources.replicas) == (machine, replicas)
    same = exchange.translate(imported.job, BACKEND, imported.settings)
    assert same.payload == request
    assert same.report.worst < Fidelity.UNSUPPORTED
    assert TRANSLATOR.problems(same.request, same.form) == []
    data = imported.job.model_dump()
    data["trial"]["resources"]["machine"] = "ml.c5.9xlarge"
    edited = exchange.translate(TuningJob.model_validate(data), BACKEND, imported.settings).payload
    assert edited == json.loads(json.dumps(request).replace(machine, "ml.c5.9xlarge"))


@pytest.mark.parametrize(("groups", "level"), [(GROUPS[:1], Fidelity.DROPPED), (GROUPS, Fidelity.UNSUPPORTED)])
def test_other_machines_matter_when_a_job_leaves(groups, level):
    imported = exchange.read(changed(plain(), f"/{ONE}/ResourceConfig", {"InstanceGroups": groups}), BACKEND)
    vertex = registry.load("vertex")
    material = BACKEND.capabilities.material
    moved = exchange.migrate(imported, vertex, vertex.settings_type(), material=lambda _: material)
    assert max(one.fidelity for one in moved.report.fields if "InstanceGroups" in one.pointer) is level


def test_ranges_that_autotune_is_to_find_do_not_limit_trials():
    ranges = {"AutoParameters": [{"Name": "x", "ValueHint": "4"}]}
    request = changed(plain(), f"/{CONFIG}/ParameterRanges", ranges) | {"Autotune": {"Mode": "Enabled"}}
    imported = exchange.read(request, BACKEND)
    edited = imported.job.changed(budget=imported.job.budget.changed(max_trials=20))
    payload = exchange.translate(edited, BACKEND, imported.settings).payload
    assert payload[CONFIG]["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 20


@pytest.mark.parametrize(("more", "kept"), [({}, False), ({"Autotune": {"Mode": "Enabled"}}, True)])
def test_what_is_said_to_be_off_matters_to_autotune(more, kept):
    off = {"ConvergenceDetected": {"CompleteOnConvergence": "Disabled"}}
    request = changed(plain(), f"/{CONFIG}/TrainingJobEarlyStoppingType", "Off")
    request = changed(request, f"/{CONFIG}/TuningJobCompletionCriteria", off) | more
    imported = exchange.read(request, BACKEND)
    said = exchange.translate(imported.job, BACKEND, imported.settings, form="camel").payload
    config = said["hyperParameterTuningJobConfig"]
    assert (config.get("trainingJobEarlyStoppingType") == "Off") == kept
    assert ("tuningJobCompletionCriteria" in config) == kept


def test_a_box_tells_people_where_the_compute_is():
    box = exchange.read(golden("autotune"), BACKEND).job.native["sagemaker"]
    first, *_ = box[ONE]["HyperParameterTuningResourceConfig"]["InstanceConfigs"]
    assert first == "trial.resources"


def test_a_box_that_was_written_by_hand_may_speak_the_services_own_words():
    ranges = {"CategoricalParameterRanges": [], "AutoParameters": [{"Name": "x", "ValueHint": "4"}]}
    request = changed(plain(), f"/{CONFIG}/ParameterRanges", ranges)
    assert wire(request)[CONFIG]["ParameterRanges"] == {"AutoParameters": ranges["AutoParameters"]}


def test_what_is_the_default_need_not_be_said():
    bare = plain()
    bare[ONE]["InputDataConfig"] = [
        {"ChannelName": "a", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://demo-bucket/a"}}}
    ]
    said = changed(bare, f"/{CONFIG}/TrainingJobEarlyStoppingType")
    said = changed(
        said, f"/{CONFIG}/TuningJobCompletionCriteria", {"ConvergenceDetected": {"CompleteOnConvergence": "Disabled"}}
    )
    for flag in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining"):
        said = changed(said, f"/{ONE}/{flag}", False)
    for place, value in (
        ("OutputDataConfig/CompressionType", "GZIP"),
        ("OutputDataConfig/KmsKeyId", ""),
        ("ResourceConfig/VolumeKmsKeyId", ""),
        ("InputDataConfig/0/CompressionType", "None"),
        ("InputDataConfig/0/RecordWrapperType", "None"),
        ("InputDataConfig/0/ContentType", ""),
        ("InputDataConfig/0/DataSource/S3DataSource/S3DataDistributionType", "FullyReplicated"),
        ("Environment", {}),
    ):
        said = changed(said, f"/{ONE}/{place}", value)
    said = changed(said, f"/{CONFIG}/ParameterRanges/ContinuousParameterRanges/2/ScalingType", "Auto")
    assert TRANSLATOR.read(said).request == TRANSLATOR.read(bare).request
    imported = exchange.read(said, BACKEND)
    assert imported.boxed == []
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == said


def test_definitions_may_leave_ranges_to_autotune():
    document = changed(golden("definitions"), "/Autotune", {"Mode": "Enabled"})
    ranges = {"AutoParameters": [{"Name": "max_depth", "ValueHint": "4"}]}
    document = changed(document, f"/{SEVERAL}/2/HyperParameterRanges", ranges)
    imported = exchange.read(document, BACKEND)
    assert "max_depth" in {one.name for one in imported.job.study.parameters}
    made = exchange.translate(imported.job, BACKEND, imported.settings)
    assert made.payload == document
    assert made.plain[SEVERAL][2]["HyperParameterRanges"] == ranges


def test_the_jobs_input_mode_is_that_of_channels_that_have_none():
    document = golden("everything")
    assert [one.mode for one in read(document).trial.inputs] == ["stream", "copy", "mount", "copy", "copy"]


def test_a_fixed_value_of_what_is_searched_counts_for_nothing():
    document = changed(plain(), f"/{ONE}/StaticHyperParameters/lr", "0.5")
    assert read(document).trial.parameters == {"rounds": 10}
    imported = exchange.read(document, BACKEND)
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document


def test_symbols_stay_where_there_is_no_word_for_them():
    document = changed(plain(), f"/{CONFIG}/ParameterRanges/IntegerParameterRanges/0/MaxValue", "${deepest}")
    document = changed(document, f"/{CONFIG}/HyperParameterTuningJobObjective/Type", "${goal}")
    document = changed(document, f"/{CONFIG}/RandomSeed", "{{ seed }}")
    document = changed(document, f"/{ONE}/ResourceConfig/InstanceCount", "${count}")
    document = changed(document, f"/{ONE}/StoppingCondition/MaxRuntimeInSeconds", "${seconds}")
    document = changed(document, f"/{ONE}/EnableManagedSpotTraining", "${spot}")
    imported = exchange.read(document, BACKEND)
    assert "depth" not in {one.name for one in imported.job.study.parameters}
    assert imported.job.study.algorithm.seed is None
    assert imported.job.trial.resources.replicas == 1
    assert imported.job.trial.timeout is None
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document


def test_patterns_that_python_does_not_know_stay_in_the_box():
    definition = {"Name": "java", "Regex": "(?<value>[0-9]++)"}
    document = changed(plain(), f"/{ONE}/AlgorithmSpecification/MetricDefinitions/0", definition)
    imported = exchange.read(document, BACKEND)
    assert imported.job.trial.metrics == {}
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document


@pytest.mark.parametrize(
    ("pointer", "value", "place"),
    [
        (f"/{CONFIG}/HyperParameterTuningJobObjective", None, f"/{CONFIG}/HyperParameterTuningJobObjective"),
        (f"/{CONFIG}/ParameterRanges", {}, f"/{CONFIG}/ParameterRanges"),
        (f"/{ONE}/AlgorithmSpecification/TrainingImage", None, f"/{ONE}/AlgorithmSpecification"),
        (f"/{CONFIG}/Strategy", "Grid", f"/{CONFIG}/ParameterRanges/ContinuousParameterRanges"),
    ],
)
def test_what_makes_no_job(pointer, value, place):
    with pytest.raises(PayloadError) as caught:
        read(changed(plain(), pointer, value))
    assert [one.pointer for one in caught.value.problems] == [place]


@given(st.sampled_from(["request", "ack", "snake", "describe"]), st.text(max_size=3))
@SOME
def test_any_member_may_be_missing_or_wrong(form, text):
    for document in ({}, {text: text}, {CONFIG: text}, {"spec": text}, {CONFIG: {}, "CreationTime": text}):
        with pytest.raises(PayloadError):
            TRANSLATOR.read(document)
