import pytest
from hypothesis import given

from tuneport.model.parameters import Categorical, Discrete, Float, Int, when
from tuneport.testing.strategies import spaces
from tuneport.translation.lowering import Vocabulary, hints_text, lower, meant, raised, read_hints

LINEAR = frozenset({"linear"})
RICH = Vocabulary(listed_numbers=1000, conditions=True)
TYPED = Vocabulary(typed_choices=True)
POOR = Vocabulary(
    ints=False,
    listed_numbers=50,
    float_scales=LINEAR,
    int_scales=LINEAR,
    list_scales=LINEAR,
    names=r"[A-Za-z0-9_-]{1,64}",
)
VOCABULARIES = pytest.mark.parametrize("vocabulary", [RICH, TYPED, POOR], ids=["rich", "typed", "poor"])


def said(parameter, vocabulary):
    """Whether a service with this vocabulary has words for the parameter."""
    text = all(isinstance(choice, str) for choice in getattr(parameter, "choices", ()))
    stepless = getattr(parameter, "step", None) is None
    condition = parameter.when is None or vocabulary.conditions
    match parameter:
        case Categorical():
            return condition and (text or vocabulary.typed_choices)
        case Discrete():
            return condition and len(parameter.values) <= vocabulary.listed_numbers
        case Int():
            return condition and vocabulary.ints and stepless and parameter.scale in vocabulary.int_scales
        case Float():
            return condition and stepless and parameter.scale in vocabulary.float_scales


def without_losses(parameter):
    """What cannot be said at all: a first value, and scales that are neither linear nor logarithmic."""
    scale = getattr(parameter, "scale", None)
    lost = {"scale": "linear"} if scale in {"reverse_log", "auto"} else {}
    return parameter.changed(default=None, **lost)


@VOCABULARIES
@given(space=spaces())
def test_a_lowered_space_has_only_words_of_the_vocabulary(vocabulary, space):
    lowered = lower(space, vocabulary)
    assert all(said(parameter, vocabulary) for parameter in lowered.parameters)
    if not vocabulary.conditions:
        names = [parameter.name for parameter in lowered.parameters]
        assert len(set(names)) == len(names)


@VOCABULARIES
@given(space=spaces())
def test_raising_restores_what_was_lowered(vocabulary, space):
    space = tuple(without_losses(parameter) for parameter in space)
    lowered = lower(space, vocabulary)
    again = raised(lowered.parameters, read_hints(hints_text(lowered.hints)), vocabulary)
    lossless = vocabulary is not POOR or not any(isinstance(one, Discrete) and one.scale == "log" for one in space)
    if lossless:
        assert again == space
    assert lower(again, vocabulary) == lowered


@VOCABULARIES
@given(space=spaces())
def test_the_order_in_which_a_service_answers_does_not_matter(vocabulary, space):
    space = tuple(without_losses(parameter) for parameter in space)
    lowered = lower(space, vocabulary)
    backwards = raised(lowered.parameters[::-1], lowered.hints, vocabulary)
    assert set(backwards) == set(raised(lowered.parameters, lowered.hints, vocabulary))


def test_hints_that_do_not_fit_are_ignored():
    lowered = lower([Float("x", 0.0, 1.0, step=0.25)], RICH)
    edited = (Discrete("x", [0.0, 0.3]),)
    assert raised(edited, lowered.hints, RICH) == edited
    assert raised(edited, {"x": {"kind": "float", "range": "?"}}, RICH) == edited
    assert raised(edited, {"other": {"log": True}}, RICH) == edited


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"x": "int"}', '{"": 2}', '{"": 1, "x": 3}'])
def test_only_our_own_hints_are_read(text):
    assert read_hints(text) is None


def test_steps_are_listed_where_that_is_possible_and_else_a_range():
    stepped = [Float("x", 0.0, 1.0, step=0.25), Int("n", 8, 64, step=8)]
    listed = lower(stepped, RICH).parameters
    assert listed == (Discrete("x", [0.0, 0.25, 0.5, 0.75, 1.0]), Discrete("n", [8, 16, 24, 32, 40, 48, 56, 64]))
    assert lower(stepped, TYPED).parameters == (Float("x", 0.0, 1.0), Int("n", 8, 64))


def test_a_logarithm_is_searched_under_another_name():
    (searched,) = lower([Float("lr", 1e-4, 1.0, scale="log")], POOR).parameters
    assert searched == Float("log10_lr", -4.0, 0.0)


def test_branches_are_kept_apart_by_name():
    space = [
        Categorical("opt", ["adam", "sgd"]),
        Float("rate", 0.0, 1.0, when=when("opt", "adam")),
        Float("rate", 1.0, 2.0, when=when("opt", "sgd")),
    ]
    lowered = lower(space, TYPED)
    assert [one.name for one in lowered.parameters] == ["opt", "rate_adam", "rate_sgd"]
    assert lowered.hints["rate_sgd"] == {"name": "rate", "when": ["opt", ["sgd"]]}


def test_conditions_on_typed_choices_follow_their_texts():
    space = (Categorical("on", [True, False]), Float("x", 0.0, 1.0, when=when("on", True)))
    lowered = lower(space, RICH)
    assert lowered.parameters[1].when == when("on", "true")
    assert raised(lowered.parameters, lowered.hints, RICH) == space


def test_choices_that_look_alike_get_different_texts():
    lowered = lower([Categorical("x", [1, "1", True, "true"])], RICH)
    assert lowered.parameters == (Categorical("x", ["1", '"1"', "true", '"true"']),)


@pytest.mark.parametrize("choices", [("1e-5", "b"), (True, False), (1, "1", True)])
def test_choices_keep_their_default_beside_other_hints(choices):
    space = (Categorical("x", choices, default=choices[0]), Float("y:", 0.0, 1.0))
    lowered = lower(space, POOR)
    assert raised(lowered.parameters, lowered.hints, POOR) == space


@pytest.mark.parametrize(
    ("hint", "value", "stands_for"),
    [
        ({"kind": "float", "range": [1e-4, 1.0], "log": True}, -2.0, 0.01),
        ({"kind": "float", "range": [0.0, 1.0], "step": 0.1}, 0.32, 0.3),
        ({"kind": "int", "range": [1, 8]}, 3.6, 4),
        ({"kind": "int", "range": [1, 1000], "log": True}, 9.0, 1000),
        ({"choices": {"true": True, "3": "3"}}, "3", "3"),
        ({}, "adam", "adam"),
    ],
)
def test_values_mean_what_the_trainer_was_told(hint, value, stands_for):
    found = meant({"searched": value}, {"searched": hint | {"name": "x"}})
    assert (found, type(found["x"])) == ({"x": stands_for}, type(stands_for))


def test_values_of_parameters_that_are_switched_off_are_left_out():
    space = [
        Categorical("opt", ["adam", "sgd"]),
        Float("rate", 0.0, 1.0, when=when("opt", "adam")),
        Int("rate", 1, 9, when=when("opt", "sgd")),
        Float("deep", 0.0, 1.0, when=when("rate", 5)),
    ]
    hints = lower(space, TYPED).hints
    searched = {"opt": "sgd", "rate_adam": 0.5, "rate_sgd": 5, "deep": 0.1}
    assert meant(searched, hints) == {"opt": "sgd", "rate": 5, "deep": 0.1}
    assert meant(searched | {"rate_sgd": 6}, hints) == {"opt": "sgd", "rate": 6}
