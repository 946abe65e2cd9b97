"""Job files: what YAML, JSON and TOML mean, where things stand, and what cannot be read."""

import contextlib
import io
import json
import math
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneport import files
from tuneport.errors import JobError
from tuneport.files import json_text, toml_text, yaml_text
from tuneport.files.document import MAX_DEPTH
from tuneport.model.trial_spec import TrialSpec
from tuneport.testing.strategies import json_values

JOB = """\
name: x
study:
  parameters: [{name: x, kind: float, low: 0, high: 1}]
  objectives: [{metric: m, goal: maximize}]
trial: {command: [x]}
"""


def read(text, suffix=".yaml"):
    return {".yaml": yaml_text, ".json": json_text, ".toml": toml_text}[suffix].read(text, f"f{suffix}")


def refused(text, suffix=".yaml"):
    """The problems with a text that cannot be read."""
    with pytest.raises(JobError) as caught:
        read(text, suffix)
    return caught.value.problems


# ---- what YAML means ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("+1", 1),
        ("1.", 1.0),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        *(
            (word, word)
            for word in ["no", "yes", "on", "off", "y", "N", "nan", "inf", "1_000", "0b1", "1e", "e5", "=", "."]
        ),
        *((text, text) for text in ["2020-01-01", "2020-01-01 10:00:00", "12:30:45", "1.2.3", "0o8", "--1", "1e999"]),
        ('"1"', "1"),
        ("'true'", "true"),
        ("!!str 1", "1"),
        ("|\n  1\n", "1\n"),
        ('"\\ud83d\\ude00"', "😀"),
    ],
)
def test_scalars_mean_what_a_person_means(text, value):
    got = read(f"a: {text}").data["a"]
    assert got == value
    assert isinstance(got, type(value))


@pytest.mark.parametrize(
    ("suffix", "spelling"),
    [
        *((".yaml", spelling) for spelling in ["1e-5", "3.10", "007", "1.0e+3", "+1", "-0"]),
        *((".json", spelling) for spelling in ["1e-5", "3.10", "1.0e+3", "-0"]),
        *((".toml", spelling) for spelling in ["1e-5", "3.10", "1.0e+3"]),
    ],
)
def test_numbers_keep_their_spelling_where_text_is_meant(suffix, spelling):
    text = {".yaml": f"v: {spelling}", ".json": f'{{"v": {spelling}}}', ".toml": f"v = {spelling}"}[suffix]
    assert TrialSpec(command=["x"], env=read(text, suffix).data).env == {"v": spelling}


def test_a_number_that_was_spelled_oddly_is_an_ordinary_number_in_the_model(tmp_path):
    text = JOB.replace("low: 0, high: 1", "low: 1e-5, high: 1.10, default: 0.50")
    parameter = files.read_job(written(tmp_path / "a.yaml", text)).study.parameters[0]
    assert [type(value) for value in (parameter.low, parameter.high, parameter.default)] == [float, float, float]


def test_anchors_aliases_and_merges():
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {y: 4, <<: [*a, {z: 5}]}\n"
    assert read(text).data["b"] == {"x": 1, "y": 2}
    assert read(text).data["c"] == {"x": 1, "y": 3}
    assert read(text).data["d"] == {"x": 1, "y": 4, "z": 5}


# ---- where things stand ---------------------------------------------------------------------------------------------

PLACED = {
    ".yaml": "a:\n  - b: 1\n    c/d: [x,\n     y]\n",
    ".json": '{"a": [\n {"b": 1,\n\t"c\\/d": ["x",\n "y"]}], "e": [[], {}, 2]}',
    ".toml": 'e = 1\n[[a]]\nb = 1\n\n"c/d" = ["x", "y"]\n[[a]]\nb = """\nb = 3\n"""\n[a.f]\ng.h = 2\n',
}


