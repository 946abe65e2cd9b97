"""What the service refuses although its model does not say so: each rule on the line and one over it."""

import json

import pytest

from tuneport.backends.sagemaker import BACKEND
from tuneport.backends.sagemaker.canonical import canonical
from tuneport.errors import PayloadError
from tuneport.translating import refusals

from .documents import CONFIG, ONE, SEVERAL, changed, golden, plain

TRANSLATOR = BACKEND.translator
RANGES = f"/{CONFIG}/ParameterRanges"
LIMITS = f"/{CONFIG}/ResourceLimits"
STOP = f"/{ONE}/StoppingCondition"
STATIC = f"/{ONE}/StaticHyperParameters"
COMPUTE = f"/{ONE}/ResourceConfig"
ALGORITHM = f"/{ONE}/AlgorithmSpecification"
CHANNELS = f"/{ONE}/InputDataConfig"


def pointers(request):
    return sorted({one.pointer for one in TRANSLATOR.problems(canonical(request), "request")})


def test_the_plain_request_is_taken():
    assert pointers(plain()) == []


@pytest.mark.parametrize("name", ["single", "everything", "definitions", "autotune", "branches"])
def test_so_are_the_goldens(name):
    assert pointers(golden(name)) == []


def integer(low="1", high="9", name="n", **more):
    return [{"Name": name, "MinValue": low, "MaxValue": high, **more}]


def continuous(low="1", high="9", **more):
    return [{"Name": "c", "MinValue": low, "MaxValue": high, **more}]


def choices(count, name="o"):
    return {"Name": name, "Values": [f"v{n}" for n in range(count)]}


INTEGERS, CONTINUOUS = f"{RANGES}/IntegerParameterRanges", f"{RANGES}/ContinuousParameterRanges"
CATEGORICAL = f"{RANGES}/CategoricalParameterRanges"


