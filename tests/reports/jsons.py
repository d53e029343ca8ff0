"""Walk and change JSON."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from reports.identity import OTHER_DIGEST

Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Walk JSON: the path of every value that holds no other; an empty list is one."""
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    if not children or value == []:
        yield path
    for key, child in children:
        yield from leaves(child, (*path, key))


def at(value: Any, path: Path) -> Any:
    """Return what lies at a path."""
    for key in path:
        value = value[key]
    return value


def replaced(value: Any, *changes: tuple[Path, Any]) -> Any:
    """Copy JSON with other values at some paths."""
    value = copy.deepcopy(value)
    for path, new in changes:
        at(value, path[:-1])[path[-1]] = new
    return value


def removed(value: Any, *paths: Path) -> Any:
    """Copy JSON without some paths; none may lie within another."""
    value = copy.deepcopy(value)
    for path in sorted(paths, key=lambda path: [str(key).zfill(9) for key in path], reverse=True):
        del at(value, path[:-1])[path[-1]]
    return value


def edited(value: Any, edits: Mapping[str, Any]) -> Any:
    """Copy JSON with other values at dotted paths, as ``{"evaluation.songs": 0}``."""
    parts = {text: [int(key) if key.isdigit() else key for key in text.split(".")] for text in edits}
    return replaced(value, *((tuple(parts[text]), new) for text, new in edits.items()))


def another(value: Any) -> Any:
    """Return a value of the same kind that is not the same; for null, an object."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return OTHER_DIGEST if value.startswith("sha256:") else value + "x"
    if isinstance(value, list):
        return [*value, "x"]
    if isinstance(value, dict):
        return {**value, "x": "x"}
    return value + 1 if isinstance(value, int) else value * (1 + 1e-9) + 1e-12


def dotted(path: Path) -> str:
    """Write a path as one word."""
    return ".".join(map(str, path))
