"""Linear algebra on one thread."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """While this is open, linear algebra runs on one thread.

    For matrices of some hundred rows several threads mostly wait for each other, and for the trials that need the
    processors; and how sums are shared among threads would decide the last bits of a suggestion.
    """
    limits: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limits


@cache
def _libraries() -> Any:
    import scipy.linalg  # noqa: F401, PLC0415 - heavy; it brings a library of its own, which must be there to be found
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - only a model needs it

    return ThreadpoolController()
