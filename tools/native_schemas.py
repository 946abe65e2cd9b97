"""Writes schemas/native/*.json, the clouds' own models of their documents as JSON Schema, from the clouds' own SDKs.

With --check: says what is stale. A newer SDK that says the same leaves a file fresh.

Beside standard keywords the schemas carry what a reader of documents wants to know: `x-proto`, how a value travels in
protobuf's JSON; `x-numbers`, the numbers of an enum's names; `x-oneofs`, properties of which one may be given;
`x-output-only`; `x-presence`, absent is something else than zero; `x-zero`, what a zero that needs no saying means in
a canonical document: "drop", it is not said, or "keep", it is said even where the sender left it out; `x-pattern`, the
vendor's own text of a pattern that had to be changed.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
Json = dict[str, Any]


# SageMaker: the service model in botocore

SAGEMAKER_ROOTS = (
    "CreateHyperParameterTuningJobRequest",
    "DescribeHyperParameterTuningJobRequest",
    "DescribeHyperParameterTuningJobResponse",
    "StopHyperParameterTuningJobRequest",
    "DeleteHyperParameterTuningJobRequest",
    "ListHyperParameterTuningJobsRequest",
    "ListTrainingJobsForHyperParameterTuningJobRequest",
    "HyperParameterTrainingJobSummary",
    "CreateTrainingJobRequest",
    "DescribeTrainingJobRequest",
    "StopTrainingJobRequest",
    "ListTrainingJobsRequest",
    "AddTagsInput",
    "ListTagsInput",
    "DeleteTagsInput",
)
_LIMITS = {
    "string": ("minLength", "maxLength"),
    "list": ("minItems", "maxItems"),
    "map": ("minProperties", "maxProperties"),
    "integer": ("minimum", "maximum"),
    "long": ("minimum", "maximum"),
    "float": ("minimum", "maximum"),
}
_SEPARATORS = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CLASSES = {
    r"\d": "0-9", r"\w": "a-zA-Z0-9_", r"\p{Alnum}": "a-zA-Z0-9",
    r"\p{L}": r"\w", r"\p{N}": "", r"\p{Z}": _SEPARATORS,
}  # fmt: skip
"""Java's classes by Python's; Python's `\\w` is letters, numbers and "_", which stands beside them where they occur."""
_CLASS = re.compile(r"\\p\{\w+\}|\\.|[\[\]]", re.DOTALL)


def sagemaker() -> Json:
    service = import_module("botocore.session").get_session().get_service_model("sagemaker")
    defs: Json = {}

    def reference(shape: Any) -> Json:
        if shape.name not in defs:
            defs[shape.name] = {}  # a promise, so that shapes may contain themselves
            defs[shape.name] = _aws_shape(shape, reference)
        return {"$ref": f"#/$defs/{shape.name}"}

    for root in SAGEMAKER_ROOTS:
        reference(service.shape_for(root))
    return document(
        "sagemaker", SAGEMAKER_ROOTS, defs, packages=["botocore"], service=service.service_name, api=service.api_version
    )


def _aws_shape(shape: Any, reference: Callable[[Any], Json]) -> Json:
    kind, said = shape.type_name, shape.metadata
    limits = {word: said[key] for word, key in zip(_LIMITS.get(kind, ()), ("min", "max"), strict=False) if key in said}
    if kind == "structure":
        properties = {name: reference(member) for name, member in sorted(shape.members.items())}
        return closed(properties, shape.required_members)
    if kind == "list":
        return {"type": "array", "items": reference(shape.member), **limits}
    if kind == "map":
        names, values = reference(shape.key), reference(shape.value)
        return {"type": "object", "propertyNames": names, "additionalProperties": values, **limits}
    if kind == "timestamp":
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}.*$"}]}
    if kind == "string":
        names = {"enum": list(shape.enum)} if shape.enum else {}
        return {"type": "string", **names, **limits, **_whole(said.get("pattern"))}
    return {"type": {"long": "integer", "float": "number", "double": "number"}.get(kind, kind), **limits}


def _whole(pattern: str | None) -> Json:
    """The pattern of a whole text, in the words that Python and JSON Schema share."""
    if pattern is None:
        return {}
    depth = 0

    def translate(match: re.Match[str]) -> str:
        nonlocal depth
        token = match[0]
        depth += (token == "[") - (token == "]")
        if token not in _CLASSES:
            return token
        return _CLASSES[token] if depth else f"[{_CLASSES[token]}]"

    plain = _CLASS.sub(translate, pattern)
    return {"pattern": f"^({plain})$"} | ({"x-pattern": pattern} if plain != pattern else {})


