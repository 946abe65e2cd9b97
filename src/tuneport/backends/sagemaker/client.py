"""SageMaker's API and its log service through botocore, the part of boto3 that all of AWS's own settings belong to.

botocore's own retries are off: a creation that is sent again behind our back would find its own name taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache, cached_property
from typing import Any, TypeVar

from tuneport.backends import retries
from tuneport.backends.protocols import Finding, JobRef, Json
from tuneport.backends.sagemaker.settings import SageMakerSettings
from tuneport.errors import (
    AuthError,
    BackendError,
    BackendNotInstalledError,
    ConflictError,
    QuotaError,
    RunNotFoundError,
    UnavailableError,
)

T = TypeVar("T")

BACKEND = "sagemaker"
NAME, TRAINING = "HyperParameterTuningJobName", "TrainingJobName"
LONGEST_NAME = 32
PAGE = 100
"""Trials per call, as many as the service gives."""
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
CONNECT_TIMEOUT = 10
"""Seconds until an address counts as unreachable."""


class SageMakerClient:
    """A connection to one region. May be used from several threads.

    Args:
        settings: region, profile and endpoint; what they leave open is as AWS's own settings say.
        endpoint: instead of that of the settings.

    Raises:
        BackendNotInstalledError: boto3 is not there.
        AuthError: there are no credentials.
        BackendError: AWS's settings make no connection.
    """

    def __init__(self, settings: SageMakerSettings, endpoint: str | None = None) -> None:
        self._endpoint = endpoint or settings.endpoint
        try:
            from botocore.session import Session  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise BackendNotInstalledError(
                "SageMaker needs boto3", backend=BACKEND, hint="pip install 'tuneport[sagemaker]'"
            ) from error
        self._session = _translated(lambda: Session(profile=settings.profile))
        data = _translated(lambda: self._session.get_config_variable("data_path"))
        self._session.register_component("data_loader", _loader(data))
        self._region = settings.region
        self._service = self._connected(BACKEND)
        if _translated(self._session.get_credentials) is None:
            raise AuthError("there are no AWS credentials", backend=BACKEND, hint="aws configure, or AWS_PROFILE")
        self._region = self._service.meta.region_name

    def submit(self, payload: Json, token: str, *, again: bool = False) -> JobRef:
        """Start a tuning job, once. The token is the end of its name, so that its name tells whether it was sent."""
        request = payload | {NAME: _marked(str(payload.get(NAME, "")), token)}
        return self._create("hyper_parameter_tuning_job", NAME, request, again=again)

    def train(self, request: Json, *, again: bool = False) -> JobRef:
        """Start a training job, once, by a request whose name no other job has; see `submit`."""
        return self._create("training_job", TRAINING, request, again=again)

    def _create(self, kind: str, member: str, request: Json, *, again: bool) -> JobRef:
        ref = f"{self._region}/{request[member]}"
        create = _first_refusal(lambda: self._call(f"create_{kind}", **request), ConflictError, tried=again)

        def created() -> JobRef:
            create()
            return ref

        def found() -> JobRef | None:
            try:
                self._call(f"describe_{kind}", **{member: request[member]})
            except RunNotFoundError:
                return None
            return ref

        return retries.submit(created, found, again=again)

    def describe(self, ref: JobRef) -> Json:
        """What DescribeHyperParameterTuningJob answers."""
        return self._read("describe_hyper_parameter_tuning_job", **_named(ref))

    def trials(self, ref: JobRef) -> Iterator[Json]:
        """Summaries of its training jobs, the oldest first, so that new ones move no page."""
        request = {**_named(ref), "MaxResults": PAGE, "SortBy": "CreationTime", "SortOrder": "Ascending"}
        for page in self._pages("list_training_jobs_for_hyper_parameter_tuning_job", "NextToken", request):
            yield from page["TrainingJobSummaries"]

    def training(self, name: str) -> Json:
        """What DescribeTrainingJob answers."""
        return self._read("describe_training_job", **{TRAINING: name})

    def trainings(self, part: str) -> Iterator[Json]:
        """Summaries of the training jobs whose names have a part, the newest first."""
        request = {"NameContains": part, "MaxResults": PAGE, "SortBy": "CreationTime", "SortOrder": "Descending"}
        for page in self._pages("list_training_jobs", "NextToken", request):
            yield from page["TrainingJobSummaries"]

    def stop(self, ref: JobRef, trial: str | None = None) -> None:
        """Stop the training job of that name, or the tuning job with all of them."""
        if trial is None:
            self._surely("stop_hyper_parameter_tuning_job", _named(ref), ConflictError)
        else:
            self._surely("stop_training_job", {TRAINING: trial}, ConflictError)

    def delete(self, ref: JobRef) -> None:
        """Delete the tuning job, which must have ended; its training jobs, their logs and results stay."""
        self._surely("delete_hyper_parameter_tuning_job", _named(ref), RunNotFoundError)

    def logs(self, ref: JobRef, trial: str) -> Iterator[str]:
        """What a training job's containers wrote, in the order of time; nothing before they have begun."""
        del ref  # names of training jobs are the account's
        request = {"logGroupName": LOG_GROUP, "logStreamNamePrefix": f"{trial}/"}
        try:
            for page in self._pages("filter_log_events", "nextToken", request, self._logs):
                yield from (event["message"].rstrip("\n") for event in page.get("events", ()))
        except RunNotFoundError:  # the group is made with the first log
            return

    def streams(self, trial: str) -> list[str]:
        """Names of the logs of a training job's containers; none before they have begun."""
        request = {"logGroupName": LOG_GROUP, "logStreamNamePrefix": f"{trial}/"}
        try:
            pages = list(self._pages("describe_log_streams", "nextToken", request, self._logs))
        except RunNotFoundError:  # the group is made with the first log
            return []
        return [one["logStreamName"] for page in pages for one in page["logStreams"]]

    def read_on(self, stream: str, place: str | None) -> tuple[list[str], str]:
        """The lines of a log from a place that an earlier call gave, or from the beginning, and where they end."""
        lines: list[str] = []
        while True:
            more = {"startFromHead": True} if place is None else {"nextToken": place}
            request = {"logGroupName": LOG_GROUP, "logStreamName": stream, **more}
            page = self._read("get_log_events", service=self._logs, **request)
            lines += [line for event in page["events"] for line in event["message"].splitlines()]
            if page["nextForwardToken"] == place:  # pages may be empty before the end
                return lines, page["nextForwardToken"]
            place = page["nextForwardToken"]

    @property
    def emulated(self) -> bool:
        """Whether it is an emulator that is talked to: a place without TLS."""
        return str(self._service.meta.endpoint_url).startswith("http://")

    def probe(self, payload: Json | None = None) -> Iterator[Finding]:
        """The way to SageMaker as AWS's own settings have it, and whether tuning jobs and logs may be read."""
        del payload  # what jobs name belongs to other services
        credentials = _translated(self._session.get_credentials)
        key = _translated(credentials.get_frozen_credentials).access_key
        yield Finding("credentials", f"{key[:4]}…{key[-2:]} from {credentials.method}")
        yield Finding("region", self._service.meta.region_name)
        yield Finding("endpoint", self._service.meta.endpoint_url)
        jobs = self._pages("list_hyper_parameter_tuning_jobs", "NextToken", {"MaxResults": 1})
        yield _readable("tuning jobs", jobs)
        logs = self._pages("filter_log_events", "nextToken", {"logGroupName": LOG_GROUP, "limit": 1}, self._logs)
        yield _readable("logs", logs)

    @cached_property
    def _logs(self) -> Any:
        return self._connected("logs")

    def _connected(self, service: str) -> Any:
        from botocore.config import Config  # noqa: PLC0415 - an extra

        config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=CONNECT_TIMEOUT)
        client = _translated(
            lambda: self._session.create_client(
                service, region_name=self._region, endpoint_url=self._endpoint, config=config
            )
        )
        client.meta.events.register("before-parse", _check_answer)
        return client

    def _call(self, method: str, *, service: Any = None, **request: Any) -> Json:
        answer: Json = _translated(lambda: getattr(service or self._service, method)(**request))
        return {name: _plain(value) for name, value in answer.items() if name != "ResponseMetadata"}

    def _read(self, method: str, *, service: Any = None, **request: Any) -> Json:
        return retries.read(lambda: self._call(method, service=service, **request))

    def _pages(self, method: str, token: str, request: Json, service: Any = None) -> Iterator[Json]:
        while True:
            page = self._read(method, service=service, **request)
            yield page
            if not page.get(token):
                return
            request = request | {token: page[token]}

    def _surely(self, method: str, request: Json, done: type[BackendError]) -> None:
        """Make a change that the service refuses with `done` when it is asked for again."""
        retries.read(_first_refusal(lambda: self._call(method, **request), done))


