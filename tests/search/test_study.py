"""A study is what its events say."""

import gc
import math
import time

import numpy as np
import pytest

from tuneport.errors import SearchError, SpaceExhaustedError, TrialFinishedError, UnknownTrialError
from tuneport.model.parameters import Categorical, Float, Int
from tuneport.model.results import Failure, FailureKind, Measurement, TrialState, best_trial
from tuneport.model.study import Asha, Bayesian, Grid, Random, maximize, minimize
from tuneport.search.events import Asked, Ended, Reported, Restarted
from tuneport.search.protocols import Decision
from tuneport.search.study import Study

from .spaces import spec

X = [Float("x", 0, 1), Int("n", 1, 3)]


def study(*, parameters=X, **more):
    return Study(spec(parameters, **more), seed=1)


def test_a_trial_from_asking_to_telling():
    events = []
    ours = Study(spec(X), seed=1, on_event=events.append)
    proposed = ours.propose()
    trial = ours.ask()
    assert (trial.id, trial.parameters, trial.state) == (1, proposed, TrialState.RUNNING)
    assert ours.running == (1,)
    assert ours.report(trial, {"loss": 3, "acc": np.float32(0.5)}, step=2, elapsed=1.5) is Decision.CONTINUE
    done = ours.tell(trial, {"loss": 2})
    first = Measurement(metrics={"loss": 3.0, "acc": 0.5}, step=2, elapsed=1.5)
    last = Measurement(metrics={"loss": 2.0})
    assert done.measurements == (first, last)
    assert done.state is TrialState.SUCCEEDED
    assert done.metrics == {"loss": 2.0, "acc": 0.5}
    assert ours.trials == (done,)
    assert (ours.best, ours.finished, ours.running) == (done, 1, ())
    assert type(done.measurements[0].metrics["acc"]) is float
    assert events == [
        Asked(1, proposed),
        Reported(1, first),
        Reported(1, last),
        Ended(1, TrialState.SUCCEEDED, done.final_measurement),
    ]
    assert type(done).model_validate(done.model_dump()) == done


def test_a_replay_is_the_same_study():
    events = []
    job = spec(X, Bayesian(initial_trials=2), early_stopping=Asha(reduction_factor=2), measurement="best")
    ours = Study(job, seed=5, on_event=events.append)
    for number in range(12):
        trial = ours.ask() if number % 4 else ours.ask({"x": number / 12, "n": 2}, id=100 - number)
        decision = [ours.report(trial, {"loss": trial.parameters["x"] + step}) for step in range(3)][-1]
        if number == 3:
            ours.tell(trial, {"loss": math.nan}, state=TrialState.INFEASIBLE)
        elif number != 7:
            ours.tell(trial, state=TrialState.STOPPED if decision is Decision.STOP else None)
    for cut in (0, 5, 20, len(events)):
        again = Study.replay(job, events[:cut], seed=5, on_event=events[cut:].append)
        for event in events[cut:]:
            again.apply(event)
        assert again.trials == ours.trials
        assert again.best == ours.best
        assert again.running == ours.running
        assert again.propose() == ours.propose()
    states = {trial.state for trial in ours.trials}
    assert states == {TrialState.RUNNING, TrialState.SUCCEEDED, TrialState.STOPPED, TrialState.INFEASIBLE}


def test_seeds():
    assert Study(spec(X, Random(seed=0)), seed=4).seed == 0
    assert Study(spec(X), seed=4).seed == 4
    drawn = Study(spec(X))
    assert drawn.seed != Study(spec(X)).seed
    assert Study(spec(X), seed=drawn.seed).propose() == drawn.propose()


def test_proposing_records_nothing():
    ours = study()
    assert ours.propose() == ours.propose() == ours.ask().parameters
    assert len(ours.trials) == 1
    assert not ours.adaptive
    assert study(algorithm=Bayesian()).adaptive


def test_ids():
    ours = study()
    assert [ours.ask().id, ours.ask(id=7).id, ours.ask().id] == [1, 7, 8]
    for taken in (7, 0, -1):
        with pytest.raises(SearchError, match=f"trial {taken}"):
            ours.ask(id=taken)
    assert [trial.id for trial in ours.trials] == [1, 7, 8]


