"""Documents: recognised, read with the places of problems, written as their carriers write them."""

import copy
import json

import pytest

from tuneport import exchange
from tuneport.backends.protocols import Reading
from tuneport.backends.sagemaker import BACKEND
from tuneport.backends.sagemaker.carriers import FORMS, recognise
from tuneport.errors import PayloadError

from .documents import CONFIG, ONE, SEVERAL, changed, golden, plain

TRANSLATOR = BACKEND.translator
SETTINGS = BACKEND.settings_type(region="eu-west-1")


def written(form, request=None):
    return TRANSLATOR.write(Reading(form, TRANSLATOR.read(request or plain()).request))


@pytest.mark.parametrize("form", [form for form in FORMS if form not in {"describe", "helm", "parts", "operator"}])
@pytest.mark.parametrize("name", ["single", "everything", "definitions", "autotune", "branches"])
def test_every_form_says_the_same(form, name):
    read = TRANSLATOR.read(golden(name))
    again = TRANSLATOR.read(TRANSLATOR.write(Reading(form, read.request)))
    assert again.form == form
    assert again.request == read.request


def test_a_form_without_a_name_says_the_rest():
    request = TRANSLATOR.read(golden("everything")).request
    document = TRANSLATOR.write(Reading("parts", {key: request[key] for key in (CONFIG, ONE)}))
    read = TRANSLATOR.read(document)
    assert read.form == "parts"
    assert read.request == {key: request[key] for key in (CONFIG, ONE)}
    job, settings = TRANSLATOR.from_native(read.request, "parts")
    assert job.name == "imported"
    assert TRANSLATOR.to_native(job, settings, "parts").keys() == {CONFIG, ONE}
    assert TRANSLATOR.problems(read.request, "parts") == []


def test_the_operators_resource_has_its_own_name_and_region():
    request = TRANSLATOR.read(plain()).request | {"Region": "eu-west-1"}
    document = TRANSLATOR.write(Reading("operator", request))
    assert document["apiVersion"] == "sagemaker.aws.amazon.com/v1"
    assert document["kind"] == "HyperparameterTuningJob"
    assert document["metadata"] == {"name": "demo-1"}
    assert document["spec"]["region"] == "eu-west-1"
    assert document["spec"]["trainingJobDefinition"]["staticHyperParameters"] == [{"name": "rounds", "value": "10"}]
    assert TRANSLATOR.read(document).request == request
    assert TRANSLATOR.from_native(request, "operator")[1].region == "eu-west-1"
    job, _ = TRANSLATOR.from_native(request, "operator")
    assert TRANSLATOR.to_native(job, SETTINGS, "operator")["Region"] == "eu-west-1"
    assert "Region" not in TRANSLATOR.to_native(job, SETTINGS, "request")
    assert TRANSLATOR.problems(request, "operator") == []


def test_the_controllers_spelling():
    document = written("ack", golden("everything"))
    assert document["kind"] == "HyperParameterTuningJob"
    spec = document["spec"]
    definition = spec["trainingJobDefinition"]
    assert spec["hyperParameterTuningJobConfig"]["hyperParameterTuningJobObjective"]["type_"] == "Maximize"
    assert definition["roleARN"]
    assert definition["outputDataConfig"].keys() == {"s3OutputPath", "kmsKeyID", "compressionType"}
    assert definition["resourceConfig"]["volumeKMSKeyID"]
    assert definition["resourceConfig"]["volumeSizeInGB"] == 100
    assert definition["resourceConfig"]["trainingPlanARN"]
    assert definition["vpcConfig"]["securityGroupIDs"] == ["sg-1"]
    assert definition["inputDataConfig"][0]["dataSource"]["s3DataSource"]["s3URI"] == "s3://demo-bucket/train/"
    assert definition["inputDataConfig"][3]["dataSource"]["fileSystemDataSource"]["fileSystemID"]
    assert definition["checkpointConfig"] == {"s3URI": "s3://demo-bucket/checkpoints"}
    assert definition["environment"] == {"NCCL_DEBUG": "INFO", "EMPTY": ""}
    assert definition["staticHyperParameters"]["sagemaker_program"] == "train.py"


def test_expressions_of_a_state_stay_expressions():
    document = written("jsonata")
    assert (document["Type"], document["QueryLanguage"]) == ("Task", "JSONata")
    document["Arguments"][CONFIG]["ResourceLimits"]["MaxParallelTrainingJobs"] = "{% $states.input.parallel %}"
    document["Arguments"][ONE]["RoleArn"] = "{% $states.input.role %}"
    imported = exchange.read(document, BACKEND)
    assert imported.job.budget.parallel_trials == 1
    edited = imported.job.changed(study=imported.job.study.changed(algorithm={"kind": "bayesian"}))
    said = exchange.translate(edited, BACKEND, imported.settings).payload
    document["Arguments"][CONFIG]["Strategy"] = "Bayesian"
    del document["Arguments"][CONFIG]["RandomSeed"]
    assert said == document


