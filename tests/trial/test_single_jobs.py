"""A trial that is a job of its own: nobody but the reader of its output waits for metrics."""

import contextlib
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tuneport_trial
from tuneport.engine.printed import Printed

NAMES = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters="="), min_size=1, max_size=20)


@pytest.fixture(autouse=True)
def no_host(monkeypatch):
    for name in ("CLOUD_ML_TRIAL_ID", "CLOUD_ML_HP_METRIC_FILE", "AIP_MODEL_DIR", "TUNEPORT_REPORT", "TUNEPORT_TRIAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.argv", ["train.py"])
    tuneport_trial.reset()
    yield
    tuneport_trial.reset()


@pytest.mark.parametrize("tuned", [False, True])
def test_on_vertex_it_prints_and_has_its_places_all_the_same(monkeypatch, tmp_path, capsys, tuned):
    monkeypatch.setenv("TUNEPORT_REPORT", "print")
    monkeypatch.setenv("AIP_MODEL_DIR", str(tmp_path / "model"))
    if tuned:
        monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "metrics"))
    tuneport_trial.report(step=2, loss=0.5)
    assert capsys.readouterr().out == "tuneport: step=2 loss=0.5\n"
    assert not (tmp_path / "metrics").exists()
    assert tuneport_trial.host() == "vertex"
    assert tuneport_trial.model_dir() == str(tmp_path / "model")


@given(
    st.dictionaries(NAMES.filter(lambda name: name not in tuneport_trial.RESERVED | {"step"}), st.floats(), min_size=1),
    st.none() | st.integers(0, 2**62),
)
def test_what_is_printed_is_read_as_it_was_reported(metrics, step):
    with contextlib.redirect_stdout(io.StringIO()) as written:
        tuneport_trial._NoHost().report(step, metrics)
    (report,) = Printed({}, ["loss"]).read(written.getvalue().splitlines(), 1.0)
    assert report.step == (1 if step is None else step)
    assert report.metrics.keys() == metrics.keys()
    for name, value in metrics.items():
        read = report.metrics[name]
        assert read == value or (math.isnan(read) and math.isnan(value))