def test_parameters_given_by_hand():
    ours = study(parameters=[*X, Categorical("flag", [True, 1])])
    trial = ours.ask({"x": 1, "n": np.int64(2), "flag": True})
    assert trial.parameters == {"x": 1.0, "n": 2, "flag": True}
    assert trial.parameters["flag"] is True
    assert type(trial.parameters["x"]) is float
    with pytest.raises(SearchError, match="/n: cannot be 9"):
        ours.ask({"x": 0.5, "n": 9, "flag": 1})
    assert len(ours.trials) == 1


def test_unknown_and_ended_trials():
    ours = study()
    trial = ours.ask()
    ours.tell(trial, {"loss": 1})
    for call in (ours.report, ours.tell):
        with pytest.raises(TrialFinishedError, match="trial 1 has ended as 'succeeded'"):
            call(trial, {"loss": 1})
        with pytest.raises(UnknownTrialError, match="trial 2"):
            call(2, {"loss": 1})
    with pytest.raises(UnknownTrialError):
        ours.trial(3)
    with pytest.raises(UnknownTrialError):
        ours.apply(Ended(3, TrialState.SUCCEEDED))
    with pytest.raises(SearchError, match="asked for twice"):
        ours.apply(Asked(1, {}))
    with pytest.raises(SearchError, match="cannot end as 'running'"):
        ours.tell(ours.ask(), state=TrialState.RUNNING)


@pytest.mark.parametrize("value", ["0.5", None, [1, 2], 1j, b"1", {}])
def test_metrics_must_be_numbers(value):
    ours = study()
    trial = ours.ask()
    for call in (ours.report, ours.tell):
        with pytest.raises(SearchError, match="metric 'acc' must be a number"):
            call(trial, {"loss": 1.0, "acc": value})
    assert ours.trial(trial) == trial


@pytest.mark.parametrize(
    ("metrics", "said", "state", "kind"),
    [
        ({"loss": 1.0}, None, TrialState.SUCCEEDED, None),
        (None, None, TrialState.FAILED, FailureKind.METRIC_MISSING),
        ({"other": 1.0}, None, TrialState.FAILED, FailureKind.METRIC_MISSING),
        ({"other": 1.0}, TrialState.SUCCEEDED, TrialState.FAILED, FailureKind.METRIC_MISSING),
        ({"loss": math.nan}, None, TrialState.INFEASIBLE, FailureKind.INFEASIBLE),
        ({"loss": -math.inf}, None, TrialState.INFEASIBLE, FailureKind.INFEASIBLE),
        ({"loss": 1.0}, TrialState.STOPPED, TrialState.STOPPED, None),
        (None, TrialState.STOPPED, TrialState.STOPPED, None),
        ({"loss": 1.0}, TrialState.FAILED, TrialState.FAILED, FailureKind.CODE),
        (None, TrialState.INFEASIBLE, TrialState.INFEASIBLE, FailureKind.INFEASIBLE),
    ],
)
def test_how_trials_end(metrics, said, state, kind):
    ours = study()
    trial = ours.tell(ours.ask(), metrics, state=said)
    assert trial.state is state
    assert (trial.failure and trial.failure.kind) == kind
    good = state in {TrialState.SUCCEEDED, TrialState.STOPPED} and metrics is not None
    assert ours.best == (trial if good else None)
    assert ours._finished[0].losses == ((1.0,) if good else None)


def test_a_failure_makes_a_trial_fail():
    ours = study()
    failure = Failure(kind=FailureKind.OUT_OF_MEMORY, message="no memory left", exit_code=-9)
    trial = ours.tell(ours.ask(), {"loss": 0.0}, failure=failure)
    assert (trial.state, trial.failure) == (TrialState.FAILED, failure)
    assert trial.metrics == {"loss": 0.0}
    assert ours.best is None


def test_which_measurement_counts():
    for measurement, expected in (("last", 2.0), ("best", 1.0)):
        ours = study(measurement=measurement)
        trial = ours.ask()
        for loss in (3, 1, math.nan, 2):
            ours.report(trial, {"loss": loss})
        assert ours.tell(trial).metrics == {"loss": expected}


