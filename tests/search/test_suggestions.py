"""What is suggested today is what was suggested before, on any machine."""

import json

import pytest

from .suggestions import CASES, GOLDEN, suggestions

KEPT = json.loads(GOLDEN.read_text())


def same(found, kept):
    """Equal, or the same number but for rounding to three digits."""
    return found == (pytest.approx(kept, rel=6e-3, abs=1e-6) if isinstance(found, float) else kept)


@pytest.mark.parametrize("name", CASES)
def test_the_first_thirty_suggestions_are_those_that_are_kept(name):
    for found, kept in zip(suggestions(*CASES[name]), KEPT[name], strict=True):
        assert set(found) == set(kept)
        assert all(same(value, kept[parameter]) for parameter, value in found.items()), (found, kept)
