"""What every searcher promises, whatever the space and whatever the results."""

import math
import statistics
import time
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from tuneport.errors import SearchError, SpaceExhaustedError
from tuneport.model.parameters import Categorical, Discrete, Float, Int, when
from tuneport.model.results import TrialState
from tuneport.model.study import (
    Anneal,
    Bayesian,
    CmaEs,
    Grid,
    Plugin,
    Random,
    Sobol,
    StudySpec,
    Tpe,
    maximize,
    minimize,
)
from tuneport.search.protocols import Observation
from tuneport.search.searchers import make_searcher
from tuneport.search.searchers.outlook import Outlook
from tuneport.search.space import Space
from tuneport.search.study import Study

from .spaces import ALGORITHMS, ALL_ALGORITHMS, BRANCHES, bowl, check_legal, spaces, spec

MODELS = [Tpe(initial_trials=3), Anneal(), Bayesian(initial_trials=3), CmaEs(population_size=4)]
by_kind = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.kind)
with_grid = pytest.mark.parametrize("algorithm", ALL_ALGORITHMS, ids=lambda algorithm: algorithm.kind)
models = pytest.mark.parametrize("algorithm", MODELS, ids=lambda algorithm: algorithm.kind)


def run(study, trials, loss=bowl):
    """Run one after the other and give the points."""
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, {"loss": loss(trial.parameters)})
    return [trial.parameters for trial in study.trials]


@by_kind
@settings(max_examples=15, deadline=None)
@given(parameters=spaces(), seed=st.integers(0, 1000))
def test_every_suggestion_is_legal(algorithm, parameters, seed):
    study = Study(spec(parameters, algorithm), seed=seed)
    try:
        points = run(study, 8)
    except SpaceExhaustedError:
        points = [trial.parameters for trial in study.trials]
        assert len(points) == study.space.size
    for point in points:
        check_legal(parameters, point)


@with_grid
@settings(max_examples=8, deadline=None)
@given(parameters=spaces(finite=True, most=3), seed=st.integers(0, 1000), waiting=st.integers(0, 3))
def test_a_finite_space_is_searched_exactly_once(algorithm, parameters, seed, waiting):
    study = Study(spec(parameters, algorithm), seed=seed)
    if study.space.size > 80:
        return
    for number in range(study.space.size):
        trial = study.ask()
        if number >= waiting:  # some are never told, and stay pending
            study.tell(trial, {"loss": bowl(trial.parameters)} if number % 5 else None)
    points = [trial.parameters for trial in study.trials]
    assert {Space.key(point) for point in points} == {Space.key(point) for point in study.space.points()}
    with pytest.raises(SpaceExhaustedError, match=f"all {study.space.size} points"):
        study.ask()


@with_grid
def test_a_finite_branch_of_an_infinite_space_is_no_trap(algorithm):
    parameters = [Categorical("opt", ["adam", "sgd"]), Float("m", 0, 1, when=when("opt", "sgd"))]
    if isinstance(algorithm, Grid):
        with pytest.raises(SearchError, match="needs a step for m"):
            make_searcher(algorithm, Space(parameters), 0)
        return
    points = run(Study(spec(parameters, algorithm), seed=1), 20, lambda point: point.get("m", -1.0))
    assert sum(point["opt"] == "adam" for point in points) <= 1


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda one: one.kind)
def test_a_parameter_that_is_hardly_ever_there_is_no_trap(algorithm):
    """What nearly all trials lack still has a place in what is learned from them."""
    parameters = [
        Float("x", 0, 1),
        Categorical("c", list("abcdefgh")),
        Int("k", 0, 1, when=when("c", "h")),
        Discrete("d", [1, 2], when=when("c", "g")),
        Float("y", 0, 1, when=when("c", "g")),
    ]
    for point in run(Study(spec(parameters, algorithm), seed=0), 40):
        check_legal(parameters, point)


@pytest.mark.parametrize(
    "fine",
    [Int("x", 0, 10**6), Int("x", 1, 10**6, scale="log"), Float("x", 0, 1, step=1e-5)],
    ids=["int", "log", "step"],
)
def test_many_steps_are_climbed_like_a_continuum(fine):
    """The way to the valley's floor is no random walk from step to step."""
    parameters = [fine.model_copy(update={"name": f"x{index}"}) for index in range(4)]
    dimensions = Space(parameters).dimensions

    def valley(point):
        places = [float(one.place(one.coordinate(point[one.parameter.name]))) for one in dimensions]
        return sum((index + 1) * (place - 0.7) ** 2 for index, place in enumerate(places))

    bests = [min(map(valley, run(Study(spec(parameters, Bayesian()), seed=seed), 50, valley))) for seed in range(3)]
    assert statistics.median(bests) < 5e-6


