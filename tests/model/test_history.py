"""What of earlier runs means something to a study, and what does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tuneport as tp
from tuneport.model.history import History, fit
from tuneport.testing import strategies

SPACE = [
    tp.Float("momentum", 0.5, 0.99, when=tp.when("opt", "sgd")),
    tp.Categorical("opt", ["adam", "sgd"]),
    tp.Float("lr", 1e-5, 1e-1, scale="log"),
]


def study(*parameters, metric="accuracy"):
    return tp.StudySpec(parameters=parameters or SPACE, objectives=[tp.maximize(metric)])


def trial(number=1, state="succeeded", accuracy=0.9, **parameters):
    final = None if accuracy is None else {"metrics": {"accuracy": accuracy}}
    return {"id": number, "parameters": parameters, "state": state, "final_measurement": final}


def history(*trials, **fields):
    return History(source="file", trials=trials, **fields)


def test_trials_of_the_same_space_are_used_as_they_are():
    found = fit([history(trial(3, opt="sgd", momentum=0.9, lr=0.1), trial(7, opt="adam", lr=0.01))], study())
    assert [(one.id, one.parameters) for one in found.trials] == [
        (1, {"opt": "sgd", "momentum": 0.9, "lr": 0.1}),
        (2, {"opt": "adam", "lr": 0.01}),
    ]
    assert found.unused == 0
    assert str(found) == "2 of 2 earlier trials are used"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (trial(opt="adam", lr=0.5), "'lr' was outside of 1e-05 to 0.1"),
        (trial(opt="rmsprop", lr=0.01), "'opt' was 'rmsprop', which is no value of it"),
        (trial(opt="adam"), "nothing says what 'lr' was"),
        (trial(opt="adam", lr=0.01, state="failed"), "they have no result"),
        (trial(opt="adam", lr=0.01, accuracy=None), "they have no result"),
        (trial(opt="adam", lr=0.01, accuracy=float("nan")), "their 'accuracy' is no finite number"),
        (trial(opt="adam", lr=0.01, state="running"), "they have not ended"),
    ],
)
def test_what_means_nothing_is_counted_with_its_reason(said, reason):
    found = fit([history(said, trial(opt="adam", lr=0.01), said)], study())
    assert len(found.trials) == 1
    assert found.reasons == {reason: 2}
    assert str(found) == f"1 of 3 earlier trials are used; 2 not: {reason}"


def test_another_metric_is_no_result_and_the_nearest_name_is_told():
    assert fit([history(trial(opt="adam", lr=0.01))], study(metric="acuracy")).reasons == {
        "they have no metric 'acuracy'; did you mean 'accuracy'?": 1
    }


@pytest.mark.parametrize(
    ("said", "used", "reasons"),
    [
        ([{"heat": 0.6, "size": 1}, {"heat": 0.5, "size": 1}, {"heat": 0.5, "size": 2}], [3], {"heat": 1, "size": 1}),
        ([{"heat": 0.6}, {}, {"heat": 0.4}], [3], {"heat": 2}),
        ([{}, {}], [1, 2], {}),
    ],
    ids=["both are known", "one is new", "both are new"],
)
def test_what_breaks_a_bound_of_today_is_not_used(said, used, reasons):
    bounded = study().changed(constraints=[tp.Constraint("heat", at_most=0.5), tp.Constraint("size", at_least=2)])
    trials = [trial(opt="adam", lr=number / 100) for number in range(1, len(said) + 1)]
    for one, metrics in zip(trials, said, strict=True):
        one["final_measurement"]["metrics"] |= metrics
    found = fit([history(*trials)], bounded)
    assert [(one.id, one.parameters["lr"]) for one in found.trials] == [(n, lr / 100) for n, lr in enumerate(used, 1)]
    assert found.reasons == {f"they break the bound on '{metric}'": count for metric, count in reasons.items()}


def test_a_new_parameter_is_what_it_was_fixed_at_or_else_its_default():
    wider = study(*SPACE, tp.Int("layers", 1, 8), tp.Discrete("batch", [16, 32], default=32))
    said = history(trial(opt="adam", lr=0.01, gone=7), fixed={"layers": 2})
    assert fit([said], wider).trials[0].parameters == {"opt": "adam", "lr": 0.01, "layers": 2, "batch": 32}


@pytest.mark.parametrize(
    ("parameter", "said", "meant"),
    [
        (tp.Float("p", 0, 1), "0.5", 0.5),
        (tp.Float("p", 0, 10), 3, 3.0),
        (tp.Int("p", 0, 10), "3", 3),
        (tp.Int("p", 0, 10), "3.0", 3),
        (tp.Discrete("p", [16, 32.5]), "32.50", 32.5),
        (tp.Categorical("p", [True, False]), "true", True),
        (tp.Categorical("p", [1, 2]), "1.0", 1),
        (tp.Categorical("p", ["1", "2"]), 1, "1"),
        (tp.Categorical("p", [True, 1, "1"]), 1, 1),
    ],
)
def test_values_are_read_as_the_study_types_them(parameter, said, meant):
    (found,) = fit([history(trial(p=said))], study(parameter)).trials
    assert (type(found.parameters["p"]), found.parameters["p"]) == (type(meant), meant)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        (tp.Int("p", 0, 10), "3.5"),
        (tp.Float("p", 0, 1), "nan"),
        (tp.Float("p", 0, 1), True),
        (tp.Float("p", 0, 1, step=0.25), 0.3),
        (tp.Categorical("p", ["1", 1.0, 1]), True),
        (tp.Categorical("p", [True, False]), 1),
    ],
)
def test_what_is_no_value_is_not_made_one(parameter, said):
    assert fit([history(trial(p=said))], study(parameter)).unused == 1


@settings(max_examples=50)
@given(spec=strategies.studies(), seed=st.integers(0, 99))
def test_every_point_of_a_space_is_one_of_its_own(spec, seed):
    point = tp.Study(spec.changed(algorithm=tp.Random(), early_stopping=None), seed=seed).propose()
    said = trial() | {"parameters": point, "final_measurement": {"metrics": {spec.objective.metric: 1.0}}}
    assert [one.parameters for one in fit([history(said)], spec).trials] == [point]
