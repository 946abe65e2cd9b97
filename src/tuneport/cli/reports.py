"""What a translation did, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tuneport.cli.output import note, say, say_json

if TYPE_CHECKING:
    from pathlib import Path

    from tuneport.translation.capabilities import Fidelity
    from tuneport.translation.report import FieldReport, TranslationReport

LOSSY = 4
"""Exit status of what would lose more than is tolerated."""


def deliver(
    payload: dict[str, Any],
    form: str,
    report: TranslationReport,
    limit: Fidelity,
    output: Path | None,
    as_json: bool,
) -> int:
    """Print or write a document, and what became of the fields."""
    from tuneport.files import write_document

    if as_json:
        say_json({"payload": payload, "form": form, "report": reported(report)})
    text = write_document(payload, output)
    if output is None and not as_json:
        say(text.rstrip())
    note(report_text(report))
    return LOSSY if report.worst > limit else 0


def reported(report: TranslationReport) -> dict[str, Any]:
    """A report for a program."""
    return {"worst": report.worst.value, **report.model_dump(mode="json")}


def report_text(report: TranslationReport) -> str:
    """What became of each field that is not simply kept, the worst last, where eyes are."""
    if not report.fields:
        return "every field is kept as it is"
    ordered = sorted(report.fields, key=lambda field: field.fidelity)
    many = "1 field is" if len(ordered) == 1 else f"{len(ordered)} fields are"
    counted = f"{many} not simply kept, at worst {report.worst.value}:"
    return "\n".join([counted, *(_line(field) for field in ordered)])


def _line(field: FieldReport) -> str:
    changed = field.before != field.after
    values = f" {value_text(field.before)} -> {value_text(field.after)}" if changed else ""
    by = f" [by {field.by}]" if field.by else ""
    said = f": {field.note}" if field.note else ""
    return f"  {field.fidelity.value:<12} {field.pointer}{values}{by}{said}"


def value_text(value: Any) -> str:
    """A value on part of a line."""
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
