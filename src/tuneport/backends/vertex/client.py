"""Vertex AI by its REST interface, with Google's own session and credentials: requests and replies are plain JSON.

google-cloud-aiplatform says the same in classes of its own; loading those takes several times as long as all of this.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, unquote

from tuneport.backends import retries
from tuneport.backends.protocols import Finding, JobRef
from tuneport.backends.vertex.settings import VertexSettings
from tuneport.errors import (
    AuthError,
    BackendError,
    BackendNotInstalledError,
    ConflictError,
    Problem,
    QuotaError,
    RunNotFoundError,
    UnavailableError,
)
from tuneport.model.word import pointer

if TYPE_CHECKING:
    from tuneport.backends.vertex.gapic import Gapic

Json: TypeAlias = dict[str, Any]

LABEL = "tuneport"
"""The label that marks a job with its token."""
TUNING_JOBS, CUSTOM_JOBS, PIPELINES = "hyperparameterTuningJobs", "customJobs", "trainingPipelines"
_KINDS = (("trainingTaskDefinition", PIPELINES), ("studySpec", TUNING_JOBS), ("jobSpec", CUSTOM_JOBS))
"""By which member a document is known, and where it goes."""
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and to wait for an answer."""
_POLL = 1.0
"""Seconds between looks at an operation that is under way."""
_PATIENCE = 300.0
_LOG_PAGE = 1000
_NO_PROJECT = "set project in [vertex] of tuneport.toml, TUNEPORT_VERTEX__PROJECT or GOOGLE_CLOUD_PROJECT"


def connect(settings: VertexSettings, endpoint: str | None = None) -> VertexClient:
    """Open a connection with application default credentials; to a place without TLS, with none.

    Raises:
        BackendNotInstalledError: google-auth or requests is not there.
        AuthError: there are no credentials.
    """
    try:
        import google.auth  # noqa: PLC0415
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415
    except ImportError as error:
        message, hint = "Vertex AI needs packages that are not installed", "pip install 'tuneport[vertex]'"
        raise BackendNotInstalledError(message, backend="vertex", hint=hint) from error
    place = endpoint or settings.endpoint
    credentials: Any
    project: str | None
    if place is not None and place.startswith("http://"):  # an emulator; real credentials never travel in the clear
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
        project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    else:
        try:
            credentials, project = google.auth.default(scopes=[_SCOPE])
        except GoogleAuthError as error:
            hint = "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS"
            raise AuthError(f"no credentials for Google Cloud: {error}", backend="vertex", hint=hint) from error
    universe = getattr(credentials, "universe_domain", "googleapis.com")
    service = (place or f"https://{settings.region}-aiplatform.{universe}").rstrip("/")
    logging = service if service.startswith("http://") else f"https://logging.{universe}"
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    gapic = None
    if settings.transport == "grpc":
        from tuneport.backends.vertex.gapic import Gapic  # noqa: PLC0415 - takes some seconds

        gapic = Gapic(None if service.startswith("http://") else credentials, service.partition("://")[2])
    return VertexClient(session, settings.project or project, settings.region, service, logging, gapic)


