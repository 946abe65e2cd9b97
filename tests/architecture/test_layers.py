"""Who may call on whom, walked from the imports of every module; docs/architecture.md says why."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[2] / "src"

WORDS = {"errors", "model"}
PURE_BACKEND = {*WORDS, "translation", "catalog", "engine.launch", "backends.protocols"}
EVERYTHING_BELOW = {
    *PURE_BACKEND, "search", "engine", "backend", "client", "backends.registry", "emulators", "insight", "files",
    "schemas",
}  # fmt: skip
MAY_CALL_ON = {
    "errors": set(),
    "model": {"errors"},
    "search": WORDS,
    "translation": WORDS,
    "catalog": {*WORDS, "translation"},
    "insight": WORDS,
    "files": WORDS,
    "schemas": {*WORDS, "translation"},
    "engine.launch": WORDS,  # pure data that backends fill in
    "engine": {*WORDS, "search", "engine.launch", "backends.protocols"},
    "backends.protocols": {*WORDS, "translation", "engine.launch"},
    "backends.registry": {*WORDS, "backends.protocols"},
    "backends.retries": {*WORDS, "backends.protocols"},
    "backends.polling": {*WORDS, "backends.protocols"},
    "backend": PURE_BACKEND,  # every file of a backend but its client
    # What acts: a backend's client and its jobs.
    "client": {*PURE_BACKEND, "backend", "backends.retries", "backends.polling", "engine"},
    "emulators": {*PURE_BACKEND, "backend", "backends.registry", "client", "engine"},  # the client of this machine
    "exchange": PURE_BACKEND,
    "remote": {*PURE_BACKEND, "exchange"},
    "config": {*WORDS, "catalog", "files", "backends.protocols", "backends.registry"},
    "testing": {*EVERYTHING_BELOW, "config", "exchange", "remote", "translating", "handle", "api"},
    "translating": {*EVERYTHING_BELOW, "config", "exchange"},
    "doctor": {*EVERYTHING_BELOW, "config", "exchange", "translating"},
    "handle": WORDS,
    "packaging": {*EVERYTHING_BELOW, "exchange", "translating"},
    "driven": {*EVERYTHING_BELOW, "config", "exchange", "translating", "packaging"},
    "here": {*EVERYTHING_BELOW, "config", "handle", "driven"},
    "tuning": {*EVERYTHING_BELOW, "handle", "here"},
    "api": {
        *EVERYTHING_BELOW,
        "config",
        "exchange",
        "remote",
        "translating",
        "packaging",
        "handle",
        "driven",
        "here",
    },
    "migration": {*EVERYTHING_BELOW, "config", "translating", "packaging", "handle", "api"},
    "cli": {
        *EVERYTHING_BELOW,
        "config",
        "exchange",
        "remote",
        "translating",
        "packaging",
        "handle",
        "driven",
        "api",
        "migration",
        "doctor",
    },
}
"""Room to the rooms that it may import."""

PURE = {
    "errors",
    "model",
    "search",
    "translation",
    "catalog",
    "engine.launch",
    "backends.protocols",
    "backend",
    "exchange",
}
IMPURE = {
    "asyncio", "datetime", "glob", "http", "logging", "multiprocessing", "os", "random", "secrets", "shutil", "signal",
    "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "uuid",
}  # fmt: skip
"""No clock, no chance, no files, no network, no processes in pure rooms."""

LIBRARIES = {
    "pydantic": {"model", "translation", "catalog", "backend", "schemas"},
    "pydantic_core": {"model"},
    "numpy": {"search"},
    "scipy": {"search"},
    "ruamel": {"files"},
    "rich": {"cli"},
    "typer": {"cli"},
    "hypothesis": {"testing"},
    "pytest": {"testing"},
    "tenacity": {"backends.retries", "engine"},
}
"""Third-party packages to the rooms that may import them."""
LAZY_LIBRARIES = {
    "pynvml": {"engine"},
    "ray": {"engine"},
    "threadpoolctl": {"engine", "search"},
    "cmaes": {"search"},
    "optuna": {"search", "files"},
    "fsspec": {"packaging"},
    "pandas": {"handle", "insight"},
    "matplotlib": {"insight"},
    "boto3": {"client"},
    "botocore": {"client"},
    "google": {"client", "emulators"},
    "grpc": {"client", "emulators"},
    "moto": {"emulators"},
    "requests": {"client"},
    "huaweicloudsdkcore": {"client"},
    "huaweicloudsdkmodelarts": {"client"},
}
"""Likewise, and only inside functions."""
STANDARD_LIBRARY_ALONE = {
    "tuneport_trial", "tuneport.engine.executors.keeper", "tuneport.engine.executors.warm",
    "tuneport.engine.executors.replicas",
}  # fmt: skip
VAGUE = {"util", "utils", "helper", "helpers", "common", "base", "misc", "core", "shared"}
NOT_OURS = {"tuneport.cli.templates.train"}
"""What users get as a beginning of their own code."""


class Import(NamedTuple):
    name: str
    line: int
    lazy: bool


def modules() -> dict[str, Path]:
    named = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        named[".".join(parts).removesuffix(".__init__")] = path
    return {name: path for name, path in named.items() if name not in NOT_OURS}


def imports(source: str, known: set[str]) -> Iterator[Import]:
    """Everything that is imported, also what only type checkers see."""

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                module = "." * child.level + (child.module or "")
                inner = {f"{module}.{alias.name}" for alias in child.names} & known
                yield from (Import(name, child.lineno, lazy) for name in inner or {module})
            guarded = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from walk(child, lazy or guarded or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    return walk(ast.parse(source), lazy=False)


def room(module: str) -> tuple[str, str]:
    """The room of one of our modules and, in a backend's room, the backend's name."""
    _, *parts = module.split(".")
    if not parts or parts[0] == "__main__":
        return "cli" if parts else "tuneport", ""
    if parts[0] == "backends" and len(parts) > 1 and parts[1] not in {"protocols", "registry", "retries", "polling"}:
        return "client" if parts[2:3] in (["client"], ["jobs"], ["gapic"]) else "backend", parts[1]
    dotted = ".".join(parts[:2])
    return dotted if dotted in MAY_CALL_ON else parts[0], ""


def violations(module: str, source: str, known: set[str]) -> Iterator[str]:
    for one in imports(source, known):
        if complaint := complain(module, one):
            yield f"{module}:{one.line} imports {one.name}: {complaint}"


def complain(module: str, one: Import) -> str | None:
    top = one.name.split(".")[0]
    if one.name.startswith("."):
        return "imports are absolute"
    if module in STANDARD_LIBRARY_ALONE:
        return None if top in sys.stdlib_module_names else "it must do with the standard library"
    here, backend = room(module)
    if top == "tuneport":
        return complain_of_ours(here, backend, one)
    if top in sys.stdlib_module_names:
        impure = here in PURE and not {one.name, top}.isdisjoint(IMPURE)
        return f"{here} is a pure room" if impure else None
    if top == "tuneport_trial":
        return None if here == "cli" and one.lazy else "its protocol is shared, not its code"
    if top in LAZY_LIBRARIES and not one.lazy:
        return "a heavy library belongs inside a function"
    return None if here in (LIBRARIES | LAZY_LIBRARIES).get(top, set()) else f"no library for {here}"


def complain_of_ours(here: str, backend: str, one: Import) -> str | None:
    there, other = room(one.name)
    if here == "tuneport":  # the lazy public names
        return None if one.lazy else "importing tuneport must load nothing"
    if there == "tuneport":
        return None if here in {"here", "cli"} and one.lazy else "the public names are for those who use us"
    if backend and other and backend != other:
        return "backends never import each other"
    if backend == other and (here, there) == ("backend", "client"):
        return None if one.lazy else "a backend's client loads when it connects"
    return None if there == here or there in MAY_CALL_ON[here] else f"{here} may not call on {there}"


def test_every_import_is_allowed():
    known = modules()
    found = [line for name, path in known.items() for line in violations(name, path.read_text(), set(known))]
    assert not found, "\n".join(found)


def test_every_module_has_a_room():
    assert {room(name)[0] for name in modules() if name.startswith("tuneport.")} - {"backends"} <= MAY_CALL_ON.keys()


def test_there_are_no_circles_between_rooms():
    assert list(TopologicalSorter(MAY_CALL_ON).static_order())
    assert set().union(*MAY_CALL_ON.values()) <= MAY_CALL_ON.keys()


def test_no_module_has_a_vague_name():
    assert not [name for name in modules() if VAGUE & set(name.split("."))]


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("tuneport.model.job", "import tuneport.search.study", "model may not call on search"),
        ("tuneport.model.job", "def f():\n    from tuneport import api", "model may not call on api"),
        ("tuneport.search.study", "from tuneport.translation import report", "search may not call on translation"),
        ("tuneport.search.study", "import time", "search is a pure room"),
        ("tuneport.translation.report", "from os import path", "translation is a pure room"),
        ("tuneport.engine.launch", "from tuneport.engine import store", "engine.launch may not call on engine"),
        ("tuneport.engine.engine", "from tuneport.backends.local import launch", "engine may not call on backend"),
        ("tuneport.backends.vertex.translate", "import tuneport.engine.store", "backend may not call on engine"),
        ("tuneport.backends.vertex.translate", "import tuneport.backends.local.launch", "never import each other"),
        ("tuneport.backends.vertex.client", "import google.cloud.aiplatform", "belongs inside a function"),
        ("tuneport.backends.vertex.status", "def f():\n    import google.cloud", "no library for backend"),
        ("tuneport.backends.vertex.client", "from tuneport.backends.vertex import status", None),
        ("tuneport.backends.vertex", "from tuneport.backends.vertex.client import C", "loads when it connects"),
        ("tuneport.backends.vertex", "def f():\n    from tuneport.backends.vertex.client import C", None),
        ("tuneport.backends.vertex.client", "def f():\n    import google.cloud", None),
        ("tuneport.engine.devices", "try:\n    import pynvml\nexcept ImportError: pass", "inside a function"),
        ("tuneport.engine.executors.keeper", "import tuneport.errors", "must do with the standard library"),
        ("tuneport_trial", "import numpy", "must do with the standard library"),
        ("tuneport.api", "import numpy", "no library for api"),
        ("tuneport.files.document", "from .yaml_text import read", "imports are absolute"),
        ("tuneport", "from tuneport.model.job import TuningJob", "must load nothing"),
        ("tuneport", "if TYPE_CHECKING:\n    from tuneport.model.job import TuningJob", None),
        ("tuneport.model.job", "if TYPE_CHECKING:\n    import tuneport.api", "model may not call on api"),
    ],
)
def test_a_planted_violation_is_found(module, source, complaint):
    found = list(violations(module, source, set(modules())))
    assert found if complaint else not found
    assert complaint is None or complaint in found[0]
