"""Expected hypervolume improvement: the boxes, the integrals and the slopes, and what is proposed by them."""

import math
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from tuneport.model.parameters import Categorical, Float, Int
from tuneport.model.results import TrialState
from tuneport.model.study import Bayesian, Constraint, StudySpec, maximize, minimize
from tuneport.search.pareto import coarsened, hypervolume, nondominated, undominated
from tuneport.search.protocols import Observation
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.evidence import EvidenceReader
from tuneport.search.searchers.expectation import LossLearner
from tuneport.search.searchers.gaussian_process import GaussianProcess, Kernel
from tuneport.search.searchers.hypervolume import VolumeImprovement, VolumeLearner, log_expected_length
from tuneport.search.space import Space
from tuneport.search.study import Study

from .spaces import BRANCHES, check_legal

SQUARE = [Float("x", 0, 1), Float("y", 0, 1)]
LEVELS = st.integers(0, 4)
EAGER = Bayesian(initial_trials=4)


@st.composite
def fronts(draw):
    """Points with whole numbers, whatever they dominate, and a reference point."""
    objectives = draw(st.integers(2, 4))
    rows = draw(st.lists(st.tuples(*[LEVELS] * objectives), max_size=8))
    reference = draw(st.tuples(*[st.integers(1, 5)] * objectives))
    return np.reshape(np.array(rows, dtype=float), (-1, objectives)), np.array(reference, dtype=float)


@settings(deadline=None)
@given(fronts())
def test_boxes_fill_what_is_not_dominated_exactly_once(case):
    """Whole numbers cut the space into cubes; those from -1 to 0 stand for all that is better than any point."""
    front, reference = case
    low, high = undominated(front, reference)
    for cell in product(*(range(-1, int(end)) for end in reference)):
        inside = ((low <= cell) & (np.array(cell) + 1 <= high)).all(axis=1).sum()
        assert inside == (0 if (front <= cell).all(axis=1).any() else 1)


@given(fronts(), st.integers(20, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_coarser_front_dominates_all_that_the_finer_one_does(case, most, seed):
    objectives = len(case[1])
    points = np.random.default_rng(seed).normal(size=(200, objectives))
    points /= np.linalg.norm(points, axis=1)[:, None]  # a sphere: many points are on the front
    front = points[nondominated(points)]
    coarse = coarsened(front, most)
    assert len(coarse) <= most
    assert (coarse <= front[:, None] + 1e-12).all(axis=2).any(axis=1).all()
    assert (coarse >= front.min(axis=0) - 1e-12).all()


@pytest.mark.parametrize("mean", [-50.0, -2.0, 0.3, 1.0, 9.0, 30.0])
@pytest.mark.parametrize("low", [-math.inf, -1.0, 0.9])
def test_the_expected_length_is_its_integral(mean, low):
    """Of an interval from -1 or 0.9 to 1: a place t in it lies above f with the chance Phi((t - mean) / deviation)."""
    deviation, high = 0.7, 1.0
    start = max(low, min(mean, high) - 40 * deviation)
    shift = norm.logcdf((high - mean) / deviation)  # taken out of the integral, so that it does not vanish
    parts = np.linspace(start, high, 50)
    integral = sum(
        quad(lambda t: math.exp(norm.logcdf((t - mean) / deviation) - shift), a, b, epsabs=0, epsrel=1e-10)[0]
        for a, b in pairwise(parts)
    )
    found = log_expected_length(np.array([mean]), np.array([deviation]), np.array([low]), np.array([high]))
    assert found[0, 0] == pytest.approx(math.log(integral) + shift, rel=1e-6, abs=1e-6)


def models(objectives, seed=0, count=14):
    """Models of several objectives over the square, and a front with a reference point."""
    rng = np.random.default_rng(seed)
    features = rng.random((count, 2))
    values = rng.normal(size=(count, objectives))
    kernel = Kernel(np.array([0.4, 0.8]), amplitude=1.3, noise=0.01, groups=np.arange(2))
    told = [GaussianProcess(kernel, features, column) for column in values.T]
    return told, np.round(values[nondominated(values)] * 10) / 10, np.full(objectives, 2.5)


@pytest.mark.parametrize(("objectives", "cells", "rounding"), [(2, 20, 1e-3), (3, 2, 2e-2)])
def test_the_expectation_is_an_integral_over_what_is_not_dominated(objectives, cells, rounding):
    """A place adds to the volume if f dominates it: the chance of that, on a grid on whose lines the front lies."""
    told, front, reference = models(objectives)
    improvement = VolumeImprovement(told, *undominated(front, reference))
    places = np.random.default_rng(5).random((4, 2))
    step = 0.1 / cells
    axis = np.arange(-5 + step / 2, 2.5, step)
    grid = np.stack([one.ravel() for one in np.meshgrid(*[axis] * objectives, indexing="ij")])
    free = ~(front[:, :, None] <= grid).all(axis=1).any(axis=0)
    for place, found in zip(places, improvement.log(places), strict=True):
        chances = []
        for model in told:
            mean, deviation = model.predict(place[None])
            chances.append(norm.cdf(axis, mean, deviation))
        dominated = math.prod(np.meshgrid(*chances, indexing="ij")).ravel()
        assert math.exp(found) == pytest.approx(dominated[free].sum() * step**objectives, rel=rounding)


def test_the_expectation_by_drawing():
    told, front, reference = models(3)
    improvement, places = (
        VolumeImprovement(told, *undominated(front, reference)),
        np.random.default_rng(1).random((50, 2)),
    )
    place = places[[np.argmax(improvement.log(places))]]
    mean, deviation = (np.array(one)[:, 0] for one in zip(*(model.predict(place) for model in told), strict=True))
    drawn = np.random.default_rng(0).normal(mean, deviation, size=(4000, 3))
    before = hypervolume(front, reference)
    gains = [hypervolume(np.vstack([front, row]), reference) - before for row in drawn]
    found = math.exp(improvement.log(place)[0])
    assert found == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / math.sqrt(len(gains)))


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("depth", [0.0, 25.0])
def test_slopes_are_those_of_finite_differences(objectives, depth):
    """Also where an improvement is next to impossible, the front being far better than all that is expected."""
    told, front, reference = models(objectives)
    improvement = VolumeImprovement(told, *undominated(front - depth, reference - depth))
    places, step = np.random.default_rng(1).random((8, 2)), 1e-6
    values, slopes = improvement.slopes(places)
    np.testing.assert_allclose(values, improvement.log(places))
    assert np.isfinite(values).all()
    for column in range(2):
        move = step * np.eye(2)[column]
        numeric = (improvement.log(places + move) - improvement.log(places - move)) / (2 * step)
        np.testing.assert_allclose(slopes[:, column], numeric, rtol=1e-3, atol=1e-4)


def history(count=20, seed=0):
    space = Space(SQUARE)
    cube = space.snap(np.random.default_rng(seed).random((count, 2)))
    x, y = cube.T
    losses = np.stack([x**2 + y, np.exp(3 * (1 - x)) + y, (y - 0.5) ** 2], axis=1)
    return Embedding(space), cube, losses


def learned(embedding, cube, losses, legal=None, running=()):
    kept = np.ones(len(cube), dtype=bool) if legal is None else legal
    waiting = embedding(np.reshape(np.array(running, dtype=float), (-1, 2)))
    return VolumeLearner(embedding, 5, []).improvement(embedding(cube), losses, kept, waiting, None)


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:])
def test_the_order_of_objectives_does_not_matter(order):
    embedding, cube, losses = history()
    places = np.random.default_rng(1).random((30, 2))
    (plain,), (turned,) = learned(embedding, cube, losses), learned(embedding, cube, losses[:, order])
    np.testing.assert_allclose(turned.log(places), plain.log(places), rtol=1e-6, atol=1e-6)


