"""Reading and writing job files: YAML, JSON and TOML, told apart by suffix, with the place of every problem."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tuneport.errors import JobError
from tuneport.files import json_text, toml_text, yaml_text
from tuneport.files.document import Document, syntax_error
from tuneport.model.job import TuningJob

__all__ = ["Document", "job_data", "read_document", "read_job", "write_document", "write_job", "write_text"]


class _Format(NamedTuple):
    read: Callable[[str, str], Document]
    write: Callable[[Mapping[str, Any]], str]
    mebibytes: int
    """The most that is read: the YAML and TOML readers are slow, and no job is that long."""


_YAML = _Format(yaml_text.read, yaml_text.write, 1)
_FORMATS = {
    ".json": _Format(json_text.read, json_text.write, 8),
    ".toml": _Format(toml_text.read, toml_text.write, 1),
}


def read_job(path: str | Path) -> TuningJob:
    """The job in a file; "-" reads YAML from standard input.

    Raises:
        JobError: with every problem and its "file:line:column".
    """
    document = read_document(path)
    data = job_data(document)
    try:
        return TuningJob.model_validate(data)
    except JobError as error:
        raise JobError.of(document.name, document.located(error.problems)) from None


def job_data(document: Document) -> dict[str, Any]:
    """What a document says of a job; the editors' `$schema` is none of it.

    Raises:
        JobError: it is no mapping.
    """
    data = document.data
    if not isinstance(data, dict):
        found = "nothing" if data is None else "a list" if isinstance(data, list) else f"only {data!r:.80}"
        raise syntax_error(document.name, f"a job is a mapping with name, study and trial; here is {found}")
    return {key: value for key, value in data.items() if key != "$schema"}


def read_document(path: str | Path) -> Document:
    """The data in a file; "-" reads YAML from standard input.

    Raises:
        JobError: it cannot be read, with the place where reading ended.
    """
    chosen = _format(path)
    name = "<stdin>" if str(path) == "-" else str(path)
    limit = chosen.mebibytes << 20
    content = _content(path, name, limit + 1)
    if len(content) > limit:
        raise syntax_error(name, f"is larger than {chosen.mebibytes} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise syntax_error(name, f"is not UTF-8 text: byte {error.start} is 0x{content[error.start]:02x}") from None
    return chosen.read(text, name)


def write_job(job: TuningJob, path: str | Path | None = None) -> str:
    """The job as text without what is default anyway, also written to `path`; its suffix chooses the format.

    Raises:
        JobError: the file cannot be written, or the format has no word for a part of the job.
    """
    return _written(_format(path or "").write(job.brief()), path)


def write_document(data: Mapping[str, Any], path: str | Path | None = None) -> str:
    """Any document as text, also written to `path`; its suffix chooses the format, JSON without one.

    Raises:
        JobError: the file cannot be written, or the format has no word for a part of the document.
    """
    return _written(_format(path or "document.json").write(data), path)


def write_text(text: str, path: str | Path) -> None:
    """Write a file.

    Raises:
        JobError: it cannot be written.
    """
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise JobError(f"{path} cannot be written: {error.strerror}") from error


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        write_text(text, path)
    return text


def _format(path: str | Path) -> _Format:
    return _FORMATS.get(Path(path).suffix.lower(), _YAML)


def _content(path: str | Path, name: str, most: int) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(most)
        with Path(path).open("rb") as file:
            return file.read(most)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise syntax_error(name, f"cannot be read: {reason}") from error
