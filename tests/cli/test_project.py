"""init, schema, vendor."""

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import tuneport_trial
from tuneport.files import read_document


def test_what_init_writes_works_as_it_stands(desk):
    assert desk("init", "new").out.split() == ["new/job.yaml", "new/train.py"]
    checked = desk("check", "new/job.yaml")
    assert (checked.status, checked.out.splitlines()[0]) == (0, "ok: rings")
    done = desk("run", "new/job.yaml", "--json", "--quiet")
    assert (done.status, done.err) == (0, "")
    run = done.json
    assert run["reason"] == "completed"
    assert max(trial["final_measurement"]["metrics"]["accuracy"] for trial in run["trials"]) > 0.9
    assert {trial["failure"]["kind"] for trial in run["trials"] if trial["failure"]} <= {"stopped_by_scheduler"}


def test_init_overwrites_nothing(desk):
    (desk.folder / "train.py").write_text("mine")
    done = desk("init")
    assert done.status == 2
    assert "train.py would be overwritten" in done.err
    assert (desk.folder / "train.py").read_text() == "mine"
    assert not (desk.folder / "job.yaml").exists()
    assert desk.here("init", "--force", "--json").json == {"written": ["job.yaml", "train.py"]}
    assert (desk.folder / "train.py").read_text() != "mine"


def test_vendor(desk):
    assert desk("vendor", "src", "--json").json == {"written": ["src/tuneport_trial.py"]}
    copy = desk.folder / "src" / "tuneport_trial.py"
    assert copy.read_bytes() == Path(tuneport_trial.__file__).read_bytes()
    assert desk.here("vendor", "src").status == 0  # the same file again does no harm
    copy.write_text("changed")
    assert desk.here("vendor", "src").status == 2
    assert copy.read_text() == "changed"
    assert desk.here("vendor", "src", "--force").status == 0


@pytest.mark.parametrize("verb", ["init", "vendor"])
def test_a_place_that_cannot_be_written(desk, verb):
    (desk.folder / "taken").write_text("a file")
    done = desk.here(verb, "taken/in", "--json")
    assert done.status == 2
    assert "cannot be written: Not a directory" in done.json["error"]["message"]


@pytest.mark.parametrize("name", ["job", "results", "report"])
def test_schemas_are_valid_and_the_default_is_that_of_jobs(desk, name):
    schema = desk.here("schema", name).json
    jsonschema.Draft202012Validator.check_schema(schema)
    if name == "job":
        assert desk.here("schema").json == schema


def test_the_schemas_accept_what_we_write(desk, finished):
    results = desk.here("schema", "results").json
    jsonschema.validate(desk.here("status", finished, "--json").json, results)
    jsonschema.validate(desk.here("run", desk.job(desk.no_number), "--json", "-q").json, results)
    desk.here("init")
    jsonschema.validate(read_document(desk.folder / "job.yaml").data, desk.here("schema", "job").json)


def test_an_unknown_schema(desk):
    done = desk.here("schema", "jobs", "--json")
    assert done.status == 2
    assert "did you mean 'job'" in done.json["error"]["message"]


def test_the_template_runs_without_tuneport_too(desk):
    desk.here("init")
    flags = ["--lr=0.1", "--hidden=8", "--batch=64", "--optimizer=adam", "--epochs=1"]
    done = subprocess.run(
        [sys.executable, "train.py", *flags], cwd=desk.folder, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1].startswith("tuneport: step=1 accuracy=")
