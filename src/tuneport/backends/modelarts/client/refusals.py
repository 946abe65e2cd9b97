"""What Huawei's SDK, requests and ModelArts itself raise or answer, as errors of ours."""

from __future__ import annotations

from collections.abc import Mapping
from json import JSONDecodeError

from tuneport.errors import AuthError, BackendError, ConflictError, QuotaError, RunNotFoundError, UnavailableError

NAME = "modelarts"


class NoLogError(BackendError):
    """There is no log, or none yet."""


_AUTH = "0201 0202 0203 0204 0205 0206 0207 0208 0210 0212 2784 2785 2786"
_PASSING = "0010 2799 2950 2951 2952 2953 2954 2955 2956 2957 2958 2959"
CODES: Mapping[str, type[BackendError]] = {
    **dict.fromkeys(_AUTH.split(), AuthError),
    **dict.fromkeys(_PASSING.split(), UnavailableError),
    **dict.fromkeys(("2815", "2816", "2833"), QuotaError),
    **dict.fromkeys(("2751", "2796", "2813", "2878"), ConflictError),
    **dict.fromkeys(("2755", "2775"), RunNotFoundError),
    **dict.fromkeys(("2776", "2818", "2819", "2822"), NoLogError),
    "2836": BackendError,
}
"""Numbers of ModelArts' errors that say more than the status of their replies."""
STATUSES: Mapping[int, type[BackendError]] = {
    401: AuthError,
    403: AuthError,
    404: RunNotFoundError,
    408: UnavailableError,
    409: ConflictError,
    429: UnavailableError,
}
"""What other replies mean; of those that are not here, 5xx pass, and others are refusals."""


def refusal(error: Exception) -> BackendError:
    """The error of a call that failed, from whatever the SDK raised."""
    from huaweicloudsdkcore.exceptions import exceptions as sdk  # noqa: PLC0415
    from requests import exceptions as http  # noqa: PLC0415

    if isinstance(error, sdk.ServiceResponseException):
        return _of_status(error.status_code, str(error.error_code or ""), said(error))
    if isinstance(error, http.HTTPError) and error.response is not None:  # of the place where logs are
        return _of_status(error.response.status_code, "", said(error))
    passing = (
        sdk.ConnectionException,
        sdk.RequestTimeoutException,
        http.ConnectionError,
        http.Timeout,
        http.RetryError,
        http.ChunkedEncodingError,
        http.ContentDecodingError,
        JSONDecodeError,
        UnicodeDecodeError,
        ConnectionError,
        TimeoutError,
    )
    lasting = (sdk.SslHandShakeException, http.SSLError)
    kind = UnavailableError if isinstance(error, passing) and not isinstance(error, lasting) else BackendError
    return kind(f"ModelArts cannot be reached: {said(error)}", backend=NAME)


def _of_status(status: int, code: str, message: str) -> BackendError:
    passing = UnavailableError if status >= 500 else BackendError
    number = code.removeprefix("ModelArts.")
    kind = CODES.get(number) if number != code else None
    kind = kind or STATUSES.get(status, passing)
    hint = "look at the credentials, their project, and what their account may do" if kind is AuthError else None
    return kind(f"ModelArts: {message} ({code or status})", backend=NAME, hint=hint)


def said(error: Exception) -> str:
    """What an exception says, without the SDK's frame around it."""
    return " ".join(str(getattr(error, "error_msg", None) or error or type(error).__name__).split())
