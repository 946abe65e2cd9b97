"""Jobs into requests and back: whatever the job; and what each word becomes."""

import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tuneport as tp
from tuneport import exchange
from tuneport.backends.vertex import BACKEND, forms
from tuneport.backends.vertex.study import DEEPEST, MOST_SPECS, duration, seconds
from tuneport.catalog.machines import gpus
from tuneport.model.job import TuningJob
from tuneport.model.parameters import Float, Int, when
from tuneport.model.study import Constraint, CurveStopping
from tuneport.testing.strategies import jobs
from tuneport.translation.capabilities import Fidelity, screen
from tuneport.translation.shape import schema_of

from .documents import PLAIN, child, choice, discrete, double, integer, plain, space

TRANSLATOR = BACKEND.translator
SETTINGS = BACKEND.settings_type()
some = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def job(**changes):
    """A job that can be sent as it is."""
    trial = {"image": "gcr.io/p/train:1", "resources": {"machine": "n1-standard-4"}}
    study = {
        "parameters": [{"name": "x", "kind": "float", "low": 0.5, "high": 2}],
        "objectives": [{"metric": "loss", "goal": "minimize"}],
    }
    data = {"name": "plain", "study": study, "trial": trial, "budget": {"max_trials": 4, "parallel_trials": 2}}
    for place, value in changes.items():
        *path, last = place.split("__")
        here = data
        for part in path:
            here = here.setdefault(part, {})
        here[last] = value
    return TuningJob.model_validate(data)


def native(made, form="job"):
    return TRANSLATOR.to_native(made, SETTINGS, form)


def back(made, form="job"):
    return TRANSLATOR.from_native(native(made, form), form)[0]


def trial_of(made):
    return native(made)["trialJobSpec"]


def first_pool(made):
    return trial_of(made)["workerPoolSpecs"][0]


@some
@given(jobs(), st.sampled_from(TRANSLATOR.forms))
def test_reading_what_was_written_settles(made, form):
    assume(made.budget.max_trials is not None)
    written = native(made, form)
    text = json.dumps(written)
    again, _ = TRANSLATOR.from_native(written, form)
    assert native(again, form) == json.loads(text) == written


@some
@given(jobs(), st.sampled_from(["job", "pipeline", "custom", "custom-job"]))
def test_requests_of_complete_jobs_follow_the_schema(made, form):
    trial = made.trial
    assume(made.budget.max_trials is not None and trial.function is None and trial.algorithm is None)
    resources = trial.resources.changed(gpu_type=None)
    complete = made.changed(trial=trial.changed(resources=resources, image=trial.image or "gcr.io/p/train:1"))
    assert list(forms.problems(native(complete, form), form)) == []


# ---- what each word becomes -----------------------------------------------------------------------------------------


def test_the_plainest_job_is_the_plainest_document():
    assert native(job()) == PLAIN
    assert TRANSLATOR.from_native(PLAIN, "job") == (job(), SETTINGS)


def test_several_machines_are_two_pools():
    pools = trial_of(job(trial__resources={"machine": "n1-standard-4", "replicas": 4}))["workerPoolSpecs"]
    assert [pool["replicaCount"] for pool in pools] == ["1", "3"]
    assert {**pools[0], "replicaCount": ""} == {**pools[1], "replicaCount": ""}
    pools[1]["machineSpec"]["machineType"] = "n1-standard-8"  # another kind of pool is no replica
    assert pools[0]["machineSpec"]["machineType"] == "n1-standard-4"
    other = plain(trialJobSpec__workerPoolSpecs=pools)
    assert TRANSLATOR.from_native(other, "job")[0].trial.resources.replicas == 1


@pytest.mark.parametrize("gpu", [gpu for gpu in gpus() if gpu.vertex], ids=lambda gpu: gpu.id)
def test_kinds_of_gpus(gpu):
    resources = {"machine": "n1-standard-4", "gpus": 2, "gpu_type": gpu.id}
    machine = first_pool(job(trial__resources=resources))["machineSpec"]
    assert machine == {"machineType": "n1-standard-4", "acceleratorType": gpu.vertex, "acceleratorCount": 2}
    assert gpu.vertex in schema_of("tuneport.backends.vertex")["$defs"]["AcceleratorType"]["enum"]
    assert back(job(trial__resources=resources)).trial.resources.gpu_type == gpu.id


