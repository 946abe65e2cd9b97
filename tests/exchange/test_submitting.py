"""What is sent is the service's own document, however the job was once read."""

import pytest

import tuneport as tp
from tuneport import translating
from tuneport.errors import PayloadError
from tuneport.translation.capabilities import Fidelity

SNAKE = {
    "display_name": "digits",
    "max_trial_count": "4",
    "parallel_trial_count": 2,
    "study_spec": {
        "metrics": [{"metric_id": "accuracy", "goal": 1}],
        "parameters": [{"parameter_id": "lr", "double_value_spec": {"min_value": 1e-4, "max_value": 1}}],
    },
    "trial_job_spec": {
        "worker_pool_specs": [
            {
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "container_spec": {"image_uri": "gcr.io/p/train:1"},
            }
        ]
    },
}


def test_spelling_and_answers_are_not_sent():
    job = tp.import_job({**SNAKE, "state": "JOB_STATE_RUNNING", "name": "projects/1/x/2"}, source="vertex").job
    sent = translating.to_submit(job, "vertex")
    assert sent.form == "job"
    assert sent.plain["maxTrialCount"] == 4
    assert sent.plain["studySpec"]["metrics"] == [{"metricId": "accuracy", "goal": "MAXIMIZE"}]
    assert not {"state", "name", "display_name"} & sent.plain.keys()


def test_what_was_read_is_given_back_in_its_own_spelling():
    job = tp.import_job(SNAKE, source="vertex").job
    assert tp.translate(job, to="vertex").payload == SNAKE


def test_only_what_the_service_takes_is_submitted():
    job = tp.import_job(SNAKE, source="vertex").job
    with pytest.raises(PayloadError, match="gcloud") as caught:
        translating.to_submit(job, "vertex", form="gcloud")
    assert "pipeline" in caught.value.hint
    assert translating.to_submit(job, "vertex", form="pipeline").plain["trainingTaskDefinition"]


def test_a_machine_that_lacks_what_is_asked_for_is_told():
    job = tp.import_job(SNAKE, source="vertex").job
    asking = job.changed(trial=job.trial.changed(resources=job.trial.resources.changed(cpus=64, memory="8GiB")))
    found = {one.pointer: one.fidelity for one in tp.translate(asking, to="vertex").report.fields}
    assert found["/trial/resources/cpus"] is Fidelity.UNSUPPORTED
    assert found["/trial/resources/memory"] is Fidelity.EMULATED
