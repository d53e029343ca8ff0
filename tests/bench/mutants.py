"""Mutants: code changed in one small way that a test should notice (see `mutant_operators.py`).

A mutant replaces whole lines of one function or class. It is known by the text of these lines, not by their
numbers, so it applies to another version of the module in which they read the same.
"""

import ast
import collections
import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.mutant_operators import changes, is_text

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Mutant:
    """One change: ``before`` and ``after`` are whole lines, ``where`` the qualified name around them.

    ``occurrence`` counts, from 0, the places in ``where`` that read like ``before``.
    """

    path: str
    where: str
    operator: str
    before: str
    occurrence: int
    after: str

    def line(self, source: str) -> int | None:
        """Return the number of the first line that it replaces, None where the lines are not there."""
        places = _places(source, self.where, self.before)
        return places[self.occurrence] if self.occurrence < len(places) else None

    def applied(self, source: str) -> str:
        """Return the changed module.

        Raises:
            ValueError: the lines are not there.
        """
        line = self.line(source)
        if line is None:
            raise ValueError(f"{self.path}: {self.where or 'the module'} has no such lines: {self.before}")
        lines = source.split("\n")
        lines[line - 1 : line - 1 + len(self.before.split("\n"))] = self.after.split("\n")
        return "\n".join(lines)


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Make every mutant of a module, in the order of the syntax tree; see `differs`."""
    lines = source.encode().split(b"\n")
    found = {}
    for change in changes(ast.parse(source)):
        node = change.node
        first, last = node.lineno, node.end_lineno
        before = b"\n".join(lines[first - 1 : last]).decode()
        head, tail = lines[first - 1][: node.col_offset], lines[last - 1][node.end_col_offset :]
        after = head.decode() + change.text + tail.decode()
        where = _scopes(source)[first]
        occurrence = _places(source, where, before).index(first)
        mutant = Mutant(path, where, change.operator, before, occurrence, after)
        found.setdefault((where, before, occurrence, after), mutant)
    return list(found.values())


def differs(mutant: Mutant, source: str) -> bool:
    """Tell whether the changed module is Python, and another program."""
    try:
        return ast.dump(ast.parse(mutant.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def seeded(path: str, source: str, seed: int) -> Iterator[Mutant]:
    """Return a module's mutants that differ, in the order of a seed; the operators take turns."""
    rng = random.Random(f"{seed} {path}")
    kinds = collections.defaultdict(list)
    for mutant in mutants_of(path, source):
        kinds[mutant.operator].append(mutant)
    names = sorted(kinds)
    rng.shuffle(names)
    for name in names:
        rng.shuffle(kinds[name])
    longest = max(map(len, kinds.values()), default=0)
    ordered = (kinds[name][turn] for turn in range(longest) for name in names if turn < len(kinds[name]))
    return (mutant for mutant in ordered if differs(mutant, source))


def shares(tree: Path, packages: tuple[str, ...], count: int) -> dict[str, int]:
    """Divide ``count`` mutants evenly over packages, and within each over its modules by their statements."""
    divided: dict[str, int] = {}
    for number, package in enumerate(packages):
        sources = {str(path.relative_to(tree)): path.read_text() for path in (tree / package).rglob("*.py")}
        sizes = {path: _statements(source) for path, source in sorted(sources.items())}
        wanted = count * (number + 1) // len(packages) - count * number // len(packages)
        exact = {path: wanted * size / sum(sizes.values()) for path, size in sizes.items()}
        given = {path: int(share) for path, share in exact.items()}
        by_rest = sorted(exact, key=lambda path: (given[path] - exact[path], path))
        for path in by_rest[: wanted - sum(given.values())]:
            given[path] += 1
        divided |= given
    return divided


@functools.lru_cache(maxsize=8)
def _scopes(source: str) -> dict[int, str]:
    """Return the qualified name of the innermost function or class around each line."""
    names = dict.fromkeys(range(1, source.count("\n") + 2), "")

    def fill(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = prefix
            if isinstance(child, SCOPES):
                inner = f"{prefix}.{child.name}".lstrip(".")
                first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                names.update(dict.fromkeys(range(first, child.end_lineno + 1), inner))
            fill(child, inner)

    fill(ast.parse(source), "")
    return names


def _places(source: str, where: str, text: str) -> list[int]:
    lines, wanted, scopes = source.split("\n"), text.split("\n"), _scopes(source)
    starts = [i for i, line in enumerate(lines) if line == wanted[0] and scopes[i + 1] == where]
    return [i + 1 for i in starts if lines[i : i + len(wanted)] == wanted]


def _statements(source: str) -> int:
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    return sum(not isinstance(node, ast.Import | ast.ImportFrom) and not is_text(node) for node in nodes)
