"""Reading is lenient about spelling and strict about meaning; checking agrees with JSON Schema and with the vendors."""

import copy
import json
import math
import time

import jsonschema
import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from google.cloud.aiplatform_v1.types import HyperparameterTuningJob
from google.protobuf import json_format
from huaweicloudsdkcore.utils.http_utils import sanitize_for_serialization
from huaweicloudsdkmodelarts.v1 import ModelArtsClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneport.errors import PayloadError
from tuneport.translation import shape
from tuneport.translation.shape import Shape, is_symbolic, schema_of

CONFIG = "/HyperParameterTuningJobConfig"
TARGET = f"{CONFIG}/TuningJobCompletionCriteria/TargetObjectiveMetricValue"
RANGES = f"{CONFIG}/ParameterRanges"
DEFINITION = "/TrainingJobDefinition"
ROLE = "arn:aws:iam::111122223333:role/tuner"
REQUEST = {
    "HyperParameterTuningJobName": "sweep-7",
    "HyperParameterTuningJobConfig": {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 24, "MaxParallelTrainingJobs": 4},
        "ParameterRanges": {
            "ContinuousParameterRanges": [
                {"Name": "lr", "MinValue": "1e-05", "MaxValue": "0.10", "ScalingType": "Logarithmic"}
            ],
            "IntegerParameterRanges": [{"Name": "depth", "MinValue": "2", "MaxValue": "9"}],
            "CategoricalParameterRanges": [{"Name": "opt", "Values": ["adam", "sgd"]}],
        },
        "TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 0.95},
        "RandomSeed": 0,
    },
    "TrainingJobDefinition": {
        "StaticHyperParameters": {"max_epochs": "20", "roleARN": "x"},
        "AlgorithmSpecification": {
            "TrainingImage": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/tune:2",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "f1", "Regex": "f1=([0-9.]+)"}],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/train"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 20},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "EnableManagedSpotTraining": False,
    },
    "Tags": [{"Key": "équipe", "Value": "vision"}],
}
JOB = {
    "displayName": "sweep",
    "maxTrialCount": 24,
    "parallelTrialCount": 4,
    "labels": {"team_a": "vision"},
    "studySpec": {
        "metrics": [{"metricId": "f1", "goal": "MAXIMIZE"}],
        "algorithm": "RANDOM_SEARCH",
        "parameters": [
            {
                "parameterId": "lr",
                "doubleValueSpec": {"minValue": 1e-05, "maxValue": 0.1},
                "scaleType": "UNIT_LOG_SCALE",
            },
            {"parameterId": "depth", "integerValueSpec": {"minValue": "0", "maxValue": "9", "defaultValue": "0"}},
            {
                "parameterId": "opt",
                "categoricalValueSpec": {"values": ["adam", "sgd"]},
                "conditionalParameterSpecs": [
                    {
                        "parentCategoricalValues": {"values": ["sgd"]},
                        "parameterSpec": {"parameterId": "momentum", "discreteValueSpec": {"values": [0.0, 0.5, 0.9]}},
                    }
                ],
            },
        ],
        "medianAutomatedStoppingSpec": {"useElapsedDuration": True},
        "studyStoppingConfig": {"maxNumTrials": 0, "shouldStopAsap": False, "maxDurationNoProgress": "600s"},
    },
    "trialJobSpec": {
        "workerPoolSpecs": [
            {
                "machineSpec": {
                    "machineType": "n1-standard-8",
                    "acceleratorType": "NVIDIA_TESLA_T4",
                    "acceleratorCount": 1,
                },
                "replicaCount": "1",
                "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100},
                "containerSpec": {"imageUri": "img:1", "args": ["--a"], "env": [{"name": "EMPTY", "value": ""}]},
            },
            {},
        ],
        "scheduling": {"timeout": "3600.500s", "strategy": "SPOT"},
    },
}
TRAINING = {
    "kind": "job",
    "metadata": {"name": "sweep-7", "annotations": {"hang-retry": "true"}},
    "algorithm": {
        "code_dir": "/bucket/code/",
        "boot_file": "/bucket/code/fit.py",
        "engine": {"engine_id": "pytorch_1.8.0-cuda_10.2-py_3.7-ubuntu_18.04-x86_64"},
        "parameters": [
            {
                "name": "lr",
                "value": "0.01",
                "constraint": {
                    "type": "Float",
                    "editable": True,
                    "valid_type": "Range",
                    "valid_range": ["0.001", "0.1"],
                },
            }
        ],
        "outputs": [{"name": "train_url", "remote": {"obs": {"obs_url": "/bucket/out/"}}}],
        "environments": {"OMP_NUM_THREADS": "4"},
        "policies": {
            "auto_search": {
                "reward_attrs": [{"name": "f1", "mode": "max", "regex": "f1=([0-9.]+)"}],
                "search_params": [
                    {"name": "lr", "param_type": "continuous", "lower_bound": "0.001", "upper_bound": "0.1"},
                    {"name": "batch", "param_type": "discrete", "discrete_values": ["16", "32"]},
                ],
                "algo_configs": [
                    {"name": "tpe_search", "params": [{"key": "num_samples", "value": "20", "type": "Integer"}]}
                ],
            }
        },
    },
    "spec": {"resource": {"flavor_id": "modelarts.vm.cpu.8u", "node_count": 1}, "runtime_type": "production"},
}
DOCUMENTS = {
    "sagemaker": ("CreateHyperParameterTuningJobRequest", REQUEST),
    "vertex": ("HyperparameterTuningJob", JOB),
    "modelarts": ("Job", TRAINING),
}