def _check_answer(operation_model: Any, response_dict: Json, **_: Any) -> None:
    """See to it that botocore's parser gets an answer of the service: of a proxy's page it would make an empty one.

    Raises:
        UnavailableError: it is none; of a refusal that cannot be read, the status is left.
    """
    try:
        found = json.loads(response_dict["body"] or "{}")
    except ValueError:
        found = None
    if response_dict["status_code"] >= 300:
        if not isinstance(found, dict):
            response_dict["body"] = b""
        return
    expected = operation_model.output_shape.required_members if operation_model.output_shape else ()
    if not isinstance(found, dict) or (expected and found.keys().isdisjoint(expected)):
        message = f"SageMaker: the answer to {operation_model.name} cannot be read"
        raise UnavailableError(message, backend=BACKEND)


@cache
def _loader(data: str | None) -> Any:
    """Reads botocore's descriptions of services, once for all connections: SageMaker's takes longer than a call."""
    from botocore.loaders import create_loader  # noqa: PLC0415 - an extra

    return create_loader(data)


def _readable(what: str, pages: Iterator[Json]) -> Finding:
    """Whether the first of these pages can be had; what is not there yet may be read all the same."""
    try:
        next(pages)
    except RunNotFoundError:
        pass
    except BackendError as error:
        return Finding(what, error.message, ok=False, hint=error.hint)
    return Finding(what, "can be read")


