"""Trials as calls of a function: whatever it raises, and whenever it is stopped."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tuneport.engine.executors.function import FunctionExecutor
from tuneport.engine.executors.protocols import Emitted, Event, Exited
from tuneport.engine.launch import TrialContext
from tuneport.model.job import TuningJob
from tuneport.model.parameters import Float
from tuneport.model.results import FailureKind
from tuneport.model.study import StudySpec, minimize
from tuneport.model.trial_spec import TrialSpec

JOB = TuningJob(
    name="function",
    study=StudySpec(parameters=(Float("x", 0, 1),), objectives=(minimize("loss"),)),
    trial=TrialSpec(function="here:objective"),
)


def start(function: Callable[..., Any], attempt: int = 1) -> FunctionExecutor:
    executor = FunctionExecutor(function)
    begin(executor, attempt)
    return executor


def begin(executor: FunctionExecutor, attempt: int = 1) -> None:
    context = TrialContext(
        job=JOB,
        run="function-1",
        trial=1,
        attempt=attempt,
        parameters={"x": 0.5},
        folder=os.devnull,
        base=".",
        python=sys.executable,
        gpus=(),
        cpus=1,
    )
    executor.start(context, timeout=None)


def until_exit(executor: FunctionExecutor) -> list[Event]:
    events: list[Event] = []
    end = time.monotonic() + 10
    while not any(isinstance(event, Exited) for event in events):
        assert time.monotonic() < end, "the trial never ended"
        events += executor.wait(0.1)
    return events


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("not even this")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (SystemExit(3), FailureKind.CODE, "SystemExit: 3"),
        (KeyboardInterrupt(), FailureKind.CODE, "KeyboardInterrupt"),
        (GeneratorExit(), FailureKind.CODE, "GeneratorExit"),
        (ValueError("bad"), FailureKind.CODE, "ValueError: bad"),
        (ValueError("lone \ud800 and \0"), FailureKind.CODE, "ValueError: lone"),
        (MemoryError(), FailureKind.OUT_OF_MEMORY, "MemoryError"),
        (Mute(), FailureKind.CODE, "Mute"),
    ],
)
def test_whatever_a_function_raises_ends_its_trial(error: BaseException, kind: FailureKind, said: str) -> None:
    def objective(x: float) -> float:
        raise error

    (event,) = until_exit(start(objective))
    assert isinstance(event, Exited)
    assert event.failure is not None
    assert event.failure.kind is kind
    assert said in event.failure.message
    assert not event.stopped
    assert any("in objective" in line for line in event.last_lines)


def test_a_stopped_call_says_nothing_more() -> None:
    go, gone = threading.Event(), threading.Event()

    def objective(x: float) -> float:
        go.wait(10)
        gone.set()
        return x

    executor = start(objective)
    executor.stop(1)
    executor.stop(1)
    (event,) = until_exit(executor)
    assert isinstance(event, Exited)
    assert event.stopped
    go.set()
    assert gone.wait(10)
    assert list(executor.wait(0.1)) == []


def test_a_stopped_call_does_not_speak_for_the_next_attempt() -> None:
    go = threading.Event()
    values = iter([1.0, 2.0])

    def objective(x: float) -> float:
        value = next(values)
        if value == 1.0:
            go.wait(10)
        return value

    executor = start(objective)
    time.sleep(0.05)
    executor.stop(1)
    until_exit(executor)
    begin(executor, attempt=2)
    go.set()
    report, exited = until_exit(executor)
    assert isinstance(report, Emitted)
    assert dict(report.report.metrics) == {"loss": 2.0}
    assert isinstance(exited, Exited)
    assert not exited.stopped
    assert list(executor.wait(0.1)) == []


def test_stopping_a_busy_generator_closes_it_and_ends_its_reports() -> None:
    closed = threading.Event()

    def objective(x: float) -> Iterator[float]:
        try:
            while True:
                yield x
        finally:
            closed.set()

    for _ in range(20):
        closed.clear()
        executor = start(objective)
        executor.wait(5)
        executor.stop(1)
        events = until_exit(executor)
        assert isinstance(events[-1], Exited), "a report came after the end"
        assert events[-1].stopped
        assert closed.wait(10)
        assert list(executor.wait(0.01)) == []