def schema(cloud):
    return schema_of(f"tuneport.backends.{cloud}")


def shape_of(cloud, root=None, **options):
    return Shape(schema(cloud), root or DOCUMENTS[cloud][0], **options)


SAGEMAKER, VERTEX, MODELARTS = (shape_of(cloud) for cloud in ("sagemaker", "vertex", "modelarts"))
SHAPES = {"sagemaker": SAGEMAKER, "vertex": VERTEX, "modelarts": MODELARTS}
VALIDATORS = {
    cloud: jsonschema.Draft202012Validator(dict(schema(cloud)) | {"$ref": f"#/$defs/{DOCUMENTS[cloud][0]}"})
    for cloud in DOCUMENTS
}


def changed(document, pointer, value):
    """A copy of a document with something else at a place; `...` takes it away."""
    whole = copy.deepcopy(document)
    *way, last = [int(part) if part.isdecimal() else part for part in pointer.split("/")[1:]]
    place = whole
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return whole


def refused(shape_, document):
    with pytest.raises(PayloadError) as caught:
        shape_.read(document)
    return caught.value.problems


def places(value, at=""):
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, f"{at}/{key}")


def respelt(value, spell, inside=()):
    """A document with the vendor's names spelt otherwise; the user's own names are left alone."""
    if isinstance(value, list):
        return [respelt(item, spell, inside) for item in value]
    if not isinstance(value, dict):
        return value
    free = {"StaticHyperParameters", "labels", "environments", "annotations"}
    return {
        key if inside in free else spell(key): respelt(item, spell, key if key in free else ())
        for key, item in value.items()
    }


def snake(name):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


# Canonical documents


@pytest.mark.parametrize("cloud", DOCUMENTS)
def test_a_canonical_document_is_read_as_it_is(cloud):
    document = DOCUMENTS[cloud][1]
    found = SHAPES[cloud].read(document)
    assert found == document
    assert found is not document
    assert SHAPES[cloud].problems(document) == []
    assert VALIDATORS[cloud].is_valid(document)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.sampled_from([0, -1, 2**31, 2**63, 1.0, 1.5, 1e300]),
    st.sampled_from(
        ["", "-1", "0", "1s", "1.5s", "9223372036854775808", "NaN", "SPOT", "max", "a" * 40, "s3://b/c", ROLE]
    ),
    st.text(alphabet="ab-_:/. é#\t", max_size=12),
    st.just([]),
    st.just({}),
    st.lists(st.sampled_from(["a", 1, {}]), max_size=40),
    st.dictionaries(st.sampled_from(["Name", "name", "value", "values"]), st.sampled_from(["a", 1, [1]]), max_size=2),
)


