"""What all verbs have in common: help, exit statuses of errors, JSON, and a quick start."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tuneport import errors
from tuneport.cli import app

HEAVY = {"pydantic", "pydantic_core", "numpy", "scipy", "rich", "ruamel", "tenacity", "tuneport.api", "tuneport.model"}
VERBS = [
    "init",
    "check",
    "run",
    "submit",
    "resume",
    "runs",
    "status",
    "follow",
    "trials",
    "best",
    "report",
    "logs",
    "stop",
    "delete",
    "translate",
    "import",
    "migrate",
    "plan",
    "diff",
    "backends",
    "doctor",
    "machines",
    "emulate",
    "schema",
    "vendor",
]


def test_help_names_every_verb_and_loads_nothing_heavy():
    code = "import sys\nfrom tuneport.cli.app import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)\n"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert all(f"\n  {verb} " in done.stdout for verb in VERBS)
    assert "Exit status: 0 ok" in done.stdout
    assert "..." not in done.stdout.split("Commands:")[1].split("Exit status")[0]
    assert not set(done.stderr.split()) & HEAVY


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(verb, capsys):
    assert app._status([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert "--json" in said
    assert "tuneport" in said


def test_version(desk):
    done = desk("--version")
    assert (done.status, done.out.split()[0], done.err) == (0, "tuneport", "")


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["run"], ["status", "a", "b"], ["logs", "a", "0"], ["runs", "--colour"]]
)
def test_wrong_usage(arguments, capsys):
    assert app._status(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Usage: tuneport" in said.err


def test_wrong_usage_for_programs(capsys):
    assert app._status(["status", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {"code": "usage", "message": "Missing argument 'REF'.", "hint": None, "problems": []}


def fail_with(error, monkeypatch):
    def runs(**_):
        raise error

    monkeypatch.setattr("tuneport.api.runs", runs)
    return app._status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.JobError("no job"), 3),
        (errors.ToleranceError("loses"), 4),
        (errors.AuthError("who are you"), 5),
        (errors.QuotaError("too much"), 6),
        (errors.WaitTimeoutError("too long"), 10),
        (errors.SettingsError("odd"), 2),
        (errors.StoreError("full"), 1),
    ],
)
def test_each_error_has_its_exit_status(error, status, monkeypatch, capsys):
    assert fail_with(error, monkeypatch)(["runs"]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"tuneport: {error.message}\n"


def test_errors_for_programs(monkeypatch, capsys):
    problem = errors.Problem("/study", "odd", hint="even", place="job.yaml:1:2")
    error = errors.JobError("no job", hint="write one", problems=[problem])
    assert fail_with(error, monkeypatch)(["runs", "--json"]) == 3
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "error": {
            "code": "invalid-job",
            "message": "no job",
            "hint": "write one",
            "problems": [{"pointer": "/study", "message": "odd", "hint": "even", "place": "job.yaml:1:2"}],
        }
    }
    assert said.err == ""


def test_a_fault_of_ours_is_one_line_that_asks_for_a_report(monkeypatch, capsys):
    run = fail_with(ZeroDivisionError("oh"), monkeypatch)
    monkeypatch.delenv("TUNEPORT_DEBUG", raising=False)
    assert run(["runs"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("tuneport: unexpected ZeroDivisionError: oh\n")
    assert "please report it" in said
    assert "Traceback" not in said
    monkeypatch.setenv("TUNEPORT_DEBUG", "1")
    assert run(["runs"]) == 1
    assert "Traceback" in capsys.readouterr().err
    assert run(["runs", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unexpected"


def test_an_interrupt_anywhere(monkeypatch):
    assert fail_with(KeyboardInterrupt(), monkeypatch)(["runs"]) == 130


def test_a_reader_that_has_had_enough_is_no_error(desk, finished):
    shell = f"{sys.executable} -m tuneport trials {finished} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=desk.folder, env=desk.env, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_the_written_page_has_every_verb_and_every_exit_status():
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
    assert re.findall(r"^\| `(\w+)", page, re.MULTILINE) == VERBS
    said = re.findall(r"^\| (\d+) ", page, re.MULTILINE)
    assert said == re.findall(r"\b(\d+) [a-z]", app.EPILOG)
    assert {str(kind.exit_code) for kind in kinds(errors.TuneportError)} <= set(said)


def kinds(root):
    """A kind of error, and all that it is divided into."""
    return [root, *(kind for part in root.__subclasses__() for kind in kinds(part))]


def test_a_terminal_that_knows_few_characters_gets_all_the_rest(desk):
    ref = desk.here("run", desk.job("print('größer')", max_trials=1), "--json", "-q").json["ref"]
    desk.env["PYTHONIOENCODING"] = "ascii"
    assert desk("logs", ref, "1").out == "gr\\xf6\\xdfer\n"