def test_a_kind_that_is_unknown_stays_as_it_is():
    resources = {"machine": "m", "gpus": 1, "gpu_type": "mi300"}
    assert first_pool(job(trial__resources=resources))["machineSpec"]["acceleratorType"] == "mi300"
    assert back(job(trial__resources=resources)).trial.resources.gpu_type == "mi300"


@pytest.mark.parametrize(
    ("machine", "kind"),
    [("n1-standard-8", "NVIDIA_TESLA_T4"), ("a2-highgpu-1g", "NVIDIA_TESLA_A100"), ("g2-standard-4", "NVIDIA_L4")],
)
def test_gpus_of_any_kind_are_those_of_the_machine(machine, kind):
    assert first_pool(job(trial__resources={"machine": machine, "gpus": 1}))["machineSpec"]["acceleratorType"] == kind


def test_shares_of_gpus_become_whole_ones_and_small_disks_larger():
    resources = {"machine": "m", "gpus": 0.25, "gpu_type": "t4", "disk": "10GiB"}
    assert first_pool(job(trial__resources=resources))["machineSpec"]["acceleratorCount"] == 1
    assert first_pool(job(trial__resources=resources))["diskSpec"] == {"bootDiskSizeGb": 100}
    assert (
        first_pool(job(trial__resources={"machine": "m", "disk": 2**30 * 200 + 1}))["diskSpec"]["bootDiskSizeGb"] == 201
    )


@pytest.mark.parametrize(
    ("trial", "spec"),
    [
        ({"command": ["train"]}, {"containerSpec": {"imageUri": "i", "command": ["train"]}}),
        ({"module": "a.b"}, {"containerSpec": {"imageUri": "i", "command": ["env", "python3", "-m", "a.b"]}}),
        (
            {"module": "a.b", "package": "gs://b/p.tar.gz"},
            {"pythonPackageSpec": {"executorImageUri": "i", "packageUris": ["gs://b/p.tar.gz"], "pythonModule": "a.b"}},
        ),
        (
            {"command": ["python3", "-m", "a-b"], "package": "gs://b/p"},
            {"pythonPackageSpec": {"executorImageUri": "i", "packageUris": ["gs://b/p"], "pythonModule": "a-b"}},
        ),
    ],
)
def test_ways_to_run(trial, spec):
    made = job(trial={"image": "i", "resources": {"machine": "m"}} | trial)
    pool = {"machineSpec": {"machineType": "m"}, "replicaCount": "1"}
    assert first_pool(made) == pool | spec
    assert back(made) == made


def test_ways_to_run_that_the_service_lacks_are_said_as_near_as_can_be():
    assert first_pool(job(trial={"function": "a:b"}))["containerSpec"]["command"] == [
        "python3",
        "-m",
        "tuneport_trial",
        "a:b",
    ]
    assert first_pool(job(trial={"algorithm": "kmeans"}))["containerSpec"] == {"imageUri": "kmeans"}


def test_fixed_parameters_are_arguments_that_are_known_again():
    made = job(trial__args=["--a=1"], trial__parameters={"z": 7, "b": True, "t": "7", "f": 0.5})
    container = first_pool(made)["containerSpec"]
    assert container["args"] == ["--a=1", "--z=7", "--b=true", "--t=7", "--f=0.5"]
    assert [one["name"] for one in container["env"]] == ["TUNEPORT_SPACE"]
    assert back(made) == made


