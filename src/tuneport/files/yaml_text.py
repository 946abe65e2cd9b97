"""YAML 1.2 as a person means it: `no` and dates are text, `1e-5` is a number, a key given twice is an error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from tuneport.errors import JobError, Problem
from tuneport.files.document import (
    MAX_DEPTH,
    MAX_NODES,
    Document,
    Place,
    Span,
    at,
    bounded,
    duplicate_key,
    number,
    quoted,
    syntax_error,
    too_big,
    too_deep,
)
from tuneport.model.word import pointer as pointer_of

_WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{f"{sign}{inf}": float(f"{sign}inf") for sign in ("", "+", "-") for inf in (".inf", ".Inf", ".INF")},
}
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASED = re.compile(r"0o([0-7]{1,40})|0x([0-9a-fA-F]{1,40})")
_STRING_TAG = "tag:yaml.org,2002:str"
_MERGE = "<<"


def read(text: str, name: str) -> Document:
    """The one document in `text`.

    Raises:
        JobError: with the place of whatever is wrong.
    """
    reader = _Reader(text, name)
    data = reader.document()
    if reader.problems:
        raise JobError.of(name, reader.problems)
    return Document(name, bounded(data, name), lambda: reader.places)


def scalar(text: str) -> Any:
    """What a plain scalar says (YAML 1.2, core schema)."""
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return number(text)
    if match := _BASED.fullmatch(text):
        return int(match[1], 8) if match[1] else int(match[2], 16)
    return text


class _Reader:
    """Builds data from the parser's events, so that depth, size and places stay in our hands."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.places: dict[str, Span] = {}
        self._anchors: dict[str, Any] = {}
        self._merged_keys = 0
        self._last = Place(1, 1)
        self._events = self._parse(text)

    def document(self) -> Any:
        starts = 0
        data: Any = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                starts += 1
                if starts > 1:
                    raise syntax_error(self.name, "holds more than one document", _place(event))
                if event.version not in {None, (1, 2)}:
                    raise syntax_error(self.name, "only YAML 1.2 is read here; leave the %YAML line out", _place(event))
                event = next(self._events)  # noqa: PLW2901 - the document's only node
                self.places[""] = Span(_place(event), _place(event))
                data = self._node(event, ())
        return data

    def _parse(self, text: str) -> Iterator[Any]:
        try:
            for event in YAML(typ="safe", pure=True).parse(text):
                self._last = _place(event)
                yield event
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(mark.line + 1, mark.column + 1) if mark else self._last
            message = ": ".join(part for part in (error.context, error.problem) if part)
            raise syntax_error(self.name, f"is not YAML: {message}", place) from None
        except (YAMLError, ValueError, OverflowError) as error:  # such as a character that does not exist
            raise syntax_error(self.name, f"is not YAML: {str(error).splitlines()[0]}", self._last) from None

    def _node(self, event: Any, path: tuple[int | str, ...]) -> Any:
        if isinstance(event, AliasEvent):
            return self._alias(event)
        if len(path) > MAX_DEPTH:
            raise too_deep(self.name, _place(event))
        if event.tag not in {None, "!", _STRING_TAG}:
            self.problems.append(self._problem(path, f"tags such as {event.tag} are not used here", event))
        if isinstance(event, SequenceStartEvent):
            value: Any = self._sequence(path)
        elif isinstance(event, MappingStartEvent):
            value = self._mapping(path)
        else:
            value = _scalar_value(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _alias(self, event: AliasEvent) -> Any:
        if event.anchor not in self._anchors:
            raise syntax_error(self.name, f"nothing before this is marked &{event.anchor}", _place(event))
        return self._anchors[event.anchor]

    def _sequence(self, path: tuple[int | str, ...]) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            here = (*path, len(items))
            self.places[pointer_of(here)] = Span(_place(event), _place(event))
            items.append(self._node(event, here))
        return items

    def _mapping(self, path: tuple[int | str, ...]) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, path)
            value_event = next(self._events)
            if isinstance(event, ScalarEvent) and event.style is None and key == _MERGE:
                merged = self._merged(self._node(value_event, path), value_event, path) | merged
                continue
            if not isinstance(key, str):
                self.problems.append(self._problem(path, _key_message(key), event))
                key = str(key)
            here = (*path, key)
            where = pointer_of(here)
            if key in own:
                first = self.places[where].key
                self.problems.append(duplicate_key(self.name, where, key, first, _place(event)))
            self.places[where] = Span(_place(event), _place(value_event))
            own[key] = self._node(value_event, here)
        return merged | own

    def _merged(self, value: Any, event: Event, path: tuple[int | str, ...]) -> dict[str, Any]:
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            self.problems.append(self._problem((*path, _MERGE), "only a mapping can be merged with <<", event))
            return {}
        self._merged_keys += sum(map(len, parts))
        if self._merged_keys > MAX_NODES:
            raise too_big(self.name, _place(event))
        return {key: item for part in reversed(parts) for key, item in part.items()}

    def _problem(self, path: tuple[int | str, ...], message: str, event: Event) -> Problem:
        return Problem(pointer_of(path), message, place=at(self.name, _place(event)))


