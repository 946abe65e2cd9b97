"""Backends are found by name through entry points, ours and others'; whatever is wrong with one is said clearly."""

import sys

import pytest

from tuneport.backends import registry
from tuneport.backends.local import BACKEND
from tuneport.errors import BackendConflictError, BackendError, BackendNotFoundError, BackendNotInstalledError


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package with a backend on the path, as pip would."""

    def install(package, module, content, name="nimbus", extras=()):
        where = tmp_path / package
        info = where / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        provides = "".join(f"Provides-Extra: {extra}\n" for extra in extras)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n{provides}")
        (info / "entry_points.txt").write_text(f"[tuneport.backends]\n{name} = {module}:BACKEND\n")
        (where / f"{module}.py").write_text(content)
        monkeypatch.syspath_prepend(str(where))

    yield install
    for module in ("nimbus_one", "nimbus_two"):
        sys.modules.pop(module, None)


GOOD = "class BACKEND:\n    name = 'nimbus'\n    protocol_version = 1\n"


def test_this_machine_is_registered():
    assert "local" in registry.names()
    assert registry.load("local") is BACKEND


def test_a_stranger_is_listed_without_being_imported(install):
    install("nimbus", "nimbus_one", "raise RuntimeError('imported')")
    assert "nimbus" in registry.names()
    with pytest.raises(BackendError, match="fails when imported: RuntimeError: imported"):
        registry.load("nimbus")


def test_a_stranger_is_loaded(install):
    install("nimbus", "nimbus_one", GOOD)
    assert registry.load("nimbus").name == "nimbus"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("locl", "did you mean 'local'? backends here: local, modelarts, ray, sagemaker, vertex"), ("azure", "local")],
)
def test_an_unknown_name(name, hint):
    with pytest.raises(BackendNotFoundError) as caught:
        registry.load(name)
    assert hint in caught.value.hint
    assert caught.value.backend == name
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("extras", "hint"), [(["nimbus"], "pip install 'nimbus-pack[nimbus]'"), ([], "reinstall nimbus-pack")]
)
def test_a_missing_package(install, extras, hint):
    install("nimbus-pack", "nimbus_one", "import nimbus_sdk_that_is_not_there", extras=extras)
    with pytest.raises(BackendNotInstalledError, match="No module named 'nimbus_sdk_that_is_not_there'") as caught:
        registry.load("nimbus")
    assert caught.value.hint == hint
    assert isinstance(caught.value.__cause__, ImportError)


def test_two_packages_with_one_name(install):
    install("one", "nimbus_one", GOOD)
    install("two", "nimbus_two", GOOD)
    with pytest.raises(BackendConflictError, match=r"one \(nimbus_one:BACKEND\), two \(nimbus_two:BACKEND\)"):
        registry.load("nimbus")


def test_another_protocol(install):
    install("nimbus", "nimbus_one", GOOD.replace("1", "99"))
    with pytest.raises(BackendError, match="speaks protocol version 99, this tuneport 1"):
        registry.load("nimbus")
