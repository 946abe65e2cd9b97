"""What a backend is: a nameplate with data, two pure functions over plain JSON, and one client that may load an SDK."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from tuneport.engine.launch import LaunchContract, TrialContext
from tuneport.errors import Problem
from tuneport.model.job import TuningJob
from tuneport.model.results import Failure, StudyResult
from tuneport.model.trial_spec import TrialSpec
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


@dataclass(frozen=True, slots=True)
class Reading:
    """A native document, unwrapped and in its service's own spelling, before it is understood.

    Attributes:
        form: what kind of document it is; one of the translator's forms.
        request: what it asks for, in canonical spelling: names, types and defaults as the translator writes them.
        response: what the service said besides, such as states and trials; empty for a request.
    """

    form: str
    request: Json
    response: Json = field(default_factory=dict)


class Translator(Protocol[S]):
    """Our words to a service's and back. Pure: no SDK, clock, file or network; arguments are never changed."""

    @property
    def forms(self) -> tuple[str, ...]:
        """The kinds of documents that it writes; the first is what is submitted."""

    def read(self, document: Json) -> Reading:
        """Recognise a document, take off its wrapping, and check it by the vendor's own schema and the known rules.

        Raises:
            PayloadError: it is malformed, with every problem; nothing else is ever raised.
        """

    def write(self, reading: Reading) -> Json:
        """The inverse of `read`: the document of that form which says this."""

    def to_native(self, job: TuningJob, settings: S, form: str) -> Json:
        """The canonical request, for this form, that asks for the job; what it has no word for is left out."""

    def from_native(self, request: Json, form: str) -> tuple[TuningJob, S]:
        """The job that a canonical request asks for.

        Raises:
            PayloadError: it makes no job.
            JobError: likewise, found by the model itself.
        """

    def problems(self, request: Json, form: str) -> list[Problem]:
        """Everything for which the service would refuse the request, by its schema and by its documented rules."""


class StatusCodec(Protocol):
    """A service's account of a run to our results and, for its emulator, back. Pure."""

    def parse(self, described: Json, trials: Iterable[Json]) -> StudyResult:
        """Our record of what the service described."""

    def render(self, result: StudyResult) -> Json:
        """What the service would answer for this record."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at on the way to a service.

    Attributes:
        what: such as "credentials" or "endpoint".
        found: what it is, secrets masked.
        ok: whether it is as it must be.
        hint: the way out, if it is not.
    """

    what: str
    found: str
    ok: bool = True
    hint: str | None = None


class Client(Protocol):
    """A connection to a service. It knows JSON, never the model; its errors are all BackendErrors.

    Reads are repeated by the client itself where the service is throttling or failing; see `retries`.
    """

    def submit(self, payload: Json, token: str, *, again: bool = False) -> JobRef:
        """Start a job, once.

        Args:
            payload: a document of a form that can be submitted.
            token: marks the job there, as a part of its name or as a label, so that it can be found.
            again: an earlier call with this token may have got through: look before anything is sent.

        Returns:
            The job's reference, which begins with its region and a slash.

        Raises:
            ConflictError: the name is taken by another job.
            BackendError: the service refuses it.
        """

    def describe(self, ref: JobRef) -> Json:
        """The job's state in the service's words."""

    def trials(self, ref: JobRef) -> Iterator[Json]:
        """Its trials in the service's words, read in pages; nothing where `describe` has them already."""

    def stop(self, ref: JobRef, trial: str | None = None) -> None:
        """Stop one trial, by the name that the service has for it, or all of the job."""

    def delete(self, ref: JobRef) -> None:
        """Remove the job's record where the service allows it."""

    def logs(self, ref: JobRef, trial: str) -> Iterator[str]:
        """Lines that a trial wrote, as far as there are any yet."""

    def probe(self, payload: Json | None = None) -> Iterator[Finding]:
        """What stands between here and the service: credentials, endpoint, and what harmless reads are answered.

        Args:
            payload: a job that is to go there; as far as that can be read, it is said whether what it names is there.
        """


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


# ---- single training jobs, by which our own search drives trials there ----------------------------------------------


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A training job as its service sees it.

    Attributes:
        started: when it began to run, in POSIX seconds; None: it waits for its machines.
        ended: when it ended; None: it has not.
        failure: why it did not end well; CANCELLED if it was stopped, by whomever.
    """

    started: float | None = None
    ended: float | None = None
    failure: Failure | None = None


class SingleJobs(Protocol):
    """The training jobs of one run. May be used from several threads; its errors are all BackendErrors."""

    late: float
    """Seconds after a job's end within which its last lines may still come."""

    def submit(self, document: Json, *, again: bool = False) -> JobRef:
        """Start a job, once.

        Args:
            document: of the backend's `TrainingForm`; its name, or a label, is that of no other attempt of any trial.
            again: an earlier call with it may have got through: look before anything is sent.

        Raises:
            BackendError: the service refuses it, or could not be reached.
        """

    def poll(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """How jobs are, in few calls: by lists, where services have them."""

    def lines(self, refs: Collection[JobRef]) -> Mapping[JobRef, list[str]]:
        """What jobs have written since the last call about each of them, which begins with their first line."""

    def stop(self, ref: JobRef) -> None:
        """Ask a job to end. No effect if it has.

        Raises:
            BackendError: the service could not be asked.
        """


class TrainingForm(Protocol):
    """A trial as one training job. Pure."""

    @property
    def form(self) -> str:
        """The kind of document, one of the translator's, that a job of a single point is said in."""

    def translated(self, trial: TrialSpec) -> TrialSpec:
        """What is left of a trial to be translated: without what `document` says by itself, in words tuners lack."""

    def document(self, request: Json, trial: TrialContext) -> Json:
        """The training job of a trial.

        Args:
            request: the canonical request, in that form, for a translated job that searches nothing but its point.
            trial: which trial it is; `engine.launch.token` is the job's name, or on its label.
        """


class Drivable(Cloud[S], Protocol[S]):
    """A cloud whose trials our own search can drive: each is a training job by itself."""

    @property
    def training(self) -> TrainingForm:
        """Trials as training jobs."""

    def jobs(self, settings: S, run: str, *, endpoint: str | None = None) -> SingleJobs:
        """Open a connection for the training jobs of a run, whose id is in all of their names or labels.

        Raises:
            BackendNotInstalledError: its SDK is not there.
            AuthError: it has no credentials.
        """