@pytest.mark.parametrize(
    ("pointer", "good", "bad", "place"),
    [
        (INTEGERS, integer("1", "2"), integer("2", "1"), f"{INTEGERS}/0/MinValue"),
        (INTEGERS, integer("1", "2"), integer("2", "2"), f"{INTEGERS}/0/MaxValue"),
        (INTEGERS, integer("1.0", "2"), integer("1.5", "2"), f"{INTEGERS}/0/MinValue"),
        (INTEGERS, integer(high=str(2**63 - 1)), integer(high=str(2**64)), f"{INTEGERS}/0/MaxValue"),
        (INTEGERS, integer(), integer(high="many"), f"{INTEGERS}/0/MaxValue"),
        (INTEGERS, integer(), integer(name="lr"), f"{CONTINUOUS}/0/Name"),
        (
            INTEGERS,
            integer("1", ScalingType="Logarithmic"),
            integer("0", ScalingType="Logarithmic"),
            f"{INTEGERS}/0/ScalingType",
        ),
        (
            INTEGERS,
            integer(ScalingType="Linear"),
            integer(ScalingType="ReverseLogarithmic"),
            f"{INTEGERS}/0/ScalingType",
        ),
        (CONTINUOUS, continuous("0", "1e-9"), continuous("0", "0.0"), f"{CONTINUOUS}/0/MaxValue"),
        (CONTINUOUS, continuous("-1", "1e308"), continuous("-1", "1e309"), f"{CONTINUOUS}/0/MaxValue"),
        (
            CONTINUOUS,
            continuous("0", "0.999", ScalingType="ReverseLogarithmic"),
            continuous("0", "1", ScalingType="ReverseLogarithmic"),
            f"{CONTINUOUS}/0/ScalingType",
        ),
        (
            CONTINUOUS,
            continuous("1e-300", ScalingType="Logarithmic"),
            continuous("0", ScalingType="Logarithmic"),
            f"{CONTINUOUS}/0/ScalingType",
        ),
        (CATEGORICAL, [choices(30)], [choices(31)], f"{CATEGORICAL}/0/Values"),
        (
            CATEGORICAL,
            [{"Name": "o", "Values": ["1", "1.0"]}],
            [{"Name": "o", "Values": ["1", "1"]}],
            f"{CATEGORICAL}/0/Values/1",
        ),
        (INTEGERS, [*integer(name="a"), *integer(name="b")], [*integer(name="a")] * 2, f"{INTEGERS}/1/Name"),
        (CATEGORICAL, [choices(2, f"o{n}") for n in range(25)], [choices(2, f"o{n}") for n in range(26)], RANGES),
        (f"{LIMITS}/MaxNumberOfTrainingJobs", 10_000, 10_001, f"{LIMITS}/MaxNumberOfTrainingJobs"),
        (f"{LIMITS}/MaxParallelTrainingJobs", 100, 101, f"{LIMITS}/MaxParallelTrainingJobs"),
        (f"{LIMITS}/MaxRuntimeInSeconds", 120, 119, f"{LIMITS}/MaxRuntimeInSeconds"),
        (f"{LIMITS}/MaxRuntimeInSeconds", 30 * 86400, 30 * 86400 + 1, f"{LIMITS}/MaxRuntimeInSeconds"),
        (f"{STOP}/MaxRuntimeInSeconds", 28 * 86400, 28 * 86400 + 1, f"{STOP}/MaxRuntimeInSeconds"),
        (f"{STOP}/MaxPendingTimeInSeconds", 1800, 1799, f"{STOP}/MaxPendingTimeInSeconds"),
        (STATIC, {"rounds": "1"}, {"lr": "1"}, f"{STATIC}/lr"),
        (STATIC, {f"p{n}": "1" for n in range(92)}, {f"p{n}": "1" for n in range(93)}, STATIC),
        (STATIC, {"a": "x" * 2500}, {"a": "x" * 2501}, f"{STATIC}/a"),
        (
            f"/{ONE}/Environment",
            {f"V{n}": "" for n in range(48)},
            {f"V{n}": "" for n in range(49)},
            f"/{ONE}/Environment",
        ),
        (f"/{ONE}/Environment", {"V": "x" * 512}, {"V": "x" * 513}, f"/{ONE}/Environment/V"),
        (f"{ALGORITHM}/TrainingImage", "demo:2", "xgboost:1", f"{ALGORITHM}/MetricDefinitions"),
        (
            f"{ALGORITHM}/MetricDefinitions/0/Name",
            "val_loss",
            "loss",
            f"{ALGORITHM}/MetricDefinitions",
        ),
        ("/HyperParameterTuningJobName", "a" * 32, "a" * 33, "/HyperParameterTuningJobName"),
        (
            "/Tags",
            [{"Key": "a", "Value": ""}, {"Key": "b", "Value": ""}],
            [{"Key": "a", "Value": ""}] * 2,
            "/Tags/1/Key",
        ),
        (
            "/WarmStartConfig",
            {
                "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "a"}],
                "WarmStartType": "TransferLearning",
            },
            {"ParentHyperParameterTuningJobs": [{}], "WarmStartType": "TransferLearning"},
            "/WarmStartConfig/ParentHyperParameterTuningJobs/0/HyperParameterTuningJobName",
        ),
        (
            f"/{CONFIG}/TuningJobCompletionCriteria/BestObjectiveNotImproving/MaxNumberOfTrainingJobsNotImproving",
            3,
            2,
            f"/{CONFIG}/TuningJobCompletionCriteria/BestObjectiveNotImproving/MaxNumberOfTrainingJobsNotImproving",
        ),
    ],
)
def test_rules_on_the_line_and_one_over_it(pointer, good, bad, place):
    assert pointers(changed(plain(), pointer, good)) == []
    assert pointers(changed(plain(), pointer, bad)) == [place]


def with_algorithm(**config):
    request = changed(plain(), RANGES, {"CategoricalParameterRanges": [choices(3), choices(2, "p")]})
    del request[CONFIG]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    for member, value in config.items():
        request = changed(request, f"/{CONFIG}/{member}", value)
    return request


