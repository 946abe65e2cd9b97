"""Nimbus, the example of a backend, is small enough to say by hand what becomes of a job there."""

import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "examples" / "your-own-backend"
sys.path.insert(0, str(PLUGIN))
from tuneport_nimbus import BACKEND  # noqa: E402


@pytest.fixture
def nimbus():
    return BACKEND


@pytest.fixture
def document():
    """A job of Nimbus, spelt as people spell, with two things that our words cannot say."""
    return {
        "Title": "digits",
        "account": "research",
        "trials": "20",
        "goal": {"metric": "accuracy", "direction": "UP"},
        "space": [
            {"name": "lr", "low": 0.001, "high": 0.1, "log": True},
            {"name": "n", "low": 1, "high": 8, "whole": True},
        ],
        "image": "nimbus/train:3",
        "env": {"A": "1"},
        "results": "nim://runs/",
        "firewall": "closed",
        "color": "blue",
    }


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Nimbus as pip would install it, and an empty folder to work in."""
    info = tmp_path / "tuneport_nimbus-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tuneport-nimbus\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tuneport.backends]\nnimbus = tuneport_nimbus:BACKEND\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path
