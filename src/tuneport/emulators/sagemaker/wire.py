"""SageMaker's way of talking: requests by its own model, errors in its words, lists in pages."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from tuneport.backends.protocols import Json
from tuneport.emulators.faults import InjectedError, Kind
from tuneport.emulators.server import HttpError, Request, Response
from tuneport.errors import Problem, TuneportError
from tuneport.translation.shape import Shape, schema_of

T = TypeVar("T")

VALIDATION = "ValidationException"
MEDIA_TYPE = "application/x-amz-json-1.1"
PAGE = 10
"""Items of a page unless a request says otherwise."""
_ANYWHERE = "us-east-1"
_SCOPE = re.compile(
    r"Credential=(?P<key>[^/]+)/[0-9]{8}/(?P<region>[a-z0-9-]+)/(?P<service>[A-Za-z0-9.-]+)/aws4_request"
)
_INJECTED = {
    Kind.THROTTLE: (400, "ThrottlingException", "Rate exceeded"),
    Kind.QUOTA: (400, "ResourceLimitExceeded", "The account-level service limit is exceeded."),
    Kind.ERROR: (500, "InternalFailure", "The request processing has failed because of an unknown error."),
}


class RefusedError(Exception):
    """What the service refuses, in its words."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation.

    Attributes:
        operation: its name, such as StopTrainingJob.
        region: where it is meant to happen, by its signature.
        body: what it says.
    """

    operation: str
    region: str
    body: Json = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> Call:
        """The call that a request makes.

        Raises:
            RefusedError: it is not signed, or says no JSON object.
        """
        try:
            body = request.json()
        except HttpError as error:
            raise RefusedError("SerializationException", str(error)) from None
        if not isinstance(body, dict):
            raise RefusedError("SerializationException", "the body must be an object")
        return cls(target(request)[1], scope(request)[0], body)


def target(request: Request) -> tuple[str, str]:
    """Service and operation of a request in JSON; two empty texts for all others."""
    service, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
    return service, operation


def scope(request: Request) -> tuple[str, str]:
    """Region and service that a request was signed for. Whether the signature is right is not asked.

    Raises:
        RefusedError: it is not signed.
    """
    if "AWSAccessKeyId" in request.query:  # links to storage are signed in the old way
        return _ANYWHERE, "s3"
    signed = request.headers.get("Authorization") or f"Credential={request.query.get('X-Amz-Credential', '')}"
    match = _SCOPE.search(signed)
    if match is None:
        raise RefusedError("MissingAuthenticationToken", "the request is not signed by version 4", 403)
    return match["region"], match["service"].lower()


def checked(call: Call, shape: str) -> Json:
    """The body of a call, once the service's own model has nothing against it.

    Raises:
        RefusedError: it has.
    """
    if problems := _shape(shape).problems(call.body):
        raise RefusedError(VALIDATION, validation_errors(problems))
    return call.body


@cache
def _shape(name: str) -> Shape:
    return Shape(schema_of("tuneport.backends.sagemaker"), name)


def validation_errors(problems: Sequence[Problem]) -> str:
    """All problems in the manner of the service, which counts them and spells members in its own way."""
    count = "1 validation error" if len(problems) == 1 else f"{len(problems)} validation errors"
    said = (f"Value at '{_member(one.pointer)}' failed to satisfy constraint: {one.message}" for one in problems)
    return f"{count} detected: {'; '.join(said)}"


def _member(pointer: str) -> str:
    """A place as the service names it: /Config/Ranges/0 is config.ranges.1.member."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    return ".".join(f"{int(part) + 1}.member" if part.isdigit() else part[:1].lower() + part[1:] for part in parts)


def answer(body: Json | None = None, status: int = 200) -> Response:
    """An answer in the service's media type."""
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    return Response.json({} if body is None else body, status, headers, MEDIA_TYPE)


def worded(error: Exception) -> Response:
    """What the service says of an error."""
    status, code, text = _wording(error)
    return answer({"__type": code, "Message": text[:1024], "message": text[:1024]}, status)


def _wording(error: Exception) -> tuple[int, str, str]:
    if isinstance(error, RefusedError):
        return error.status, error.code, str(error)
    if isinstance(error, InjectedError):
        return _INJECTED[error.fault]
    if isinstance(error, HttpError):
        return error.status, "BadRequest", str(error)
    if isinstance(error, TuneportError):
        return 400, VALIDATION, str(error)
    return 500, "InternalFailure", "the emulator failed; its log says how"


def page(items: Sequence[T], request: Json, size: int = PAGE) -> tuple[list[T], Json]:
    """The items of the page that a request asks for, and what is said about the next one.

    Raises:
        RefusedError: its token is none of ours.
    """
    start, size = _place(request.get("NextToken")), request.get("MaxResults", size)
    more = {"NextToken": _token(start + size)} if start + size < len(items) else {}
    return list(items[start : start + size]), more


def _token(place: int) -> str:
    return base64.b64encode(f"from {place}".encode()).decode()


def _place(token: str | None) -> int:
    if token is None:
        return 0
    try:
        word, _, place = base64.b64decode(token, validate=True).decode().partition(" ")
        if word == "from" and place.isdigit():
            return int(place)
    except (binascii.Error, UnicodeDecodeError):
        pass
    raise RefusedError(VALIDATION, "The token is not one that was given.")


def within(moment: float | None, request: Json, name: str) -> bool:
    """Whether a moment lies between those of a request, such as CreationTimeAfter and CreationTimeBefore."""
    after, before = (_posix(request.get(f"{name}{side}")) for side in ("After", "Before"))
    if moment is None:
        return after is None and before is None
    return (after is None or moment >= after) and (before is None or moment <= before)


def _posix(time: Any) -> float | None:
    """POSIX seconds of a moment in a request: a number, or an ISO 8601 text, which is UTC if it does not say."""
    if not isinstance(time, str):
        return None if time is None else float(time)
    try:
        read = datetime.fromisoformat(time)
    except ValueError:
        raise RefusedError(VALIDATION, f"'{time}' is no time") from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
