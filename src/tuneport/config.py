"""Layered settings: defaults < tuneport.toml or [tool.tuneport] < TUNEPORT_* variables < what a call says itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from tuneport.backends import registry
from tuneport.backends.protocols import Backend
from tuneport.catalog.prices import Prices
from tuneport.catalog.relocation import Maps
from tuneport.errors import JobError, Problem, SettingsError
from tuneport.model.word import Word, did_you_mean, pointer

if TYPE_CHECKING:
    from tuneport.files import Document

FILE = "tuneport.toml"
PROJECT_FILE = "pyproject.toml"
PREFIX = "TUNEPORT_"
DEFAULT_BACKEND = "local"
MAPS, PRICES = "map", "prices"
_COMMON: Mapping[str, type[Word]] = {MAPS: Maps, PRICES: Prices}
"""The sections that belong to no backend."""
SHORTHANDS: Mapping[str, tuple[str, ...]] = {"workspace": ("local", "workspace")}
"""Settings that may be given without their section."""
NOT_SETTINGS = frozenset(
    f"{PREFIX}{name}" for name in ("TRIAL", "REPORT", "SPACE", "OBJECTIVE", "INPUTS", "TOKEN", "DEBUG", "SYNTHETIC")
)
"""Variables by which a run talks to its trials; a trial may well use tuneport itself."""

S = TypeVar("S", bound=Word)
_Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it applies.

    Attributes:
        name: such as local.gpus.
        value: as it applies.
        origin: "default", "argument", a variable's name, or "file:line:column".
    """

    name: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class _Given:
    """What a layer says of one setting. `folder` is what a relative path means; `text`: it came as mere text."""

    value: Any
    origin: str
    folder: Path = Path()
    text: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """All settings that apply.

    Attributes:
        on: the backend to use where a call names none.
        sections: settings of the backends that are in use or mentioned, by the backend's name.
        maps: where things of one cloud are on another.
        prices: what machines cost.
    """

    on: str
    sections: Mapping[str, Word]
    maps: Maps
    prices: Prices
    _given: Mapping[_Path, _Given]

    def settings(self, backend: Backend[S]) -> S:
        """The settings of one backend."""
        section = self.sections.get(backend.name)
        return section if isinstance(section, backend.settings_type) else backend.settings_type()

    def explain(self) -> list[Setting]:
        """Every setting with its value and where it comes from."""
        fields = ((name, field, value) for name, section in self.sections.items() for field, value in section)
        return [
            Setting("on", self.on, _origin(self._given, ("on",))),
            *(Setting(f"{name}.{field}", value, _origin(self._given, (name, field))) for name, field, value in fields),
            *(
                Setting(f"{section}.{field}", value, _origin(self._given, (section, field)))
                for section, word in ((MAPS, self.maps), (PRICES, self.prices))
                for field, value in word.brief().items()
            ),
        ]


