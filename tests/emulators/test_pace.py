"""Time: real, accelerated, by hand, and simulated; what of it trials, time-outs and restarts notice."""

from __future__ import annotations

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneport.emulators.faults import Fault, Faults, Kind
from tuneport.emulators.pace import Clock, Pace
from tuneport.emulators.programs import Programs
from tuneport.errors import ConflictError
from tuneport.model.results import FailureKind, RunReason, RunState, TrialState

SLEEPS = "gcr.io/p/trainer:1=sh -c 'sleep 60'"
DAY = 86400.0


def spans(result, unit: float = 1.0) -> list[tuple[float, float]]:
    """When each trial began and ended, since the job came."""
    return [((one.started - result.created) / unit, (one.ended - result.created) / unit) for one in result.trials]


# ---- the clock alone ------------------------------------------------------------------------------------------------


def test_time_that_stands_still_moves_only_when_told():
    clock = Clock(0.0)
    before = clock.now()
    time.sleep(0.02)
    assert clock.now() == before
    moment = time.time()
    clock.advance(5)
    assert clock.now() == before + 5
    assert clock.shown(moment) == before, "what has been shown stays as it was"


@given(st.lists(st.one_of(st.floats(0, 1e6), st.none()), max_size=8), st.sampled_from([0.0, 0.5, 1.0, 60.0]))
def test_no_clock_ever_goes_back(steps, speed):
    clock = Clock(speed)
    seen = [clock.now()]
    for step in steps:
        if step is not None:
            clock.advance(step)
        else:
            points = []
            Clock(speed, clock._points, keep=points.extend)
            clock = Clock(speed * 2, points)  # as after a restart
        seen.append(clock.now())
    assert seen == sorted(seen)


