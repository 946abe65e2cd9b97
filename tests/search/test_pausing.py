"""Trials that pause and go on: promotion between rungs, and populations."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneport.errors import JobError, SearchError, TrialFinishedError
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Categorical, Discrete, Float, Int
from tuneport.model.results import Measurement, TrialState, best_trial
from tuneport.model.study import Asha, Bayesian, Hyperband, Pbt, Random, StudySpec, Tpe, minimize
from tuneport.model.trial_spec import TrialSpec
from tuneport.search.events import Asked, Ended, Paused, Reported, Restarted, Resumed
from tuneport.search.perturbation import perturbed
from tuneport.search.protocols import Decision, Replace, Resume
from tuneport.search.schedulers import make_scheduler
from tuneport.search.space import Space
from tuneport.search.study import Study

from .simulated import Simulation
from .spaces import spaces, spec

GO, PAUSE, DONE = Decision.CONTINUE, Decision.PAUSE, Decision.COMPLETE
X = [Float("x", 0, 1)]
PROMOTION = Asha(form="promotion", reduction_factor=2, max_resource=8)


def promotion(**more):
    return make_scheduler(spec(X, early_stopping=Asha(form="promotion", **more)))


def rest(scheduler, trial, loss, step=1):
    assert scheduler.report(trial, step, loss) is PAUSE
    scheduler.paused(trial)


# ---- promotion ------------------------------------------------------------------------------------------------------


def test_promotion_worked_by_hand():
    rule = promotion(reduction_factor=3)
    rest(rule, 1, 5)
    rest(rule, 2, 4)
    assert rule.due() is None, "of two, none is among the best third"
    assert rule.report(3, 1, 3) is GO, "the best third of three is one, and this is it: it need not pause"
    assert rule.due() is None, "its place has been taken"
    rest(rule, 4, 6)
    rest(rule, 5, 7)
    assert rule.due() is None
    rest(rule, 6, 8)
    assert rule.due() == Resume(2), "two of six"
    assert rule.due() == Resume(2), "until it has been done"
    rule.resumed(2)
    assert rule.due() is None
    rest(rule, 3, 1, step=3)
    assert rule.report(2, 2, 3) is GO, "between rungs"
    rest(rule, 2, 2, step=3)
    for number, loss in enumerate((0.5, 0.6, 0.7, 0.8, 0.9), start=7):
        rule.report(number, 1, loss)
    assert rule.report(12, 3, 0.1) is GO, "the best of three at the second rung, over the first one in one leap"
    assert rule.report(12, 9, 0.1) is PAUSE


def test_the_highest_rung_is_promoted_first():
    rule = promotion(reduction_factor=2)
    rest(rule, 1, 3)
    assert rule.report(2, 1, 2) is GO
    rest(rule, 2, 2, step=2)
    rest(rule, 3, 2.5)
    rest(rule, 4, 9)
    assert rule.due() == Resume(3), "two of four at the first rung"
    rule.resumed(3)
    rest(rule, 3, 2.4, step=2)
    rest(rule, 5, 9.5)
    rest(rule, 6, 9.9)
    assert rule.due() == Resume(2), "trial 2 at the second rung goes before trial 1 at the first"
    rule.resumed(2)
    assert rule.due() == Resume(1)


def test_what_ended_is_not_promoted_and_keeps_its_place():
    rule = promotion(reduction_factor=2)
    rest(rule, 1, 1)
    rule.ended(1, TrialState.STOPPED)
    rest(rule, 2, 2)
    assert rule.due() is None
    rest(rule, 3, math.nan)
    assert rule.due() is None, "one of three, which trial 1 was"
    assert rule.report(4, 1, math.inf) is PAUSE
    assert rule.due() == Resume(2), "two of four"
    rule.resumed(2)
    assert rule.due() is None


def test_a_complete_trial_does_not_pause():
    rule = promotion(max_resource=3)
    assert rule.report(1, 3, 1.0) is DONE
    assert rule.report(2, 1, 1.0) is PAUSE


@pytest.mark.parametrize(
    "algorithm", [Random(), Tpe(initial_trials=3), Bayesian(initial_trials=3)], ids=lambda a: a.kind
)
def test_promotions_follow_the_paper(algorithm):
    """Every promoted trial is among the best share of its rung at that time, and was at no higher rung before."""
    job = spec(X, algorithm, early_stopping=PROMOTION)
    ran = Simulation(job, lambda way: way[-1]["x"] + 1 / len(way), max_trials=24).run()
    assert ran.promoted
    for trial, at in ran.promoted:
        events = ran.events[:at]
        seen = [e for e in events if isinstance(e, Reported)]
        rung = max(e.measurement.step for e in seen if e.trial == trial)
        there = sorted((e.measurement.metrics["loss"], e.trial) for e in seen if e.measurement.step == rung)
        assert trial in [number for _, number in there[: len(there) // 2]]
    assert Counter(trial for trial, _ in ran.promoted).most_common(1)[0][1] <= 3, "rungs at 1, 2 and 4"
    states = Counter(trial.state for trial in ran.study.trials)
    assert states.keys() == {TrialState.SUCCEEDED, TrialState.PAUSED}
    assert ran.study.due() is None
    assert ran.study.best == best_trial(ran.study.trials, ran.spec.objective)
    assert not ran.study.running


def test_hyperband_promotes_within_brackets():
    job = spec(X, Hyperband(form="promotion", max_resource=9))
    ran = Simulation(job, lambda way: way[-1]["x"] + 1 / len(way), max_trials=40).run()
    first = {e.trial: len(ran.schedules[e.trial]) for e in ran.events if isinstance(e, Asked)}
    assert {1, 3, 9} <= set(first.values())
    assert any(trial.state is TrialState.SUCCEEDED for trial in ran.study.trials)
    assert ran.promoted


def test_paused_trials_teach():
    """A model sees what rests, though hardly a trial ends."""
    job = spec([*X, Float("y", 0, 1)], Bayesian(initial_trials=3), early_stopping=PROMOTION)

    def bowl(way):
        return (way[-1]["x"] - 0.3) ** 2 + (way[-1]["y"] - 0.6) ** 2 + 1 / len(way)

    ran = Simulation(job, bowl, max_trials=24, parallel=1).run()
    later = [trial.parameters for trial in ran.study.trials[-12:]]
    assert sum(abs(one["x"] - 0.3) < 0.1 and abs(one["y"] - 0.6) < 0.1 for one in later) >= 4


# ---- populations ----------------------------------------------------------------------------------------------------


def add(way):
    return sum(one["x"] for one in way)


def population(*, max_trials=60, loss=add, failing=lambda *_: False, **rule):
    job = spec(X, Pbt(**{"population": 8, "max_resource": 6, **rule}))
    return Simulation(job, loss, max_trials=max_trials, failing=failing).run()


def test_heirs_come_from_the_best_and_replace_the_worst():
    ran = population()
    assert len(ran.replaced) == 10, "two of eight after each of five steps"
    for gone, parent, before in ran.replaced:
        resting = [trial for trial in before.values() if trial.state is TrialState.PAUSED]
        order = sorted(resting, key=lambda trial: trial.metrics["loss"])
        assert parent in [trial.id for trial in order[:2]]
        assert gone in [trial.id for trial in order[-2:]]
    heirs = [trial for trial in ran.study.trials if trial.parent is not None]
    assert [trial.parent for trial in heirs] == [parent for _, parent, _ in ran.replaced]
    assert [trial.id for trial in heirs] == list(range(9, 19))
    states = Counter(trial.state for trial in ran.study.trials)
    assert states == {TrialState.SUCCEEDED: 8, TrialState.STOPPED: 10}
    assert all(
        trial.measurements[0].step == len(ran.schedules[trial.id]) - len(trial.measurements) + 1 for trial in heirs
    )


def test_a_population_finds_a_schedule_that_no_constant_is():
    """The best value changes half-way: what is best first, is worst later."""
    good = lambda way: sum((one["x"] - (0.2 if at < 10 else 0.8)) ** 2 for at, one in enumerate(way))  # noqa: E731
    ran = population(loss=good, max_resource=20, max_trials=500, resample=0.25)
    constant = min(good([{"x": x}] * 20) for x in np.linspace(0, 1, 101))
    assert ran.study.best.metrics["loss"] < 0.7 * constant


def test_trials_are_no_more_than_the_budget():
    assert len(population(max_trials=11).study.trials) == 11
    assert len(population(max_trials=8).study.trials) == 8
    ran = population(max_trials=11)
    assert Counter(trial.state for trial in ran.study.trials) == {TrialState.SUCCEEDED: 8, TrialState.STOPPED: 3}


def test_members_that_are_alike_stay():
    ran = population(loss=lambda _: 1.0)
    assert not ran.replaced
    assert {trial.state for trial in ran.study.trials} == {TrialState.SUCCEEDED}


def test_what_fails_is_replaced_and_is_nobodys_parent():
    ran = population(failing=lambda trial, step: trial in {2, 5} and step == 1)
    failed = [trial for trial in ran.study.trials if trial.state is TrialState.FAILED]
    assert [trial.id for trial in failed] == [2, 5]
    assert [gone for gone, _, _ in ran.replaced].count(None) == 2
    assert not {2, 5} & {trial.parent for trial in ran.study.trials}
    assert Counter(trial.state for trial in ran.study.trials)[TrialState.SUCCEEDED] == 8


def test_what_failed_is_replaced_as_soon_as_anybody_has_a_result():
    """In the first generation nobody has, so the place that one left is filled after the second."""
    ran = population(
        failing=lambda trial, step: trial == 2, loss=lambda way: math.nan if len(way) < 4 else way[-1]["x"]
    )
    assert [gone for gone, _, _ in ran.replaced].count(None) == 1


def test_a_population_of_which_all_fail_comes_to_an_end():
    ran = population(failing=lambda *_: True)
    assert len(ran.study.trials) == 8
    assert ran.study.due() is None
    assert not ran.study.wants_more


def test_a_loss_that_is_no_number_is_the_worst():
    ran = population(loss=lambda way: math.nan if way[0]["x"] < 0.5 else way[0]["x"], max_resource=3)
    assert all(parent != gone for gone, parent, _ in ran.replaced)
    assert all(before[parent].metrics["loss"] > 0 for _, parent, before in ran.replaced)


def test_members_may_end_by_themselves():
    job = spec(X, Pbt(population=4, interval=3))
    ran = Simulation(job, add, max_trials=9, steps=7).run()
    assert len(ran.replaced) == 2, "after 3 and after 6 steps"
    ended = [trial for trial in ran.study.trials if trial.state is TrialState.SUCCEEDED]
    assert [len(ran.schedules[trial.id]) for trial in ended] == [7] * 4


def test_steps_are_counted_on_where_they_are_not_said():
    study = Study(spec(X, Pbt(population=2, quantile=0.5, interval=2)), seed=1)
    for trial in (study.ask(), study.ask()):
        study.report(trial, {"loss": float(trial.id)})
        assert study.report(trial, {"loss": float(trial.id)}) is PAUSE
        study.pause(trial)
    assert study.due() == Replace(2, 1)
    study.tell(2, state=TrialState.STOPPED)
    heir = study.ask(parent=1)
    assert (heir.id, heir.parent) == (3, 1)
    assert study.due() == Resume(1)
    assert study.report(heir, {"loss": 0.0}) is GO
    assert study.report(heir, {"loss": 0.0}) is PAUSE, "its fourth step"


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Pbt,
        population=st.integers(2, 6),
        interval=st.integers(1, 3),
        quantile=st.floats(0.1, 0.5),
        max_resource=st.sampled_from([None, 1, 5]),
    ),
    st.integers(0, 99),
    st.integers(0, 9),
    st.integers(0, 3),
)
def test_any_population_comes_to_its_end(rule, seed, more, failures):
    """Whatever fails and whoever is fast: the budget is kept, and places go from the worst to heirs of the best."""
    failing = lambda trial, step: (7 * trial + 3 * step + seed) % 10 < failures  # noqa: E731
    most = rule.population + more
    ran = Simulation(spec(X, rule), add, max_trials=most, parallel=3, steps=7, seed=seed, failing=failing).run()
    assert len(ran.study.trials) <= most
    assert (ran.study.running, ran.study.paused, ran.study.due(), ran.study.wants_more) == ((), (), None, False)
    assert [trial.parent for trial in ran.study.trials if trial.parent is not None] == [
        one for _, one, _ in ran.replaced
    ]
    for gone, parent, before in ran.replaced:
        assert before[parent].state is TrialState.PAUSED
        assert gone is None or before[gone].metrics["loss"] > before[parent].metrics["loss"]
    again = Study.replay(ran.spec, ran.events, seed=seed, budget=ran.budget)
    assert again.trials == ran.study.trials


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0]))
def test_what_is_perturbed_is_legal(parameters, seed, resample):
    space, rng = Space(parameters), np.random.default_rng(seed)
    point = space.decode(rng.random(len(space)))
    for _ in range(20):
        point = perturbed(space, point, resample, rng)
        assert space.legal(point) == point


def test_numbers_move_by_a_fifth_and_lists_by_one():
    space = Space(
        [
            Float("lr", 1e-5, 1e-1, scale="log"),
            Float("momentum", 0.5, 0.999, scale="reverse_log"),
            Float("shift", -1, 1),
            Int("width", 16, 1024, scale="log"),
            Int("layers", 1, 4),
            Float("drop", 0, 0.5, step=0.1),
            Discrete("batch", [16, 32, 64]),
            Categorical("act", ["relu", "tanh"]),
        ]
    )
    old = {
        "lr": 1e-3,
        "momentum": 0.9,
        "shift": 0.0,
        "width": 100,
        "layers": 2,
        "drop": 0.2,
        "batch": 32,
        "act": "tanh",
    }
    seen = {name: set() for name in old}
    for seed in range(40):
        for name, value in perturbed(space, old, 0.0, np.random.default_rng(seed)).items():
            seen[name].add(round(value, 12) if isinstance(value, float) else value)
    assert seen == {
        "lr": {0.0008, 0.0012},
        "momentum": {0.88, 0.92},
        "shift": {-0.04, 0.04},
        "width": {80, 120},
        "layers": {1, 3},
        "drop": {0.1, 0.3},
        "batch": {16, 64},
        "act": {"tanh"},
    }
    ends = {
        "lr": 1e-1,
        "momentum": 0.999,
        "shift": 1.0,
        "width": 1024,
        "layers": 4,
        "drop": 0.5,
        "batch": 64,
        "act": "relu",
    }
    for seed in range(40):
        space.legal(perturbed(space, ends, 0.0, np.random.default_rng(seed)))
    fresh = {perturbed(space, old, 1.0, np.random.default_rng(seed))["act"] for seed in range(20)}
    assert fresh == {"relu", "tanh"}


# ---- the study, replayed --------------------------------------------------------------------------------------------

PAUSING = [
    spec(X, Random(), early_stopping=PROMOTION),
    spec(X, Bayesian(initial_trials=3), early_stopping=PROMOTION),
    spec(X, Hyperband(form="promotion", max_resource=9)),
    spec(X, Pbt(population=4, quantile=0.5)),
]


@pytest.mark.parametrize("job", PAUSING, ids=["asha", "bayesian", "hyperband", "pbt"])
def test_a_replay_is_the_same_study(job):
    failing = lambda trial, step: trial == 3 and step == 2  # noqa: E731
    ran = Simulation(job, lambda way: way[-1]["x"] / len(way), max_trials=16, steps=9, failing=failing).run(spend=60)
    assert {Asked, Reported, Paused, Resumed, Ended} <= {type(one) for one in ran.events}
    for cut in range(0, len(ran.events), 7):
        again = Study.replay(job, ran.events[:cut], seed=ran.seed, budget=ran.budget)
        for event in ran.events[cut:]:
            again.apply(event)
        assert again.trials == ran.study.trials
        assert (again.due(), again.paused, again.running) == (ran.study.due(), ran.study.paused, ran.study.running)
        assert again.best == ran.study.best
    assert again.propose() == ran.study.propose()


def test_an_attempt_that_goes_on_from_an_earlier_step_repeats_what_came_since():
    study = Study(spec(X, early_stopping=PROMOTION.changed(min_resource=4)), seed=1)
    trial = study.ask()
    for step in (1, 2, 3):
        study.report(trial, {"loss": 9.0}, step=step)
    study.resume(trial)  # it was cut off, and its newest checkpoint is that of step 1
    study.report(trial, {"loss": 1.0}, step=2)
    assert [(one.step, one.metrics["loss"]) for one in study.trial(trial).measurements] == [(1, 9.0), (2, 1.0)]
    study.apply(Restarted(1))
    study.report(trial, {"loss": 1.0}, step=2)
    assert study.report(trial, {"loss": 1.0}, step=4) is PAUSE
    assert [one.step for one in study.trial(trial).measurements] == [1, 2, 4]


def test_a_paused_trial_shows_what_it_has_come_to():
    study = Study(spec(X, early_stopping=PROMOTION), seed=1)
    trial = study.ask()
    assert study.best is None
    study.report(trial, {"loss": 1.0}, step=1)
    paused = study.pause(trial)
    assert (paused.state, paused.final_measurement) == (TrialState.PAUSED, Measurement(metrics={"loss": 1.0}, step=1))
    assert (study.best, study.finished, study.paused, study.running) == (paused, 0, (1,), ())
    study.resume(trial)
    study.report(trial, {"loss": 2.0}, step=2)
    study.pause(trial)
    other = study.ask()
    study.report(other, {"loss": 1.5}, step=1)
    done = study.tell(other)
    assert study.best == done, "by its latest loss, trial 1 is no longer the best"
    with pytest.raises(SearchError, match="not to pause"):
        study.pause(trial)
    study.tell(trial, state=TrialState.STOPPED)
    with pytest.raises(TrialFinishedError):
        study.resume(trial)


@pytest.mark.parametrize("parameters", [None, {"x": 0.5}])
def test_only_members_of_a_population_have_heirs(parameters):
    study = Study(spec(X), seed=1)
    study.ask()
    with pytest.raises(SearchError, match="have no parents"):
        study.ask(parameters, parent=1)


def test_who_goes_on_by_hand_is_not_replaced():
    rule = make_scheduler(spec(X, Pbt(population=2, quantile=0.5)))
    for trial in (1, 2):
        rule.asked(trial, None)
    for trial in (1, 2):
        rest(rule, trial, trial)
    assert rule.due() == Replace(2, 1)
    rule.resumed(2)
    assert rule.due() == Resume(1)


def test_a_trial_that_lost_and_was_cut_off_is_still_to_stop():
    study = Study(spec(X, early_stopping=Asha(reduction_factor=4)), seed=1)
    for loss in (1.0, 2.0):
        decision = study.report(study.ask(), {"loss": loss}, step=1)
    assert decision is Decision.STOP
    study.resume(2)
    assert study.report(2, {"loss": 0.0}, step=2) is Decision.STOP
    study.apply(Restarted(2))
    assert study.report(2, {"loss": 0.0}, step=1) is GO


def test_a_trial_that_begins_anew_is_judged_anew():
    """What the lost attempt left is not in the way: neither of the trial itself nor of others."""
    rule = promotion(reduction_factor=2)
    rest(rule, 1, 5)
    assert rule.report(2, 1, 1) is GO
    assert rule.report(2, 2, 0) is PAUSE
    rule.restarted(2)
    assert rule.report(2, 1, 1) is GO, "it was let past this rung"
    rest(rule, 3, 4, step=2)
    assert rule.due() is None, "of one at the second rung, none is among the best half"
    members = make_scheduler(spec(X, Pbt(population=2, interval=5)))
    members.asked(1, None)
    assert members.report(1, 5, 1) is PAUSE
    members.restarted(1)
    assert members.report(1, 1, 9) is GO
    assert members.report(1, 5, 1) is PAUSE


# ---- jobs that make no sense ----------------------------------------------------------------------------------------


def job(study, **more):
    trial = {"command": ["train"], "resumable": True, **more.pop("trial", {})}
    searched = {"parameters": X, "objectives": [minimize("loss")], **study}
    return TuningJob(name="j", study=StudySpec(**searched), trial=TrialSpec(**trial), **more)


@pytest.mark.parametrize(
    "study",
    [{"early_stopping": PROMOTION}, {"algorithm": Hyperband(form="promotion")}, {"algorithm": Pbt()}],
    ids=["asha", "hyperband", "pbt"],
)
def test_pausing_needs_a_trainer_that_goes_on(study):
    assert job(study).study.pauses
    with pytest.raises(JobError) as caught:
        job(study, trial={"resumable": False})
    (problem,) = caught.value.problems
    assert problem.pointer == "/trial/resumable"
    assert "checkpoint_dir()" in problem.message


def test_a_population_within_its_budget():
    assert job({"algorithm": Pbt(population=8)}, budget=Budget(max_trials=8))
    assert job({"algorithm": Pbt(population=8)}, budget=Budget(max_trials=None)), "it ends when its trainers do"
    with pytest.raises(JobError) as caught:
        job({"algorithm": Pbt(population=9)}, budget=Budget(max_trials=8))
    assert [problem.pointer for problem in caught.value.problems] == ["/budget/max_trials"]


@pytest.mark.parametrize(
    ("field", "value"), [("interval", 0), ("population", 1), ("quantile", 0.6), ("quantile", 0), ("resample", 1.1)]
)
def test_rules_of_populations(field, value):
    with pytest.raises(JobError) as caught:
        Pbt(**{field: value})
    assert [problem.pointer for problem in caught.value.problems] == [f"/{field}"]


def test_populations_need_no_other_rule():
    with pytest.raises(JobError, match="pbt stops trials itself"):
        spec(X, Pbt(), early_stopping=Asha())
