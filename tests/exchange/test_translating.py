"""The public verbs: translate, import_job, migrate, refusals, plan, diff."""

from pathlib import Path

import pytest

from tuneport import translating
from tuneport.errors import BackendNotFoundError, JobError, PayloadError, SettingsError
from tuneport.model.job import TuningJob

pytestmark = pytest.mark.usefixtures("installed")

JOB = {
    "name": "digits",
    "study": {
        "parameters": [{"name": "lr", "kind": "float", "low": 0.001, "high": 0.1}],
        "objectives": [{"metric": "accuracy", "goal": "maximize"}],
        "algorithm": {"kind": "random"},
    },
    "trial": {"image": "nimbus/train:3", "output": {"uri": "nim://runs/"}, "resources": {"machine": "n.large"}},
    "budget": {"max_trials": 20, "parallel_trials": 3},
}


def test_translate_takes_plain_data_and_settings_of_any_kind():
    settings = translating.cloud("nimbus").settings_type(account="me")
    for given in ({"account": "me"}, settings):
        assert translating.translate(JOB, "nimbus", settings=given).payload["account"] == "me"


def test_configured_settings_and_maps_apply():
    Path("tuneport.toml").write_text('[nimbus]\naccount = "ours"\n[map.uri]\n"s3://a/" = "nim://b/"\n')
    moved = JOB | {"trial": JOB["trial"] | {"output": {"uri": "s3://a/x/"}}}
    made = translating.translate(moved, "nimbus")
    assert (made.payload["account"], made.payload["results"]) == ("ours", "nim://b/x/")
    assert translating.translate(moved, "nimbus", settings={"account": "mine"}).payload["account"] == "mine"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: translating.translate(JOB, "nimbsu"), BackendNotFoundError, "no backend 'nimbsu'"),
        (lambda: translating.translate(JOB, "local"), BackendNotFoundError, "has no documents of its own"),
        (lambda: translating.translate({"name": "x"}, "nimbus"), JobError, "TuningJob: 2 problems"),
        (lambda: translating.translate("job.yaml", "nimbus"), JobError, "tuneport.files.read_job reads a file"),
        (lambda: translating.translate(JOB, "nimbus", settings={"acount": 1}), SettingsError, "settings: 1 problem"),
        (lambda: translating.import_job({"title": 1}, "nimbus"), PayloadError, "'goal' is required"),
    ],
)
def test_whatever_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_settings_of_another_backend_are_refused():
    from tuneport.backends.vertex.settings import VertexSettings  # noqa: PLC0415

    with pytest.raises(SettingsError, match="must be NimbusSettings, not VertexSettings"):
        translating.translate(JOB, "nimbus", settings=VertexSettings())


def test_a_job_moves_there_and_back(document):
    imported = translating.import_job(document, "nimbus")
    settings = {"machine": "n1-standard-4", "image": "gcr.io/p/train:1"}
    there = translating.migrate(document, "nimbus", "vertex", settings=settings)
    assert there.job == imported.job
    back = translating.migrate(there.payload, "vertex", "nimbus", settings={"results": "nim://runs/"})
    assert back.job.study.parameters == imported.job.study.parameters
    assert back.payload["trials"] == 20


def test_refusals_are_about_words_of_the_job():
    job = TuningJob.model_validate(JOB)
    assert translating.refusals(job, "nimbus") == []
    too_many = job.changed(
        budget={"max_trials": 2000, "parallel_trials": 11},
        trial=JOB["trial"] | {"image": "elsewhere/x:1", "timeout": 60},
    )
    found = {}
    for one in translating.refusals(too_many, "nimbus"):
        found[one.pointer] = f"{found.get(one.pointer, '')} {one.message}"
    assert "max_trials is 1000" in found["/budget/max_trials"]
    assert "max_parallel_trials is 10" in found["/budget/parallel_trials"]
    assert "is not an image of this backend" in found["/trial/image"]
    assert "nimbus has no word for it" in found["/trial/timeout"]


