"""Whether a request was signed with a known key, as Huawei Cloud's gateway checks it: SDK-HMAC-SHA256."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from tuneport.emulators.modelarts.refusals import RefusalError
from tuneport.emulators.server import Request

SKEW = 15 * 60
"""Seconds that a client's clock may be off."""
_ALGORITHM = "SDK-HMAC-SHA256"
_AUTHORIZATION = re.compile(rf"{_ALGORITHM} Access=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{{64}})")
_DATE = "%Y%m%dT%H%M%SZ"


def check(request: Request, keys: Mapping[str, str]) -> None:
    """Let pass what is signed with a known key, or carries a token: nobody here knows tokens.

    Args:
        request: as it came.
        keys: access keys to their secret keys.

    Raises:
        RefusalError: it is neither.
    """
    if "Authorization" not in request.headers and request.headers.get("X-Auth-Token"):
        return
    said = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if said is None:
        raise _refused("the request is not signed")
    access, names, signature = said.groups()
    if access not in keys:
        raise _refused(f"the access key {access} is not known")
    date = request.headers.get("X-Sdk-Date", "")
    if not _is_recent(date):
        raise _refused(f"X-Sdk-Date is missing, or more than {SKEW // 60} minutes off: {date}")
    digest = hashlib.sha256(_canonical(request, names.split(";")).encode()).hexdigest()
    expected = hmac.new(keys[access].encode(), f"{_ALGORITHM}\n{date}\n{digest}".encode(), "sha256").hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise _refused("the signature does not match")


def _refused(why: str) -> RefusalError:
    return RefusalError("APIGW.0301", f"Incorrect IAM authentication information: {why}", 401)


def _is_recent(date: str) -> bool:
    try:
        signed = datetime.strptime(date, _DATE).replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(signed.timestamp() - time.time()) <= SKEW


def _canonical(request: Request, names: list[str]) -> str:
    """The request in the one way in which it is signed; its path ends in a slash there, whatever was sent."""
    path = "/".join(_encoded(part) for part in unquote(request.path).split("/"))
    query = "&".join(f"{_encoded(key)}={_encoded(value)}" for key, value in sorted(request.queries))
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names)
    payload = request.headers.get("X-Sdk-Content-Sha256") or hashlib.sha256(request.body).hexdigest()
    parts = (request.method, f"{path.rstrip('/')}/", query, headers, ";".join(names), payload)
    return "\n".join(parts)


def _encoded(text: str) -> str:
    return quote(text, safe="~")
