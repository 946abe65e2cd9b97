"""What history is worth: the first ten suggestions with an earlier study known, against those without it.

The earlier study tuned the same model on other data, and its ranges were others: the usual case after a move. Model and
data are scikit-learn's own. Prints the mean gain in validated accuracy with a bootstrap interval over the seeds.
"""

from __future__ import annotations

import argparse
import warnings
from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

import tuneport as tp
from tuneport.model.history import History, fit

FIRST = 10
EARLIER = 30


def study(low: float, high: float) -> tp.StudySpec:
    return tp.StudySpec(
        parameters=[tp.Float("C", low, high, scale="log"), tp.Float("gamma", 1e-7, 1.0, scale="log")],
        objectives=[tp.maximize("accuracy")],
        algorithm=tp.Bayesian(),
    )


@cache
def accuracy(half: int, c: float, gamma: float) -> float:
    """Of a support vector machine on one half of the digits."""
    images, labels = load_digits(return_X_y=True)
    return float(cross_val_score(SVC(C=c, gamma=gamma), images[half::2], labels[half::2], cv=3).mean())


def searched(spec: tp.StudySpec, half: int, seed: int, trials: int, history: tuple[tp.Trial, ...] = ()) -> tp.Study:
    made = tp.Study(spec, seed=seed, history=history)
    for _ in range(trials):
        trial = made.ask()
        made.tell(trial, {"accuracy": accuracy(half, trial.parameters["C"], trial.parameters["gamma"])})
    return made


def gains(seed: int) -> tuple[float, float]:
    """How much better the first ten are, on the mean and at the best, with what an earlier study has found."""
    source, target = study(1e-3, 1e2), study(1e-2, 1e4)
    earlier = searched(source, 0, seed, EARLIER)
    known = fit([History(source="earlier", trials=earlier.trials)], target).trials
    scores = [
        [trial.metrics["accuracy"] for trial in searched(target, 1, seed + 1000, FIRST, history).trials]
        for history in (known, ())
    ]
    return float(np.mean(scores[0]) - np.mean(scores[1])), max(scores[0]) - max(scores[1])


def interval(values: np.ndarray) -> tuple[float, float]:
    """A bootstrap interval of the mean, 95 %."""
    draws = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(axis=1)
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        found = np.array([gains(seed) for seed in range(seeds)])
    for name, column in zip(("mean of the first ten", "best of the first ten"), found.T, strict=True):
        low, high = interval(column)
        print(f"{name}: {column.mean():+.4f} accuracy with history ({low:+.4f} to {high:+.4f}, {seeds} seeds)")


if __name__ == "__main__":
    main()
