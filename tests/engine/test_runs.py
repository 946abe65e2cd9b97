"""How runs go and end: budgets, stops, schedulers, and suggestions that do not depend on who finished first."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.engine.executors.protocols import Emitted, Exited
from tuneport.engine.launch import Reported as Said
from tuneport.engine.launch import TrialContext
from tuneport.engine.store import Event
from tuneport.errors import ConflictError, RunNotFoundError, UnknownTrialError
from tuneport.model.job import TuningJob
from tuneport.model.parameters import Categorical, Float, Int
from tuneport.model.results import FailureKind, RunReason, RunState, StudyResult, TrialState
from tuneport.model.study import Anneal, Asha, Bayesian, Grid, MedianStopping, Sobol, Tpe, minimize
from tuneport.search.events import Asked, Ended, Reported
from tuneport.search.study import Study

MakeJob = Callable[..., TuningJob]
Drive = Callable[[TuningJob], StudyResult]


def test_the_run_fails_after_so_many_failed_trials(make_job: MakeJob, run: Drive) -> None:
    result = run(make_job("sys.exit(1)", budget={"max_trials": 20, "max_failed_trials": 3}))
    assert (result.state, result.reason, len(result.trials)) == (RunState.FAILED, RunReason.FAILURES, 3)


def test_vertex_rule_ends_the_run_with_the_first_trial_if_it_fails(make_job: MakeJob, run: Drive) -> None:
    result = run(make_job("sys.exit(1)", budget={"max_trials": 20, "max_failed_trials": 0}))
    assert (result.reason, len(result.trials)) == (RunReason.FAILURES, 1)
    late = "n = int(os.environ['TUNEPORT_TRIAL'].split('/')[-2]); sys.exit(n > 2) if n > 2 else print('loss=1')"
    result = run(make_job(late, budget={"max_trials": 20, "max_failed_trials": 0}))
    assert (result.reason, len(result.trials)) == (RunReason.FAILURES, 7), "5 failed, more than the 2 that did not"


def test_without_a_rule_five_failures_and_nothing_else_are_enough(make_job: MakeJob, run: Drive) -> None:
    result = run(make_job("sys.exit(1)", budget={"max_trials": 20}))
    assert (result.state, result.reason, len(result.trials)) == (RunState.FAILED, RunReason.FAILURES, 5)
    result = run(make_job("print('loss=1') if x > 0.3 else sys.exit(1)", budget={"max_trials": 12}))
    assert (result.state, len(result.trials)) == (RunState.SUCCEEDED, 12)


def test_the_time_budget_stops_what_runs(make_job: MakeJob, run: Drive) -> None:
    began = time.monotonic()
    result = run(make_job("print('loss=1', flush=True); time.sleep(60)", budget={"max_trials": 5, "max_seconds": 1}))
    assert time.monotonic() - began < 10
    assert (result.state, result.reason) == (RunState.FAILED, RunReason.TIME)
    (trial,) = result.trials
    assert trial.state is TrialState.STOPPED
    assert trial.failure is not None
    assert trial.failure.kind is FailureKind.CANCELLED


def test_a_target_ends_the_run(make_job: MakeJob, run: Drive) -> None:
    study = {"objectives": (minimize("loss", target=0.0),), "algorithm": Grid(), "parameters": (Int("x", 0, 9),)}
    result = run(make_job("print(f'loss={3 - x}')", study=study, budget={"max_trials": 10}))
    assert (result.state, result.reason, len(result.trials)) == (RunState.SUCCEEDED, RunReason.TARGET, 4)


def test_a_run_ends_when_it_no_longer_improves(make_job: MakeJob, run: Drive) -> None:
    study = {"algorithm": Grid(), "parameters": (Int("x", 0, 20),)}
    budget = {"max_trials": 20, "max_trials_without_improvement": 3}
    result = run(make_job("print(f'loss={max(x, 2)}' if x else 'loss=5')", study=study, budget=budget))
    assert (result.reason, len(result.trials)) == (RunReason.NO_IMPROVEMENT, 5), "5, 2, and three that are no better"


def test_a_finite_space_is_tried_once_and_then_done(make_job: MakeJob, run: Drive) -> None:
    study = {"algorithm": Grid(), "parameters": (Int("x", 1, 3), Categorical("c", ["a", "b"]))}
    result = run(make_job("print('loss=1')", study=study, budget={"max_trials": None, "parallel_trials": 2}))
    assert (result.state, result.reason, len(result.trials)) == (RunState.SUCCEEDED, RunReason.EXHAUSTED, 6)
    assert len({tuple(trial.parameters.items()) for trial in result.trials}) == 6


def test_two_trials_run_at_the_same_time_and_no_more(make_job: MakeJob, run: Drive, tmp_path: Path) -> None:
    crowd = tmp_path / "crowd"
    crowd.mkdir()
    script = f"""
