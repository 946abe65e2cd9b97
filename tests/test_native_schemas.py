"""The native schemas are fresh, standard, one copy each, and say what the vendors' models say."""

import json
import re
import subprocess
import sys
from importlib import util
from pathlib import Path

import jsonschema
import pytest

from tuneport.translation.shape import schema_of

ROOT = Path(__file__).parent.parent
CLOUDS = ["modelarts", "sagemaker", "vertex"]

specification = util.spec_from_file_location("native_schemas", ROOT / "tools" / "native_schemas.py")
tool = util.module_from_spec(specification)
specification.loader.exec_module(tool)


def definitions(cloud):
    return schema_of(f"tuneport.backends.{cloud}")["$defs"]


def check():
    command = [sys.executable, str(ROOT / "tools" / "native_schemas.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_schemas_are_fresh():
    found = check()
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.fixture
def a_copy(tmp_path, monkeypatch):
    """A checked-in schema that a test may change."""
    place = tmp_path / "src" / "tuneport" / "backends" / "sagemaker" / "schema.json"
    place.parent.mkdir(parents=True)
    place.write_text(tool.path("sagemaker").read_text())
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    return place


def test_what_is_stale_is_named(a_copy):
    a_copy.write_text(a_copy.read_text().replace('"maximum": 30}', '"maximum": 31}'))
    assert "these differ: ['MaximumRetryAttempts']" in tool.complaint("sagemaker")
    a_copy.unlink()
    assert "stale" in tool.complaint("sagemaker")


def test_another_sdk_that_says_the_same_is_told_and_no_fault(a_copy, capsys):
    schema = json.loads(a_copy.read_text())
    schema["x-source"]["packages"]["botocore"] = "1.0.0"
    a_copy.write_text(tool.text(schema) + "\n")
    assert tool.complaint("sagemaker") is None
    assert "'1.0.0'" in capsys.readouterr().err
    schema["$defs"]["Seed"] = {}
    a_copy.write_text(tool.text(schema) + "\n")
    assert re.search(r"made from .*1\.0\.0.*: \['Seed'\]", tool.complaint("sagemaker"))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_schema_is_standard_closed_and_whole(cloud):
    schema = schema_of(f"tuneport.backends.{cloud}")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert {"packages", "service", "api", "licence"} == schema["x-source"].keys()
    reached, waiting = set(), list(schema["x-roots"])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema["$defs"][name]))
    unused = schema["$defs"].keys() - reached - {"bool", "double", "float", "int32", "int64", "duration", "timestamp"}
    assert not unused
    for name, definition in schema["$defs"].items():
        if "properties" in definition:
            assert definition["additionalProperties"] is False, name
            assert set(definition.get("required", ())) <= definition["properties"].keys(), name


@pytest.mark.parametrize("cloud", CLOUDS)
def test_there_is_one_copy_which_ships(cloud):
    link = ROOT / "schemas" / "native" / f"{cloud}.json"
    assert link.is_symlink()
    assert link.samefile(tool.path(cloud))


def test_sagemaker_limits_are_the_service_models():
    shapes = definitions("sagemaker")
    assert shapes["ParameterRanges"]["properties"].keys() >= {"AutoParameters", "IntegerParameterRanges"}
    assert shapes["IntegerParameterRange"]["required"] == ["MaxValue", "MinValue", "Name"]
    assert shapes["HyperParameterTrainingJobEnvironmentMap"]["maxProperties"] == 48
    assert shapes["MaximumRetryAttempts"] == {"type": "integer", "minimum": 1, "maximum": 30}
    assert len(shapes["TrainingInstanceType"]["enum"]) == 225


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("TagKey", ["équipe 7", "a_b.c:d/e=f+g-h@i", "x\u00a0y"], ["a#b", "", "tab\t"]),
        ("ArnOrName", ["xgb-1", "arn:aws:sagemaker:eu-west-1:111122223333:algorithm/xgb"], ["xgb-", "-xgb", "a_b"]),
        (
            "RoleArn",
            ["arn:aws:iam::111122223333:role/a/b"],
            ["arn:aws:iam::1111222233٣٣:role/abc", "role/abcdefghijklmn"],
        ),
        ("HyperParameterTuningJobName", ["a--b", "A" * 32], ["a-", "a" * 33, "a_b"]),
        ("S3Uri", ["s3://b", "https://h/p"], ["gs://b", "s3://"]),
    ],
)
def test_sagemaker_patterns_hold_for_whole_texts(name, good, bad):
    validator = jsonschema.Draft202012Validator(definitions("sagemaker")[name])
    assert all(validator.is_valid(one) for one in good)
    assert not any(validator.is_valid(one) for one in bad)


def test_the_vendors_text_of_a_changed_pattern_is_kept():
    assert definitions("sagemaker")["TagKey"]["x-pattern"] == r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
    assert "x-pattern" not in definitions("sagemaker")["ChannelName"]


def test_vertex_says_how_values_travel():
    messages = definitions("vertex")
    job = messages["HyperparameterTuningJob"]
    assert job["required"] == ["displayName", "maxTrialCount", "parallelTrialCount", "studySpec", "trialJobSpec"]
    assert job["properties"]["trials"]["x-output-only"]
    whole = messages["StudySpec.ParameterSpec.IntegerValueSpec"]["properties"]
    assert whole["minValue"] == {"$ref": "#/$defs/int64", "x-zero": "keep"}
    assert whole["defaultValue"] == {"$ref": "#/$defs/int64", "x-presence": True}
    assert messages["StudySpec.Algorithm"]["x-numbers"] == {
        "ALGORITHM_UNSPECIFIED": 0, "GRID_SEARCH": 2, "RANDOM_SEARCH": 3,
    }  # fmt: skip
    parameter = messages["StudySpec.ParameterSpec"]
    assert len(parameter["x-oneofs"][0]) == 4
    assert len(parameter["not"]["anyOf"]) == 6
    assert len(messages["HyperparameterTuningTask"]["properties"]) == 5


@pytest.mark.parametrize(
    "number", [0, 10**18, 9_199_999_999_999_999_999, 2**63 - 1, 2**63, 10**19, -(2**63), -(2**63) - 1]
)
def test_vertex_knows_the_range_of_int64(number):
    validator = jsonschema.Draft202012Validator(definitions("vertex")["int64"])
    assert validator.is_valid(str(number)) is (-(2**63) <= number < 2**63)
    assert not validator.is_valid(number)


def test_modelarts_allows_what_documents_and_classes_say_differently():
    classes = definitions("modelarts")
    assert classes["Job"]["required"] == ["kind", "metadata"]
    assert "required" not in classes["SpecResource"]
    for name in ("SearchParams", "AlgorithmResponseAdvancedConfigAutoSearchSearchParams"):
        validator = jsonschema.Draft202012Validator(classes[name]["properties"]["discrete_values"])
        assert validator.is_valid(["1", "2"])
        assert validator.is_valid("1,2")
    assert classes["SearchParams"]["x-source"] == "class SearchParams"
