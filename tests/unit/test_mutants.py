"""The mutants of the bench: each operator changes a program, the seed decides, tests kill or do not."""

import json
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from bench.mutants import differs, mutants_of, seeded, shares

ROOT = Path(__file__).parents[2]
SOURCE = '''"""A module."""
from typing import Annotated, TypeVar
__all__ = ["first"]
T = TypeVar("T", bound="Shape")
MOST = 5
class Shape:
    """A shape."""
    size: Annotated[int, Field(ge=1)] = 0
    def first(self, values: "list[str]", *, strict: bool = True) -> "str | None":
        if not values and strict:
            raise ValueError(f"no value of {MOST}")
        print(
            values,
            end="é",
        )
        return values[0:MOST][0] if len(values) + 1 > MOST else None
'''
LEAST = """BEST = 1
def best(values):
    return BEST if values else None
def largest(values):
    return 7
"""
TESTS = """from ml.gate.least import best, largest
def test_best(): assert best([2, 1]) == 1
def test_largest(): assert largest([7]) > 0
def test_broken(): assert best([]) == 2
"""


# fmt: off
OPERATORS = [
    ("comparison", "> MOST", ">= MOST", (16, 16)), ("boolean", "and strict", "or strict", (10, 10)),
    ("negation", "not values", "values", (10, 10)), ("number", "MOST = 5", "MOST = 6", (0, 0)),
    ("text", 'end="é"', "end='XXé'", (12, 15)), ("truth", "strict: bool = True", "bool = False", (10, 16)),
    ("arithmetic", "len(values) + 1", "len(values) - 1", (16, 16)), ("statement", "print(", "pass", (12, 15)),
    ("raise", "raise ValueError", "pass", (11, 11)), ("return", "return values", "return None", (16, 16)),
    ("condition", "if not values and", "if False:", (10, 10)), ("argument", "Field(ge=1)", "Field()", (0, 0)),
    ("slice", "[0:MOST]", "[:MOST]", (16, 16)),
]
# fmt: on


@pytest.mark.parametrize(("operator", "old", "new", "lines"), OPERATORS)
def test_each_operator_changes_the_program(operator, old, new, lines):
    mutants = [mutant for mutant in mutants_of("shape.py", SOURCE) if mutant.operator == operator]
    (changed,) = (each for each in mutants if old in each.before and new in each.after)
    assert differs(changed, SOURCE)
    assert (changed.first, changed.last) == lines


def test_what_no_program_reads_stays_as_it_is_and_another_source_is_refused():
    mutants = list(mutants_of("shape.py", SOURCE))
    fixed = ['"""A module."""', '"""A shape."""', '__all__ = ["first"]', '-> "str | None":', "TypeVar("]
    assert all(line in mutant.applied(SOURCE) for mutant in mutants for line in fixed)
    with pytest.raises(ValueError, match=r"shape\.py: line"):
        mutants[0].applied(f"\n{SOURCE}")


def test_the_seed_decides_the_order_and_the_count_is_divided_evenly():
    source = (ROOT / "ml/gate/registry.py").read_text()
    first, same, other = (list(islice(seeded("registry.py", source, seed), 40)) for seed in (1, 1, 2))
    assert first == same != other
    assert len({mutant.operator for mutant in first[:8]}) == 8
    divided = shares(ROOT, ("ml/gate", "ml/release"), 81)
    counts = [sum(n for path, n in divided.items() if f"ml/{one}/" in path) for one in ("gate", "release")]
    assert counts == [40, 41]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_mutant_is_killed_by_a_test_of_its_line_that_passes_without_it(tmp_path):
    files = {"ml/__init__.py": "", "ml/gate/least.py": LEAST, "tests/test_least.py": TESTS}
    files |= {".gitignore": "mutants/", "page": "# Title\n\nMeasured at another commit\n"}
    files["tests/bench/mutant_plugin.py"] = (ROOT / "tests/bench/mutant_plugin.py").read_text()
    files["pytest.ini"] = "[pytest]\naddopts = -n1 -p no:randomly\nmarkers = slow\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "all"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    bench = [sys.executable, ROOT / "tests/bench/bench_mutants.py", "--tree", tmp_path, "--count", "24"]
    for words in (["record"], ["run", "--page", tmp_path / "page"], ["run"]):
        done = subprocess.run([*bench, *words], capture_output=True, text=True, check=True)
    (results,) = (json.loads(file.read_text()) for file in tmp_path.glob("mutants/*/results.json"))
    ends = {one["mutant"]["after"].strip(): one["tier"] for one in results}
    assert {after for after, tier in ends.items() if not tier} == {
        "return 8",
        "return BEST if True else None",
    }
    page = (tmp_path / "page").read_text()
    assert page.startswith("# Title\n\nMeasured at commit ")
    assert "| ml/gate | 6 | 4 | 4 | 100 |" in page
    assert "```diff\n-    return 7\n+    return 8\n```" in page
    assert "/24 " not in done.stdout, "the second run has nothing to do"
