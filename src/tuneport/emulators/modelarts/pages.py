"""Pages of lists, and other plain things among the parameters of requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tuneport.emulators.modelarts.refusals import INVALID, RefusalError

T = TypeVar("T")

MOST = 50
"""Most items of a list in one page, and as many as there are if nothing is asked for."""


def page(items: Sequence[T], asked: Mapping[str, Any], *, by_pages: bool = False) -> tuple[Sequence[T], dict[str, int]]:
    """A page of a list, and what its reply says of it.

    Args:
        items: the list.
        asked: has offset and limit.
        by_pages: the offset counts pages, not items.

    Raises:
        RefusalError: offset or limit are no such numbers.
    """
    offset, limit = number(asked, "offset", 0, least=0), number(asked, "limit", MOST, most=MOST)
    start = offset * limit if by_pages else offset
    found = items[start : start + limit]
    return found, {"count": len(found), "limit": limit, "offset": offset}


def number(asked: Mapping[str, Any], name: str, default: int, *, least: int = 1, most: int | None = None) -> int:
    """A whole number among the parameters of a request.

    Raises:
        RefusalError: it is none, or out of bounds.
    """
    said = default if asked.get(name) is None else asked[name]
    try:
        value = int(said)
    except (TypeError, ValueError):
        raise RefusalError(INVALID, f"{name} must be a whole number, not {said!r}") from None
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise RefusalError(INVALID, f"{name} must be {bounds}, not {value}")
    return value


def objects(asked: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects among the parameters of a request.

    Raises:
        RefusalError: it is none.
    """
    said = asked.get(name) or []
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise RefusalError(INVALID, f"{name} must be a list of objects")
    return said
