"""What holds for all tests: how slow the machine is decides nothing; and what tests of several rooms need."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Examples of property tests are the same in every run, so that a change is not blamed for what was wrong before it;
# `make explore` looks for others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile("same")

# A shell that starts a suite in the background has it, and all that it starts, ignore Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
