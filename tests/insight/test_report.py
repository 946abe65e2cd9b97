"""A run on one page: everything that is known is there, and nothing of it is taken for HTML."""

from html.parser import HTMLParser

import tuneport as tp
from tuneport.cli import app
from tuneport.insight.report import page


class Texts(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.cells, self.open, self.tags = [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.cells.append(data)


def trial(number, loss=None, **fields):
    final = None if loss is None else {"metrics": {"loss": loss}}
    return tp.Trial(id=number, parameters={"x": number / 10}, final_measurement=final, **fields)


def result(*trials, **fields):
    fields = {"state": "succeeded"} | fields
    return tp.StudyResult(
        ref="local:a", name="a", backend="local", objectives=[tp.minimize("loss")], trials=trials, **fields
    )


def test_everything_is_there():
    shown = page(
        result(
            trial(1, 0.5, state="succeeded", started=0.0, ended=2.5, links={"run": "vertex:b", "trial": "7"}),
            trial(2, 0.25, state="succeeded"),
            trial(3, state="failed", failure={"kind": "code", "message": "it broke"}),
            cost=1.5,
            notes=["a note"],
        ),
        price="USD, by prices of 2026-11-01",
    )
    cells = Texts(shown).cells
    for text in ("7 of vertex:b", "0.25", "it broke", "2.5", "a note", "vertex:b: 1 trials"):
        assert text in cells
    assert "1.50 USD, by prices of 2026-11-01" in cells


def test_what_is_not_known_is_said():
    cells = Texts(page(result())).cells
    assert "no trial has a result" in cells
    assert "not known: no price of its machine" in cells


def test_names_are_text_whatever_they_hold():
    hostile = "<script>alert(1)</script>"
    parsed = Texts(
        page(result(trial(1, 1.0, state="succeeded", links={"run": hostile, "trial": "1"}), message=hostile))
    )
    assert "script" not in parsed.tags
    assert any(hostile in cell for cell in parsed.cells)


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    job = tp.TuningJob(
        name="a",
        study=tp.StudySpec(parameters=[tp.Float("x", 0, 1)], objectives=[tp.minimize("loss")], algorithm=tp.Random()),
        trial=tp.TrialSpec(command=["python", "-c", "import tuneport_trial as t; t.report(loss=1)"]),
        budget=tp.Budget(max_trials=2),
    )
    ref = tp.run(job, on="local").ref
    assert app._status(["report", ref, "-o", "out.html"]) == 0
    assert ref in (tmp_path / "out.html").read_text()
    capsys.readouterr()
    assert app._status(["report", ref]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")
