"""What is asked for when something is created: whatever it is, it is accepted or refused in the service's words."""

import json

import pytest

from tuneport.emulators.launching import NOTHING
from tuneport.emulators.vertex import requests
from tuneport.emulators.vertex.refusals import RefusalError, field_path
from tuneport.testing.mutations import mutated

DEFINITIONS = "gs://google-cloud-aiplatform/schema/trainingjob/definition"
SEEDS = 400


def documents(job):
    inputs = {one: job[one] for one in ("studySpec", "trialJobSpec", "maxTrialCount", "parallelTrialCount")}
    pipeline = {"displayName": "p", "trainingTaskInputs": inputs}
    return {
        requests.tuning_job: job,
        requests.custom_job: {"displayName": "c", "jobSpec": job["trialJobSpec"]},
        requests.pipeline: pipeline
        | {"trainingTaskDefinition": f"{DEFINITIONS}/hyperparameter_tuning_task_1.0.0.yaml"},
    }


@pytest.mark.parametrize("kind", [requests.tuning_job, requests.custom_job, requests.pipeline])
def test_mistakes_are_refused_and_nothing_else_happens(job, kind):
    options = {"stopping": False} if kind is requests.tuning_job else {}
    document = documents(job)[kind]
    kind(document, **options)
    refusals = []
    for seed in range(SEEDS):
        try:
            kind(json.loads(json.dumps(mutated(document, seed))), **options)
        except RefusalError as error:
            refusals.append(error)
    assert SEEDS / 4 < len(refusals) < SEEDS
    assert {one.http for one in refusals} == {400}
    assert all(json.dumps(one.error) for one in refusals)


def test_a_request_is_left_as_it_was_and_its_echo_asks_for_the_same(job):
    before = json.dumps(job)
    asked = requests.tuning_job(job, stopping=False)
    assert json.dumps(job) == before
    again = requests.tuning_job(asked.echo, stopping=False)
    assert (again.echo, again.job) == (asked.echo, asked.job.model_copy(update={"trial": again.job.trial}))
    assert again.job.trial.resources.disk == 100 * 2**30  # what every machine gets


def test_a_custom_job_without_flags_is_told_one(job):
    job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"] = ["train"]
    asked = requests.custom_job({"displayName": "c", "jobSpec": job["trialJobSpec"]})
    assert [one.name for one in asked.job.study.parameters] == [NOTHING]
    assert asked.echo["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"] == ["train"]


@pytest.mark.parametrize(
    ("pointer", "path"),
    [
        ("/trialJobSpec/workerPoolSpecs/0/machineSpec", "trial_job_spec.worker_pool_specs[0].machine_spec"),
        ("/labels/a~1b", "labels.a/b"),
        ("", ""),
    ],
)
def test_places_are_written_as_the_service_writes_them(pointer, path):
    assert field_path(pointer) == path
