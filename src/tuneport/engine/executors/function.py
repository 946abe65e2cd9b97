"""Trials as calls of a Python function in this process, on threads."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import queue
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from tuneport.engine.executors.protocols import Emitted, Event, Exited
from tuneport.engine.launch import Reported, TrialContext
from tuneport.model.results import Failure, FailureKind

LOOKED_FOR = "what the function returns: a number, or a mapping with the metric's name"


CURRENT: contextvars.ContextVar[TrialContext] = contextvars.ContextVar("trial")
"""The trial that a call of the function stands for, for those who need to know more than its parameters."""


class FunctionExecutor:
    """Calls a function for each trial.

    The function gets the parameters as keyword arguments or, if it takes exactly one positional argument that is not
    the name of a parameter, as one dict. It returns the primary metric or a mapping of metrics. A generator function
    reports each value that it yields; it is closed when early stopping ends the trial.

    A function cannot be killed: a time-out is noticed when it returns, and a stopped call is left to itself until it
    returns or comes to its next `yield`. Until then it may overlap with the call that follows it; whatever it still
    says is dropped.
    """

    name = "function"

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stopping: dict[int, threading.Event] = {}
        self._lock = threading.Lock()
        """Held from asking whether a call still stands for its trial until its event is put."""

    def handle(self) -> dict[str, Any]:
        """Nothing outlives this process; see Executor."""
        return {}

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        """Call the function on a thread of its own; see Executor."""
        stop = threading.Event()
        with self._lock:
            self._stopping[context.trial] = stop
        threading.Thread(target=self._run, args=(context, timeout, stop), daemon=True).start()

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        """Calls end with their process; see Executor."""
        del context, handle, timeout
        return False

    def stop(self, trial: int) -> None:
        """Let a trial go at once; its generator is closed at the next `yield`. See Executor."""
        with self._lock:
            stop = self._stopping.pop(trial, None)
            if stop is not None:
                stop.set()
                self._events.put(Exited(trial, None, True, LOOKED_FOR, (), time.time()))

    def wait(self, timeout: float | None) -> Sequence[Event]:
        """What happened; see Executor."""
        events: list[Event] = []
        try:
            events.append(self._events.get(timeout=timeout))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            return events

    def close(self) -> None:
        """Nothing to let go of; see Executor."""

    def _run(self, context: TrialContext, timeout: float | None, stop: threading.Event) -> None:
        CURRENT.set(context)  # a thread has variables of its own
        began = time.monotonic()
        failure: Failure | None = None
        try:
            self._call(context, stop)
        except BaseException as error:  # noqa: BLE001 - sys.exit too: whatever the function raises is its trial's failure
            failure = _raised(error)
        if failure is None and timeout is not None and time.monotonic() - began > timeout:
            failure = Failure(kind=FailureKind.TIMED_OUT, message=f"ran longer than its time-out of {timeout:g} s")
        lines = failure.last_lines if failure else ()
        self._put(stop, Exited(context.trial, failure, False, LOOKED_FOR, lines, time.time()))

    def _call(self, context: TrialContext, stop: threading.Event) -> None:
        parameters = {**context.job.trial.parameters, **context.parameters}
        result = call(self._function, parameters)
        if not isinstance(result, Generator):
            self._emit(context, result, None, stop)
            return
        with contextlib.closing(result):
            for step, value in enumerate(result, start=1):
                if stop.is_set():
                    return
                self._emit(context, value, step, stop)

    def _emit(self, context: TrialContext, value: Any, step: int | None, stop: threading.Event) -> None:
        if value is None:
            return
        named = value if isinstance(value, Mapping) else {context.job.study.objective.metric: value}
        metrics = {str(name): float(metric) for name, metric in named.items()}
        self._put(stop, Emitted(context.trial, Reported(metrics, step, time.time())))

    def _put(self, stop: threading.Event, event: Event) -> None:
        """Tell of an event, unless the call that it comes from was stopped."""
        with self._lock:
            if self._stopping.get(event.trial) is not stop:
                return
            if isinstance(event, Exited):
                del self._stopping[event.trial]
            self._events.put(event)


def _raised(error: BaseException) -> Failure:
    """What a function raised, as its trial's failure."""
    kind = FailureKind.OUT_OF_MEMORY if isinstance(error, MemoryError) else FailureKind.CODE
    message = _sound(traceback.format_exception_only(error)).strip()[:300]
    lines = _sound(traceback.format_exception(error)).splitlines()[-20:]
    return Failure(kind=kind, message=message, last_lines=tuple(lines))


def _sound(parts: Sequence[str]) -> str:
    """Text that can be recorded, whatever an exception says."""
    return "".join(parts).encode("utf-8", "backslashreplace").decode("utf-8")


def call(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    """Call an objective with its parameters by name, or with all of them in one dict if it takes just one argument."""
    if _takes_dict(function, parameters):
        return function(dict(parameters))
    return function(**parameters)


def _takes_dict(function: Callable[..., Any], parameters: Mapping[str, Any]) -> bool:
    try:
        declared = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-in functions have no signature
        return True
    needed = [p for p in declared if p.default is p.empty and p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    return len(needed) == 1 and needed[0].name not in parameters