def test_hints_that_do_not_fit_are_an_ordinary_variable():
    made = job(trial__parameters={"z": 7})
    request = native(made)
    container = request["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    container["args"] = ["--z=8"]
    edited = TRANSLATOR.from_native(request, "job")[0]
    assert (edited.trial.args, dict(edited.trial.parameters)) == (("--z=8",), {})
    assert edited.trial.env.keys() == {"TUNEPORT_SPACE"}
    assert native(edited) == request


def test_variables_of_the_user_win():
    made = job(trial__env={"TUNEPORT_SPACE": "mine", "TUNEPORT_INPUTS": "mine"}, trial__parameters={"z": 7})
    inputs = made.changed(trial=made.trial.changed(inputs=[{"name": "train", "uri": "gs://b/t"}]))
    env = first_pool(inputs)["containerSpec"]["env"]
    assert env == [{"name": "TUNEPORT_SPACE", "value": "mine"}, {"name": "TUNEPORT_INPUTS", "value": "mine"}]
    assert back(inputs).trial.env == made.trial.env


INPUTS = [
    {"name": "train", "uri": "nfs://10.0.0.2/data"},
    {"name": "moved", "uri": "nfs://10.0.0.2/more", "path": "/mnt/nfs/a/b"},
    {"name": "fast", "uri": "lustre://10.0.0.5/fs?volume=p/l/i"},
    {"name": "test", "uri": "gs://b/test/"},
    {"name": "other", "uri": "nfs://no-path"},
]


def test_inputs_are_mounted_or_told():
    made = job(trial__inputs=INPUTS)
    pool = first_pool(made)
    assert pool["nfsMounts"] == [
        {"server": "10.0.0.2", "path": "/data", "mountPoint": "train"},
        {"server": "10.0.0.2", "path": "/more", "mountPoint": "a/b"},
    ]
    mount = {"instanceIp": "10.0.0.5", "filesystem": "fs", "volumeHandle": "p/l/i", "mountPoint": "fast"}
    assert pool["lustreMounts"] == [mount]
    told = {"moved": "/mnt/nfs/a/b", "test": "gs://b/test/", "other": "nfs://no-path"}
    assert pool["containerSpec"]["env"] == [{"name": "TUNEPORT_INPUTS", "value": json.dumps(told)}]
    assert back(made) == made


def test_mounts_of_others_get_names():
    mounts = [{"server": "s", "path": "/p", "mountPoint": point} for point in ("a/b", "a b", "é")]
    document = plain(trialJobSpec__workerPoolSpecs__0__nfsMounts=mounts)
    names = [one.name for one in TRANSLATOR.from_native(document, "job")[0].trial.inputs]
    assert names == ["a-b", "a-b-1", "-"]
    assert exchange.read(document, BACKEND).boxed == []


@pytest.mark.parametrize("path", ["data", "/data", "/mnt/nfs/data", "/mnt/nfs/data/"])
def test_file_systems_are_mounted_below_one_place(path):
    made = job(trial__inputs=[{"name": "in", "uri": "nfs://s/p", "path": path}])
    assert first_pool(made)["nfsMounts"][0]["mountPoint"] == "data"
    assert back(made).trial.inputs[0].path == "/mnt/nfs/data"


@pytest.mark.parametrize("text", ["[]", "{", '{"a b": "gs://x"}', '{"a": 1}', '{"a": ""}', "9" * 5000])
def test_what_is_not_told_as_inputs_is_a_variable(text):
    env = [{"name": "TUNEPORT_INPUTS", "value": text}]
    made = TRANSLATOR.from_native(plain(trialJobSpec__workerPoolSpecs__0__containerSpec__env=env), "job")[0]
    assert (made.trial.inputs, made.trial.env) == ((), {"TUNEPORT_INPUTS": text})


def test_scheduling_identity_places_and_tracking():
    words = {
        "trial__timeout": "1h30m",
        "trial__max_wait": 0.5,
        "trial__spot": True,
        "trial__identity": "i",
        "trial__network": {"name": "n"},
        "trial__output": {"uri": "gs://b/o"},
        "trial__encryption": {"key": "k"},
        "trial__resources": {"machine": "m", "pool": "p"},
        "experiment": {"name": "e", "run": "r", "tensorboard": "t"},
        "labels": {"a": "b"},
    }
    made = job(**words)
    spec = trial_of(made)
    del spec["workerPoolSpecs"]
    assert spec == {
        "scheduling": {"timeout": "5400s", "maxWaitDuration": "0.500s", "strategy": "SPOT"},
        "serviceAccount": "i",
        "network": "n",
        "baseOutputDirectory": {"outputUriPrefix": "gs://b/o"},
        "persistentResourceId": "p",
        "experiment": "e",
        "experimentRun": "r",
        "tensorboard": "t",
    }
    assert native(made)["encryptionSpec"] == {"kmsKeyName": "k"}
    assert native(made)["labels"] == {"a": "b"}
    assert back(made) == made


def test_limits_of_the_study():
    made = job(budget={"max_trials": 9, "max_seconds": 90, "max_trials_without_improvement": 3, "max_failed_trials": 0})
    assert native(made)["studySpec"]["studyStoppingConfig"] == {
        "maximumRuntimeConstraint": {"maxDuration": "90s"},
        "maxNumTrialsNoProgress": 3,
    }
    assert native(made)["maxFailedTrialCount"] == 0
    assert back(made) == made
    assert "maxFailedTrialCount" not in native(job())
    assert "maxTrialCount" not in native(job(budget={"max_trials": None, "max_seconds": 90}))


@pytest.mark.parametrize(
    ("rule", "spec"),
    [
        ({"kind": "median"}, {"medianAutomatedStoppingSpec": {}}),
        ({"kind": "asha"}, {"medianAutomatedStoppingSpec": {}}),
        ({"kind": "auto"}, {"medianAutomatedStoppingSpec": {}}),
        ({"kind": "curve"}, {"decayCurveStoppingSpec": {}}),
        ({"kind": "curve", "use_elapsed": True}, {"decayCurveStoppingSpec": {"useElapsedDuration": True}}),
        (
            {"kind": "curve", "model": "convex", "max_steps": 9, "min_steps": 2},
            {"convexAutomatedStoppingSpec": {"maxStepCount": "9", "minStepCount": "2"}},
        ),
    ],
)
def test_stopping_rules(rule, spec):
    made = job(study__early_stopping=rule)
    assert spec.items() <= native(made)["studySpec"].items()
    if rule["kind"] in {"median", "curve"}:
        assert back(made) == made


@pytest.mark.parametrize(
    ("kind", "said"),
    [("sobol", "RANDOM_SEARCH"), ("hyperband", "RANDOM_SEARCH"), ("tpe", None), ("anneal", None), ("bayesian", None)],
)
def test_algorithms_that_have_no_name_there(kind, said):
    assert native(job(study__algorithm={"kind": kind}))["studySpec"].get("algorithm") == said


# ---- bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "goal"), [("at_most", "MINIMIZE"), ("at_least", "MAXIMIZE")])
@pytest.mark.parametrize("bound", [-1, 0, 0.1])
def test_a_bound_is_a_safety_metric_whose_goal_says_the_safe_side(side, goal, bound):
    made = job(study__constraints=[{"metric": "heat", side: bound}])
    assert native(made)["studySpec"]["metrics"] == [
        {"metricId": "loss", "goal": "MINIMIZE"},
        {"metricId": "heat", "goal": goal, "safetyConfig": {"safetyThreshold": bound}},
    ]
    assert back(made) == made
    (told,) = tp.translate(made, "vertex").report.fields
    assert (told.pointer, told.fidelity) == ("/study/constraints", Fidelity.APPROXIMATED)


@pytest.mark.parametrize(
    ("bound", "place", "way_out"),
    [
        ({"metric": "heat", "at_least": 1, "at_most": 2}, "/study/constraints/0/at_most", "under two names"),
        ({"metric": "loss", "at_most": 2}, "/study/constraints/0/metric", "under a second name"),
    ],
)
def test_bounds_that_have_no_word_there(bound, place, way_out):
    made = job(study__constraints=[bound])
    (problem,) = screen(made, BACKEND.capabilities)
    assert problem.pointer == place
    assert way_out in problem.hint
    assert [one["metricId"] for one in native(made)["studySpec"]["metrics"]] == ["loss"]


_finite = st.floats(allow_nan=False, allow_infinity=False)


@some
@given(
    st.dictionaries(
        st.sampled_from(["heat", "size", "time"]),
        st.tuples(st.sampled_from(["MINIMIZE", "MAXIMIZE"]), _finite, st.none() | st.floats(0, 1), st.booleans()),
        min_size=1,
    ),
    st.integers(0, 3),
)
def test_safety_metrics_are_read_as_bounds_and_written_again(said, at):
    metrics, bounds = [], {}
    for name, (goal, threshold, fraction, said_at_all) in said.items():
        config = {"safetyThreshold": threshold} if said_at_all else {}
        if fraction is not None:
            config["desiredMinSafeTrialsFraction"] = fraction
        metrics.append({"metricId": name, "goal": goal, "safetyConfig": config})
        side = "at_most" if goal == "MINIMIZE" else "at_least"
        bounds[name] = Constraint(metric=name, **{side: threshold if said_at_all else 0})
    metrics.insert(at, {"metricId": "loss", "goal": "MINIMIZE"})
    document = plain(studySpec__metrics=metrics)
    imported = tp.import_job(document, "vertex")
    assert [one.metric for one in imported.job.study.objectives] == ["loss"]
    assert imported.job.study.constraints == tuple(bounds.values())
    assert tp.translate(imported.job, "vertex").payload == document


@pytest.mark.parametrize("symbols", [{"goal": "${G}"}, {"safetyConfig": {"safetyThreshold": "${T}"}}])
def test_safety_metrics_bound_nothing_until_they_are_known(symbols):
    safety = {"metricId": "heat", "goal": "MINIMIZE", "safetyConfig": {"safetyThreshold": 2}, **symbols}
    document = plain(studySpec__metrics=[{"metricId": "loss", "goal": "MINIMIZE"}, safety])
    imported = tp.import_job(document, "vertex")
    assert imported.job.study.constraints == ()
    assert tp.translate(imported.job, "vertex").payload == document


# ---- conditions -----------------------------------------------------------------------------------------------------


def test_children_stand_below_every_definition_of_their_parent_that_has_the_value():
    parameters = [
        {"name": "z", "kind": "float", "low": 0, "high": 1, "when": {"parameter": "y", "values": [1, 9]}},
        {"name": "x", "kind": "categorical", "choices": ["a", "b", "c"]},
        {"name": "y", "kind": "int", "low": 1, "high": 8, "when": {"parameter": "x", "values": ["a"]}},
        {"name": "y", "kind": "discrete", "values": [1, 9], "when": {"parameter": "x", "values": ["b"]}},
        {"name": "y", "kind": "int", "low": 2, "high": 3, "when": {"parameter": "x", "values": ["c"]}},
    ]
    made = job(study__parameters=parameters)
    (top,) = native(made)["studySpec"]["parameters"]
    z = double("z", 0.0, 1.0, scaleType="UNIT_LINEAR_SCALE")
    linear = {"scaleType": "UNIT_LINEAR_SCALE"}
    assert top == choice(
        "x",
        "a",
        "b",
        "c",
        children=[
            child(["a"], integer("y", 1, 8, **linear, conditionalParameterSpecs=[child(["1"], z, "Int")])),
            child(["b"], discrete("y", 1, 9, **linear, conditionalParameterSpecs=[child([1, 9], z, "Discrete")])),
            child(["c"], integer("y", 2, 3, **linear)),
        ],
    )
    again = back(made)
    assert {(one.name, one.when): one for one in again.study.parameters} == {
        (one.name, one.when): one for one in made.study.parameters
    }


def test_alike_children_of_one_parent_stay_apart():
    document = space(choice("x", "a", "b", children=[child(["a"], double("y")), child(["b"], double("y"))]))
    read = exchange.read(document, BACKEND)
    assert [one.when and one.when.values for one in read.job.study.parameters] == [None, ("a",), ("b",)]
    assert exchange.translate(read.job, BACKEND, read.settings).payload == document


def test_few_names_never_make_endless_trees():
    parameters = [Int("p0", 1, 2)]
    for level in range(1, 40):
        parameters += (
            [Float(f"p{level}", 0, 1, when=when(f"p{level - 1}", 1))]
            if level == 39
            else [Int(f"p{level}", 1, 2, when=when(f"p{level - 1}", value)) for value in (1, 2)]
        )
    made = job(study__parameters=[one.model_dump() for one in parameters])
    text = json.dumps(native(made))
    assert text.count("parameterId") <= MOST_SPECS


def test_conditions_are_written_as_deep_as_documents_are_read():
    chain = [{"name": "p0", "kind": "int", "low": 1, "high": 2}]
    chain += [
        {"name": f"p{level}", "kind": "int", "low": 1, "high": 2, "when": {"parameter": f"p{level - 1}", "values": [1]}}
        for level in range(1, 60)
    ]
    made = job(study__parameters=chain)
    assert len(TRANSLATOR.read(native(made)).request["studySpec"]["parameters"]) == 1
    assert len(back(made).study.parameters) == DEEPEST


# ---- scalars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (3600, "3600s"),
        (1.5, "1.500s"),
        (0.0005, "0.000500s"),
        (1e-9, "0.000000001s"),
        (1e-12, "0.000000001s"),
        (10, "10s"),
    ],
)
def test_durations(amount, text):
    assert duration(amount) == text