def _first_refusal(call: Callable[[], object], done: type[BackendError], *, tried: bool = False) -> Callable[[], None]:
    """The call, for which `done` is an error only the first time: later on, an earlier one got through unseen."""

    def attempt() -> None:
        nonlocal tried
        first, tried = not tried, True
        try:
            call()
        except done:
            if first:
                raise

    return attempt


def _marked(name: str, token: str) -> str:
    """The name with the token as its end, as long as names may be."""
    kept = name[: LONGEST_NAME - len(token) - 1].rstrip("-")
    return f"{kept}-{token}" if kept else token


def _named(ref: JobRef) -> Json:
    region, _, name = ref.partition("/")
    if not region or not name:
        raise RunNotFoundError(f"'{ref}' is no reference of SageMaker", backend=BACKEND, hint="REGION/NAME")
    return {NAME: name}


def _plain(value: Any) -> Any:
    """A part of an answer with moments as POSIX seconds, as they are on the wire."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.timestamp() if isinstance(value, datetime) else value


# ---- errors ---------------------------------------------------------------------------------------------------------


_THROTTLED = (
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
    "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "SlowDown", "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException", "TransactionInProgressException", "EC2ThrottledException",
)  # fmt: skip
_DOWN = (
    "InternalFailure", "InternalError", "InternalServerError", "InternalServerException", "ServiceUnavailable",
    "ServiceUnavailableException", "RequestTimeout", "RequestTimeoutException", "OperationAbortedException",
)  # fmt: skip
_REFUSED = (
    "AccessDenied", "AccessDeniedException", "AuthFailure", "ExpiredToken", "ExpiredTokenException",
    "IncompleteSignature", "IncompleteSignatureException", "InvalidAccessKeyId", "InvalidClientTokenId",
    "InvalidSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "NotAuthorized",
    "OptInRequired", "RequestExpired", "SignatureDoesNotMatch", "UnauthorizedOperation", "UnrecognizedClientException",
)  # fmt: skip
_KINDS: dict[str, type[BackendError]] = {
    **dict.fromkeys((*_THROTTLED, *_DOWN), UnavailableError),
    **dict.fromkeys(_REFUSED, AuthError),
    **dict.fromkeys(("ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"), QuotaError),
    **dict.fromkeys(("ResourceInUse", "ConflictException", "ResourceAlreadyExistsException"), ConflictError),
    **dict.fromkeys(("ResourceNotFound", "ResourceNotFoundException"), RunNotFoundError),
}
"""Codes of the service, and of AWS as a whole, to our errors."""
_UNKNOWN = re.compile(r"not found|could not find|does not exist", re.IGNORECASE)
_VALIDATION, _MALFORMED = "ValidationException", "validation error"


def _translated(call: Callable[[], T]) -> T:
    """What a call of botocore gives.

    Raises:
        BackendError: for whatever botocore raised.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an extra
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        return call()
    except ClientError as error:
        raise answered(error) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise unanswered(error) from error


