"""The example of a backend keeps the contract, by its own test, and is found through its entry point."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

from tuneport import translating
from tuneport.backends import registry
from tuneport.translation.capabilities import Fidelity

PLUGIN = Path(__file__).parents[2] / "examples" / "your-own-backend"
sys.path[:0] = [str(PLUGIN), str(PLUGIN / "tests")]
from test_contract import TestNimbus  # noqa: E402, F401 - collected here

JOB = {
    "name": "digits",
    "study": {
        "parameters": [{"name": "lr", "kind": "float", "low": 0.1, "high": 1, "scale": "log"}],
        "objectives": [{"metric": "accuracy", "goal": "maximize"}],
    },
    "trial": {"image": "nimbus/train:1"},
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """What pip writes of a package: metadata and entry points on the path. The code is there already."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    info = tmp_path / "tuneport_nimbus-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (entry,) = project["entry-points"]["tuneport.backends"].items()
    (info / "entry_points.txt").write_text("[tuneport.backends]\n{} = {}\n".format(*entry))
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed")
def test_it_is_a_backend_like_ours():
    assert registry.load("nimbus").name == "nimbus"
    assert "nimbus" in translating.clouds()
    made = translating.translate(JOB, "nimbus", settings={"results": "nim://runs/", "account": "research"})
    assert made.payload["account"] == "research"
    assert made.report.worst is Fidelity.EXACT


@pytest.mark.usefixtures("installed")
def test_jobs_move_to_it_and_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tuneport.toml").write_text('[map.uri]\n"nim://runs/" = "gs://runs/"\n')
    document = json.loads((PLUGIN / "tests" / "golden" / "answer.json").read_text())
    moved = translating.migrate(document, "nimbus", "vertex", settings={"machine": "n1-standard-4"})
    told = {field.pointer: field.fidelity for field in moved.report.fields}
    assert told["/native/nimbus/firewall"] is Fidelity.UNSUPPORTED  # it matters there
    assert told["/native/nimbus/color"] is Fidelity.DROPPED
    assert told["/native/nimbus/$settings/account"] is Fidelity.DROPPED
    assert moved.payload["trialJobSpec"]["baseOutputDirectory"] == {"outputUriPrefix": "gs://runs/digits/"}