@given(st.floats(1e-9, 9e9))
def test_durations_are_read_as_they_are_written(amount):
    assert seconds(duration(amount)) == pytest.approx(amount, abs=1e-9)
    assert duration(seconds(duration(amount))) == duration(amount)


@pytest.mark.parametrize("text", ["0s", "-1s", "10000000000s", "${T}", "5", None, 5])
def test_durations_that_limit_nothing(text):
    assert seconds(text) is None


@pytest.mark.parametrize("name", ["", " x", "a\nb", "é" * 129])
def test_names_that_no_job_can_have_are_kept(name):
    read = exchange.read(plain(displayName=name), BACKEND)
    assert read.job.name == "untitled"
    assert exchange.translate(read.job, BACKEND, read.settings).payload["displayName"] == name


def test_curves_with_every_word_come_back():
    rule = CurveStopping(model="convex", max_steps=9, min_steps=1, use_elapsed=True)
    assert back(job(study__early_stopping=rule.model_dump())).study.early_stopping == rule


@pytest.mark.parametrize(("said", "meant"), [(1.4, 1), (2, 2.5), (9, 2.5), (2.5, 2.5)])
def test_defaults_between_listed_numbers_are_the_nearest_of_them(said, meant):
    document = space({"parameterId": "x", "discreteValueSpec": {"values": [1, 2.5], "defaultValue": said}})
    imported = tp.import_job(document, "vertex")
    assert imported.job.study.parameters[0].default == meant
    assert tp.translate(imported.job, "vertex").payload == document


