"""The clouds' own models of their documents: reads what anybody wrote by them, and checks what is about to be sent.

Reading is lenient about spelling and strict about meaning. People and tools write one document in many ways: names in
snake_case or camelCase, numbers as text and text as numbers, a single block where a list is due. All of them are read
as the one canonical document, in which names are the vendor's and every scalar has the type that the vendor gives it.
What has another meaning, or none, is a problem, and all problems are told at once.

A text that holds a symbolic value, ``${...}`` or ``{{...}}``, stands for something that is only known later. It is
accepted wherever a scalar is due, as it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from tuneport.errors import PayloadError, Problem
from tuneport.model.word import did_you_mean, pointer

MOST_PROBLEMS = 100
"""Problems in one report."""
MOST_LEVELS = 100
"""Objects and lists within each other."""
MOST_VALUES = 500_000
MOST_TEXT = 8 * 2**20
"""Characters of all keys and texts together."""
LONGEST_MATCH = 10_000
"""Longest text that is held against a pattern."""

Place: TypeAlias = tuple[str | int, ...]


class Shape:
    """One kind of native document, by its vendor's own model.

    Args:
        schema: a schema made by `tools/native_schemas.py`.
        root: which of its definitions a document is to follow.
        unknown: "refuse" keys and names of enums that the model does not know, or "keep" them as they are: a service
            may be newer than the model that its replies are read by.
    """

    def __init__(self, schema: Mapping[str, Any], root: str, *, unknown: Literal["refuse", "keep"] = "refuse") -> None:
        self._name = root
        self._root = _Definitions(schema["$defs"]).named(root)
        self._keeps = unknown == "keep"

    def read(self, document: object) -> dict[str, Any]:
        """The document as its vendor would write it; a copy.

        Raises:
            PayloadError: with every problem found, at most 100.
        """
        walk = _Walk(lenient=True, symbolic=True, keeps=self._keeps)
        canonical: dict[str, Any] = walk.through(self._root, document)
        if walk.problems:
            raise PayloadError(f"{self._name}: {_count(walk.problems)}", problems=walk.problems)
        return canonical

    def problems(self, document: object, *, symbolic: bool = False) -> list[Problem]:
        """What the vendor's model has against the document as it stands, at most 100 problems.

        Args:
            document: what is about to be sent.
            symbolic: whether symbolic values are accepted.
        """
        walk = _Walk(lenient=False, symbolic=symbolic, keeps=self._keeps)
        walk.through(self._root, document)
        return walk.problems


@cache
def schema_of(package: str) -> Mapping[str, Any]:
    """The native schema that a backend's package ships."""
    loaded: Mapping[str, Any] = json.loads(resources.files(package).joinpath("schema.json").read_text("utf-8"))
    return loaded


def is_symbolic(value: object) -> bool:
    """Whether a value is a text that stands for something only known later."""
    return isinstance(value, str) and (_holds(value, "${", "}") or _holds(value, "{{", "}}"))


def _holds(text: str, opening: str, closing: str) -> bool:
    start = text.find(opening)
    return start >= 0 and text.find(closing, start) >= 0


def _count(problems: Sequence[Problem]) -> str:
    if len(problems) == MOST_PROBLEMS:
        return f"{MOST_PROBLEMS} problems or more"
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


class _FullError(Exception):
    """There are as many problems as anybody reads."""


class _Walk:
    """One walk through one document: how to walk, and what was found."""

    def __init__(self, *, lenient: bool, symbolic: bool, keeps: bool) -> None:
        self.lenient = lenient
        self.symbolic = symbolic
        self.keeps = keeps
        self.problems: list[Problem] = []

    def through(self, root: _Node, document: object) -> Any:
        """Reads the whole document, if it is one that can be read in bounded time."""
        if excess := _excess(document):
            self.problems.append(Problem("", excess))
            return None
        try:
            return root.read(document, (), self)
        except _FullError:
            return None

    def report(self, at: Place, message: str, hint: str | None = None, *, key: bool = False) -> None:
        """Takes note of a problem."""
        self.problems.append(Problem(pointer(at), message, hint, key=key))
        if len(self.problems) == MOST_PROBLEMS:
            raise _FullError

    def attempt(self, node: _Node, value: Any, at: Place, *, lenient: bool) -> tuple[bool, Any]:
        """Whether the value fits, and how it is read if so."""
        trial = _Walk(lenient=lenient, symbolic=self.symbolic, keeps=self.keeps)
        try:
            found = node.read(value, at, trial)
        except _FullError:
            return False, None
        return not trial.problems, found


