"""Random search spaces with all kinds of parameters, scales, steps and nested conditions, and an oracle for them."""

import math

from hypothesis import strategies as st

from tuneport.model.parameters import Categorical, Discrete, Float, Int, When, allowed
from tuneport.model.study import (
    Anneal,
    Bayesian,
    CmaEs,
    Grid,
    Hyperband,
    Plugin,
    Random,
    Sobol,
    StudySpec,
    Tpe,
    minimize,
)

ALGORITHMS = [
    Random(),
    Sobol(),
    Tpe(initial_trials=3),
    Anneal(),
    Bayesian(initial_trials=3),
    CmaEs(population_size=4),
    Plugin(name="optuna", options={"n_startup_trials": 3}),
    Hyperband(),
]
"""Every algorithm that can search any space, eager to use its model."""
LOSS = minimize("loss")
ALL_ALGORITHMS = [*ALGORITHMS, Grid()]


def spec(parameters, algorithm=None, objective=LOSS, **more):
    return StudySpec(parameters=parameters, objectives=[objective], algorithm=algorithm or Random(), **more)


@st.composite
def _floats(draw, name, condition, finite):
    scale = draw(st.sampled_from(["linear", "log", "reverse_log", "auto"]))
    low = draw(st.sampled_from([1e-6, 0.1, 0.5]) if scale != "linear" else st.sampled_from([-3.5, 0.0, 1e-6]))
    span = draw(st.sampled_from([0.0, 0.3, 0.49, 10.0, 1e4]))
    step = draw(st.sampled_from([0.1, 0.07, 2.5]) if finite else st.sampled_from([None, 0.1]))
    if finite:
        span = min(span, step * 4.5)
    return Float(name, low, low + span, scale=scale, step=step, when=condition)


@st.composite
def _ints(draw, name, condition, finite):
    scale = draw(st.sampled_from(["linear", "log", "reverse_log"]))
    low = draw(st.integers(1, 50) if scale != "linear" else st.integers(-5, 5))
    span = draw(st.integers(0, 5) if finite else st.sampled_from([0, 1, 7, 10**4, 10**15]))
    step = draw(st.sampled_from([None, 1, 3] if span < 10**8 else [None]))
    return Int(name, low, low + span, scale=scale, step=step, when=condition)


@st.composite
def _listed(draw, name, condition):
    if draw(st.booleans()):
        values = draw(st.lists(st.sampled_from([0.25, 1, 2, 2.5, 64, 1000]), min_size=1, max_size=4, unique=True))
        return Discrete(name, sorted(values), scale=draw(st.sampled_from(["linear", "log"])), when=condition)
    choices = draw(st.permutations([True, 1, 1.0, "1", "b", False, 0]))
    return Categorical(name, choices[: draw(st.integers(1, 4))], when=condition)


def _values(parameter):
    match parameter:
        case Categorical():
            return list(parameter.choices)
        case Discrete():
            return list(parameter.values)
        case Int():
            return [value for value in range(parameter.low, parameter.low + 6) if allowed(parameter, value)]
        case _:
            return []


@st.composite
def spaces(draw, finite=False, most=6):
    """Parameters of a legal space; children may be written before their parents."""
    parameters = []
    for index in range(draw(st.integers(1, most))):
        parents = [parameter for parameter in parameters if _values(parameter)]
        condition = None
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            wanted = draw(st.lists(st.sampled_from(_values(parent)), min_size=1, max_size=2))
            condition = When(parent.name, wanted)
        name = f"p{index}"
        kinds = [_ints(name, condition, finite), _listed(name, condition), _floats(name, condition, finite)]
        parameters.append(draw(st.one_of(kinds)))
    order = draw(st.permutations(parameters)) if draw(st.booleans()) else parameters
    return spec(order).parameters


BRANCHES = spec(
    [
        Categorical("model", ["tree", "net", 3]),
        Int("depth", 1, 4, when=When("model", ["tree"])),
        Int("depth", 1, 1000, scale="log", when=When("model", ["net"])),
        Float("rate", 1e-5, 1e-1, scale="log", when=When("depth", [1, 2])),
        Float("drop", 0.0, 0.9, step=0.3, when=When("model", ["net", 3])),
    ]
).parameters
"""One name in two branches, and a parameter that hangs on both."""


def check_legal(parameters, point):
    """Fail unless `point` has exactly the active parameters, each with a legal value of the right type."""
    expected = set()
    for parameter in parameters:
        if _active(parameter, parameters, point):
            expected.add(parameter.name)
            value = point[parameter.name]
            assert allowed(parameter, value), (parameter, value)
            match parameter:
                case Float():
                    assert type(value) is float
                    assert len(repr(value)) < 24
                    if parameter.step is not None:
                        assert abs(value - round(value, 9)) < 1e-12
                case Int():
                    assert type(value) is int
                case Discrete():
                    assert any(type(value) is type(own) and value == own for own in parameter.values)
    assert set(point) == expected


def _active(parameter, parameters, point):
    """Whether the condition and those of the ancestors hold; written without regard to how the codec does it."""
    if parameter.when is None:
        return True
    parents = [other for other in parameters if other.name == parameter.when.parameter]
    return parameter.when.holds(point) and any(_active(parent, parameters, point) for parent in parents)


def bowl(point):
    """A loss over any space: numbers want to be small, choices early in the alphabet."""
    total = 0.0
    for value in point.values():
        total += math.log1p(abs(value)) if isinstance(value, (int, float)) else len(value) / 10
    return total
