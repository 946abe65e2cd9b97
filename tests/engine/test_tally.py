"""The counts that budgets need: a run that was resumed has them from its record."""

from __future__ import annotations

from typing import Any

from tuneport.engine.record import Record, end_body
from tuneport.engine.store import Event, RunRow
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Float
from tuneport.model.results import RunReason
from tuneport.model.study import Asha, Random, StudySpec, minimize
from tuneport.model.trial_spec import TrialSpec

LEASE = {"attempt": 1, "devices": [], "share": 0.0, "memory": 0, "handle": {}}


def test_a_paused_trial_that_is_best_is_an_improvement() -> None:
    study = StudySpec(
        parameters=[Float("x", 0, 1)],
        objectives=[minimize("loss")],
        algorithm=Random(seed=1),
        early_stopping=Asha(form="promotion"),
    )
    budget = Budget(max_trials=9, max_trials_without_improvement=3)
    job = TuningJob(name="job", study=study, trial=TrialSpec(command=["train"], resumable=True), budget=budget)
    record = Record(RunRow("run", 0.0, job.model_dump_json(), {"seed": 1}), "local:run")

    def come(trial: int, loss: float, *, pauses: bool) -> None:
        events: list[tuple[str, dict[str, Any] | None]] = [
            ("asked", {"parameters": {"x": 0.5}}),
            ("started", LEASE),
            ("reported", {"metrics": {"loss": loss}, "step": None, "elapsed": 0.0}),
        ]
        for kind, body in events:
            record.apply(Event(kind, trial, body, float(trial)))
        last = ("paused", None) if pauses else ("ended", end_body(record.study.ending(trial)))
        record.apply(Event(last[0], trial, last[1], float(trial)))

    for trial, loss in enumerate((3.0, 4.0, 5.0), start=1):
        come(trial, loss, pauses=False)
    come(4, 1.0, pauses=True)
    assert record.verdict() is None, "it is the newest, and best of all"
    for trial in (5, 6, 7):
        come(trial, 2.0, pauses=False)
    verdict = record.verdict()
    assert verdict is not None
    assert verdict.reason is RunReason.NO_IMPROVEMENT
