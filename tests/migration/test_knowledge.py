"""What is told of the trials that a run takes along is what is used of them."""

import tuneport as tp
from tuneport.files.histories import write_history
from tuneport.model.history import History

SETTINGS = {"image": "gcr.io/team/train:1", "output": "gs://team-runs/digits/", "machine": "n1-standard-4"}


def test_what_breaks_a_bound_neither_counts_nor_draws_ranges_in(tmp_path):
    job = tp.TuningJob(
        name="digits",
        study=tp.StudySpec(
            parameters=[tp.Float("rate", 0.0, 1.0)],
            objectives=[tp.maximize("score")],
            constraints=[tp.Constraint("heat", at_most=0.5)],
        ),
        trial=tp.TrialSpec(command=["python", "train.py"]),
    )
    trials = [
        {
            "id": number,
            "state": "succeeded",
            "parameters": {"rate": rate},
            "final_measurement": {"metrics": {"score": rate, "heat": rate}},
        }
        for number, rate in enumerate([0.85, 0.9, 0.95, 0.2, 0.25, 0.3, 0.35], 1)
    ]
    write_history(History(source="earlier", trials=trials), tmp_path / "earlier.jsonl")
    asked = tp.translate(job, "vertex", settings=SETTINGS).payload
    moved = tp.migrate(
        asked, "vertex", "vertex", history=tmp_path / "earlier.jsonl", settings=SETTINGS, max_trials=2, shrink=True
    )
    assert moved.knowledge.after == "4 of 7 earlier trials are used; 3 not: they break the bound on 'heat'"
    (rate,) = moved.job.study.parameters
    assert rate.low <= 0.25 < 0.35 <= rate.high < 0.5