@pytest.mark.parametrize("cloud", DOCUMENTS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_checking_agrees_with_json_schema(cloud, data):
    document = copy.deepcopy(DOCUMENTS[cloud][1])
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from([one for one in places(document) if one]))
        parent, _, last = place.rpartition("/")
        key = data.draw(st.sampled_from([last, last, "Surprise"])) if not last.isdecimal() else last
        value = data.draw(JUNK if key == "Surprise" else JUNK | st.just(...))
        document = changed(document, f"{parent}/{key}", value)
    assert (not SHAPES[cloud].problems(document)) is VALIDATORS[cloud].is_valid(document)


@pytest.mark.parametrize("cloud", DOCUMENTS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_is_read_is_canonical_and_reading_raises_nothing_else(cloud, data):
    place = data.draw(st.sampled_from([one for one in places(DOCUMENTS[cloud][1]) if one]))
    anything = JUNK | st.floats() | st.sampled_from([(1, 2), b"x", {1: 2}, 10**400, {"seconds": "x"}, object()])
    document = changed(DOCUMENTS[cloud][1], place, data.draw(anything))
    try:
        found = SHAPES[cloud].read(document)
    except PayloadError:
        return
    assert SHAPES[cloud].problems(found, symbolic=True) == []
    assert SHAPES[cloud].read(found) == found
    json.dumps(found, allow_nan=False)


# Spelling


@pytest.mark.parametrize("spell", [snake, str.lower, str.upper])
@pytest.mark.parametrize("cloud", ["sagemaker", "vertex"])
def test_names_may_be_spelt_in_any_case(cloud, spell):
    document = DOCUMENTS[cloud][1]
    assert SHAPES[cloud].read(respelt(document, spell)) == document
    assert SHAPES[cloud].problems(respelt(document, spell))


def test_names_as_kubernetes_resources_have_them():
    respelling = {"RoleArn": "roleARN", "S3Uri": "s3URI", "Type": "type_", "S3OutputPath": "s3OutputPath"}
    document = respelt(REQUEST, lambda name: respelling.get(name, name[0].lower() + name[1:]))
    assert "roleARN" in document["trainingJobDefinition"]
    assert SAGEMAKER.read(document) == REQUEST


def test_one_thing_said_in_two_spellings_is_a_problem():
    (problem,) = refused(VERTEX, JOB | {"max_trial_count": 24})
    assert problem.pointer == "/max_trial_count"
    assert "'maxTrialCount'" in problem.message


@pytest.mark.parametrize(
    ("cloud", "pointer", "given_", "read"),
    [
        ("sagemaker", f"{CONFIG}/ResourceLimits/MaxNumberOfTrainingJobs", "24", 24),
        ("sagemaker", f"{CONFIG}/ResourceLimits/MaxNumberOfTrainingJobs", 24.0, 24),
        ("sagemaker", TARGET, "9e-1", 0.9),
        ("sagemaker", f"{RANGES}/IntegerParameterRanges/0/MinValue", 2, "2"),
        ("sagemaker", f"{RANGES}/ContinuousParameterRanges/0/MinValue", 1e-05, "1e-05"),
        ("sagemaker", f"{RANGES}/CategoricalParameterRanges/0/Values",
         [True, 1, 0.5], ["true", "1", "0.5"]),
        ("sagemaker", f"{DEFINITION}/StaticHyperParameters/flag", False, "false"),
        ("sagemaker", f"{DEFINITION}/EnableManagedSpotTraining", "True", True),
        ("sagemaker", f"{DEFINITION}/InputDataConfig",
         REQUEST["TrainingJobDefinition"]["InputDataConfig"][0], REQUEST["TrainingJobDefinition"]["InputDataConfig"]),
        ("sagemaker", f"{DEFINITION}/StoppingCondition", [{"MaxRuntimeInSeconds": 60}], {"MaxRuntimeInSeconds": 60}),
        ("sagemaker", "/Tags", ({"Key": "a", "Value": "b"},), [{"Key": "a", "Value": "b"}]),
        ("sagemaker", "/WarmStartConfig", None, ...),
        ("sagemaker", f"{DEFINITION}/StaticHyperParameters/nothing", None, ...),
        ("vertex", "/trialJobSpec/workerPoolSpecs/0/replicaCount", 1, "1"),
        ("vertex", "/trialJobSpec/workerPoolSpecs/0/replicaCount", 2.0, "2"),
        ("vertex", "/trialJobSpec/workerPoolSpecs/0/replicaCount", "0", ...),
        ("vertex", "/maxTrialCount", "24", 24),
        ("vertex", "/maxFailedTrialCount", 0, ...),
        ("vertex", "/studySpec/algorithm", 3, "RANDOM_SEARCH"),
        ("vertex", "/studySpec/algorithm", 0, ...),
        ("vertex", "/studySpec/measurementSelectionType", "MEASUREMENT_SELECTION_TYPE_UNSPECIFIED", ...),
        ("vertex", "/trialJobSpec/serviceAccount", "", ...),
        ("vertex", "/trialJobSpec/enableWebAccess", False, ...),
        ("vertex", "/trials", [], ...),
        ("vertex", "/trialJobSpec/scheduling/timeout", "3600", "3600s"),
        ("vertex", "/trialJobSpec/scheduling/timeout", 3600, "3600s"),
        ("vertex", "/trialJobSpec/scheduling/timeout", 0.25, "0.250s"),
        ("vertex", "/trialJobSpec/scheduling/timeout", "1.5000s", "1.500s"),
        ("vertex", "/trialJobSpec/scheduling/timeout", {"seconds": "60"}, "60s"),
        ("vertex", "/trialJobSpec/scheduling/timeout", {"seconds": 60, "nanos": 5000}, "60.000005s"),
        ("vertex", "/studySpec/parameters/2/conditionalParameterSpecs/0/parameterSpec/discreteValueSpec/values",
         ["0.5", 1], [0.5, 1]),
        ("modelarts", "/algorithm/parameters/0/value", 0.01, "0.01"),
        ("modelarts", "/algorithm/policies/auto_search", None, ...),
        ("modelarts", "/algorithm/policies/auto_search/search_params/1/discrete_values", "16,32", "16,32"),
        ("modelarts", "/algorithm/policies/auto_search/search_params/1/discrete_values", [16, 32], ["16", "32"]),
        ("modelarts", "/algorithm/environments/THREADS", 4, "4"),
    ],
)  # fmt: skip
def test_scalars_and_single_things_are_read_as_what_is_due(cloud, pointer, given_, read):
    document = DOCUMENTS[cloud][1]
    found = SHAPES[cloud].read(changed(document, pointer, given_))
    if read is ...:
        assert found == changed(changed(document, pointer, None), pointer, ...)
    else:
        assert json.dumps(found) == json.dumps(changed(document, pointer, read))  # 1 is not 1.0, nor True


def test_zeros_that_say_something_are_said():
    document = changed(JOB, "/studySpec/parameters/1/integerValueSpec/minValue", ...)
    document = changed(document, "/trialJobSpec/workerPoolSpecs/0/containerSpec/env/0/value", ...)
    assert VERTEX.read(document) == JOB
    found = VERTEX.read(changed(JOB, "/studySpec/parameters/0/doubleValueSpec", {"maxValue": 1}))
    assert found["studySpec"]["parameters"][0]["doubleValueSpec"] == {"minValue": 0, "maxValue": 1}
    assert found["studySpec"]["parameters"][1]["integerValueSpec"]["defaultValue"] == "0"
    assert found["studySpec"]["studyStoppingConfig"]["maxNumTrials"] == 0


def test_the_users_own_names_are_never_touched():
    mine = {"max_epochs": "1", "maxEpochs": "2", "max-epochs": "3"}
    found = SAGEMAKER.read(changed(REQUEST, f"{DEFINITION}/StaticHyperParameters", mine))
    assert found["TrainingJobDefinition"]["StaticHyperParameters"] == mine


@pytest.mark.parametrize("text", ["${role}", "prefix-${aws_iam_role.a.arn}", "{{ role }}"])
@pytest.mark.parametrize(
    "pointer",
    [
        f"{DEFINITION}/RoleArn",
        f"{CONFIG}/Strategy",
        f"{CONFIG}/RandomSeed",
        f"{DEFINITION}/EnableManagedSpotTraining",
        "/HyperParameterTuningJobName",
    ],
)
def test_symbolic_values_stand_for_any_scalar(pointer, text):
    document = changed(REQUEST, pointer, text)
    assert is_symbolic(text)
    assert SAGEMAKER.read(document) == document
    assert SAGEMAKER.problems(document, symbolic=True) == []
    assert [one.pointer for one in SAGEMAKER.problems(document)] == [pointer]
    assert refused(SAGEMAKER, changed(REQUEST, "/TrainingJobDefinition", text))


@pytest.mark.parametrize("text", ["${", "}${", "$(HOME)", "{ }", 5, None])
def test_what_is_not_symbolic(text):
    assert not is_symbolic(text)


# Meaning


@pytest.mark.parametrize(
    ("cloud", "pointer", "value", "said"),
    [
        ("sagemaker", f"{CONFIG}/Strategy", "bayesian", "did you mean 'Bayesian'?"),
        ("sagemaker", f"{CONFIG}/Strategy", "Annealing", "known here: Bayesian, Random"),
        ("sagemaker", f"{DEFINITION}/ResourceConfig/InstanceType", "ml.m5.lagre", "did you mean 'ml.m5.large'?"),
        ("sagemaker", f"{DEFINITION}/ResourceConfig/InstanceType", "?", "225 are known"),
        ("sagemaker", f"{CONFIG}/RandomSeed", -1, "must be at least 0, not -1"),
        ("sagemaker", f"{CONFIG}/RandomSeed", 1.5, "a whole number, not the number 1.5"),
        ("sagemaker", f"{CONFIG}/RandomSeed", True, "a whole number, not true"),
        ("sagemaker", f"{CONFIG}/RandomSeed", 10**400, "out of range"),
        ("sagemaker", TARGET, math.nan, "nan"),
        ("sagemaker", TARGET, "1e999", "text"),
        ("sagemaker", f"{RANGES}/IntegerParameterRanges/0/MinValue", math.inf, "inf"),
        ("sagemaker", f"{DEFINITION}/RoleArn", "tuner", "at least 20 characters"),
        ("sagemaker", f"{DEFINITION}/RoleArn", f"{ROLE}\n", r"the pattern arn:aws[a-z\-]*:iam::\d{12}:role/"),
        ("sagemaker", "/HyperParameterTuningJobName", "a" * 33, "at most 32 characters, not 33"),
        ("sagemaker", f"{DEFINITION}/InputDataConfig", [], "at least 1 item, not 0"),
        ("sagemaker", f"{DEFINITION}/StaticHyperParameters", {str(i): "" for i in range(101)}, "at most 100 entries"),
        ("sagemaker", f"{DEFINITION}/InputDataConfig", "train", "must be a list, not text"),
        ("sagemaker", f"{DEFINITION}/StoppingCondition", [{}, {}], "must be an object, not a list"),
        ("sagemaker", f"{DEFINITION}/EnableManagedSpotTraining", 1, "true or false, not the number 1"),
        ("vertex", "/studySpec/algorithm", 3.7, "the number 3.7 is not known here known are 0 (ALGORITHM_UNSPECIFIED)"),
        ("vertex", "/studySpec/algorithm", True, "known here: ALGORITHM_UNSPECIFIED"),
        ("vertex", "/studySpec/algorithm", 9, "0 (ALGORITHM_UNSPECIFIED), 2 (GRID_SEARCH), 3 (RANDOM_SEARCH)"),
        ("vertex", "/trialJobSpec/workerPoolSpecs/0/machineSpec/acceleratorType", 999, "such as 0 (ACCELERATOR"),
        ("vertex", "/trialJobSpec/baseOutputDirectory", "gs://b/x", 'write {"outputUriPrefix": ...}'),
        ("vertex", "/trialJobSpec/workerPoolSpecs/0/replicaCount", "1.5", "must be a whole number of 64 bits"),
        ("vertex", "/maxTrialCount", 2**31, "must be from -2147483648 to 2147483647"),
        ("vertex", "/trialJobSpec/scheduling/timeout", "1h", "such as '3600s'"),
        ("modelarts", "/algorithm/policies/auto_search/reward_attrs/0/mode", "maximum", "did you mean 'max'?"),
        ("modelarts", "/kind", "jobs", "did you mean 'job'?"),
    ],
)  # fmt: skip
def test_another_meaning_is_a_problem_that_says_where_what_and_the_way_out(cloud, pointer, value, said):
    (problem,) = refused(SHAPES[cloud], changed(DOCUMENTS[cloud][1], pointer, value))
    assert problem.pointer == pointer
    assert said in f"{problem.message} {problem.hint}"


def test_endless_numbers_where_the_vendor_has_them():
    trial = {"id": "1", "finalMeasurement": {"metrics": [{"metricId": "f1", "value": math.nan}]}}
    found = VERTEX.read(JOB | {"trials": [trial]})
    assert found["trials"][0]["finalMeasurement"]["metrics"][0]["value"] == "NaN"
    assert VERTEX.read(found) == found


def test_only_one_member_of_a_oneof():
    both = {"doubleValueSpec": {}, "parameterId": "a", "discrete_value_spec": {"values": [1]}}
    (problem,) = refused(VERTEX, changed(JOB, "/studySpec/parameters/0", both))
    assert problem.pointer in {"/studySpec/parameters/0/doubleValueSpec", "/studySpec/parameters/0/discrete_value_spec"}
    assert "only one of" in problem.message


def test_all_problems_at_once():
    document = changed(REQUEST, f"{CONFIG}/Strategy", ...)
    document = changed(document, f"{DEFINITION}/ResourceConfig/InstanceCount", -1)
    document = changed(document, f"{DEFINITION}/ResouceConfig", {})
    problems = refused(SAGEMAKER, document)
    assert [one.pointer for one in problems] == [
        "/HyperParameterTuningJobConfig",
        f"{DEFINITION}/ResourceConfig/InstanceCount",
        f"{DEFINITION}/ResouceConfig",
    ]
    assert "'Strategy' is required" in problems[0].message
    assert problems[2].key
    assert problems[2].hint == "did you mean 'ResourceConfig'?"


def test_replies_of_a_newer_service_can_be_read():
    document = changed(JOB, "/studySpec/parameters/0/quantum", {"spin": [0.5, None]})
    document = changed(document, "/trialJobSpec/workerPoolSpecs/0/machineSpec/acceleratorType", "NVIDIA_X1")
    assert shape_of("vertex", unknown="keep").read(document) == document
    assert len(refused(VERTEX, document)) == 2


@pytest.mark.parametrize("cell", ["{'lr': 0.01}", {"lr": 0.01, "trial_index": 0}])
def test_modelarts_trial_cells_are_text_or_objects(cell):
    document = {"total": 1, "items": {"header": ["", "config"], "data": [["0", cell]]}}
    assert shape_of("modelarts", "ShowAutoSearchTrialsResponse").read(document) == document


def test_modelarts_replies_have_environments_as_the_service_or_the_sdk_writes_them():
    reply = shape_of("modelarts", "ShowTrainingJobDetailsResponse")
    for environments in ({"A": "1"}, [{"A": "1"}]):
        document = {"kind": "job", "metadata": {"name": "a"}, "algorithm": {"environments": environments}}
        assert reply.read(document) == document


def test_modelarts_search_files():
    document = {
        "general": {"gpu_per_instance": 0},
        "search_space": [{"params": [{"type": "continuous_param", "name": "lr", "start": -5, "stop": -1, "base": 10}]}],
        "search_algorithm": {"type": "bayes_opt_search", "reward_attr": "acc", "num_samples": 8, "mode": "max"},
    }
    assert shape_of("modelarts", "AutoSearchYaml").read(document) == document


# Bounds


def nested(levels):
    document = []
    for _ in range(levels):
        document = [document]
    return {"trainingTaskInputs": document}


def loop():
    document = {}
    document.update(a=document, b=document)
    return document


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (lambda: nested(100_000), "deeper than 100 levels"),
        (loop, "more than"),
        (lambda: {"a": [0] * 10_000_000}, "more than 500000 values"),
        (lambda: {"displayName": "a" * (9 * 2**20)}, "more than 8 MiB of text"),
        (lambda: {"a" * (9 * 2**20): 1}, "more than 8 MiB of text"),
        (lambda: {"labels": [["a" * 2**20] * 100]}, "more than 8 MiB of text"),
        (lambda: "a job", "must be an object, not text"),
        (lambda: None, "must be an object, not null"),
        (lambda: [1, 2], "must be an object, not a list"),
    ],
)
def test_what_cannot_be_read_in_bounded_time_is_one_problem_at_once(document, said):
    whole = document()
    started = time.process_time()
    (problem,) = refused(VERTEX, whole)
    assert time.process_time() - started < 1
    assert problem.pointer == ""
    assert said in problem.message


