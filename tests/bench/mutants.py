"""Mutants: code changed in one small way that a test should notice.

The operators are the classical ones: comparisons, boolean and arithmetic operators, `not`, constants,
conditions, returned values, raised errors, statements that only call or yield, keyword arguments, bounds of
slices. Docstrings, imports, `__all__` and type annotations stay as they are, but for the constraints in an
`Annotated`.
"""

import ast
import collections
import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# fmt: off
PAIRS = (
    (ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.In, ast.NotIn), (ast.Is, ast.IsNot),
    (ast.And, ast.Or), (ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.BitOr, ast.BitAnd),
)
# fmt: on
OTHER = {ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, **dict(PAIRS), **{two: one for one, two in PAIRS}}


@dataclass(frozen=True)
class Mutant:
    """One change: ``before`` and ``after`` are whole lines, the first of which is ``line``.

    A test covers it that runs one of the lines from ``first`` to ``last``; both are 0 where it runs as the
    module is imported.
    """

    path: str
    where: str
    operator: str
    line: int
    before: str
    after: str
    first: int
    last: int

    def applied(self, source: str) -> str:
        """Return the changed module."""
        lines, end = source.split("\n"), self.line + self.before.count("\n")
        if lines[self.line - 1 : end] != self.before.split("\n"):
            raise ValueError(f"{self.path}: line {self.line} is another: {self.before}")
        return "\n".join([*lines[: self.line - 1], self.after, *lines[end:]])


def seeded(path: str, source: str, seed: int) -> Iterator[Mutant]:
    """Return a module's mutants in the order of a seed; the operators take turns."""
    rng = random.Random(f"{seed} {path}")
    kinds = collections.defaultdict(list)
    for mutant in mutants_of(path, source):
        kinds[mutant.operator].append(mutant)
    for mutants in kinds.values():
        rng.shuffle(mutants)
    while kinds:
        for name in rng.sample(sorted(kinds), len(kinds)):
            if differs(mutant := kinds[name].pop(), source):
                yield mutant
            if not kinds[name]:
                del kinds[name]


def shares(tree: Path, packages: tuple[str, ...], count: int) -> dict[str, int]:
    """Divide ``count`` mutants evenly over packages, and within each over its modules by their statements."""
    divided: dict[str, int] = {}
    for package, share in zip(packages, _parts([1] * len(packages), count), strict=True):
        files = sorted((tree / package).rglob("*.py"))
        sizes = [_statements(file.read_text()) for file in files]
        names = [str(file.relative_to(tree)) for file in files]
        divided |= zip(names, _parts(sizes, share), strict=True)
    return divided


def _parts(sizes: list[int], count: int) -> list[int]:
    ends = [count * end // (sum(sizes) or 1) for end in accumulate(sizes, initial=0)]
    return [end - start for start, end in pairwise(ends)]


def _statements(source: str) -> int:
    return sum(isinstance(node, ast.stmt) and not _is_fixed(node) for node in ast.walk(ast.parse(source)))


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    lines = source.encode().split(b"\n")
    for operator, node, new, where, covered in _changes(ast.parse(source)):
        whole = lines[node.lineno - 1 : node.end_lineno]
        after = whole[0][: node.col_offset] + new.encode() + whole[-1][node.end_col_offset :]
        before = b"\n".join(whole)
        yield Mutant(path, where, operator, node.lineno, before.decode(), after.decode(), *covered)


def differs(mutant: Mutant, source: str) -> bool:
    """Tell whether the changed module is Python, and another program."""
    try:
        return ast.dump(ast.parse(mutant.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _changes(node: ast.AST, where: str = "", covered: tuple[int, int] = (0, 0)) -> Iterator[tuple]:
    """Yield the changes below a node: operator, node, text, qualified name, and the lines to cover."""
    if _is_fixed(node):
        return
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        where = f"{where}.{node.name}".lstrip(".")
    inside = any(covered)
    if isinstance(node, FUNCTIONS):
        # A signature runs as the module is imported: whoever runs the function tells.
        inside, covered = True, (node.body[0].lineno, node.end_lineno)
    yield from ((*change, where, covered) for change in _of_node(node))
    # Python 3.11 gives what stands in an f-string other positions than its own.
    for name, value in [] if isinstance(node, ast.JoinedStr) else ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            head = _head(child) if inside and isinstance(child, ast.stmt) else covered
            for part in _constraints(child) if name in ("annotation", "returns") else [child]:
                if isinstance(part, ast.AST):
                    yield from _changes(part, where, head)


def _head(statement: ast.stmt) -> tuple[int, int]:
    """Return the lines of a statement without its body."""
    body = getattr(statement, "body", None)
    return statement.lineno, max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno


def _is_fixed(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.Call(func=ast.Name(id="TypeVar" | "cast")):
            return True
    return False


def _constraints(annotation: ast.AST | None) -> list[ast.AST]:
    nodes = [node for node in ast.walk(annotation or ast.Pass()) if isinstance(node, ast.Subscript)]
    return [
        extra for node in nodes if ast.unparse(node.value) == "Annotated" for extra in node.slice.elts[1:]
    ]


def _of_node(node: ast.AST) -> Iterator[tuple[str, ast.AST, str]]:
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                yield "comparison", node, f"({_with(node, 'ops', index, OTHER[type(operator)]())})"
        case ast.BoolOp() | ast.BinOp() if type(node.op) in OTHER:
            kind = "boolean" if isinstance(node, ast.BoolOp) else "arithmetic"
            yield kind, node, f"({_with(node, 'op', None, OTHER[type(node.op)]())})"
        case ast.UnaryOp(op=ast.Not()):
            yield "negation", node, f"({ast.unparse(node.operand)})"
        case ast.Constant(value=bool()):
            yield "truth", node, str(not node.value)
        case ast.Constant(value=int() | float()):
            yield "number", node, str(node.value + 1)
        case ast.Constant(value=str() | bytes() as text):
            yield "text", node, repr(("XX" if isinstance(text, str) else b"XX") + text)
        case ast.JoinedStr():
            constants = [index for index, part in enumerate(node.values) if isinstance(part, ast.Constant)]
            for index in constants[:1]:
                yield (
                    "text",
                    node,
                    _with(node, "values", index, ast.Constant("XX" + node.values[index].value)),
                )
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield "return", value, "None"
        case ast.Raise() | ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom() | ast.Await()):
            yield "raise" if isinstance(node, ast.Raise) else "statement", node, "pass"
        case ast.If() | ast.IfExp() | ast.comprehension():
            for test in node.ifs if isinstance(node, ast.comprehension) else [node.test]:
                yield from (("condition", test, text) for text in ("True", "False"))
        case ast.Slice():
            for bound in ("lower", "upper"):
                if getattr(node, bound):
                    yield "slice", node, _with(node, bound, None, None)
        case ast.Call():
            for index, keyword in enumerate(node.keywords):
                if keyword.arg:
                    yield "argument", node, _with(node, "keywords", index)


def _with(node: ast.AST, field: str, index: int | None, *instead: ast.AST | None) -> str:
    """Write a node whose field, or its element at an index, is something else, or nothing."""
    other, value = copy.copy(node), getattr(node, field)
    setattr(other, field, instead[0] if index is None else [*value[:index], *instead, *value[index + 1 :]])
    return ast.unparse(other)