def test_what_breaks_a_constraint_is_not_on_the_front():
    embedding, cube, losses = history()
    front = nondominated(losses)
    (rest,), (whole,) = learned(embedding, cube, losses, ~front), learned(embedding, cube, losses)
    assert (rest.log(cube[front]) > whole.log(cube[front])).all()
    assert learned(embedding, cube, losses, np.zeros(len(cube), dtype=bool)) == []


def test_what_is_expected_of_a_running_trial_is_on_the_front():
    embedding, cube, losses = history()
    place = cube.mean(axis=0)[None] * (1, 0)  # along the lower edge lies the front
    (before,), (after,) = learned(embedding, cube, losses), learned(embedding, cube, losses, running=place)
    assert after.log(place + 0.01) < before.log(place + 0.01) - 0.5


def test_a_plateau_is_not_paved():
    """The more trials have the very same losses, the less is expected of trials near them, and of no others."""
    embedding, cube, losses = history()
    best = int(np.argmin(losses.sum(axis=1)))
    near = np.clip(cube[best] + np.linspace(-0.04, 0.04, 6)[:, None], 0, 1)
    everywhere, row = np.concatenate([cube, near]), losses[best]
    same, differing = np.tile(row, (6, 1)), row + 1e-9 * np.arange(1, 7)[:, None]
    (flat,) = learned(embedding, everywhere, np.concatenate([losses, same]))
    (uneven,) = learned(embedding, everywhere, np.concatenate([losses, differing]))
    assert (flat.log(near) < uneven.log(near) - 0.5).all()
    far = cube[np.abs(cube - cube[best]).max(axis=1) > 0.4]
    assert np.median(uneven.log(far) - flat.log(far)) < 0.3


def test_a_missing_loss_counts_as_the_worst():
    embedding, cube, losses = history()
    places = np.random.default_rng(1).random((30, 2))
    losses[3, 1] = losses[:, 1].max()
    (worst,) = learned(embedding, cube, losses)
    for missing in (math.nan, math.inf, -math.inf):
        losses[3, 1] = missing
        np.testing.assert_array_equal(learned(embedding, cube, losses)[0].log(places), worst.log(places))


def test_a_long_front_costs_no_more():
    angles = np.linspace(0, math.pi / 2, 600)
    losses = 1 - np.stack([np.cos(angles), np.sin(angles)], axis=1)
    embedding, cube, _ = history(600)
    (improvement,) = learned(embedding, cube, losses)
    assert len(improvement.low) <= 101


