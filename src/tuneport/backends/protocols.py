"""What a backend is: a nameplate with data, two pure functions over plain JSON, and one client that may load an SDK."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar

from tuneport.engine.launch import LaunchContract
from tuneport.model.job import TuningJob
from tuneport.model.results import StudyResult
from tuneport.model.word import Word
from tuneport.translation.capabilities import Capabilities

PROTOCOL_VERSION = 1
"""Raised when a backend written for the old protocols would no longer work."""

Json: TypeAlias = dict[str, Any]
"""A JSON object, as it is sent to or comes from a service."""
JobRef: TypeAlias = str
"""Where a submitted job is found again, in the backend's own words; ``backend:ref`` is what people write."""

S = TypeVar("S", bound=Word)
S_co = TypeVar("S_co", bound=Word, covariant=True)


class Backend(Protocol[S_co]):
    """What every backend says about itself. Importing it loads no SDK and touches nothing."""

    @property
    def name(self) -> str:
        """The word after `--on`; also its entry point's name and its section in tuneport.toml."""

    @property
    def protocol_version(self) -> int:
        """The PROTOCOL_VERSION that it was written for."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, as data."""

    @property
    def settings_type(self) -> type[S_co]:
        """What it needs that is not tuning: places, accounts, roles. Settings never migrate."""

    @property
    def launch(self) -> LaunchContract:
        """How parameters reach a trial there, and how metrics leave it."""


class Translator(Protocol[S]):
    """Our words to a service's and back. Pure: no SDK, clock, file or network; arguments are never changed."""

    def to_native(self, job: TuningJob, settings: S) -> Json:
        """The request that asks the service for this job; what it has no word for is left out."""

    def from_native(self, payload: Json) -> tuple[TuningJob, S]:
        """The job that a request asks for.

        Raises:
            PayloadError: the request is malformed; nothing else is ever raised.
        """


class StatusCodec(Protocol):
    """A service's account of a run to our results and, for its emulator, back. Pure."""

    def parse(self, described: Json, trials: Iterable[Json]) -> StudyResult:
        """Our record of what the service described."""

    def render(self, result: StudyResult) -> Json:
        """What the service would answer for this record."""


class Client(Protocol):
    """A connection to a service. It knows JSON, never the model; its errors are all BackendErrors."""

    def submit(self, payload: Json) -> JobRef:
        """Start the job, once: a repeated call with the same payload finds the job that is already there."""

    def describe(self, ref: JobRef) -> Json:
        """The job's state in the service's words."""

    def trials(self, ref: JobRef) -> Iterator[Json]:
        """Its trials in the service's words."""

    def stop(self, ref: JobRef, trial: str | None = None) -> None:
        """Stop one trial, or all of the job."""

    def delete(self, ref: JobRef) -> None:
        """Remove the job's record where the service allows it."""

    def logs(self, ref: JobRef, trial: str) -> Iterator[str]:
        """Lines that a trial wrote."""


class Cloud(Backend[S], Protocol[S]):
    """A backend that is a service elsewhere: jobs go there in its own words."""

    @property
    def translator(self) -> Translator[S]:
        """Jobs to its requests and back."""

    @property
    def status(self) -> StatusCodec:
        """Its answers to our results and back."""

    def connect(self, settings: S, *, endpoint: str | None = None) -> Client:
        """Open a connection. The first place where an SDK may load.

        Raises:
            BackendNotInstalledError: its SDK is not there.
            AuthError: it has no credentials.
        """
