"""The operators of mutation: which nodes of a syntax tree are changed, and into what.

They are the classical ones: comparisons, boolean and arithmetic operators, `not`, constants, conditions,
returned values, raised errors, statements that only call or yield, keyword arguments, bounds of slices.
Docstrings, imports, `__all__` and type annotations stay as they are; the constraints in an `Annotated` are
changed like any call.
"""

import ast
import copy
from collections.abc import Iterator
from typing import NamedTuple

COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


class Change(NamedTuple):
    """What is written in the place of a node."""

    operator: str
    node: ast.AST
    text: str


def is_text(node: ast.AST) -> bool:
    """Tell whether a statement is only a text: a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def changes(node: ast.AST) -> Iterator[Change]:
    """Yield every change of a node and of what it holds."""
    if _is_fixed(node):
        return
    for operator, changed, text in _of_node(node):
        yield Change(operator, changed, text)
    # Python 3.11 gives what stands in an f-string other positions than its own.
    if isinstance(node, ast.JoinedStr):
        return
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _constraints(child) if name in ("annotation", "returns") else changes(child)


def _is_fixed(node: ast.AST) -> bool:
    is_all = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    is_type = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("TypeVar", "cast")
    return isinstance(node, ast.Import | ast.ImportFrom) or is_all or is_type or is_text(node)


def _constraints(annotation: ast.AST) -> Iterator[Change]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "Annotated":
            for extra in node.slice.elts[1:]:
                yield from changes(extra)


def _of_node(node: ast.AST) -> Iterator[tuple[str, ast.AST, str]]:
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                yield "comparison", node, _with(node, "ops", index, COMPARISONS[type(operator)]())
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "boolean", node, f"({ast.unparse(ast.BoolOp(other, node.values))})"
        case ast.UnaryOp(op=ast.Not()):
            yield "negation", node, f"({ast.unparse(node.operand)})"
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            other = ARITHMETIC[type(node.op)]()
            yield "arithmetic", node, f"({ast.unparse(ast.BinOp(node.left, other, node.right))})"
        case ast.Constant() | ast.JoinedStr():
            yield from _of_constant(node)
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield "return", value, "None"
        case ast.Raise():
            yield "raise", node, "pass"
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom() | ast.Await()):
            yield "statement", node, "pass"
        case ast.If() | ast.IfExp():
            yield from (("condition", node.test, text) for text in ("True", "False"))
        case ast.comprehension():
            yield from (("condition", test, text) for test in node.ifs for text in ("True", "False"))
        case ast.Slice():
            yield from _of_slice(node)
        case ast.Call():
            for index, keyword in enumerate(node.keywords):
                if keyword.arg:
                    yield "argument", node, _with(node, "keywords", index)


def _of_constant(node: ast.Constant | ast.JoinedStr) -> Iterator[tuple[str, ast.AST, str]]:
    if isinstance(node, ast.JoinedStr):
        texts = [index for index, part in enumerate(node.values) if isinstance(part, ast.Constant)]
        if texts:
            part = ast.Constant("XX" + node.values[texts[0]].value)
            yield "text", node, _with(node, "values", texts[0], part)
    elif isinstance(node.value, bool):
        yield "truth", node, str(not node.value)
    elif isinstance(node.value, int | float):
        yield "number", node, str(node.value + 1)
    elif isinstance(node.value, str):
        yield "text", node, repr("XX" + node.value)
    elif isinstance(node.value, bytes):
        yield "text", node, repr(b"XX" + node.value)


def _of_slice(node: ast.Slice) -> Iterator[tuple[str, ast.AST, str]]:
    for bound in ("lower", "upper"):
        if getattr(node, bound):
            other = copy.copy(node)
            setattr(other, bound, None)
            yield "slice", node, ast.unparse(other)


def _with(node: ast.AST, field: str, index: int, *instead: ast.AST) -> str:
    """Write a node whose list ``field`` has something else, or nothing, at one index."""
    other, values = copy.copy(node), list(getattr(node, field))
    values[index : index + 1] = instead
    setattr(other, field, values)
    text = ast.unparse(other)
    return f"({text})" if isinstance(node, ast.Compare) else text
