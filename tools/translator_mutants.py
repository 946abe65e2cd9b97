"""Takes single writes and reads out of a cloud's translator, one at a time, and says which of them nobody misses.

    python tools/translator_mutants.py vertex [--only study] [--every 10]

What is taken out: entries of dictionaries, keyword arguments, and statements that set or add something. Each mutant is
held to the claims of the conformance suite: specimens of all features, combinations of them, and golden documents. What
nobody misses there is held to the cloud's own tests of translation as well, with one seed, so that runs are alike.
Nothing on disk is changed: the code of a function is replaced in memory, and put back.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import io
import pkgutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from tuneport.model.features import Feature
from tuneport.testing.conformance import Conformance, golden_documents
from tuneport.testing.specimens import combined

ASIDE = {"capabilities", "client", "jobs", "launch", "rules", "settings", "status", "training"}
"""Modules of a backend that neither write nor read requests."""
NO_WITNESSES = {"backend", "client", "conformance", "jobs", "launch", "training"}
"""Tests of a backend that are about something else, or that are the claims themselves."""
TOGETHER = 40
"""Combinations of features that are tried."""
CLAIM_SECONDS, TESTS_SECONDS = 20.0, 300.0
"""Processor time of one claim, and of all tests of a cloud, when nothing is wrong: a fraction of that."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A function without one of its writes or reads.

    Attributes:
        where: module, line and what is gone.
        function: the function as it lives.
        code: what it is to do instead.
    """

    where: str
    function: FunctionType
    code: CodeType


def modules(backend: str) -> list[ModuleType]:
    """The modules of a translator."""
    package = importlib.import_module(f"tuneport.backends.{backend}")
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    names = [one.name for one in found if one.name.split(".")[3] not in ASIDE]
    return [importlib.import_module(name) for name in names]


def mutants(module: ModuleType) -> Iterator[Mutant]:
    """Every mutant of a module."""
    source = Path(module.__file__ or "").read_text(encoding="utf-8")
    functions = dict(_functions(module))
    for number, _ in enumerate(_places(ast.parse(source))):
        tree = ast.parse(source)
        line, what, take_out = list(_places(tree))[number]
        take_out()
        for code in _codes(compile(ast.fix_missing_locations(tree), module.__file__ or "", "exec")):
            function = functions.get(code.co_qualname)
            if function is not None and _span(function.__code__, line) and code != function.__code__:
                yield Mutant(f"{module.__name__}:{line} {what}", function, code)


def _span(code: CodeType, line: int) -> bool:
    lines = [at for _, _, at in code.co_lines() if at is not None]
    return code.co_firstlineno <= line <= max(lines, default=0)


def _functions(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    for value in vars(module).values():
        members = vars(value).values() if isinstance(value, type) and value.__module__ == module.__name__ else [value]
        for member in members:
            function = getattr(member, "__wrapped__", member)
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                yield function.__qualname__, function


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _places(tree: ast.Module) -> Iterator[tuple[int, str, Callable[[], None]]]:
    """Line and name of everything that can be taken out, and what takes it out."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                yield from _parts(node)


def _parts(node: ast.AST) -> Iterator[tuple[int, str, Callable[[], None]]]:
    if isinstance(node, ast.Dict):
        for at, key in enumerate(node.keys):
            if isinstance(key, ast.Constant):
                yield key.lineno, f"entry {key.value!r}", lambda at=at: (node.keys.pop(at), node.values.pop(at))  # type: ignore[misc]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "given":
        for keyword in node.keywords:
            yield keyword.lineno, f"entry {keyword.arg!r}", lambda keyword=keyword: node.keywords.remove(keyword)  # type: ignore[misc]
    elif isinstance(node, (ast.FunctionDef, ast.If, ast.For)):
        for at, statement in enumerate(node.body):
            if _sets(statement):
                yield (
                    statement.lineno,
                    ast.unparse(statement)[:60],
                    lambda at=at: node.body.__setitem__(at, ast.copy_location(ast.Pass(), node.body[at])),  # type: ignore[misc]
                )


def _sets(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.AugAssign):
        return True
    return isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript)