def played(objectives, results, trials=14, parameters=BRANCHES, seed=1):
    study = Study(StudySpec(parameters=parameters, objectives=objectives, algorithm=EAGER), seed=seed)
    for number in range(trials):
        trial = study.ask()
        check_legal(parameters, trial.parameters)
        study.tell(trial, dict(zip("abcde", results(number, trial.parameters), strict=False)))
    return [trial.parameters for trial in study.trials]


def test_maximising_any_objective_is_minimising_its_negative():
    def losses(number, point):
        return (point["x"] + point["y"] ** 2, (1 - point["x"]) ** 2)

    goals = {1.0: minimize, -1.0: maximize}
    plays = [
        played(
            [goals[first]("a"), goals[second]("b")],
            lambda n, point, signs=(first, second): np.multiply(losses(n, point), signs),
            parameters=SQUARE,
        )
        for first, second in product(goals, goals)
    ]
    assert all(play == plays[0] for play in plays)


STRANGE = {
    "constant": lambda n: (1.0, 1.0),
    "one constant": lambda n: (float(n % 5), 0.0),
    "the same twice": lambda n: (float(n % 5), float(n % 5)),
    "opposite": lambda n: (float(n % 5), -float(n % 5)),
    "huge": lambda n: (1e300 * (-1) ** n, 1.7e308 * (-1) ** n),
    "tiny and huge": lambda n: (5e-324 * n, 1e300 / (n + 1)),
    "one treasure": lambda n: (-1e300 if n == 3 else float(n), float(n % 3)),
    "missing": lambda n: (float(n), math.nan if n % 3 else 1.0),
    "never there": lambda n: (float(n), math.nan),
    "infinite": lambda n: (float(n), [math.inf, -math.inf, 1.0][n % 3]),
    "no result": lambda n: (math.nan if n % 4 else 1.0, float(n)),
    "three": lambda n: (float(n), -float(n), float(n % 3)),
    "five": lambda n: (float(n), -float(n), float(n % 3), float(n % 4), 1.0),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_losses_do_no_harm(name):
    results = STRANGE[name]
    played([minimize(metric) for metric, _ in zip("abcde", results(0), strict=False)], lambda n, _: results(n))


def test_trials_asked_for_together_differ():
    study = Study(StudySpec(parameters=SQUARE, objectives=[minimize("a"), minimize("b")], algorithm=EAGER), seed=1)
    for _ in range(12):
        trial = study.ask()
        x, y = trial.parameters.values()
        study.tell(trial, {"a": x + y, "b": (1 - x) ** 2 + y})
    batch = np.array([list(study.ask().parameters.values()) for _ in range(6)])
    apart = np.abs(batch[:, None] - batch).max(axis=2) + np.eye(6)
    assert apart.min() > 5e-3


def test_the_whole_front_is_found_under_a_bound():
    """Along the edge y = 0 one loss falls where the other rises; left of 0.3 it is too hot."""
    parameters = [*SQUARE, Int("n", 1, 9), Categorical("c", ["u", "v"])]
    study = Study(
        StudySpec(
            parameters=parameters,
            objectives=[minimize("a"), maximize("b")],
            constraints=[Constraint("heat", at_most=0.7)],
            algorithm=Bayesian(),
        ),
        seed=0,
    )
    for _ in range(40):
        trial = study.ask()
        x, y, n, c = trial.parameters.values()
        waste = y + n / 9 + (c == "v")
        study.tell(trial, {"a": x + waste, "b": -((1 - x) ** 2) - waste, "heat": 1 - x})
    front = np.array([[one.metrics["a"], -one.metrics["b"]] for one in study.pareto]) - 1 / 9
    x = np.linspace(0.3, 1, 200)
    best = hypervolume(np.stack([x, (1 - x) ** 2], axis=1), np.array([1.5, 1.5]))
    assert hypervolume(front, np.array([1.5, 1.5])) > 0.93 * best


def test_beyond_four_objectives_losses_are_modelled_and_not_places(monkeypatch):
    told = []
    monkeypatch.setattr(LossLearner, "_told", lambda _, features, losses: told.append(losses) or (losses, 0.0))
    job = StudySpec(parameters=[Float("x", 0, 1)], objectives=[minimize(f"f{i}") for i in range(5)], algorithm=EAGER)
    study = Study(job, seed=0)
    for _ in range(6):
        trial = study.ask()
        study.tell(trial, {f"f{i}": (trial.parameters["x"] - i / 4) ** 2 for i in range(5)})
    study.propose()
    assert told
    assert any(losses % 1 != 0 for losses in told[-1])


def test_a_loss_of_minus_infinity_is_no_merit():
    rows = [(3.0, -math.inf), (1.0, 0.0), (2.0, 1.0)]
    seen = [Observation(n, {"x": n / 4}, row, TrialState.SUCCEEDED) for n, row in enumerate(rows, start=1)]
    evidence = EvidenceReader(Space([Float("x", 0, 1)]), 0).read(seen, 4, by_front=True)
    assert evidence.ranked()[0] == pytest.approx([0.5])
