"""Fronts and scalarisations, against brute force."""

import math
from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuneport.model.parameters import Float
from tuneport.model.results import Measurement, Trial, TrialState, pareto
from tuneport.model.study import Constraint, StudySpec, maximize, minimize
from tuneport.search.pareto import fronts, hypervolume
from tuneport.search.protocols import Observation
from tuneport.search.searchers.evidence import EvidenceReader, scalarised
from tuneport.search.space import Space
from tuneport.search.study import Study

ROWS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12)


GOALS = [minimize("a"), maximize("b"), minimize("c")]


def trials_of(rows):
    """Trials whose losses are these rows; all three are to be small."""
    return [
        Trial(
            id=number,
            parameters={},
            state=TrialState.SUCCEEDED,
            final_measurement=Measurement(metrics={"a": a, "b": -b, "c": c}),
        )
        for number, (a, b, c) in enumerate(rows, 1)
    ]


def on_front(rows):
    return [
        not any(all(a <= b for a, b in zip(other, row, strict=True)) and other != row for other in rows) for row in rows
    ]


@given(ROWS)
def test_the_front_is_that_of_the_definition(rows):
    expected = [number for number, keeps in enumerate(on_front(rows), 1) if keeps]
    assert [trial.id for trial in pareto(trials_of(rows), GOALS)] == expected


@given(ROWS, st.integers(1, 12))
def test_fronts_are_peeled_off_one_by_one(rows, enough):
    found = fronts(np.array(rows, dtype=float), enough)
    left, number, numbered = list(range(len(rows))), 0, 0
    while left and numbered < enough:
        keeps = on_front([rows[index] for index in left])
        first = [index for index, kept in zip(left, keeps, strict=True) if kept]
        assert set(found[first]) == {number}
        left, number, numbered = [index for index in left if index not in first], number + 1, numbered + len(first)
    assert set(found[left]) <= {number}


def test_for_those_who_go_by_order_the_front_comes_first():
    space = Space([Float("x", 0, 1)])
    losses = [(3.0, 3.0), (0.0, 2.0), (2.0, 0.0), (math.nan, 0.0), (1.0, math.nan), (2.0, 2.0)]
    seen = [
        Observation(n, {"x": 0.1 * n}, None if math.isnan(row[0]) else row, TrialState.SUCCEEDED)
        for n, row in enumerate(losses, 1)
    ]
    places = EvidenceReader(space, 0).read(seen, 7, by_front=True).losses
    assert set(np.argsort(places)[:2]) == {1, 2}
    assert list(np.isnan(places)) == [False, False, False, True, False, False]


def test_the_front_leaves_out_what_breaks_a_constraint():
    rows = [(0, 0, 3), (1, 1, 1), (3, 0, 0)]
    assert [trial.id for trial in pareto(trials_of(rows), GOALS[:2], [Constraint("c", at_most=2)])] == [2, 3]
    assert pareto(trials_of(rows), GOALS[:2], [Constraint("d", at_most=2)]) == ()


@given(ROWS, st.tuples(*[st.integers(1, 6)] * 3))
def test_the_hypervolume_is_a_count_of_cells(rows, reference):
    """Whole numbers cut the space into cubes of volume 1, each dominated or not."""
    cells = product(*map(range, reference))
    dominated = sum(any(all(a <= c for a, c in zip(row, cell, strict=True)) for row in rows) for cell in cells)
    assert hypervolume(np.array(rows, dtype=float), np.array(reference, dtype=float)) == dominated


@given(ROWS, st.tuples(*[st.floats(0.05, 1)] * 3))
def test_the_best_of_a_scalarisation_is_on_the_front(rows, weights):
    losses = np.array(rows, dtype=float)
    scalars = scalarised(losses, np.array(weights))
    assert np.array(on_front(rows))[scalars <= scalars.min() + 1e-12].any()


def test_scalarisations_measure_the_hypervolume():
    """The mean of their squares over directions is proportional to the area, here counted on a grid, by pi / 4."""
    losses = np.array([[0.0, 3.0], [1.0, 1.0], [3.0, 0.0], [2.0, 2.0]])
    angles = (np.arange(4000) + 0.5) / 4000 * math.pi / 2
    best = np.array([scalarised(losses, np.array([math.cos(a), math.sin(a)])).min() for a in angles])
    depth = -np.stack([scalarised(np.stack([column, column], 1), np.ones(2)) for column in losses.T], 1) / math.sqrt(2)
    top = depth.max(axis=0)
    grid = np.array(list(product(*[(np.arange(300) + 0.5) / 300 * edge for edge in top])))
    dominated = (grid[:, None] <= depth).all(axis=2).any(axis=1).mean() * top.prod()
    np.testing.assert_allclose((best**2).mean() * math.pi / 4, dominated, rtol=0.02)


def test_what_is_missing():
    losses = np.array([[1.0, math.nan], [math.nan, 0.0], [2.0, 5.0], [3.0, 4.0]])
    out = scalarised(losses, np.array([0.1, 1.0]))
    assert list(np.isnan(out)) == [False, True, False, False]
    assert out[0] >= out[2]  # the missing loss counts as the worst one


def test_a_study_knows_its_front():
    study = Study(StudySpec(parameters=[Float("x", 0, 1)], objectives=[minimize("cost"), maximize("gain")]), seed=0)
    for cost, gain in ((1, 1), (2, 3), (3, 2), (0, math.nan)):
        study.tell(study.ask(), {"cost": cost, "gain": gain})
    study.tell(study.ask(), state=TrialState.FAILED)
    assert [trial.id for trial in study.pareto] == [1, 2]
    assert Study(study.spec, seed=0).pareto == ()
