"""Code on its way to a cloud: a package that is a folder here, packed as it is taken there and named by its content.

A package is packed in memory, so that a job can be checked with the place that its code will have before anything is
uploaded; the same files always get the same place and are uploaded once.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import posixpath
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tuneport import exchange, translating
from tuneport.engine.launch import PYTHON, package_directory
from tuneport.errors import BackendError, JobError, MissingExtraError, Problem
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import TrialSpec
from tuneport.model.word import Word

MOST = 100 << 20
"""Bytes of code that are packed at most; whatever is larger is no code, and belongs in inputs."""
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "venv"})
_SETUP = """\
from setuptools import find_namespace_packages, setup

setup(name="tuneport-code", version="0.0.0", py_modules={modules!r}, packages=find_namespace_packages(),
      package_data={{"": ["*"]}})
"""
_FOLDER = "tuneport-code"
_TRIAL_FILE = "tuneport_trial.py"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is to be where a job will look for it."""

    uri: str
    content: bytes


class Packed(NamedTuple):
    """A job whose code has a place that its cloud can read, once the uploads are done."""

    job: TuningJob
    uploads: tuple[Upload, ...] = ()


def packed(job: TuningJob, on: str, *, settings: Mapping[str, Any] | None = None, base: Path | None = None) -> Packed:
    """The job with its local package where the cloud can read it. Nothing is uploaded yet.

    The place is ``tuneport-code`` below the job's output, or below the one of the settings.

    Args:
        job: the job; one whose package is elsewhere already, or that has none, stays as it is.
        on: the cloud.
        settings: of it, over the configured ones.
        base: directory that a relative package means; None: the current one.

    Raises:
        JobError: the package cannot be packed, or there is no place for it.
    """
    backend = translating.cloud(on)
    kind = backend.capabilities.home.code
    folder = package_directory(job.trial, str(base or Path.cwd()))
    if not kind or folder is None:
        return Packed(job)
    files = _files(Path(folder))
    output = _output(job, translating.settings_of(backend, settings), on)
    contents = _CONTENTS[kind](files)
    place = f"{output}/{_FOLDER}/{_digest(contents)}"
    uploads = tuple(Upload(f"{place}/{name}", content) for name, content in contents.items())
    package = uploads[0].uri if kind != "folder" else f"{place}/code"
    trial = job.trial.changed(package=package)
    return Packed(job.changed(trial=_as_module(trial) if kind == "distribution" else trial), uploads)


def relying(
    job: TuningJob, on: str, *, settings: Mapping[str, Any] | None = None, base: Path | None = None
) -> list[str]:
    """The fields of a job whose meaning there is up to tuneport_trial, which the trainer must have.

    Args:
        job: the job.
        on: the cloud.
        settings: of it, over the configured ones.
        base: directory that a relative package means; None: the current one.

    Returns:
        JSON pointers; none if the package that goes along has the file.
    """
    folder = package_directory(job.trial, str(base or Path.cwd()))
    if folder is not None and (Path(folder) / _TRIAL_FILE).is_file():
        return []
    report = translating.to_submit(job, on, settings=settings).report
    return [field.pointer for field in report.fields if field.by == _TRIAL_FILE.removesuffix(".py")]


def upload(uploads: Sequence[Upload], settings: Word) -> None:
    """Put files where they are to be, unless they are there.

    Args:
        uploads: what to put where.
        settings: of the cloud; they say where its storage is.

    Raises:
        MissingExtraError: fsspec, or what it needs for such places, is not installed.
        BackendError: the storage refuses it, or cannot be reached.
    """
    for one in uploads:
        try:
            system, path = _storage(one.uri, settings)
            if not system.exists(path):
                system.pipe_file(path, one.content)
        except ImportError as error:
            hint = "pip install 'tuneport[upload]', or upload the package yourself and say where it is"
            raise MissingExtraError(f"{one.uri} cannot be written: {error}", hint=hint) from error
        except Exception as error:  # every storage has errors of its own
            raise BackendError(f"{one.uri} cannot be written: {error}") from error


