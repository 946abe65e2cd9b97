"""Settings in layers: which wins, where each comes from, and what is refused."""

import os
import re
from pathlib import Path

import pytest

import tuneport
from tuneport import config
from tuneport.backends.local import BACKEND
from tuneport.errors import SettingsError


@pytest.fixture
def project(tmp_path):
    (tmp_path / "deep" / "down").mkdir(parents=True)
    return tmp_path


def load(folder, overrides=None, **variables):
    return config.load(overrides, folder=folder, environ=variables)


def local(folder, overrides=None, **variables):
    return load(folder, overrides, **variables).settings(BACKEND)


def test_defaults(project):
    loaded = load(project)
    assert loaded.on == "local"
    assert loaded.settings(BACKEND) == BACKEND.settings_type()
    assert {setting.origin for setting in loaded.explain()} == {"default"}


def test_each_layer_wins_over_the_one_below(project):
    file = project / "tuneport.toml"
    file.write_text("[local]\ngpus = 1\ngrace = 1\ncontract = 'vertex'\n")
    loaded = load(
        project / "deep" / "down",
        {"local": {"gpus": 3, "contract": None}},
        TUNEPORT_LOCAL__GPUS="2",
        TUNEPORT_LOCAL__GRACE="2.5",
        TUNEPORT_LOCAL__PYTHON="",
    )
    settings = loaded.settings(BACKEND)
    assert (settings.gpus, settings.grace, settings.contract, settings.python) == (3, 2.5, "vertex", None)
    assert {setting.name: setting.origin for setting in loaded.explain()} == {
        "on": "default",
        "local.workspace": "default",
        "local.contract": f"{file}:4:1",
        "local.gpus": "argument",
        "local.grace": "TUNEPORT_LOCAL__GRACE",
        "local.python": "default",
    }


def test_the_workspace_may_be_said_without_its_section(project):
    assert local(project, {"workspace": "a"}).workspace == Path("a")
    assert local(project, {"local": {"workspace": "b"}}, TUNEPORT_WORKSPACE="a").workspace == Path("b")
    assert local(project, TUNEPORT_WORKSPACE="2024").workspace == Path("2024")
    (project / "tuneport.toml").write_text("workspace = 'c'")
    assert local(project).workspace == project / "c"


def test_paths_in_a_file_are_relative_to_it_and_home_is_known(project, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    (project / "tuneport.toml").write_text("[local]\nworkspace = 'runs'\npython = '~/bin/python'\n")
    settings = local(project / "deep")
    assert settings.workspace == project / "runs"
    assert settings.python == Path("/home/somebody/bin/python")


def test_the_nearest_file_counts_alone(project):
    (project / "tuneport.toml").write_text("[local]\ngpus = 1\n")
    (project / "deep" / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.tuneport.local]\ngrace = 3\n")
    assert local(project / "deep" / "down").gpus is None
    assert local(project / "deep" / "down").grace == 3
    (project / "deep" / "tuneport.toml").write_text("on = 'local'\n")
    assert local(project / "deep").grace == 10


def test_a_pyproject_that_is_not_about_us_is_not_even_read(project):
    (project / "tuneport.toml").write_text("[local]\ngpus = 1\n")
    (project / "deep" / "pyproject.toml").write_text("this is [not toml\n")
    assert local(project / "deep").gpus == 1


def test_every_problem_at_once_with_its_origin(project):
    file = project / "tuneport.toml"
    file.write_text("onn = 'local'\n[local]\ngpsu = 1\ngrace = -1\n[jupyter]\nphase = 1\n")
    with pytest.raises(SettingsError) as caught:
        load(project, {"local": {"contract": "azure"}}, TUNEPORT_LOCAL__GPUS="many", TUNEPORT_WORKSPCE="x")
    found = {problem.pointer: (problem.message, problem.place) for problem in caught.value.problems}
    assert found["/onn"] == ("unknown setting 'onn'; did you mean 'on'?", f"{file}:1:1")
    assert found["/local/gpsu"] == ("unknown key 'gpsu'; did you mean 'gpus'?", f"{file}:3:1")
    assert found["/local/grace"][1] == f"{file}:4:1"
    assert found["/local/gpus"] == ("must be a number, not 'many'", "TUNEPORT_LOCAL__GPUS")
    assert found["/local/contract"][1] == "argument"
    assert found["/jupyter"] == (
        "unknown setting 'jupyter'; known here: on, map, prices, workspace, local, modelarts, ray, sagemaker, vertex",
        f"{file}:6:1",
    )
    assert found["/workspce"] == ("unknown setting 'workspce'; did you mean 'workspace'?", "TUNEPORT_WORKSPCE")
    assert len(found) == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [("on = 3", "must be a backend's name, not 3"), ("local = 3", "must be a mapping"), ("a = ", "is not TOML")],
)
def test_a_file_of_the_wrong_shape(project, text, message):
    (project / "tuneport.toml").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(message)):
        load(project)


def test_a_higher_layer_replaces_what_had_another_shape(project):
    (project / "tuneport.toml").write_text("local = 3")
    assert local(project, {"local": {"gpus": 1}}).gpus == 1


def test_variables_of_the_trial_protocol_are_no_settings(project):
    variables = dict.fromkeys(config.NOT_SETTINGS, "{}")
    assert load(project, **variables).on == "local"


def test_every_variable_that_our_code_names_is_known_here():
    source = Path(tuneport.__file__).parent
    named = set()
    for path in [*source.rglob("*.py"), source.parent / "tuneport_trial.py"]:
        named |= set(re.findall(r"[\"'](TUNEPORT_[A-Z_]*[A-Z])[\"']", path.read_text()))
    assert named
    assert named <= config.NOT_SETTINGS


def test_this_process_is_looked_at_by_default(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setitem(os.environ, "TUNEPORT_LOCAL__GPUS", "0")
    assert config.load().settings(BACKEND).gpus == 0
