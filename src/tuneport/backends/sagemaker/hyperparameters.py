"""How values travel as hyperparameters: all of them are text, which the training toolkit reads as JSON where it can."""

from __future__ import annotations

import json
import math
from typing import Any

from tuneport.model.word import Scalar

OBJECTIVE = "_tuning_objective_metric"
"""The hyperparameter by which the service tells every trial its metric; it is no parameter of the trainer."""
PROGRAM, PACKAGE = "sagemaker_program", "sagemaker_submit_directory"
"""Script mode: which program the toolkit runs, and in which archive it is."""
HINTS = "sagemaker_tuneport_space"
"""Where the hints of a lowered space travel. The toolkit keeps names of this beginning off the command line, and
tuneport_trial does not take them for parameters."""
_LONGEST = 10_000
_JSON_BEGINS = frozenset('"-0123456789tfnNI \t\n\r')
"""What JSON scalars begin with, and what only Python takes for some; a glance spares most texts the rest."""


def text_of(value: Scalar) -> str:
    """The text that the toolkit, which reads JSON or else takes the text itself, turns into the same value again.

    Lists and objects stay bare: the model has only text for them, and algorithms that take them want them as they are.
    """
    if not isinstance(value, str):
        return json.dumps(value)
    return json.dumps(value) if _is_taken_for_json(value) else value


def _is_taken_for_json(text: str) -> bool:
    if text[:1] not in _JSON_BEGINS:
        return False
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return not isinstance(read, (dict, list))


def value_of(text: str) -> Scalar:
    """The value that a text stands for; the text itself if it is no JSON scalar that fits into 64 bits."""
    if len(text) > _LONGEST or text[:1] not in _JSON_BEGINS:
        return text
    try:
        read: Any = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(read, str):
        return read if _is_sound(read) else text
    if isinstance(read, bool):
        return read
    if isinstance(read, int):
        return read if -(2**63) <= read < 2**63 else text
    return read if isinstance(read, float) and math.isfinite(read) else text


def _is_sound(text: str) -> bool:
    """Whether it is text that the model takes; JSON can spell NUL and halves of surrogate pairs."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _refused(constant: str) -> Any:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_refused)


def canonical(text: str) -> str:
    """The one spelling among those of the same value."""
    return text_of(value_of(text))


def number_text(value: float) -> str:
    """The shortest text of a number: whole ones without a point."""
    whole = isinstance(value, int) or (value.is_integer() and abs(value) < 1e15)
    return str(int(value)) if whole else repr(value)


def number_of(text: str) -> float | None:
    """The finite number that a text spells; None for all else."""
    try:
        number = float(text) if len(text) <= _LONGEST and "_" not in text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