def _place(event: Event) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _key_message(key: Any) -> str:
    if isinstance(key, (list, dict)):
        return "a key must be text, not a list or a mapping"
    return f"a key must be text, not {scalar_text(key)}; write it in quotes"


def _scalar_value(event: ScalarEvent) -> Any:
    if event.style is None and event.tag is None:
        return scalar(event.value)
    return _joined(event.value)


def _joined(text: str) -> str:
    r"""JSON writes characters beyond U+FFFF as two escapes (\ud83d\ude00); YAML takes each by itself."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


# ---- writing --------------------------------------------------------------------------------------------------------

_WIDTH = 120
_PLAIN = re.compile(r"[A-Za-z_/.$][\w./$+@-]*(?: [\w./$+@-]+)*", re.ASCII)
_TRAPS = re.compile(r"y|n|yes|no|on|off|true|false|null|nan|[-+]?\.?(?:inf|nan)|\.[0-9].*", re.IGNORECASE)
"""What some reader of some version of YAML takes for something other than text."""


def write(data: Mapping[str, Any]) -> str:
    """YAML that every version of YAML reads alike: what fits stands on one line, doubtful text in quotes."""
    return "".join(f"{line}\n" for line in _block(data, ""))


def _block(data: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in data.items():
        yield from _member(f"{indent}{_text(key)}:", value, f"{indent}  ")


def _member(head: str, value: Any, indent: str) -> Iterator[str]:
    line = f"{head} {_flow(value)}"
    if not isinstance(value, (dict, list)) or (len(line) <= _WIDTH and not _holds_records(value)):
        yield line
    elif isinstance(value, dict):
        yield head
        yield from _block(value, indent)
    else:
        yield head
        for item in value:
            yield from _item(item, indent)


def _item(item: Any, indent: str) -> Iterator[str]:
    line = f"{indent}- {_flow(item)}"
    if isinstance(item, dict) and (len(line) > _WIDTH or _holds_records(item)):
        first, *rest = _block(item, f"{indent}  ")
        yield f"{indent}- {first.lstrip()}"
        yield from rest
    else:
        yield line


def _holds_records(value: Any) -> bool:
    """Whether a list of mappings is in it, which reads better with one item a line."""
    if isinstance(value, dict):
        return any(_holds_records(item) for item in value.values())
    return isinstance(value, list) and any(isinstance(item, dict) or _holds_records(item) for item in value)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return _text(value) if isinstance(value, str) else scalar_text(value)


def scalar_text(value: Any) -> str:
    """A null, boolean or number as YAML writes it."""
    if isinstance(value, float):
        mantissa, e, exponent = repr(value).partition("e")
        return f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent}" if e else mantissa
    return json.dumps(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _TRAPS.fullmatch(text):
        return text
    return quoted(text)