# Vertex AI: the protos in google-cloud-aiplatform

VERTEX_ROOTS = ("HyperparameterTuningJob", "CustomJob", "TrainingPipeline")
_PROTO_PACKAGE = "google.cloud.aiplatform.v1."
_KINDS = {1: "double", 2: "float", 3: "int64", 5: "int32", 8: "bool", 9: "string"}
_WRAPPERS = {
    "google.protobuf.BoolValue": "bool",
    "google.protobuf.Int32Value": "int32",
    "google.protobuf.Duration": "duration",
    "google.protobuf.Timestamp": "timestamp",
    "google.protobuf.Value": "value",
    "google.protobuf.Struct": "value",
    "google.protobuf.ListValue": "value",
    "google.protobuf.Any": "value",
}
_ZERO_IS_A_VALUE = {
    "EnvVar.value",
    "Measurement.Metric.value",
    "StudySpec.MetricSpec.SafetyMetricConfig.safety_threshold",
    "StudySpec.ParameterSpec.DoubleValueSpec.max_value",
    "StudySpec.ParameterSpec.DoubleValueSpec.min_value",
    "StudySpec.ParameterSpec.IntegerValueSpec.max_value",
    "StudySpec.ParameterSpec.IntegerValueSpec.min_value",
}
"""Fields that say something at zero, which protobuf's JSON leaves out."""
_TASK = ("studySpec", "trialJobSpec", "maxTrialCount", "parallelTrialCount", "maxFailedTrialCount")
"""What the inputs of a pipeline's tuning task consist of, by the published definition of the task."""


def vertex() -> Json:
    types = import_module("google.cloud.aiplatform_v1.types")
    defs: Json = _proto_scalars()

    def reference(descriptor: Any) -> Json:
        name = descriptor.full_name.removeprefix(_PROTO_PACKAGE)
        if name not in defs:
            defs[name] = {}  # a promise, so that messages may contain themselves
            defs[name] = _enum(descriptor) if hasattr(descriptor, "values") else _message(descriptor, types, reference)
        return {"$ref": f"#/$defs/{name}"}

    for root in VERTEX_ROOTS:
        reference(getattr(types, root).pb().DESCRIPTOR)
    job = defs["HyperparameterTuningJob"]
    task = closed({name: job["properties"][name] for name in sorted(_TASK)}, set(_TASK) & set(job["required"]))
    roots = (*VERTEX_ROOTS, "CustomJobSpec", "HyperparameterTuningTask")
    defs["HyperparameterTuningTask"] = task
    return document("vertex", roots, defs, packages=["google-cloud-aiplatform"], service="aiplatform", api="v1")


def _proto_scalars() -> Json:
    real = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
    moment = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[-+][0-9]{2}:[0-9]{2})$"
    kinds: Json = {
        "bool": {"type": "boolean"},
        "double": real,
        "duration": {
            "type": "string",
            "pattern": r"^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,9})?s$",
            "description": "a number of seconds such as '3600s'",
        },
        "float": real,
        "int32": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
        "int64": {
            "type": "string",
            "pattern": f"^(-?({_up_to(2**63 - 1)})|-{2**63})$",
            "description": "a whole number of 64 bits, as text",
        },
        "string": {"type": "string"},
        "timestamp": {
            "type": "string",
            "pattern": moment,
            "description": "a time such as '2026-01-31T12:00:00Z'",
        },
        "value": {},
    }
    return {kind: schema | {"x-proto": kind} for kind, schema in kinds.items()}


def _up_to(most: int) -> str:
    """A pattern of the plain decimal numbers from 0 to `most`."""
    digits = str(most)
    smaller = []
    for index, digit in enumerate(digits):
        first, left = (1 if index == 0 else 0), len(digits) - index - 1
        if int(digit) > first:
            smaller.append(f"{digits[:index]}[{first}-{int(digit) - 1}][0-9]{{{left}}}")
    return "|".join(["0", f"[1-9][0-9]{{0,{len(digits) - 2}}}", *smaller, digits])


def _enum(descriptor: Any) -> Json:
    numbers = {value.name: value.number for value in descriptor.values}
    return {"type": "string", "enum": list(numbers), "x-numbers": numbers, "x-proto": "enum"}


