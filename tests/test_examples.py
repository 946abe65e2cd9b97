"""Every example is short, and does what it says, as its readers would run it."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(folder: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tuneport(folder: Path, job: str):
    return json.loads(run(folder, "-m", "tuneport", "run", EXAMPLES / job, "--json", "--quiet"))


def values(result, metric):
    return [trial["final_measurement"]["metrics"][metric] for trial in result["trials"]]


@pytest.mark.parametrize("path", [path for path in EXAMPLES.rglob("*") if path.suffix in {".py", ".yaml"}], ids=str)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) < 60


def test_function(tmp_path):
    *_, errors = run(tmp_path, EXAMPLES / "function.py").splitlines()
    assert float(errors.split()[1].rstrip(";")) < 0.06


def test_conditional(tmp_path):
    said = run(tmp_path, EXAMPLES / "conditional.py")
    assert float(said.split()[1]) > 0.9
    assert "model: " in said


def test_digits(tmp_path):
    result = tuneport(tmp_path, "digits/job.yaml")
    assert [trial["state"] for trial in result["trials"]] == ["succeeded"] * 20
    assert max(values(result, "accuracy")) > 0.96


def test_asha(tmp_path):
    result = tuneport(tmp_path, "asha/job.yaml")
    assert max(values(result, "accuracy")) > 0.95
    stopped = [trial for trial in result["trials"] if trial["state"] == "stopped"]
    assert len(stopped) >= len(result["trials"]) / 2
    assert all(trial["failure"]["kind"] == "stopped_by_scheduler" for trial in stopped)
    assert sum(len(trial["measurements"]) for trial in stopped) < 81 * len(stopped) / 2


def test_population(tmp_path):
    result = tuneport(tmp_path, "population/job.yaml")
    states = Counter(trial["state"] for trial in result["trials"])
    assert states["succeeded"] == 6
    heirs = [trial for trial in result["trials"] if trial.get("parent")]
    assert len(heirs) == states["stopped"] > 0
    assert min(values(result, "loss")) < 0.4


def test_resume(tmp_path):
    killed, resumed = run(tmp_path, EXAMPLES / "resume.py").splitlines()
    assert killed.startswith("killed: interrupted, ")
    assert resumed == "resumed: succeeded, 20 of 20 trials have ended, earlier results kept: True"


def test_three_clouds(tmp_path):
    said = run(tmp_path, EXAMPLES / "three_clouds.py")
    assert [line.split(":")[0] for line in said.splitlines() if not line.startswith(" ")] == [
        "vertex",
        "sagemaker",
        "modelarts",
    ]
    assert "emulated     /study/parameters/3/when" in said
