"""Tune a plain Python function: how many terms, and how much damping, make the best fit to noisy data?

Run it: python examples/function.py
"""

import numpy as np

import tuneport as tp

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-1, 1, 60))
y = np.sin(4 * x) + 0.5 * x + rng.normal(0, 0.2, 60)


def error(degree, damping):
    """Mean squared error of a damped polynomial fit on points that it has not seen, over five folds."""
    terms = np.polynomial.chebyshev.chebvander(x, degree)
    losses = []
    for fold in range(5):
        held_out = np.arange(len(x)) % 5 == fold
        a, b = terms[~held_out], y[~held_out]
        weights = np.linalg.solve(a.T @ a + damping * np.eye(degree + 1), a.T @ b)
        losses.append(np.mean((terms[held_out] @ weights - y[held_out]) ** 2))
    return np.mean(losses)


if __name__ == "__main__":
    best = tp.tune(
        error,
        parameters=[tp.Int("degree", 1, 20), tp.Float("damping", 1e-6, 10, scale="log")],
        goal="minimize",
        max_trials=30,
        seed=1,
    )
    print(f"degree {best.parameters['degree']}, damping {best.parameters['damping']:.2g}")
    print(f"error {best.metrics['objective']:.4f}; the noise alone has {0.2**2:.4f}")
