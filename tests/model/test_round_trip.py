"""Any valid job survives JSON, YAML, TOML and `brief`, and the schema of job files accepts it."""

import io
import json

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tuneport import schemas
from tuneport.errors import JobError
from tuneport.files import json_text, toml_text, yaml_text
from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.feature_usage import used
from tuneport.model.features import Feature
from tuneport.model.job import TuningJob
from tuneport.testing.strategies import jobs

SCHEMA = jsonschema.Draft202012Validator(schemas.schema("job"))
many = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(jobs())
def test_json_and_brief(job):
    assert TuningJob.model_validate_json(job.model_dump_json()) == job
    assert TuningJob.model_validate(job.model_dump()) == job
    assert TuningJob.model_validate(job.brief()) == job
    assert len(json.dumps(job.brief())) <= len(job.model_dump_json()) + 1000
    SCHEMA.validate(job.brief())
    assert used(job)


@many
@given(jobs(), st.data())
def test_what_a_trial_runs_is_valid_whatever_varies(job, data):
    choices = {one.name: one.choices for one in job.study.parameters if hasattr(one, "choices")}
    parameters = {name: data.draw(st.sampled_from(values)) for name, values in choices.items()}
    here = job.under(parameters)
    assert TuningJob.model_validate(here.model_dump()) == here
    assert here.trial.variants == ()
    applied = [variant for variant in job.trial.variants if variant.when.holds(parameters)]
    for variant in applied[-1:]:
        assert dict(variant.changes()).items() <= dict(here.trial).items()
    if not applied:
        assert (here.trial.changed(variants=job.trial.variants), here.study) == (job.trial, job.study)


@many
@given(jobs())
def test_files(job):
    for form in (yaml_text, json_text, toml_text):
        if form is toml_text and has_null(job.brief()):
            with pytest.raises(JobError, match="TOML has no null"):
                form.write(job.brief())
            continue
        text = form.write(job.brief())
        assert TuningJob.model_validate(form.read(text, "job").data) == job, text


def has_null(data):
    if isinstance(data, (dict, list)):
        return any(has_null(item) for item in (data.values() if isinstance(data, dict) else data))
    return data is None


@settings(many, max_examples=30)
@given(jobs())
@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
def test_others_read_our_yaml_alike(version, job):
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    text = yaml_text.write(job.brief())
    assert reader.load(io.StringIO(text)) == job.brief(), text


@pytest.mark.parametrize("feature", Feature)
def test_specimens(feature):
    job = CATALOGUE[feature].specimen()
    assert TuningJob.model_validate_json(job.model_dump_json()) == job
    SCHEMA.validate(job.brief())
