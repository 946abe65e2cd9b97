"""TOML, as the standard library reads it; places are accurate to the line of a key."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from tuneport.errors import JobError, Problem
from tuneport.files.document import Document, Place, Span, bounded, number, quoted, syntax_error, too_deep
from tuneport.model.word import pointer as pointer_of

_WHERE = re.compile(r" \(at line (\d+), column (\d+)\)| \(at end of document\)")
_HEADER = re.compile(r"\s*\[(\[)?([^\[\]]+)\]")
_KEY = re.compile(r"(\s*)([^=#\[\]{}]+?)\s*=")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BETWEEN_KEYS = re.compile(r"""[,=\[\]{}"'#]""")
_MAX_DOTS = 300


def read(text: str, name: str) -> Document:
    """The table in `text`.

    Raises:
        JobError: with the place of whatever is wrong.
    """
    _refuse_endless_keys(text, name)
    try:
        data = tomllib.loads(text, parse_float=number)
    except tomllib.TOMLDecodeError as error:
        match = _WHERE.search(str(error))
        place = Place(int(match[1]), int(match[2])) if match and match[1] else None
        raise syntax_error(name, f"is not TOML: {_WHERE.sub('', str(error))}", place) from None
    except ValueError:  # the only other one: more digits than Python is willing to convert
        raise syntax_error(name, "is not TOML: a whole number has too many digits") from None
    except RecursionError:
        raise too_deep(name) from None
    data = _plain(bounded(data, name))
    return Document(name, data, lambda: _places(text, data))


def _refuse_endless_keys(text: str, name: str) -> None:
    """The standard library needs time in the cube of the number of a key's parts."""
    for at, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > _MAX_DOTS and max(part.count(".") for part in _BETWEEN_KEYS.split(line)) > _MAX_DOTS:
            raise syntax_error(name, f"a key has more than {_MAX_DOTS} parts", Place(at, 1))


def _plain(value: Any) -> Any:
    """The value in JSON's types; dates become text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, (dt.date, dt.time)) else value


def _places(text: str, data: Any) -> dict[str, Span]:
    """Lines of headers and keys; a line inside a text that only looks like one is sorted out by the data."""
    places = {"": Span(Place(1, 1), Place(1, 1))}
    table: tuple[int | str, ...] = ()
    counts: dict[str, int] = {}
    for line, content in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(content):
            table = _resolve(_parts(header[2]), counts)
            if header[1]:
                counts[pointer_of(table)] = counts.get(pointer_of(table), -1) + 1
                table = (*table, counts[pointer_of(table)])
            here, place = table, Place(line, 1)
        elif key := _KEY.match(content):
            here, place = (*table, *_parts(key[2])), Place(line, len(key[1]) + 1)
        else:
            continue
        if _exists(here, data):
            places.setdefault(pointer_of(here), Span(place, place))
    return places


def _parts(dotted: str) -> tuple[str, ...]:
    """The parts of a dotted key, quoted or not."""
    try:
        level: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    parts = []
    while isinstance(level, dict):
        ((part, level),) = level.items()
        parts.append(part)
    return tuple(parts)


def _resolve(parts: tuple[str, ...], counts: Mapping[str, int]) -> tuple[int | str, ...]:
    """A header's path; where it goes through an array of tables, the latest of them is meant."""
    path: tuple[int | str, ...] = ()
    for at, part in enumerate(parts):
        path = (*path, part)
        if at < len(parts) - 1 and pointer_of(path) in counts:
            path = (*path, counts[pointer_of(path)])
    return path


def _exists(path: tuple[int | str, ...], data: Any) -> bool:
    try:
        for part in path:
            data = data[part]
    except (KeyError, IndexError, TypeError):
        return False
    return bool(path)


def write(data: Mapping[str, Any]) -> str:
    """TOML with one table per part of the job and one line per record.

    Raises:
        JobError: there is a null in it, for which TOML has no word.
    """
    return "\n".join(_lines(data)) + "\n"


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        if not isinstance(value, dict):
            yield _pair(key, value, (key,))
    for key, value in data.items():
        if isinstance(value, dict):
            yield ""
            yield f"[{_key(key)}]"
            for name, item in value.items():
                yield _pair(name, item, (key, name))


def _pair(key: str, value: Any, path: tuple[int | str, ...]) -> str:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = (f"    {_value(item, (*path, at))},\n" for at, item in enumerate(value))
        return f"{_key(key)} = [\n{''.join(items)}]"
    return f"{_key(key)} = {_value(value, path)}"


def _value(value: Any, path: tuple[int | str, ...]) -> str:
    match value:
        case None:
            message = "TOML has no null; write the job as YAML or JSON"
            raise JobError.of("TOML", [Problem(pointer_of(path), message)])
        case dict():
            return f"{{{', '.join(f'{_key(key)} = {_value(item, (*path, key))}' for key, item in value.items())}}}"
        case list():
            return f"[{', '.join(_value(item, (*path, at)) for at, item in enumerate(value))}]"
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case _:
            return repr(value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else quoted(key)