def _storage(uri: str, settings: Word) -> tuple[Any, str]:
    """The file system of a place, and the path in it."""
    import fsspec  # noqa: PLC0415 - an extra

    protocol, _, path = uri.partition("://")
    try:
        system, place = fsspec.core.url_to_fs(uri)
    except ValueError:
        if protocol != "obs":
            raise
        region = getattr(settings, "region", None)  # OBS speaks S3's language
        keys = {"key": os.environ.get("HUAWEICLOUD_SDK_AK"), "secret": os.environ.get("HUAWEICLOUD_SDK_SK")}
        return fsspec.filesystem("s3", endpoint_url=f"https://obs.{region}.myhuaweicloud.com", **keys), path
    return system, place


def _output(job: TuningJob, settings: Word, on: str) -> str:
    """The place below which the code goes.

    Raises:
        JobError: neither the job nor the settings name one of that cloud.
    """
    there, _ = exchange.complete(job, settings, [])
    output = there.trial.output.uri if there.trial.output is not None else None
    if output is None or "://" not in output:
        hint = f"give trial.output.uri, or output in the settings of {on}; or upload it yourself and give its URI"
        raise JobError.of(
            "the job", [Problem("/trial/package", "is a folder of this machine, with no place to go", hint)]
        )
    return output.rstrip("/")


def _files(folder: Path) -> dict[str, bytes]:
    """The files of a package by their paths in it, sorted; hidden ones and what is made from others left out.

    Raises:
        JobError: there are none, or too many.
    """
    found: dict[str, bytes] = {}
    size = 0
    for path in _walk(folder):
        size += path.stat().st_size
        if size > MOST:
            message = f"{folder} holds more than {MOST >> 20} MiB"
            raise JobError.of("the job", [Problem("/trial/package", message, "data belongs in trial.inputs")])
        found[path.relative_to(folder).as_posix()] = path.read_bytes()
    if not found:
        raise JobError.of("the job", [Problem("/trial/package", f"{folder} holds no files")])
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _LEFT_OUT or path.suffix == ".pyc" or path.is_symlink():
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.is_file():
            yield path


def _archive(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """An archive of the folder, as SageMaker's script mode takes it."""
    return {"sourcedir.tar.gz": _tar(files)}


def _distribution(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A source distribution that pip installs; a package that has its own project file is taken as it is."""
    modules = [PurePosixPath(name).stem for name in files if "/" not in name and name.endswith(".py")]
    own = {"setup.py", "pyproject.toml"} & files.keys()
    added = {} if own else {"setup.py": _SETUP.format(modules=modules).encode()}
    root = "tuneport-code-0.0.0"
    return {f"{root}.tar.gz": _tar({f"{root}/{name}": content for name, content in {**files, **added}.items()})}


def _folder(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files as they are."""
    return {f"code/{name}": content for name, content in files.items()}


_CONTENTS = {"archive": _archive, "distribution": _distribution, "folder": _folder}
"""How code is taken, to what is uploaded."""


def _tar(files: Mapping[str, bytes]) -> bytes:
    """An archive that is the same whenever and by whomever it is made."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()


def _digest(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(f"{name}\0{len(contents[name])}\0".encode())
        digest.update(contents[name])
    return digest.hexdigest()[:16]


def _as_module(trial: TrialSpec) -> TrialSpec:
    """The trial with its script as a module, since an installed package has no scripts."""
    if trial.command is None or len(trial.command) < 2 or trial.command[0] not in PYTHON:
        return trial
    _, script, *args = trial.command
    if not script.endswith(".py"):
        return trial
    module = posixpath.normpath(script).removesuffix(".py").replace("/", ".")
    return trial.changed(command=None, module=module, args=(*args, *trial.args))
