"""How good the search core is and what it costs, against Optuna's samplers in one run: `make bench-search`.

1. Models of scikit-learn are tuned by cross-validation on data that scikit-learn ships, one trial after the other and
   four at a time. A score of 0 is the best loss that anybody found for a problem in this run, 1 the median of random
   searches with the same number of trials. Problems weigh the same; intervals are bootstraps over problems and seeds.
2. Seconds per suggestion on a mixed space of ten parameters, after 25 to 1,000 trials.
3. Peak memory of a process with tuneport alone that has been told 5,000 trials of that space and is asked for a
   suggestion; on Linux.

`--gp` adds Optuna's Gaussian process, for which torch must be installed, and most of an hour.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import optuna
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from tuneport.model.parameters import Categorical, Float, Int, When, when
from tuneport.model.study import AnyParameter, StudySpec, minimize
from tuneport.search.study import Study

Point = Mapping[str, Any]
TRIALS = 100
MARKS = (50, 100)
RANDOM_POINTS = 300
"""From these, the median of random searches is worked out that is the score 1."""
CAP = 3.0
"""No single run counts for more."""
TINY = 1e-9
HELD = 5_000
HOLDER = """
import json, sys
from tuneport.model.study import StudySpec
from tuneport.search.study import Study

study = Study(StudySpec.model_validate_json(next(sys.stdin)), seed=1)
for line in sys.stdin:
    point, loss = json.loads(line)
    study.tell(study.ask(point), {"loss": loss})
study.ask()
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""
"""Says its peak memory in KiB. On Linux, `getrusage` would count that of the process that started this one as well."""