def _message(descriptor: Any, types: Any, reference: Callable[[Any], Json]) -> Json:
    name = descriptor.full_name.removeprefix(_PROTO_PACKAGE)
    remarks = _remarks(_nested(types, name))
    properties, required = {}, []
    for field in sorted(descriptor.fields, key=lambda one: one.json_name):
        keep, remark = f"{name}.{field.name}" in _ZERO_IS_A_VALUE, remarks.get(field.name)
        schema = _field(field, reference)
        if remark == "Required" and not keep:
            required.append(field.json_name)
        elif not field.has_presence:
            schema["x-zero"] = "keep" if keep else "drop"
        if remark == "Output only":
            schema["x-output-only"] = True
        if field.has_presence and (field.message_type is None or field.message_type.full_name in _WRAPPERS):
            schema["x-presence"] = True
        properties[field.json_name] = schema
    groups = [sorted(one.json_name for one in group.fields) for group in descriptor.oneofs if group.name[0] != "_"]
    return closed(properties, required) | _at_most_one_of(groups)


def _field(field: Any, reference: Callable[[Any], Json]) -> Json:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _field(message.fields_by_name["value"], reference)}
    if field.enum_type is not None:
        schema = reference(field.enum_type)
    elif message is None:
        schema = {"$ref": f"#/$defs/{_KINDS[field.type]}"}
    elif message.full_name in _WRAPPERS:
        schema = {"$ref": f"#/$defs/{_WRAPPERS[message.full_name]}"}
    else:
        schema = reference(message)
    return {"type": "array", "items": schema} if field.is_repeated else schema


def _at_most_one_of(groups: list[list[str]]) -> Json:
    pairs = [[one, other] for group in groups for place, one in enumerate(group) for other in group[place + 1 :]]
    if not pairs:
        return {}
    return {"not": {"anyOf": [{"required": pair} for pair in pairs]}, "x-oneofs": groups}


def _nested(types: Any, name: str) -> Any:
    for part in name.split("."):
        types = getattr(types, part, None)
    return types


def _remarks(message: Any) -> dict[str, str]:
    """Fields of a message to what its documentation begins with: Required, Optional, Output only."""
    text = inspect.cleandoc(getattr(message, "__doc__", None) or "")
    return dict(re.findall(r"^ {4}(\w+) \([^)]*\):\n\s+(Required|Optional|Output\s+only)\.", text, re.MULTILINE))


# ModelArts: the model classes of the SDK

MODELARTS_ROOTS = (
    "Job",
    "ShowTrainingJobDetailsResponse",
    "Algorithm",
    "ShowAlgorithmByUuidResponse",
    "ShowAutoSearchTrialsResponse",
    "ShowAutoSearchPerTrialResponse",
)
_PLAIN: Json = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "object": {},
}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_TEXT_MAP = {"type": "object", "additionalProperties": _TEXT}
_ATTRIBUTES = {"anyOf": [_TEXT, {"type": "array", "items": {"type": "object"}}]}
_DISCRETE_VALUES = {"anyOf": [_TEXTS, _TEXT]}
_ID = {"anyOf": [_TEXT, {"type": "integer"}]}
_CELLS = {"type": "array", "items": {"type": "array", "items": {"anyOf": [_TEXT, {"type": "object"}]}}}
_DOCUMENTED: dict[str, Json] = {
    "AlgorithmCreateInput": {"access_method": _TEXT},
    "AlgorithmCreateOutput": {"access_method": _TEXT},
    "AlgorithmMetadata": {"id": _ID, "tags": {"type": "array", "items": _TEXT_MAP}},
    "AlgorithmResponseAdvancedConfigAutoSearchSearchParams": {"discrete_values": _DISCRETE_VALUES},
    "AlgorithmResponseJobConfigInputs": {"access_method": _TEXT},
    "AlgorithmResponseJobConfigOutputs": {"access_method": _TEXT},
    "AlgorithmResponseJobConfigRemoteConstraints": {"attributes": _ATTRIBUTES},
    "AlgorithmResponseMetadata": {"id": _ID},
    "AlgorithmResponseResourceRequirements": {"values": _TEXTS},
    "InputRemoteConstraint": {"attributes": _ATTRIBUTES},
    "InputRespRemoteConstraint": {"attributes": _ATTRIBUTES},
    "Job": {"kind": {"enum": ["job", "federated_pool_job", "edge_job", "hetero_job", "mrs_job", "autosearch_job",
                              "diag_job", "visualization_job"]}},
    "JobAlgorithmResponse": {"environments": {"anyOf": [_TEXT_MAP, {"type": "array", "items": _TEXT_MAP}]}},
    "JobAlgorithmResponsePoliciesAutoSearchSearchParams": {"discrete_values": _DISCRETE_VALUES},
    "JobMetadataResponse": {"user_id": _TEXT},
    "ListAutoSearchTrialsItems": {"data": _CELLS},
    "OutputResp": {"mode": _TEXT, "period": _ID},
    "ParametersConstraint": {"type": {"enum": ["String", "Integer", "Float", "Boolean"]},
                             "valid_type": {"enum": ["None", "Range", "Choice"]}},
    "RemoteConstraint": {"attributes": _ATTRIBUTES},
    "RewardAttrs": {"mode": {"enum": ["max", "min"]}},
    "SearchParams": {"discrete_values": _DISCRETE_VALUES, "param_type": {"enum": ["continuous", "discrete"]}},
    "ShowAutoSearchPerTrialResponse": {"data": _CELLS},
    "Spec": {"runtime_type": _TEXT},
    "SpecResource": {"policy": _TEXT},
    "SpecResponse": {"runtime_type": _TEXT},
}  # fmt: skip
"""What the service's documentation and its replies say otherwise, or besides, than the classes."""
_ALSO_IN_REPLIES = ("asset_id", "auto_stop", "log_export_config", "notification", "reserved_time", "retention")
"""Parts of a job's `spec` that the service gives back, but the classes of replies leave out."""
_OPTIONAL = {("SpecResource", "node_count"), ("Resource", "node_count"), ("Resource", "flavor_id")}
"""What the classes require and the documentation does not: one node is the default, a pool has its own flavor."""


