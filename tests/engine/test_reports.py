"""Metrics from a trial's output: numbers, patterns, and what belongs together."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneport.engine.launch import Reported
from tuneport.engine.reports import Gather, read_number

NUMBERS = {
    "0.9132": 0.9132,
    " -1e-05 ": -1e-05,
    "+.5": 0.5,
    "1.": 1.0,
    "1.E3": 1000.0,
    "Infinity": math.inf,
    "-inf": -math.inf,
    "1e999": math.inf,
    "0.9,": 0.9,
    "0.9.": 0.9,
    "93.5%": 93.5,
    "93 %": 93.0,
    "tensor(0.9132, device='cuda:0')": 0.9132,
    "tensor(0.0754, device='cuda:0', requires_grad=True)": 0.0754,
    "tensor(0.9132,": 0.9132,
    "tensor([0.25], device='cuda:0')": 0.25,
    "tf.Tensor(0.9, shape=(), dtype=float32)": 0.9,
    "array(0.9)": 0.9,
    "Array(0.9, dtype=float32)": 0.9,
    "np.float64(1e-05)": 1e-05,
    "Decimal('0.9')": 0.9,
    "Decimal('-Infinity')": -math.inf,
}
NO_NUMBERS = ["", " ", "abc", "None", "1_000", "1,000", "0x10", "0.1 0.2", "٣", "--1", "1e", "tensor([0.1, 0.2])"]
NO_NUMBERS += ["tensor([0.1,", "tensor([])", "f(x)", "(0.9)", "tensor", "tensor(", "nano", "0.9 loss"]


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_numbers_as_programs_print_them(text, value):
    assert read_number(text) == value


@pytest.mark.parametrize("text", ["nan", "NaN,", "tensor(nan)", "Decimal('NaN')"])
def test_nan_is_a_number_here(text):
    assert math.isnan(read_number(text))


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number(text):
    assert read_number(text) is None


@given(st.floats())
def test_every_float_is_read_back(value):
    for text in (repr(value), f"np.float64({value!r})", f"tensor({value!r}, device='cuda:0')"):
        assert repr(read_number(text)) == repr(value)


@settings(deadline=None)
@given(st.text() | st.from_regex(re.compile(r"[a-z.]*[(\[]?['+-]?[0-9.e+-]*[\])%,]*", re.ASCII)))
def test_any_text_is_a_number_or_none(text):
    assert isinstance(read_number(text), float | None)


def test_long_texts_are_quick():
    for text in ("1" * 100_000 + "x", "tensor(" + "9" * 100_000, "[" * 100_000, "tensor(1" + ", a=" * 50_000):
        read_number(text)


def gathered(metrics, values):
    gather = Gather("acc", metrics)
    said = [report for value in values for report in gather.add(*value)] + gather.flush()
    assert gather.flush() == []
    return [(report.step, dict(report.metrics)) for report in said]


def test_a_single_metric_is_reported_at_once():
    assert Gather("acc", ["acc"]).add("acc", 0.5, 9.0) == [Reported({"acc": 0.5}, step=1, time=9.0)]
    assert gathered(["acc"], [("acc", 0.5), ("acc", 0.6)]) == [(1, {"acc": 0.5}), (2, {"acc": 0.6})]


def test_metrics_are_put_together_until_all_are_there():
    values = [("loss", 1.0), ("acc", 0.5), ("acc", 0.6), ("loss", 0.9)]
    assert gathered(["acc", "loss"], values) == [(1, {"loss": 1.0, "acc": 0.5}), (2, {"acc": 0.6, "loss": 0.9})]


def test_a_metric_that_repeats_begins_a_new_report_and_nothing_is_lost():
    values = [("loss", 3.0), ("loss", 2.0), ("acc", 0.5), ("acc", 0.6), ("acc", 0.7)]
    assert gathered(["acc", "loss"], values) == [
        (None, {"loss": 3.0}),
        (1, {"loss": 2.0, "acc": 0.5}),
        (2, {"acc": 0.6}),
        (3, {"acc": 0.7}),
    ]


def test_steps_that_are_said_part_reports():
    values = [("acc", 0.5, None, 2), ("loss", 1.0, None, 4), ("acc", 0.6, None, 4), ("acc", 0.7, None, 6)]
    assert gathered(["acc", "loss"], values) == [(2, {"acc": 0.5}), (4, {"loss": 1.0, "acc": 0.6}), (6, {"acc": 0.7})]


def test_a_step_that_stays_zero_is_none_and_is_counted():
    assert gathered(["acc"], [("acc", 0.5, None, 0)] * 3) == [(step, {"acc": 0.5}) for step in range(3)]
    assert [step for step, _ in gathered(["acc"], [("acc", 0.5, None, step) for step in range(3)])] == [0, 1, 2]


VALUES = st.tuples(st.sampled_from(["acc", "loss", "size"]), st.integers(), st.none(), st.none() | st.integers(0, 3))


@given(st.lists(VALUES), st.sets(st.sampled_from(["acc", "loss", "size"])))
def test_every_value_is_in_exactly_one_report(values, metrics):
    reports = gathered(metrics, values)
    assert [item for _, report in reports for item in report.items()] == [(name, value) for name, value, *_ in values]
