"""The handle of a run, wherever it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tuneport.errors import MissingExtraError, WaitTimeoutError
from tuneport.model.job import TuningJob
from tuneport.model.results import DeviceUse, RunState, StudyResult, Trial

if TYPE_CHECKING:
    import pandas as pd

LOCAL = "local"
"""The backend of references that name none."""
Progress: TypeAlias = Callable[[StudyResult], None]


class Runs(Protocol):
    """The runs of one place: a workspace of this machine, or one cloud. They go by the place's own names."""

    def ref(self, run: str) -> str:
        """The reference by which the run is found again."""

    def job(self, run: str) -> TuningJob:
        """The job that it runs."""

    def result(self, run: str) -> StudyResult:
        """The run as it is now."""

    def changes(self, run: str, until: float | None = None) -> Iterator[StudyResult]:
        """The run as it is now and whenever it has changed, not longer than to a moment of time.monotonic()."""

    def drive(self, run: str, observer: Progress | None = None, *, fresh: bool = False) -> None:
        """Drive it in this process; if `fresh`, only if nobody ever has.

        Raises:
            ConflictError: others drive it.
        """

    def stop(self, run: str, trial: int | None = None) -> None:
        """Ask the run, or one of its trials, to stop."""

    def delete(self, run: str) -> None:
        """Forget it, and remove what is kept of it."""

    def logs(self, run: str, trial: int, *, follow: bool = False) -> Iterator[str]:
        """Lines that a trial wrote."""

    def devices(self, run: str) -> Sequence[DeviceUse]:
        """GPUs of this machine on which trials of it are, and what these have to do."""

    def folder(self, run: str) -> Path | None:
        """Where its files are; None if that is not on this machine."""


class Run:
    """A run that was submitted somewhere, by the reference under which it is found again.

    Everything is read when it is asked for; a Run holds no state of its own and can be made anew with `attach`.
    """

    def __init__(self, client: Runs, name: str) -> None:
        self._client = client
        self._name = name

    @property
    def ref(self) -> str:
        """Reference for `attach` and the command line, such as local:digits-7f3a or sagemaker:eu-west-1/digits-7f3a."""
        return self._client.ref(self._name)

    @property
    def job(self) -> TuningJob:
        """The job that it runs."""
        return self._client.job(self._name)

    @property
    def result(self) -> StudyResult:
        """Its whole record as it is now."""
        return self._client.result(self._name)

    @property
    def state(self) -> RunState:
        """Where it is in its life."""
        return self.result.state

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Its trials so far, by id."""
        return self.result.trials

    @property
    def best(self) -> Trial | None:
        """The best trial so far; None while there is no result."""
        return self.result.best

    @property
    def pareto(self) -> tuple[Trial, ...]:
        """The trials that no other beats in one objective without losing in another; see `StudyResult.pareto`."""
        return self.result.pareto

    @property
    def devices(self) -> Sequence[DeviceUse]:
        """The GPUs of this machine with its trials, memory and load, while trials of it run on them."""
        return self._client.devices(self._name)

    @property
    def folder(self) -> Path | None:
        """Where its trials keep their files; None if that is not on this machine."""
        return self._client.folder(self._name)

    def changes(self) -> Iterator[StudyResult]:
        """Its record now and after each change, until nobody drives it any more."""
        return self._client.changes(self._name)

    def wait(self, timeout: float | None = None, *, progress: Progress | None = None) -> StudyResult:
        """Wait until it has ended or was interrupted.

        Args:
            timeout: at most so many seconds; None: as long as it takes.
            progress: is called with the record now and whenever it has changed.

        Raises:
            WaitTimeoutError: the time is over; the run goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        for last in self._client.changes(self._name, end):
            if progress is not None:
                progress(last)
        if last.state in {RunState.PENDING, RunState.RUNNING, RunState.STOPPING}:
            msg = f"run {self.ref} has not ended after {timeout:g} s"
            raise WaitTimeoutError(msg, hint="wait again, or follow it")
        return last

    def stop(self, trial: int | None = None) -> None:
        """Ask it, or one of its trials, to stop.

        Returns at once if the run is driven. If nobody drives it any more, this process stops what is left of it, which
        takes at most the grace.
        """
        self._client.stop(self._name, trial)

    def resume(self, progress: Progress | None = None) -> None:
        """Go on with it in this process, to its end, after it was interrupted or stopped.

        Raises:
            ConflictError: it has ended, or another process or a service drives it.
        """
        self._client.drive(self._name, progress)

    def begin(self) -> None:
        """Drive it in this process if nobody has yet: what `submit` does in a process of its own."""
        self._client.drive(self._name, fresh=True)

    def delete(self) -> None:
        """Forget it and remove its files."""
        self._client.delete(self._name)

    def logs(self, trial: int, *, follow: bool = False) -> Iterator[str]:
        """Lines that a trial wrote; with `follow`, until it ends."""
        return self._client.logs(self._name, trial, follow=follow)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per trial, as StudyResult.to_records.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            from pandas import DataFrame  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError("to_dataframe needs pandas", hint="pip install 'tuneport[report]'") from error
        return DataFrame(self.result.to_records())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, Path | None]:
        return self.ref, self.folder

    def __repr__(self) -> str:
        return f"<tuneport.Run {self.ref}>"


def parts(ref: str) -> tuple[str, str]:
    """The backend of a reference, and what the backend calls the run.

    Raises:
        TypeError: the reference is not text.
    """
    if not isinstance(ref, str):
        raise TypeError(f"a run's reference must be text such as 'local:digits-7f3a', not {type(ref).__name__}")
    backend, colon, name = ref.partition(":")
    return (backend, name) if colon else (LOCAL, ref)
