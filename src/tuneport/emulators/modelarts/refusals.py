"""What the emulated ModelArts refuses, in its words: numbers of errors, and the shape of their replies."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Final

from tuneport.emulators.faults import InjectedError, Kind
from tuneport.emulators.server import HttpError, Response
from tuneport.errors import Problem


class RefusalError(Exception):
    """A call is refused.

    Args:
        number: of the error; one that has a dot is not ModelArts' own.
        message: what is wrong.
        status: of the reply.
    """

    intended = True

    def __init__(self, number: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.number = number
        self.status = status


_NUMBERS: Final = (
    (r"/(algorithm|job_config)/parameters/\d+/name: .*already there", "2767"),
    (r"/job_config/parameters/\d+/value", "2768"),
    (r"/algorithm/parameters/\d+/value", "2825"),
    (r".*/reward_attrs/\d+/name: .*already there", "2824"),
    (r".*/auto_search", "2826"),
    (r"/(algorithm|job_config)/inputs", "2753"),
    (r"/(algorithm|job_config)/outputs", "2754"),
    (r"/(algorithm|job_config)/code_dir", "2757"),
    (r"/(algorithm|job_config)/boot_file", "2758"),
    (r"/(algorithm|job_config)/command", "2806"),
    (r"/(algorithm|job_config)/engine", "2780"),
    (r"/spec/resource/flavor_id", "2763"),
)
"""Beginnings of problems, as text, to numbers; all others are 2788, an invalid parameter."""
INVALID: Final = "2788"
_OF_HTTP = {400: "2787", 404: "2836", 405: "2803"}
_OF_FAULTS = {
    Kind.THROTTLE: ("2799", 429, "Too many requests."),
    Kind.QUOTA: ("2816", 400, "The number of training jobs has reached the upper limit."),
    Kind.ERROR: ("2950", 500, "Unknown error."),
}


def invalid(problems: Sequence[Problem]) -> RefusalError:
    """The refusal of a document, with the number of its first problem."""
    texts = [str(one) for one in problems]
    number = next((number for pattern, number in _NUMBERS if re.match(pattern, texts[0])), INVALID)
    return RefusalError(number, "; ".join(texts))


def not_found(job: str) -> RefusalError:
    """The refusal of a job that is not there: not a 404."""
    return RefusalError("2775", f"Training job {job} not found.")


def worded(error: Exception) -> Response:
    """Whatever was raised, as the service says it."""
    if isinstance(error, RefusalError):
        return _reply(error.number, str(error), error.status)
    if isinstance(error, HttpError):
        return _reply(_OF_HTTP.get(error.status, INVALID), str(error), error.status)
    if isinstance(error, InjectedError):
        number, status, message = _OF_FAULTS[error.fault]
        return _reply(number, message, status)
    return _reply("0010", f"Internal error: {error}", 500)


def _reply(number: str, message: str, status: int) -> Response:
    code = number if "." in number else f"ModelArts.{number}"
    return Response.json({"error_code": code, "error_msg": message}, status, {"X-Request-Id": uuid.uuid4().hex})
