"""The mathematics under the searchers, against independent computations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import check_grad
from scipy.stats import norm, yeojohnson
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from tuneport.model.parameters import Categorical, Discrete, Float, Int, when
from tuneport.search.searchers.bayesian import latin_hypercube
from tuneport.search.searchers.bending import bent, stretch
from tuneport.search.searchers.embedding import Embedding
from tuneport.search.searchers.evidence import Evidence
from tuneport.search.searchers.gaussian_process import GaussianProcess, Kernel, Prior, fit, misfit
from tuneport.search.searchers.improvement import improvement_slopes, log_expected_improvement, log_gain
from tuneport.search.searchers.learning import KernelLearner, representative
from tuneport.search.searchers.outlook import Improvement, Outlook
from tuneport.search.searchers.parzen import Parzen
from tuneport.search.searchers.warping import nearly_best, sensible, warped
from tuneport.search.space import Space

from .spaces import BRANCHES

GROUPS = np.arange(3)


def sample(count, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.random((count, 3))
    return features, np.sin(5 * features[:, 0]) + features[:, 1] ** 2 + 0.1 * rng.normal(size=count)


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_the_posterior_is_that_of_scikit_learn(level):
    features, values = sample(30)
    values = values + 5 * level
    kernel = Kernel(np.array([0.3, 0.7, 2.0]), amplitude=1.7, noise=0.02, groups=GROUPS, level=level)
    theirs = GaussianProcessRegressor(
        ConstantKernel(level, "fixed") + ConstantKernel(1.7, "fixed") * Matern([0.3, 0.7, 2.0], "fixed", nu=2.5),
        alpha=0.02,
        optimizer=None,
    ).fit(features, values)
    places = sample(50, seed=1)[0]
    mean, deviation = GaussianProcess(kernel, features, values).predict(places)
    their_mean, their_deviation = theirs.predict(places, return_std=True)
    np.testing.assert_allclose(mean, their_mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(deviation, their_deviation, rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_the_likelihood_is_that_of_scikit_learn(level):
    features, values = sample(25)
    logs = np.log([0.3, 0.7, 2.0, 1.7, 0.02])
    flat = Prior(mean=np.zeros(5), deviation=np.full(5, 1e9), level=level)
    theirs = GaussianProcessRegressor(
        ConstantKernel(level, "fixed") + ConstantKernel(1.7) * Matern([0.3, 0.7, 2.0], nu=2.5) + WhiteKernel(0.02),
        alpha=1.7e-8,
        optimizer=None,
    ).fit(features, values)
    value, gradient = misfit(logs, features, values, GROUPS, flat)
    their_value, their_gradient = theirs.log_marginal_likelihood(theirs.kernel_.theta, eval_gradient=True)
    assert value == pytest.approx(-their_value - 25 * math.log(2 * math.pi) / 2)
    amplitude, *lengths, noise = -their_gradient
    np.testing.assert_allclose(gradient, [*lengths, amplitude, noise], rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_gradients_are_those_of_finite_differences(seed):
    rng = np.random.default_rng(seed)
    features, values = sample(20, seed)
    groups = np.array([0, 1, 1])
    prior = Prior.of(2)
    logs = prior.mean + rng.normal(size=4)
    error = check_grad(
        lambda x: misfit(x, features, values, groups, prior)[0],
        lambda x: misfit(x, features, values, groups, prior)[1],
        logs,
        epsilon=1e-6,
    )
    assert error < 1e-3


def fitted(features, values):
    prior = Prior.of(3)
    return Kernel.from_logs(fit(features, values, prior, GROUPS, prior.starts()[0], 50), GROUPS)


def test_slopes_of_a_prediction_are_those_of_finite_differences():
    features, values = sample(25)
    model = GaussianProcess(
        Kernel(np.array([0.3, 0.7, 2.0]), amplitude=1.7, noise=0.02, groups=GROUPS, level=10.0), features, values
    )
    places, step = sample(10, seed=1)[0], 1e-6
    mean, deviation, by_mean, by_deviation = model.slopes(places)
    np.testing.assert_allclose(np.stack([mean, deviation]), model.predict(places))
    for column in range(3):
        move = step * np.eye(3)[column]
        high, low = model.predict(places + move), model.predict(places - move)
        np.testing.assert_allclose(by_mean[:, column], (high[0] - low[0]) / (2 * step), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(by_deviation[:, column], (high[1] - low[1]) / (2 * step), rtol=1e-4, atol=1e-6)


def test_a_doubted_kernel_is_shorter_and_no_surer():
    prior = Prior.of(3)
    kernel = Kernel(np.array([1e-3, 0.5, 50.0]), amplitude=0.2, noise=0.02, groups=GROUPS)
    doubted = kernel.doubted(prior, 0.5)
    usual = math.exp(prior.mean[0])
    np.testing.assert_allclose(doubted.lengths, [1e-3, min(0.5, 0.5 * usual), 25.0])
    assert (doubted.amplitude, doubted.noise) == (1.0, 0.02)


def test_a_learner_is_a_function_of_the_history():
    """One that has followed the history and one that sees it for the first time learn the same."""
    space = Space([Float(name, 0, 1) for name in "abc"])
    features, values = sample(40)
    follower = KernelLearner(Embedding(space), 4, lambda _, losses: warped(losses))
    for count in range(2, 41):
        kernel = follower.kernel(features[:count], values[:count])
    new = KernelLearner(Embedding(space), 4, lambda _, losses: warped(losses)).kernel(features, values)
    np.testing.assert_array_equal(kernel.lengths, new.lengths)
    changed = follower.kernel(features, np.append(values[:-1], 9.0))
    assert (changed.lengths != new.lengths).any()


def test_a_kernel_is_sought_from_several_starts():
    """A short wave along the first parameter, which a search from the usual lengths explains by all three."""
    features = np.random.default_rng(23).random((12, 3))
    values = np.sin(12 * features[:, 0]) + features[:, 1]
    values = (values - values.mean()) / values.std()
    learner = KernelLearner(Embedding(Space([Float(name, 0, 1) for name in "abc"])), 12, lambda _, losses: losses)
    alone = Kernel.from_logs(fit(features, values, learner.prior, GROUPS, learner.prior.starts()[0], 50), GROUPS)
    found = learner.kernel(features, values)
    assert alone.lengths[0] > alone.lengths[1:].max()
    assert found.lengths[0] < 0.3 * found.lengths[1:].min()


def test_fitting_finds_what_matters():
    rng = np.random.default_rng(0)
    features = rng.random((60, 3))
    values = np.sin(8 * features[:, 0])
    kernel = fitted(features, (values - values.mean()) / values.std())
    assert kernel.lengths[0] < 0.5 * kernel.lengths[1:].min()
    assert kernel.noise < 1e-3
    noisy = np.sin(3 * features[:, 0]) / 0.3 + rng.normal(size=60)
    assert 0.1 < fitted(features, (noisy - noisy.mean()) / noisy.std()).noise < 0.8


def test_repeated_points_keep_the_model_solvable():
    features = np.repeat([[0.1, 0.2, 0.3], [0.5, 0.5, 0.5]], 20, axis=0)
    values = np.repeat([1.0, -1.0], 20)
    mean, deviation = GaussianProcess(fitted(features, values), features, values).predict(features)
    np.testing.assert_allclose(mean, values, atol=0.05)
    assert np.isfinite(deviation).all()


def test_an_exact_value_leaves_no_doubt():
    features, values = sample(10)
    kernel = Kernel(np.ones(3), amplitude=1.0, noise=0.3, groups=GROUPS)
    doubtful = GaussianProcess(kernel, features, values).predict(features[-1:])[1]
    certain = GaussianProcess(kernel, features, values, exact=1).predict(features[-1:])[1]
    assert doubtful > 0.2
    assert certain < 1e-3


@pytest.mark.parametrize("z", [-40.0, -8.0, -3.0, -1.0001, -0.9999, -0.2, 0.0, 1.5, 9.0])
def test_expected_improvement_is_its_integral(z):
    """E[max(z + x, 0)], with exp(-z^2/2) taken out of the integral so that it does not vanish."""
    shift = min(z, 0.0)
    integrand = lambda y: max(y + z - shift, 0.0) * math.exp(-(y**2) / 2 + y * shift)  # noqa: E731 - x = y - shift
    integral, _ = quad(integrand, shift - z, shift - z + 40, epsabs=0, epsrel=1e-12, limit=500)
    expected = math.log(integral) - shift**2 / 2 - math.log(2 * math.pi) / 2
    assert log_gain(np.array([z]))[0] == pytest.approx(expected, rel=1e-9)


def test_expected_improvement_never_vanishes_and_always_rises():
    z = np.concatenate([-np.logspace(100, -3, 2000), np.logspace(-3, 100, 2000)])
    logs = log_gain(z)
    assert np.isfinite(logs).all()
    assert (np.diff(logs) > 0).all()
    below, above = log_gain(np.array([-1e3 * (1 + 1e-12), -1e3 * (1 - 1e-12)]))
    assert below == pytest.approx(above, rel=1e-10)
    assert log_gain(np.array([1e50]))[0] == pytest.approx(math.log(1e50))


def test_expected_improvement_by_drawing():
    drawn = np.random.default_rng(0).normal(2.0, 3.0, size=400_000)
    expected = math.log(np.maximum(1.0 - drawn, 0).mean())
    assert log_expected_improvement(np.array([2.0]), np.array([3.0]), 1.0)[0] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("z", [-30.0, -2.0, 0.0, 3.0])
def test_slopes_of_the_improvement_are_those_of_finite_differences(z):
    def at(mean, deviation):
        return log_expected_improvement(np.array([mean]), np.array([deviation]), 1.0)[0]

    mean, deviation, step = 1.0 - 0.7 * z, 0.7, 1e-6
    by_mean, by_deviation = improvement_slopes(np.array([mean]), np.array([deviation]), 1.0)
    assert by_mean[0] == pytest.approx((at(mean + step, deviation) - at(mean - step, deviation)) / (2 * step), rel=1e-4)
    numeric = (at(mean, deviation + step) - at(mean, deviation - step)) / (2 * step)
    assert by_deviation[0] == pytest.approx(numeric, rel=1e-4)


def test_points_climb_along_continuous_coordinates_only():
    space = Space(
        [
            Categorical("c", ["a", "b"]),
            Float("x", 0, 1),
            Float("y", 0, 1, when=when("c", "a")),
            Int("n", 1, 9),
        ]
    )
    embedding, rng = Embedding(space), np.random.default_rng(3)
    cube = space.snap(rng.random((20, 4)))
    values = (cube[:, 1] - 0.4) ** 2 + (np.nan_to_num(cube[:, 2], nan=0.5) - 0.7) ** 2
    kernel = Kernel(np.ones(4), amplitude=1.0, noise=1e-4, groups=embedding.groups)
    model = GaussianProcess(kernel, embedding(cube), values)
    outlook = Outlook(embedding, [Improvement(model, float(values.min()))], np.empty((0, 6)))
    continuous = np.array([False, True, True, False])
    starts = space.snap(rng.random((30, 4)))
    ends = outlook.climbed(starts, continuous)
    assert (outlook.promise(ends) >= outlook.promise(starts) - 1e-9).mean() > 0.8  # it is their sum that rises
    assert outlook.promise(ends).mean() > outlook.promise(starts).mean() + 0.1
    np.testing.assert_array_equal(ends[:, ~continuous], starts[:, ~continuous])
    np.testing.assert_array_equal(np.isnan(ends), np.isnan(starts))
    near, step = space.snap(rng.random((5, 4))), 1e-6
    pulled = embedding.pull(near, np.ones((5, 6)))
    for index in np.flatnonzero(continuous):
        move = step * np.eye(4)[index]
        numeric = (embedding(near + move) - embedding(near - move)).sum(axis=1) / (2 * step)
        np.testing.assert_allclose(pulled[:, index], numeric, atol=1e-6)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_warping_keeps_the_order_and_is_standard(losses):
    losses = np.array(losses)
    out = warped(losses)
    assert np.isfinite(out).all()
    assert abs(out.mean()) < 1e-9
    assert out.std() == pytest.approx(1.0) or (out == 0).all()
    order = np.argsort(losses, kind="stable")
    assert (np.diff(out[order]) >= -1e-9).all()


PLATEAU = [0.03, math.nextafter(0.03, 1), 0.03 - 1e-17] * 20


def test_on_a_plateau_all_else_is_told_apart_and_nothing_is_absurd():
    """Nearly all trials lie on it, but for rounding, so that half of the losses say nothing of what is far."""
    losses = np.array([*PLATEAU, 0.0367, 0.21, 0.74])
    assert np.isfinite(sensible(losses)).all()
    out = warped(losses)
    assert (np.diff(out[-3:]) > 0.01).all()
    assert out[-3] - out[0] > 0.01


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_absurd_is_what_is_far_out_and_large_as_well(unit):
    usual = np.array([0.5, 0.6, 0.8, 1.3])
    assert np.isfinite(sensible(unit * np.append(usual, [20.0, 60.0]))).all()
    np.testing.assert_array_equal(np.isfinite(sensible(unit * np.append(usual, [60.0, 1e3]))), [True] * 5 + [False])


def test_what_is_nearly_the_best():
    assert nearly_best(np.array([1.0, 2.0, 5.0])) == pytest.approx(1.0, abs=1e-8)
    assert nearly_best(np.array([1.0, 2.0, 5.0]), 0.1) == pytest.approx(1.1)
    assert nearly_best(np.array([-1e308, 0.0, 1e308]), 0.5) == pytest.approx(-5e307)
    assert nearly_best(np.array(PLATEAU)) >= max(PLATEAU)


@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e300])
def test_creeping_is_no_success(unit):
    """Counted is since when nothing was clearly better: what only shaves a little off the best is not."""

    def since_best(losses):
        return Evidence(np.empty((len(losses), 0)), unit * np.array(losses), np.empty((len(losses), 0))).since_best()

    falling = [9.0, 4.0, 7.0, 5.0, 8.0, 1.0, 6.0, 0.999, 0.998, 0.997, 0.996]
    assert since_best(falling) == 5
    assert since_best([*falling, 0.5, 3.0]) == 1


def test_a_leap_is_a_success_among_places_too():
    """Places are evenly apart: in a long history the second best is always close to the best."""
    count = 300
    losses, broken = np.linspace(1, 2, count), np.full((count, 1), -1.0)
    losses[-1] = 0.01
    broken[5:] = 1
    broken[-1] = -1
    cube = np.empty((count, 0))
    assert Evidence(cube, losses, np.empty((count, 0)), objectives=2).since_best() == 0
    assert Evidence(cube, losses, broken).since_best() == 0
    assert Evidence(cube, losses, np.linspace(2, 1, count)[:, None]).since_best() == 0


def test_warping_makes_skewed_losses_even():
    """The best of losses that blow up somewhere are told apart, and those of scores that crowd below 1 as well."""
    even = np.linspace(0, 1, 50)

    def share_of_the_better_half(losses):
        out = np.sort(warped(losses))
        return (out[24] - out[0]) / (out[-1] - out[0])

    assert share_of_the_better_half(10 ** (4 * even)) > 0.1  # as they are: 0.01
    assert share_of_the_better_half(-(1 - 10 ** (-3 * even))) > 0.1  # as they are: 0.03
    assert share_of_the_better_half(even) == pytest.approx(0.49, abs=0.05)


def test_warping_is_the_likeliest_yeo_johnson_transform_of_scipy():
    losses = np.random.default_rng(0).lognormal(size=60)
    theirs = yeojohnson((losses - losses.mean()) / losses.std())[0]
    np.testing.assert_allclose(warped(losses), (theirs - theirs.mean()) / theirs.std(), atol=0.05)


def test_features_measure_as_they_say():
    space = Space(
        [
            Categorical("c", ["a", "b", "d"]),
            Float("x", 0, 1, when=when("c", "a")),
            Discrete("n", [1, 10, 100], scale="log"),
            Discrete("m", [1, 10, 100]),
            Int("one", 3, 3),
            Categorical("k", ["u", "v"], when=when("c", "b")),
        ]
    )
    embedding = Embedding(space)
    assert list(embedding.groups) == [0, 0, 0, 1, 1, 2, 3, 4, 4]

    def distance(a, b, column):
        rows = embedding(np.stack([space.encode(a), space.encode(b)]))[:, embedding.groups == column]
        return float(np.linalg.norm(rows[0] - rows[1]))

    low = {"c": "a", "x": 0.0, "n": 1, "m": 1, "one": 3}
    high = {"c": "a", "x": 1.0, "n": 10, "m": 10, "one": 3}
    none = {"c": "d", "n": 100, "m": 100, "one": 3}
    other = {"c": "b", "n": 1, "m": 1, "one": 3, "k": "u"}
    assert distance(low, none, 0) == pytest.approx(1)
    assert distance(low, high, 1) == pytest.approx(2 * math.sin(0.5))
    assert distance(low, none, 1) == pytest.approx(1)
    assert distance(high, none, 1) == pytest.approx(1)
    assert distance(other, none, 1) == 0
    assert distance(low, high, 2) == pytest.approx(0.5)
    assert distance(low, high, 3) == pytest.approx(9 / 99)
    assert distance(none, other, 4) == pytest.approx(1 / math.sqrt(2))


def test_a_parzen_density_is_a_density():
    """It sums to 1 over the cells of finite parameters times the length of continuous ones."""
    space = Space([Float("x", 0, 1), Int("n", 1, 5, scale="log"), Categorical("c", ["a", "b", "d"])])
    rng = np.random.default_rng(0)
    density = Parzen(space, space.snap(rng.random((6, 3))))
    grid = (np.arange(400) + 0.5) / 400
    total = 0.0
    for n in range(1, 6):
        for c in "abd":
            rest = space.encode({"x": 0.5, "n": n, "c": c})
            cube = np.column_stack([grid, np.full((400, 2), rest[1:])])
            total += np.exp(density.log(cube)).mean()
    assert total * (1 / math.sqrt(2 * math.pi)) == pytest.approx(1, rel=1e-4)


def test_a_parzen_density_draws_what_it_says():
    space = Space([Float("x", 0, 1), Categorical("c", ["a", "b"])])
    points = space.snap(np.array([[0.2, 0.1], [0.25, 0.1], [0.3, 0.1], [0.9, 0.9]]))
    density = Parzen(space, points)
    draws = density.draw(40_000, np.random.default_rng(0))
    near = (draws[:, 0] < 0.5) & (draws[:, 1] < 0.5)
    grid = (np.arange(200) + 0.5) / 200
    lefts = np.column_stack([grid[:100], np.full(100, 0.25)])
    share = np.exp(density.log(lefts)).mean() * 0.5 / math.sqrt(2 * math.pi)
    assert near.mean() == pytest.approx(share, abs=0.01)


def test_parzen_kernels_of_inactive_parameters_say_nothing():
    space = Space(BRANCHES)
    tree = space.encode({"model": "tree", "depth": 4})
    density = Parzen(space, np.array([tree] * 10))
    draws = density.draw(500, np.random.default_rng(0))
    assert (draws[:, 0] == tree[0]).mean() > 0.8
    rates = draws[~np.isnan(draws[:, 3]), 3]
    assert norm(0.5, 1).cdf(0.5) == 0.5  # the kernel for everywhere is symmetric
    assert abs(np.mean(rates) - 0.5) < 0.1
    assert np.isfinite(density.log(draws)).all()


def test_a_latin_hypercube_fills_every_slice():
    design = latin_hypercube(10, 4, np.random.default_rng(0))
    for column in design.T:
        assert sorted((column * 10).astype(int)) == list(range(10))
    assert not (np.argsort(design[:, 0]) == np.argsort(design[:, 1])).all()


def test_a_large_history_is_represented_by_its_best_and_a_sample():
    values = np.random.default_rng(0).normal(size=1000)
    chosen = representative(values, 100)
    assert len(set(chosen)) == 100
    assert set(np.argsort(values)[:50]) <= set(chosen)
    assert list(chosen) == sorted(chosen)
    assert list(representative(values[:7], 100)) == list(range(7))


def test_bends_are_those_of_kumaraswamy_and_have_their_slopes():
    places = np.random.default_rng(0).uniform(0.05, 0.95, size=(20, 3))
    exponents = np.array([[1.0, 1.0], [0.5, 1.0], [1.5, 2.0]])
    out = bent(places, exponents)
    np.testing.assert_array_equal(out[:, 0], places[:, 0])
    np.testing.assert_allclose(out[:, 1], np.sqrt(places[:, 1]))
    np.testing.assert_allclose(out[:, 2], 1 - (1 - places[:, 2] ** 1.5) ** 2)
    np.testing.assert_array_equal(bent(np.array([[0.0] * 3, [1.0] * 3]), exponents), [[0] * 3, [1] * 3])
    numeric = (bent(places + 1e-6, exponents) - bent(places - 1e-6, exponents)) / 2e-6
    np.testing.assert_allclose(stretch(places, exponents), numeric, rtol=1e-5)


def test_slopes_of_a_bent_model_are_those_of_finite_differences():
    features, values = sample(25)
    exponents = np.array([[0.5, 1.0], [1.0, 1.0], [1.0, 2.0]])
    kernel = Kernel(np.array([0.3, 0.7, 2.0]), amplitude=1.7, noise=0.02, groups=GROUPS, exponents=exponents)
    model = GaussianProcess(kernel, features, values)
    places, step = np.random.default_rng(1).uniform(0.05, 0.95, size=(10, 3)), 1e-6
    _, _, by_mean, by_deviation = model.slopes(places)
    for column in range(3):
        move = step * np.eye(3)[column]
        high, low = model.predict(places + move), model.predict(places - move)
        np.testing.assert_allclose(by_mean[:, column], (high[0] - low[0]) / (2 * step), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(by_deviation[:, column], (high[1] - low[1]) / (2 * step), rtol=1e-4, atol=1e-6)


def test_a_scale_is_bent_where_values_change_faster_at_one_end():
    """Along a everything happens near 0, along b evenly; choices and conditional numbers are never bent."""
    space = Space(
        [Float("a", 0, 1), Float("b", 0, 1), Categorical("c", ["u", "v"]), Float("d", 0, 1, when=when("c", "u"))]
    )
    embedding = Embedding(space)
    assert list(embedding.scales) == [True, True, False, False, False, False]
    cube = space.snap(np.random.default_rng(0).random((60, 4)))
    losses = np.sin(12 * cube[:, 0] ** 0.5) + cube[:, 1]
    learner = KernelLearner(embedding, 10, lambda _, told: warped(told))
    exponents = learner.kernel(embedding(cube), losses).exponents
    assert tuple(exponents[0]) == (0.5, 1.0)
    assert (exponents[1:] == 1).all()