def test_the_grid_comes_in_order_and_knows_its_size():
    parameters = [Int("a", 1, 2), Categorical("b", ["x", "y"]), Discrete("c", [3, 4], when=when("b", "y"))]
    study = Study(spec(parameters, Grid()))
    assert make_searcher(Grid(), study.space, 0).size == 6
    assert run(study, 6) == list(study.space.points())


def test_a_grid_takes_up_what_was_passed_over_because_of_trials_made_by_hand():
    study = Study(spec([Int("a", 0, 4)], Grid()))
    study.ask({"a": 2})
    assert [study.ask().parameters["a"] for _ in range(4)] == [1, 3, 4, 0]


@with_grid
def test_defaults_come_first_but_not_in_a_grid(algorithm):
    parameters = [
        Int("n", 0, 9, default=0),
        Categorical("c", ["a", "b", "c"], default="c"),
        Discrete("d", [1, 2, 3], default=3, when=when("c", "c")),
        Int("e", 0, 5),
    ]
    study = Study(spec(parameters, algorithm), seed=0)
    first = study.ask().parameters
    if isinstance(algorithm, Grid):
        assert first == {"n": 0, "c": "a", "e": 0}
    else:
        assert {name: first[name] for name in "ncd"} == {"n": 0, "c": "c", "d": 3}
        assert study.ask().parameters != first


@pytest.mark.parametrize("algorithm", [Bayesian(), Random()], ids=lambda one: one.kind)
def test_where_some_parameters_have_defaults_the_others_begin_in_the_middle(algorithm):
    study = Study(spec([Float("x", 0, 1, default=0.9), Float("y", 1e-4, 1, scale="log")], algorithm), seed=1)
    assert study.ask().parameters == {"x": 0.9, "y": pytest.approx(1e-2)}


def test_a_model_begins_in_the_middle_of_the_space_and_draws_the_choices():
    parameters = [Float("x", 1e-4, 1, scale="log"), Int("n", 1, 9), Categorical("c", ["a", "b"])]
    first = [Study(spec(parameters, Bayesian()), seed=seed).ask().parameters for seed in range(10)]
    assert {(round(point["x"], 9), point["n"]) for point in first} == {(1e-2, 5)}
    assert {point["c"] for point in first} == {"a", "b"}
    assert Study(spec(parameters, Random()), seed=0).ask().parameters["n"] != 5, "a baseline stays one"


@by_kind
def test_the_seed_decides(algorithm):
    twice = [run(Study(spec(BRANCHES, algorithm), seed=7), 10) for _ in range(2)]
    assert twice[0] == twice[1]
    assert run(Study(spec(BRANCHES, algorithm), seed=8), 10) != twice[0]


@by_kind
def test_completion_order_does_not_matter(algorithm):
    """Twelve trials end in three different orders; what comes next is the same, also after a replay."""
    proposals = []
    for order in (range(1, 13), range(12, 0, -1), [5, 1, 12, 3, 2, 4, 9, 8, 7, 6, 11, 10]):
        events = []
        study = Study(spec(BRANCHES, algorithm), seed=3, on_event=events.append)
        source = Study(spec(BRANCHES, Random()), seed=5)
        for _ in range(14):
            study.ask(source.ask().parameters)
        for number in order:
            study.tell(number, {"loss": bowl(study.trial(number).parameters)})
        replayed = Study.replay(study.spec, events, seed=3)
        assert replayed.trials == study.trials
        proposals += [study.propose(), replayed.propose()]
    assert all(proposal == proposals[0] for proposal in proposals)


@by_kind
def test_a_searcher_keeps_nothing_that_changes_a_result(algorithm):
    """Asked about one history, then another, it says of each what a new searcher says."""
    space = Space(BRANCHES)
    source = make_searcher(Random(), space, 1)
    points = [source.suggest(number, [], []) for number in range(1, 13)]
    seen = [Observation(n, point, (bowl(point),), TrialState.SUCCEEDED) for n, point in enumerate(points, 1)]
    histories = [seen[:10], [], seen[2:], seen[:1] + seen[4:9], seen]
    used = make_searcher(algorithm, space, 2)
    for history in histories:
        new = make_searcher(algorithm, space, 2)
        assert used.suggest(13, history, points[:1]) == new.suggest(13, history, points[:1])


@models
def test_maximising_is_minimising_the_negative(algorithm):
    down = Study(spec(BRANCHES, algorithm), seed=2)
    up = Study(spec(BRANCHES, algorithm, maximize("loss")), seed=2)
    assert run(down, 15) == run(up, 15, lambda point: -bowl(point))
    assert up.best.id == down.best.id


