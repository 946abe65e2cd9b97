"""What a parameter's value changes of a trial, seen by real processes on this machine."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuneport.backends.local import launch as local
from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.settings import LocalSettings
from tuneport.backends.modelarts import launch as modelarts
from tuneport.backends.sagemaker import launch as sagemaker
from tuneport.backends.vertex import launch as vertex
from tuneport.engine import engine
from tuneport.model.job import TuningJob
from tuneport.model.parameters import Categorical, when
from tuneport.model.results import FailureKind, StudyResult, Trial
from tuneport.model.study import Grid, maximize
from tuneport.model.trial_spec import Variant

CONTRACTS = {room.__name__.split(".")[-2]: room.launch for room in (local, vertex, sagemaker, modelarts)}
Run = Callable[..., dict[str, Trial]]


@pytest.fixture(params=["local"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalClient]:
    settings = LocalSettings(workspace=tmp_path / "workspace", grace=1.0, gpus=0)
    client = LocalClient(settings, lambda _: CONTRACTS[request.param], create=True)
    yield client
    client.close()


@pytest.fixture
def run(client: LocalClient, tmp_path: Path) -> Run:
    """Runs a trainer once per model a, b and c; what b is, its variant says. Returns the trials by model."""

    def drive(script: str, variant: dict[str, Any], **trial: Any) -> dict[str, Trial]:
        (tmp_path / "trainer.py").write_text(f"import os, sys, time\nimport tuneport_trial as t\n{script}\n")
        job = TuningJob.model_validate(
            {
                "name": "varied",
                "study": {
                    "parameters": [Categorical("model", ["a", "b", "c"])],
                    "objectives": [maximize("score"), maximize("size")],
                    "algorithm": Grid(),
                },
                "trial": {"command": ["python", "trainer.py"]}
                | trial
                | {"variants": [Variant(when=when("model", "b"), **variant)]},
                "budget": {"max_trials": 3, "parallel_trials": 3, "max_failed_trials": 9},
            }
        )
        name = client.create(job, tmp_path, "process", "test")
        client.drive(name)
        result: StudyResult = client.result(name)
        assert len(result.trials) == 3
        return {str(one.parameters["model"]): one for one in result.trials}

    return drive


def test_a_variant_changes_arguments_variables_and_the_program(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("print('score=2', 'size=0')")
    patterns = {"score": r"score=(\S+)", "size": r"size=(\S+)"}
    trials = run(
        "print(f'score={os.environ[\"WORTH\"]}', f'size={len(sys.argv)}')",
        {"command": ["python", "other.py"]},
        env={"WORTH": "1"},
        metrics=patterns,
    )
    assert {name: one.metrics for name, one in trials.items()} == {
        "a": {"score": 1.0, "size": 2.0},
        "b": {"score": 2.0, "size": 0.0},
        "c": {"score": 1.0, "size": 2.0},
    }
    trials = run(
        "print(f'score={os.environ[\"WORTH\"]}', f'size={len(sys.argv)}')",
        {"env": {"WORTH": "7"}, "args": ["--verbose", "--more"], "parameters": {"depth": 3}},
        env={"WORTH": "1"},
        metrics=patterns,
    )
    assert [trials[name].metrics for name in "ab"] == [{"score": 1.0, "size": 2.0}, {"score": 7.0, "size": 5.0}]


NAMED = """
b = t.params()["model"] == "b"
t.report(step=1, **({"b_score": 2.0, "score": 9.0, "size": 1.0} if b else {"score": 1.0, "size": 1.0}))
"""


@pytest.mark.parametrize("client", CONTRACTS, indirect=True)
def test_a_variant_has_a_name_of_its_own_for_the_primary_metric(run: Run) -> None:
    trials = run(NAMED, {"metric": "b_score"})
    assert {name: one.metrics for name, one in trials.items()} == {
        "a": {"score": 1.0, "size": 1.0},
        "b": {"score": 2.0, "size": 1.0},
        "c": {"score": 1.0, "size": 1.0},
    }


def test_the_name_counts_in_patterns_too(run: Run) -> None:
    trials = run(
        "print('loss -2 score 1 size 1')",
        {"metric": "loss", "metrics": {"loss": r"loss (\S+)", "size": r"size (\S+)"}},
        metrics={"score": r"score (\S+)", "size": r"size (\S+)"},
    )
    assert [trials[name].metrics["score"] for name in "abc"] == [1.0, -2.0, 1.0]


def test_the_name_counts_for_what_functions_return(run: Run) -> None:
    trials = run("def worth(model): return ord(model)", {"metric": "other"}, command=None, function="trainer:worth")
    assert {name: one.metrics for name, one in trials.items()} == {
        "a": {"score": 97.0},
        "b": {"score": 98.0},
        "c": {"score": 99.0},
    }


def test_a_flood_of_reports_keeps_the_name(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_REPORTS", 5)
    script = 'for step in range(30): t.report(step=step, **{"b" if t.params()["model"] == "b" else "score": step % 20})'
    trials = run(script, {"metric": "b"})
    for one in trials.values():
        assert [report.metrics["score"] for report in one.measurements] == [0, 1, 2, 3, 4, 19, 9]


def test_a_missing_metric_is_missed_by_the_name_that_the_trainer_should_use(run: Run) -> None:
    failure = run("t.report(score=1)", {"metric": "b_score"})["b"].failure
    assert failure is not None
    assert failure.kind is FailureKind.METRIC_MISSING
    assert "never reported 'b_score'" in failure.message


def test_a_variant_has_its_own_time_limit_and_retries(run: Run, tmp_path: Path) -> None:
    trials = run("if t.params()['model'] == 'b': time.sleep(60)\nt.report(score=1)", {"timeout": 0.5})
    assert [one.failure.kind if one.failure else None for one in trials.values()] == [None, FailureKind.TIMED_OUT, None]
    run("open(t.params()['model'], 'a').write('x')\nos.kill(os.getpid(), 9)", {"retries": 2})
    assert [(tmp_path / name).read_text() for name in "abc"] == ["x", "xxx", "x"]


@pytest.mark.parametrize("client", ["local", "vertex", "modelarts"], indirect=True)
def test_a_command_runs_inside_of_its_package(run: Run, tmp_path: Path) -> None:
    for name, worth in (("one", 1), ("two", 2)):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "worth.txt").write_text(str(worth))
        (tmp_path / name / "train.py").write_text(
            "import tuneport_trial as t\nt.report(score=float(open('deep/worth.txt').read()), size=0)"
        )
    trials = run("", {"command": ["python", "../two/train.py"]}, command=["python", "train.py"], package="one")
    assert trials["a"].metrics["score"] == trials["b"].metrics["score"] == 1.0
    trials = run("", {"args": []}, command=["python", "train.py"], package=f"file://{tmp_path}/two")
    assert trials["c"].metrics["score"] == 2.0


def test_a_command_with_an_archive_finds_its_modules(run: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "made.whl", "w") as wheel:
        wheel.writestr("made.py", "WORTH = 5")
    trials = run("import made\nt.report(score=made.WORTH, size=0)", {"args": []}, package="made.whl")
    assert trials["a"].metrics["score"] == 5.0
