"""Taking a single write or read out of a translator is noticed; `tools/translator_mutants.py` tries all of them."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "translator_mutants.py"


@pytest.mark.parametrize("backend", ["vertex", "sagemaker", "modelarts"])
def test_writes_and_reads_are_missed(backend):
    done = subprocess.run([sys.executable, TOOL, backend, "--every", "30"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "mutants caught" in done.stdout
