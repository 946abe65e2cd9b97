"""Every rule of the service, on the line and one over it."""

import pytest

from tuneport.backends.vertex import BACKEND
from tuneport.backends.vertex.forms import DEFINITIONS, TUNING_TASK
from tuneport.errors import PayloadError

from .documents import GONE, POOL, SPACE, child, choice, discrete, double, integer, plain, space

TRANSLATOR = BACKEND.translator
LOG = {"scaleType": "UNIT_LOG_SCALE"}
REVERSE = {"scaleType": "UNIT_REVERSE_LOG_SCALE"}
A_OR_B = ["a", "b"]


def env(count):
    return [{"name": f"A{number}", "value": ""} for number in range(count)]


def package(**changes):
    whole = {"executorImageUri": "gcr.io/p/train:1", "packageUris": ["gs://b/p"], "pythonModule": "m"}
    spec = {"pythonPackageSpec": whole | changes}
    pool = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1", **spec}
    return plain(trialJobSpec__workerPoolSpecs=[pool])


def pools(*machines, replicas="1", **trial):
    made = [
        {"machineSpec": machine, "replicaCount": replicas, "containerSpec": {"imageUri": "gcr.io/p/train:1"}}
        for machine in machines
    ]
    return plain(trialJobSpec={"workerPoolSpecs": made, **trial})


def pipeline(**members):
    return {
        "displayName": "plain",
        "trainingTaskDefinition": DEFINITIONS + TUNING_TASK,
        "trainingTaskInputs": plain(displayName=GONE),
        **members,
    }


def reserved(**affinity):
    return gpus("NVIDIA_L4") | {"reservationAffinity": affinity}


def peered(domain):
    peering = {"domain": domain, "targetProject": "p", "targetNetwork": "n"}
    return plain(trialJobSpec__pscInterfaceConfig={"networkAttachment": "a", "dnsPeeringConfigs": [peering]})


def mounted(path):
    mount = {"server": "10.0.0.2", "path": path, "mountPoint": "data"}
    return plain(trialJobSpec__workerPoolSpecs__0__nfsMounts=[mount])


def safe(fraction):
    safety = {"metricId": "heat", "goal": "MINIMIZE", "safetyConfig": {"desiredMinSafeTrialsFraction": fraction}}
    return plain(studySpec__metrics=[{"metricId": "loss", "goal": "MINIMIZE"}, safety])


def split(*fractions):
    shares = dict(zip(("trainingFraction", "validationFraction", "testFraction"), fractions, strict=True))
    return pipeline(inputDataConfig={"datasetId": "1", "fractionSplit": shares})


TRACKED = {
    "trialJobSpec__tensorboard": "projects/p/locations/l/tensorboards/1",
    "trialJobSpec__serviceAccount": "t@p.iam.gserviceaccount.com",
    "trialJobSpec__baseOutputDirectory": {"outputUriPrefix": "gs://b"},
}


def gpus(kind, count=1):
    return {"machineType": "n1-standard-4", "acceleratorType": kind, "acceleratorCount": count}


CPUS = {"machineType": "n1-standard-4"}
LONG_FLEX = {"strategy": "FLEX_START", "timeout": "604800s"}
TOO_LONG_FLEX = {"strategy": "FLEX_START", "timeout": "604801s"}