def test_a_plan_says_what_it_means():
    plan = translating.plan(JOB | {"trial": JOB["trial"] | {"timeout": "1h", "retries": 1}}, "nimbus")
    assert (plan.trials, plan.parallel, plan.machine, plan.replicas) == (20, 3, "n.large", 1)
    assert plan.seconds == 7 * 3600 * 2  # seven rounds of three, each trial at most twice
    assert sorted(one.pointer for one in plan.unresolved) == ["/trial/retries", "/trial/timeout"]
    bounded = translating.plan(JOB | {"budget": {"max_trials": 9, "max_seconds": "2h"}}, "nimbus")
    assert bounded.seconds == 7200
    assert translating.plan(JOB, "nimbus").seconds is None


def test_diff_is_about_meaning():
    a = TuningJob.model_validate(JOB)
    other = {"name": "n", "kind": "int", "low": 1, "high": 8}
    study = JOB["study"]
    b = a.changed(study=study | {"parameters": [other, *study["parameters"]]})
    c = a.changed(study=study | {"parameters": [*study["parameters"], other]})
    assert translating.diff(b, c) == []
    (change,) = translating.diff(a, a.changed(name="letters"))
    assert tuple(change)[:3] == ("/name", "digits", "letters")
    assert [one.pointer for one in translating.diff(a, a.changed(native={"nimbus": {"color": "red"}}))] == [
        "/native/nimbus/color"
    ]


def test_clouds_are_those_that_have_documents():
    assert {"nimbus", "vertex", "sagemaker", "modelarts"} <= set(translating.clouds())
    assert "local" not in translating.clouds()


def _varied(*variants, **trial):
    """A job that SageMaker takes, with variants of its trial."""
    return TuningJob.model_validate(
        {
            "name": "demo",
            "study": {
                "parameters": [
                    {"name": "x", "kind": "float", "low": 0, "high": 1},
                    {"name": "model", "kind": "categorical", "choices": ["a", "b"]},
                ],
                "objectives": [{"metric": "score", "goal": "maximize"}],
            },
            "trial": {
                "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/demo:1",
                "identity": "arn:aws:iam::111122223333:role/demo",
                "output": {"uri": "s3://demo-bucket/out"},
                "resources": {"machine": "ml.m5.large"},
                **trial,
                "variants": [{"when": {"parameter": "model", "values": [name]}, **change} for name, change in variants],
            },
        }
    )


def test_variants_that_become_one_are_not_lost():
    alike = _varied(("a", {"env": {"A": "1"}}), ("b", {"env": {"A": "1"}}))
    assert translating.refusals(alike, "sagemaker") == []
    assert not [one for one in translating.translate(alike, "sagemaker").report.fields if "variants" in one.pointer]


def test_variants_have_packages_of_their_own():
    packed = _varied(*((name, {"package": f"s3://demo-bucket/{name}.tar.gz"}) for name in "ab"), command=["train"])
    assert translating.refusals(packed, "sagemaker") == []
    payload = translating.translate(packed, "sagemaker").payload
    static = [one["StaticHyperParameters"] for one in payload["TrainingJobDefinitions"]]
    places = [one["sagemaker_submit_directory"] for one in static]
    assert places == ["s3://demo-bucket/a.tar.gz", "s3://demo-bucket/b.tar.gz"]
    assert translating.diff(packed, translating.import_job(payload, "sagemaker").job) == []


@pytest.mark.parametrize("cloud", ["vertex", "modelarts"])
def test_where_there_are_no_variants_each_is_refused_once(cloud):
    varied = _varied(("b", {"env": {"A": "1"}, "inputs": [{"name": "i", "uri": "data/here"}]}))
    told = [one for one in translating.refusals(varied, cloud) if one.pointer.startswith("/trial/variants/0")]
    assert [one.message.partition(";")[0] for one in told if "inputs" not in one.pointer] == [
        "all trials of a job run the same"
    ]