def modelarts() -> Json:
    models = import_module("huaweicloudsdkmodelarts.v1.model")
    defs: Json = {}

    def reference(kind: str) -> Json:
        if inner := re.fullmatch(r"list\[(.+)\]", kind):
            return {"type": "array", "items": reference(inner[1])}
        if inner := re.fullmatch(r"dict\(str, (.+)\)", kind):
            return {"type": "object", "additionalProperties": reference(inner[1])}
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        if kind not in defs:
            defs[kind] = {}  # a promise, so that classes may contain themselves
            defs[kind] = _huawei_class(getattr(models, kind), reference)
        return {"$ref": f"#/$defs/{kind}"}

    for root in MODELARTS_ROOTS:
        reference(root)
    for name in _ALSO_IN_REPLIES:
        defs["SpecResponse"]["properties"][name] = defs["Spec"]["properties"][name]
    defs |= _autosearch_yaml()
    return document(
        "modelarts", (*MODELARTS_ROOTS, "AutoSearchYaml"), defs, packages=["huaweicloudsdkmodelarts"],
        service="ModelArts training management", api="v2",
    )  # fmt: skip


def _huawei_class(model: Any, reference: Callable[[str], Json]) -> Json:
    documented = _DOCUMENTED.get(model.__name__, {})
    names = model.attribute_map
    properties = {names[attribute]: reference(kind) for attribute, kind in model.openapi_types.items()}
    for name, schema in documented.items():
        properties[name] = {"type": "string", **schema} if "enum" in schema else schema
    for attribute in model.sensitive_list:
        properties[names[attribute]]["x-sensitive"] = True
    required = {names[attribute] for attribute in _always_set(model) if (model.__name__, attribute) not in _OPTIONAL}
    return closed(dict(sorted(properties.items())), required) | {"x-source": f"class {model.__name__}"}


def _always_set(model: Any) -> Iterator[str]:
    """Attributes that the constructor sets whatever it is given: those that the service requires."""
    module = ast.parse(textwrap.dedent(inspect.getsource(model.__init__)))
    constructor = module.body[0]
    assert isinstance(constructor, ast.FunctionDef)
    for statement in constructor.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
            (target,) = statement.targets
            assert isinstance(target, ast.Attribute)
            yield target.attr