class VertexClient:
    """One region.

    References are ``REGION/PROJECT/ID`` of a tuning job; what else there is has its collection before the id, such as
    ``europe-west4/my-project/trainingPipelines/123``.

    Args:
        session: sends requests, with credentials.
        project: where new jobs go; None: they go nowhere, but references have projects of their own.
        region: likewise.
        service: URL of the service.
        logging: URL of Cloud Logging.
        gapic: makes the calls of the service, if they are not to go through the session.
    """

    def __init__(
        self, session: Any, project: str | None, region: str, service: str, logging: str, gapic: Gapic | None = None
    ) -> None:
        self._session = session
        self._project = project
        self._region = region
        self._service = f"{service}/v1"
        self._logging = f"{logging}/v2"
        self._gapic = gapic

    def submit(self, payload: Json, token: str, *, again: bool = False) -> JobRef:
        """Start a job, once; its label says the token."""
        collection = next((place for member, place in _KINDS if _member(payload, member)), None)
        if collection is None:
            hint = "a HyperparameterTuningJob, a TrainingPipeline or a CustomJob can be; see --form"
            raise BackendError("a document of this kind cannot be submitted to Vertex AI", backend="vertex", hint=hint)
        if self._project is None:
            message = "nothing says which project of Google Cloud is meant"
            raise AuthError(message, backend="vertex", hint=_NO_PROJECT)
        url = self._collection(collection, self._project)
        title = payload.get("displayName", payload.get("display_name"))
        marked = payload | {"labels": {**(payload.get("labels") or {}), LABEL: token}}

        def find() -> JobRef | None:
            query = {"filter": f'labels.{LABEL}="{token}"', "readMask": "name,displayName"}
            found = self._listed(lambda page: self._call("GET", url, query=query | page), collection)
            return next((ref_of(one["name"]) for one in found if one.get("displayName") == title), None)

        return retries.submit(lambda: ref_of(self._resource("POST", url, marked)["name"]), find, again=again)

    def describe(self, ref: JobRef) -> Json:
        """The job, with its trials if it has any."""
        return self._get(_name(ref))

    def trials(self, ref: JobRef) -> Iterator[Json]:
        """Of a pipeline, the trials of the tuning job behind it; other descriptions hold theirs."""
        if f"/{PIPELINES}/" not in ref:
            return
        backing = (self.describe(ref).get("trainingTaskMetadata") or {}).get("backingHyperparameterTuningJob")
        if backing is not None:
            yield from self._get(backing).get("trials", ())

    def stop(self, ref: JobRef, trial: str | None = None) -> None:
        """Cancel the job; single trials cannot be.

        Raises:
            ConflictError: it has ended.
        """
        if trial is not None:
            message = "Vertex AI cannot stop one trial of a tuning job"
            raise BackendError(message, backend="vertex", hint="stop the whole job, or let early stopping decide")
        self._change(lambda: self._call("POST", f"{self._url(ref)}:cancel", {}), done=ConflictError)

    def delete(self, ref: JobRef) -> None:
        """Delete the job's record; what trials wrote stays where it is.

        Raises:
            ConflictError: it has not ended.
        """
        operation = self._change(lambda: self._call("DELETE", self._url(ref)), done=RunNotFoundError)
        end = time.monotonic() + _PATIENCE
        while not operation.get("done", not operation):
            if time.monotonic() > end:
                raise UnavailableError(f"the deletion of {ref} takes long: {operation.get('name')}", backend="vertex")
            time.sleep(_POLL)
            operation = self._get(operation["name"])
        if error := operation.get("error"):
            raise refusal(_CODES.get(error.get("code", 2), "UNKNOWN"), error)

    def logs(self, ref: JobRef, trial: str) -> Iterator[str]:
        """What a trial wrote, as Cloud Logging has it."""
        job = self._get(_name(ref))
        if f"/{PIPELINES}/" in ref:
            job = self._get(job["trainingTaskMetadata"]["backingHyperparameterTuningJob"])
        trials = {one["id"]: one for one in job.get("trials", ())}
        own = _last(trials[trial].get("customJob", "")) if trial in trials else _last(job["name"])
        for entry in self.entries(job["name"].split("/")[1], _log_filter(_last(job["name"]), trial, own)):
            yield from lines_of(entry)

    def entries(self, project: str, wanted: str) -> Iterator[Json]:
        """Entries of Cloud Logging in the order of time, by a filter in its words."""
        body = {
            "resourceNames": [f"projects/{project}"],
            "filter": wanted,
            "orderBy": "timestamp asc",
            "pageSize": _LOG_PAGE,
        }
        url = f"{self._logging}/entries:list"
        yield from self._listed(lambda page: retries.read(lambda: self._call("POST", url, body | page)), "entries")

    def listed(self, collection: str, wanted: str, mask: str) -> Iterator[Json]:
        """Resources of the project, page by page, by a filter in the service's words; of each what the mask names."""
        url, query = self._collection(collection, self._project or "-"), {"filter": wanted, "readMask": mask}
        yield from self._listed(
            lambda page: retries.read(lambda: self._call("GET", url, query=query | page)), collection
        )

    @property
    def emulated(self) -> bool:
        """Whether it is an emulator that is talked to: a place without TLS."""
        return self._service.startswith("http://")

    def probe(self, payload: Json | None = None) -> Iterator[Finding]:
        """The way to Vertex AI as Google's own settings have it, and whether jobs, pipelines and logs may be read."""
        del payload  # what jobs name belongs to other services
        credentials = self._session.credentials
        account = getattr(credentials, "service_account_email", None) or getattr(credentials, "account", None)
        kind = "none" if self._service.startswith("http://") else type(credentials).__module__.removeprefix("google.")
        yield Finding("credentials", f"{kind} {account}" if account else kind)
        yield Finding("project", self._project or "none", ok=self._project is not None, hint=_NO_PROJECT)
        yield Finding("region", self._region)
        yield Finding("endpoint", self._service.removesuffix("/v1"))
        if self._project is None:
            return
        jobs = partial(self._call, "GET", self._collection(TUNING_JOBS, self._project), query={"pageSize": "1"})
        yield _readable("tuning jobs", jobs)
        pipelines = partial(self._call, "GET", self._collection(PIPELINES, self._project), query={"pageSize": "1"})
        yield _readable("pipelines", pipelines)
        body = {"resourceNames": [f"projects/{self._project}"], "pageSize": 1}
        yield _readable("logs", partial(self._call, "POST", f"{self._logging}/entries:list", body))

    # ---- calls -------------------------------------------------------------------------------------------------

    def _collection(self, name: str, project: str) -> str:
        return f"{self._service}/projects/{_quoted(project)}/locations/{self._region}/{name}"

    def _url(self, ref: JobRef) -> str:
        return f"{self._service}/{_quoted(_name(ref))}"

    def _get(self, name: str) -> Json:
        return retries.read(lambda: self._resource("GET", f"{self._service}/{_quoted(name)}"))

    def _resource(self, method: str, url: str, body: Json | None = None) -> Json:
        """One request, and the resource that the reply describes."""
        said = self._call(method, url, body)
        if not isinstance(said.get("name"), str):
            raise UnavailableError("Vertex AI: the reply says nothing of a resource", backend="vertex")
        return said

    def _listed(self, call: Callable[[dict[str, str]], Json], key: str) -> Iterator[Json]:
        """All of a list, page by page; pages may be empty."""
        page: dict[str, str] = {}
        while True:
            reply = call(page)
            yield from reply.get(key, ())
            if not (token := reply.get("nextPageToken")):
                return
            page = {"pageToken": token}

    def _change(self, call: Callable[[], Json], done: type[BackendError]) -> Json:
        """Make a call whose repetition does no harm; of a repeated one, `done` says that an earlier one got through."""
        tried = False

        def attempt() -> Json:
            nonlocal tried
            repeated, tried = tried, True
            try:
                return call()
            except done:
                if not repeated:
                    raise
                return {}

        return retries.read(attempt)

    def _call(self, method: str, url: str, body: Json | None = None, query: Mapping[str, str] | None = None) -> Json:
        """One request and its reply.

        Raises:
            BackendError: of the kind that fits; what google-auth or requests raised is its cause.
        """
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        from requests.exceptions import HTTPError  # noqa: PLC0415

        if self._gapic is not None and url.startswith(f"{self._service}/"):
            return self._gapic.call(method, unquote(url.removeprefix(f"{self._service}/")), body, query)
        try:
            reply = self._session.request(method, url, json=body, params=query, timeout=TIMEOUT)
            reply.raise_for_status()
            said = reply.json() if reply.content else {}
        except HTTPError as error:
            raise _of_status(error.response) from error
        except (GoogleAuthError, OSError) as error:  # all of requests' are OSErrors
            raise _of_exception(error) from error
        if not isinstance(said, dict):
            raise UnavailableError("Vertex AI: the reply is no JSON object", backend="vertex")
        return said