def load(
    overrides: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read all layers.

    Args:
        overrides: explicit settings, such as {"on": "local", "local": {"gpus": 2}}; None inside: not given.
        folder: where the search for a file begins, upwards; None: the current directory.
        environ: variables; None: those of this process.

    Raises:
        SettingsError: with every unknown or impossible setting and the file or variable that it came from.
        BackendError: a backend that is set up cannot be loaded.
    """
    given: dict[_Path, _Given] = {}
    layers = (
        _from_file(folder or Path.cwd()),
        _from_environment(os.environ if environ is None else environ),
        _from_call(overrides or {}),
    )
    for path, value in chain.from_iterable(layers):
        _lay(given, path, value)
    return _checked(given)


def _from_file(folder: Path) -> Iterator[tuple[_Path, _Given]]:
    """What the nearest file says; beside each other, tuneport.toml wins over pyproject.toml."""
    for parent in (folder, *folder.parents):
        if (parent / FILE).is_file():
            yield from _from_document(_read(parent / FILE), (), parent)
            return
        project = parent / PROJECT_FILE
        if project.is_file() and b"[tool.tuneport" in project.read_bytes():
            yield from _from_document(_read(project), ("tool", "tuneport"), parent)
            return


def _read(path: Path) -> Document:
    from tuneport.files import read_document  # noqa: PLC0415 - loads a YAML reader, and often there is no file

    try:
        return read_document(path)
    except JobError as error:
        raise SettingsError(error.message, problems=error.problems) from None


def _from_document(document: Document, root: _Path, folder: Path) -> Iterator[tuple[_Path, _Given]]:
    data = document.data
    for part in root:
        data = data.get(part, {})
    for path, value in _leaves(data):
        yield path, _Given(value, document.place(pointer((*root, *path)), key=True), folder)


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[_Path, _Given]]:
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and environ[name]:
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
            yield path, _Given(environ[name], name, text=True)


def _from_call(overrides: Mapping[str, Any]) -> Iterator[tuple[_Path, _Given]]:
    for path, value in _leaves(overrides):
        if value is not None:
            yield path, _Given(value, "argument")


def _leaves(data: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    if not isinstance(data, Mapping):
        yield path, data
        return
    for key, value in data.items():
        yield from _leaves(value, (*path, str(key)))


def _lay(given: dict[_Path, _Given], path: _Path, value: _Given) -> None:
    """Put a setting over what lower layers said of it, of its parts and of what it is a part of."""
    path = (*SHORTHANDS.get(path[0], path[:1]), *path[1:])
    for other in [key for key in given if key[: len(path)] == path[: len(key)]]:
        del given[other]
    given[path] = value


def _checked(given: Mapping[_Path, _Given]) -> Config:
    on = given[("on",)].value if ("on",) in given else DEFAULT_BACKEND
    known = registry.names()
    problems: list[Problem] = []
    sections: dict[str, Word] = {}
    for name in dict.fromkeys((str(on), *(path[0] for path in given))):
        if name in known or name in _COMMON:
            try:
                sections[name] = _section(name, given)
            except JobError as error:
                problems += [_located(problem, name, given) for problem in error.problems]
        elif name not in {"on", on}:
            hint = did_you_mean(name, ["on", *_COMMON, *SHORTHANDS, *known])
            problems.append(Problem(f"/{name}", f"unknown setting '{name}'; {hint}", place=_origin(given, (name,))))
    if not isinstance(on, str):
        problems.append(Problem("/on", f"must be a backend's name, not {on!r}", place=_origin(given, ("on",))))
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise SettingsError(f"settings: {count}", problems=problems)
    maps, prices = (cast("Any", sections.pop(name, kind())) for name, kind in _COMMON.items())
    return Config(on, sections, maps, prices, given)


def _section(name: str, given: Mapping[_Path, _Given]) -> Word:
    """The section as its backend understands it; the text of a variable is read as a number where text is wrong."""
    settings_type: type[Word] = _COMMON.get(name) or registry.load(name).settings_type
    own = {path[1:]: value for path, value in given.items() if path[0] == name}
    try:
        section = settings_type.model_validate(_nested(own))
    except JobError as error:
        from tuneport.files.yaml_text import scalar  # noqa: PLC0415 - see _read

        wrong = {problem.pointer for problem in error.problems}
        own = {
            path: replace(value, value=scalar(value.value)) if value.text and pointer(path) in wrong else value
            for path, value in own.items()
        }
        section = settings_type.model_validate(_nested(own))
    paths = {
        field: own[(field,)].folder / value.expanduser()
        for field, value in section
        if isinstance(value, Path) and (field,) in own
    }
    return section.changed(**paths) if paths else section


def _nested(own: Mapping[_Path, _Given]) -> Any:
    if () in own:
        return own[()].value
    data: dict[str, Any] = {}
    for path, value in own.items():
        here = data
        for part in path[:-1]:
            here = here.setdefault(part, {})
        here[path[-1]] = value.value
    return data


def _located(problem: Problem, section: str, given: Mapping[_Path, _Given]) -> Problem:
    where = f"/{section}{problem.pointer}"
    path = tuple(part.replace("~1", "/").replace("~0", "~") for part in where[1:].split("/"))
    return replace(problem, pointer=where, place=_origin(given, path))


def _origin(given: Mapping[_Path, _Given], path: _Path) -> str:
    """Where a setting, or what is nearest to it, was given."""
    near = [key for key in given if key[: len(path)] == path[: len(key)]]
    return given[max(near, key=len)].origin if near else "default"
