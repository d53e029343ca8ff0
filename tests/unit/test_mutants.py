"""The mutants of the bench: each operator changes a program, the seed decides, moved lines are found."""

import ast
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from bench.covering import lines_of
from bench.mutants import Mutant, differs, mutants_of, seeded, shares

ROOT = Path(__file__).parents[2]

SOURCE = '''"""A module."""

from typing import Annotated, TypeVar

from pydantic import Field

__all__ = ["first"]
T = TypeVar("T", bound="Shape")
MOST = 5


class Shape:
    """A shape."""

    size: Annotated[int, Field(ge=1)] = 0
    """How large it is."""

    def first(self, values: "list[str]", *, strict: bool = True) -> "str | None":
        """Return the first value."""
        if not values and strict:
            raise ValueError(f"no value of {MOST}")
        print(
            values,
            end="é",
        )
        return values[0:MOST][0] if len(values) + 1 > MOST else None
'''

CHANGES = {
    "comparison": ("> MOST", ">= MOST"),
    "boolean": ("and strict", "or strict"),
    "negation": ("not values", "values"),
    "number": ("MOST = 5", "MOST = 6"),
    "text": ('end="é"', "end='XXé'"),
    "truth": ("strict: bool = True", "strict: bool = False"),
    "arithmetic": ("len(values) + 1", "len(values) - 1"),
    "return": ("return values", "return None"),
    "raise": ("raise ValueError", "pass"),
    "statement": ("print(", "pass"),
    "condition": ("if not values and strict:", "if False:"),
    "argument": ("Field(ge=1)", "Field()"),
    "slice": ("[0:MOST]", "[:MOST]"),
}


def changed(mutants: list[Mutant], operator: str) -> list[Mutant]:
    return [mutant for mutant in mutants if mutant.operator == operator]


@pytest.mark.parametrize("operator", CHANGES)
def test_each_operator_changes_the_program(operator):
    old, new = CHANGES[operator]
    found = changed(mutants_of("shape.py", SOURCE), operator)
    assert any(old in mutant.before and new in mutant.after for mutant in found), found
    assert all(differs(mutant, SOURCE) for mutant in found)


def test_there_are_no_other_operators():
    assert {mutant.operator for mutant in mutants_of("shape.py", SOURCE)} == CHANGES.keys()


def test_what_no_program_reads_stays_as_it_is():
    """Docstrings, imports, `__all__`, names of types."""
    for mutant in mutants_of("shape.py", SOURCE):
        after = mutant.applied(SOURCE)
        assert ast.get_docstring(ast.parse(after)) == "A module."
        for line in (
            '"""A shape."""',
            '"""How large it is."""',
            '__all__ = ["first"]',
            '-> "str | None":',
            "TypeVar(",
        ):
            assert line in after, mutant


def test_the_seed_decides_the_order():
    path = "ml/gate/registry.py"
    source = (ROOT / path).read_text()
    first, same, other = (list(itertools.islice(seeded(path, source, seed), 40)) for seed in (1, 1, 2))
    assert first == same
    assert first != other
    assert len({mutant.operator for mutant in first[:8]}) == 8


def test_the_count_is_divided_evenly_over_the_packages():
    divided = shares(ROOT, ("ml/gate", "ml/dspa", "ml/release"), 120)
    for package in ("ml/gate", "ml/dspa", "ml/release"):
        assert sum(share for path, share in divided.items() if path.startswith(f"{package}/")) == 40


def test_a_mutant_finds_its_lines_where_they_moved():
    (mutant,) = changed(mutants_of("shape.py", SOURCE), "negation")
    moved = "import os\n\n" + SOURCE
    assert mutant.line(SOURCE) + 2 == mutant.line(moved)
    assert differs(mutant, moved)


@pytest.mark.parametrize(
    ("old", "new"), [("if not values and", "if not (values) and"), ("def first", "def last")]
)
def test_a_mutant_of_lines_that_changed_does_not_apply(old, new):
    (mutant,) = changed(mutants_of("shape.py", SOURCE), "negation")
    assert mutant.line(SOURCE.replace(old, new)) is None
    with pytest.raises(ValueError, match=r"^shape\.py: Shape\.first has no such lines"):
        mutant.applied(SOURCE.replace(old, new))


def test_of_equal_lines_it_changes_its_own():
    source = "def f(a, b):\n    if a:\n        g(1)\n    if b:\n        g(1)\n"
    first, second = changed(mutants_of("f.py", source), "number")
    assert first.applied(source) == source.replace("a:\n        g(1)", "a:\n        g(2)")
    assert second.applied(source) == source.replace("b:\n        g(1)", "b:\n        g(2)")


def lines(text: str) -> set[int]:
    number = SOURCE[: SOURCE.index(text)].count("\n") + 1
    return lines_of(SOURCE, range(number, number + 1))


def test_the_lines_of_a_mutant_are_those_of_its_statement():
    statement = lines("end=")
    assert len(statement) == 4
    assert lines("print(") == statement
    assert len(lines("if not values")) == 1
    # A signature runs as the module is imported: its function tells.
    assert statement < lines("def first")
    assert lines("MOST = 5") == lines("size: Annotated") == set()


def test_the_bench_explains_itself():
    command = [sys.executable, str(ROOT / "tests" / "bench" / "bench_mutants.py"), "--help"]
    assert "--like" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
