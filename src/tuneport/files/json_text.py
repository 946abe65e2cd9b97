"""JSON, exactly as the standard library reads it, with the places of its parts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tuneport.errors import JobError, Problem
from tuneport.files.document import Document, Place, Span, bounded, duplicate_key, number, syntax_error, too_deep
from tuneport.model.word import pointer as pointer_of

_TOKEN = re.compile(r'\n|"(?:[^"\\]|\\.)*+"|[][{},:]|[^][{},:"\s]+')


def read(text: str, name: str) -> Document:
    """The value in `text`.

    Raises:
        JobError: with the place of whatever is wrong.
    """
    twice = False

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        made = dict(pairs)
        twice = twice or len(made) < len(pairs)
        return made

    try:
        data = json.loads(text, object_pairs_hook=mapping, parse_float=number, parse_int=number)
    except json.JSONDecodeError as error:
        raise syntax_error(name, f"is not JSON: {error.msg}", Place(error.lineno, error.colno)) from None
    except RecursionError:
        raise too_deep(name) from None
    if twice:
        raise JobError.of(name, _walk(text, name)[1])
    return Document(name, bounded(data, name), lambda: _walk(text, name)[0])


def write(data: Mapping[str, Any]) -> str:
    """Indented JSON."""
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _walk(text: str, name: str) -> tuple[dict[str, Span], list[Problem]]:
    """Where everything stands in a text known to be JSON, and its keys given twice."""
    places: dict[str, Span] = {}
    problems: list[Problem] = []
    path: list[Any] = []
    in_object: list[bool] = []
    key: Place | None = None
    key_comes = False
    line, line_start = 1, 0
    for match in _TOKEN.finditer(text):
        piece, place = match[0], Place(line, match.start() - line_start + 1)
        if piece == "\n":
            line, line_start = line + 1, match.end()
        elif piece == ",":
            key_comes = in_object[-1]
            path[-1] = None if key_comes else path[-1] + 1
        elif piece in {"]", "}"}:
            key_comes = False
            path.pop()
            in_object.pop()
        elif piece == ":":
            key_comes = False
        elif key_comes:
            key, path[-1] = place, json.loads(piece)
            if (where := pointer_of(path)) in places:
                problems.append(duplicate_key(name, where, path[-1], places[where].key, place))
        else:
            places[pointer_of(path)] = Span(key or place, place)
            key = None
            if piece in {"[", "{"}:
                key_comes = piece == "{"
                in_object.append(key_comes)
                path.append(None if key_comes else 0)
    return places, problems