def test_terraforms_spelling():
    document = written("terraform", golden("everything"))
    assert document["config"]["objective"] == {"type": "Maximize", "metric_name": "average test accuracy"}
    assert document["config"]["strategy_config"] == {
        "hyperband_strategy_config": {"min_resource": 2, "max_resource": 27}
    }
    assert document["training_job_definition"]["resource_config"]["volume_size_in_gb"] == 100
    assert document["training_job_definition"]["output_data_config"]["s3_output_path"]
    assert document["training_job_definition"]["output_data_config"]["kms_key_id"]
    assert document["tags"] == {"team": "vision", "empty": ""}


def test_terraforms_blocks_may_be_lists_of_one():
    document = written("terraform")
    config = document["config"] | {"objective": [document["config"]["objective"]]}
    listed = document | {"config": [config], "training_job_definition": [document["training_job_definition"]]}
    assert TRANSLATOR.read(listed).request == TRANSLATOR.read(document).request


def test_a_pipelines_component_has_json_in_its_inputs():
    document = written("pipelines") | {"region": "eu-west-1"}
    config = json.loads(document["hyper_parameter_tuning_job_config"])
    assert config["hyperParameterTuningJobObjective"]["type_"] == "Minimize"
    assert "roleARN" in json.loads(document["training_job_definition"])
    imported = exchange.read(document, BACKEND)
    assert (imported.form, imported.settings.region) == ("pipelines", "eu-west-1")
    edited = exchange.translate(imported.job.changed(name="demo-2"), BACKEND, imported.settings).payload
    assert edited == document | {"hyper_parameter_tuning_job_name": "demo-2"}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"StartAt": "Tune", "States": {"Tune": written("states")}}, "/States/Tune"),
        (
            {"States": {"a/b": {"Branches": [{"States": {"T": written("jsonata")}}]}}},
            "/States/a~1b/Branches/0/States/T",
        ),
        (
            {"resource": {"aws_sagemaker_hyper_parameter_tuning_job": {"demo": [written("terraform")]}}},
            "/resource/aws_sagemaker_hyper_parameter_tuning_job/demo/0",
        ),
    ],
)
def test_a_job_within_something_else_is_pointed_at(document, place):
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(document)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.hint) == (place, "take what stands there")


@pytest.mark.parametrize("text", ["{", "[" * 10_000, "text", '{"strategy": NaN}'])
def test_inputs_of_a_component_that_are_no_json_are_refused(text):
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(written("pipelines") | {"hyper_parameter_tuning_job_config": text})
    assert {one.pointer for one in caught.value.problems} == {"/hyper_parameter_tuning_job_config"}


def test_a_response_has_the_defaults_that_the_service_fills_in():
    document = written("describe")
    config, definition = document[CONFIG], document[ONE]
    assert config["TrainingJobEarlyStoppingType"] == "Off"
    assert {one["ScalingType"] for one in config["ParameterRanges"]["ContinuousParameterRanges"]} >= {"Auto"}
    assert definition["StaticHyperParameters"] == {"_tuning_objective_metric": "val_loss", "rounds": "10"}
    assert definition["EnableNetworkIsolation"] is False
    several = written("describe", golden("definitions"))[SEVERAL]
    assert several[1]["StaticHyperParameters"] == {"_tuning_objective_metric": "validation:rmse"}
    assert several[0]["HyperParameterRanges"]["IntegerParameterRanges"] == []


def test_metrics_of_the_services_own_algorithms_are_not_asked_for():
    request = TRANSLATOR.read(golden("describe")).request
    assert "MetricDefinitions" not in request[ONE]["AlgorithmSpecification"]
    own = golden("describe")
    own[ONE]["AlgorithmSpecification"]["MetricDefinitions"].pop()
    assert TRANSLATOR.read(own).request[ONE]["AlgorithmSpecification"]["MetricDefinitions"]


def test_of_other_images_only_the_metric_that_is_there_twice_is_left_out():
    reply = changed(golden("describe"), f"/{ONE}/AlgorithmSpecification/TrainingImage", "registry/own:1")
    both = reply[ONE]["AlgorithmSpecification"]["MetricDefinitions"]
    assert TRANSLATOR.read(reply).request[ONE]["AlgorithmSpecification"]["MetricDefinitions"] == both[:1]
    both[0]["Regex"] = "another"
    assert TRANSLATOR.read(reply).request[ONE]["AlgorithmSpecification"]["MetricDefinitions"] == both


def test_a_reply_of_a_newer_service_is_read():
    reply = changed(golden("describe"), f"/{ONE}/NewThing", {"On": True})
    assert TRANSLATOR.read(reply).request[ONE]["NewThing"] == {"On": True}
    with pytest.raises(PayloadError, match="unknown key 'NewThing'"):
        TRANSLATOR.read(changed(plain(), f"/{ONE}/NewThing", {"On": True}))


def test_what_airflow_is_to_upload_is_none_of_the_services_business():
    upload = {"S3Upload": [{"Path": "src", "Bucket": "b", "Key": "k", "Tar": True}]}
    document = plain() | {"S3Operations": upload}
    imported = exchange.read(document, BACKEND)
    assert imported.boxed == []
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document