MALFORMED = {
    "no metric": (plain(), plain(studySpec__metrics=[]), "/studySpec/metrics"),
    "only a safety metric": (
        plain(),
        plain(studySpec__metrics=[{"metricId": "m", "goal": "MAXIMIZE", "safetyConfig": {}}]),
        "/studySpec/metrics",
    ),
    "metric twice": (
        plain(studySpec__metrics=[{"metricId": name, "goal": "MAXIMIZE"} for name in "ab"]),
        plain(studySpec__metrics=[{"metricId": name, "goal": "MAXIMIZE"} for name in "aa"]),
        "/studySpec/metrics/1/metricId",
    ),
    "metric with a space": (
        plain(studySpec__metrics__0__metricId="a-b.c/d"),
        plain(studySpec__metrics__0__metricId="a b"),
        "/studySpec/metrics/0/metricId",
    ),
    "no parameter": (plain(), space(), "/studySpec/parameters"),
    "parameter with a space": (space(integer("weight-decay")), space(integer("a\tb")), f"{SPACE}/0/parameterId"),
    "no values": (plain(), space({"parameterId": "x"}), f"{SPACE}/0"),
    "double upside down": (
        space(double("x", 1.0, 1.0)),
        space(double("x", 1.5, 1.0)),
        f"{SPACE}/0/doubleValueSpec/minValue",
    ),
    "endless double": (plain(), space(double("x", 0.0, "Infinity")), f"{SPACE}/0/doubleValueSpec/maxValue"),
    "integer upside down": (
        space(integer("x", 2, 2)),
        space(integer("x", 3, 2)),
        f"{SPACE}/0/integerValueSpec/minValue",
    ),
    "log of nothing": (
        space(double("x", 1e-9, 1.0, **LOG)),
        space(double("x", 0.0, 1.0, **LOG)),
        f"{SPACE}/0/doubleValueSpec/minValue",
    ),
    "reverse log of nothing": (
        space(integer("x", 1, 2, **REVERSE)),
        space(integer("x", 0, 2, **REVERSE)),
        f"{SPACE}/0/integerValueSpec/minValue",
    ),
    "discrete log of nothing": (
        space(discrete("x", 0.1, 2, **LOG)),
        space(discrete("x", 0, 2, **LOG)),
        f"{SPACE}/0/discreteValueSpec/values/0",
    ),
    "discrete out of order": (
        space(discrete("x", 1, 2)),
        space(discrete("x", 2, 1)),
        f"{SPACE}/0/discreteValueSpec/values",
    ),
    "discrete twice": (space(discrete("x", 1, 2)), space(discrete("x", 2, 2)), f"{SPACE}/0/discreteValueSpec/values"),
    "no discrete value": (space(discrete("x", 1)), space(discrete("x")), f"{SPACE}/0/discreteValueSpec/values"),
    "discrete that is no number": (
        space(discrete("x", 1)),
        space(discrete("x", 1, "NaN")),
        f"{SPACE}/0/discreteValueSpec/values/1",
    ),
    "no category": (space(choice("x", "a")), space(choice("x")), f"{SPACE}/0/categoricalValueSpec/values"),
    "category twice": (
        space(choice("x", *A_OR_B)),
        space(choice("x", "a", "a")),
        f"{SPACE}/0/categoricalValueSpec/values/1",
    ),
    "grid of doubles": (
        space(integer("x"), studySpec__algorithm="GRID_SEARCH"),
        space(choice("y", "a", children=[child(["a"], double("x"))]), studySpec__algorithm="GRID_SEARCH"),
        f"{SPACE}/0/conditionalParameterSpecs/0/parameterSpec/doubleValueSpec",
    ),
    "condition without values": (
        space(choice("x", "a", children=[child(["a"], integer("y"))])),
        space(choice("x", "a", children=[{"parameterSpec": integer("y")}])),
        f"{SPACE}/0/conditionalParameterSpecs/0",
    ),
    "condition of another kind": (
        space(integer("x", conditionalParameterSpecs=[child(["1"], integer("y"), "Int")])),
        space(integer("x", conditionalParameterSpecs=[child([1], integer("y"), "Discrete")])),
        f"{SPACE}/0/conditionalParameterSpecs/0/parentDiscreteValues",
    ),
    "condition on a double": (
        space(discrete("x", 1, conditionalParameterSpecs=[child([1], integer("y"), "Discrete")])),
        space(double("x", conditionalParameterSpecs=[child([1], integer("y"), "Discrete")])),
        f"{SPACE}/0/conditionalParameterSpecs/0/parentDiscreteValues",
    ),
    "impossible category": (
        space(choice("x", *A_OR_B, children=[child(["b"], integer("y"))])),
        space(choice("x", *A_OR_B, children=[child(["b", "c"], integer("y"))])),
        f"{SPACE}/0/conditionalParameterSpecs/0/parentCategoricalValues/values/1",
    ),
    "impossible integer": (
        space(integer("x", 1, 8, conditionalParameterSpecs=[child(["8"], integer("y"), "Int")])),
        space(integer("x", 1, 8, conditionalParameterSpecs=[child(["9"], integer("y"), "Int")])),
        f"{SPACE}/0/conditionalParameterSpecs/0/parentIntValues/values/0",
    ),
    "impossible number": (
        space(discrete("x", 1, 2, conditionalParameterSpecs=[child([2 + 1e-11], integer("y"), "Discrete")])),
        space(discrete("x", 1, 2, conditionalParameterSpecs=[child([2.1], integer("y"), "Discrete")])),
        f"{SPACE}/0/conditionalParameterSpecs/0/parentDiscreteValues/values/0",
    ),
    "names that meet": (
        space(choice("x", *A_OR_B, children=[child(["a"], integer("y")), child(["b"], integer("y"))])),
        space(choice("x", *A_OR_B, children=[child(A_OR_B, integer("y")), child(["b"], integer("y"))])),
        f"{SPACE}/0/conditionalParameterSpecs/1/parameterSpec/parameterId",
    ),
    "name of an ancestor": (
        space(choice("x", "a", children=[child(["a"], integer("y"))])),
        space(choice("x", "a", children=[child(["a"], integer("x"))])),
        f"{SPACE}/0/conditionalParameterSpecs/0/parameterSpec/parameterId",
    ),
    "name beside": (space(integer("x"), integer("y")), space(integer("x"), integer("x")), f"{SPACE}/1/parameterId"),
    "no trials": (plain(maxTrialCount=1), plain(maxTrialCount=0), "/maxTrialCount"),
    "no trials at a time": (plain(parallelTrialCount=1), plain(parallelTrialCount=0), "/parallelTrialCount"),
    "fewer than no failures": (plain(maxFailedTrialCount=0), plain(maxFailedTrialCount=-1), "/maxFailedTrialCount"),
    "no pool": (plain(), plain(trialJobSpec__workerPoolSpecs=[]), "/trialJobSpec/workerPoolSpecs"),
    "an empty first pool": (plain(), plain(trialJobSpec__workerPoolSpecs=[{}]), "/trialJobSpec/workerPoolSpecs"),
    "nothing runs": (plain(), plain(trialJobSpec__workerPoolSpecs__0__containerSpec=GONE), POOL),
    "no image": (
        plain(),
        plain(trialJobSpec__workerPoolSpecs__0__containerSpec__imageUri=""),
        f"{POOL}/containerSpec/imageUri",
    ),
    "no packages": (package(), package(packageUris=[]), f"{POOL}/pythonPackageSpec/packageUris"),
    "no machine": (plain(), plain(trialJobSpec__workerPoolSpecs__0__machineSpec=GONE), f"{POOL}/machineSpec"),
    "a short name": (
        plain(**TRACKED),
        plain(**TRACKED | {"trialJobSpec__tensorboard": "1"}),
        "/trialJobSpec/tensorboard",
    ),
}

