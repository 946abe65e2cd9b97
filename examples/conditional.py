"""A conditional space: which kind of model, and only the parameters that this kind has.

Run it: python examples/conditional.py
"""

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

import tuneport as tp

images, labels = load_digits(return_X_y=True)
images, labels = images[::3], labels[::3]  # a third of the data, so that this takes seconds

MODELS = {
    "svm": lambda p: SVC(C=p["c"], kernel=p["kernel"], degree=p.get("degree", 3)),
    "forest": lambda p: RandomForestClassifier(p["trees"], max_depth=p["depth"], random_state=0),
    "neighbours": lambda p: KNeighborsClassifier(p["k"], weights=p["weights"]),
}

PARAMETERS = [
    tp.Categorical("model", list(MODELS)),
    tp.Float("c", 1e-2, 1e2, scale="log", when=tp.when("model", "svm")),
    tp.Categorical("kernel", ["rbf", "poly"], when=tp.when("model", "svm")),
    tp.Int("degree", 2, 5, when=tp.when("kernel", "poly")),  # a condition below a condition
    tp.Int("trees", 5, 60, when=tp.when("model", "forest")),
    tp.Int("depth", 2, 12, when=tp.when("model", "forest")),
    tp.Int("k", 1, 15, when=tp.when("model", "neighbours")),
    tp.Categorical("weights", ["uniform", "distance"], when=tp.when("model", "neighbours")),
]


def accuracy(parameters):
    """Cross-validated accuracy; `parameters` holds the active ones only."""
    return cross_val_score(MODELS[parameters["model"]](parameters), images, labels, cv=3).mean()


if __name__ == "__main__":
    best = tp.tune(accuracy, PARAMETERS, goal="maximize", metric="accuracy", max_trials=30, algorithm=tp.Tpe(seed=2))
    print(f"accuracy {best.metrics['accuracy']:.4f} with")
    for name, value in best.parameters.items():
        print(f"  {name}: {value}")