@pytest.mark.parametrize(
    ("document", "form"),
    [
        ({"apiVersion": "sagemaker.services.k8s.aws/v1alpha1", "spec": {}}, "ack"),
        ({"apiVersion": "sagemaker.aws.amazon.com/v1", "spec": {}}, "operator"),
        ({"spec": {}}, "helm"),
        ({"Resource": "arn:aws:states:::sagemaker:x", "Arguments": {}}, "jsonata"),
        ({CONFIG: {}, "CreationTime": 0}, "describe"),
        ({CONFIG: {}}, "parts"),
        ({CONFIG: {}, "HyperParameterTuningJobName": "a"}, "request"),
        ({"config": {}}, "terraform"),
        ({"hyper_parameter_tuning_job_config": {}}, "snake"),
        ({"hyperParameterTuningJobConfig": {}}, "camel"),
        ({}, "request"),
    ],
)
def test_documents_are_told_apart(document, form):
    assert recognise(document) == form


def broken(form, change):
    """A document of the form with something changed in its request."""
    request = TRANSLATOR.read(plain()).request
    return TRANSLATOR.write(Reading(form, change(copy.deepcopy(request))))


def upside_down(request):
    return changed(request, f"/{CONFIG}/ParameterRanges/IntegerParameterRanges/0/MinValue", "10")


def unknown_strategy(request):
    return changed(request, f"/{CONFIG}/Strategy", "Guess")


@pytest.mark.parametrize(
    ("form", "strategy", "low"),
    [
        ("request", f"/{CONFIG}/Strategy", f"/{CONFIG}/ParameterRanges/IntegerParameterRanges/0/MinValue"),
        (
            "ack",
            "/spec/hyperParameterTuningJobConfig/strategy",
            "/spec/hyperParameterTuningJobConfig/parameterRanges/integerParameterRanges/0/minValue",
        ),
        (
            "operator",
            "/spec/hyperParameterTuningJobConfig/strategy",
            "/spec/hyperParameterTuningJobConfig/parameterRanges/integerParameterRanges/0/minValue",
        ),
        (
            "snake",
            "/hyper_parameter_tuning_job_config/strategy",
            "/hyper_parameter_tuning_job_config/parameter_ranges/integer_parameter_ranges/0/min_value",
        ),
        ("terraform", "/config/strategy", "/config/parameter_ranges/integer_parameter_ranges/0/min_value"),
        (
            "states",
            f"/Parameters/{CONFIG}/Strategy",
            f"/Parameters/{CONFIG}/ParameterRanges/IntegerParameterRanges/0/MinValue",
        ),
        (
            "helm",
            "/spec/hyperparameterTuningJobConfig/strategy",
            "/spec/hyperparameterTuningJobConfig/integerParameterRanges/0/minValue",
        ),
    ],
)
def test_problems_are_told_with_their_place_in_the_document(form, strategy, low):
    for change, pointer in ((unknown_strategy, strategy), (upside_down, low)):
        with pytest.raises(PayloadError) as caught:
            TRANSLATOR.read(broken(form, change))
        assert [one.pointer for one in caught.value.problems] == [pointer]


def test_a_chart_need_not_limit_its_trials():
    document = written("helm", plain())
    del document["spec"]["maxRuntimeInSeconds"]
    assert exchange.read(document, BACKEND).job.trial.timeout is None


def test_tags_are_a_map_in_snake_case():
    document = written("snake", golden("everything"))
    assert document["tags"] == {"team": "vision", "empty": ""}


def test_what_a_chart_has_no_place_for_is_read_or_refused():
    chart = TRANSLATOR.write(Reading("helm", TRANSLATOR.read(plain()).request))
    chart["spec"]["enableManagedSpotTraining"] = True
    chart["spec"]["hyperparameterTuningJobConfig"]["randomSeed"] = 7
    request = TRANSLATOR.read(chart).request
    assert (request[ONE]["EnableManagedSpotTraining"], request[CONFIG]["RandomSeed"]) == (True, 7)
    chart["spec"]["spot"] = chart["spec"]["hyperparameterTuningJobConfig"]["sede"] = 1
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(chart)
    assert {one.pointer for one in caught.value.problems} == {"/spec/spot", "/spec/hyperparameterTuningJobConfig/sede"}


def test_a_chart_says_what_it_has_a_place_for():
    chart = written("helm")
    assert chart["name"] == "demo-1"
    assert chart["spec"]["trainingJobConfig"]["hyperparameters"] == {"rounds": "10"}
    read = TRANSLATOR.read(chart)
    assert read.form == "helm"
    expected = TRANSLATOR.read(plain()).request
    del expected[ONE]["AlgorithmSpecification"]["MetricDefinitions"], expected[CONFIG]["RandomSeed"]  # no place
    assert read.request == expected


@pytest.mark.parametrize("form", ["request", "ack", "states"])
def test_writing_changes_nothing_that_it_is_given(form):
    request = TRANSLATOR.read(golden("autotune")).request
    before = json.dumps(request)
    TRANSLATOR.write(Reading(form, request))
    assert json.dumps(request) == before
