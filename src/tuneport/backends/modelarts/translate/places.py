"""Where things are: `/bucket/folder/` there, `obs://bucket/folder/` here; data sets; file systems to be mounted."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

OBS: Final = "obs://"
DATASET: Final = "dataset://"
NFS: Final = "nfs://"
PFS: Final = "pfs://"


def write_obs(uri: str) -> str:
    """A place on OBS as the service says it; other places as they are."""
    return f"/{uri.removeprefix(OBS)}" if uri.startswith(OBS) else uri


def read_obs(path: str) -> str:
    """The inverse of `write_obs`."""
    return f"{OBS}{path[1:]}" if path.startswith("/") else path


def write_remote(uri: str) -> Json:
    """Where an input's data are."""
    if not uri.startswith(DATASET):
        return {"obs": {"obs_url": write_obs(uri)}}
    name, _, version = uri.removeprefix(DATASET).partition("/")
    return {"dataset": {"id": name, "version_id": version} if version else {"id": name}}


def read_remote(remote: Json) -> str | None:
    """The inverse of `write_remote`; None if it says no place."""
    if (dataset := remote.get("dataset")) is not None:
        return DATASET + "/".join(filter(None, (dataset.get("id"), dataset.get("version_id"))))
    url = remote.get("obs", {}).get("obs_url")
    return read_obs(url) if url else None


def write_nfs(uri: str) -> str:
    """A file system's path as servers export it: ``server:/path``."""
    server, _, path = uri.removeprefix(NFS).partition("/")
    return f"{server}:/{path}"


def read_nfs(path: str) -> str | None:
    """The inverse of `write_nfs`; None for a path without a server."""
    server, mark, rest = path.partition(":/")
    return f"{NFS}{server}/{rest}" if mark else None