def test_the_best_is_the_earlier_of_equals_whatever_ends_first():
    ours = study(objective=maximize("loss"))
    for _ in range(6):
        ours.ask()
    for number, value in ((4, 2.0), (2, 2.0), (1, 1.0), (3, math.nan), (5, 1.5)):
        ours.tell(number, {"loss": value})
        assert ours.best == best_trial(ours.trials, maximize("loss"))
    assert ours.best.id == 2


def test_several_objectives():
    ours = Study(spec(X).changed(objectives=[minimize("loss"), maximize("acc")]), seed=1)
    ours.tell(ours.ask(), {"loss": 1.0, "acc": 0.9})
    ours.tell(ours.ask(), {"loss": 2.0})
    assert ours._finished[0].losses == (1.0, -0.9)
    assert ours._finished[1].losses[0] == 2.0
    assert math.isnan(ours._finished[1].losses[1])


def test_steps_are_counted_where_a_trial_says_none():
    """The median rule with a minimum of 3 steps stops at the third report of the primary metric, not the fourth."""
    seen = []
    ours = study()
    ours._scheduler.report = lambda trial, step, loss: seen.append((trial, step, loss)) or Decision.CONTINUE
    trial = ours.ask()
    ours.report(trial, {"loss": 1})
    ours.report(trial, {"other": 1})
    ours.report(trial, {"loss": 2})
    ours.report(trial, {"loss": 3}, step=70)
    assert seen == [(1, 1, 1.0), (1, 2, 2.0), (1, 70, 3.0)]


def test_an_end_is_not_taken_back():
    ours = study(early_stopping=Asha(max_resource=2))
    trial = ours.ask()
    assert ours.report(trial, {"loss": 1.0}, step=2) is Decision.COMPLETE
    assert ours.report(trial, {"loss": 1.0}, step=1) is Decision.COMPLETE
    assert ours.report(trial, {"other": 1.0}) is Decision.COMPLETE


def test_a_restarted_trial_begins_from_nothing():
    ours = study(early_stopping=Asha(max_resource=3))
    trial = ours.ask()
    for _ in range(3):
        decision = ours.report(trial, {"loss": 9.0})
    assert decision is Decision.COMPLETE
    assert ours.apply(Restarted(1)) is Decision.CONTINUE
    assert ours.trial(1) == trial
    assert ours.report(trial, {"loss": 2.0}) is Decision.CONTINUE
    assert ours.tell(trial).measurements == (Measurement(metrics={"loss": 2.0}),)
    with pytest.raises(TrialFinishedError):
        ours.apply(Restarted(1))


def test_what_the_recorder_refuses_has_not_happened():
    ours = study()

    def refuse(event):
        raise OSError("disk full")

    ours._on_event = refuse
    with pytest.raises(OSError, match="disk full"):
        ours.ask()
    assert ours.trials == ()
    ours._on_event = None
    trial = ours.ask()
    ours._on_event = refuse
    with pytest.raises(OSError, match="disk full"):
        ours.tell(trial, {"loss": 1.0})
    assert ours.trial(1) == trial


def test_an_exhausted_space_says_so():
    ours = study(parameters=[Int("n", 1, 2)], algorithm=Grid())
    ours.ask()
    ours.tell(ours.ask(), {"loss": 1})
    with pytest.raises(SpaceExhaustedError, match="all 2 points"):
        ours.propose()


def least_time(job, events):
    """Processor time of a replay, of which others, and the rest of this process, have the least share."""
    spent = []
    gc.disable()
    try:
        for _ in range(5):
            start = time.process_time()
            Study.replay(job, events, seed=0)
            spent.append(time.process_time() - start)
    finally:
        gc.enable()
    return min(spent)


def test_ten_thousand_trials_are_replayed_in_linear_time():
    job = spec(X)
    measurement = Measurement.model_construct(metrics={"loss": 1.0}, step=None, elapsed=None)
    events = []
    for number in range(1, 10_001):
        events.append(Asked(number, {"x": number / 10_000, "n": 1}))
        events += [Reported(number, measurement)] * 2
        events.append(Ended(number, TrialState.SUCCEEDED, measurement))
    short, long = (least_time(job, part) for part in (events[: len(events) // 8], events))
    assert long < 8 * 4 * short  # with the square of their number it would be 64 times as long
    ours = Study.replay(job, events, seed=0)
    assert ours.finished == 10_000