def claims(suite: Conformance) -> list[Callable[[], None]]:
    """All that a mutant is held to, quickest first."""
    features = list(Feature)
    jobs = [combined(features[at :: len(features) // 3][:3]) for at in range(TOGETHER)]
    jobs += [combined([features[at], features[-at]]) for at in range(1, TOGETHER)]
    tests: list[Callable[[], None]] = []
    for golden in golden_documents(suite.goldens):
        tests.append(lambda golden=golden: suite.test_it_means_what_was_worked_out_by_hand(golden))  # type: ignore[misc]
        tests.append(lambda golden=golden: suite.test_it_goes_back_as_it_came(golden))  # type: ignore[misc]
        tests.append(lambda golden=golden: suite.test_what_is_understood_is_said_in_full(golden))  # type: ignore[misc]
    for feature in features:
        tests.append(lambda feature=feature: suite.test_nothing_is_overclaimed(feature))  # type: ignore[misc]
        tests.append(lambda feature=feature: suite.test_nothing_is_underclaimed(feature))  # type: ignore[misc]
        tests.append(lambda feature=feature: suite.test_what_it_can_do_it_takes(feature))  # type: ignore[misc]
    forms = suite.backend.translator.forms
    tests += [lambda form=form: suite.test_every_form_is_read_back(form) for form in forms]  # type: ignore[misc]
    for job in filter(None, jobs):
        for name in ("test_reading_what_was_said_settles", "test_a_document_comes_back"):
            test: Any = getattr(type(suite), name).hypothesis.inner_test
            tests.append(lambda test=test, job=job: test(suite, job=job))  # type: ignore[misc]
    return tests


def fails(test: Callable[[], None]) -> bool:
    try:
        with within(CLAIM_SECONDS):
            test()
    except Exception:  # noqa: BLE001 - whatever happens, somebody has noticed
        return True
    return False


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Have what takes more processor time than that fail: some mutants never come to an end."""

    def endless(*_: object) -> None:
        raise TimeoutError("it does not come to an end")

    before = signal.signal(signal.SIGPROF, endless)
    signal.setitimer(signal.ITIMER_PROF, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def survivors(suite: Conformance, only: str | None, every: int) -> Iterator[tuple[Mutant, bool]]:
    """Each mutant (or only some of them), and whether nobody noticed it."""
    tests = [test for test in claims(suite) if not fails(test)]
    chosen = [one for one in modules(suite.backend.name) if only in {None, one.__name__.rpartition(".")[2]}]
    found = [one for module in chosen for one in mutants(module)]
    for mutant in found[every // 2 :: every]:
        yield mutant, _with(mutant, lambda: not any(fails(test) for test in tests))


def _with(mutant: Mutant, answer: Callable[[], bool]) -> bool:
    """What is answered while a mutant is in the place of its function."""
    healthy = mutant.function.__code__
    mutant.function.__code__ = mutant.code
    _forget(mutant.function)
    try:
        return answer()
    finally:
        mutant.function.__code__ = healthy
        _forget(mutant.function)


def _forget(function: FunctionType) -> None:
    """What a cached function has found so far."""
    for one in vars(sys.modules[function.__module__]).values():
        if getattr(one, "__wrapped__", None) is function and hasattr(one, "cache_clear"):
            one.cache_clear()


def own_tests_fail(backend: str) -> bool:
    """Whether the cloud's own tests of translation notice something."""
    folder = Path(__file__).parents[1] / "tests" / "backends" / backend
    files = [str(one) for one in sorted(folder.glob("test_*.py")) if one.stem.removeprefix("test_") not in NO_WITNESSES]
    options = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with quiet[0], quiet[1], within(TESTS_SECONDS):
        return pytest.main([*options, *files]) != pytest.ExitCode.OK


def suite_of(backend: str) -> Conformance:
    """The conformance suite that the cloud has adopted."""
    path = Path(__file__).parents[1] / "tests" / "conformance"
    sys.path.insert(0, str(path))
    module = importlib.import_module(f"test_{backend}")
    adopted = next(one for name, one in vars(module).items() if name.startswith("Test"))
    made: Conformance = copy.copy(adopted())
    return made


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("backend")
    arguments.add_argument("--only", help="try one module")
    arguments.add_argument("--every", type=int, default=1, help="try one in so many")
    chosen = arguments.parse_args()
    tried = list(survivors(suite_of(chosen.backend), chosen.only, chosen.every))
    alive = [mutant for mutant, unnoticed in tried if unnoticed]
    if alive and own_tests_fail(chosen.backend):
        print(f"the tests of {chosen.backend} fail as it is")
        return 2
    missed = [mutant for mutant in alive if not _with(mutant, lambda: own_tests_fail(chosen.backend))]
    for mutant in missed:
        print(f"nobody misses {mutant.where}")
    print(f"{chosen.backend}: {len(tried) - len(missed)} of {len(tried)} mutants caught")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
