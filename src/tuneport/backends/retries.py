"""How often and how long a service is asked again: reads freely, submissions only after a look."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from tuneport.backends.protocols import JobRef
from tuneport.errors import BackendError

T = TypeVar("T")

ATTEMPTS = 8
LONGEST = 120.0
"""Seconds after which no other attempt is begun."""
SLOWEST = 20.0
"""Most seconds between two attempts."""


def _worth_another(error: BaseException) -> bool:
    return isinstance(error, BackendError) and error.retryable


def _retrying() -> Retrying:
    return Retrying(
        retry=retry_if_exception(_worth_another),
        wait=wait_random_exponential(multiplier=0.25, max=SLOWEST),
        stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(LONGEST),
        reraise=True,
    )


def read(call: Callable[[], T]) -> T:
    """Make a call that changes nothing, again if the service is throttling or down for a moment.

    Raises:
        BackendError: what the last attempt raised.
    """
    return _retrying()(call)


def submit(create: Callable[[], JobRef], find: Callable[[], JobRef | None], *, again: bool) -> JobRef:
    """Create a job exactly once. After an attempt of unknown outcome the service is asked before the next one.

    Args:
        create: sends the job.
        find: looks for it; None if it is not there.
        again: somebody may have sent it before.

    Raises:
        BackendError: what the last attempt raised.
    """
    look = again

    def attempt() -> JobRef:
        nonlocal look
        if look and (found := find()) is not None:
            return found
        look = True
        return create()

    return _retrying()(attempt)
