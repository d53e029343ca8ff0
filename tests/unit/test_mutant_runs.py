"""The bench of mutants on a checkout of one module: what kills a mutant, what does not, what is counted."""

import dataclasses
import shutil
import subprocess

import pytest
from bench import covering, mutant_page, mutant_runs
from bench.covering import durations, lines_of
from bench.mutant_runs import Bench
from bench.mutants import Mutant

MODULE = '''"""One module."""


def least(values):
    """Return the least value."""
    found = values[0]
    while values:
        value, values = values[0], values[1:]
        if value < found:
            found = value
    return found
'''

TESTS = """
from pathlib import Path
from hypothesis import given, strategies
from ml.gate.least import least

def test_two():
    assert least([2, 1]) == 1

def test_one():
    assert least([1]) == 1

def test_flaky():
    first = Path(__file__).with_name("first")
    was_there = first.exists()
    first.touch()
    assert was_there

def test_broken():
    assert False

@given(strategies.integers())
def test_same(number):
    assert least([number, number]) == number
"""
FILE = "tests/test_least.py"
SECONDS = {
    f"{FILE}::{name}": 0.1 for name in ("test_one", "test_two", "test_same", "test_flaky", "test_broken")
}


def mutant(before: str, after: str) -> Mutant:
    return Mutant("ml/gate/least.py", "least", "", before, 0, after)


LATER = mutant("        if value < found:", "        if value > found:")
EQUAL = mutant("        if value < found:", "        if value <= found:")
ENDLESS = mutant("        value, values = values[0], values[1:]", "        value = values[0]")
BROKEN = mutant("    found = values[0]", "    found = )")


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    if not shutil.which("git"):
        pytest.skip("needs git")
    tree = tmp_path_factory.mktemp("tree")
    files = {"ml/gate/least.py": MODULE, FILE: TESTS, "pyproject.toml": "", ".gitignore": "x/"}
    for name, text in {**files, "ml/__init__.py": "", "ml/gate/__init__.py": ""}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "x").mkdir()
    (tree / "x" / "ignored").write_text("")
    subprocess.run(["git", "-C", tree, "init", "-q"], check=True)
    bench = Bench(tmp_path_factory.mktemp("bench"), budget=100, seconds=SECONDS)
    bench.copy(tree)
    return bench


def names(*tests: str) -> list[str]:
    return [f"{FILE}::{test}" for test in tests]


@pytest.mark.slow
def test_it_lists_the_tests_of_a_copy_without_what_git_ignores(bench):
    found = bench.collected([])
    assert set(found["all"]) == SECONDS.keys()
    assert found["properties"] == names("test_same")
    assert found["finished_run"] == []
    assert not (bench.original / "x").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "killed_by"),
    [(LATER, f"{FILE}::test_two"), (EQUAL, ""), (BROKEN, "import"), (ENDLESS, f"{FILE}::test_one")],
    ids=["fails", "survives", "does not parse", "does not end"],
)
def test_a_mutant_is_killed_by_the_test_that_fails_or_does_not_end(bench, monkeypatch, change, killed_by):
    monkeypatch.setattr(mutant_runs, "LONG", 10.0)
    end = bench.run(change, names("test_one", "test_two", "test_same"))
    assert (end.killed_by, end.flaky) == (killed_by, ())
    assert [path.name for path in bench.folder.iterdir() if path.name.startswith("m")] == []


@pytest.mark.slow
@pytest.mark.parametrize("test", ["test_flaky", "test_broken"])
def test_a_test_that_fails_only_once_or_without_the_mutant_kills_nothing(bench, test):
    end = bench.run(EQUAL, names("test_one", test))
    assert (end.killed_by, end.flaky) == ("", tuple(names(test)))


def test_the_fastest_tests_run_first_and_the_dearest_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(mutant_runs, "FIRST", 2.0)
    seconds = {"a::slow": 5.0, "a::1": 0.5, "b::1": 0.1, "b::2": 0.2, "c::late": 0.0, "d::dear": 50.0}
    bench = Bench(tmp_path, budget=10, seconds=seconds, late={"c::late"})
    assert bench.passes(sorted(seconds)) == [["b::1", "b::2", "a::1"], ["c::late", "a::slow"]]