@pytest.mark.parametrize(
    ("strategy", "trials", "refused"),
    [
        ("Grid", 6, False),
        ("Grid", 5, True),
        ("Grid", 7, True),
        ("Random", 5, False),
        ("Random", 6, False),
        ("Bayesian", 7, True),
    ],
)
def test_trials_and_combinations(strategy, trials, refused):
    request = changed(with_algorithm(Strategy=strategy), f"{LIMITS}/MaxNumberOfTrainingJobs", trials)
    assert pointers(request) == [f"{LIMITS}/MaxNumberOfTrainingJobs"] * refused
    assert pointers(with_algorithm(Strategy=strategy)) == []


def test_more_trials_are_for_random_search():
    request = changed(plain(), f"/{CONFIG}/Strategy", "Bayesian")
    assert pointers(changed(request, f"{LIMITS}/MaxNumberOfTrainingJobs", 750)) == []
    assert pointers(changed(request, f"{LIMITS}/MaxNumberOfTrainingJobs", 751)) == [f"{LIMITS}/MaxNumberOfTrainingJobs"]


@pytest.mark.parametrize(
    ("kind", "trials", "refused"), [("random", 10_000, False), ("random", 10_001, True), ("bayesian", 751, True)]
)
def test_jobs_are_held_to_the_same_quota(kind, trials, refused):
    job, _ = TRANSLATOR.from_native(canonical(plain()), "request")
    study = job.study.changed(algorithm={"kind": kind})
    asked = job.changed(study=study, budget=job.budget.changed(max_trials=trials))
    assert any("MaxNumberOfTrainingJobs" in one.message for one in refusals(asked, "sagemaker")) == refused


def test_nobody_knows_how_many_points_autotune_will_find():
    assert pointers(changed(plain(), RANGES, {"AutoParameters": [{"Name": "x", "ValueHint": "4"}]})) == []


def test_a_grid_takes_only_choices():
    request = changed(plain(), f"/{CONFIG}/Strategy", "Grid")
    assert pointers(request) == [CONTINUOUS, INTEGERS]


HYPERBAND = f"/{CONFIG}/StrategyConfig/HyperbandStrategyConfig"


@pytest.mark.parametrize(
    ("resources", "static", "refused"),
    [
        ({"MinResource": 3, "MaxResource": 3}, {}, []),
        ({"MinResource": 4, "MaxResource": 3}, {}, [f"{HYPERBAND}/MaxResource"]),
        ({"MaxResource": 20_000}, {}, []),
        ({"MaxResource": 20_001}, {}, [f"{HYPERBAND}/MaxResource"]),
        ({"MinResource": 1}, {}, [f"{HYPERBAND}/MaxResource"]),
        ({"MinResource": 1}, {"epochs": "9"}, []),
        ({"MinResource": 1}, {"n-epochs": "9"}, []),
    ],
)
def test_hyperbands_resources(resources, static, refused):
    request = with_algorithm(Strategy="Hyperband", StrategyConfig={"HyperbandStrategyConfig": resources})
    assert pointers(changed(request, STATIC, static or {"rounds": "9"})) == refused


def test_only_hyperband_has_options_and_stops_by_itself():
    request = with_algorithm(StrategyConfig={"HyperbandStrategyConfig": {"MaxResource": 3}})
    assert pointers(request) == [f"/{CONFIG}/StrategyConfig"]
    stopping = changed(request, f"/{CONFIG}/TrainingJobEarlyStoppingType", "Auto")
    place = f"/{CONFIG}/TrainingJobEarlyStoppingType"
    assert pointers(changed(stopping, f"/{CONFIG}/Strategy", "Hyperband")) == [place]


