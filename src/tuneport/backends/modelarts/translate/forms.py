"""The documents: which one it is, what its wrapping is, and what was answered beside what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal, TypeAlias

from tuneport.backends.modelarts.translate import rules
from tuneport.backends.modelarts.translate.canonical import derived
from tuneport.errors import PayloadError, Problem
from tuneport.model.word import short
from tuneport.translation.shape import Shape, schema_of

Json: TypeAlias = dict[str, Any]

FORMS: Final = ("job", "algorithm", "yaml", "terraform")
KINDS: Final[Mapping[str, str]] = {
    "job": "job",
    "terraform": "job",
    "response": "job",
    "algorithm": "algorithm",
    "algorithm-response": "algorithm",
    "yaml": "yaml",
}
"""Form to what it says: responses are what the service answers, `terraform` is how its provider says a job."""
_ROOTS = {
    "job": "Job",
    "terraform": "Job",
    "response": "ShowTrainingJobDetailsResponse",
    "algorithm": "Algorithm",
    "algorithm-response": "ShowAlgorithmByUuidResponse",
    "yaml": "AutoSearchYaml",
}
_OPEN = {"response", "algorithm-response", "yaml"}
BESIDE: Final[Mapping[str, tuple[str, ...]]] = {"job": ("tags", "region"), "algorithm": ("region",), "yaml": ()}
"""What stands beside a document although the service takes it elsewhere: tags in a call of their own."""


# ---- which document it is -------------------------------------------------------------------------------------------


def recognised(document: object) -> str:
    """The form of a document.

    Raises:
        PayloadError: it is none from which a job can be read.
    """
    if not isinstance(document, dict):
        raise _refused(Problem("", "must be an object"))
    keys = {str(key).replace("_", "").lower() for key in document}
    if "traininginput" in keys:
        raise _refused(
            Problem("/trainingInput", "an AutoNet file of 2019 (dialect C); ModelArts does not run these any more"),
            hint="write its params as the search of a training job",
        )
    table = document.get("items", document)
    if isinstance(table, dict) and {"header", "data"} <= table.keys():
        raise _refused(
            Problem("", "a table of trials, not a job: it has results, but neither ranges nor a program"),
            hint="import the training job; its trials are read beside it",
        )
    if keys & {"searchspace", "searchalgorithm"}:
        return "yaml"
    if keys & {"jobconfig", "advancedconfig"}:
        return "algorithm-response" if _answered(document, _ANSWERED["algorithm"]) else "algorithm"
    if not keys & {"algorithm", "spec", "metadata", "kind"}:
        raise _refused(
            Problem("", f"no document of ModelArts has the keys {short(sorted(map(str, document)))}"),
            hint="known are training jobs (metadata, algorithm, spec), stored algorithms (metadata, job_config, "
            "advanced_config) and AutoSearch files (search_space, search_algorithm)",
        )
    if "status" in keys:
        return "response"
    dressed = isinstance(document.get("tags"), dict) or isinstance(document.get("metadata"), list)
    return "terraform" if dressed or "region" in keys else "job"


def _refused(problem: Problem, hint: str | None = None) -> PayloadError:
    return PayloadError("this is no tuning job of ModelArts", problems=[problem], hint=hint)


@cache
def shape(form: str) -> Shape:
    """The vendor's model of a form; replies and AutoSearch files may have more in them than is published.

    What searched parameters call their kind is left to the rules: it has changed.
    """
    unknown: Literal["keep", "refuse"] = "keep" if form in _OPEN else "refuse"
    definitions = dict(schema_of("tuneport.backends.modelarts")["$defs"])
    definitions["SearchParams"] = definitions["JobAlgorithmResponsePoliciesAutoSearchSearchParams"]
    return Shape({"$defs": definitions}, _ROOTS[form], unknown=unknown)


@cache
def strict_shape(kind: str) -> Shape:
    """The vendor's model of what is sent."""
    return Shape(schema_of("tuneport.backends.modelarts"), _ROOTS[kind])


def unsound(request: Json, form: str, *, symbolic: bool = True) -> list[Problem]:
    """What the vendor's model has against a request, and against what stands beside it."""
    model = shape(form) if form in _OPEN else strict_shape(KINDS[form])
    beside = BESIDE[KINDS[form]]
    sent = {key: value for key, value in request.items() if key not in beside}
    return model.problems(sent, symbolic=symbolic) + (rules.beside(request) if "tags" in beside else [])


