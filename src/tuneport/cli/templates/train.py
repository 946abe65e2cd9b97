"""Train a small neural network to tell two noisy rings apart, and report its accuracy after each epoch.

Put your own training here. All that tuneport needs is `params()` and `report()`.
"""

import numpy as np

import tuneport_trial


def rings(count, rng):
    """Points on two circles, one inside the other, with noise; and which circle each belongs to."""
    label = rng.integers(0, 2, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    radius = np.where(label == 1, 1.0, 2.0) + rng.normal(0, 0.3, count)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), label


def forward(weights, x):
    """The network: one hidden layer, and the probability of the inner ring."""
    w1, b1, w2, b2 = weights
    hidden = np.tanh(x @ w1 + b1)
    return hidden, 1 / (1 + np.exp(-(hidden @ w2 + b2)))


def gradients(weights, x, y):
    """Of the mean cross-entropy, by back-propagation."""
    hidden, p = forward(weights, x)
    error = (p - y) / len(y)
    inner = np.outer(error, weights[2]) * (1 - hidden**2)
    return [x.T @ inner, inner.sum(axis=0), hidden.T @ error, error.sum()]


p = tuneport_trial.params()
rng = np.random.default_rng(0)
train_x, train_y = rings(12000, rng)
test_x, test_y = rings(1000, rng)
weights = [rng.normal(0, 1, (2, p["hidden"])), np.zeros(p["hidden"]), rng.normal(0, 0.1, p["hidden"]), np.zeros(())]
first = [np.zeros_like(w) for w in weights]
second = [np.zeros_like(w) for w in weights]

for epoch in range(1, p["epochs"] + 1):
    for batch in np.array_split(rng.permutation(len(train_y)), len(train_y) // p["batch"]):
        for i, g in enumerate(gradients(weights, train_x[batch], train_y[batch])):
            if p["optimizer"] == "sgd":
                first[i] = p["momentum"] * first[i] + g
                weights[i] = weights[i] - p["lr"] * first[i]
            else:
                first[i], second[i] = 0.9 * first[i] + 0.1 * g, 0.999 * second[i] + 0.001 * g**2
                weights[i] = weights[i] - p["lr"] * first[i] / (np.sqrt(second[i]) + 1e-8)
    accuracy = np.mean((forward(weights, test_x)[1] > 0.5) == test_y)
    print(f"epoch {epoch}: accuracy {accuracy:.3f}")
    tuneport_trial.report(step=epoch, accuracy=accuracy)
    if tuneport_trial.should_stop():
        break
