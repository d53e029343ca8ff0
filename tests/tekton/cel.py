"""CEL as Tekton Triggers speaks it: the language from cel-python, and the functions that Triggers adds.

Those functions follow https://tekton.dev/docs/triggers/cel_expressions/. Regular expressions are RE2 here as
there, so that ``$`` is the end of the text and not also what comes before a last newline. One difference is
known: ``has(a.b.c)`` without ``a.b`` is an error in Triggers, and false here.
"""

import functools
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import celpy
import re2
from celpy import celtypes
from celpy.adapter import CELJSONEncoder, json_to_cel

Secrets = Mapping[str, Mapping[str, str]]


class CelError(Exception):
    """An expression that has no value: a missing key, an index that is not there, the wrong type."""


def evaluate(expression: str, context: Mapping[str, Any], secrets: Secrets | None = None) -> Any:
    """Returns what an expression yields, as JSON.

    Args:
        expression: in CEL.
        context: ``body``, ``header`` and ``extensions``, each by `to_cel`; a header is a list of values.
        secrets: by name and key, for compareSecret.

    Raises:
        CelError: it has no value.
    """
    known = {**FUNCTIONS, "compareSecret": functools.partial(_compare_secret, secrets or {})}
    try:
        value = celpy.Environment().program(_compiled(expression), functions=known).evaluate(dict(context))
    except (celpy.CELEvalError, celpy.CELParseError, ValueError, TypeError, KeyError, IndexError) as why:
        raise CelError(f"{expression}: {str(why)[:200]}") from why
    return json.loads(json.dumps(value, cls=CELJSONEncoder))


def to_cel(value: Any) -> Any:
    """Returns JSON as CEL's values, for a context.

    Raises:
        CelError: CEL has no such value, a number that is too large for one.
    """
    try:
        return json_to_cel(value)
    except (ValueError, TypeError) as why:
        raise CelError(str(why)[:200]) from why


@functools.cache
def _compiled(expression: str) -> Any:
    return celpy.Environment().compile(expression)


def mutations(expression: str) -> Iterator[tuple[str, str]]:
    """Yields each operand of an ``&&``, at any depth, and the expression in which it is true."""
    for start, end in sorted(_operands(expression)):
        clause = expression[start:end].strip()
        yield clause, f"{expression[:start]} true {expression[end:]}"


def _operands(expression: str) -> Iterator[tuple[int, int]]:
    starts, joined, quote, position = [0], [False], "", 0
    while position < len(expression):
        sign = expression[position]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "(":
            starts.append(position + 1)
            joined.append(False)
        elif sign in "),":
            if joined[-1]:
                yield starts[-1], position
            joined[-1], starts[-1] = False, position + 1
            if sign == ")":
                starts.pop()
                joined.pop()
        elif expression.startswith("&&", position):
            yield starts[-1], position
            starts[-1], joined[-1] = position + 2, True
            position += 1
        position += 1
    if joined[-1]:
        yield starts[-1], len(expression)


def _text(value: Any) -> str:
    if not isinstance(value, celtypes.StringType):
        raise TypeError(f"no such overload: {type(value).__name__}")
    return str(value)


def _string(function: Callable[..., str]) -> Callable[..., celtypes.StringType]:
    def with_types(text: Any, *arguments: Any) -> celtypes.StringType:
        return celtypes.StringType(function(_text(text), *arguments))

    return with_types


def _canonical(header: Any, name: Any) -> celtypes.StringType:
    for key, values in header.items():
        if str(key).lower() == _text(name).lower() and values:
            return celtypes.StringType(values[0])
    return celtypes.StringType("")


def _compare_secret(secrets: Secrets, text: Any, key: Any, name: Any) -> celtypes.BoolType:
    expected = secrets[str(name)][str(key)]
    return celtypes.BoolType(hmac.compare_digest(_text(text).encode(), expected.encode()))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "canonical": _canonical,
    "match": lambda header, name, value: celtypes.BoolType(_canonical(header, name) == value),
    "split": lambda text, by: json_to_cel(_text(text).split(str(by))),
    "join": lambda texts, by="": celtypes.StringType(str(by).join(_text(text) for text in texts)),
    "replace": _string(lambda text, old, new: text.replace(str(old), str(new))),
    "truncate": _string(lambda text, length: text[: int(length)]),
    "translate": _string(lambda text, old, new: re2.sub(str(old), str(new), text)),
}
