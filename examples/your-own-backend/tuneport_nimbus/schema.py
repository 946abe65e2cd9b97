"""The shape of Nimbus' documents. Real clouds publish theirs; see tools/native_schemas.py of tuneport."""

from __future__ import annotations

from typing import Any

from tuneport.translation.shape import Shape


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _list(item: Any, most: int) -> dict[str, Any]:
    return {"type": "array", "items": item, "maxItems": most}


_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_NUMBER = {"type": "number"}
_FLAG = {"type": "boolean"}

SCHEMA = {
    "$defs": {
        "Job": _object(
            *("title", "goal", "space", "trials", "image", "results"),
            title={"type": "string", "minLength": 1, "maxLength": 128},
            tags=_TEXTS,
            account=_TEXT,
            method={"type": "string", "enum": ["RANDOM", "GRID", "BAYES"]},
            seed={"type": "integer", "minimum": 0},
            trials={"type": "integer", "minimum": 1, "maximum": 1000},
            parallel={"type": "integer", "minimum": 1, "maximum": 10},
            goal={"$ref": "#/$defs/Goal"},
            space={**_list({"$ref": "#/$defs/Knob"}, 20), "minItems": 1},
            image={"type": "string", "pattern": "nimbus/.*"},
            command=_list(_TEXT, 100),
            args=_list(_TEXT, 100),
            env=_TEXTS,
            data=_list(_object("name", "uri", name=_TEXT, uri={"type": "string", "pattern": "nim://.*"}), 20),
            results={"type": "string", "pattern": "nim://.*"},
            machine={"type": "string", "pattern": r"n\.\w+"},
            firewall=_TEXT,
            color=_TEXT,
        ),
        "Goal": _object("metric", "direction", metric=_TEXT, direction={"type": "string", "enum": ["UP", "DOWN"]}),
        "Knob": _object(
            "name", name=_TEXT, low=_NUMBER, high=_NUMBER, whole=_FLAG, log=_FLAG, choices=_list(_TEXT, 1000)
        ),
    }
}
JOB = Shape(SCHEMA, "Job")