@pytest.mark.parametrize("algorithm", MODELS[:2], ids=lambda algorithm: algorithm.kind)
def test_where_only_ranks_count_a_rising_transform_changes_nothing(algorithm):
    plain = run(Study(spec(BRANCHES, algorithm), seed=2), 15)
    assert run(Study(spec(BRANCHES, algorithm), seed=2), 15, lambda point: math.expm1(3 * bowl(point))) == plain


@models
def test_failed_trials_never_teach_as_good_ones(algorithm):
    """Whatever lies in the left half fails, though its losses would be great; the searcher learns to stay away."""
    study = Study(spec([Float("x", 0, 1), Float("y", 0, 1)], algorithm), seed=4)
    for _ in range(60):
        trial = study.ask()
        x, y = trial.parameters["x"], trial.parameters["y"]
        if x < 0.5:
            study.report(trial, {"loss": -1000.0})
            study.tell(trial, state=TrialState.FAILED)
        else:
            study.tell(trial, {"loss": (x - 0.8) ** 2 + (y - 0.2) ** 2})
    late = [trial for trial in study.trials if trial.id > 30]
    assert sum(trial.state is TrialState.FAILED for trial in late) <= 10
    assert study.best.metrics["loss"] < 0.01


@models
@pytest.mark.parametrize("failing", [TrialState.FAILED, TrialState.INFEASIBLE, TrialState.STOPPED])
def test_a_study_in_which_everything_fails_goes_on(algorithm, failing):
    study = Study(spec(BRANCHES, algorithm), seed=0)
    for _ in range(12):
        study.tell(study.ask(), state=failing)
    assert study.best is None
    check_legal(BRANCHES, study.propose())


@models
def test_stopped_trials_teach_with_what_they_had(algorithm):
    proposals = []
    for state in (TrialState.SUCCEEDED, TrialState.STOPPED):
        study = Study(spec(BRANCHES, algorithm), seed=0)
        for _ in range(15):
            trial = study.ask()
            study.tell(trial, {"loss": bowl(trial.parameters)}, state=state)
        proposals.append(study.propose())
    assert proposals[0] == proposals[1]


STRANGE = {
    "constant": lambda n: 1.0,
    "zero": lambda n: 0.0,
    "huge": lambda n: 1e300 * (-1) ** n,
    "overflowing": lambda n: 1.7e308 * (-1) ** n,
    "tiny": lambda n: 5e-324 * n,
    "one outlier": lambda n: 1e300 if n == 3 else float(n),
    "one treasure": lambda n: -1e300 if n == 3 else float(n),
    "mostly nan": lambda n: math.nan if n % 4 else float(n),
    "infinite": lambda n: [math.inf, -math.inf, 1.0][n % 3],
    "two values": lambda n: float(n % 2),
    "growing": lambda n: 10.0**n,
}


@models
@pytest.mark.parametrize("name", STRANGE)
def test_strange_losses_do_no_harm(algorithm, name):
    study = Study(spec(BRANCHES, algorithm), seed=1)
    for number in range(14):
        trial = study.ask()
        check_legal(BRANCHES, trial.parameters)
        study.tell(trial, {"loss": STRANGE[name](number)})


@models
@pytest.mark.parametrize("wrong", [1e300, math.nan, -math.inf])
def test_strange_losses_among_others_do_not_spoil_the_search(algorithm, wrong):
    """Three losses say nothing; from the others is learned all the same. By chance the median is 0.2."""
    bests = []
    for seed in range(3):
        study = Study(spec([Float(f"x{index}", -1, 1) for index in range(3)], algorithm), seed=seed)
        for number in range(40):
            trial = study.ask()
            study.tell(trial, {"loss": wrong if number in {1, 7, 20} else ellipse(trial.parameters)})
        bests.append(study.best.metrics["loss"])
    assert statistics.median(bests) < 0.15


@pytest.mark.parametrize("wrong", [1e3, 1e300])
def test_a_loss_beyond_all_measure_is_a_failure(wrong):
    """What diverges now and then says no more than what fails: the same suggestions follow, and a good end."""
    spread = [Float(f"x{index}", -1, 1) for index in range(3)]
    studies = [Study(spec(spread, Bayesian()), seed=2) for _ in range(2)]
    for number in range(40):
        for study, bad in zip(studies, (wrong, math.nan), strict=True):
            trial = study.ask()
            study.tell(trial, {"loss": bad if number in {5, 9, 16} else ellipse(trial.parameters)})
    diverging, failing = ([trial.parameters for trial in study.trials] for study in studies)
    assert diverging == failing
    assert studies[0].best.metrics["loss"] < 1e-3


