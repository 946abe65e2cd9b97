"""What goes wrong on purpose, and that it is always the same."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneport.emulators.faults import DroppedError, Fault, Faults, InjectedError, Kind
from tuneport.errors import SettingsError


def fates(faults: Faults, operation: str, calls: int) -> list[str]:
    """What becomes of so many calls, and whether their work was done."""
    found = []
    for _ in range(calls):
        done = False
        try:
            with faults.around(operation):
                done = True
        except (InjectedError, DroppedError) as error:
            found.append(f"{getattr(error, 'fault', 'dropped')} {done}")
        else:
            found.append(f"well {done}")
    return found


def test_the_same_seed_strikes_the_same_calls_whatever_comes_in_between():
    rules = [Fault(Kind.THROTTLE, "Create*", 0.3), Fault(Kind.RESET, "*", 0.2)]
    first, second = Faults(rules, seed=7), Faults(rules, seed=7)
    alone = fates(first, "CreateJob", 100)
    mixed = []
    for _ in range(100):
        mixed += fates(second, "CreateJob", 1)
        fates(second, "DescribeJob", 3)
    assert alone == mixed
    assert len(set(alone)) == 3
    assert 15 <= alone.count("throttle False") <= 45
    assert alone != fates(Faults(rules, seed=8), "CreateJob", 100)


def test_work_is_done_before_a_lost_answer_and_not_before_other_faults():
    for kind, fate in {"throttle": "throttle False", "quota": "quota False", "error": "error False",
                       "reset": "dropped False", "lost": "dropped True"}.items():  # fmt: skip
        faults = Faults()
        faults.add(kind, "Create")
        assert fates(faults, "Create", 1) == [fate]
        assert fates(faults, "Describe", 1) == ["well True"]
        assert faults.struck == (("Create", kind),)


def test_single_calls_can_be_struck():
    faults = Faults([Fault.read("error:Stop*:#2"), Fault(Kind.LOST, calls=frozenset({3}))])
    assert fates(faults, "StopJob", 4) == ["well True", "error False", "dropped True", "well True"]


def test_a_failing_handler_is_not_taken_for_a_lost_answer():
    faults = Faults([Fault(Kind.LOST)])
    with pytest.raises(KeyError), faults.around("Create"):
        raise KeyError


def test_slow_answers_take_their_time():
    faults = Faults([Fault(Kind.SLOW, seconds=0.1)])
    began = time.monotonic()
    assert fates(faults, "Describe", 1) == ["well True"]
    assert time.monotonic() - began >= 0.1


def test_trials_are_struck_by_job_number_and_attempt():
    faults = Faults([Fault(Kind.PREEMPT, "digits/*", calls=frozenset({1})), Fault(Kind.INFEASIBLE, "*/3")])
    kinds = {
        (job, number, attempt): fault.kind if (fault := faults.of_trial(job, number, attempt)) else None
        for job, number, attempt in [("digits", 1, 1), ("digits", 1, 2), ("digits", 3, 2), ("other", 3, 1)]
    }
    assert list(kinds.values()) == [Kind.PREEMPT, None, Kind.INFEASIBLE, Kind.INFEASIBLE]
    assert fates(faults, "digits/1", 1) == ["well True"], "calls are not trials"


def test_nothing_goes_wrong_any_more_once_rules_are_cleared():
    faults = Faults([Fault(Kind.ERROR)])
    faults.clear()
    assert fates(faults, "Create", 3) == ["well True"] * 3


@given(st.sampled_from(list(Kind)), st.sampled_from(["*", "Create*", "a/3"]), st.floats(0, 1), st.floats(0, 3600))
def test_rules_are_read_as_they_are_written(kind, target, probability, seconds):
    read = Fault.read(f"{kind}:{target}:{probability!r}:{seconds!r}")
    assert read == Fault(kind, target, probability, frozenset(), seconds)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("explode", ["no fault 'explode'", "throttle"]),
        ("", ["no fault ''"]),
        ("error:*:1.5", ["'1.5' is no probability"]),
        ("error:*:nan", ["'nan' is no probability"]),
        ("error:*:#0", ["'#0' is no call"]),
        ("slow:*:1:never", ["'never' is no number of seconds"]),
        ("explode:*:2:-1:x", ["no fault", "no probability", "no number of seconds", "too many parts"]),
    ],
)
def test_all_that_is_wrong_with_a_rule_is_said_at_once(text, parts):
    with pytest.raises(SettingsError) as caught:
        Fault.read(text)
    assert all(part in str(caught.value) for part in parts)
    assert "throttle:Create*:0.3" in str(caught.value)
