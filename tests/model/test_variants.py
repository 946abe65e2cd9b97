"""Variants: what a parameter's value changes of a trial."""

import pytest

from tuneport import Categorical, Float, StudySpec, TrialSpec, TuningJob, maximize, when
from tuneport.errors import JobError
from tuneport.model.trial_spec import Variant

MODEL = Categorical("model", ["a", "b", "c"])
SCORE, SIZE = maximize("score"), maximize("size")


def job(*variants, objectives=(SCORE,), **trial):
    return TuningJob(
        name="x",
        study=StudySpec(parameters=[MODEL, Float("lr", 0.0, 1.0)], objectives=objectives),
        trial={"command": ["train"], **trial, "variants": variants},
    )


def test_a_job_without_variants_is_the_same_for_every_trial():
    plain = job()
    assert plain.under({"model": "a"}) is plain


def test_fields_are_replaced_as_a_whole_and_later_variants_win():
    varied = job(
        Variant(when=when("model", "a", "b"), args=["--ab"], timeout="1h"),
        Variant(when=when("model", "b"), args=["--b"], env={"B": "2"}),
        env={"A": "1"},
        retries=3,
    )
    a, b, c = (varied.under({"model": name}).trial for name in "abc")
    assert (a.args, a.timeout, a.env) == (("--ab",), 3600, {"A": "1"})
    assert (b.args, b.timeout, b.env) == (("--b",), 3600, {"B": "2"})
    assert c == TrialSpec(command=["train"], env={"A": "1"}, retries=3)
    assert {a.retries, b.retries} == {3}


@pytest.mark.parametrize(
    ("trial", "variant", "left"),
    [
        ({"command": ["x"]}, {"image": "i"}, {"command", "image"}),
        ({"image": "i", "command": ["x"]}, {"image": "j"}, {"command", "image"}),
        ({"module": "m", "image": "i", "package": "p"}, {"command": ["x"]}, {"command", "image", "package"}),
        ({"module": "m", "package": "p"}, {"algorithm": "k"}, {"algorithm"}),
        ({"function": "m:f"}, {"image": "i"}, {"image"}),
        ({"algorithm": "k"}, {"image": "i", "command": ["x"]}, {"image", "command"}),
        ({"algorithm": "k"}, {"args": ["--x"]}, {"algorithm"}),
        ({"command": ["x"]}, {"package": "q"}, {"command", "package"}),
        ({"module": "m"}, {"package": "q", "image": "i"}, {"module", "image", "package"}),
        ({"algorithm": "k"}, {"command": ["x"], "package": "q"}, {"command", "package"}),
    ],
)
def test_what_cannot_run_together_gives_way(trial, variant, left):
    spec = TrialSpec(**trial, variants=[Variant(when=when("model", "a"), **variant)])
    ways = {"command", "image", "module", "function", "algorithm", "package"}
    applied = spec.under({"model": "a"})
    assert {way for way in ways if getattr(applied, way) is not None} == left


def test_the_primary_metric_has_another_name_where_a_variant_says_so():
    varied = job(Variant(when=when("model", "a"), metric="a_score"), objectives=[SCORE, SIZE])
    assert [one.metric for one in varied.under({"model": "a"}).study.objectives] == ["a_score", "size"]
    assert varied.under({"model": "b"}).study == varied.study


@pytest.mark.parametrize(
    ("variant", "pointer"),
    [
        ({"when": {"parameter": "modle", "values": ["a"]}}, "/trial/variants/0/when/parameter"),
        ({"when": {"parameter": "model", "values": ["a", "z"]}}, "/trial/variants/0/when/values/1"),
        ({"metric": "size"}, "/trial/variants/0/metric"),
        ({"image": "i", "algorithm": "k"}, "/trial/variants/0"),
        ({"command": []}, "/trial/variants/0/command"),
        ({"env": {"DB_PASSWORD": "x"}}, "/trial/variants/0/env/DB_PASSWORD"),
        ({"module": "m"}, "/trial/variants/0/module"),
        ({"algorithm": "k", "package": "p"}, "/trial/variants/0/package"),
    ],
)
def test_what_is_wrong_with_a_variant(variant, pointer):
    with pytest.raises(JobError) as caught:
        job({"when": when("model", "a"), **variant}, objectives=[SCORE, SIZE])
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


def test_all_that_is_wrong_with_several_variants_is_said_at_once():
    condition = {"parameter": "model", "values": ["a"]}
    with pytest.raises(JobError) as caught:
        job(
            {"when": condition, "retries": -1},
            {"when": condition, "command": []},
            {"imgae": "i"},
            args=["--token=x", [1]],
        )
    assert {problem.pointer for problem in caught.value.problems} == {
        "/trial/args/1",
        "/trial/variants/0/retries",
        "/trial/variants/1/command",
        "/trial/variants/2/imgae",
        "/trial/variants/2/when",
    }