def _excess(document: object) -> str | None:
    """What keeps a document from being read in bounded time and memory."""
    values, text = 1, 0
    level = [document]
    for _ in range(MOST_LEVELS):
        below: list[object] = []
        for value in level:
            if isinstance(value, str):
                text += len(value)
            elif isinstance(value, (dict, list, tuple)):
                values += len(value)
                if values > MOST_VALUES:
                    return f"the document has more than {MOST_VALUES} values"
                if isinstance(value, dict):
                    text += sum(len(key) for key in value if isinstance(key, str))
                below.extend(value.values() if isinstance(value, dict) else value)
        if text > MOST_TEXT:
            return f"the document has more than {MOST_TEXT // 2**20} MiB of text"
        if not below:
            return None
        level = below
    return f"the document is nested deeper than {MOST_LEVELS} levels"


class _Node(Protocol):
    """What is due at one place of a document."""

    @property
    def zero(self) -> object:
        """What is understood where nothing is said."""

    def read(self, value: Any, at: Place, walk: _Walk) -> Any:
        """The value as the vendor would write it; what is wrong with it is reported, and it is returned as it is."""


class _Definitions:
    """Definitions of a schema, made into nodes when they are first needed; they may contain themselves."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._made: dict[str, _Node] = {}

    def named(self, name: str) -> _Node:
        if name not in self._made:
            self._made[name] = self.node(self._schemas[name])
        return self._made[name]

    def node(self, schema: Mapping[str, Any]) -> _Node:
        if "$ref" in schema:
            return self.named(schema["$ref"].removeprefix("#/$defs/"))
        if schema.get("x-proto") in {"double", "float"}:
            return _Number(schema, endless=True)
        if "anyOf" in schema:
            return _Either([self.node(option) for option in schema["anyOf"]])
        match schema.get("type"):
            case "object" if "properties" in schema:
                return _Object(schema, self)
            case "object":
                return _Map(schema, self)
            case "array":
                return _List(schema, self)
            case "string":
                return _Text(schema)
            case "integer" | "number":
                return _Number(schema)
            case "boolean":
                return _Boolean()
        return _Anything()


class _Text:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._least: int = schema.get("minLength", 0)
        self._most: float = schema.get("maxLength", math.inf)
        self._pattern = re.compile(schema["pattern"]) if "pattern" in schema else None
        pattern = schema.get("x-pattern") or schema.get("pattern", "").removeprefix("^(").removesuffix(")$")
        self._due = (
            f"must be {schema['description']}" if "description" in schema else f"must match the pattern {pattern}"
        )
        self._names = dict.fromkeys(schema.get("enum", ()))
        numbers: Mapping[str, int] = schema.get("x-numbers", {})
        self._numbered = {number: name for name, number in reversed(list(numbers.items()))}
        kind = schema.get("x-proto", "")
        self._spelling = self._named if numbers else _SPELLINGS.get(kind, _as_text)
        self.zero = "0" if kind == "int64" else self._numbered.get(0, "")

    def read(self, value: Any, at: Place, walk: _Walk) -> Any:
        if walk.symbolic and is_symbolic(value):
            return value
        if walk.lenient:
            value = self._spelling(value)
        if self._numbered and _is_number(value):
            walk.report(at, f"the number {value} is not known here", self._hint_of_numbers())
        elif not isinstance(value, str):
            walk.report(at, f"must be text, not {_kind(value)}", _hint("", list(self._names)) if self._names else None)
        elif self._names:
            if value not in self._names and not walk.keeps:
                walk.report(at, f"'{_short(value)}' is not known here", _hint(value, list(self._names)))
        elif complaint := self._complaint(value):
            walk.report(at, complaint)
        return value

    def _hint_of_numbers(self) -> str:
        known = [f"{number} ({name})" for number, name in sorted(self._numbered.items())]
        return f"{'known are' if len(known) <= _FEW_KEYS else 'such as'} {', '.join(known[:_FEW_KEYS])}"

    def _complaint(self, value: str) -> str | None:
        if len(value) < self._least:
            return f"must have at least {_units(self._least, 'character')}"
        if len(value) > self._most:
            return f"must have at most {self._most} characters, not {len(value)}"
        if self._pattern is None:
            return None
        if len(value) > LONGEST_MATCH:
            return f"has {len(value)} characters, more than can be held against a pattern"
        return None if self._pattern.fullmatch(value) else self._due

    def _named(self, value: Any) -> Any:
        return self._numbered.get(value, value) if _is_number(value) else value


class _Number:
    zero = 0

    def __init__(self, schema: Mapping[str, Any], *, endless: bool = False) -> None:
        self._whole = schema.get("type") == "integer"
        self._least: float = schema.get("minimum", -math.inf)
        self._most: float = schema.get("maximum", math.inf)
        self._endless = {"NaN", "Infinity", "-Infinity"} if endless else set()

    def read(self, value: Any, at: Place, walk: _Walk) -> Any:
        if walk.lenient:
            value = self._spelt(value)
        if isinstance(value, str) and (value in self._endless or (walk.symbolic and is_symbolic(value))):
            return value
        if not _is_number(value) or (self._whole and value != int(value)):
            walk.report(at, f"must be {self._due}, not {_kind(value)}")
        elif not self._least <= value <= self._most:
            walk.report(at, f"must be {self._range}, not {value}")
        return value

    def _spelt(self, value: Any) -> Any:
        value = _as_number(value)
        if isinstance(value, float):
            if self._endless and not math.isfinite(value):
                return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            if self._whole and value.is_integer():
                return int(value)
        return value

    @property
    def _due(self) -> str:
        return "a whole number" if self._whole else "a number"

    @property
    def _range(self) -> str:
        if math.isinf(self._most):
            return f"at least {self._least}"
        return f"at most {self._most}" if math.isinf(self._least) else f"from {self._least} to {self._most}"


class _Boolean:
    zero = False

    def read(self, value: Any, at: Place, walk: _Walk) -> Any:
        if walk.symbolic and is_symbolic(value):
            return value
        if walk.lenient and isinstance(value, str):
            value = {"true": True, "false": False}.get(value.lower(), value)
        if not isinstance(value, bool):
            walk.report(at, f"must be true or false, not {_kind(value)}")
        return value


class _Anything:
    zero = None

    def read(self, value: Any, at: Place, walk: _Walk) -> Any:
        if isinstance(value, dict):
            return {_key(key, at, walk): self.read(item, (*at, key), walk) for key, item in value.items()}
        if isinstance(value, list) or (walk.lenient and isinstance(value, tuple)):
            return [self.read(item, (*at, index), walk) for index, item in enumerate(value)]
        if not (value is None or isinstance(value, (str, bool)) or _is_number(value)):
            walk.report(at, f"must be JSON data, not {_kind(value)}")
        return value


class _Either:
    """One of several forms; a value that fits none is told what the first has against it."""

    def __init__(self, forms: Sequence[_Node]) -> None:
        self._forms = forms
        self.zero = forms[0].zero

    def read(self, value: Any, at: Place, walk: _Walk) -> Any:
        for lenient in (False, True) if walk.lenient else (False,):
            for form in self._forms:
                fits, found = walk.attempt(form, value, at, lenient=lenient)
                if fits:
                    return found
        return self._forms[0].read(value, at, walk)


class _List:
    def __init__(self, schema: Mapping[str, Any], definitions: _Definitions) -> None:
        self._schema = schema
        self._definitions = definitions
        self.zero: object = []

    @cached_property
    def _item(self) -> _Node:
        return self._definitions.node(self._schema["items"])

    def read(self, value: Any, at: Place, walk: _Walk) -> Any:
        if walk.lenient:
            value = [value] if isinstance(value, dict) and isinstance(self._item, (_Object, _Map)) else value
            value = list(value) if isinstance(value, tuple) else value
        if not isinstance(value, list):
            walk.report(at, f"must be a list, not {_kind(value)}")
            return value
        _limit(len(value), self._schema, "Items", "item", at, walk)
        item = self._item
        return [item.read(one, (*at, index), walk) for index, one in enumerate(value)]


class _Map:
    """An object whose keys are the user's own."""

    def __init__(self, schema: Mapping[str, Any], definitions: _Definitions) -> None:
        self._schema = schema
        self._definitions = definitions
        self.zero: object = {}

    @cached_property
    def _parts(self) -> tuple[_Node, _Node]:
        make = self._definitions.node
        return make(self._schema.get("propertyNames", {"type": "string"})), make(
            self._schema.get("additionalProperties", {})
        )

    def read(self, value: Any, at: Place, walk: _Walk) -> Any:
        if not isinstance(value, dict):
            walk.report(at, f"must be an object, not {_kind(value)}")
            return value
        if walk.lenient:
            value = {key: item for key, item in value.items() if item is not None}
        _limit(len(value), self._schema, "Properties", "entry", at, walk)
        names, values = self._parts
        return {names.read(key, (*at, key), walk): values.read(item, (*at, key), walk) for key, item in value.items()}


