"""What `auto` stands for, where searchers come from, and what a run says of both."""

import pytest

from tuneport.errors import MissingExtraError, SearchError
from tuneport.model.job import Budget
from tuneport.model.parameters import Categorical, Float, Int
from tuneport.model.study import Asha, Auto, Bayesian, CmaEs, Plugin, StudySpec, maximize
from tuneport.search.study import Study

from .spaces import BRANCHES, bowl, spec

WIDE = [Float("x", 0, 1), Int("n", 1, 9)]
FEW = [Int("n", 1, 5), Categorical("c", ["a", "b"])]


@pytest.mark.parametrize(
    ("parameters", "budget", "kind", "why"),
    [
        (WIDE, Budget(max_trials=50), "bayesian", "2 parameters and 50 trials"),
        (WIDE, Budget(max_trials=None, max_seconds=60), "bayesian", "any number of trials"),
        (WIDE, Budget(max_trials=5000), "bayesian", "5000 trials"),
        (WIDE, Budget(max_trials=20, parallel_trials=10), "sobol", "20 trials, 10 at a time"),
        (FEW, Budget(max_trials=10), "grid", "all 10 points"),
        (FEW, Budget(max_trials=9), "bayesian", "9 trials"),
    ],
)
def test_auto_goes_by_space_and_budget_and_says_why(parameters, budget, kind, why):
    study = Study(spec(parameters, Auto(seed=3)), budget=budget)
    assert study.search.algorithm.kind == kind
    assert why in study.search.reason
    assert study.search.algorithm.seed == study.seed == 3
    assert study.ask().parameters


def test_auto_says_that_rungs_teach_a_model_too():
    search = Study(spec(WIDE, Auto(), early_stopping=Asha()), budget=Budget(max_trials=50)).search
    assert search.algorithm.kind == "bayesian"
    assert "rungs" in search.reason


def test_a_grid_is_no_way_to_a_target():
    sought = StudySpec(parameters=FEW, objectives=[maximize("score", target=1)], algorithm=Auto())
    assert Study(sought, budget=Budget(max_trials=10)).search.algorithm.kind == "bayesian"


def test_a_study_says_what_searches_it():
    search = Study(spec(WIDE, Bayesian(initial_trials=4)), seed=7).search
    assert (search.algorithm, search.reason) == (Bayesian(initial_trials=4, seed=7), "")
    assert [one.split()[0] for one in search.version.split(", ")] == ["tuneport", "numpy", "scipy"]
    assert "cmaes 0." in Study(spec(WIDE, CmaEs())).search.version
    assert "optuna " in Study(spec(WIDE, Plugin(name="optuna"))).search.version


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        (Plugin(name="optunna"), "did you mean 'optuna'"),
        (Plugin(name="optuna", options={"sampler": "Nonsense"}), "Optuna has no sampler Nonsense"),
        (Plugin(name="optuna", options={"nonsense": 1}), "nonsense"),
    ],
)
def test_a_wrong_plugin_is_told_at_once(algorithm, message):
    with pytest.raises(SearchError, match=message):
        Study(spec(WIDE, algorithm))


@pytest.mark.parametrize(
    ("algorithm", "package"), [(CmaEs(), "cmaes"), (Plugin(name="optuna"), "optuna")], ids=["cmaes", "optuna"]
)
def test_a_missing_package_is_named_with_its_extra(algorithm, package, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        Study(spec(WIDE, algorithm))
    assert caught.value.hint == f"pip install 'tuneport[{package}]'"


@pytest.mark.parametrize("sampler", ["NSGAIISampler", "CmaEsSampler", "QMCSampler", "RandomSampler"])
@pytest.mark.filterwarnings("ignore")  # Optuna says which of its samplers it calls experimental
def test_samplers_of_optuna_search_any_space(sampler):
    study = Study(spec(BRANCHES, Plugin(name="optuna", options={"sampler": sampler})), seed=1)
    for number in range(30):
        trial = study.ask()
        study.tell(trial, {"loss": bowl(trial.parameters)} if number % 5 else None)
    assert len({study.space.key(trial.parameters) for trial in study.trials}) == 30


def test_optuna_sees_several_objectives_and_learns():
    parameters = [Float("x", 0, 1), Float("y", 0, 1)]
    learning = Study(spec(parameters, Plugin(name="optuna", options={"n_startup_trials": 8})), seed=2)
    for _ in range(40):
        trial = learning.ask()
        learning.tell(trial, {"loss": (trial.parameters["x"] - 0.7) ** 2 + (trial.parameters["y"] - 0.2) ** 2})
    late = [trial.metrics["loss"] for trial in learning.trials if trial.id > 30]
    assert sorted(late)[5] < 0.05  # of random draws, 0.17