@dataclass
class Problem:
    """A model to tune: what is searched, on which data, by which score, and the estimator at a point."""

    parameters: Sequence[AnyParameter]
    data: Callable[..., Any]
    scoring: str
    estimator: Callable[..., Any]
    known: dict[frozenset[Any], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._xy = self.data(return_X_y=True)

    def __call__(self, point: Point) -> float:
        """The cross-validated loss, each point worked out once."""
        key = frozenset(point.items())
        if key not in self.known:
            self.known[key] = self._measure(point)
        return self.known[key]

    def _measure(self, point: Point) -> float:
        model = make_pipeline(StandardScaler(), self.estimator(**point))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # some corners do not converge, or overflow; their loss says so
            scores = cross_val_score(model, *self._xy, cv=3, scoring=self.scoring, error_score=np.nan)
        return min(-float(scores.mean()), 1e6) if np.isfinite(scores.mean()) else 1e6


def log(name: str, low: float, high: float, condition: When | None = None) -> Float:
    return Float(name, low, high, scale="log", when=condition)


CURVED = when("kernel", "rbf", "poly", "sigmoid")
KERNEL = [Categorical("kernel", ["rbf", "poly", "sigmoid", "linear"]), log("gamma", 1e-5, 10, CURVED)]
DEGREE = Int("degree", 2, 4, when=when("kernel", "poly"))
TREE = [
    Int("max_depth", 1, 20),
    Int("min_samples_leaf", 1, 50, scale="log"),
    Int("min_samples_split", 2, 100, scale="log"),
    Float("max_features", 0.05, 1),
    log("ccp_alpha", 1e-6, 0.1),
]
ACCURACY, SQUARES = "accuracy", "neg_root_mean_squared_error"
PROBLEMS = {
    "SVC, breast cancer": Problem([*KERNEL, DEGREE, log("C", 1e-3, 1e3)], load_breast_cancer, ACCURACY, SVC),
    "SVR, diabetes": Problem(
        [log("C", 1e-2, 1e3), log("gamma", 1e-4, 10), log("epsilon", 0.1, 100)], load_diabetes, SQUARES, SVR
    ),
    "kernel ridge, diabetes": Problem(
        [*KERNEL, DEGREE, log("alpha", 1e-4, 1e3), Float("coef0", -2, 2, when=when("kernel", "poly", "sigmoid"))],
        load_diabetes,
        SQUARES,
        KernelRidge,
    ),
    "tree, diabetes": Problem(TREE, load_diabetes, SQUARES, partial(DecisionTreeRegressor, random_state=0)),
    "tree, breast cancer": Problem(
        [*TREE, Categorical("criterion", ["gini", "entropy"])],
        load_breast_cancer,
        "neg_log_loss",
        partial(DecisionTreeClassifier, random_state=0),
    ),
    "neighbours, wine": Problem(
        [Int("n_neighbors", 1, 60), Categorical("weights", ["uniform", "distance"]), Float("p", 1, 5)],
        load_wine,
        "neg_log_loss",
        KNeighborsClassifier,
    ),
    "linear, breast cancer": Problem(
        [
            Categorical("penalty", ["l2", "l1", "elasticnet"]),
            Float("l1_ratio", 0, 1, when=when("penalty", "elasticnet")),
            log("alpha", 1e-7, 1),
            Categorical("learning_rate", ["optimal", "constant", "invscaling", "adaptive"]),
            log("eta0", 1e-5, 10, when("learning_rate", "constant", "invscaling", "adaptive")),
            Float("power_t", 0.1, 1, when=when("learning_rate", "invscaling")),
        ],
        load_breast_cancer,
        "neg_log_loss",
        partial(SGDClassifier, loss="log_loss", max_iter=20, random_state=0),
    ),
}
MIXED = [
    *(Float(f"x{index}", 0, 1) for index in range(4)),
    log("rate", 1e-5, 1),
    log("decay", 1e-3, 1e3),
    Int("layers", 1, 64),
    Int("width", 8, 512, scale="log"),
    Categorical("kind", ["a", "b", "c"]),
    Categorical("flag", [True, False]),
]


def study_spec(parameters: Sequence[AnyParameter], kind: str) -> StudySpec:
    return StudySpec(parameters=parameters, objectives=[minimize("loss")], algorithm={"kind": kind})


class Ours:
    """The search core, with its default algorithm."""

    def __init__(self, parameters: Sequence[AnyParameter], seed: int, kind: str) -> None:
        self._study = Study(study_spec(parameters, kind), seed=seed)

    def ask(self) -> tuple[Any, Point]:
        trial = self._study.ask()
        return trial, trial.parameters

    def tell(self, trial: Any, loss: float) -> None:
        self._study.tell(trial, {"loss": loss})

    def add(self, point: Point, loss: float) -> None:
        self.tell(self._study.ask(point), loss)


class Optuna:
    """A sampler of Optuna. That with a model of fixed parameters gets those too that a condition switches off."""

    def __init__(self, parameters: Sequence[AnyParameter], seed: int, kind: str) -> None:
        self._parameters, self._flat = parameters, kind == "GPSampler"
        self._study = optuna.create_study(sampler=getattr(optuna.samplers, kind)(seed=seed))

    def ask(self) -> tuple[Any, Point]:
        trial = self._study.ask()
        point: dict[str, Any] = {}
        for one in self._parameters:
            active = one.when is None or one.when.holds(point)
            if active or self._flat:
                value = self._value(trial, one)
                point |= {one.name: value} if active else {}
        return trial, point

    def tell(self, trial: Any, loss: float) -> None:
        self._study.tell(trial, loss)

    def add(self, point: Point, loss: float) -> None:
        trial = optuna.create_trial(
            params=dict(point), distributions={one.name: distribution(one) for one in self._parameters}, value=loss
        )
        self._study.add_trial(trial)

    def _value(self, trial: Any, one: AnyParameter) -> Any:
        return trial._suggest(one.name, distribution(one))  # noqa: SLF001 - suggest_float and others call just this


def distribution(one: AnyParameter) -> Any:
    match one:
        case Categorical():
            return optuna.distributions.CategoricalDistribution(one.choices)
        case Int():
            return optuna.distributions.IntDistribution(one.low, one.high, log=one.scale == "log")
        case Float():
            return optuna.distributions.FloatDistribution(one.low, one.high, log=one.scale == "log")
        case _:
            raise TypeError(one)


Core = Callable[[Sequence[AnyParameter], int], "Ours | Optuna"]
CORES: dict[str, Core] = {
    "tuneport": lambda parameters, seed: Ours(parameters, seed, "bayesian"),
    "Optuna TPE": lambda parameters, seed: Optuna(parameters, seed, "TPESampler"),
}
OPTUNA_GP: dict[str, Core] = {"Optuna GP": lambda parameters, seed: Optuna(parameters, seed, "GPSampler")}


def best_curve(core: Ours | Optuna, problem: Problem, parallel: int) -> list[float]:
    """The best loss after 1, 2, … trials, asked for in batches."""
    losses: list[float] = []
    while len(losses) < TRIALS:
        asked = [core.ask() for _ in range(min(parallel, TRIALS - len(losses)))]
        for trial, point in asked:
            loss = problem(point)
            core.tell(trial, loss)
            losses.append(loss)
    return list(np.minimum.accumulate(losses))


def random_losses(problem: Problem) -> np.ndarray:
    source = Ours(problem.parameters, 0, "random")
    return np.array([problem(source.ask()[1]) for _ in range(RANDOM_POINTS)])


def scores(curves: np.ndarray, floor: float, chance: np.ndarray, mark: int) -> np.ndarray:
    """Regret of each seed's curve after `mark` trials, as a share of that of random search; shape (seeds,)."""
    # The best of n draws is below the quantile 1 - 0.5 ** (1 / n) in half of all cases.
    scale = max(float(np.quantile(chance, 1 - 0.5 ** (1 / mark))) - floor, TINY)
    return np.minimum((curves[:, mark - 1] - floor) / scale, CAP)


def interval(ours: np.ndarray, theirs: np.ndarray, draws: int = 10_000) -> tuple[float, float, float]:
    """Ratio of mean scores, and its 95 % bootstrap interval over problems and seeds; shapes (problems, seeds)."""
    rng = np.random.default_rng(0)
    problems, seeds = ours.shape
    ratios = []
    for _ in range(draws):
        rows = rng.integers(problems, size=problems)[:, None]
        mine, other = (one[rows, rng.integers(seeds, size=one.shape)].mean() for one in (ours, theirs))
        ratios.append(mine / max(other, TINY))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(ours.mean() / max(theirs.mean(), TINY)), float(low), float(high)


def quality(cores: Mapping[str, Core], seeds: int, problems: Mapping[str, Problem]) -> None:
    chance = {name: random_losses(one) for name, one in problems.items()}
    played = {
        (parallel, core, name): np.array(
            [best_curve(make(one.parameters, seed), one, parallel) for seed in range(seeds)]
        )
        for parallel in (1, 4)
        for core, make in cores.items()
        for name, one in problems.items()
    }
    floor = {name: min(one.known.values()) for name, one in problems.items()}
    for parallel in (1, 4):
        for mark in MARKS:
            table = {
                core: np.array(
                    [scores(played[parallel, core, name], floor[name], chance[name], mark) for name in problems]
                )
                for core in cores
            }
            report(f"{mark} trials, {parallel} at a time", table, list(problems))


def report(title: str, table: Mapping[str, np.ndarray], problems: Sequence[str]) -> None:
    ranks = np.mean(list(ranked(table)), axis=0)
    print(f"\n{title}; {next(iter(table.values())).shape[1]} seeds: score (0 best known, 1 random search)")
    print(f"{'':<30}" + "".join(f"{core:>12}" for core in table))
    for index, name in enumerate(problems):
        print(f"{name:<30}" + "".join(f"{one[index].mean():12.3f}" for one in table.values()))
    print(f"{'mean':<30}" + "".join(f"{one.mean():12.3f}" for one in table.values()))
    print(f"{'mean rank':<30}" + "".join(f"{rank:12.2f}" for rank in ranks))
    for core in list(table)[1:]:
        ratio, low, high = interval(table["tuneport"], table[core])
        print(f"tuneport / {core}: {ratio:.2f}   (95 % interval {low:.2f} to {high:.2f})")


def ranked(table: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """For each problem the rank of each core by its mean over seeds; equals share theirs."""
    for means in np.array([one.mean(axis=1) for one in table.values()]).T:
        yield np.array([1 + (means < mine).sum() + ((means == mine).sum() - 1) / 2 for mine in means])


def cost(cores: Mapping[str, Core]) -> None:
    print("\nmilliseconds per suggestion, ten mixed parameters (median of 15), and the ratio tuneport / other")
    for trials in (25, 100, 500, 1000):
        times = {core: 1e3 * suggestion_seconds(make, trials) for core, make in cores.items()}
        others = [f"{core} {ms:.1f} ({times['tuneport'] / ms:.2f})" for core, ms in times.items() if core != "tuneport"]
        print(f"after {trials:>4} trials: tuneport {times['tuneport']:.1f}, {', '.join(others)}")


def suggestion_seconds(make: Core, trials: int) -> float:
    core = make(MIXED, 1)
    for point, loss in mixed_trials(trials):
        core.add(point, loss)
    times = []
    for _ in range(16):
        began = time.perf_counter()
        trial, point = core.ask()
        times.append(time.perf_counter() - began)
        core.tell(trial, bowl(point))
    return statistics.median(times[1:])  # the first pays for imports


def memory() -> None:
    told = "\n".join([study_spec(MIXED, "bayesian").model_dump_json(), *map(json.dumps, mixed_trials(HELD))])
    said = subprocess.run([sys.executable, "-c", HOLDER], input=told, stdout=subprocess.PIPE, text=True, check=True)
    print(f"peak memory of a process with {HELD:,} trials: tuneport {int(said.stdout) * 1024 / 1e6:.0f} MB")


def mixed_trials(count: int) -> Iterator[tuple[Point, float]]:
    """Random points of the mixed space, and their losses."""
    source = Ours(MIXED, 0, "random")
    for _ in range(count):
        trial, point = source.ask()
        loss = bowl(point)
        source.tell(trial, loss)
        yield point, loss


def bowl(point: Point) -> float:
    return sum(float(np.log1p(abs(value))) for value in point.values() if not isinstance(value, str))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--problems", nargs="*", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--gp", action="store_true", help="Optuna's Gaussian process too; needs torch")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    cores = CORES | (OPTUNA_GP if options.gp else {})
    print(f"Optuna {optuna.__version__}, {platform.machine()}, Python {platform.python_version()}")
    with threadpool_limits(1):  # small matrices; and one core for everybody
        quality(cores, options.seeds, {name: PROBLEMS[name] for name in options.problems})
        cost(cores)
    if sys.platform == "linux":
        memory()


if __name__ == "__main__":
    main()