def _autosearch_yaml() -> Json:
    """The file that a job's `autosearch_config_path` names; the SDK has no classes for it."""
    count = {"type": "integer", "minimum": 0}
    scalar = {"anyOf": [{"type": "number"}, _TEXT, {"type": "boolean"}]}
    kind = {"type": "string", "enum": ["continuous_param", "discrete_param", "continuous", "discrete"]}
    parameter = {
        "base": {"type": "number"},
        "name": _TEXT,
        "num": {"type": "integer", "minimum": 1},
        "start": {"type": "number"},
        "stop": {"type": "number"},
        "type": kind,
        "values": {"type": "array", "items": scalar, "minItems": 1},
    }
    general = {"cpu_per_instance": count, "gpu_per_instance": count, "instance_per_trial": count}
    algorithm = {
        "kind": _TEXT,
        "max_concurrent": {"type": "integer", "minimum": 1},
        "mode": {"type": "string", "enum": ["max", "min"]},
        "num_samples": {"type": "integer", "minimum": 1},
        "reward_attr": _TEXT,
        "save_model_count": count,
        "type": _TEXT,
    }
    group = {"params": listed("AutoSearchYaml.Parameter"), "type": kind}
    whole = {
        "general": {"$ref": "#/$defs/AutoSearchYaml.General"},
        "scheduler": {"$ref": "#/$defs/AutoSearchYaml.Scheduler"},
        "search_algorithm": {"$ref": "#/$defs/AutoSearchYaml.Algorithm"},
        "search_space": listed("AutoSearchYaml.Group"),
    }
    made = {
        "AutoSearchYaml": closed(whole, ["search_algorithm", "search_space"]),
        "AutoSearchYaml.Algorithm": closed(algorithm, ["type"]),
        "AutoSearchYaml.General": closed(general),
        "AutoSearchYaml.Group": closed(group, ["params"]),
        "AutoSearchYaml.Parameter": closed(parameter, ["name"]),
        "AutoSearchYaml.Scheduler": closed({"type": _TEXT}),
    }
    source = {"x-source": "user guide, YAML configuration of automatic search; template 'Bayes' of the service"}
    return {name: schema | source for name, schema in made.items()}


# What all three have in common


def closed(properties: Mapping[str, Any], required: Any = ()) -> Json:
    """An object that may have these properties alone."""
    must = {"required": sorted(required)} if required else {}
    return {"type": "object", "additionalProperties": False, "properties": dict(properties), **must}


def listed(name: str) -> Json:
    return {"type": "array", "items": {"$ref": f"#/$defs/{name}"}, "minItems": 1}


def document(name: str, roots: tuple[str, ...], defs: Json, *, packages: list[str], service: str, api: str) -> Json:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tuneport:schema:native:{name}:1",
        "$comment": "Made by tools/native_schemas.py from the model in the package named here (Apache-2.0).",
        "x-source": {
            "packages": {package: metadata.version(package) for package in packages},
            "service": service,
            "api": api,
            "licence": "Apache-2.0",
        },
        "x-roots": list(roots),
        "$defs": dict(sorted(defs.items())),
    }


def text(value: Any, indent: str = "") -> str:
    """JSON that can be compared line by line: what does not fit in a line has one for each member."""
    flat = json.dumps(value, ensure_ascii=True)
    if not value or not isinstance(value, (dict, list)) or (indent and len(indent) + len(flat) <= 116):
        return flat
    deeper = f"{indent}  "
    if isinstance(value, dict):
        members = [f"{deeper}{json.dumps(key)}: {text(member, deeper)}" for key, member in value.items()]
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + text(member, deeper) for member in value) + f"\n{indent}]"


GENERATORS: Mapping[str, Callable[[], Json]] = {"modelarts": modelarts, "sagemaker": sagemaker, "vertex": vertex}


def path(name: str) -> Path:
    return ROOT / "src" / "tuneport" / "backends" / name / "schema.json"


def complaint(name: str) -> str | None:
    """What is wrong with a checked-in schema, given the installed SDK."""
    fresh = GENERATORS[name]()
    there = json.loads(path(name).read_text(encoding="utf-8")) if path(name).is_file() else {}
    if there and path(name).read_text(encoding="utf-8") == text(fresh) + "\n":
        return None
    old, new = there.get("$defs", {}), fresh["$defs"]
    stale = sorted(key for key in old | new if old.get(key) != new.get(key))
    made, installed = there.get("x-source", {}).get("packages"), fresh["x-source"]["packages"]
    if made != installed and not stale:
        print(f"{name}: made from {made}; {installed} is installed and says the same", file=sys.stderr)
        return None
    return f"stale: {path(name).relative_to(ROOT)}, made from {made}; by {installed} these differ: {stale or 'layout'}"


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        complaints = [found for found in map(complaint, GENERATORS) if found]
        for found in complaints:
            print(f"{found}; run python tools/native_schemas.py", file=sys.stderr)
        return 1 if complaints else 0
    for name, generate in GENERATORS.items():
        path(name).write_text(text(generate()) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