def test_children_of_unknown_values_are_kept_until_these_are_known():
    below = [child(["a", "${B}"], double("x")), child(["${C}"], double("y"))]
    document = space(choice("c", "a", "${C}", children=[*below, child(["${D}"], double("z"))]))
    imported = tp.import_job(document, "vertex")
    conditions = {one.name: one.when.values for one in imported.job.study.parameters if one.when is not None}
    assert conditions == {"x": ("a",), "y": ("${C}",)}
    assert tp.translate(imported.job, "vertex").payload == document


@pytest.mark.parametrize(
    "changes",
    [
        {"maxTrialCount": "${N}"},
        {"studySpec__algorithm": "${A}"},
        {"studySpec__metrics__0__goal": "${G}"},
        {"studySpec__parameters__0__doubleValueSpec__maxValue": "${M}"},
        {"trialJobSpec__scheduling": {"timeout": "${T}"}},
    ],
)
def test_symbols_that_a_search_depends_on_are_not_left_behind_in_silence(changes):
    moved = tp.migrate(plain(**changes), "vertex", "sagemaker")
    stays = [one.fidelity.value for one in moved.report.fields if one.pointer.startswith("/native/vertex")]
    assert stays == ["unsupported"]


def test_what_the_machine_has_is_no_approximation():
    spec = {"image": "gcr.io/p/t:1", "resources": {"machine": "n1-standard-4", "cpus": 4, "memory": "8GiB"}}
    report = tp.translate(job(trial=spec), "vertex").report
    assert {one.pointer: one.fidelity.value for one in report.fields} == {
        "/trial/resources/cpus": "emulated",
        "/trial/resources/memory": "emulated",
    }


