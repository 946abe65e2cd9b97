"""Kinds of documents: how each is recognised, what is read as the same, and how it is written."""

import pytest

from tuneport import exchange
from tuneport.backends.protocols import Reading
from tuneport.backends.vertex import BACKEND
from tuneport.backends.vertex.forms import schema
from tuneport.backends.vertex.study import ALGORITHMS, GOALS, SCALES
from tuneport.errors import PayloadError
from tuneport.translation.shape import Shape

from .documents import GONE, PLAIN, POOL, choice, discrete, double, integer, plain, space

TRANSLATOR = BACKEND.translator
DEFINITIONS = "gs://google-cloud-aiplatform/schema/trainingjob/definition/"
ROOTS = {"job": "HyperparameterTuningJob", "pipeline": "TrainingPipeline", "custom": "TrainingPipeline"}
ROOTS |= {"custom-job": "CustomJob", "custom-spec": "CustomJobSpec"}


def request(document):
    return TRANSLATOR.read(document).request


def job(document=PLAIN, form="job"):
    return TRANSLATOR.from_native(request(document), form)[0]


@pytest.mark.parametrize("form", TRANSLATOR.forms)
def test_every_form_is_written_and_recognised(form):
    whole = plain(
        labels={"a_b": "c"},
        studySpec__parameters=[integer("n"), double("x")],
        trialJobSpec__workerPoolSpecs__0__containerSpec__env=[{"name": "A", "value": "1"}],
    )
    settings = BACKEND.settings_type()
    said = TRANSLATOR.to_native(job(whole), settings, form)
    document = TRANSLATOR.write(Reading(form, said))
    reading = TRANSLATOR.read(document)
    if form.startswith("custom-spec"):  # a bare spec has neither name nor labels
        said = said | {"displayName": "untitled"}
        del said["labels"]
    assert (reading.form, reading.request, reading.response) == (form, said, {})
    assert TRANSLATOR.write(reading) == document


@pytest.mark.parametrize("form", ROOTS)
def test_what_is_written_follows_the_vendors_model(form):
    said = TRANSLATOR.to_native(job(), BACKEND.settings_type(), form)
    assert Shape(schema(), ROOTS[form]).problems(TRANSLATOR.write(Reading(form, said))) == []


def test_a_pipeline_says_the_task_in_its_inputs_and_the_rest_outside():
    said = TRANSLATOR.to_native(job(plain(labels={"a": "b"})), BACKEND.settings_type(), "pipeline")
    document = TRANSLATOR.write(Reading("pipeline", said))
    assert document.keys() == {"displayName", "labels", "trainingTaskDefinition", "trainingTaskInputs"}
    assert document["trainingTaskDefinition"] == f"{DEFINITIONS}hyperparameter_tuning_task_1.0.0.yaml"
    assert document["trainingTaskInputs"].keys() == PLAIN.keys() - {"displayName"}


def test_gcloud_and_snake_case_have_plain_numbers():
    spec = integer(
        "n", 1, 8, conditionalParameterSpecs=[{"parentIntValues": {"values": ["1"]}, "parameterSpec": double("x")}]
    )
    said = request(space(spec))
    document = TRANSLATOR.write(Reading("gcloud", said))
    written = document["studySpec"]["parameters"][0]
    assert written["integerValueSpec"] == {"minValue": 1, "maxValue": 8}
    assert written["conditionalParameterSpecs"][0]["parentIntValues"] == {"values": [1]}
    assert document["trialJobSpec"]["workerPoolSpecs"][0]["replicaCount"] == 1
    assert TRANSLATOR.read(document).form == "gcloud"
    document = TRANSLATOR.write(Reading("job-snake", said | {"labels": {"aB": "c"}}))
    assert document["labels"] == {"aB": "c"}  # refused there, but the user's own
    assert document["study_spec"]["parameters"][0]["integer_value_spec"] == {"min_value": 1, "max_value": 8}


@pytest.mark.parametrize(
    "document",
    [
        plain(studySpec__metrics__0__goal=2),
        plain(maxTrialCount="4", parallelTrialCount=2.0),
        plain(studySpec__algorithm="ALGORITHM_UNSPECIFIED", studySpec__observationNoise=0),
        plain(studySpec__measurementSelectionType="LAST_MEASUREMENT"),
        plain(studySpec__parameters__0__doubleValueSpec={"minValue": "0.5", "maxValue": 2}),
        plain(maxFailedTrialCount=0, labels={}, trialJobSpec__network="", trialJobSpec__serviceAccount=None),
        plain(trialJobSpec__workerPoolSpecs__0__replicaCount=1),
        plain(trialJobSpec__workerPoolSpecs__0__replicaCount=GONE),
        plain(trialJobSpec__workerPoolSpecs__0__machineSpec__acceleratorCount=0),
        plain(trialJobSpec__scheduling={"strategy": "STANDARD"}),
        plain(trialJobSpec__scheduling={"strategy": 1}),
        plain(type="HyperparameterTuningJob"),
    ],
)
def test_what_means_the_same_is_read_as_the_same(document):
    assert request(document) == request(plain())


