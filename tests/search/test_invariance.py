"""What must not matter does not: the order of parameters and of choices, the unit and the sign of the loss."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from tuneport.model.parameters import Categorical, Float, Int, when
from tuneport.model.results import TrialState
from tuneport.model.study import Anneal, Bayesian, CmaEs, Random, Tpe, maximize
from tuneport.search.protocols import Observation
from tuneport.search.searchers.bayesian import BayesianSearcher
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.evidence import EvidenceReader
from tuneport.search.searchers.learning import KernelLearner
from tuneport.search.searchers.parzen import Parzen
from tuneport.search.searchers.warping import warped
from tuneport.search.space import Space
from tuneport.search.study import Study

from .spaces import bowl, spec

PLAIN = [
    Categorical("c", ["a", "b", "d"]),
    Float("x", 0, 1),
    Float("m", 0.1, 1, scale="log", when=when("c", "b")),
    Int("n", 1, 9),
]
TURNED = [
    Int("n", 1, 9),
    Categorical("c", ["d", "a", "b"]),
    Float("m", 0.1, 1, scale="log", when=when("c", "b")),
    Float("x", 0, 1),
]


def drawn(count, seed=0):
    space = Space(PLAIN)
    rng = np.random.default_rng(seed)
    return [space.decode(rng.random(len(space))) for _ in range(count)]


def seen(points, unit=1.0):
    return [Observation(n, point, (unit * bowl(point),), TrialState.SUCCEEDED) for n, point in enumerate(points, 1)]


def cube(space, points):
    return np.stack([space.encode(point) for point in points])


def promises(parameters, history):
    """How promising a model finds some points."""
    space = Space(parameters)
    evidence = EvidenceReader(space, 0).read(history, 26)
    outlook = BayesianSearcher(Bayesian(initial_trials=5), space, 0)._outlook(
        evidence, history, np.empty((0, len(space))), 0
    )
    return outlook.promise(cube(space, drawn(40, seed=1)))


def test_a_model_does_not_care_in_which_order_things_are_written():
    history = seen(drawn(25))
    np.testing.assert_allclose(promises(PLAIN, history), promises(TURNED, history), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", [0, 1, 6])
def test_scales_are_bent_alike_in_whichever_order_they_are_written(seed):
    """Bending one scale or another explains much of the same here."""
    rng = np.random.default_rng(seed)
    points, (_, second, third) = rng.random((25, 3)), rng.normal(size=3)
    x, y, z = points.T
    losses = np.sin(8 * np.sqrt(x)) + second * np.abs(y - 0.2) ** 0.3 + 0.2 * third * np.exp(3 * x * z)

    def bends(order):
        embedding = Embedding(Space([Float(name, 0, 1) for name in order]))
        columns = ["xyz".index(name) for name in order]
        kernel = KernelLearner(embedding, 25, lambda _, told: warped(told)).kernel(points[:, columns], losses)
        return dict(zip(order, map(tuple, kernel.exponents), strict=True))

    expected = bends("xyz")
    assert set(expected.values()) != {(1.0, 1.0)}
    assert all(bends(order) == expected for order in permutations("xyz"))


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_a_model_does_not_care_about_the_unit_of_the_loss(unit):
    expected = promises(PLAIN, seen(drawn(25)))
    np.testing.assert_allclose(promises(PLAIN, seen(drawn(25), unit)), expected, rtol=1e-3, atol=1e-3)


def test_densities_do_not_care_in_which_order_things_are_written():
    points, others = drawn(12), drawn(30, seed=1)
    plain, turned = (Space(parameters) for parameters in (PLAIN, TURNED))
    np.testing.assert_allclose(
        Parzen(plain, cube(plain, points)).log(cube(plain, others)),
        Parzen(turned, cube(turned, points)).log(cube(turned, others)),
    )


@settings(max_examples=6, deadline=None)
@given(factor=st.sampled_from([1e-200, 1e-3, 2.0, 1e200]), shift=st.sampled_from([0.0, 0.5, -3.0]))
@pytest.mark.parametrize("algorithm", [Tpe(initial_trials=3), Anneal(), CmaEs(population_size=4)], ids=lambda a: a.kind)
def test_where_ranks_count_neither_unit_nor_origin_nor_sign_matters(algorithm, factor, shift):
    def play(objective, sign):
        study = Study(spec(PLAIN, algorithm, objective), seed=4)
        for _ in range(12):
            trial = study.ask()
            study.tell(trial, {"loss": sign * factor * (round(bowl(trial.parameters), 6) + shift)})
        return [trial.parameters for trial in study.trials]

    reference = Study(spec(PLAIN, algorithm), seed=4)
    for _ in range(12):
        trial = reference.ask()
        reference.tell(trial, {"loss": round(bowl(trial.parameters), 6)})
    expected = [trial.parameters for trial in reference.trials]
    assert play(spec(PLAIN).objective, 1.0) == expected
    assert play(maximize("loss"), -1.0) == expected


@pytest.mark.parametrize(
    "algorithm",
    [Random(), Tpe(initial_trials=5), Anneal(), CmaEs(population_size=4), Bayesian(initial_trials=5)],
    ids=lambda algorithm: algorithm.kind,
)
def test_what_is_found_does_not_depend_on_the_order_in_which_things_are_written(algorithm):
    """Best losses of many seeds, in either order, are draws from one distribution, by the test of Mann and Whitney."""

    def best(parameters, seed):
        study = Study(spec(parameters, algorithm), seed=seed)
        for _ in range(15):
            trial = study.ask()
            study.tell(trial, {"loss": bowl(trial.parameters)})
        return study.best.metrics["loss"]

    plain, turned = ([best(parameters, seed) for seed in range(16)] for parameters in (PLAIN, TURNED))
    assert mannwhitneyu(plain, turned).pvalue > 0.01
