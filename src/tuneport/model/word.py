"""How every word of the model behaves: frozen, closed, and honest about all that is wrong with it at once."""

from __future__ import annotations

import difflib
import json
import math
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeAlias, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticUndefined

from tuneport.errors import JobError, Problem

_KIND = re.compile(r"Input tag ('[^']*') found using 'kind' does not match any of the expected tags: (.*)")

_MOST = 1000
"""Most problems in one report, and longest broken list that is looked into for more; nobody reads further."""

Location: TypeAlias = tuple[int | str, ...]


class Flaw(tuple[Location, str]):
    """A problem between several fields of one word: where, relative to the word, and what."""

    __slots__ = ()

    def __new__(cls, message: str, *location: int | str) -> Self:
        """Message first, then the way to the place."""
        return super().__new__(cls, (location, message))


class Word(BaseModel):
    """A frozen record that refuses unknown fields and reports every problem in one JobError.

    Raises:
        JobError: from the constructor, `model_validate` and `model_validate_json`; `problems` carry JSON pointers
            relative to the word that was being made.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="strings",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    positional: ClassVar[tuple[str, ...]] = ()
    """Fields that may be given by position, in order."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        if len(args) > len(self.positional):
            msg = f"{type(self).__name__} takes at most {len(self.positional)} positional arguments: {self.positional}"
            raise TypeError(msg)
        fields |= dict(zip(self.positional, args, strict=False))
        try:
            self.__pydantic_validator__.validate_python(fields, self_instance=self)
        except ValidationError as error:
            raise _job_error(type(self), error, fields) from None

    # Nested words are validated without a call of __init__, so that their problems keep their place in the whole.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Make the word from plain data.

        Raises:
            JobError: with every problem found.
        """
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise _job_error(cls, error, obj) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Make the word from JSON text.

        Raises:
            JobError: with every problem found.
        """
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            raise _job_error(cls, error, _parsed(json_data)) from None

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        """Problems between fields, given those right by themselves; broken items of lists are as they were written."""
        del fields
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _everything_at_once(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            word = handler(data)
        except ValidationError as error:
            if not isinstance(data, Mapping):
                raise
            details = [_with_hint(cls, one) for one in error.errors(include_url=False)[:_MOST]]
            flaws = [*_misfits(data), *cls._flaws(_salvage(cls, data))]
            details += [_detail(flaw, data) for flaw in flaws]
            raise ValidationError.from_exception_data(cls.__name__, details) from None
        if data is not word and (flaws := [*_misfits(data), *cls._flaws(word.__dict__)]):
            raise ValidationError.from_exception_data(cls.__name__, [_detail(flaw, data) for flaw in flaws])
        return word

    def brief(self) -> dict[str, Any]:
        """Plain JSON data without what is default anyway; `kind` is always said."""
        return _brief(self, self.model_dump(mode="json"))

    def changed(self, **fields: Any) -> Self:
        """A copy with some fields replaced, validated like any other.

        Raises:
            JobError: if the result is not valid.
        """
        return type(self).model_validate({name: getattr(self, name) for name in type(self).model_fields} | fields)


def _brief(word: Word, full: dict[str, Any]) -> dict[str, Any]:
    fields = list(type(word).model_fields.items())
    if "kind" in type(word).model_fields:  # one of several alternatives: first who it is, then what it must say
        fields.sort(key=lambda item: (item[0] != "name", item[0] != "kind", not item[1].is_required()))
    return {
        name: _brief_value(getattr(word, name), full[name])
        for name, info in fields
        if name == "kind"
        or info.is_required()
        or getattr(word, name) != info.get_default(call_default_factory=True, validated_data={})
    }


def _brief_value(value: Any, full: Any) -> Any:
    if isinstance(value, Word):
        return _brief(value, full)
    if isinstance(value, tuple):
        return [_brief_value(item, plain) for item, plain in zip(value, full, strict=True)]
    return full


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint for a misspelt word: the nearest known one, or all of them."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"


def pointer(location: Sequence[int | str]) -> str:
    """The JSON pointer (RFC 6901) of a path of keys and indices."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)


def _detail(flaw: Flaw, data: Any) -> InitErrorDetails:
    location, message = flaw
    error = PydanticCustomError("flaw", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=location, input=data)


def _misfits(data: Mapping[str, Any]) -> Iterator[Flaw]:
    """Python's own types that would pass for lists and text, although they are something else."""
    for name, value in data.items():
        if type(value) in _MISFITS:
            yield Flaw(_MISFITS[type(value)], name)


_MISFITS: Mapping[type, str] = {
    **dict.fromkeys((set, frozenset), "must be a list; a set has no order"),
    **dict.fromkeys((bytes, bytearray), "must be text, not bytes"),
}


def _with_hint(cls: type[Word], error: Any) -> InitErrorDetails:
    """A validation error as it was, or with a hint when it is about an unknown key of this very word."""
    kind, message, location = error["type"], error["msg"], error["loc"]
    if kind == "extra_forbidden" and len(location) == 1:
        kind = "unknown_key"
        message = f"unknown key '{location[0]}'; {did_you_mean(str(location[0]), list(cls.model_fields))}"
    return InitErrorDetails(
        type=PydanticCustomError(kind, "{message}", {"message": message}), loc=location, input=error["input"]
    )


@cache
def _adapter(cls: type[Word], name: str) -> TypeAdapter[Any]:
    info = cls.model_fields[name]
    annotation: Any = info.annotation
    for item in info.metadata:
        annotation = Annotated[annotation, item]
    return TypeAdapter(annotation)


def _salvage(cls: type[Word], data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are right by themselves, and defaults; broken items of lists stay as they were written."""
    good: dict[str, Any] = {}
    for name, info in cls.model_fields.items():
        if name not in data:
            default = info.get_default(call_default_factory=True, validated_data={})
            if default is not PydanticUndefined:
                good[name] = default
            continue
        value = data[name]
        try:
            good[name] = _adapter(cls, name).validate_python(value)
        except ValidationError:
            if isinstance(value, (list, tuple)) and _is_list(info.annotation) and len(value) <= _MOST:
                good[name] = tuple(_one(cls, name, item) for item in value)
    return good


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(get_origin(part) is tuple for part in get_args(annotation))


def _one(cls: type[Word], name: str, item: Any) -> Any:
    try:
        return _adapter(cls, name).validate_python((item,))[0]
    except ValidationError:
        return item


def _parsed(json_data: str | bytes | bytearray) -> Any:
    """The data, by which places of errors are told; None if it is not even JSON."""
    try:
        return json.loads(json_data)
    except (ValueError, RecursionError):
        return None


def _job_error(cls: type[Word], error: ValidationError, data: Any) -> JobError:
    return JobError.of(cls.__name__, list(_problems(error, data)))


_MEANINGS = {
    "missing": "required, but missing",
    "union_tag_not_found": "says no kind",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_unicode": "must be text without lone surrogates",
}
"""What some of pydantic's errors mean to people who write jobs."""
_OURS = {"flaw", "unknown_key", "value"}


def _problems(error: ValidationError, data: Any) -> Iterator[Problem]:
    errors = error.errors(include_url=False)[:_MOST]
    deeper = {one["loc"][:end] for one in errors for end in range(len(one["loc"]))}
    for one in errors:
        if one["type"] == "too_short" and one["input"] and one["loc"] in deeper:
            continue  # its items are there, only broken, and are reported by themselves
        of_key = one["loc"][-1:] == ("[key]",)
        location = one["loc"][:-1] if of_key else one["loc"]
        yield Problem(pointer(_untagged(location, data)), _message(one), key=of_key or one["type"] == "unknown_key")


def _message(error: Any) -> str:
    kind, message = error["type"], error["msg"]
    if kind in _OURS:
        return str(message)
    if kind == "union_tag_invalid":
        return _KIND.sub(r"unknown kind \1; known are \2", message)
    said = _MEANINGS.get(kind) or _lowered(message.replace("Input should be", "Must be"))
    return said if kind in {"missing", "union_tag_not_found"} else f"{said}, got {short(error['input'])}"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _untagged(location: Sequence[int | str], data: Any) -> list[int | str]:
    """The location without the names of union members, which pydantic puts between a key and what is below it."""
    path: list[int | str] = []
    here = data
    for part in location:
        if isinstance(here, (Mapping, Word)) and not _has(here, part) and _get(here, "kind") == part:
            continue
        path.append(part)
        here = _get(here, part)
    return path


def _has(here: Any, part: int | str) -> bool:
    return part in here if isinstance(here, Mapping) else hasattr(here, str(part))


def _get(here: Any, part: int | str) -> Any:
    if isinstance(here, Mapping):
        return here.get(part)
    if isinstance(here, (list, tuple)):
        return here[part] if isinstance(part, int) and part < len(here) else None
    return getattr(here, str(part), None)


def short(value: Any) -> str:
    """A value for people, cut to a line; total, whatever the value is."""
    try:
        text = _SHORT.repr(value)
    except (ValueError, RecursionError):  # more digits, or more depth, than Python is willing to print
        return f"a very long {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 77


def value_error(message: str) -> PydanticCustomError:
    """The error for one wrong value, to be raised by a validator of a single field."""
    return PydanticCustomError("value", "{message}", {"message": message})


class SpelledInt(int):
    """A whole number from a file that remembers how it was written, such as 007."""

    spelling: str


class SpelledFloat(float):
    """A number from a file that remembers how it was written, such as 3.10."""

    spelling: str


def spelled(value: float, spelling: str) -> SpelledInt | SpelledFloat:
    """The number, with a spelling for places where text is meant (arguments, variables, versions)."""
    made = SpelledInt(value) if isinstance(value, int) else SpelledFloat(value)
    made.spelling = spelling
    return made


def unspelled(value: Any) -> Any:
    """The number itself, without how it was written; anything else as it is."""
    if isinstance(value, SpelledFloat):
        return float(value)
    return int(value) if isinstance(value, SpelledInt) else value


def _as_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise value_error(f"must be a number, not {short(value)}")
    return unspelled(value)


def _as_finite(value: Any) -> Any:
    number = _as_number(value)
    if isinstance(number, float) and not math.isfinite(number):
        raise value_error(f"must be a finite number, not {number!r}")
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        raise value_error(f"must fit into 64 bits, unlike {short(number)}")
    return number


def _as_integer(value: Any) -> Any:
    number = _as_finite(value)
    if number != int(number):
        raise value_error(f"must be a whole number, not {number!r}")
    return _as_finite(int(number))


def _as_scalar(value: Any) -> Any:
    if not isinstance(value, (str, bool, int, float)):
        raise value_error(f"must be text, a number or a boolean, not {short(value)}")
    return value if isinstance(value, bool) else _sound(value) if isinstance(value, str) else _as_finite(value)


def _sound(text: str) -> str:
    """Text that files, processes and services can carry."""
    if "\x00" in text:
        raise value_error(f"must not hold a NUL character: {short(text)}")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise value_error(f"must be text without lone surrogates: {short(text)}")
    return text


def _as_json(value: Any, depth: int = 0) -> Any:
    """A copy that is JSON through and through."""
    if depth > 100:
        raise value_error("is nested deeper than 100 levels")
    if isinstance(value, Mapping):
        return {_as_json_key(key): _as_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item, depth + 1) for item in value]
    return None if value is None else _as_scalar(value)


def _as_json_key(key: Any) -> str:
    if not isinstance(key, str):
        raise value_error(f"keys must be text, not {short(key)}")
    return _sound(key)


def _as_text(value: Any) -> Any:
    """Numbers and booleans in places that only know text (arguments, variables) mean their spelling."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return getattr(value, "spelling", repr(value)) if isinstance(value, (int, float)) else value


Str: TypeAlias = Annotated[str, AfterValidator(_sound)]
"""Text that files, processes and services can carry: no NUL, no lone surrogates."""
Number: TypeAlias = Annotated[float, BeforeValidator(_as_finite)]
"""A finite float; whole numbers are taken, text and booleans are not."""
Integer: TypeAlias = Annotated[int, BeforeValidator(_as_integer)]
"""A whole number; 1e3 is taken, 1.5, text and booleans are not."""
Numeric: TypeAlias = Annotated[int | float, Field(union_mode="smart"), BeforeValidator(_as_finite)]
"""A finite number whose type is kept: 1 and 1.0 are written differently."""
Scalar: TypeAlias = Annotated[str | bool | int | float, BeforeValidator(_as_scalar)]
"""A parameter's value. Its type is kept: 1, 1.0, True and "1" are four different values."""
Text: TypeAlias = Annotated[Str, BeforeValidator(_as_text, json_schema_input_type=str | int | float | bool)]
"""Text; a number or a boolean becomes its spelling."""
Json: TypeAlias = Annotated[JsonValue, BeforeValidator(_as_json)]
"""Whatever JSON can say."""


def same(a: Any, b: Any) -> bool:
    """Whether two scalars are the same value of the same type; numbers by value, but True is not 1."""
    if isinstance(a, bool) or isinstance(b, bool) or isinstance(a, str) or isinstance(b, str):
        return type(a) is type(b) and a == b
    return bool(a == b)