class _Field(NamedTuple):
    node: _Node
    drops_zero: bool


class _Object:
    """An object with the vendor's keys."""

    def __init__(self, schema: Mapping[str, Any], definitions: _Definitions) -> None:
        self._schema = schema
        self._definitions = definitions
        self._required: Sequence[str] = schema.get("required", ())
        self._groups: Sequence[Sequence[str]] = schema.get("x-oneofs", ())
        self.zero: object = None

    @cached_property
    def _fields(self) -> dict[str, _Field]:
        return {
            name: _Field(self._definitions.node(schema), schema.get("x-zero") == "drop")
            for name, schema in self._schema["properties"].items()
        }

    @cached_property
    def _kept_zeros(self) -> dict[str, object]:
        properties = self._schema["properties"]
        return {name: self._fields[name].node.zero for name in properties if properties[name].get("x-zero") == "keep"}

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return {_plain(name): name for name in self._schema["properties"]}

    def read(self, value: Any, at: Place, walk: _Walk) -> Any:
        if walk.lenient and isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, dict):
            walk.report(at, f"must be an object, not {_kind(value)}", self._hint_of_keys())
            return value
        given, found = self._given(value, at, walk)
        for name in self._required:
            if name not in given:
                walk.report(at, f"'{name}' is required")
        for group in self._groups:
            both = [given[name] for name in group if name in given]
            if len(both) > 1:
                walk.report((*at, both[1]), f"only one of {_listed(group)} may be given, and '{both[0]}' is", key=True)
        if walk.lenient:
            for name, zero in self._kept_zeros.items():
                found.setdefault(name, zero)
        return found

    def _hint_of_keys(self) -> str | None:
        """What the object is made of, if it is not too much to tell."""
        keys = list(self._schema["properties"])
        if len(keys) == 1:
            return f'write {{"{keys[0]}": ...}}'
        return f"its keys are {_listed(keys)}" if 0 < len(keys) <= _FEW_KEYS else None

    def _given(self, value: dict[Any, Any], at: Place, walk: _Walk) -> tuple[dict[str, str], dict[str, Any]]:
        """Names of the properties that were given, with their spelling, and what was found there."""
        fields, given, found = self._fields, dict[str, str](), dict[str, Any]()
        for key, item in value.items():
            if item is None and walk.lenient:
                continue
            name = key if key in fields else self._spelt(key) if walk.lenient else None
            if name is None:
                found |= self._unknown(key, item, at, walk)
            elif name in given:
                walk.report(
                    (*at, key), f"says the same as '{given[name]}' beside it", "leave one of them out", key=True
                )
            else:
                given[name] = key
                field = fields[name]
                read = field.node.read(item, (*at, key), walk)
                if not (field.drops_zero and walk.lenient and read == field.node.zero):
                    found[name] = read
        return given, found

    def _spelt(self, key: Any) -> str | None:
        return self._spellings.get(_plain(key)) if isinstance(key, str) and len(key) <= _LONGEST_NAME else None

    def _unknown(self, key: Any, item: Any, at: Place, walk: _Walk) -> dict[str, Any]:
        if walk.keeps and isinstance(key, str):
            return {key: _Anything().read(item, (*at, key), walk)}
        name = _short(str(key)) if isinstance(key, str) else _kind(key)
        walk.report((*at, name), f"unknown key '{name}'", _hint(name, list(self._fields)), key=True)
        return {}