def test_a_simulated_clock_jumps_to_whoever_waits_next():
    clock = Clock(simulated=True)
    began, woke = clock.now(), {}

    def actor(name: str, *naps: float) -> None:
        clock.act_as(name)
        for nap in naps:
            clock.sleep(nap)
            woke[name] = [*woke.get(name, []), clock.now() - began]
        clock.leave(name)

    plans = {"a": (10.0, 10.0, DAY), "b": (15.0,), "c": (5.0, 100.0)}
    for name in plans:
        clock.enter(name)
    threads = [threading.Thread(target=actor, args=(name, *naps)) for name, naps in plans.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert {name: pytest.approx(list(times)) for name, times in woke.items()} == {
        "a": [10, 20, 20 + DAY],
        "b": [15],
        "c": [5, 105],
    }


def test_a_simulated_clock_stands_while_anybody_works_or_has_not_looked_since():
    clock = Clock(simulated=True)
    before = clock.now()
    clock.enter("works")
    clock.enter("looks")
    sleeper = threading.Thread(target=clock.sleep, args=(60,), daemon=True)
    sleeper.start()
    time.sleep(0.15)
    clock.idle("looks", clock.news)
    assert clock.now() == before, "somebody works"
    stale = clock.news
    clock.leave("works")
    clock.idle("looks", stale)
    time.sleep(0.15)
    assert clock.now() == before, "what the other did last has not been looked at"
    clock.idle("looks", clock.news)
    sleeper.join(5)
    assert clock.now() == before + 60


# ---- accelerated ----------------------------------------------------------------------------------------------------


def test_a_fast_clock_shows_long_trials_and_keeps_short_ones_short(make_host, make_job):
    began = time.monotonic()
    host = make_host(pace=Pace(step=600, quick=True), speed=36000)
    job = make_job(trial={"timeout": "10h"}, max_trials=1)
    result = host.wait(host.submit("job", "digits", {}, job, "vertex").run, 20)
    (trial,) = result.trials
    assert time.monotonic() - began < 10
    assert trial.duration >= 3000
    assert trial.measurements[0].elapsed >= 500
    assert result.created <= trial.started < trial.ended <= result.ended <= host.clock.now()


def test_time_outs_and_time_budgets_are_the_clocks(make_host, make_job):
    host = make_host(programs=Programs.read([SLEEPS]), speed=3600)
    late = host.submit("job", "late", {}, make_job(trial={"timeout": "30m"}, max_trials=1), "vertex").run
    spent = host.submit("job", "spent", {}, make_job(max_seconds=1800), "vertex").run
    (trial,) = host.wait(late, 20).trials
    assert (trial.state, trial.failure.kind) == (TrialState.FAILED, FailureKind.TIMED_OUT)
    assert trial.failure.message == "ran longer than its time-out of 1800 s"
    assert trial.duration >= 1800
    result = host.wait(spent, 20)
    assert (result.state, result.reason) == (RunState.FAILED, RunReason.TIME)
    assert result.ended - result.created >= 1800


# ---- by hand --------------------------------------------------------------------------------------------------------


def test_jobs_pass_through_the_states_before_they_run(make_host, make_job):
    host = make_host(pace=Pace(creating=10, queued=5, pending=5, quick=True), speed=0.0)
    document = host.submit("job", "digits", {}, make_job(), "vertex")
    seen = []
    for _ in range(4):
        seen.append(host.phase(document))
        assert host.result(document.run).state is RunState.PENDING or seen[-1] is None
        host.clock.advance(8)
    assert seen == ["creating", "creating", "pending", None]
    result = host.wait(document.run, 10)
    assert result.state is RunState.SUCCEEDED
    assert result.ended - result.created == 32


def test_time_that_is_advanced_ends_what_is_late(make_host, make_job, until):
    host = make_host(programs=Programs.read([SLEEPS]))
    late = host.submit("job", "late", {}, make_job(trial={"timeout": "2h"}, max_trials=1), "vertex").run
    spent = host.submit("job", "spent", {}, make_job(max_seconds=10800), "vertex").run
    assert until(lambda: all(host.result(run).trials for run in (late, spent)))
    host.clock.advance(7200)
    (trial,) = host.wait(late, 10).trials
    assert trial.failure.kind is FailureKind.TIMED_OUT
    assert host.result(spent).state is RunState.RUNNING
    host.clock.advance(7200)
    assert host.wait(spent, 10).reason is RunReason.TIME


# ---- simulated ------------------------------------------------------------------------------------------------------


def test_a_simulated_day_takes_no_time(make_host, make_job):
    began = time.monotonic()
    host = make_host(pace=Pace(creating=60, pending=540, step=720, quick=True), simulated=True)
    result = host.wait(host.submit("job", "digits", {}, make_job(max_trials=24), "vertex").run, 30)
    assert time.monotonic() - began < 10
    hour = [(10 + 60 * (one // 2), 10 + 60 * (one // 2 + 1)) for one in range(24)]
    assert spans(result, 60) == [pytest.approx(span) for span in hour], "two at a time, five steps each"
    elapsed = [one.elapsed for one in result.trials[-1].measurements]
    assert elapsed == pytest.approx([720, 1440, 2160, 2880, 3600])


def test_simulated_functions_sleep_by_the_clock_and_time_out_by_it(make_host, make_job):
    def train(x: float) -> float:
        host.clock.sleep(1000 if x < 0.5 else 5000)
        return x

    host = make_host(programs=Programs({"gcr.io/p/trainer:1": train}), simulated=True)
    job = make_job(trial={"timeout": 3600}, max_trials=8, max_failed_trials=8)
    result = host.wait(host.submit("job", "digits", {}, job, "vertex").run, 20)
    for trial in result.trials:
        short = trial.parameters["x"] < 0.5
        assert trial.duration == pytest.approx(1000 if short else 3600)
        assert (trial.failure is None) is short
    assert {trial.failure.kind for trial in result.trials if trial.failure} == {FailureKind.TIMED_OUT}


def test_a_simulated_budget_ends_a_job_on_time(make_host, make_job):
    host = make_host(pace=Pace(step=10_000, quick=True), simulated=True)
    result = host.wait(host.submit("job", "digits", {}, make_job(max_seconds=1800), "vertex").run, 20)
    assert result.reason is RunReason.TIME
    assert result.ended - result.created == pytest.approx(1800, abs=0.1)


def test_a_job_that_is_refused_does_not_hold_up_simulated_time(make_host, make_job):
    host = make_host(pace=Pace(step=60, quick=True), simulated=True)
    run = host.submit("job", "digits", {}, make_job(), "vertex").run
    with pytest.raises(ConflictError):
        host.submit("job", "digits", {}, make_job(), "vertex")
    assert host.wait(run, 20).state is RunState.SUCCEEDED


def test_simulated_time_stands_while_processes_run(make_host, make_job):
    host = make_host(programs=Programs.read(["gcr.io/p/trainer:1=sh -c 'sleep 0.3; echo loss=1'"]), simulated=True)
    job = make_job(trial={"timeout": 3600, "metrics": {"loss": r"loss=(\S+)"}}, max_trials=1)
    result = host.wait(host.submit("job", "digits", {}, job, "modelarts").run, 20)
    assert result.state is RunState.SUCCEEDED
    assert spans(result) == [(0.0, 0.0)]


# ---- restarts -------------------------------------------------------------------------------------------------------


def test_a_clock_never_goes_back_also_over_restarts(make_host, tmp_path):
    first = make_host(folder=tmp_path / "state", speed=1000)
    first.clock.advance(DAY)
    shown = first.clock.now()
    kept = json.loads((tmp_path / "state" / "clock.json").read_text())
    assert kept == [list(one) for one in first.clock._points], "written at once: nobody knows when it is killed"
    first.close()
    second = make_host(folder=tmp_path / "state", speed=1)
    assert second.clock.now() >= shown


def test_what_was_simulated_is_still_the_past_after_a_restart(make_host, make_job, tmp_path):
    first = make_host(folder=tmp_path / "state", pace=Pace(step=DAY, quick=True), simulated=True)
    run = first.submit("job", "digits", {}, make_job(), "vertex").run
    result = first.wait(run, 20)
    first.close()
    second = make_host(folder=tmp_path / "state")
    assert second.result(run) == result
    assert second.clock.now() >= result.ended > result.created + 9 * DAY


# ---- faults that take time ------------------------------------------------------------------------------------------


def test_a_metric_that_is_late_comes_and_the_trial_ends_with_it(make_host, make_job, until):
    def train(x: float):
        yield x
        yield x / 2

    faults = Faults([Fault(Kind.METRIC_LATE, "*/1", seconds=300)])
    host = make_host(programs=Programs({"gcr.io/p/trainer:1": train}), faults=faults, speed=0.0)
    run = host.submit("job", "digits", {}, make_job(max_trials=2), "vertex").run
    assert until(lambda: len(host.result(run).trials) == 2 and host.result(run).trials[1].state.ended)
    first = host.result(run).trials[0]
    assert (first.state, first.measurements) == (TrialState.RUNNING, ())
    host.clock.advance(299)
    time.sleep(0.3)
    assert host.result(run).trials[0].measurements == ()
    host.clock.advance(1)
    first = host.wait(run, 10).trials[0]
    assert first.metrics["loss"] == first.parameters["x"] / 2
    assert [one.elapsed for one in first.measurements] == [0, 0], "it was said in time"
    assert first.duration == 300


@pytest.mark.parametrize("quick", [False, True])
def test_somebody_else_stops_a_trial_or_the_job(make_host, make_job, quick):
    def train(x: float):
        host.clock.sleep(DAY)
        yield x

    faults = Faults([Fault(Kind.STOP, "one/1", seconds=5), Fault(Kind.STOP_JOB, "all/2", seconds=5)])
    host = make_host(
        programs=Programs({"gcr.io/p/trainer:1": train}) if quick else Programs.read([SLEEPS]), faults=faults, speed=60
    )
    one = host.submit("job", "one", {}, make_job(name="one", max_trials=1), "vertex").run
    every = host.submit("job", "all", {}, make_job(name="all"), "vertex").run
    result = host.wait(one, 30)
    assert [trial.state for trial in result.trials] == [TrialState.STOPPED]
    assert result.trials[0].duration >= 5
    result = host.wait(every, 30)
    assert (result.state, {trial.state for trial in result.trials}) == (RunState.STOPPED, {TrialState.STOPPED})
