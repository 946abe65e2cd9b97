"""How the emulated Vertex AI refuses calls: google.rpc codes with their HTTP statuses, messages and details."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from tuneport.emulators.faults import DroppedError, InjectedError, Kind
from tuneport.emulators.server import HttpError
from tuneport.errors import ConflictError, JobError, PayloadError, Problem, RunNotFoundError

Json: TypeAlias = dict[str, Any]

HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}
_OF_HTTP = {405: "UNIMPLEMENTED", 404: "NOT_FOUND", 500: "INTERNAL"}
_RATE = "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute per region'."
_LIMIT = "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus"
_INJECTED = {
    Kind.THROTTLE: ("RESOURCE_EXHAUSTED", _RATE),
    Kind.QUOTA: ("RESOURCE_EXHAUSTED", _LIMIT),
    Kind.ERROR: ("UNAVAILABLE", "The service is currently unavailable."),
}


class RefusalError(Exception):
    """A call is refused.

    Args:
        status: the name of a google.rpc.Code.
        message: for people.
        details: as google.rpc.Status has them, typed by `@type`.
        http: the status over HTTP, if it is not that of the code.
    """

    intended = True

    def __init__(self, status: str, message: str, details: Sequence[Json] = (), http: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = list(details)
        self.http = http or HTTP[status]

    @property
    def error(self) -> Json:
        """The error of a reply over HTTP."""
        said = {"code": self.http, "message": self.message, "status": self.status}
        return said | ({"details": self.details} if self.details else {})


def invalid(problems: Sequence[Problem]) -> RefusalError:
    """The refusal of a request for all that is wrong with it."""
    violations = [{"field": field_path(one.pointer), "description": one.message} for one in problems]
    listed = "".join(
        f"\t{index}.Field: {one['field']}; Message: {one['description']} "
        for index, one in enumerate(violations, start=1)
    )
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
    return RefusalError("INVALID_ARGUMENT", f"List of found errors:{listed}\t", details)


def field_path(pointer: str) -> str:
    """A JSON pointer as the service writes paths: ``trial_job_spec.worker_pool_specs[0].replica_count``."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    words = (f"[{part}]" if part.isdigit() else "." + re.sub(r"([A-Z])", r"_\1", part).lower() for part in parts)
    return "".join(words).removeprefix(".")


def refusal(error: Exception) -> RefusalError:
    """What the service would say of whatever was raised.

    Raises:
        DroppedError: the connection is to break, so that nothing is said.
    """
    match error:
        case DroppedError():
            raise error
        case RefusalError():
            return error
        case HttpError():
            return RefusalError(_OF_HTTP.get(error.status, "INVALID_ARGUMENT"), str(error), http=error.status)
        case InjectedError():
            return RefusalError(*_INJECTED[error.fault])
        case PayloadError() | JobError():
            return invalid(error.problems or [Problem("", error.message)])
        case RecursionError():
            return RefusalError("INVALID_ARGUMENT", "Invalid JSON payload received. It is nested too deeply.")
        case RunNotFoundError():
            return RefusalError("NOT_FOUND", "The resource does not exist.")
        case ConflictError():
            return RefusalError("FAILED_PRECONDITION", error.message)
    return RefusalError("INTERNAL", "Internal error encountered.")
