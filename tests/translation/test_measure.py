"""Jobs compared leaf by leaf, and what a backend declares weighed against what was measured."""

import pytest
from hypothesis import given, settings

from tuneport.model.features import Feature
from tuneport.model.job import TuningJob
from tuneport.testing import strategies
from tuneport.translation.capabilities import (
    Capabilities,
    Fidelity,
    approximated,
    dropped,
    emulated,
    exact,
    unsupported,
)
from tuneport.translation.measure import compare, judge

F = Feature
X = {"name": "x", "kind": "float", "low": 0.5, "high": 2}
Y = {"name": "y", "kind": "categorical", "choices": ["a", "b"]}
ON_A = X | {"when": {"parameter": "y", "values": ["a"]}}
ON_B = X | {"when": {"parameter": "y", "values": ["b"]}}


def job(*parameters, **fields):
    study = {"parameters": parameters or [X], "objectives": [{"metric": "score", "goal": "maximize"}]}
    return TuningJob.model_validate({"name": "j", "study": study, "trial": {"command": ["train"]}} | fields)


def changes(a, b):
    return [tuple(change) for change in compare(a, b)]


def table(**supports):
    """Everything exact but for some features."""
    return Capabilities(dict.fromkeys(Feature, exact()) | {F[name.upper()]: how for name, how in supports.items()})


def verdicts(before, after, capabilities):
    return {one.pointer: (one.fidelity.value, one.by, one.note) for one in judge(before, after, capabilities)}


# ---- comparing ------------------------------------------------------------------------------------------------------


@given(strategies.jobs())
@settings(max_examples=25, deadline=None)
def test_a_job_does_not_differ_from_its_copy(one):
    assert compare(one, TuningJob.model_validate_json(one.model_dump_json())) == []


@given(strategies.jobs(), strategies.jobs())
@settings(max_examples=25, deadline=None)
def test_jobs_that_differ_have_a_change_and_the_same_places_both_ways(a, b):
    meant = [one.model_dump(exclude={"native", "schema_version"}) for one in (a, b)]
    there, back = compare(a, b), compare(b, a)
    assert bool(there) == bool(back)
    assert there or meant[0]["study"]["parameters"] != meant[1]["study"]["parameters"] or meant[0] == meant[1]


def test_changed_and_lost_are_two_things():
    before = job(description="d", labels={"a": "1", "b": "2"})
    after = before.changed(name="k", description=None, labels={"b": "3"})
    assert changes(before, after) == [
        ("/name", "j", "k", False),
        ("/description", "d", None, True),
        ("/labels/a", "1", None, True),
        ("/labels/b", "2", "3", False),
    ]


def test_what_has_become_what_it_is_anyway_is_lost():
    before = job(budget={"max_trials": 7, "parallel_trials": 3})
    assert changes(before, before.changed(budget={"max_trials": 7})) == [("/budget/parallel_trials", 3, 1, True)]


def test_a_default_may_be_written_as_a_whole_number():
    before = job()
    assert changes(before, before.changed(trial={"command": ["train"], "resources": {"gpus": 0.0}})) == []


def test_sizes_are_told_as_people_write_them():
    small, large = (job(trial={"command": ["x"], "resources": {"disk": size}}) for size in ("10GiB", "100GiB"))
    assert changes(small, large) == [("/trial/resources/disk", "10GiB", "100GiB", False)]
    told = judge(small, small, table(resources_disk=approximated("about")))
    assert [(one.before, one.after) for one in told] == [("10GiB", "10GiB")]


def test_types_of_choices_count():
    one, other = (job(Y | {"choices": choices}) for choices in ([1, 2], [1.0, 2]))
    assert changes(one, other) == [("/study/parameters/0/choices", [1, 2], [1.0, 2], False)]
    assert changes(job(trial={"command": ["t"], "parameters": {"a": True}}), job(
        trial={"command": ["t"], "parameters": {"a": 1}})) == [("/trial/parameters/a", True, 1, False)]  # fmt: skip


def test_parameters_have_no_order_but_conditions():
    assert changes(job(X, Y), job(Y, X)) == []
    assert changes(job(Y, ON_A, ON_B), job(ON_B, Y, ON_A)) == []
    (change,) = changes(job(Y, ON_A), job(Y, X))
    assert (change[0], change[3]) == ("/study/parameters/1/when", True)


def test_conditions_that_python_takes_for_the_same_are_told_apart():
    parent = {"name": "y", "kind": "categorical", "choices": [True, 1, 1.0]}
    ours, *theirs = (job(parent, X | {"when": {"parameter": "y", "values": [value]}}) for value in (True, 1, 1.0))
    assert [changes(ours, other) for other in theirs] == [
        [("/study/parameters/1/when/values", [True], [1], False)],
        [("/study/parameters/1/when/values", [True], [1.0], False)],
    ]


