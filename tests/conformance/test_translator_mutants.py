"""Taking a single write or read out of a translator is noticed; `tools/translator_mutants.py` tries all of them."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "translator_mutants.py"


@pytest.mark.parametrize("backend", ["vertex", "sagemaker", "modelarts"])
def test_writes_and_reads_are_missed(backend):
    sample = [sys.executable, TOOL, backend, "--only", "study", "--every", "12"]
    done = subprocess.run(sample, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    caught, _, tried = done.stdout.split()[1:4]
    assert caught == tried != "0"