def opened(document: Json, form: str) -> Json:
    """The document by the vendor's model, with what stands beside it.

    Raises:
        PayloadError: it does not follow the model.
    """
    beside = {name: document[name] for name in BESIDE[KINDS[form]] if document.get(name) is not None}
    request = shape(form).read({key: value for key, value in document.items() if key not in beside})
    if "tags" in beside:
        request["tags"] = _tags(beside["tags"])
    if "region" in beside:
        request["region"] = str(beside["region"])
    return request


def _tags(tags: Any) -> list[Json]:
    if isinstance(tags, dict):
        tags = [{"key": key, "value": value} for key, value in tags.items()]
    if problems := rules.beside({"tags": tags}):
        raise PayloadError("this is no tuning job of ModelArts", problems=problems)
    return [{"key": one["key"]} | ({"value": one["value"]} if one.get("value") else {}) for one in tags]


# ---- what the service answers beyond the request --------------------------------------------------------------------

_ANSWERED: Final[Mapping[str, Json]] = {
    "job": {
        "metadata": {"annotations": {"job_template": ..., "key_task": ...}, "training_experiment_reference": {}},
        "algorithm": {"name": ..., "engine": {}},
        "spec": {"resource": {"policy": ...}},
        "endpoints": {},
    },
    "algorithm": {
        "metadata": dict.fromkeys(
            (
                "id", "create_time", "update_time", "user_name", "domain_id", "source", "api_version", "is_valid",
                "state", "size", "attr_list", "version_num",
            ),
            ...,
        ),
        "job_config": {"code_tree": ..., "engine": {}},
    },
}  # fmt: skip
"""What the service adds; `...` is all of it. To objects that are named here it also adds what no request can say."""


def _answered(document: Any, mask: Json) -> bool:
    return isinstance(document, dict) and any(
        key in document and (part is ... or _answered(document[key], part)) for key, part in mask.items()
    )


def taken_apart(document: Json, form: str) -> tuple[Json, Json]:
    """A document as what was asked for and what was answered."""
    if not form.endswith("response"):
        return document, {}
    kind = KINDS[form]
    beside = {name: document[name] for name in BESIDE[kind] if name in document}
    request, response = _split(
        {key: document[key] for key in document if key not in beside}, _ANSWERED[kind], _ROOTS[kind]
    )
    return request | beside, response


def _split(document: Json, mask: Json, definition: str | None) -> tuple[Json, Json]:
    members = {} if definition is None else _members(definition)
    request, response = {}, {}
    for key, value in document.items():
        if mask.get(key) is ... or (members and key not in members):
            response[key] = value
        elif key in mask and isinstance(value, dict):
            request[key], answered = _split(value, mask[key], members.get(key))
            response |= {key: answered} if answered else {}
        else:
            request[key] = value
    return request, response


@cache
def _members(definition: str) -> Mapping[str, str | None]:
    """What an object of a request may have and, for what are objects themselves, their definitions."""
    properties = schema_of("tuneport.backends.modelarts")["$defs"][definition]["properties"]
    return {name: part.get("$ref", "").rpartition("/")[2] or None for name, part in properties.items()}


def merged(request: Json, response: Json) -> Json:
    """The inverse of `taken_apart`."""
    both = dict(request)
    for key, value in response.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


# ---- what follows from the search ------------------------------------------------------------------------------------


def dressed(request: Json, form: str) -> Json:
    """A request with what follows from the search: constraints, without which the console would not search."""
    document = dict(request)
    kind = KINDS[form]
    if kind != "yaml":
        program = rules.PROGRAM[kind].strip("/")
        parameters = _constrained(rules.at(request, f"/{program}/parameters"), rules.at(request, rules.SEARCH[kind]))
        document |= {program: request[program] | {"parameters": parameters}} if parameters else {}
    if form == "terraform" and not rules.beside(request):
        document["tags"] = {one["key"]: one.get("value", "") for one in document.get("tags", [])}
    return document


def _constrained(parameters: Any, search: Any) -> list[Json]:
    """Parameters with constraints for those that are searched; none if a box that somebody wrote makes them none."""
    ranges = search.get("search_params", []) if isinstance(search, dict) else []
    if not (_are_objects(parameters) and _are_objects(ranges)):
        return []
    searched = {name: one for one in ranges if isinstance(name := one.get("name"), str)}
    return [
        _with_constraint(one, searched[name]) if isinstance(name := one.get("name"), str) and name in searched else one
        for one in parameters
    ]


def _are_objects(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(one, dict) for one in items)


def _with_constraint(entry: Json, item: Json) -> Json:
    constraint = entry.get("constraint", {})
    follows = {"editable": True, **derived(item)}
    return entry | {"constraint": follows | constraint} if isinstance(constraint, dict) else entry
