"""The unit cube and the space say the same."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tuneport.errors import SearchError
from tuneport.model.parameters import Categorical, Discrete, Float, Int, allowed, when
from tuneport.search.space import Space

from .spaces import BRANCHES, check_legal, spaces


def draws(space, count, seed=0):
    return np.random.default_rng(seed).random((count, len(space)))


@settings(max_examples=200, deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_every_point_of_the_cube_is_a_legal_trial(parameters, seed):
    space = Space(parameters)
    for vector in [*draws(space, 5, seed), np.zeros(len(space)), np.ones(len(space))]:
        check_legal(parameters, space.decode(vector))


@settings(max_examples=200, deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_encoding_undoes_decoding(parameters, seed):
    space = Space(parameters)
    for vector, snapped in zip(draws(space, 5, seed), space.snap(draws(space, 5, seed)), strict=True):
        point = space.decode(vector)
        again = space.encode(point)
        np.testing.assert_allclose(again, snapped, atol=1e-7)
        back = space.decode(again)
        assert {name: type(value) for name, value in back.items()} == {n: type(v) for n, v in point.items()}
        for name, value in point.items():
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                assert back[name] == value
            else:
                assert back[name] == pytest.approx(value, rel=1e-9, abs=1e-9)
        assert space.legal(point) == point


@settings(max_examples=100, deadline=None)
@given(spaces(finite=True, most=4))
def test_a_finite_space_is_counted_and_enumerated_exactly(parameters):
    space = Space(parameters)
    if space.size > 3000:
        return
    points = list(space.points())
    assert len({Space.key(point) for point in points}) == len(points) == space.size
    for point in points[:50]:
        check_legal(parameters, point)
    seen = {Space.key(space.decode(vector)) for vector in draws(space, 500)}
    assert seen <= {Space.key(point) for point in points}


def test_size_with_one_name_in_two_branches():
    finite = [parameter for parameter in BRANCHES if parameter.name != "rate"]
    space = Space(finite)
    assert space.size == 4 + 1000 * 4 + 4
    assert len({Space.key(point) for point in space.points()}) == space.size
    assert Space(BRANCHES).size is None
    for vector in draws(Space(BRANCHES), 200):
        check_legal(BRANCHES, Space(BRANCHES).decode(vector))


def test_enumeration_is_in_the_order_written_with_the_last_fastest():
    space = Space([Int("a", 1, 2), Categorical("b", ["x", "y"]), Discrete("c", [3, 4], when=when("b", "y"))])
    assert list(space.points()) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y", "c": 3},
        {"a": 1, "b": "y", "c": 4},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y", "c": 3},
        {"a": 2, "b": "y", "c": 4},
    ]
    plain = Space([Int("a", 0, 2), Int("b", 0, 1), Int("c", 0, 3)])
    assert [tuple(point.values()) for point in plain.points()] == list(product(range(3), range(2), range(4)))
    with pytest.raises(IndexError):
        space.point(6)


def test_a_child_written_before_its_parent_comes_after_it():
    space = Space([Float("m", 0, 1, when=when("opt", "sgd")), Categorical("opt", ["sgd", "adam"])])
    assert list(space.decode(np.array([0.1, 0.5]))) == ["opt", "m"]


def test_huge_spaces_are_counted_without_being_listed():
    space = Space([Int(f"n{i}", 0, 10**9) for i in range(5)])
    assert space.size == (10**9 + 1) ** 5
    assert space.point(space.size - 1) == {f"n{i}": 10**9 for i in range(5)}
    assert Space([Int("n", -(2**62), 2**62)]).size == 2**63 + 1


@pytest.mark.parametrize(
    "parameter",
    [
        Int("n", 1, 6),
        Int("n", 0, 10, step=4),
        Float("n", 0.1, 0.7, step=0.1),
        Discrete("n", [1, 10, 1000]),
        Categorical("n", [True, 1, 1.0, "1"]),
    ],
    ids=repr,
)
def test_cells_are_equally_likely(parameter):
    space = Space([parameter])
    values = [space.decode(vector)["n"] for vector in draws(space, 6000, seed=3)]
    counts = [sum(Space.key({"n": v}) == Space.key(point) for v in values) for point in space.points()]
    assert sum(counts) == 6000
    assert chisquare(counts).pvalue > 0.01


def test_cells_on_a_log_scale_reach_half_way_to_their_neighbours():
    space = Space([Int("n", 1, 4, scale="log")])
    values = [space.decode(vector)["n"] for vector in draws(space, 20000, seed=5)]
    edges = np.log([1 / math.sqrt(2), math.sqrt(2), math.sqrt(6), math.sqrt(12), 4 * math.sqrt(4 / 3)])
    expected = np.diff(edges) / (edges[-1] - edges[0]) * 20000
    assert chisquare([values.count(n) for n in range(1, 5)], expected).pvalue > 0.01


@pytest.mark.parametrize(
    ("parameter", "middle"),
    [
        (Float("x", 2, 4), 3),
        (Float("x", 2, 4, scale="auto"), 3),
        (Float("x", 1e-4, 1, scale="log"), 1e-2),
        (Float("x", 0, 0.99, scale="reverse_log"), 0.9),
        (Float("x", 0.9, 0.999, scale="reverse_log"), 0.99),
        (Float("x", 1, 100, scale="reverse_log"), 91),
    ],
)
def test_scales(parameter, middle):
    space = Space([parameter])
    at = [space.decode(np.array([u]))["x"] for u in (0.0, 0.5, 1.0)]
    assert at == pytest.approx([parameter.low, middle, parameter.high], rel=1e-9)
    assert parameter.low <= at[0] <= at[1] <= at[2] <= parameter.high


def test_a_mirrored_log_scale_is_what_it_says():
    low, high = 2.0, 300.0
    dimension = Space([Float("x", low, high, scale="reverse_log")]).dimensions[0]
    for x in (2.0, 50.0, 299.0):
        assert dimension.coordinate(x) == pytest.approx(1 - math.log((low + high - x) / low) / math.log(high / low))


@given(st.integers(0, 40), st.sampled_from([0.1, 0.05, 0.007, 1e-5, 2.5]), st.sampled_from([0.0, 0.1, -0.3, 1e-4]))
def test_stepped_values_are_written_cleanly(index, step, low):
    space = Space([Float("x", low, low + 50 * step, step=step)])
    value = space.point(index)["x"]
    assert value == float(Fraction(str(low)) + index * Fraction(str(step)))


def test_a_step_that_does_not_meet_the_upper_bound_stays_below_it():
    assert [p["x"] for p in Space([Float("x", 0, 1, step=0.4)]).points()] == [0.0, 0.4, 0.8]
    assert [p["x"] for p in Space([Float("x", 0, 3 * 0.7, step=0.7)]).points()] == [0.0, 0.7, 1.4, 3 * 0.7]
    assert [p["x"] for p in Space([Int("x", 1, 9, step=3)]).points()] == [1, 4, 7]


@pytest.mark.parametrize(
    "parameter",
    [
        Float("x", 3, 3),
        Float("x", 3, 3, scale="log"),
        Float("x", 3, 3, step=1),
        Int("x", 3, 3, scale="reverse_log"),
        Discrete("x", [3]),
        Categorical("x", [3]),
        Float("x", 1, 5, step=10),
    ],
)
def test_one_value_is_enough(parameter):
    space = Space([parameter])
    assert space.size == 1
    for vector in draws(space, 3):
        assert allowed(parameter, space.decode(vector)["x"])
        assert space.snap(vector[None])[0] == space.encode(space.decode(vector)) == 0.5


@pytest.mark.parametrize("scale", ["linear", "log", "reverse_log"])
@pytest.mark.parametrize(
    ("low", "high"), [(1.0, 1.0000000000000002), (1e-300, 1e300), (5e-324, 1e-323), (0.5, 0.9999999999999999)]
)
def test_extreme_ranges_stay_inside(scale, low, high):
    space = Space([Float("x", low, high, scale=scale)])
    for u in (0.0, 1e-12, 0.3, 0.9999999, 1.0):
        assert low <= space.decode(np.array([u]))["x"] <= high
    assert np.isfinite(space.encode({"x": high})).all()


def test_conditions_on_numbers_and_mixed_parents():
    parameters = [
        Int("n", 0, 3),
        Float("a", 0, 1, when=when("n", 2.0)),
        Categorical("c", [True, 1, "1"]),
        Float("b", 0, 1, when=when("c", 1)),
        Float("d", 0, 1, when=when("b2", 0.5)),
        Float("b2", 0, 1, step=0.25, when=when("c", "1")),
        Int("b2", 0, 1, when=when("c", True)),
    ]
    space = Space(parameters)
    for vector in draws(space, 300):
        check_legal(parameters, space.decode(vector))
    assert "d" in space.decode(space.encode({"n": 0, "c": "1", "b2": 0.5, "d": 0.2}))


def test_keys_tell_types_apart():
    keys = {Space.key({"a": value}) for value in (True, 1, 1.0, "1")}
    assert len(keys) == 4
    assert Space.key({"a": 1, "b": 2}) == Space.key({"b": 2, "a": 1})


def test_points_written_by_hand_are_brought_to_type():
    space = Space([Float("x", 0, 1), Float("s", 0, 1, step=0.1), Int("n", 1, 9), Discrete("d", [1, 2.5])])
    point = space.legal({"x": 1, "s": 0.1 + 0.2, "n": np.float64(3.0), "d": 1.0})
    assert point == {"x": 1.0, "s": 0.3, "n": 3, "d": 1}
    assert [type(value) for value in point.values()] == [float, float, int, int]


def test_wrong_points_are_refused_with_every_reason():
    space = Space(
        [Float("lr", 0, 1), Int("n", 1, 9), Categorical("c", ["a", "b"]), Int("k", 0, 1, when=when("c", "b"))]
    )
    with pytest.raises(SearchError) as caught:
        space.legal({"lr": math.nan, "n": 2.5, "c": "a", "k": 1, "lrr": 3})
    said = {problem.pointer: problem for problem in caught.value.problems}
    assert set(said) == {"/lr", "/n", "/k", "/lrr"}
    assert "conditions" in said["/k"].message
    assert "lr" in said["/lrr"].hint
    with pytest.raises(SearchError, match=r"/n: required, but missing"):
        space.legal({"lr": 0.5, "c": "a"})