def _readable(what: str, call: Callable[[], Json]) -> Finding:
    """Whether something may be read."""
    try:
        retries.read(call)
    except BackendError as error:
        return Finding(what, error.message, ok=False, hint=error.hint)
    return Finding(what, "may be read")


# ---- names ----------------------------------------------------------------------------------------------------------


def _member(payload: Json, name: str) -> bool:
    """Whether a document has a member, by its JSON name or the proto's own."""
    return name in payload or re.sub(r"([A-Z])", r"_\1", name).lower() in payload


def ref_of(name: str) -> JobRef:
    """The reference of a resource."""
    _, project, _, region, collection, number = name.split("/")
    return "/".join((region, project, *([] if collection == TUNING_JOBS else [collection]), number))


def _name(ref: JobRef) -> str:
    """The resource of a reference.

    Raises:
        RunNotFoundError: it is none.
    """
    region, project, *rest = [*ref.split("/"), "", ""][: max(2, ref.count("/") + 1)]
    if not all((region, project, *rest)) or not 1 <= len(rest) <= 2:
        hint = "such as us-central1/my-project/4611686018427387904"
        raise RunNotFoundError(f"'{ref}' is no job of Vertex AI", backend="vertex", hint=hint)
    return f"projects/{project}/locations/{region}/{'/'.join(rest if len(rest) == 2 else [TUNING_JOBS, *rest])}"


def _quoted(name: str) -> str:
    return quote(name, safe="/:")


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def lines_of(entry: Json) -> list[str]:
    """The lines of an entry of Cloud Logging."""
    payload = entry.get("jsonPayload") or {}
    return str(payload.get("message") or entry.get("textPayload") or "").splitlines()


