"""Requests for the tests of SageMaker."""

import copy
import json
from pathlib import Path
from typing import Any

GOLDENS = Path(__file__).parents[2] / "golden" / "sagemaker"
CONFIG, ONE, SEVERAL = "HyperParameterTuningJobConfig", "TrainingJobDefinition", "TrainingJobDefinitions"


def golden(name: str) -> Any:
    """A golden document."""
    return json.loads((GOLDENS / f"{name}.json").read_text())


def plain() -> Any:
    """A request that the service takes, with three ranges of each kind but reverse logarithms."""
    request = golden("single")
    request[ONE]["StaticHyperParameters"] = {"rounds": "10"}
    return request


def changed(request: Any, pointer: str, value: Any = None) -> Any:
    """The request with a value at a pointer; None takes away what is there."""
    made = copy.deepcopy(request)
    here = made
    *parents, last = pointer.strip("/").split("/")
    for part in parents:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    key = int(last) if isinstance(here, list) else last
    if value is None:
        del here[key]
    else:
        here[key] = value
    return made
