"""What goes wrong, on purpose: by rules, with a seed, and always the same for the same calls.

A door does the work of every operation inside of `around`::

    with faults.around("CreateTrainingJob"):
        ...  # the work

What is raised there is an `InjectedError`, which the door words as its service would (``fault``: throttle, quota or
error), or a `DroppedError`, by which the server resets the connection. Trials are struck by `Host`, not by doors.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from tuneport.errors import Problem, SettingsError


class Kind(StrEnum):
    """What can go wrong."""

    THROTTLE = "throttle"
    """The call is refused for coming too soon; nothing is done."""
    QUOTA = "quota"
    """The call is refused for a limit of the account; nothing is done."""
    ERROR = "error"
    """The service fails with a 5xx; nothing is done."""
    RESET = "reset"
    """The connection breaks before anything is done."""
    SLOW = "slow"
    """The answer takes `seconds` longer."""
    LOST = "lost"
    """The work is done, but the connection breaks before the answer."""
    PREEMPT = "preempt"
    """A trial is killed from outside after `seconds`, as spot capacity is."""
    CAPACITY = "capacity"
    """A trial cannot be started for want of machines."""
    METRIC_MISSING = "metric-missing"
    """A trial's metrics never arrive."""
    METRIC_LATE = "metric-late"
    """A trial's metrics, and then its end, are known `seconds` after they came."""
    INFEASIBLE = "infeasible"
    """A trial's metrics are not numbers."""
    STOP = "stop"
    """Somebody else stops a trial when it has run for `seconds`."""
    STOP_JOB = "stop-job"
    """Somebody else stops the job when a trial of it has run for `seconds`."""

    @property
    def of_trials(self) -> bool:
        """Whether it strikes trials, not calls."""
        return self in _OF_TRIALS


_OF_TRIALS = frozenset(
    {
        Kind.PREEMPT,
        Kind.CAPACITY,
        Kind.METRIC_MISSING,
        Kind.METRIC_LATE,
        Kind.INFEASIBLE,
        Kind.STOP,
        Kind.STOP_JOB,
    }
)
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule.

    Attributes:
        kind: what goes wrong.
        target: which operations, by their name in the service's words, or which trials, as JOB/NUMBER; with the
            wildcards of file names: `Create*`, `*/3`.
        probability: in how many of the calls that `calls` leaves.
        calls: which calls of an operation, or which attempts of a trial, from 1; empty: all.
        seconds: how long a slow answer takes, how late a metric is, or after how long a trial is killed or stopped.
    """

    kind: Kind
    target: str = "*"
    probability: float = 1.0
    calls: frozenset[int] = field(default_factory=frozenset)
    seconds: float = _SECONDS

    @classmethod
    def read(cls, text: str) -> Fault:
        """The rule that ``KIND[:TARGET[:PROBABILITY[:SECONDS]]]`` says; ``#N`` for PROBABILITY is the N-th call alone.

        Raises:
            SettingsError: it says none.
        """
        kind, target, chance, seconds, *rest = [*text.split(":"), "", "", ""][: max(4, text.count(":") + 1)]
        problems = []
        if kind not in set(Kind):
            problems.append(f"there is no fault '{kind}'; known are {', '.join(Kind)}")
        nth = chance.removeprefix("#") if chance.startswith("#") else None
        share = 1.0 if nth is not None or not chance else _number(chance)
        if share is None or not 0 <= share <= 1:
            problems.append(f"'{chance}' is no probability from 0 to 1")
        if nth is not None and not (nth.isascii() and nth.isdigit() and int(nth) >= 1):
            problems.append(f"'{chance}' is no call, such as #1")
        length = _number(seconds) if seconds else _SECONDS
        if length is None or not 0 <= length <= 3600:
            problems.append(f"'{seconds}' is no number of seconds up to 3600")
        if rest:
            problems.append("has too many parts")
        if problems or share is None or length is None:
            raise SettingsError(
                f"the fault {text!r} cannot be understood",
                problems=[Problem("", one) for one in problems],
                hint="KIND[:TARGET[:PROBABILITY or #CALL[:SECONDS]]], such as throttle:Create*:0.3",
            )
        return cls(Kind(kind), target or "*", share, frozenset({int(nth)} if nth else ()), length)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class InjectedError(Exception):
    """A call is to fail; the door words it. `fault` says how; `status` is what HTTP has for that: 429 or 503."""

    intended = True

    def __init__(self, fault: Kind, operation: str) -> None:
        super().__init__(f"{operation}: injected {fault}")
        self.fault = fault
        self.status = 503 if fault is Kind.ERROR else 429


class DroppedError(Exception):
    """The connection is to break without an answer."""

    intended = True


class Faults:
    """The rules, and whom they strike. May be used from any thread, and rules may be added at any time.

    Whether a call is struck depends on the seed, the rule, the operation and how many calls of it came before, not on
    what other calls come in between; for a trial, on its job's name, number and attempt. So the same test sees the same
    faults.

    Args:
        rules: the first that strikes is taken.
        seed: of the probabilities.
    """

    def __init__(self, rules: Sequence[Fault] = (), seed: int = 0) -> None:
        self._rules = list(rules)
        self._seed = seed
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._struck: dict[tuple[str, int], Kind] = {}

    @property
    def struck(self) -> tuple[tuple[str, Kind], ...]:
        """What has gone wrong so far: operation and kind, in order; of trials, every attempt once it has started."""
        with self._lock:
            return tuple((target, kind) for (target, _), kind in self._struck.items())

    @property
    def about_trials(self) -> bool:
        """Whether any rule strikes trials."""
        with self._lock:
            return any(rule.kind.of_trials for rule in self._rules)

    def add(self, kind: Kind | str, target: str = "*", *, probability: float = 1.0, calls: Sequence[int] = (),
            seconds: float = _SECONDS) -> None:  # fmt: skip
        """Add a rule; see Fault."""
        with self._lock:
            self._rules.append(Fault(Kind(kind), target, probability, frozenset(calls), seconds))

    def clear(self) -> None:
        """Let nothing more go wrong."""
        with self._lock:
            self._rules.clear()

    @contextlib.contextmanager
    def around(self, operation: str) -> Iterator[None]:
        """Do the work of one call inside; what goes wrong does so before or after it.

        Raises:
            InjectedError: the call is refused; the work is not done.
            DroppedError: the connection breaks, before the work or after it.
        """
        with self._lock:
            self._calls[operation] += 1
            fault = self._draw(operation, self._calls[operation], of_trials=False)
        kind = fault.kind if fault else None
        if fault is not None and kind is Kind.SLOW:
            time.sleep(fault.seconds)
        elif kind is Kind.RESET:
            raise DroppedError(operation)
        elif kind is not None and kind is not Kind.LOST:
            raise InjectedError(kind, operation)
        yield
        if kind is Kind.LOST:
            raise DroppedError(operation)

    def of_trial(self, job: str, number: int, attempt: int) -> Fault | None:
        """What is to strike an attempt of a trial; the same for every call."""
        with self._lock:
            return self._draw(f"{job}/{number}", attempt, of_trials=True)

    def _draw(self, target: str, count: int, *, of_trials: bool) -> Fault | None:
        for index, rule in enumerate(self._rules):
            if rule.kind.of_trials is not of_trials or not fnmatchcase(target, rule.target):
                continue
            if rule.calls and count not in rule.calls:
                continue
            if random.Random(f"{self._seed}/{index}/{target}/{count}").random() < rule.probability:
                self._struck[target, count] = rule.kind
                return rule
        return None