@pytest.mark.parametrize(
    "document",
    [
        lambda: {f"displayNam{'e' * 200}{i}": i for i in range(50_000)},
        lambda: {"TrainingJobDefinition": {"OutputDataConfig": {"S3OutputPath": "https://" + "a" * 1015 + "\n"}}},
        lambda: {"TrainingJobDefinitions": [{"RoleArn": "arn:aws" + "-" * 2041}] * 90_000},
        lambda: {"Tags": [{"k": 0}] * 200_000},
    ],
)
def test_bad_documents_are_refused_in_bounded_time(document):
    whole = document()
    started = time.process_time()
    assert 1 <= len(refused(SAGEMAKER, whole)) <= shape.MOST_PROBLEMS
    assert time.process_time() - started < 3


def test_endless_whole_numbers_are_refused_without_being_written_out():
    (problem,) = refused(SAGEMAKER, changed(REQUEST, f"{CONFIG}/RandomSeed", 10**5000))
    assert "out of range" in problem.message


def test_a_hundred_problems_are_enough():
    with pytest.raises(PayloadError, match="100 problems or more"):
        SAGEMAKER.read({"Tags": [1] * 1000})


def test_a_document_of_a_hundred_levels_is_read():
    pipeline = {"displayName": "a", "trainingTaskDefinition": "b"} | nested(97)
    assert shape_of("vertex", "TrainingPipeline").read(pipeline) == pipeline


