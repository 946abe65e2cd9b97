"""A document that was read: its data, and where in its text each part stands."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from tuneport.errors import JobError, Problem
from tuneport.model.word import spelled

MAX_DEPTH = 100
"""Lists and mappings inside each other; more is an attack or an accident."""
MAX_NODES = 500_000
"""Values in one document, aliases counted as often as they are used."""

_INTEGER = re.compile(r"[-+]?[0-9]+")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_PART = re.compile(r"/[^/]*\Z")


class Place(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


class Span(NamedTuple):
    """Where a member of a mapping has its key, and where its value; in lists both are the item."""

    key: Place
    value: Place


Places: TypeAlias = Mapping[str, Span]
"""JSON pointer to where it is; what has no place of its own stands where its parent does."""


@dataclass(frozen=True)
class Document:
    """What a file says.

    Attributes:
        name: the file as it was called, or "<stdin>".
        data: plain JSON data; numbers may remember their spelling.
        find: looks up all places; only called when something must be pointed at.
    """

    name: str
    data: Any
    find: Callable[[], Places]

    @cached_property
    def places(self) -> Places:
        """Where each part of the data stands."""
        return self.find()

    def place(self, pointer: str, *, key: bool = False) -> str:
        """Where a value or its key stands, as "file:line:column"; its nearest parent if it has no place of its own."""
        here = pointer
        while here not in self.places and here:
            here = _PART.sub("", here)
        if here not in self.places:
            return self.name
        span = self.places[here]
        return at(self.name, span.key if key and here == pointer else span.value)

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems with their places in this document."""
        return [replace(one, place=self.place(one.pointer, key=one.key)) for one in problems]


def at(name: str, place: Place) -> str:
    """A place as people and editors write it."""
    return f"{name}:{place.line}:{place.column}"


def syntax_error(name: str, message: str, place: Place | None = None) -> JobError:
    """The error for text that cannot be read at all."""
    return JobError.of(name, [Problem("", message, place=at(name, place) if place else name)])


def too_deep(name: str, place: Place | None = None) -> JobError:
    """The error for more nesting than anybody means."""
    return syntax_error(name, f"is nested deeper than {MAX_DEPTH} levels", place)


def too_big(name: str, place: Place | None = None) -> JobError:
    """The error for more values than anybody means."""
    return syntax_error(name, f"holds more than {MAX_NODES:,} values", place)


def bounded(data: Any, name: str) -> Any:
    """The data, unless it is deeper or larger than anybody means.

    Raises:
        JobError: it is. A part that stands in several places (by aliases) counts in each.
    """
    level, nodes = [data], 1
    for _ in range(MAX_DEPTH + 1):
        level = [item for item in level if isinstance(item, (dict, list))]
        if not level:
            return data
        nodes += sum(map(len, level))
        if nodes > MAX_NODES:
            raise too_big(name)
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    raise too_deep(name)


def duplicate_key(name: str, pointer: str, key: str, first: Place, second: Place) -> Problem:
    """The problem of one key given twice; both places are named."""
    message = f"key '{key}' is given twice, first at {at(name, first)}"
    return Problem(pointer, message, place=at(name, second), key=True)


def number(text: str) -> int | float | str:
    """The number that a text spells; it remembers a spelling of its own. What no number can hold stays text."""
    value: int | float
    try:
        value = int(text) if _INTEGER.fullmatch(text) else float(text)
    except ValueError:  # more digits than Python is willing to convert
        return text
    if isinstance(value, float) and math.isinf(value) and "inf" not in text.lower():
        return text
    return value if repr(value) == text else spelled(value, text)


def quoted(text: str) -> str:
    """The text in double quotes and with escapes, as JSON, YAML and TOML all read it."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
