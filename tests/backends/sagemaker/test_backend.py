"""The nameplate of SageMaker, its settings, and its table."""

import re

import pytest

from tuneport import exchange
from tuneport.backends.sagemaker import BACKEND
from tuneport.model.features import Feature
from tuneport.model.job import TuningJob
from tuneport.model.word import pointer
from tuneport.translation.shape import schema_of

JOB = {
    "name": "job",
    "study": {
        "parameters": [{"name": "x", "kind": "int", "low": 1, "high": 200}],
        "objectives": [{"metric": "m", "goal": "maximize"}],
    },
    "trial": {"command": ["train"]},
}
SETTINGS = {
    "role": "arn:aws:iam::111122223333:role/demo",
    "output": "s3://demo-bucket/out",
    "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/demo:1",
    "machine": "ml.m5.large",
    "training_plan": "arn:aws:sagemaker:eu-west-1:111122223333:training-plan/m5-week",
    "subnets": ["subnet-1"],
    "security_groups": ["sg-1"],
    "key": "alias/results",
    "disk_key": "1234abcd-12ab-34cd-56ef-1234567890ab",
}


def test_every_feature_is_judged_with_evidence():
    supports = BACKEND.capabilities.supports
    assert supports.keys() == set(Feature)
    assert not [feature for feature, support in supports.items() if not support.evidence]


def test_settings_say_what_a_job_leaves_open():
    made = exchange.translate(TuningJob.model_validate(JOB), BACKEND, BACKEND.settings_type.model_validate(SETTINGS))
    assert BACKEND.translator.problems(made.request, "request") == []
    for name, place in BACKEND.settings_type.WORDS.items():
        here = made.job
        for part in place.split("/")[1:]:
            here = getattr(here, part)
        assert here == (tuple(SETTINGS[name]) if isinstance(SETTINGS[name], list) else SETTINGS[name])


@pytest.mark.parametrize(
    ("kind", "ours", "theirs"),
    [
        ("uri", ["s3://b/k", "efs://fs-1/x", "fsx://fs-1/x"], ["gs://b/k", "obs://b/k", "data/x", "nfs://h/p"]),
        ("image", [SETTINGS["image"]], ["gcr.io/p/i:1", "pytorch:2", "swr.x.myhuaweicloud.com/o/i:1"]),
        ("machine", ["ml.p4d.24xlarge", "ml.m7i-flex.large"], ["n1-standard-8", "modelarts.vm.cpu.2u"]),
        ("identity", [SETTINGS["role"]], ["trainer@p.iam.gserviceaccount.com", "agency"]),
        ("network", ["subnet-0a1b", "sg-0a1b"], ["projects/p/global/networks/n", "default"]),
        (
            "key",
            ["alias/a", SETTINGS["disk_key"], "arn:aws:kms:eu-west-1:1:key/0"],
            ["projects/p/locations/l/keyRings/r"],
        ),
    ],
)
def test_what_is_at_home(kind, ours, theirs):
    pattern = getattr(BACKEND.capabilities.home, kind)
    assert all(re.fullmatch(pattern, one) for one in ours)
    assert not any(re.fullmatch(pattern, one) for one in theirs)


def test_every_machine_type_of_the_vendors_model_is_at_home():
    names = schema_of("tuneport.backends.sagemaker")["$defs"]["TrainingInstanceType"]["enum"]
    assert all(re.fullmatch(BACKEND.capabilities.home.machine, name) for name in names)


def test_material_places_are_places_of_requests():
    definitions = schema_of("tuneport.backends.sagemaker")["$defs"]
    for place in BACKEND.capabilities.material:
        here = definitions["CreateHyperParameterTuningJobRequest"]
        for part in place.split("/")[1:]:
            inner = here["items"] if part == "*" or part.isdecimal() else here["properties"][part]
            here = definitions[inner["$ref"].rpartition("/")[2]]
    assert pointer(["Autotune"]) in BACKEND.capabilities.material