me = {str(crowd)!r} + "/" + str(os.getpid())
open(me, "w").close()
time.sleep(0.25)
print(f"loss={{len(os.listdir({str(crowd)!r}))}}")
os.remove(me)
"""
    result = run(make_job(script, budget={"max_trials": 8, "parallel_trials": 2}))
    assert max(trial.metrics["loss"] for trial in result.trials) == 2


def test_a_request_stops_one_trial_or_all(client: LocalClient, make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("print('loss=1', flush=True); time.sleep(60)", budget={"max_trials": 3, "parallel_trials": 2})
    name = client.create(job, tmp_path, "process", "test")
    requests: list[str] = []

    def ask() -> None:
        settings = client._settings
        other = LocalClient(settings, client._contracts)
        while sum(trial.state is TrialState.RUNNING for trial in other.result(name).trials) < 2:
            time.sleep(0.05)
        with pytest.raises(UnknownTrialError):
            other.stop(name, 99)
        other.stop(name, 1)
        while other.result(name).trials[0].state is not TrialState.STOPPED:
            time.sleep(0.05)
        requests.append(f"goes on with {len(other.result(name).trials)}")
        other.stop(name)

    thread = threading.Thread(target=ask)
    thread.start()
    client.drive(name)
    thread.join()
    result = client.result(name)
    assert requests
    assert (result.state, result.reason) == (RunState.STOPPED, RunReason.REQUEST)
    assert {trial.state for trial in result.trials} == {TrialState.STOPPED}
    assert {trial.failure.kind for trial in result.trials if trial.failure} == {FailureKind.CANCELLED}
    assert client.result(name).best is not None, "what a stopped trial reported is kept"


def test_asha_stops_the_worse_half_early(make_job: MakeJob, run: Drive) -> None:
    script = """
from tuneport_trial import params, report
for step in range(1, 13):
    report(step=step, loss=params()["x"] + 1 / step)
    time.sleep(0.1)
"""
    study = {"early_stopping": Asha(min_resource=1, reduction_factor=2), "parameters": (Float("x", 0, 100),)}
    result = run(make_job(script, study=study, trial={"metrics": {}}, budget={"max_trials": 8, "parallel_trials": 2}))
    stopped = [trial for trial in result.trials if trial.state is TrialState.STOPPED]
    assert stopped
    assert all(t.failure and t.failure.kind is FailureKind.STOPPED_BY_SCHEDULER for t in stopped)
    assert all(len(trial.measurements) < 12 for trial in stopped)
    assert result.best is not None
    assert result.best.state is TrialState.SUCCEEDED
    assert result.best.parameters == min((t.parameters for t in result.trials), key=lambda p: p["x"])


def test_median_stopping_works_on_metrics_by_pattern(make_job: MakeJob, run: Drive) -> None:
    script = """
for step in range(6):
    print("loss=" + os.environ["TUNEPORT_TRIAL"].split("/")[-2], flush=True)
    time.sleep(0.1)
