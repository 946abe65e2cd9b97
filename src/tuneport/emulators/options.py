"""Options of the doors: what is not known of a service and can be chosen, by names such as vertex.stopping."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tuneport.emulators.doors import CLOUDS
from tuneport.errors import Problem, SettingsError
from tuneport.model.word import did_you_mean

_BOOLEANS = {"true": True, "false": False}


def read(texts: Sequence[str]) -> dict[str, Any]:
    """The `Options` of each cloud of which some ``CLOUD.NAME=VALUE`` speaks; see `chosen`."""
    return chosen({name: value for name, _, value in (text.partition("=") for text in texts)})


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """The `Options` of each cloud of which some ``CLOUD.NAME`` speaks.

    Args:
        values: by such names; as text, or as what the option takes.

    Raises:
        SettingsError: some of them are none; says all that is wrong, and what there is.
    """
    found: dict[str, dict[str, Any]] = {}
    problems = []
    for name, value in values.items():
        cloud, _, option = name.partition(".")
        try:
            found.setdefault(cloud, {})[option] = _value(name, _known(name), value)
        except ValueError as error:
            problems.append(Problem("", str(error)))
    if problems:
        hint = f"CLOUD.NAME=VALUE, of {'; '.join(names())}"
        raise SettingsError("emulators cannot be given these options", problems=problems, hint=hint)
    return {cloud: _type(cloud)(**given) for cloud, given in found.items()}


def names() -> list[str]:
    """All options, each with what it takes."""
    return [f"{name}={_taken(field, kind)}" for name, (field, kind) in _options().items()]


def _type(cloud: str) -> Any:
    return importlib.import_module(f"tuneport.emulators.{cloud}").Options


def _options() -> dict[str, tuple[Field[Any], Any]]:
    return {
        f"{cloud}.{one.name}": (one, get_type_hints(_type(cloud))[one.name])
        for cloud in CLOUDS
        for one in fields(_type(cloud))
    }


def _known(name: str) -> tuple[Field[Any], Any]:
    options = _options()
    if name not in options:
        raise ValueError(f"there is no option '{name}'; {did_you_mean(name, sorted(options))}")
    return options[name]


def _value(name: str, option: tuple[Field[Any], Any], value: Any) -> Any:
    field, kind = option
    if not isinstance(value, str):
        return value
    try:
        return _reader(field, kind)(value)
    except (KeyError, OSError, ValueError) as error:
        why = f" ({error})" if isinstance(error, OSError) else ""
        raise ValueError(f"{name} must be {_taken(field, kind)}, not {value!r}{why}") from None


def _reader(field: Field[Any], kind: Any) -> Callable[[str], Any]:
    if reader := field.metadata.get("read"):
        return reader  # type: ignore[no-any-return]
    if kind is bool:
        return _BOOLEANS.__getitem__
    if get_origin(kind) is Literal:
        return {one: one for one in get_args(kind)}.__getitem__
    return _whole


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _taken(field: Field[Any], kind: Any) -> str:
    """What an option takes, in a word."""
    if said := field.metadata.get("takes"):
        return str(said)
    if kind is bool:
        return "|".join(_BOOLEANS)
    return "|".join(get_args(kind)) if get_origin(kind) is Literal else "N"