def test_long_texts_are_not_held_against_patterns():
    (problem,) = refused(VERTEX, changed(JOB, "/trialJobSpec/scheduling/timeout", "1" * 10_001))
    assert "10001 characters" in problem.message


# The vendors themselves


def test_botocore_accepts_what_is_accepted():
    request = get_session().get_service_model("sagemaker").shape_for("CreateHyperParameterTuningJobRequest")
    for document in (REQUEST, SAGEMAKER.read(respelt(REQUEST, snake)), changed(REQUEST, "/Tags", ...)):
        assert not SAGEMAKER.problems(document)
        assert not ParamValidator().validate(document, request).has_errors()
    for pointer, value in [("/HyperParameterTuningJobName", ...), ("/Tags/0/Value", 5), ("/Surprise", "a"),
                           (f"{DEFINITION}/ResourceConfig/InstanceCount", -1)]:  # fmt: skip
        document = changed(REQUEST, pointer, value)
        assert ParamValidator().validate(document, request).has_errors()
        assert SAGEMAKER.problems(document)


@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
def test_however_protobuf_writes_a_document_it_is_read_as_the_same(names, numbers, zeros):
    message = json_format.ParseDict(JOB, HyperparameterTuningJob.pb()())
    written = json_format.MessageToDict(
        message,
        preserving_proto_field_name=names,
        use_integers_for_enums=numbers,
        always_print_fields_with_no_presence=zeros,
    )
    assert VERTEX.read(written) == JOB


def test_protobuf_refuses_what_is_refused():
    for pointer, value in [("/studySpec/algorithm", "BAYESIAN"), ("/studySpec/Surprise", 1), ("/maxTrialCount", 2**31),
                           ("/trialJobSpec/scheduling/timeout", "1h"), ("/displayName", 5),
                           ("/studySpec/parameters/0/discreteValueSpec", {"values": [1]})]:  # fmt: skip
        document = changed(JOB, pointer, value)
        with pytest.raises(json_format.ParseError):
            json_format.ParseDict(document, HyperparameterTuningJob.pb()())
        assert VERTEX.problems(document)


def test_huaweis_classes_take_the_document_and_give_it_back():
    document = changed(TRAINING, "/spec/runtime_type", ...)  # which the service takes and the classes do not know
    assert sanitize_for_serialization(ModelArtsClient()._deserialize(document, "Job")) == document