def answered(error: Any) -> BackendError:
    """Our error for one that the service answered, botocore's ClientError."""
    said = error.response.get("Error", {})
    code, text = str(said.get("Code", "")), str(said.get("Message", "")) or "it gives no reason"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    refused = _by_text(error.operation_name, text) if code == _VALIDATION else _by_status(status)
    kind = _KINDS.get(code, refused)
    return kind(f"SageMaker answered {error.operation_name}: {code}: {text}", backend=BACKEND)


def _by_text(operation: str, text: str) -> type[BackendError]:
    """What the service has one code and many words for."""
    if _UNKNOWN.search(text):
        return RunNotFoundError
    in_the_way = operation.startswith(("Stop", "Delete")) and _MALFORMED not in text
    return ConflictError if in_the_way else BackendError


def _by_status(status: int) -> type[BackendError]:
    if status in {401, 403}:
        return AuthError
    return UnavailableError if status == 429 or status >= 500 else BackendError


def unanswered(error: Any) -> BackendError:
    """Our error for one that botocore raised by itself."""
    from botocore import exceptions as known  # noqa: PLC0415 - an extra
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    if isinstance(error, known.SSLError):  # a broken certificate stays broken
        return BackendError(f"SageMaker cannot be trusted: {error}", backend=BACKEND)
    if isinstance(
        error, (known.HTTPClientError, known.ConnectionError, known.IncompleteReadError, ResponseParserError)
    ):
        return UnavailableError(f"SageMaker cannot be reached: {error}", backend=BACKEND)
    if isinstance(error, tuple(getattr(known, name, ()) for name in _CREDENTIALS)):
        return AuthError(f"AWS's credentials: {error}", backend=BACKEND)
    if isinstance(error, known.NoRegionError):
        hint = "say region in [sagemaker] of tuneport.toml, or AWS_DEFAULT_REGION"
        return BackendError("SageMaker needs a region", backend=BACKEND, hint=hint)
    return BackendError(f"SageMaker cannot be asked: {error}", backend=BACKEND)


_CREDENTIALS = (
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "UnknownCredentialError", "SSOError",
    "LoginError", "NoAuthTokenError", "TokenRetrievalError", "UnknownTokenProviderError", "ProfileNotFound",
    "InfiniteLoopConfigError", "RefreshWithMFAUnsupportedError", "MetadataRetrievalError",
)  # fmt: skip
"""Names of botocore's exceptions about credentials, of which older versions do not have all."""