REFUSED = {
    "name": (plain(displayName="é" * 128), plain(displayName="é" * 129), "/displayName"),
    "no name": (plain(displayName="a"), plain(displayName=""), "/displayName"),
    "no key": (
        plain(encryptionSpec={"kmsKeyName": "k"}),
        plain(encryptionSpec={"kmsKeyName": ""}),
        "/encryptionSpec/kmsKeyName",
    ),
    "model id": (pipeline(modelId="_" + "9" * 62), pipeline(modelId="_" + "9" * 63), "/modelId"),
    "model id with a digit first": (pipeline(modelId="a9"), pipeline(modelId="9a"), "/modelId"),
    "data of two kinds": (
        pipeline(inputDataConfig={"datasetId": "1", "savedQueryId": "2"}),
        pipeline(inputDataConfig={"datasetId": "1", "savedQueryId": "2", "annotationSchemaUri": "gs://b/s"}),
        "/inputDataConfig/savedQueryId",
    ),
    "parts of data": (split(0.8, 0.1, 0.1), split(0.8, 0.1, 0.2), "/inputDataConfig/fractionSplit"),
    "safe trials": (
        safe(1),
        safe(1.5),
        "/studySpec/metrics/1/safetyConfig/desiredMinSafeTrialsFraction",
    ),
    "curves without an account": (
        plain(**TRACKED),
        plain(**TRACKED | {"trialJobSpec__serviceAccount": None}),
        "/trialJobSpec/tensorboard",
    ),
    "curves without a place": (
        plain(**TRACKED),
        plain(**TRACKED | {"trialJobSpec__baseOutputDirectory": None}),
        "/trialJobSpec/tensorboard",
    ),
    "a relative export": (mounted("/data"), mounted("data"), f"{POOL}/nfsMounts/0/path"),
    "a domain without its dot": (
        peered("a.internal."),
        peered("a.internal"),
        "/trialJobSpec/pscInterfaceConfig/dnsPeeringConfigs/0/domain",
    ),
    "a reservation without a name": (
        pools(reserved(reservationAffinityType="SPECIFIC_RESERVATION", key="k", values=["v"])),
        pools(reserved(reservationAffinityType="SPECIFIC_RESERVATION", key="k")),
        f"{POOL}/machineSpec/reservationAffinity",
    ),
    "queued and reserved": (
        pools(reserved(reservationAffinityType="NO_RESERVATION"), scheduling=LONG_FLEX),
        pools(reserved(reservationAffinityType="ANY_RESERVATION"), scheduling=LONG_FLEX),
        f"{POOL}/machineSpec/reservationAffinity",
    ),
    "label key": (plain(labels={"a" * 64: ""}), plain(labels={"a" * 65: ""}), f"/labels/{'a' * 65}"),
    "label key in capitals": (plain(labels={"é-_1": ""}), plain(labels={"A": ""}), "/labels/A"),
    "label value": (plain(labels={"a": "b" * 64}), plain(labels={"a": "b" * 65}), "/labels/a"),
    "label of another kind": (plain(labels={"a": "b"}), plain(labels={"a": "b.c"}), "/labels/a"),
    "failures": (plain(maxFailedTrialCount=4), plain(maxFailedTrialCount=5), "/maxFailedTrialCount"),
    "categories with a scale": (space(choice("x", "a")), space(choice("x", "a") | LOG), f"{SPACE}/0/scaleType"),
    "many values": (
        space(discrete("x", *range(1000))),
        space(discrete("x", *range(1001))),
        f"{SPACE}/0/discreteValueSpec/values",
    ),
    "near values": (
        space(discrete("x", 0, 2e-10)),
        space(discrete("x", 0, 5e-11)),
        f"{SPACE}/0/discreteValueSpec/values",
    ),
    "pools": (pools(*[CPUS] * 4), pools(*[CPUS] * 5), "/trialJobSpec/workerPoolSpecs"),
    "replicas of the first pool": (pools(CPUS), pools(CPUS, replicas="2"), f"{POOL}/replicaCount"),
    "GPUs without a kind": (
        pools(gpus("NVIDIA_L4")),
        pools(CPUS | {"acceleratorCount": 1}),
        f"{POOL}/machineSpec/acceleratorCount",
    ),
    "a kind without GPUs": (
        pools(gpus("NVIDIA_L4")),
        pools(CPUS | {"acceleratorType": "NVIDIA_L4"}),
        f"{POOL}/machineSpec/acceleratorType",
    ),
    "parts of several GPUs": (
        pools(gpus("NVIDIA_L4") | {"gpuPartitionSize": "1g.10gb"}),
        pools(gpus("NVIDIA_L4", 2) | {"gpuPartitionSize": "1g.10gb"}),
        f"{POOL}/machineSpec/acceleratorCount",
    ),
    "a small disk": (
        plain(trialJobSpec__workerPoolSpecs__0__diskSpec={"bootDiskSizeGb": 100}),
        plain(trialJobSpec__workerPoolSpecs__0__diskSpec={"bootDiskSizeGb": 99}),
        f"{POOL}/diskSpec/bootDiskSizeGb",
    ),
    "a large disk": (
        plain(trialJobSpec__workerPoolSpecs__0__diskSpec={"bootDiskSizeGb": 64_000}),
        plain(trialJobSpec__workerPoolSpecs__0__diskSpec={"bootDiskSizeGb": 64_001}),
        f"{POOL}/diskSpec/bootDiskSizeGb",
    ),
    "TPUs in two pools": (pools(gpus("TPU_V3")), pools(gpus("TPU_V3"), CPUS), "/trialJobSpec/workerPoolSpecs"),
    "arguments": (
        plain(trialJobSpec__workerPoolSpecs__0__containerSpec__args=["a" * 50_000] * 2),
        plain(trialJobSpec__workerPoolSpecs__0__containerSpec__args=["a" * 50_000] * 2 + ["b"]),
        f"{POOL}/containerSpec/args",
    ),
    "variables": (
        plain(trialJobSpec__workerPoolSpecs__0__containerSpec__env=env(100)),
        plain(trialJobSpec__workerPoolSpecs__0__containerSpec__env=env(101)),
        f"{POOL}/containerSpec/env",
    ),
    "a variable's name": (
        plain(trialJobSpec__workerPoolSpecs__0__containerSpec__env=[{"name": "_a1", "value": ""}]),
        plain(trialJobSpec__workerPoolSpecs__0__containerSpec__env=[{"name": "1a", "value": ""}]),
        f"{POOL}/containerSpec/env/0/name",
    ),
    "packages": (
        package(packageUris=["gs://b/p"] * 100),
        package(packageUris=["gs://b/p"] * 101),
        f"{POOL}/pythonPackageSpec/packageUris",
    ),
    "queued for long": (
        pools(gpus("NVIDIA_L4"), scheduling=LONG_FLEX),
        pools(gpus("NVIDIA_L4"), scheduling=TOO_LONG_FLEX),
        "/trialJobSpec/scheduling/timeout",
    ),
    "queued for old GPUs": (
        pools(gpus("NVIDIA_L4"), scheduling=LONG_FLEX),
        pools(gpus("NVIDIA_TESLA_T4"), scheduling=LONG_FLEX),
        f"{POOL}/machineSpec/acceleratorType",
    ),
    "queued for unlike machines": (
        pools(gpus("NVIDIA_L4"), gpus("NVIDIA_L4"), scheduling=LONG_FLEX),
        pools(gpus("NVIDIA_L4"), gpus("NVIDIA_L4", 2), scheduling=LONG_FLEX),
        "/trialJobSpec/workerPoolSpecs/1/machineSpec",
    ),
}