@pytest.mark.parametrize(
    ("suffix", "pointer", "place", "key"),
    [
        (".yaml", "/a", "2:3", "1:1"),
        (".yaml", "/a/0/b", "2:8", "2:5"),
        (".yaml", "/a/0/c~1d/1", "4:6", "4:6"),
        (".yaml", "/a/0/missing", "2:5", "2:5"),
        (".yaml", "", "1:1", "1:1"),
        (".json", "/a", "1:7", "1:2"),
        (".json", "/a/0/b", "2:8", "2:3"),
        (".json", "/a/0/c~1d/1", "4:2", "4:2"),
        (".json", "/a/0/missing", "2:2", "2:2"),
        (".json", "/e/2", "4:24", "4:24"),
        (".toml", "/e", "1:1", "1:1"),
        (".toml", "/a/0/b", "3:1", "3:1"),
        (".toml", "/a/0/c~1d/1", "5:1", "5:1"),
        (".toml", "/a/1/b", "7:1", "7:1"),
        (".toml", "/a/1/f/g/h", "11:1", "11:1"),
        (".toml", "/a/1/missing", "6:1", "6:1"),
    ],
)
def test_places(suffix, pointer, place, key):
    document = read(PLACED[suffix], suffix)
    assert document.place(pointer) == f"f{suffix}:{place}"
    assert document.place(pointer, key=True) == f"f{suffix}:{key}"


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(), json_values, max_size=3), st.sampled_from([None, 1]))
def test_json_has_a_place_for_every_value(data, indent):
    text = json.dumps(data, indent=indent)
    document = read(text, ".json")
    lines = text.split("\n")

    def check(value, pointer):
        line, column = document.places[pointer].value
        decoded, _ = json.JSONDecoder().raw_decode("\n".join(lines[line - 1 :]), column - 1)
        assert decoded == value
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            check(item, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")

    check(data, "")


# ---- what cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "text", "place", "message"),
    [
        (".yaml", "a: 1\nb: [1\nc: 2\n", "3:2", "is not YAML"),
        (".yaml", "a:\n\t- 1\n", "2:1", "'\\t' that cannot start any token"),
        (".yaml", "a: b: c\n", "1:5", "mapping values are not allowed"),
        (".yaml", "a: 1\n---\nb: 2\n", "2:1", "more than one document"),
        (".yaml", "%YAML 1.1\n---\na: no\n", "2:1", "only YAML 1.2"),
        (".yaml", "a: *b\n", "1:4", "nothing before this is marked &b"),
        (".yaml", "a: &a [*a]\n", "1:8", "nothing before this is marked &a"),
        (".yaml", "a: !!python/object/apply:os.system [ls]\n", "1:4", "tags such as"),
        (".yaml", "a: {<<: 1}\n", "1:9", "only a mapping can be merged"),
        (".yaml", "a: 1\nb: 2\na: 3\n", "3:1", "key 'a' is given twice, first at f.yaml:1:1"),
        (".yaml", "1: a\n", "1:1", "a key must be text, not 1; write it in quotes"),
        (".yaml", "true: a\n", "1:1", "a key must be text, not true"),
        (".yaml", "? [a]\n: 1\n", "1:3", "a key must be text, not a list"),
        (".yaml", "? {a: 1}\n: 1\n", "1:3", "a key must be text"),
        (".yaml", 'a: "\\UFFFFFFFF"\n', "1:1", "is not YAML"),
        (".yaml", "a: \x00\n", "1:1", "is not YAML"),
        (".json", '{"a": 1, x}', "1:10", "is not JSON"),
        (".json", '{"a": 1}\n{"b": 2}', "2:1", "Extra data"),
        (".json", '{"a": 1,\n "a": 2}', "2:2", "key 'a' is given twice, first at f.json:1:2"),
        (".json", "", "1:1", "is not JSON"),
        (".toml", "a = 1\na = 2\n", "2:6", "Cannot overwrite a value"),
        (".toml", "a = \n", "1:5", "Invalid value"),
        (".toml", "a = " + "9" * 5000, None, "too many digits"),
        (".toml", "a" + ".a" * 1000 + " = 1", "1:1", "more than 300 parts"),
    ],
)
def test_unreadable_text(suffix, text, place, message):
    problem, *_ = refused(text, suffix)
    assert message in problem.message
    assert problem.place == (f"f{suffix}:{place}" if place else f"f{suffix}")


def test_every_duplicate_is_told_at_once():
    assert [problem.pointer for problem in refused("a: 1\na: 2\nb: {c: 1, c: 2}\n2: x\n")] == ["/a", "/b/c", ""]
    assert [problem.pointer for problem in refused('{"a": 1, "a": 2, "b": {"c": 1, "c": 2}}', ".json")] == [
        "/a",
        "/b/c",
    ]


