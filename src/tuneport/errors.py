"""Every error that tuneport raises on purpose.

::

    TuneportError                    root: .code, .hint, .problems
    ├── JobError (ValueError)        the job is not a job: bad bounds, unknown parent in `when`, unreadable file
    ├── SettingsError (ValueError)   tuneport.toml, TUNEPORT_* or a settings argument says something unknown
    ├── TranslationError             carries .report
    │   ├── UnsupportedFeatureError  what the chosen backend cannot do at all, every one of them
    │   ├── ToleranceError           possible, but lossier than was tolerated
    │   └── PayloadError (ValueError)  a native document is malformed; carries .pointer
    ├── BackendError                 carries .backend and .retryable; the SDK's exception is its __cause__
    │   ├── BackendNotFoundError     no backend of that name is registered
    │   ├── BackendNotInstalledError (ImportError)  its extra is not installed
    │   ├── BackendConflictError     two installed packages claim one name
    │   ├── AuthError                credentials missing, expired or refused
    │   ├── QuotaError               a limit of the account or of the service
    │   ├── ConflictError            the name is taken, or another process drives the run
    │   ├── RunNotFoundError         no run of that reference
    │   └── UnavailableError         throttled, 5xx, reset: worth another try
    ├── SearchError
    │   ├── SpaceExhaustedError      every point of a finite space has been suggested
    │   ├── UnknownTrialError        tell or report for a trial that was never asked
    │   └── TrialFinishedError       tell or report for a trial that has ended
    ├── EngineError
    │   ├── DeviceError              more devices asked for than exist
    │   ├── StoreError               the workspace cannot be read or written
    │   └── TrialsFailedError        a run has ended, and no trial has a result
    ├── WaitTimeoutError (TimeoutError)  the wait ended, the run goes on
    └── MissingExtraError (ImportError)  an optional dependency is needed; the message names the extra

`code` is stable text for programs; `exit_code` is what the command line ends with:
0 ok, 1 unexpected, 2 usage, 3 invalid job or payload, 4 translation lossier than tolerated, 5 auth, 6 quota or limit,
7 job failed, 8 stopped, 9 budget reached without a result, 10 time-out while waiting, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document.

    Attributes:
        pointer: JSON pointer (RFC 6901) of the place, "" for the whole document.
        message: what was found and what is allowed there.
        hint: the way out, when there is an obvious one.
        place: "file:line:column" when the document came from a file.
        key: the key itself is wrong, not what it is set to.
    """

    pointer: str
    message: str
    hint: str | None = None
    place: str | None = None
    key: bool = False

    def __str__(self) -> str:
        where = " ".join(part for part in (self.place, self.pointer) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.hint})" if self.hint else text


class TuneportError(Exception):
    """Root of the tree; catching it catches all that tuneport raises on purpose.

    Attributes:
        code: stable identifier of the kind of error, for programs.
        exit_code: exit status of the command line for this error.
        hint: the way out, or None.
        problems: every single problem found, where there can be several.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [self.message, *(f"  {problem}" for problem in self.problems)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class JobError(TuneportError, ValueError):
    """The job, or the file it was to come from, is invalid; nothing has been started or sent."""

    code = "invalid-job"
    exit_code = 3

    @classmethod
    def of(cls, what: str, problems: Sequence[Problem]) -> JobError:
        """The error that reports `problems` found in `what`."""
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        return cls(f"{what}: {count}", problems=problems)


class SettingsError(TuneportError, ValueError):
    """A setting has an unknown name or an impossible value."""

    code = "invalid-settings"
    exit_code = 2


class TranslationError(TuneportError):
    """A job cannot be said in another backend's words. `report` is the TranslationReport, if one was made."""

    code = "translation"
    exit_code = 4

    def __init__(
        self, message: str, *, hint: str | None = None, problems: Sequence[Problem] = (), report: object = None
    ) -> None:
        super().__init__(message, hint=hint, problems=problems)
        self.report = report


class UnsupportedFeatureError(TranslationError):
    """The job asks for something that the chosen backend cannot do; each problem names feature, reason, way out."""

    code = "unsupported-feature"
    exit_code = 3


class ToleranceError(TranslationError):
    """The translation is possible but loses more than was tolerated."""

    code = "lossy-translation"


class PayloadError(TranslationError, ValueError):
    """A native document does not have the shape that its cloud accepts."""

    code = "invalid-payload"
    exit_code = 3

    @property
    def pointer(self) -> str:
        """JSON pointer of the first problem."""
        return self.problems[0].pointer if self.problems else ""


class BackendError(TuneportError):
    """A backend refused or could not be used. `retryable`: the same call may succeed later."""

    code = "backend"
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, backend: str | None = None, hint: str | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, hint=hint, problems=problems)
        self.backend = backend


class BackendNotFoundError(BackendError):
    """No backend of that name is registered; the message lists those that are."""

    code = "backend-not-found"
    exit_code = 2


class BackendNotInstalledError(BackendError, ImportError):
    """The backend exists but its SDK is missing; the hint names the extra to install."""

    code = "backend-not-installed"
    exit_code = 2


class BackendConflictError(BackendError):
    """Two installed packages register a backend under one name; the message names both."""

    code = "backend-conflict"
    exit_code = 2


class AuthError(BackendError):
    """Credentials are missing, expired or not allowed to do this."""

    code = "auth"
    exit_code = 5


class QuotaError(BackendError):
    """A limit of the account or of the service has been reached."""

    code = "quota"
    exit_code = 6


class ConflictError(BackendError):
    """The name is taken, or another process is driving this run."""

    code = "conflict"


class RunNotFoundError(BackendError):
    """No run has that reference; the message lists near ones."""

    code = "run-not-found"
    exit_code = 2


class UnavailableError(BackendError):
    """The service is throttling or down for the moment."""

    code = "unavailable"
    retryable = True


class SearchError(TuneportError):
    """The search core was used in a way that has no meaning."""

    code = "search"


class SpaceExhaustedError(SearchError):
    """Every point of a finite search space has been suggested already."""

    code = "space-exhausted"


class UnknownTrialError(SearchError):
    """The trial was never asked for in this study."""

    code = "unknown-trial"
    exit_code = 2


class TrialFinishedError(SearchError):
    """The trial has already ended; its record does not change any more."""

    code = "trial-finished"


class EngineError(TuneportError):
    """A run could not go on."""

    code = "engine"


class DeviceError(EngineError):
    """A trial needs devices that this machine does not have, or that are taken."""

    code = "device"
    exit_code = 3


class StoreError(EngineError):
    """The workspace cannot be read or written."""

    code = "store"


class TrialsFailedError(EngineError):
    """A run has ended without a single result; the message says what the first trial died of."""

    code = "trials-failed"
    exit_code = 7


class WaitTimeoutError(TuneportError, TimeoutError):
    """Waiting ended before the run did; the run goes on."""

    code = "wait-timeout"
    exit_code = 10


class MissingExtraError(TuneportError, ImportError):
    """An optional dependency is needed for this; the hint names the extra that brings it."""

    code = "missing-extra"
    exit_code = 2
