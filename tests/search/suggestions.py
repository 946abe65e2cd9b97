"""The first suggestions of every searcher in a mixed space, as they are kept in `tests/golden/search.json`.

Whoever means to change them renews them by `python tests/search/suggestions.py`.

Numbers are kept with three digits. Libraries of linear algebra differ in their last bits, by processor too, and what
follows from that grows from trial to trial; but not to so much within thirty of them.
"""

import json
import math
from pathlib import Path

from tuneport.model.parameters import Categorical, Discrete, Float, Int, when
from tuneport.model.study import Anneal, Bayesian, Random, Sobol, StudySpec, Tpe, maximize, minimize
from tuneport.search.study import Study

GOLDEN = Path(__file__).parents[1] / "golden" / "search.json"
MIXED = [
    Float("rate", 1e-5, 1, scale="log"),
    Float("drop", 0, 0.9),
    Int("layers", 1, 8),
    Int("width", 8, 512, scale="log"),
    Discrete("batch", [16, 32, 64, 128], scale="log"),
    Categorical("kind", ["adam", "sgd", "lion"]),
    Float("momentum", 0, 0.99, when=when("kind", "sgd")),
]
ONE, TWO = [minimize("loss")], [minimize("loss"), maximize("gain")]
CASES = {
    "random": (Random(), ONE),
    "sobol": (Sobol(), ONE),
    "tpe": (Tpe(), ONE),
    "anneal": (Anneal(), ONE),
    "bayesian": (Bayesian(), ONE),
    "bayesian, two objectives": (Bayesian(), TWO),
}


def metrics(point):
    branch = {"adam": 0.2, "lion": 0.5}.get(point["kind"], (point.get("momentum", 0) - 0.9) ** 2)
    size = abs(math.log2(point["width"]) - 6) / 10 + abs(point["layers"] - 5) / 8
    loss = (math.log10(point["rate"]) + 2.5) ** 2 / 4 + (point["drop"] - 0.3) ** 2 + size + branch
    return {"loss": loss, "gain": math.log2(point["batch"]) - math.log2(point["width"]) - point["layers"] / 4}


def suggestions(algorithm, objectives):
    """The first thirty, one trial at a time."""
    study = Study(StudySpec(parameters=MIXED, objectives=objectives, algorithm=algorithm), seed=1)
    for _ in range(30):
        trial = study.ask()
        study.tell(trial, metrics(trial.parameters))
    return [dict(trial.parameters) for trial in study.trials]


def rounded(point):
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in point.items()}


if __name__ == "__main__":
    kept = {name: [rounded(point) for point in suggestions(*case)] for name, case in CASES.items()}
    GOLDEN.write_text(json.dumps(kept, indent=1) + "\n")