_LONGEST_NAME = 200
_FEW_KEYS = 8
"""Keys, or names of an enum, that a hint tells all of."""
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_DURATION = re.compile(r"(-?)0*([0-9]+)(?:\.([0-9]{1,9}))?s?")
_MOST_BITS = 1024
"""Whole numbers of more bits than this lie beyond the range of every number on the wire."""


def _plain(name: str) -> str:
    """A name without what the spellings of it differ by."""
    return name.replace("_", "").replace("-", "").lower()


def _is_number(value: object) -> bool:
    """Whether a value is a number that JSON can carry."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _MOST_BITS


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if _is_number(value) else value


def _as_number(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        return value
    text = value.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text):
        return value
    number = float(text)
    return number if math.isfinite(number) else value


def _as_int64(value: Any) -> Any:
    number = _as_number(value)
    return str(int(number)) if _is_number(number) and number == int(number) else value


def _as_duration(value: Any) -> Any:
    """Seconds as protobuf's JSON has them: "3600s", "1.500s"."""
    if isinstance(value, dict) and value.keys() <= {"seconds", "nanos"}:
        seconds, nanos = (_as_number(value.get(part, 0)) for part in ("seconds", "nanos"))
        value = f"{seconds}.{nanos:09}" if isinstance(nanos, int) and 0 <= nanos < 10**9 else value
    elif isinstance(value, float) and math.isfinite(value):
        value = f"{value:.9f}"
    else:
        value = _as_text(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST_NAME else None
    if match is None:
        return value
    sign, seconds, fraction = match[1], match[2], (match[3] or "").rstrip("0")
    digits = -(-len(fraction) // 3) * 3
    return f"{sign}{seconds}{f'.{fraction:0<{digits}}' if fraction else ''}s"


_SPELLINGS: Mapping[str, Callable[[Any], Any]] = {"int64": _as_int64, "duration": _as_duration}


def _limit(count: int, schema: Mapping[str, Any], suffix: str, unit: str, at: Place, walk: _Walk) -> None:
    least, most = schema.get(f"min{suffix}", 0), schema.get(f"max{suffix}", count)
    if count < least:
        walk.report(at, f"must have at least {_units(least, unit)}, not {count}")
    if count > most:
        walk.report(at, f"must have at most {_units(most, unit)}, not {count}")


def _units(count: int, unit: str) -> str:
    return f"{count} {unit if count == 1 else 'entries' if unit == 'entry' else f'{unit}s'}"


def _key(key: Any, at: Place, walk: _Walk) -> Any:
    if not isinstance(key, str):
        walk.report(at, f"keys must be text, not {_kind(key)}")
    return key


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _hint(word: str, known: Sequence[str]) -> str:
    hint = did_you_mean(_short(word), known)
    return hint if len(hint) <= 400 else f"{len(known)} are known, {_listed(known[:3])} among them"


def _kind(value: object) -> str:
    """What sort of value this is, without the value: it may be a secret or endless."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if _is_number(value) or isinstance(value, float):
        return f"the number {value}"
    kinds = {str: "text", dict: "an object", list: "a list", int: "a number out of range"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), type(value).__name__)
