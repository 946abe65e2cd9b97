"""Values as text and back."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneport.backends.sagemaker.hyperparameters import canonical, number_of, number_text, text_of, value_of
from tuneport.testing import strategies


def told(value):
    return type(value), value


@given(strategies.scalars)
def test_every_value_comes_back_with_its_type(value):
    assert told(value_of(text_of(value))) == told(value)


@given(strategies.scalars)
def test_the_toolkit_reads_what_is_meant_but_for_lists_and_objects(value):
    try:
        read = json.loads(text_of(value))
    except ValueError:
        read = text_of(value)
    assert told(read) == told(value) or isinstance(read, (dict, list))


@given(st.text())
def test_the_canonical_spelling_is_one(text):
    assert canonical(canonical(text)) == canonical(text)
    assert told(value_of(canonical(text))) == told(value_of(text)) or "\x00" in text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "value", "again"),
    [
        ("3", 3, "3"),
        ("3.0", 3.0, "3.0"),
        ("0.00001", 1e-05, "1e-05"),
        ("1E-5", 1e-05, "1e-05"),
        ("true", True, "true"),
        ("True", "True", "True"),
        ('"adam"', "adam", "adam"),
        ('"16"', "16", '"16"'),
        ("adam", "adam", "adam"),
        ("", "", ""),
        ("null", "null", '"null"'),
        ("NaN", "NaN", '"NaN"'),
        ("-Infinity", "-Infinity", '"-Infinity"'),
        ("1e999", "1e999", '"1e999"'),
        (str(2**63), str(2**63), f'"{2**63}"'),
        (str(2**63 - 1), 2**63 - 1, str(2**63 - 1)),
        ("[64, 32]", "[64, 32]", "[64, 32]"),
        ('{"a": 1}', '{"a": 1}', '{"a": 1}'),
        ("${var.lr}", "${var.lr}", "${var.lr}"),
        (" 1", 1, "1"),
    ],
)
def test_what_texts_stand_for(text, value, again):
    assert told(value_of(text)) == told(value)
    assert canonical(text) == again


def test_json_that_no_text_can_be_stays_what_it_was():
    assert value_of('"\\ud800"') == '"\\ud800"'
    assert value_of('"\\u0000"') == '"\\u0000"'


@pytest.mark.parametrize("text", ["9" * 20_000, "[" * 9_000, '"' + "a" * 20_000 + '"'])
def test_endless_texts_are_texts(text):
    assert value_of(text) == text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_bounds_come_back(number):
    assert number_of(number_text(number)) == number


@pytest.mark.parametrize(
    ("number", "text"), [(10.0, "10"), (1e-5, "1e-05"), (0.1, "0.1"), (1e16, "1e+16"), (-0.5, "-0.5"), (7, "7")]
)
def test_bounds_are_written_short(number, text):
    assert number_text(number) == text


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e999", "1_000", "0x1", "${low}", "9" * 20_000])
def test_what_is_no_bound(text):
    assert number_of(text) is None
    assert math.isfinite(number_of("1e308"))