def bomb(levels, fan):
    lines = ["x0: &x0 [lol]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * fan)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".yaml", bomb(50, 9)),
        (".yaml", bomb(3, 2000)),
        (".yaml", "a: &a {" + ", ".join(f"k{n}: 1" for n in range(3000)) + "}\nb: [" + "{<<: *a}, " * 3000 + "]"),
        (".yaml", "[" * 20_000),
        (".yaml", "- " * 20_000),
        (".json", "[" * 100_000),
        (".json", "[" * 500 + "]" * 500),
        (".json", "[" + "[], " * 600_000 + "0]"),
        (".toml", "a = " + "[" * 100_000),
        (".toml", "a = " + "[" * 200 + "]" * 200),
    ],
)
def test_bombs_are_refused_in_bounded_time(suffix, text):
    start = time.monotonic()
    (problem,) = refused(text, suffix)
    assert "levels" in problem.message or "holds more than" in problem.message
    assert time.monotonic() - start < 10


def test_what_nests_as_deep_as_allowed_is_read():
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH, ".json").data
    assert read("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)).data


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(list("ab01.e-:,[]{}&*!|>'\"#%@?<~\n \t\\=u\ud800\x00é")), max_size=40))
def test_any_text_is_data_or_a_job_error(text):
    for suffix in (".yaml", ".json", ".toml"):
        with contextlib.suppress(JobError):
            read(text, suffix)


# ---- files ----------------------------------------------------------------------------------------------------------


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "here is nothing"),
        (b"# only a comment\n", "here is nothing"),
        (b"- a\n", "here is a list"),
        (b"text", "here is only 'text'"),
        (b"name: \xff\n", "is not UTF-8 text: byte 6 is 0xff"),
        ("name: x".encode("utf-16"), "is not UTF-8 text"),
        (b"#" * (1 << 20) + b"#", "is larger than 1 MiB"),
    ],
)
def test_files_that_are_no_jobs(tmp_path, content, message):
    with pytest.raises(JobError, match=r"job\.yaml") as caught:
        files.read_job(written(tmp_path / "job.yaml", content))
    assert message in str(caught.value)


def test_files_that_cannot_be_opened(tmp_path):
    for path in (tmp_path / "nothing.yaml", tmp_path, "a\0b"):
        with pytest.raises(JobError, match="cannot be read") as caught:
            files.read_job(path)
        assert str(path) in str(caught.value)


def test_files_that_open_but_cannot_be_read():
    with pytest.raises(JobError, match="cannot be read"):
        files.read_job("/proc/self/mem")  # for everybody, root among them


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(JOB.replace("maximize", "max").encode())))
    with pytest.raises(JobError) as caught:
        files.read_job("-")
    assert [problem.place for problem in caught.value.problems] == ["<stdin>:4:34"]


def test_a_byte_order_mark_and_a_schema_for_editors(tmp_path):
    text = "\ufeff$schema: ./job.schema.json\n" + JOB
    assert files.read_job(written(tmp_path / "job.yaml", text)).name == "x"


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json", ".toml", ".job", ""])
def test_what_is_written_is_read(tmp_path, suffix):
    job = files.read_job(written(tmp_path / "first.yaml", JOB))
    text = files.write_job(job, tmp_path / f"job{suffix}")
    assert (tmp_path / f"job{suffix}").read_text() == text
    assert files.read_job(tmp_path / f"job{suffix}") == job


def test_written_yaml_is_what_a_person_would_write(tmp_path):
    job = files.read_job(written(tmp_path / "first.yaml", JOB))
    assert files.write_job(job) == (
        "name: x\n"
        "study:\n"
        "  parameters:\n"
        "    - {name: x, kind: float, low: 0.0, high: 1.0}\n"
        "  objectives:\n"
        "    - {metric: m, goal: maximize}\n"
        "trial: {command: [x]}\n"
    )


def test_a_file_that_cannot_be_written(tmp_path):
    job = files.read_job(written(tmp_path / "job.yaml", JOB))
    with pytest.raises(JobError, match="cannot be written"):
        files.write_job(job, tmp_path / "nowhere" / "job.yaml")


def test_what_toml_cannot_say(tmp_path):
    text = JOB + "budget: {max_trials: null, max_seconds: 60}\n"
    job = files.read_job(written(tmp_path / "job.yaml", text))
    with pytest.raises(JobError, match="/budget/max_trials: TOML has no null"):
        files.write_job(job, tmp_path / "job.toml")