@pytest.mark.parametrize("rule", MALFORMED)
def test_what_means_nothing_is_not_read(rule):
    right, wrong, place = MALFORMED[rule]
    reading = TRANSLATOR.read(right)
    assert TRANSLATOR.problems(reading.request, reading.form) == []
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(wrong)
    assert [problem.pointer for problem in caught.value.problems] == [place]


@pytest.mark.parametrize("rule", REFUSED)
def test_what_the_service_refuses_is_told(rule):
    right, wrong, place = REFUSED[rule]
    reading = TRANSLATOR.read(right)
    assert TRANSLATOR.problems(reading.request, reading.form) == []
    reading = TRANSLATOR.read(wrong)
    assert [problem.pointer for problem in TRANSLATOR.problems(reading.request, reading.form)] == [place]


def test_texts_are_quoted_once():
    (problem,) = TRANSLATOR.problems(TRANSLATOR.read(plain(labels={"a": "B"})).request, "job")
    assert problem.message.endswith("unlike 'B'")


def test_all_is_told_at_once():
    wrong = space(double("a b", 2.0, 1.0), choice("c"), maxTrialCount=0)
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(wrong)
    assert len(caught.value.problems) == 4


def test_what_does_not_fit_the_schema_is_told_first():
    request = TRANSLATOR.read(plain()).request
    wrong = request | {"maxTrialCount": "many", "studySpec": request["studySpec"] | {"parameters": {}}}
    assert [problem.pointer for problem in TRANSLATOR.problems(wrong, "job")] == [
        "/maxTrialCount",
        "/studySpec/parameters",
    ]


def test_symbols_are_passed_over():
    symbolic = plain(studySpec__parameters__0__doubleValueSpec__minValue="${LOW}", maxTrialCount="${TRIALS}")
    assert TRANSLATOR.read(symbolic).request["maxTrialCount"] == "${TRIALS}"


def test_large_documents_take_bounded_time():
    many = [child(["a"], integer(f"n{number}")) for number in range(20_000)]
    with pytest.raises(PayloadError):
        BACKEND.translator.read(space(choice("x", "a", children=[child(["a"] * 20_000, integer("y"))])))
    assert len(TRANSLATOR.read(space(choice("x", "a", children=many))).request["studySpec"]["parameters"]) == 1