@cache
def ten_thousand():
    space, rng = Space(BRANCHES), np.random.default_rng(0)
    points = [space.decode(rng.random(len(space))) for _ in range(10_000)]
    return [Observation(n, point, (bowl(point),), TrialState.SUCCEEDED) for n, point in enumerate(points, 1)]


@pytest.mark.parametrize("count", [1, 2, 10, 401, 10_000])
@by_kind
def test_one_to_ten_thousand_observations(algorithm, count):
    if isinstance(algorithm, Plugin):  # its time is its own affair
        count = min(count, 1000)
    seen = ten_thousand()[:count]
    check_legal(BRANCHES, make_searcher(algorithm, Space(BRANCHES), 0).suggest(count + 1, seen, []))


@models
def test_the_same_point_many_times_does_no_harm(algorithm):
    study = Study(spec([Float("x", 0, 1), Categorical("c", ["a", "b"])], algorithm), seed=1)
    for number in range(30):
        study.tell(study.ask({"x": 0.25, "c": "a"}), {"loss": 1.0 + 0.01 * (number % 3)})
    assert study.propose() != {"x": 0.25, "c": "a"}


@models
def test_trials_asked_for_together_differ(algorithm):
    study = Study(spec([Float("x", 0, 1), Float("y", 0, 1)], algorithm), seed=1)
    run(study, 12, lambda point: math.sin(9 * point["x"]) + math.cos(7 * point["y"]))
    batch = np.array([list(study.ask().parameters.values()) for _ in range(8)])
    apart = np.abs(batch[:, None] - batch).max(axis=2) + np.eye(8)
    assert apart.min() > 1e-3


@by_kind
@pytest.mark.parametrize("width", [1, 100])
def test_one_to_a_hundred_dimensions(algorithm, width):
    parameters = [Float(f"x{i}", -1, 1) for i in range(width)]
    study = Study(spec(parameters, algorithm), seed=1)
    for point in run(study, 12, lambda point: sum(x**2 for x in point.values())):
        check_legal(parameters, point)


def test_sobol_covers_every_slice_once():
    """Of the first 64 points exactly one falls into each 64th of every axis, and 4 into each cell of a 4 by 4 net."""
    study = Study(spec([Float("x", 0, 1), Float("y", 0, 1)], Sobol()), seed=9)
    points = np.array([list(point.values()) for point in run(study, 64)])
    for column in points.T:
        assert sorted((column * 64).astype(int)) == list(range(64))
    assert set(np.bincount((points * 4).astype(int) @ [4, 1])) == {4}


def test_annealing_steps_get_smaller():
    def reach(results):
        study = Study(spec([Float("x", 0, 1)], Anneal(average_best=1.0, shrink=0.5)), seed=0)
        for number in range(results):
            study.tell(study.ask({"x": 0.5}), {"loss": 0.0 if number == 0 else 1.0})
        return np.ptp([study.ask().parameters["x"] for _ in range(100)])

    assert reach(2) == pytest.approx(1 / 2, rel=0.1)
    assert reach(18) == pytest.approx(1 / 10, rel=0.1)


@models
def test_several_objectives_all_steer(algorithm):
    """Of the front between (0, 1) and (1, 0), far more is dominated than by chance, and both ends are approached."""

    def dominated(kind, seed):
        parameters = [Float("x", 0, 1), Float("y", 0, 1), Float("z", 0, 1)]
        both = StudySpec(parameters=parameters, objectives=[minimize("cost"), maximize("gain")], algorithm=kind)
        study = Study(both, seed=seed)
        for _ in range(40):
            trial = study.ask()
            x, waste = trial.parameters["x"], trial.parameters["y"] + trial.parameters["z"]
            study.tell(trial, {"cost": x**2 + waste, "gain": -((1 - x) ** 2 + waste)})
        front = np.array([[one.metrics["cost"], -one.metrics["gain"]] for one in study.pareto])
        front = front[(front < 1.5).all(axis=1)]
        front = front[np.argsort(front[:, 0])]
        return float((np.diff(front[:, 0], append=1.5) * (1.5 - front[:, 1])).sum()), front

    learned = [dominated(algorithm, seed) for seed in range(3)]
    chance = statistics.mean(dominated(Random(), seed)[0] for seed in range(3))
    assert statistics.mean(volume for volume, _ in learned) > 1.2 * chance
    if isinstance(algorithm, Bayesian):
        for _, front in learned:
            assert front[0, 0] < 0.15
            assert front[-1, 1] < 0.15


