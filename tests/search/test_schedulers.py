"""Stopping rules on examples worked by hand."""

import math
import random
import statistics
import time
import tracemalloc

import pytest

from tuneport.errors import SearchError
from tuneport.model.parameters import Float
from tuneport.model.results import TrialState
from tuneport.model.study import Asha, AutoStopping, CurveStopping, Hyperband, MedianStopping, Random, maximize
from tuneport.search.events import Restarted
from tuneport.search.protocols import Decision
from tuneport.search.schedulers import make_scheduler
from tuneport.search.schedulers.hyperband import bracket
from tuneport.search.study import Study

from .spaces import spec

GO, STOP, DONE = Decision.CONTINUE, Decision.STOP, Decision.COMPLETE
X = [Float("x", 0, 1)]


def scheduler(early_stopping=None, algorithm=None):
    return make_scheduler(spec(X, algorithm or Random(), early_stopping=early_stopping))


def feed(scheduler, trial, losses, steps=None):
    return [scheduler.report(trial, step, loss) for step, loss in zip(steps or range(1, 99), losses, strict=False)]


def finish(scheduler, trial, losses, state=TrialState.SUCCEEDED, steps=None):
    decisions = feed(scheduler, trial, losses, steps)
    scheduler.ended(trial, state)
    return decisions


def test_without_early_stopping_all_go_on():
    assert finish(scheduler(), 1, [math.nan, math.inf, 1e300]) == [GO] * 3


def test_median_by_vizier():
    """Averages up to steps 1, 2, 3: trial 1: 9, 7, 5; trial 2: 6, 5, 4; trial 3: 3, 2, 2. Medians: 6, 5, 4."""
    rule = scheduler(MedianStopping(min_trials=3))
    finish(rule, 1, [9, 5, 1])
    finish(rule, 2, [6, 4, 2])
    finish(rule, 3, [3, 1, 2])
    assert feed(rule, 4, [6, 5, 4.01]) == [GO, GO, STOP]  # its best so far: 6, 5, 4.01; equal is good enough
    assert feed(rule, 5, [5, 99, 99]) == [GO, GO, STOP]  # its best stays 5, above the median 4 at step 3
    assert feed(rule, 6, [7]) == [STOP]
    assert feed(rule, 7, [4, 99, 99, 99]) == [GO, GO, GO, GO]  # at step 4 there is nobody to compare with


def test_median_by_vizier_looks_at_completed_trials_only():
    rule = scheduler(MedianStopping(min_trials=2))
    feed(rule, 1, [1, 1])
    feed(rule, 2, [1, 1])
    assert feed(rule, 3, [5]) == [GO]
    rule.ended(1, TrialState.SUCCEEDED)
    assert feed(rule, 4, [5]) == [GO]
    rule.ended(2, TrialState.STOPPED)
    assert feed(rule, 5, [5]) == [STOP]


def test_failed_trials_are_no_measure_for_others():
    rule = scheduler(MedianStopping(min_trials=1))
    finish(rule, 1, [0, 0], TrialState.FAILED)
    finish(rule, 2, [0, 0], TrialState.INFEASIBLE)
    assert feed(rule, 3, [5, 5]) == [GO, GO]


def test_median_by_sagemaker():
    """Averages up to steps 1 and 2: trial 1: 4, 3; trial 2: 8, 6; both still running. Medians for trial 3: 6, 4.5."""
    rule = scheduler(MedianStopping(rule="sagemaker", min_trials=2))
    assert feed(rule, 1, [4, 2]) == [GO, GO]
    assert feed(rule, 2, [8, 4]) == [GO, GO]  # only one earlier trial
    assert feed(rule, 3, [6, 4.6]) == [GO, STOP]  # its newest value counts, not its best
    # Averages of trial 3: 6, 5.3. Medians for trial 4: 6 and 5.3.
    assert feed(rule, 4, [1, 5.4]) == [GO, STOP]


def test_median_by_sagemaker_ignores_later_trials():
    rule = scheduler(MedianStopping(rule="sagemaker", min_trials=2))
    for later in (5, 6, 7):
        feed(rule, later, [0.0])
    feed(rule, 1, [10])
    feed(rule, 2, [12])
    assert feed(rule, 4, [11]) == [GO]  # the median of 10 and 12
    assert feed(rule, 3, [11.1]) == [STOP]


