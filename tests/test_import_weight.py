"""`import tuneport` must cost next to nothing, and still offer every public name."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tuneport

HEAVY = {
    "pydantic", "pydantic_core", "numpy", "scipy", "ruamel", "yaml", "typer", "click", "rich", "tenacity", "pandas",
    "ray", "boto3", "botocore", "google", "huaweicloudsdkcore", "huaweicloudsdkmodelarts", "pynvml", "typing",
    "importlib.metadata",
}  # fmt: skip
HEAVY_FOR_ERRORS = HEAVY - {"typing"}


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [("import tuneport", HEAVY), ("import tuneport; tuneport.errors.JobError", HEAVY_FOR_ERRORS)],
)
def test_importing_loads_nothing_heavy(statement: str, heavy: set[str]) -> None:
    assert not loaded_by(statement) & heavy


def test_the_words_load_without_the_mind_and_the_hands() -> None:
    loaded = loaded_by("import tuneport; tuneport.TuningJob")
    assert not loaded & {"numpy", "scipy", "ruamel", "typer", "rich", "tuneport.api", "tuneport.search.study"}


def test_every_public_name_is_there() -> None:
    assert sorted(tuneport.__all__) == tuneport.__all__
    assert set(tuneport.__all__) <= set(dir(tuneport))
    for name in tuneport.__all__:
        assert getattr(tuneport, name) is not None


def test_what_type_checkers_see_is_what_there_is() -> None:
    tree = ast.parse(Path(tuneport.__file__).read_text())
    imported = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tuneport.")
        for alias in node.names
    }
    assert {name: f"tuneport.{room}" for name, room in tuneport._ROOM_OF.items()} == imported
    assert set(imported) | {"errors", "__version__"} == set(tuneport.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        tuneport.Nonsense  # noqa: B018


def test_what_only_clouds_need_loads_no_engine_and_no_reader_of_files() -> None:
    loaded = loaded_by("import tuneport; tuneport.submit, tuneport.attach, tuneport.runs")
    assert "tuneport.remote.runs" in loaded
    assert not loaded & {"numpy", "scipy", "ruamel", "typer", "rich", "tuneport.engine.engine", "tuneport.search.study"}
    assert not {one.partition(".")[0] for one in loaded} & {"boto3", "botocore", "google", "huaweicloudsdkcore"}