def valley(point):
    return (math.log10(point["lr"]) + 3) ** 2 + (point["width"] - 40) ** 2 / 400 + (point["opt"] != "adam")


def ellipse(point):
    return sum((index + 1) * (x - 0.3) ** 2 for index, x in enumerate(point.values()))


EASY = {
    "valley": (
        [Float("lr", 1e-6, 1, scale="log"), Int("width", 1, 100), Categorical("opt", ["sgd", "adam", "lion"])],
        valley,
    ),
    "ellipse": ([Float(f"x{i}", -1, 1) for i in range(4)], ellipse),
}


@pytest.mark.parametrize("name", EASY)
def test_learning_beats_chance(name):
    """Medians over seven seeds after 40 trials. The margins are wide: about half of what is usual."""
    parameters, loss = EASY[name]

    def median(algorithm):
        bests = []
        for seed in range(7):
            study = Study(spec(parameters, algorithm), seed=seed)
            run(study, 40, loss)
            bests.append(study.best.metrics["loss"])
        return statistics.median(bests)

    chance = median(Random())
    assert median(Tpe()) < 0.6 * chance
    assert median(Anneal()) < 0.6 * chance
    assert median(Bayesian()) < 0.1 * chance


def test_a_plateau_is_not_paved():
    """Most of one branch has the same loss; trials that share the best loss send the search elsewhere too."""

    def loss(point):
        if point["kind"] == "flat":
            return 0.3 if point["x"] > 0.3 else 1.0
        return 0.1 + 2 * min(abs(point["x"] - 0.7) + abs(point["y"] - 0.2), 0.45)

    parameters = [Categorical("kind", ["flat", "deep"]), Float("x", 0, 1), Float("y", 0, 1)]
    on_it = 0
    for seed in range(3):
        points = run(Study(spec(parameters, Bayesian()), seed=seed), 40, loss)
        on_it += sum(loss(point) == 0.3 for point in points)
    assert on_it < 3 * 29


def test_the_model_uses_conditional_parameters():
    """The best lies in a branch, at a value of a parameter that exists only there."""
    parameters = [
        Categorical("opt", ["adam", "sgd", "rms"]),
        Float("lr", 1e-5, 1, scale="log"),
        Float("momentum", 0, 1, when=when("opt", "sgd")),
    ]

    def loss(point):
        branch = 2 * (point["momentum"] - 0.9) ** 2 if point["opt"] == "sgd" else 0.5
        return branch + 0.1 * (math.log10(point["lr"]) + 2) ** 2

    for algorithm, enough in ((Bayesian(), 0.01), (Tpe(), 0.1), (Anneal(), 0.1)):
        bests = []
        for seed in range(5):
            study = Study(spec(parameters, algorithm), seed=seed)
            run(study, 40, loss)
            bests.append(study.best.metrics["loss"])
        assert statistics.median(bests) < enough


@pytest.mark.parametrize(
    "algorithm",
    [one for one in ALL_ALGORITHMS if not isinstance(one, Plugin)],  # the time of a plug-in is its own affair
    ids=lambda algorithm: algorithm.kind,
)
def test_thousands_of_trials_take_no_quadratic_time(algorithm):
    """The time per suggestion, caches warm, grows at most in proportion: 4 times the history, far from 16 times."""
    parameters = [Float(f"x{i}", 0, 1) for i in range(4)] + [Int("n", 1, 10**6)]
    if isinstance(algorithm, Grid):
        parameters = [Int("n", 1, 10**6)]
    space = Space(parameters)
    rng = np.random.default_rng(0)
    points = [space.decode(rng.random(len(space))) for _ in range(10_000)]
    seen = [Observation(n, point, (bowl(point),), TrialState.SUCCEEDED) for n, point in enumerate(points, 1)]

    def seconds(count):
        searcher = make_searcher(algorithm, space, 0)
        history = seen[:count]
        searcher.suggest(count + 1, history, [])
        times = []
        for _ in range(3):
            start = time.process_time()
            searcher.suggest(count + 1, history, [])
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(10_000) < 8 * seconds(2_500) + 0.005
    assert seconds(10_000) < 1.0


def test_a_model_computes_on_one_thread_and_leaves_the_number_as_it_was(monkeypatch):
    def threads():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    during = []
    promise = Outlook.promise
    monkeypatch.setattr(Outlook, "promise", lambda *args: during.extend(threads()) or promise(*args))
    study = Study(spec([Float("x", 0, 1)], Bayesian(initial_trials=2)), seed=0)
    run(study, 3)
    with threadpool_limits(2, user_api="blas"):
        study.propose()
        assert set(threads()) == {2}
    assert during
    assert set(during) == {1}