@pytest.mark.parametrize(
    ("spot", "condition", "refused"),
    [
        (True, {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}, []),
        (True, {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59}, [f"{STOP}/MaxWaitTimeInSeconds"]),
        (True, {"MaxWaitTimeInSeconds": 86400}, []),
        (True, {"MaxWaitTimeInSeconds": 86399}, [f"{STOP}/MaxWaitTimeInSeconds"]),
        (True, {"MaxRuntimeInSeconds": 60}, [f"{STOP}/MaxWaitTimeInSeconds"]),
        (False, {"MaxWaitTimeInSeconds": 60}, [f"{STOP}/MaxWaitTimeInSeconds"]),
    ],
)
def test_spot_and_waiting(spot, condition, refused):
    request = changed(plain(), f"/{ONE}/EnableManagedSpotTraining", spot)
    assert pointers(changed(request, STOP, condition)) == refused


def s3(**more):
    return {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://demo-bucket/a", **more}}


EFS = {
    "FileSystemDataSource": {
        "FileSystemId": "fs-01234567",
        "FileSystemAccessMode": "ro",
        "FileSystemType": "EFS",
        "DirectoryPath": "/",
    }
}


@pytest.mark.parametrize(
    ("source", "mode", "refused"),
    [
        (s3(), "FastFile", []),
        (s3(S3DataType="ManifestFile"), "File", []),
        (s3(S3DataType="ManifestFile"), "FastFile", [f"{CHANNELS}/0"]),
        (s3(S3DataType="AugmentedManifestFile", AttributeNames=["a"]), "Pipe", []),
        (s3(S3DataType="AugmentedManifestFile", AttributeNames=["a"]), "File", [f"{CHANNELS}/0"]),
        (EFS, "File", []),
        (EFS, "Pipe", [f"{CHANNELS}/0"]),
        (s3() | EFS, "File", [f"{CHANNELS}/0/DataSource"]),
        ({}, "File", [f"{CHANNELS}/0/DataSource"]),
    ],
)
def test_channels(source, mode, refused):
    channel = {"ChannelName": "train", "DataSource": source, "InputMode": mode}
    assert pointers(changed(plain(), CHANNELS, [channel])) == refused


def test_channels_have_names_of_their_own():
    channel = {"ChannelName": "train", "DataSource": s3()}
    assert pointers(changed(plain(), CHANNELS, [channel, channel])) == [f"{CHANNELS}/1/ChannelName"]


PREFERENCES = [{"InstanceType": "ml.m5.large"}, {"InstanceType": "ml.m5.xlarge"}]
TUNING = f"/{ONE}/HyperParameterTuningResourceConfig"


@pytest.mark.parametrize(
    ("compute", "refused"),
    [
        ({"InstanceCount": 1, "InstancePreferences": PREFERENCES}, []),
        ({"InstancePreferences": [one | {"InstanceCount": 1} for one in PREFERENCES]}, []),
        ({"InstancePreferences": PREFERENCES}, [COMPUTE]),
        ({"InstanceCount": 1, "InstancePreferences": [one | {"InstanceCount": 1} for one in PREFERENCES]}, [COMPUTE]),
        (
            {"InstanceCount": 1, "InstanceType": "ml.m5.large", "InstancePreferences": PREFERENCES},
            [f"{COMPUTE}/InstanceType"],
        ),
        (
            {"InstanceCount": 1, "InstancePreferences": [PREFERENCES[0]] * 2},
            [f"{COMPUTE}/InstancePreferences/1/InstanceType"],
        ),
        ({"InstanceType": "ml.m5.large", "SelectedInstanceCount": 1}, [f"{COMPUTE}/SelectedInstanceCount"]),
    ],
)
def test_instances(compute, refused):
    assert pointers(changed(plain(), COMPUTE, compute)) == refused


@pytest.mark.parametrize(
    ("compute", "refused"),
    [
        ({"InstanceConfigs": [{"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}]}, []),
        ({"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}, []),
    ],
)
def test_compute_in_its_other_place(compute, refused):
    request = changed(changed(plain(), COMPUTE), TUNING, compute)
    assert pointers(request) == refused
    assert pointers(changed(request, COMPUTE, {"InstanceType": "ml.m5.large"})) == [f"/{ONE}"]
    assert pointers(changed(plain(), COMPUTE)) == [f"/{ONE}"]


@pytest.mark.parametrize("place", [COMPUTE, TUNING])
def test_disks_take_no_alias_of_a_key(place):
    compute = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    request = changed(changed(plain(), COMPUTE), place, compute | {"VolumeKmsKeyId": "1234abcd"})
    assert pointers(request) == []
    key = f"{place}/VolumeKmsKeyId"
    assert pointers(changed(request, key, "alias/mine")) == [key]


def test_variables_are_counted_over_all_definitions():
    request = golden("definitions")
    for index, count in enumerate((20, 20, 8)):
        request = changed(request, f"/{SEVERAL}/{index}/Environment", {f"V{n}": "" for n in range(count)})
    assert pointers(request) == []
    assert pointers(changed(request, f"/{SEVERAL}/2/Environment/ONE_MORE", "")) == [f"/{SEVERAL}/2/Environment"]


@pytest.mark.parametrize(
    ("pointer", "value", "places"),
    [
        (f"/{SEVERAL}/1/DefinitionName", None, [f"/{SEVERAL}/1/DefinitionName"]),
        (f"/{SEVERAL}/1/DefinitionName", "linear", [f"/{SEVERAL}/1/DefinitionName"]),
        (f"/{SEVERAL}/1/TuningObjective", None, [f"/{SEVERAL}/1/TuningObjective"]),
        (f"/{SEVERAL}/2/AlgorithmSpecification/TrainingImage", "demo:1", [f"/{SEVERAL}/2/AlgorithmSpecification"]),
        (
            f"/{CONFIG}/HyperParameterTuningJobObjective",
            {"Type": "Minimize", "MetricName": "a"},
            [f"/{CONFIG}/HyperParameterTuningJobObjective"],
        ),
        (f"/{CONFIG}/ParameterRanges", {"IntegerParameterRanges": integer()}, [f"/{CONFIG}/ParameterRanges"]),
        (f"/{ONE}", plain()[ONE], [f"/{SEVERAL}"]),
        (f"/{SEVERAL}", None, [""]),
    ],
)
def test_what_several_definitions_have_to_say(pointer, value, places):
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(changed(golden("definitions"), pointer, value))
    assert sorted({one.pointer for one in caught.value.problems}) == places


def test_everything_is_told_at_once():
    request = changed(plain(), f"/{ONE}/RoleArn")
    request = changed(request, f"{LIMITS}/MaxParallelTrainingJobs", 101)
    request = changed(request, f"{STOP}/MaxWaitTimeInSeconds", 5)
    assert pointers(request) == [
        f"{LIMITS}/MaxParallelTrainingJobs",
        f"/{ONE}",
        f"{STOP}/MaxWaitTimeInSeconds",
    ]


def test_symbols_are_refused_where_nothing_fills_them_in():
    request = changed(plain(), f"{LIMITS}/MaxParallelTrainingJobs", "${parallel}")
    assert pointers(request) == [f"{LIMITS}/MaxParallelTrainingJobs"]
    assert TRANSLATOR.problems(canonical(request), "snake") == []


def test_a_request_that_is_none_is_refused_in_words():
    request = json.loads(json.dumps(plain()))
    request[CONFIG]["ParameterRanges"]["IntegerParameterRanges"] = [{"Name": 5}]
    request[ONE]["InputDataConfig"] = [{}]
    assert TRANSLATOR.problems(request, "request")


def test_autotune_may_be_left_to_find_the_objective():
    request = changed(golden("autotune"), f"/{CONFIG}/HyperParameterTuningJobObjective")
    assert pointers(request) == []
    assert pointers(changed(request, "/Autotune")) == [f"/{CONFIG}/HyperParameterTuningJobObjective"]
