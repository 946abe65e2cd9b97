"""The kinds of documents there are: bare jobs, and the service's answers, which hold one."""

from __future__ import annotations

from typing import Any

from tuneport.backends.protocols import Reading
from tuneport_nimbus.schema import JOB

Json = dict[str, Any]

_USUAL = {"method": "RANDOM", "parallel": 1}
"""What nimbus does where nothing is said, so that saying it and not saying it are one."""


def read(document: Json) -> Reading:
    """A document, checked, without its wrapping; an answer has a form of its own, which nobody sends."""
    answer = {key: value for key, value in document.items() if key != "job"} if "job" in document else {}
    return Reading("answer" if answer else "job", said(JOB.read(document.get("job", document))), answer)


def write(reading: Reading) -> Json:
    """The inverse of `read`."""
    return {**reading.response, "job": reading.request} if reading.response else reading.request


def said(request: Json) -> Json:
    """The request without what says nothing."""
    return {key: value for key, value in request.items() if value not in (None, [], {}, _USUAL.get(key))}
