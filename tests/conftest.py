"""What holds for all tests: how slow the machine is decides nothing; and what tests of several rooms need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits until something is so, and gives it."""

    def wait(happened: Callable[[], Any], seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := happened():
                return value
            time.sleep(0.02)
        raise AssertionError("it never happened")

    return wait


@pytest.fixture
def open_door() -> Iterator[Callable[..., Any]]:
    """Opens the emulator of one cloud until the test ends: the host of its jobs, and the door."""
    from tuneport.emulators.host import Host  # noqa: PLC0415 - few tests need it
    from tuneport.emulators.pace import Pace  # noqa: PLC0415

    with ExitStack() as opened:

        def make(cloud: str, options: Any = None, **arguments: Any) -> tuple[Any, Any]:
            host = Host(**({"grace": 1.0, "pace": Pace(quick=True)} | arguments))
            opened.callback(host.close)
            door = import_module(f"tuneport.emulators.{cloud}").serve(host, host.faults, 0, options)
            opened.callback(door.close)
            return host, door

        yield make
