"""The two streams: results for whoever reads them next, messages for the person who waits."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuneport.errors import Problem
    from tuneport.model.word import Word


def say(text: str) -> bool:
    """Print a result. False: the reader has had enough, as with `| head`; there is no need to go on."""
    return _write(sys.stdout, text)


def note(text: str) -> None:
    """Tell the person something that is no result."""
    _write(sys.stderr, text)


def say_json(data: Any) -> None:
    """Print a result for a program."""
    say(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def plain(word: Word, *, without: str | None = None) -> dict[str, Any]:
    """A word of the model as JSON data; NaN and infinities, for which JSON has no numbers, become text."""
    data: dict[str, Any] = json.loads(word.model_dump_json(exclude={without} if without else None))
    return data


def say_error(code: str, message: str, hint: str | None, problems: Sequence[Problem]) -> None:
    """Print an error for a program, where it looks for the result."""
    listed = [
        {"pointer": one.pointer, "message": one.message, "hint": one.hint, "place": one.place} for one in problems
    ]
    say_json({"error": {"code": code, "message": message, "hint": hint, "problems": listed}})


def _write(stream: TextIO, text: str) -> bool:
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # What is still to be said goes nowhere, and does not fail again when the interpreter flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True