"""
    study = {"early_stopping": MedianStopping(min_trials=2)}
    result = run(make_job(script, study=study, budget={"max_trials": 4}))
    states = [trial.state for trial in result.trials]
    assert states == [TrialState.SUCCEEDED, TrialState.SUCCEEDED, TrialState.STOPPED, TrialState.STOPPED]


@pytest.mark.parametrize("selection", ["last", "best"])
def test_the_measurement_that_counts_is_chosen(make_job: MakeJob, run: Drive, selection: str) -> None:
    job = make_job(
        "print('loss=3'); print('loss=1'); print('loss=2')", study={"measurement": selection}, budget={"max_trials": 1}
    )
    (trial,) = run(job).trials
    assert trial.metrics["loss"] == (2.0 if selection == "last" else 1.0)
    assert [m.step for m in trial.measurements] == [1, 2, 3]


def test_an_unknown_run_or_workspace_is_named(client: LocalClient, tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="no run 'nothing'"):
        client.find("nothing")
    settings = client._settings.changed(workspace=tmp_path / "elsewhere")
    with pytest.raises(RunNotFoundError, match="elsewhere"):
        LocalClient(settings, client._contracts)


def test_a_finished_run_is_not_driven_again(client: LocalClient, make_job: MakeJob, run: Drive) -> None:
    result = run(make_job("print('loss=1')"))
    name = result.ref.partition(":")[2]
    with pytest.raises(ConflictError, match="has ended"):
        client.drive(name)
    with pytest.raises(ConflictError, match="has ended"):
        client.stop(name)
    assert client.result(name) == result


@pytest.mark.parametrize("algorithm", [Bayesian(seed=3), Tpe(seed=3, initial_trials=3), Anneal(seed=3), Sobol(seed=3)])
def test_a_replay_suggests_the_same_whoever_finished_first(
    client: LocalClient, make_job: MakeJob, run: Drive, algorithm: Any
) -> None:
    study = {"parameters": (Float("x", 0, 1), Float("y", 0, 1)), "algorithm": algorithm}
    job = make_job("print(f'loss={x}')", study=study, budget={"max_trials": 8, "parallel_trials": 2})
    result = run(job)
    seed = client._record(result.ref.partition(":")[2]).study.seed
    asked = [Asked(trial.id, trial.parameters) for trial in result.trials]
    ended = [
        [
            *(Reported(trial.id, measurement) for measurement in trial.measurements),
            Ended(trial.id, trial.state, trial.final_measurement, trial.failure),
        ]
        for trial in result.trials
    ]
    suggestions = []
    for order in (ended, ended[::-1], random.Random(1).sample(ended, len(ended))):
        replayed = Study.replay(job.study, [*asked, *(event for events in order for event in events)], seed=seed)
        suggestions.append(replayed.propose())
    assert suggestions[0] == suggestions[1] == suggestions[2]


def test_a_sequential_run_repeats_itself_to_the_last_suggestion(make_job: MakeJob, run: Drive) -> None:
    job = make_job("print(f'loss={(x - 0.3) ** 2}')", study={"algorithm": Bayesian(seed=5)}, budget={"max_trials": 8})
    first, second = (run(job) for _ in range(2))
    assert [trial.parameters for trial in first.trials] == [trial.parameters for trial in second.trials]


def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(
    client: LocalClient, make_job: MakeJob, run: Drive, tmp_path: Path
) -> None:
    """A sequential run, interrupted after each trial, makes the suggestions of one that never was."""
    job = make_job("print(f'loss={(x - 0.3) ** 2}')", study={"algorithm": Bayesian(seed=5)}, budget={"max_trials": 6})
    whole = run(job)
    name = client.create(job, tmp_path, "process", "test")
    while not client.result(name).state.ended:  # an interruption may come too late, when the last trial has ended
        with contextlib.suppress(KeyboardInterrupt):
            client.drive(name, observer=_interrupt_at_a_change())
    pieces = client.result(name)
    assert pieces.state is RunState.SUCCEEDED
    assert [trial.parameters for trial in pieces.trials] == [trial.parameters for trial in whole.trials]
    assert [trial.metrics for trial in pieces.trials] == [trial.metrics for trial in whole.trials]


def _interrupt_at_a_change() -> Callable[[StudyResult], None]:
    ended: set[int] = set()

    def observe(result: StudyResult) -> None:
        before = len(ended)
        ended.update(trial.id for trial in result.trials if trial.state.ended)
        if before and len(ended) > before:
            os.kill(os.getpid(), signal.SIGINT)

    return observe


def test_the_journal_survives_ten_thousand_trials(client: LocalClient, make_job: MakeJob, tmp_path: Path) -> None:
    """A resume replays all of it; the time it takes is measured in bench/engine.py."""
    job = make_job("", budget={"max_trials": 10_000})
    name = client.create(job, tmp_path, "process", "test")
    events = []
    for trial in range(1, 10_001):
        body = {"metrics": {"loss": trial / 7}, "step": 1, "elapsed": 0.1}
        events += [
            Event("asked", trial, {"parameters": {"x": trial / 10_001}}),
            Event("started", trial, {"attempt": 1, "devices": [], "share": 0.0, "memory": 0, "handle": {}}),
            Event("reported", trial, body),
            Event("ended", trial, {"state": "succeeded", "final": body, "failure": None}),
        ]
    client._store.append(name, [Event("began"), *events])
    client.drive(name)
    result = client.result(name)
    assert result.state is RunState.SUCCEEDED
    assert result.best is not None
    assert result.best.id == 1


def test_a_trial_with_all_its_steps_is_ended_as_a_success(make_job: MakeJob, run: Drive) -> None:
    script = """
