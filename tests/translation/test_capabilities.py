"""Fidelities are ordered, screening names every obstacle, and reports hold up against a tolerance."""

import itertools
import json

import pytest

from tuneport.backends.local.capabilities import CAPABILITIES as LOCAL
from tuneport.errors import ToleranceError
from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.features import Feature
from tuneport.translation.capabilities import (
    Capabilities,
    Fidelity,
    Limits,
    approximated,
    dropped,
    emulated,
    exact,
    screen,
    unsupported,
)
from tuneport.translation.report import FieldReport, TranslationReport

EVERYTHING = Capabilities(dict.fromkeys(Feature, exact()))


def test_fidelities_are_ordered_from_best_to_worst():
    names = ["exact", "emulated", "dropped", "approximated", "unsupported"]
    assert [one.value for one in sorted(Fidelity)] == names
    assert all(a < b and b > a and a <= b and not b <= a for a, b in itertools.combinations(Fidelity, 2))


def test_constructors():
    made = [exact(), emulated("tuneport_trial"), dropped("x"), approximated("x"), unsupported("x", instead="y")]
    assert [one.fidelity for one in made] == list(Fidelity)
    assert made[1].by == "tuneport_trial"


def test_everything_passes_where_everything_is_supported():
    assert not [problem for entry in CATALOGUE.values() for problem in screen(entry.specimen(), EVERYTHING)]


@pytest.mark.parametrize("feature", Feature)
def test_an_unlisted_feature_is_unsupported(feature):
    lacking = Capabilities({one: exact() for one in Feature if one is not feature})
    problems = screen(CATALOGUE[feature].specimen(), lacking)
    assert problems
    assert all(f"({feature}) is not supported" in problem.message and problem.pointer for problem in problems)


def test_every_obstacle_is_named_with_reason_and_way_out():
    lacking = Capabilities(
        EVERYTHING.supports
        | {
            Feature.PARAMETER_CONDITION: unsupported("no conditions there", instead="flatten the space"),
            Feature.PARAMETER_INT: unsupported("no whole numbers there"),
        }
    )
    found = [(one.pointer, one.hint) for one in screen(CATALOGUE[Feature.PARAMETER_SAME_NAME].specimen(), lacking)]
    assert found == [
        ("/study/parameters/1", None),
        ("/study/parameters/2", None),
        ("/study/parameters/1/when", "flatten the space"),
        ("/study/parameters/2/when", "flatten the space"),
    ]


@pytest.mark.parametrize(
    ("limit", "feature", "pointer"),
    [
        ("max_parameters", Feature.PARAMETER_CONDITION_NESTED, "/study/parameters"),
        ("max_objectives", Feature.OBJECTIVE_SEVERAL, "/study/objectives"),
        ("max_trials", Feature.BUDGET_MAX_TRIALS, "/budget/max_trials"),
        ("max_parallel_trials", Feature.BUDGET_PARALLEL_TRIALS, "/budget/parallel_trials"),
    ],
)
def test_a_limit_holds_on_the_line_and_not_one_over_it(limit, feature, pointer):
    job = CATALOGUE[feature].specimen()
    amount = {"max_parameters": 3, "max_objectives": 2, "max_trials": 20, "max_parallel_trials": 2}[limit]
    assert not screen(job, Capabilities(EVERYTHING.supports, Limits(**{limit: amount})))
    (problem,) = screen(job, Capabilities(EVERYTHING.supports, Limits(**{limit: amount - 1})))
    assert problem.pointer == pointer
    assert f"{limit} is {amount - 1}" in problem.message


def test_this_machine_says_something_about_every_feature():
    assert set(LOCAL.supports) == set(Feature)
    for feature, support in LOCAL.supports.items():
        assert support.note or support.fidelity is Fidelity.EXACT, feature
        assert support.instead or support.fidelity is not Fidelity.UNSUPPORTED, feature


@pytest.mark.parametrize(
    "feature",
    [
        Feature.EARLY_STOPPING_CURVE,
        Feature.TRIAL_IMAGE,
        Feature.TRIAL_INPUTS_REMOTE,
        Feature.TRIAL_OUTPUT_REMOTE,
        Feature.TRIAL_PACKAGE_REMOTE,
    ],
)
def test_what_this_machine_cannot_do_comes_with_a_way_out(feature):
    (problem,) = screen(CATALOGUE[feature].specimen(), LOCAL)
    assert problem.hint


def test_this_machine_runs_the_command_of_an_image():
    assert not screen(CATALOGUE[Feature.TRIAL_IMAGE_COMMAND].specimen(), LOCAL)


REPORT = TranslationReport(
    fields=(
        FieldReport(pointer="/name", fidelity=Fidelity.EXACT),
        FieldReport(
            pointer="/trial/spot", feature=Feature.TRIAL_SPOT, fidelity=Fidelity.APPROXIMATED, before=True, after=False
        ),
        FieldReport(pointer="/labels", fidelity=Fidelity.DROPPED, note="no labels there"),
    )
)


def test_a_report_knows_its_worst_and_is_data():
    assert REPORT.worst is Fidelity.APPROXIMATED
    assert TranslationReport().worst is Fidelity.EXACT
    assert TranslationReport.model_validate_json(json.dumps(REPORT.brief())) == REPORT


def test_tolerance():
    REPORT.require(Fidelity.APPROXIMATED)
    with pytest.raises(ToleranceError) as caught:
        REPORT.require(Fidelity.EMULATED)
    assert [problem.pointer for problem in caught.value.problems] == ["/trial/spot", "/labels"]
    assert "True becomes False" in str(caught.value)
    assert "no labels there" in str(caught.value)
    assert caught.value.report is REPORT
    assert caught.value.exit_code == 4


def test_what_is_unsupported_is_never_tolerated():
    report = TranslationReport(fields=(FieldReport(pointer="/x", fidelity=Fidelity.UNSUPPORTED, note="no"),))
    with pytest.raises(ToleranceError):
        report.require(Fidelity.UNSUPPORTED)