def test_median_between_the_steps_of_others():
    """Others report every 10 steps; at step 15 their average up to 10 counts, and at step 35 they are over."""
    rule = scheduler(MedianStopping(min_trials=1))
    finish(rule, 1, [6, 2, 1], steps=[10, 20, 30])
    assert feed(rule, 2, [7], steps=[5]) == [GO]
    assert feed(rule, 3, [6], steps=[15]) == [GO]
    assert feed(rule, 4, [7], steps=[15]) == [STOP]
    assert feed(rule, 5, [4.5], steps=[25]) == [STOP]
    assert feed(rule, 6, [99], steps=[35]) == [GO]


@pytest.mark.parametrize("rule_name", ["vizier", "sagemaker"])
def test_median_waits_for_enough_trials_and_steps(rule_name):
    rule = scheduler(MedianStopping(rule=rule_name, min_trials=3, min_steps=2))
    finish(rule, 1, [1, 1, 1])
    finish(rule, 2, [1, 1, 1])
    assert finish(rule, 3, [9, 9, 9]) == [GO] * 3
    assert finish(rule, 4, [9, 9]) == [GO, STOP]


@pytest.mark.parametrize("rule_name", ["vizier", "sagemaker"])
def test_nan_is_the_worst_and_hurts_nobody_else(rule_name):
    rule = scheduler(MedianStopping(rule=rule_name, min_trials=3))
    finish(rule, 1, [1, 1])
    finish(rule, 2, [math.nan, math.nan])
    finish(rule, 3, [3, 3])
    assert feed(rule, 4, [3, 3]) == [GO, GO]
    assert feed(rule, 5, [math.nan]) == [STOP]
    assert feed(rule, 6, [math.inf]) == [STOP]


def test_median_of_a_second_attempt():
    rule = scheduler(MedianStopping(min_trials=1))
    finish(rule, 1, [5, 5, 9, 9, 4, 3], steps=[1, 2, 3, 1, 2, 3])  # averages of the second attempt: 9, 6.5, 5.33
    assert feed(rule, 2, [5.3], steps=[3]) == [GO]
    assert feed(rule, 3, [5.4], steps=[3]) == [STOP]
    assert feed(rule, 4, [1, 1, 7, 7, 7], steps=[1, 2, 1, 2, 3]) == [GO, GO, GO, STOP, STOP]


@pytest.mark.parametrize("rule_name", ["vizier", "sagemaker"])
def test_median_against_a_plain_reading_of_the_rule(rule_name):
    """A thousand random reports, judged again with lists and `statistics.median`."""
    rng = random.Random(rule_name)
    rule = scheduler(MedianStopping(rule=rule_name, min_trials=2, min_steps=2))
    curves, ended = {}, set()
    stops = 0
    for _ in range(1500):
        trial = rng.randint(1, 25)
        if trial in ended:
            continue
        if rng.random() < 0.02:
            rule.ended(trial, TrialState.SUCCEEDED)
            ended.add(trial)
            continue
        curve = curves.setdefault(trial, [])
        step = (curve[-1][0] if curve else 0) + rng.randint(1, 2)
        curve.append((step, trial % 4 + rng.choice([1.0, 2.0, rng.random() * 3])))
        if rule_name == "vizier":
            own, others = min(loss for _, loss in curve), ended
        else:
            own, others = curve[-1][1], [other for other in curves if other < trial]
        reaching = [curves[o] for o in others if o in curves and curves[o][0][0] <= step <= curves[o][-1][0]]
        averages = [statistics.fmean(loss for s, loss in other if s <= step) for other in reaching]
        expected = step >= 2 and len(averages) >= 2 and own > statistics.median(averages) + 1e-12
        assert (rule.report(trial, step, curve[-1][1]) is STOP) == expected
        stops += expected
    assert stops > 30


@pytest.mark.parametrize("most", [0, 3])
@pytest.mark.parametrize("rule_name", ["vizier", "sagemaker"])
def test_median_is_the_same_without_columns(rule_name, most, monkeypatch):
    """Columns are a shortcut only, also when trials restart and repeat steps."""

    def said():
        rng, rule, at, decisions = random.Random(7), scheduler(MedianStopping(rule=rule_name, min_trials=2)), {}, []
        ended = set()
        for _ in range(1500):
            trial, chance = rng.randint(1, 30), rng.random()
            if trial in ended:
                continue
            if chance < 0.03:
                rule.restarted(trial)
                at.pop(trial, None)
            elif chance < 0.05:
                ended.add(trial)
                rule.ended(trial, TrialState.SUCCEEDED)
            else:
                at[trial] = max(0, at.get(trial, 0) + rng.randint(-1, 3))
                decisions.append(rule.report(trial, at[trial], trial % 4 + rng.random()))
        return decisions

    usual = said()
    monkeypatch.setattr("tuneport.search.schedulers.median._MOST_COLUMNS", most)
    assert said() == usual
    assert STOP in usual


