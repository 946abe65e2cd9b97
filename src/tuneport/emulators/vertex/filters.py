"""Filters of lists, the part of AIP-160 that the service documents: comparisons, AND, OR, NOT, parentheses.

As there, OR binds closer than AND, and what merely stands side by side is joined by AND. Paths may be in snake_case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn, TypeAlias

Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]
Allowed: TypeAlias = Mapping[str, str]
"""The first word of a path, in snake_case, to the comparisons that it takes, as in "= != :"."""

_STRING = r'"(?:[^"\\]|\\.)*"'
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"(AND|OR|NOT)\b")
_PATH = re.compile(rf"[^\W\d][\w-]*(?:\.(?:[\w-]+|{_STRING}))*")
_PART = re.compile(rf"[\w-]+|{_STRING}")
_COMPARATOR = re.compile(r"<=|>=|!=|=|<|>|:")
_VALUE = re.compile(rf"{_STRING}|[^\s()\"]+")


class FilterError(ValueError):
    """A text is no filter."""


def parse(text: str, allowed: Allowed | None = None) -> Predicate:
    """What a filter asks of an item.

    Args:
        text: the filter; an empty one asks nothing.
        allowed: what may be compared, and how; None: anything.

    Raises:
        FilterError: it is none.
    """
    parser = _Parser(text, allowed)
    if parser.at_end():
        return lambda _: True
    predicate = parser.conjunction()
    if not parser.at_end():
        parser.fail("cannot be read from here")
    return predicate


class _Parser:
    def __init__(self, text: str, allowed: Allowed | None) -> None:
        self._text = text
        self._at = 0
        self._allowed = allowed

    def at_end(self) -> bool:
        return self._peek(re.compile(r"$")) is not None

    def fail(self, message: str) -> NoReturn:
        raise FilterError(f"{message}: '{self._text[self._at : self._at + 40]}' in filter '{self._text}'")

    def conjunction(self) -> Predicate:
        parts = [self._disjunction()]
        while self._word("AND") or not (self.at_end() or self._peek(re.compile(r"\)"))):
            parts.append(self._disjunction())
        return lambda item: all(part(item) for part in parts)

    def _disjunction(self) -> Predicate:
        parts = [self._term()]
        while self._word("OR"):
            parts.append(self._term())
        return lambda item: any(part(item) for part in parts)

    def _term(self) -> Predicate:
        if self._word("NOT") or self._take(re.compile(r"-")):
            inner = self._term()
            return lambda item: not inner(item)
        if self._take(re.compile(r"\(")):
            inner = self.conjunction()
            if not self._take(re.compile(r"\)")):
                self.fail("')' is missing")
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        path = self._take(_PATH) or self.fail("a field is expected")
        comparator = self._take(_COMPARATOR) or self.fail(f"a comparison is expected after '{path}'")
        value = self._take(_VALUE) or self.fail("a value is expected")
        names = [_unquoted(part) for part in _PART.findall(path)]
        if self._allowed is not None and comparator not in self._allowed.get(_snake(names[0]), "").split():
            raise FilterError(
                f"'{names[0]}' cannot be filtered with '{comparator}'; known are {_listed(self._allowed)}"
            )
        compare, wanted = _COMPARISONS[comparator], _unquoted(value)
        return lambda item: compare(_found(item, names), wanted)

    def _word(self, word: str) -> bool:
        if self._peek(_WORD) != word:
            return False
        self._take(_WORD)
        return True

    def _peek(self, pattern: re.Pattern[str]) -> str | None:
        space = _SPACE.match(self._text, self._at)
        match = pattern.match(self._text, space.end() if space else self._at)
        return match[0] if match else None

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        found = self._peek(pattern)
        if found is not None:
            self._at = self._text.index(found, self._at) + len(found)
        return found


def _listed(allowed: Allowed) -> str:
    return ", ".join(f"{name} ({comparators})" for name, comparators in allowed.items())


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", name).lower()


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _found(item: Mapping[str, Any], names: list[str]) -> Any:
    value: Any = item
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name, value.get(_camel(name)))
    return value


# ---- comparing ------------------------------------------------------------------------------------------------------


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _equal(value: Any, wanted: str) -> bool:
    moments = _moment(value), _moment(wanted)
    return moments[0] == moments[1] if all(moments) else value is not None and str(value) == wanted


def _has(value: Any, wanted: str) -> bool:
    if value is None:
        return False
    if isinstance(value, Mapping):
        return wanted in value or wanted == "*"
    pieces = wanted.split("*")
    pattern = ".*".join(map(re.escape, pieces)) if len(pieces) > 1 else f".*{re.escape(wanted)}.*"
    return re.fullmatch(pattern, str(value), re.DOTALL) is not None


def _ordered(holds: Callable[[datetime, datetime], bool]) -> Callable[[Any, str], bool]:
    def compare(value: Any, wanted: str) -> bool:
        there, limit = _moment(value), _moment(wanted)
        return there is not None and limit is not None and holds(there, limit)

    return compare


_COMPARISONS: Mapping[str, Callable[[Any, str], bool]] = {
    "=": _equal,
    "!=": lambda value, wanted: not _equal(value, wanted),
    ":": _has,
    "<": _ordered(lambda there, limit: there < limit),
    "<=": _ordered(lambda there, limit: there <= limit),
    ">": _ordered(lambda there, limit: there > limit),
    ">=": _ordered(lambda there, limit: there >= limit),
}