from tuneport_trial import report
for step in range(1, 100):
    report(step=step, loss=1 / step)
    time.sleep(0.1)
"""
    study = {"early_stopping": Asha(max_resource=3)}
    (trial,) = run(make_job(script, study=study, trial={"metrics": {}}, budget={"max_trials": 1})).trials
    assert trial.state is TrialState.SUCCEEDED
    assert trial.failure is None
    assert 3 <= len(trial.measurements) < 20


def test_the_last_trial_still_decides(make_job: MakeJob, run: Drive) -> None:
    study = {"objectives": (minimize("loss", target=0.0),), "algorithm": Grid(), "parameters": (Int("x", 0, 3),)}
    assert run(make_job("print(f'loss={3 - x}')", study=study, budget={"max_trials": 4})).reason is RunReason.TARGET
    late = "sys.exit(1) if x == 3 else print('loss=1')"
    study = {"algorithm": Grid(), "parameters": (Int("x", 0, 3),)}
    result = run(make_job(late, study=study, budget={"max_trials": 4, "max_failed_trials": 1}))
    assert (result.state, result.reason) == (RunState.FAILED, RunReason.FAILURES)


class Instant:
    """An executor whose trials have ended, with all their reports, before anybody looks; its stops come too late."""

    name = "process"

    def __init__(self) -> None:
        self._events: list[Any] = []

    def handle(self) -> dict[str, Any]:
        return {}

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        trial = context.trial
        self._events += [Emitted(trial, Said({"loss": float(trial)}, step, time.time())) for step in range(4)]
        self._events.append(Exited(trial, None, False, "", (), time.time()))

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        return False

    def stop(self, trial: int) -> None:
        pass

    def wait(self, timeout: float | None) -> list[Any]:
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        pass


def test_a_trial_that_ends_by_itself_is_no_stopped_trial(
    make_job: MakeJob, run: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneport.backends.local.client.ProcessExecutor", lambda *_, **__: Instant())
    result = run(make_job("", study={"early_stopping": MedianStopping(min_trials=1)}, budget={"max_trials": 6}))
    assert [trial.state for trial in result.trials] == [TrialState.SUCCEEDED] * 6
    assert {len(trial.measurements) for trial in result.trials} == {4}


def test_a_stopped_trial_without_a_number_is_not_the_best_of_all(make_job: MakeJob, run: Drive) -> None:
    script = """
n = int(os.environ["TUNEPORT_TRIAL"].split("/")[-2])
print("loss=nan" if n == 3 else f"loss={10 - n}", flush=True)
time.sleep(0.6 if n == 3 else 0)
"""
    study = {"early_stopping": MedianStopping(min_trials=2)}
    budget = {"max_trials": 7, "max_trials_without_improvement": 3}
    result = run(make_job(script, study=study, budget=budget))
    assert (result.reason, len(result.trials)) == (RunReason.COMPLETED, 7)


@pytest.mark.parametrize("selection", ["last", "best"])
def test_a_flood_keeps_every_metric_and_the_best(make_job: MakeJob, run: Drive, selection: str) -> None:
    script = """
from tuneport_trial import report
for step in range(11_000):
    report(step=step, loss=-1.0 if step == 10_500 else 1.0)
report(step=11_000, loss=2.0)
report(seconds=7)
"""
    (trial,) = run(
        make_job(script, study={"measurement": selection}, trial={"metrics": {}}, budget={"max_trials": 1})
    ).trials
    expected = {"loss": 2.0, "seconds": 7.0} if selection == "last" else {"loss": -1.0}
    assert dict(trial.metrics) == expected
