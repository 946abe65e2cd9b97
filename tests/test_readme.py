"""What the README shows is true: its code and its job are taken from the page and used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tuneport as tp
from tuneport import files

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_job_file_is_a_job(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    (tmp_path / "job.yaml").write_text(text)
    job = files.read_job(tmp_path / "job.yaml")
    assert tp.TuningJob.model_validate(job.brief()) == job


def test_the_first_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEPORT_LOCAL__GPUS", "4")
    Path("train.py").write_text(
        "import tuneport_trial as t\np = t.params()\nt.report(step=1, accuracy=p['lr'] * p['layers'])\n"
    )
    shown = blocks("python")[0].replace("max_trials=64", "max_trials=6")
    names: dict[str, Any] = {}
    exec(shown, names)
    assert len(names["run"].trials) == 6
    assert names["run"].best.metrics["accuracy"] > 0


def test_the_verbs_of_the_python_section_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tuned, _, alone = blocks("python")[2].split("\n\n")
    names: dict[str, Any] = {"tp": tp}
    exec(tuned.replace("max_trials=40", "max_trials=5"), names)
    assert set(names["best"].parameters) == {"x", "y"}
    space = [tp.Float("lr", 0, 1)]
    names["job"] = tp.TuningJob(
        name="alone",
        study=tp.StudySpec(parameters=space, objectives=[tp.maximize("accuracy")]),
        trial=tp.TrialSpec(command=["true"]),
    )
    exec(alone, names)
    assert names["study"].best.metrics == {"accuracy": 0.93}


def test_every_page_that_it_links_to_is_there() -> None:
    for link in re.findall(r"\]\(([^):]+)\)", README):
        assert (Path(__file__).parents[1] / link).exists(), link