def test_what_is_unsaid_has_its_documented_meaning():
    assert request(plain(studySpec__metrics=[{"metricId": "loss"}]))["studySpec"]["metrics"][0]["goal"] == "MAXIMIZE"
    spec = {"parameterId": "x", "doubleValueSpec": {"maxValue": 3}}
    assert request(space(spec))["studySpec"]["parameters"][0]["doubleValueSpec"] == {"minValue": 0.0, "maxValue": 3.0}
    made = job(plain(displayName=GONE, maxTrialCount=GONE, parallelTrialCount=GONE))
    assert (made.name, made.budget.max_trials, made.budget.parallel_trials) == ("untitled", 1, 1)


def test_deprecated_strategies_mean_todays():
    assert request(plain(trialJobSpec__scheduling={"strategy": 2}))["trialJobSpec"]["scheduling"] == {
        "strategy": "SPOT"
    }
    assert job(plain(trialJobSpec__scheduling={"strategy": "LOW_COST"})).trial.spot


@pytest.mark.parametrize(("number", "scale"), [(0, "auto"), (1, "linear"), (2, "log"), (3, "reverse_log")])
def test_numbers_of_scales(number, scale):
    assert job(space(double("x", scaleType=number))).study.parameters[0].scale == scale
    assert job(space(discrete("x", 1, 2, scaleType=SCALES.get(scale, 0)))).study.parameters[0].scale == scale


@pytest.mark.parametrize(("number", "kind"), [(0, "bayesian"), (2, "grid"), (3, "random")])
def test_numbers_of_algorithms(number, kind):
    made = job(space(integer("x"), studySpec__algorithm=number))
    assert made.study.algorithm.kind == kind
    assert ALGORITHMS.get(kind) == request(space(integer("x"), studySpec__algorithm=number))["studySpec"].get(
        "algorithm"
    )


