"""What a cloud's document says beyond our words, found by subtraction, kept with the job, and put back on that cloud.

A box is a tree in the shape of the document, fit for reading and writing by hand. It only ever adds: where the job
itself says something, the job wins. To give a document back exactly, two more things are needed; both are guarded by
what stood there when the document was read, so that a job that was edited since is never overruled:

- ``{"$was": a, "$is": b}``: where we write `a`, the document said `b`. Without ``$is`` it said nothing; without
  ``$was`` we write nothing.
- ``[name]`` or ``[0]``: an item of a list, by its name or else its position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from tuneport.model.word import pointer

Json: TypeAlias = Any
Path: TypeAlias = tuple[int | str, ...]

FORM, SETTINGS, SPELLING, RESPONSE = "$form", "$settings", "$spelling", "$response"
"""Members of a job's box that are no part of the document: its kind, what it said of settings, its spelling, and what
the service answered."""

_WAS, _IS = "$was", "$is"
_NAMES = ("Name", "name", "parameterId", "metricId", "ChannelName", "channelName", "DefinitionName", "Key", "key")
"""By which of its members an item of a list is known."""
_MISSING: Any = object()


def difference(before: Json, after: Json) -> dict[str, Json]:
    """The box that makes `after` of `before`; both are JSON objects."""
    return {
        _escaped(key): _change(before.get(key, _MISSING), after.get(key, _MISSING), _escape(after.get(key)))
        for key in {**before, **after}
        if not _same(before.get(key, _MISSING), after.get(key, _MISSING))
    }


def _change(before: Json, after: Json, added: Json) -> Json:
    """What leads from one value to another; `added` is what says so where there was none."""
    if before is _MISSING:
        return added
    if after is _MISSING:
        return {_WAS: before}
    if isinstance(before, dict) and isinstance(after, dict):
        return difference(before, after)
    if isinstance(before, list) and isinstance(after, list) and _in_order(_keyed(before), _keyed(after)):
        ours, theirs = _keyed(before), _keyed(after)
        return {
            key: _change(ours.get(key, _MISSING), theirs.get(key, _MISSING), {_IS: theirs.get(key)})
            for key in {**ours, **theirs}
            if not _same(ours.get(key, _MISSING), theirs.get(key, _MISSING))
        }
    return {_WAS: before, _IS: after}


def _in_order(ours: Mapping[str, Json], theirs: Mapping[str, Json]) -> bool:
    """Whether items only went and new ones only came at the end."""
    kept = [key for key in theirs if key in ours]
    came = [key for key in theirs if key not in ours]
    return list(theirs) == kept + came and kept == [key for key in ours if key in theirs]


def _keyed(items: list[Json]) -> dict[str, Json]:
    """The items by name or, unless all have names of their own, by position."""
    if items and all(isinstance(item, dict) for item in items):
        for name in _NAMES:
            keys = [item.get(name) for item in items]
            if all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys):
                return {f"[{key}]": item for key, item in zip(keys, items, strict=True)}
    return _positioned(items)


def _positioned(items: list[Json]) -> dict[str, Json]:
    return {f"[{index}]": item for index, item in enumerate(items)}


def _same(a: Json, b: Json) -> bool:
    """Equality that tells true from 1 and 1 from 1.0, inside as well."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and bool(a == b)


def apply(box: Mapping[str, Json], document: Json) -> tuple[dict[str, Json], list[str]]:
    """Lay a box over a document.

    Returns:
        The new document, and the pointers of all in the box that does not fit any more because the job says otherwise.
    """
    stale: list[str] = []
    return _members(box, document, (), stale), stale


def _members(box: Mapping[str, Json], document: dict[str, Json], path: Path, stale: list[str]) -> dict[str, Json]:
    merged = dict(document)
    for key, change in box.items():
        name = _unescaped(key)
        value = _applied(change, document.get(name, _MISSING), (*path, name), stale)
        if value is _MISSING:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged


def _applied(change: Json, here: Json, path: Path, stale: list[str]) -> Json:
    if isinstance(change, dict) and (_WAS in change or _IS in change):
        if _same(change.get(_WAS, _MISSING), here):
            return change.get(_IS, _MISSING)
    elif isinstance(change, dict) and isinstance(here, list):
        return _items(change, _keyed(here), path, stale)
    elif isinstance(change, dict) and (here is _MISSING or isinstance(here, dict)):
        members = _members(change, {} if here is _MISSING else here, path, stale)
        return members if members or not change or here is not _MISSING else _MISSING
    elif isinstance(change, list) and isinstance(here, list):  # as a person writes it: item by item
        return _items(_positioned(change), _positioned(here), path, stale)
    elif here is _MISSING:
        return _unescape(change)
    elif _same(change, here):
        return here
    stale.append(pointer(path))
    return here


def _items(box: Mapping[str, Json], items: dict[str, Json], path: Path, stale: list[str]) -> list[Json]:
    """Changes of items that are gone are stale; an item that only lacks would be no whole one."""
    merged = dict(items)
    for key, change in box.items():
        partial = isinstance(change, dict) and _IS not in change and key not in items
        value = _MISSING if partial else _applied(change, items.get(key, _MISSING), (*path, key), stale)
        if partial:
            stale.append(pointer((*path, key)))
        if value is _MISSING:
            merged.pop(key, None)
        else:
            merged[key] = value
    return list(merged.values())


def boxed(box: Mapping[str, Json]) -> list[str]:
    """Pointers of all single things that a box holds; items of lists stand by their names."""
    return [pointer(path) for path, _ in contents(box)]


def contents(box: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """All single things that a box holds, each with its place in the document."""
    if isinstance(box, dict) and (_WAS in box or _IS in box):
        yield from ((path + inner, value) for inner, value in leaves(box.get(_IS)))
    elif isinstance(box, dict) and box:
        for key, inner in box.items():
            yield from contents(inner, (*path, _unescaped(key)))
    elif isinstance(box, list) and box:
        yield from ((path + inner, value) for inner, value in leaves(box))
    else:
        yield path, box


def leaves(document: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """All single values of a document with their places; an empty object or list is one as well."""
    if isinstance(document, dict) and document:
        for key, value in document.items():
            yield from leaves(value, (*path, key))
    elif isinstance(document, list) and document:
        for index, value in enumerate(document):
            yield from leaves(value, (*path, index))
    else:
        yield path, document


def _escape(value: Json) -> Json:
    """A value as it stands in a box, where some keys have a meaning of their own."""
    return {_escaped(key): _escape(item) for key, item in value.items()} if isinstance(value, dict) else value


def _unescape(value: Json) -> Json:
    return {_unescaped(key): _unescape(item) for key, item in value.items()} if isinstance(value, dict) else value


def _escaped(key: str) -> str:
    return f"${key}" if key.startswith("$") else key


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith("$$") else key
