"""Searchers that stand on other packages: what is missing or does not suit is told, and their past stays readable."""

import sys

import pytest

from tuneport.errors import MissingExtraError, SearchError
from tuneport.model.parameters import Float
from tuneport.model.study import CmaEs, Plugin, StudySpec, minimize
from tuneport.search.study import Study

from .spaces import spec

X = [Float("x", 0, 1), Float("y", 0, 1)]


def offered(root, name, body):
    """A package in `root` that offers a searcher under its own name."""
    info = root / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tuneport.searchers]\n{name} = {name}:searcher\n")
    (root / f"{name}.py").write_text(body)


@pytest.mark.parametrize("body", ["import missing_package", "raise RuntimeError('bad driver')", "", "def"])
def test_a_plugin_that_cannot_be_loaded_is_told_and_its_studies_are_read(tmp_path, monkeypatch, body):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cirrus", raising=False)
    offered(tmp_path, "cirrus", body)
    with pytest.raises(SearchError, match=r"'cirrus' \(cirrus:searcher\) cannot be loaded"):
        Study(spec(X, Plugin(name="cirrus")))
    assert "cirrus" in Study(spec(X, Plugin(name="cirrus")), lazy=True).search.version


def test_a_lazy_study_is_told_its_past_without_what_searched_it(monkeypatch):
    events = []
    study = Study(spec(X, CmaEs()), seed=1, on_event=events.append)
    study.tell(study.ask(), {"loss": 1.0})
    study.tell(study.ask(), {"loss": 0.5})
    lazy = Study(study.spec, seed=1, lazy=True)
    assert lazy.propose() == Study(study.spec, seed=1).propose()
    monkeypatch.setitem(sys.modules, "cmaes", None)
    lazy = Study(study.spec, seed=1, lazy=True)
    for event in events:
        lazy.apply(event)
    assert (lazy.trials, lazy.best, lazy.search) == (study.trials, study.best, study.search)
    for needing in (lazy.prepare, lazy.propose, lazy.ask, lambda: lazy.adaptive):
        with pytest.raises(MissingExtraError, match="cmaes"):
            needing()


def sampled(sampler, **options):
    return Plugin(name="optuna", options={"sampler": sampler, **options})


@pytest.mark.filterwarnings("ignore")  # Optuna says which of its samplers it calls experimental
def test_what_a_sampler_of_optuna_stands_on_is_told_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    study = Study(spec(X, sampled("GPSampler", n_startup_trials=1)), seed=1)
    study.tell(study.ask(), {"loss": 1.0})
    with pytest.raises(MissingExtraError, match=r"GPSampler .*torch") as caught:
        study.ask()
    assert "another sampler" in caught.value.hint


@pytest.mark.parametrize(
    ("sampler", "goals", "problem"), [("BruteForceSampler", 1, "infinite"), ("CmaEsSampler", 2, "multi-objective")]
)
@pytest.mark.filterwarnings("ignore")
def test_a_sampler_of_optuna_says_what_it_cannot_search(sampler, goals, problem):
    metrics = ["a", "b"][:goals]
    objectives = [minimize(metric) for metric in metrics]
    study = Study(StudySpec(parameters=X, objectives=objectives, algorithm=sampled(sampler)), seed=1)
    if goals > 1:
        study.tell(study.ask(), dict.fromkeys(metrics, 1.0))  # the first that says how many there are
    with pytest.raises(SearchError, match=f"{sampler} .*{problem}"):
        study.ask()
    assert study.running == ()