def test_a_test_that_failed_or_was_skipped_is_not_used(tmp_path):
    (tmp_path / "junit.xml").write_text(
        '<testsuites><testsuite><testcase classname="tests.unit.test_a" name="test_it[a::b]" time="1.5"/>'
        '<testcase classname="tests.unit.test_a.TestIt" name="test_it" time="2"/>'
        '<testcase classname="tests.unit.test_a" name="test_bad" time="1"><failure/></testcase>'
        '<testcase classname="tests.unit.test_a" name="test_left" time="0"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )
    path = "tests/unit/test_a.py"
    tests = [f"{path}::{name}" for name in ("test_it[a::b]", "TestIt::test_it", "test_bad", "test_left")]
    assert durations(tmp_path / "junit.xml", tests) == {tests[0]: 1.5, tests[1]: 2.0}


def test_the_lines_of_a_statement_are_those_up_to_its_body():
    source = "def f(a):\n    if (\n        a\n    ):\n        return 1\n    return g(\n        a,\n    )\n"
    assert lines_of(source, range(3, 4)) == {2, 3, 4}
    assert lines_of(source, range(7, 8)) == {6, 7, 8}
    assert lines_of(source, range(1, 2)) == {2, 3, 4, 5, 6, 7, 8}
    assert lines_of("A = 1\n" + source, range(1, 2)) == set()


class FakeData:
    """Coverage that was recorded elsewhere."""

    def __init__(self, contexts: dict[str, dict[int, list[str]]]):
        self._contexts = {f"/elsewhere/{path}": lines for path, lines in contexts.items()}

    def measured_files(self):
        return self._contexts.keys()

    def contexts_by_lineno(self, path):
        return self._contexts[path]


def known(tmp_path, contexts, finished_run=()) -> covering.Covering:
    found = covering.Covering.__new__(covering.Covering)
    found.__dict__.update(_tree=tmp_path, _data=FakeData(contexts), _sharing=set(finished_run), _lines={})
    return found


def test_what_runs_at_import_meets_the_tests_of_the_functions_there_or_of_those_who_import_it(tmp_path):
    for name, text in {"a": "A = 1\n", "b": "from ml.a import A\nB = 2\ndef b():\n    return A\n"}.items():
        (tmp_path / "ml").mkdir(exist_ok=True)
        (tmp_path / "ml" / f"{name}.py").write_text(text)
    found = known(tmp_path, {"ml/b.py": {1: ["", "t::imports"], 2: [""], 4: ["t::calls", ""]}})
    for path, line in (("ml/a.py", "A = 1"), ("ml/b.py", "B = 2")):
        assert found.tests(Mutant(path, "", "", line, 0, "")) == {"t::calls"}


def test_who_covers_a_line_of_the_finished_run_stands_for_all_that_share_it(tmp_path):
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "b.py").write_text("def b():\n    return 1\n")
    change = Mutant("ml/b.py", "b", "", "    return 1", 0, "")
    for context in ("finished_run", "t::first"):
        found = known(tmp_path, {"ml/b.py": {2: [context]}}, ["t::first", "t::second"])
        assert found.tests(change) >= {"t::first", "t::second"}
    assert known(tmp_path, {"ml/b.py": {2: ["t::x"]}}, ["t::first"]).tests(change) == {"t::x"}


def test_the_page_counts_by_package_and_shows_who_survived():
    one = {"tests": 3, "killed_by": "t", "seconds": 1.0, "flaky": []}
    results = [
        {**one, "mutant": dataclasses.asdict(change), "tier": tier}
        for change, tier in ((LATER, "fast"), (ENDLESS, "all"), (EQUAL, ""))
    ]
    found = {"commit": "abc", "seed": 1, "tests": {"fast": 1000, "all": 2000}, "results": results}
    before = {**found, "commit": "def", "results": results[:1]}
    text = mutant_page.page(found, before)
    assert "| ml/gate | 3 | 1 | 2 | 50 | 1 |" in text
    assert "-        if value < found:\n+        if value <= found:" in text
    assert text.count("```diff") == 1
    assert "killed at" not in mutant_page.page(found, None)
