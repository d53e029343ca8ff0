"""Which tests cover a mutant's line, which of them passed, and how long each took.

`record` runs the tests under coverage, each a context of its own; processes that a test starts measure in the
context of that test. What one measures is lost where it is killed, or starts without our environment.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from bench.mutants import Mutant

BENCH = Path(__file__).resolve().parent
SETTINGS = """[run]
source =
    {sources}
parallel = true
data_file = {folder}/parts/coverage
sigterm = true
disable_warnings = no-data-collected,module-not-imported,module-not-measured
"""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def pytest_command(*arguments: str) -> list[str]:
    """Return the command that runs pytest with our plugin."""
    return [sys.executable, "-m", "pytest", "-p", "mutant_plugin", *arguments]


def environment(tree: Path, *more: Path, **variables: object) -> dict[str, str]:
    """Return the environment in which Python takes the code of a checkout."""
    path = os.pathsep.join([str(tree), *map(str, more), str(BENCH), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **{name: str(value) for name, value in variables.items()}}


def record(
    tree: Path,
    packages: Sequence[str],
    folder: Path,
    arguments: Sequence[str],
    variables: Mapping[str, str],
) -> None:
    """Run the tests under coverage; leaves ``coverage`` and ``junit.xml`` in a folder."""
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    for path in parts.iterdir():
        path.unlink()
    settings = folder / "coverage.ini"
    sources = "\n    ".join(str(tree / package) for package in packages)
    settings.write_text(SETTINGS.format(sources=sources, folder=folder))
    env = environment(tree, BENCH / "traced", COVERAGE_PROCESS_START=settings, **variables)
    subprocess.run(
        pytest_command("--junitxml", f"{folder}/junit.xml", *arguments), cwd=tree, env=env, check=False
    )
    combine = ["combine", "--quiet", f"--data-file={folder}/coverage", str(parts)]
    subprocess.run([sys.executable, "-m", "coverage", *combine], cwd=folder, check=True)


def collected(tree: Path, file: Path, arguments: Sequence[str]) -> dict[str, list[str]]:
    """Return the ids of the tests that pytest would run with these arguments, see `mutant_plugin.py`."""
    env = environment(tree, MUTANT_COLLECTED=file)
    command = pytest_command("--collect-only", "-n0", "-p", "no:cacheprovider", *arguments)
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench_mutants: the tests of {tree} cannot be collected:\n{done.stdout[-2000:]}")
    return json.loads(file.read_text())


def durations(junit: Path, tests: Iterable[str]) -> dict[str, float]:
    """Return the seconds of each of the tests that passed in the recorded run."""
    seconds: dict[tuple[str, str], float] = {}
    bad = set()
    for case in ElementTree.parse(junit).iter("testcase"):
        name = case.attrib["classname"], case.attrib["name"]
        seconds[name] = seconds.get(name, 0) + float(case.attrib["time"])
        if {"failure", "error", "skipped"} & {child.tag for child in case}:
            bad.add(name)
    named = {test: _junit_name(test) for test in tests}
    return {test: seconds[name] for test, name in named.items() if name in seconds.keys() - bad}


def _junit_name(test: str) -> tuple[str, str]:
    head, bracket, parameters = test.partition("[")
    path, *names = head.split("::")
    module = path.removesuffix(".py").replace("/", ".")
    return ".".join([module, *names[:-1]]), names[-1] + bracket + parameters


class Covering:
    """The tests that cover the lines of a checkout.

    Args:
        tree: the checkout.
        file: what coverage recorded.
        finished_run: the tests that share the finished run; who covers a line of it stands for all of them.
    """

    def __init__(self, tree: Path, file: Path, finished_run: Iterable[str]) -> None:
        from coverage import CoverageData

        self._tree, self._data, self._sharing = tree, CoverageData(str(file)), set(finished_run)
        self._data.read()
        self._lines: dict[str, dict[int, list[str]]] = {}

    def tests(self, mutant: Mutant) -> set[str]:
        """Return the ids of the tests that cover a mutant.

        What runs as a module is imported is covered by the first import alone: a mutant there meets every
        test that runs a function of the module, or of the modules that import it where it has none.
        """
        source = (self._tree / mutant.path).read_text()
        line = mutant.line(source)
        assert line is not None
        lines = lines_of(source, range(line, line + len(mutant.before.split("\n"))))
        found = self._covering(mutant.path, lines) if lines else self._importing(mutant.path, {mutant.path})
        return found | self._sharing if found & {"finished_run", *self._sharing} else found

    def _importing(self, path: str, seen: set[str]) -> set[str]:
        found = self._covering(path, function_lines(ast.parse((self._tree / path).read_text())))
        if found:
            return found
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        package, _, module = name.rpartition(".")
        imports = re.compile(
            rf"^\s*(from {name} import|import {name}\b|from {package} import .*\b{module}\b)", re.M
        )
        for other in sorted((self._tree / "ml").rglob("*.py")):
            user = str(other.relative_to(self._tree))
            if user not in seen and imports.search(other.read_text()):
                seen.add(user)
                found |= self._importing(user, seen)
        return found

    def _covering(self, path: str, lines: set[int]) -> set[str]:
        if path not in self._lines:
            files = [file for file in self._data.measured_files() if file.endswith(f"/{path}")]
            self._lines[path] = self._data.contexts_by_lineno(files[0]) if files else {}
        return {test for line in lines for test in self._lines[path].get(line, ())} - {""}


def lines_of(source: str, changed: range) -> set[int]:
    """Return the lines of the statement around changed lines; none if it runs as the module is imported.

    For the signature and the decorators of a function, which run then too, they are the lines of its body.
    """
    tree = ast.parse(source)
    first, last = changed[0], changed[-1]
    around = [node for node in _statements(tree) if _start(node) <= first and last <= node.end_lineno]
    inside = [node for node in around if isinstance(node, FUNCTIONS)]
    if not inside:
        return set()
    if len(inside) == 1 and first < inside[0].body[0].lineno:
        return _body(inside[0])
    statement = around[-1]
    body = getattr(statement, "body", None) or getattr(statement, "cases", None)
    start = getattr(body[0], "lineno", statement.lineno + 1) if body else statement.end_lineno + 1
    return {*changed, *range(_start(statement), max(start, statement.lineno + 1))}


def function_lines(tree: ast.Module) -> set[int]:
    """Return the lines of the bodies of all functions."""
    return {line for node in ast.walk(tree) if isinstance(node, FUNCTIONS) for line in _body(node)}


def _body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[int]:
    return set(range(function.body[0].lineno, function.end_lineno + 1))


def _start(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a tree, each before those within it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        yield from _statements(child)