def test_buckets_are_found_by_the_trainers_module_alone():
    spec = {
        "image": "gcr.io/p/t:1",
        "resources": {"machine": "n1-standard-4"},
        "inputs": [{"name": "a", "uri": "gs://b/a"}],
    }
    (field,) = tp.translate(job(trial=spec), "vertex").report.fields
    assert (field.pointer, field.fidelity.value, field.by) == ("/trial/inputs/0/uri", "emulated", "tuneport_trial")


def test_conditions_on_numbers_need_not_be_exact_to_the_end():
    document = space(discrete("n", 1, 2.5, conditionalParameterSpecs=[child([2.5 + 1e-11], double("x"), "Discrete")]))
    imported = tp.import_job(document, "vertex")
    assert imported.job.study.parameters[1].when.values == (2.5,)
    assert tp.translate(imported.job, "vertex").payload == document


@pytest.mark.parametrize(
    "parameter",
    [
        {"kind": "float", "low": 0, "high": 0.5},
        {"kind": "float", "low": 0, "high": 0.5, "step": 0.25},
        {"kind": "int", "low": 0, "high": 0},
        {"kind": "discrete", "values": [0, 0.5]},
    ],
)
def test_a_logarithm_from_above_that_reaches_down_to_zero_is_not_to_be_had_there(parameter):
    made = job(study__parameters=[{"name": "x", "scale": "reverse_log", **parameter}])
    there = exchange.translate(made, BACKEND, SETTINGS)
    assert BACKEND.translator.problems(there.request, there.form) == []
    (told,) = [one for one in there.report.fields if one.pointer == "/study/parameters/0/scale"]
    assert (told.fidelity, told.after) == (Fidelity.APPROXIMATED, "auto")