@pytest.mark.parametrize("rule_name", ["vizier", "sagemaker"])
def test_median_at_distinct_steps_takes_little_memory(rule_name):
    rule = scheduler(MedianStopping(rule=rule_name))
    rng = random.Random(0)
    tracemalloc.start()
    for trial in range(1, 101):
        finish(rule, trial, [rng.random() for _ in range(100)], steps=[100 * k + trial for k in range(100)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000  # 10,000 reports
    assert not rule._columns


def test_median_forgets_a_restarted_trial():
    for rule_name in ("vizier", "sagemaker"):
        rule = scheduler(MedianStopping(rule=rule_name, min_trials=1))
        finish(rule, 1, [5, 5, 5])
        assert feed(rule, 2, [1, 1, 9])[:2] == [GO, GO]
        rule.restarted(2)
        assert feed(rule, 2, [6]) == [STOP]  # its best of 1 is gone
        rule.restarted(2)
        assert feed(rule, 3, [5]) == [GO]


def test_a_restarted_trial_is_judged_at_rungs_again():
    for rule in (scheduler(Asha(reduction_factor=2)), scheduler(algorithm=Hyperband(reduction_factor=2))):
        assert feed(rule, 1, [1, 1]) == [GO, GO]
        assert feed(rule, 2, [0]) == [GO]
        rule.restarted(2)
        assert feed(rule, 2, [9]) == [STOP]
        rule.restarted(1)
        rule.ended(1, TrialState.FAILED)
    rule = scheduler()
    rule.restarted(1)
    assert feed(rule, 1, [1]) == [GO]


def test_a_study_tells_its_scheduler_of_restarts():
    study = Study(spec(X, early_stopping=Asha(reduction_factor=2)), seed=0)
    study.ask()
    study.ask()
    assert study.report(1, {"loss": 1.0}) is GO
    assert study.report(2, {"loss": 0.0}) is GO
    study.apply(Restarted(2))
    assert study.report(2, {"loss": 9.0}) is STOP


def test_asha():
    """Rungs at 1, 3, 9 with one in three going on; max(1, n // 3) best of n go on."""
    rule = scheduler(Asha(reduction_factor=3))
    assert feed(rule, 1, [5]) == [GO]  # the only one
    assert feed(rule, 2, [6]) == [STOP]  # second of two
    assert feed(rule, 3, [4]) == [GO]  # first of three
    assert feed(rule, 4, [4.5]) == [STOP]  # second of four
    assert feed(rule, 5, [3]) == [GO]
    assert feed(rule, 6, [4.2]) == [STOP]  # third of six, which lets two go on
    assert feed(rule, 7, [3.5]) == [GO]  # second of seven
    assert rule.report(3, 2, 99.0) is GO  # between the rungs nobody is judged
    assert rule.report(3, 3, 1.0) is GO
    assert rule.report(5, 3, 2.0) is STOP
    assert rule.report(3, 4, 99.0) is GO


def test_asha_judges_a_leap_at_every_rung_and_each_rung_once():
    rule = scheduler(Asha(min_resource=2, reduction_factor=2))
    assert feed(rule, 1, [1.0, 1.0, 5.0], steps=[1, 2, 4]) == [GO, GO, GO]
    assert feed(rule, 2, [2.0], steps=[5]) == [STOP]  # second of two at rung 2, though first at rung 4
    assert feed(rule, 3, [1.5], steps=[4]) == [STOP]  # second of three at rung 2, where one goes on
    assert feed(rule, 4, [0.5, 9.0], steps=[2, 3]) == [GO, GO]


def test_asha_ends_what_is_complete():
    rule = scheduler(Asha(max_resource=9))
    assert feed(rule, 1, [1] * 9) == [GO] * 8 + [DONE]
    assert feed(rule, 2, [0.0], steps=[20]) == [DONE]
    assert feed(rule, 3, [99.0], steps=[20]) == [DONE]  # poor, but there is nothing left to save


def test_asha_takes_nan_for_the_worst():
    rule = scheduler(Asha(reduction_factor=2))
    feed(rule, 1, [math.nan])
    assert feed(rule, 2, [1e300]) == [GO]
    assert feed(rule, 3, [math.nan]) == [STOP]
    assert feed(rule, 4, [1e200]) == [GO]


def test_hyperband_brackets_come_in_the_paper_s_proportions():
    """For R = 81 and a factor of 3 the paper's table has 81, 34, 15, 8 and 5 trials."""
    shares = [0] * 5
    for trial in range(1, 14301):
        shares[bracket(trial, 1, 81, 3)] += 1
    assert shares == pytest.approx([8100, 3400, 1500, 800, 500], abs=12)
    early = [bracket(trial, 1, 81, 3) for trial in range(1, 30)]
    assert 14 <= early.count(0) <= 19
    assert len(set(early)) == 5


def test_hyperband_brackets_begin_to_judge_later_and_later():
    rule = scheduler(algorithm=Hyperband(max_resource=9, reduction_factor=3))
    members = {0: [], 1: [], 2: []}
    for trial in range(1, 60):
        members[bracket(trial, 1, 9, 3)].append(trial)
    first, second = members[0][:2]
    assert (feed(rule, first, [1]), feed(rule, second, [2])) == ([GO], [STOP])
    first, second = members[1][:2]
    assert (feed(rule, first, [1] * 3), feed(rule, second, [2] * 3)) == ([GO] * 3, [GO, GO, STOP])
    first, second = members[2][:2]
    assert (feed(rule, first, [1] * 9), feed(rule, second, [2] * 9)) == ([GO] * 8 + [DONE],) * 2


def test_hyperband_learns_how_long_a_trial_is():
    rule = scheduler(algorithm=Hyperband(reduction_factor=3))
    assert bracket(3, 1, 9, 3) == 2
    assert feed(rule, 3, [5]) == [GO]
    assert feed(rule, 6, [6]) == [STOP]  # all are in bracket 0
    finish(rule, 1, [1] * 9)
    later = next(trial for trial in range(10, 99) if bracket(trial, 1, 9, 3) == 2)
    assert feed(rule, later, [99] * 30) == [GO] * 8 + [GO] * 22  # alone at its rungs, and no maximum was given
    other = next(trial for trial in range(later + 1, 99) if bracket(trial, 1, 9, 3) == 2)
    assert feed(rule, other, [100] * 9) == [GO] * 8 + [STOP]
    finish(rule, 2, [0] * 500, TrialState.FAILED)
    assert rule._learned == 9


def test_auto_is_the_median_rule_and_curves_are_refused():
    assert type(scheduler(AutoStopping())) is type(scheduler(MedianStopping()))
    with pytest.raises(SearchError, match="learning curves"):
        scheduler(CurveStopping())


def test_goals_are_symmetric():
    said = []
    for sign, objective in ((1, spec(X).objectives[0]), (-1, maximize("loss"))):
        study = Study(spec(X, objective=objective, early_stopping=Asha(reduction_factor=2)), seed=0)
        rng = random.Random(3)
        decisions = []
        for _ in range(20):
            trial = study.ask()
            decisions += [study.report(trial, {"loss": sign * rng.random()}) for _ in range(8)]
        said.append(decisions)
    assert said[0] == said[1]
    assert STOP in said[0]


@pytest.mark.parametrize(
    "early_stopping",
    [MedianStopping(), MedianStopping(rule="sagemaker"), Asha()],
    ids=["vizier", "sagemaker", "asha"],
)
def test_many_reports_take_no_quadratic_time(early_stopping):
    """Time per report with 4 times as many trials, which ended or run eight at a time, is far from 4 times as long."""

    def seconds(trials):
        rule = scheduler(early_stopping)
        rng = random.Random(0)
        start = time.process_time()
        for first in range(1, trials, 8):
            for step in range(1, 26):
                for trial in range(first, first + 8):
                    rule.report(trial, step, rng.random())
            for trial in range(first, first + 8):
                rule.ended(trial, TrialState.SUCCEEDED)
        return (time.process_time() - start) / trials

    assert seconds(4000) < 2.5 * seconds(1000)
