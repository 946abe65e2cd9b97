"""Filters of lists: precedence, quoting, and that every text is a filter or a clear refusal."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tuneport.emulators.vertex.filters import FilterError, parse

ITEM = {
    "displayName": "digits (2)",
    "state": "JOB_STATE_RUNNING",
    "createTime": "2026-02-03T10:00:00.5Z",
    "labels": {"team": "vision", "a.b/c": "x", "empty": ""},
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ('display_name="digits (2)"', True),
        ('displayName:"digits*"', True),
        ('display_name:"git"', True),
        ('display_name:"digits"*', None),
        ('display_name="DIGITS (2)"', False),
        ("state=JOB_STATE_RUNNING", True),
        ("NOT state=JOB_STATE_RUNNING", False),
        ("-state=JOB_STATE_PENDING", True),
        ("labels.team=vision", True),
        ("labels.team:*", True),
        ("labels.other:*", False),
        ("labels:team", True),
        ("labels.empty:*", True),
        ('labels."a.b/c"=x', True),
        ('labels.team="say \\"x\\""', False),
        ("create_time=2026-02-03T11:00:00.500+01:00", True),
        ("create_time<=2026-02-03T10:00:00Z", False),
        ('create_time>="2026-02-03"', False),
        # OR binds closer than AND
        ("labels.team=vision OR state=x AND state=y", False),
        ("(labels.team=vision OR state=x) AND labels.team=vision", True),
        ("state=x AND state=y OR labels.team=vision", False),
        ("labels.team=vision state=JOB_STATE_RUNNING", True),
        ("labels.team=vision state=x", False),
        ("NOT (state=x OR state=y)", True),
        ("ORDER=1", False),
        ("(state=x", None),
        ("state=x)", None),
        ("state=", None),
        ("state x", None),
        ("AND", None),
        ("=x", None),
    ],
)
def test_a_filter_holds_or_not_or_is_none(text, holds):
    if holds is None:
        with pytest.raises(FilterError):
            parse(text)
    else:
        assert parse(text)(ITEM) is holds


def test_what_may_be_compared_is_named():
    with pytest.raises(FilterError, match=r"'error' cannot be filtered with '='; known are state \(= !=\)"):
        parse("error=1", {"state": "= !="})
    with pytest.raises(FilterError, match="'state' cannot"):
        parse("state:x", {"state": "= !="})


@given(st.text(st.sampled_from('ab.=!<>:"()-* \\\nANDORNOT'), max_size=30))
@example('a=b"')
def test_every_text_is_a_filter_or_refused(text):
    try:
        predicate = parse(text)
    except FilterError:
        return
    assert predicate(ITEM) in {True, False}
