"""Documents with mistakes in them, of the kinds that people, tools and attackers make."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

Path: TypeAlias = tuple[int | str, ...]

_DEEP: Any = "end"
for _ in range(300):
    _DEEP = {"a": [_DEEP]}
_STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**30, -(10**400), math.nan, math.inf, -math.inf, 1e308),
    *("", " ", "x", "NaN", "1e999", "0x10", "-1", "999999999999999999999", "${SYMBOL}", "{{symbol}}", "\x00", "\ud800"),
    *("é" * 300, "a" * 200_000, "(" * 5_000, "projects//locations/", "s3://", "arn:aws:iam::::", "obs://", "gs://"),
    *([], {}, [[]], [None], {"": ""}, {"a": 1}, [{}] * 50, {"$was": 1}, {"$is": {}}, _DEEP),
)
"""What stands where something else is due."""


def mutated(document: Mapping[str, Any], seed: int) -> Any:
    """The document with one to three mistakes; the document itself is not changed, but parts are shared."""
    chance = random.Random(seed)
    made: Any = dict(document)
    for _ in range(chance.choice((1, 1, 2, 3))):
        paths = list(_paths(made))
        made = _changed(made, chance.choice(paths), chance.choice(_MISTAKES), chance)
    return made


def _paths(document: Any, path: Path = ()) -> Iterator[Path]:
    """Every place but those deep inside of an earlier mistake."""
    yield path
    if len(path) < 40 and isinstance(document, (dict, list)):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in items:
            yield from _paths(value, (*path, key))


_GONE: Any = object()


def _changed(document: Any, path: Path, mistake: Callable[[Any, random.Random], Any], chance: random.Random) -> Any:
    """A copy in which the value at a path has gone wrong; it may be gone altogether."""
    if not path:
        new = mistake(document, chance)
        return {} if new is _GONE else new
    head, *rest = path
    new = _changed(document[head], tuple(rest), mistake, chance) if rest else mistake(document[head], chance)
    if isinstance(document, list):
        return [
            one if index != head else new for index, one in enumerate(document) if index != head or new is not _GONE
        ]
    return {key: one if key != head else new for key, one in document.items() if key != head or new is not _GONE}


def _strange(_: Any, chance: random.Random) -> Any:
    return chance.choice(_STRANGE)


def _missing(_: Any, __: random.Random) -> Any:
    return _GONE


def _wrapped(value: Any, chance: random.Random) -> Any:
    return chance.choice(([value], {"value": value}, [value, value], (value,)))


def _unwrapped(value: Any, chance: random.Random) -> Any:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return chance.choice(inner) if inner else [value]


def _spelt_otherwise(value: Any, chance: random.Random) -> Any:
    """Numbers as text, text as numbers, other cases, signs and sizes."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float)):
        if not -1e300 < value < 1e300:
            return f"{value}"
        return chance.choice((str(value), -value, value * 10**6, value + 0.5, f" {value} ", int(abs(value)) % 97))
    if isinstance(value, str):
        return chance.choice(
            (value.upper(), value.lower(), value[::-1], value * 50, f"{value}x", len(value), value[1:])
        )
    return value


def _twice(value: Any, chance: random.Random) -> Any:
    """Items and entries once more: names that are taken, lists that are too long."""
    if isinstance(value, list):
        return [*value, *value] if chance.random() < 0.9 else value * 200
    if isinstance(value, dict) and value:
        key = chance.choice(list(value))
        return {**value, f"{key[:1].swapcase()}{key[1:]}" if isinstance(key, str) else "x": value[key]}
    return value


def _unknown(value: Any, chance: random.Random) -> Any:
    """A key that nobody knows, or a known one that is misspelt."""
    if not isinstance(value, dict) or not value:
        return value
    key = chance.choice(list(value))
    strange = chance.choice(("unknown", "", "~/", f"{key}s", "$was", "$form", 7, "a" * 5_000))
    return {**{k: v for k, v in value.items() if k != key}, strange: value[key]}


_MISTAKES: tuple[Callable[[Any, random.Random], Any], ...] = (
    *(_strange, _strange, _missing, _wrapped, _unwrapped, _spelt_otherwise, _spelt_otherwise, _twice, _unknown),
)
