"""JSON Schemas of what people and programs exchange with us: job files, results, reports; and of clouds' documents.

Ours are made from the model; those of the clouds' documents ship with each backend, made from its vendor's own model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from tuneport.model.job import TuningJob
from tuneport.model.results import StudyResult
from tuneport.model.word import Word, did_you_mean
from tuneport.translation.report import TranslationReport
from tuneport.translation.shape import schema_of

NAMES: Mapping[str, type[Word]] = {"job": TuningJob, "results": StudyResult, "report": TranslationReport}
NATIVE = ("vertex", "sagemaker", "modelarts")
"""Clouds whose documents have a schema."""
VERSION = 1
"""Part of every schema's name; a field is never given another meaning under the same number."""


class _Generator(GenerateJsonSchema):
    """Leaves out titles, which only repeat the names of fields."""

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False


_KEYWORDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Bounds behind one of our own validators, which pydantic leaves in its own words."""


def schema(name: str) -> dict[str, Any]:
    """One of our schemas, or that of a cloud's documents.

    Raises:
        KeyError: there is none of that name; the message lists them.
    """
    if name in NATIVE:
        return dict(schema_of(f"tuneport.backends.{name}"))
    if name not in NAMES:
        raise KeyError(f"there is no schema '{name}'; {did_you_mean(name, [*NAMES, *NATIVE])}")
    made = _standard(NAMES[name].model_json_schema(schema_generator=_Generator))
    for definition in made["$defs"].values():
        _require_kind(definition)
    if name == "job":  # by which a file names its schema to editors
        made["properties"] = {"$schema": {"type": "string"}} | made["properties"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tuneport:schema:{name}:{VERSION}",
        **made,
    }


def text(name: str) -> str:
    """One of our schemas as it is checked in."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def _standard(part: Any) -> Any:
    if isinstance(part, dict):
        return {_KEYWORDS.get(key, key): _standard(value) for key, value in part.items()}
    return [_standard(item) for item in part] if isinstance(part, list) else part


def _require_kind(definition: dict[str, Any]) -> None:
    """What tells alternatives apart has a default in Python, but must be said in data."""
    if "const" in definition.get("properties", {}).get("kind", {}):
        definition["required"] = ["kind", *definition.get("required", [])]