@pytest.mark.parametrize(("number", "goal"), [(1, "maximize"), (2, "minimize")])
def test_numbers_of_goals(number, goal):
    document = plain(studySpec__metrics__0__goal=number)
    assert job(document).study.objective.goal == goal
    assert request(document)["studySpec"]["metrics"][0]["goal"] == GOALS[goal]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (None, ""),
        ([], ""),
        ({}, ""),
        ({"anything": 1}, ""),
        ({1: 2}, ""),
        ({"trainingTaskDefinition": f"{DEFINITIONS}automl_tables_1.0.0.yaml"}, "/trainingTaskDefinition"),
        ({"trainingTaskDefinition": 3}, "/trainingTaskDefinition"),
        ({"trainingTaskDefinition": f"{DEFINITIONS}custom_task_1.0.0.yaml"}, ""),
        ({"trainingTaskDefinition": "custom_task_1.0.0.yaml", "trainingTaskInputs": 3}, "/trainingTaskInputs"),
        (plain(studySpec__convexStopConfig={}), "/studySpec/convexStopConfig"),
        (plain(studySpec__parameters__0__integerValueSpec={}), "/studySpec/parameters/0/integerValueSpec"),
        (plain(studySpec__algorithm="BAYESIAN"), "/studySpec/algorithm"),
        (plain(studySpec__algorithm=1), "/studySpec/algorithm"),
        (plain(trialJobSpec__scheduling={"timeout": "soon"}), "/trialJobSpec/scheduling/timeout"),
        (plain(trialJobSpec__baseOutputDirectory="gs://b"), "/trialJobSpec/baseOutputDirectory"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(document, place):
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(document)
    assert place in [problem.pointer for problem in caught.value.problems]


def test_a_task_that_is_wrong_is_told_with_its_place_in_the_pipeline():
    inputs = {"studySpec": {"metrics": [], "parameters": [], "metric": 1}, "trialJobSpec": {"workerPoolSpecs": []}}
    definition = f"{DEFINITIONS}hyperparameter_tuning_task_1.0.0.yaml"
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read({"displayName": "p", "trainingTaskDefinition": definition, "trainingTaskInputs": inputs})
    assert [problem.pointer for problem in caught.value.problems] == ["/trainingTaskInputs/studySpec/metric"]


def test_an_unknown_form_is_refused():
    with pytest.raises(PayloadError, match="forms: job, gcloud, pipeline"):
        TRANSLATOR.to_native(job(), BACKEND.settings_type(), "yaml")


def test_replies_may_be_newer_than_we_are():
    newer = plain(state="JOB_STATE_DREAMING", studySpec__dreams=True, name="projects/1/locations/l/jobs/2")
    reading = TRANSLATOR.read(newer)
    assert reading.form == "response"
    assert reading.response == {"state": "JOB_STATE_DREAMING", "name": "projects/1/locations/l/jobs/2"}
    with pytest.raises(PayloadError):
        TRANSLATOR.read(plain(studySpec__dreams=True))


def test_a_response_is_submitted_anew_as_a_job():
    read = exchange.read(plain(state="JOB_STATE_SUCCEEDED", endTime="2026-01-01T00:00:00Z"), BACKEND)
    assert exchange.translate(read.job, BACKEND, read.settings).payload == plain()


def test_a_single_trial_gives_its_arguments_as_choices():
    args = ["--mode=fast", "train", "--lr=0.1", "--lr=0.2", "--n=3", "--text=a=b"]
    spec = plain(trialJobSpec__workerPoolSpecs__0__containerSpec__args=args)["trialJobSpec"]
    made = job(spec, "custom-spec")
    assert made.trial.args == ("--mode=fast", "train", "--lr=0.1")
    assert [(one.name, one.choices) for one in made.study.parameters] == [
        ("lr", ("0.2",)),
        ("n", ("3",)),
        ("text", ("a=b",)),
    ]


@pytest.mark.parametrize("args", [[], ["train"], ["--lr", "0.1"], ["--flag"], ["--lr=0.1", "train"]])
def test_a_single_trial_without_arguments_has_nothing_to_tune(args):
    spec = plain(trialJobSpec__workerPoolSpecs__0__containerSpec__args=args)["trialJobSpec"]
    with pytest.raises(PayloadError, match="nothing to tune") as caught:
        exchange.read(spec, BACKEND)
    assert caught.value.problems[0].pointer == POOL


def test_a_single_trial_of_a_study_has_values_from_the_middle_of_it():
    parameters = [
        double("lr", 1e-4, 1e-2, scaleType="UNIT_LOG_SCALE"),
        double("x", 0.0, 1.0),
        integer("n", 1, 4),
        {"parameterId": "k", "integerValueSpec": {"minValue": "1", "maxValue": "4", "defaultValue": "4"}},
        discrete("d", 1, 2, 4, 8),
        choice(
            "c",
            "a",
            "b",
            children=[
                {"parentCategoricalValues": {"values": ["a"]}, "parameterSpec": double("of-a", 2.0, 2.0)},
                {"parentCategoricalValues": {"values": ["b"]}, "parameterSpec": double("of-b")},
            ],
        ),
    ]
    said = TRANSLATOR.to_native(job(space(*parameters)), BACKEND.settings_type(), "custom")
    args = said["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]
    assert [arg.partition("=")[0] for arg in args] == ["--lr", "--x", "--n", "--k", "--d", "--c", "--of-a"]
    assert args[1:] == ["--x=0.5", "--n=2", "--k=4", "--d=2", "--c=a", "--of-a=2.0"]
    assert float(args[0].removeprefix("--lr=")) == pytest.approx(1e-3)
    assert "studySpec" not in said


def _created(document, member):
    return {"parent": "projects/p/locations/europe-west4", member: document}


def _task(**changes):
    return PIPELINE | {"trainingTaskInputs": plain(displayName=GONE, **changes)}


SNAKE = TRANSLATOR.write(Reading("job-snake", request(PLAIN)))
PIPELINE = TRANSLATOR.write(Reading("pipeline", request(PLAIN)))


@pytest.mark.parametrize(
    ("document", "form"),
    [
        (_created(PLAIN, "hyperparameterTuningJob"), "create/job"),
        (_created(SNAKE, "hyperparameter_tuning_job"), "create/job-snake"),
        (_created(PIPELINE, "trainingPipeline"), "create/pipeline"),
        ({"hyperparameterTuningJob": PLAIN}, "create/job"),
        ({"hyperparameterTuningJobs": [PLAIN | {"state": "JOB_STATE_FAILED"}], "nextPageToken": "x"}, "list/response"),
        ({"trainingPipelines": [PIPELINE]}, "list/pipeline"),
    ],
)
def test_a_job_that_stands_in_something_else_is_read_and_goes_back_there(document, form):
    assert TRANSLATOR.read(document).form == form
    imported = exchange.read(document, BACKEND)
    assert exchange.translate(imported.job, BACKEND, imported.settings, form=form).payload == document
    assert (imported.settings.project == "p") is ("parent" in document)
    edited = exchange.translate(imported.job.changed(name="another"), BACKEND, imported.settings, form=form).payload
    assert "another" in str(edited)
    assert "'plain'" not in str(edited)
    assert edited.keys() == document.keys()


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (_created(PLAIN | {"typo": 1}, "hyperparameterTuningJob"), "/hyperparameterTuningJob/typo"),
        ({"hyperparameterTuningJobs": [plain(studySpec__metrics=[])]}, "/hyperparameterTuningJobs/0/studySpec/metrics"),
        ({"hyperparameterTuningJobs": [PLAIN, PLAIN]}, "/hyperparameterTuningJobs"),
        (_created(PLAIN, "trainingPipeline"), "/trainingPipeline"),
        (_task(studySpec__metrics=[]), "/trainingTaskInputs/studySpec/metrics"),
        ({"job_spec": {"worker_pool_specs": []}, "display_name": "x"}, "/job_spec/worker_pool_specs"),
        (
            {"trainingTaskDefinition": "custom_task_1.0.0.yaml", "trainingTaskInputs": {"workerPoolSpecs": []}},
            "/trainingTaskInputs/workerPoolSpecs",
        ),
    ],
)
def test_mistakes_are_told_where_they_stand_in_the_document(document, place):
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(document)
    assert place in [problem.pointer for problem in caught.value.problems]