def varied(*variants, **trial):
    changed = [{"when": {"parameter": "y", "values": values}, **change} for values, change in variants]
    return job(Y, X, trial={"image": "i", **trial, "variants": changed})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (varied((["a"], {"image": "k"}), (["b"], {"image": "k"})), varied(image="k")),
        (varied((["a"], {"retries": 2}), (["b"], {"retries": 2})), varied((["b", "a"], {"retries": 2}))),
        (varied((["a"], {"retries": 2}), (["a"], {"retries": 3})), varied((["a"], {"retries": 3}))),
        (varied((["a"], {"image": "k"})), varied((["b"], {"image": "i"}), image="k")),
    ],
)
def test_variants_that_make_the_same_trials_are_the_same(one, other):
    assert changes(one, other) == changes(other, one) == []


def test_variants_that_make_other_trials_differ():
    a = varied((["a"], {"retries": 2}))
    assert changes(a, varied((["b"], {"retries": 2}))) == [("/trial/variants/0/when/values", ["a"], ["b"], False)]
    assert changes(a, varied((["a"], {"retries": 2, "metric": "m"}))) == [
        ("/trial/variants/0/metric", None, "m", False)
    ]


def test_parameters_that_went_and_came():
    assert [one[0] for one in changes(job(X, Y), job(X))] == ["/study/parameters/1"]
    ((place, before, after, lost),) = changes(job(X), job(X, Y))
    assert (place, before, after, lost) == ("/study/parameters/-", None, job(Y).study.parameters[0].brief(), False)


def test_boxes_are_judged_elsewhere():
    assert changes(job(), job(native={"vertex": {"a": 1}})) == []


# ---- judging --------------------------------------------------------------------------------------------------------


def test_nothing_declared_and_nothing_changed_is_no_report():
    assert judge(job(), job(), table()) == []


def test_what_is_lost_without_being_declared_is_unsupported_unless_it_is_cosmetic():
    before = job(description="d", budget={"parallel_trials": 3})
    after = job()
    assert verdicts(before, after, table()) == {
        "/description": ("dropped", None, "nothing there says this"),
        "/budget/parallel_trials": ("unsupported", None, "nothing there says this"),
    }


def test_what_changes_without_being_declared_is_approximated():
    found = verdicts(job(X | {"high": 3}), job(), table())
    assert found == {"/study/parameters/0/high": ("approximated", None, "it comes back changed")}


@pytest.mark.parametrize(
    ("declared", "came_back", "level"),
    [
        (exact(), True, None),
        (exact(), False, "unsupported"),
        (emulated("us", "by hand"), True, "emulated"),
        (emulated("us", "by hand"), False, "unsupported"),  # nobody can emulate what is not there any more
        (dropped("no matter"), True, "dropped"),
        (dropped("no matter"), False, "dropped"),
        (approximated("about"), True, "approximated"),
        (approximated("about"), False, "approximated"),
        (unsupported("no"), True, "unsupported"),
        (unsupported("no"), False, "unsupported"),
    ],
)
def test_the_worse_of_declared_and_measured_counts(declared, came_back, level):
    before = job(trial={"command": ["train"], "timeout": 60})
    found = verdicts(before, before if came_back else job(), table(trial_timeout=declared))
    assert found.get("/trial/timeout", (None,))[0] == level
    assert found.keys() <= {"/trial/timeout"}


def test_several_changes_in_one_declared_place_are_all_told():
    before = job(trial={"command": ["train"], "metrics": {"a": "a", "b": "b"}})
    found = verdicts(before, job(), table(trial_metric_patterns=unsupported("none there", instead="report them")))
    assert found == {f"/trial/metrics/{name}": ("unsupported", None, "none there; report them") for name in ("a", "b")}


def test_a_declared_part_of_a_parameter_is_no_excuse_for_losing_all_of_it():
    before = job(X, Y | {"default": "a"})
    found = verdicts(before, job(X), table(parameter_default=dropped("first trials are its own")))
    assert found["/study/parameters/1"][0] == "unsupported"


def test_reports_are_in_the_order_of_the_job():
    before = job(*({**X, "name": f"x{at}"} for at in range(12)), description="d", budget={"parallel_trials": 2})
    after = job(*({**X, "name": f"x{at}", "high": 9} for at in range(12)))
    places = [one.pointer for one in judge(before, after, table())]
    assert places[:2] == ["/description", "/study/parameters/0/high"]
    assert places[-2:] == ["/study/parameters/11/high", "/budget/parallel_trials"]
    assert {one.fidelity for one in judge(before, after, table())} == {
        Fidelity.DROPPED, Fidelity.APPROXIMATED, Fidelity.UNSUPPORTED,
    }  # fmt: skip