def _log_filter(job: str, trial: str, custom_job: str) -> str:
    """What a trial's machines wrote, known by its own job or by a label, without what the service says of itself."""
    own = f'resource.labels.job_id="{custom_job}"'
    shared = f'(resource.labels.job_id="{job}" AND labels."ml.googleapis.com/trial_id"="{trial}")'
    return f'resource.type="ml_job" AND ({own} OR {shared}) AND NOT resource.labels.task_name="service"'


# ---- errors ---------------------------------------------------------------------------------------------------------

STATUSES: Mapping[str, type[BackendError]] = {
    "CANCELLED": UnavailableError,
    "UNKNOWN": UnavailableError,
    "INVALID_ARGUMENT": BackendError,
    "DEADLINE_EXCEEDED": UnavailableError,
    "NOT_FOUND": RunNotFoundError,
    "ALREADY_EXISTS": ConflictError,
    "PERMISSION_DENIED": AuthError,
    "RESOURCE_EXHAUSTED": QuotaError,
    "FAILED_PRECONDITION": ConflictError,
    "ABORTED": UnavailableError,
    "OUT_OF_RANGE": BackendError,
    "UNIMPLEMENTED": BackendError,
    "INTERNAL": UnavailableError,
    "UNAVAILABLE": UnavailableError,
    "DATA_LOSS": BackendError,
    "UNAUTHENTICATED": AuthError,
}
"""google.rpc.Code to our errors, in the order of the codes from 1."""
_CODES = dict(enumerate(STATUSES, start=1))
_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
}
"""What is meant where a proxy, and not the service, has answered."""
_OF_THE_PROJECT = re.compile(r"exceed quota limits|_(cpus|gpus|tpus)\b", re.IGNORECASE)
"""What a refusal says that waiting a little does not help against; other quotas are filled up every minute."""


def _of_status(reply: Any) -> BackendError:
    """The error of a reply with a status of 4xx or 5xx."""
    try:
        error = reply.json()["error"]
        status = error.get("status")
    except (ValueError, LookupError, TypeError, AttributeError):
        error, status = {"message": reply.text[:300] or reply.reason}, None
    if status not in STATUSES:
        status = status_of_http(reply.status_code)
    return refusal(status, error)


def status_of_http(code: int) -> str:
    """What is meant by a status of HTTP that says no more."""
    return _HTTP.get(code, "INVALID_ARGUMENT" if code < 500 else "UNAVAILABLE")


def refusal(status: str, error: Json) -> BackendError:
    """What the service has against a call, in our words."""
    message = " ".join(str(error.get("message", "")).split()) or "no reason is given"
    kind = STATUSES[status]
    if kind is QuotaError and not _OF_THE_PROJECT.search(message):
        kind = UnavailableError
    hint = "look at the credentials, and at what their account may do" if kind is AuthError else None
    return kind(f"Vertex AI: {message} ({status})", backend="vertex", hint=hint, problems=_violations(error))


def _violations(error: Json) -> list[Problem]:
    details = [one for one in error.get("details") or () if isinstance(one, dict)]
    violations = [one for detail in details for one in detail.get("fieldViolations", ())]
    return [Problem(_pointer(one.get("field", "")), one.get("description", "")) for one in violations]


def _pointer(field: str) -> str:
    """The JSON pointer of a path such as ``trial_job_spec.worker_pool_specs[0]``."""
    words = re.findall(r"[^.\[\]]+", field)
    return pointer([re.sub(r"_([a-z])", lambda match: match[1].upper(), word) for word in words])


def _of_exception(error: Exception) -> BackendError:
    """The error of a call that has had no answer."""
    from google.auth import exceptions as auth  # noqa: PLC0415
    from requests import exceptions as http  # noqa: PLC0415

    passing = (
        auth.TransportError,
        auth.TimeoutError,
        http.ConnectionError,
        http.Timeout,
        http.RetryError,
        http.ChunkedEncodingError,
        http.ContentDecodingError,
        http.JSONDecodeError,
        ConnectionError,
    )
    if getattr(error, "retryable", False) or (isinstance(error, passing) and not isinstance(error, http.SSLError)):
        return UnavailableError(f"Vertex AI cannot be reached: {error}", backend="vertex")
    if isinstance(error, auth.GoogleAuthError):
        return AuthError(f"Vertex AI: the credentials are of no use: {error}", backend="vertex")
    return BackendError(f"Vertex AI cannot be reached: {error}", backend="vertex")
