"""Hyperparameters as a user types them, read as the type of their default in the pipeline."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from ml.core.errors import UsageError


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _whole(text: str) -> int:
    value = int(text)
    # In the API every number is a double.
    if abs(value) > 2**53:
        raise ValueError(text)
    return value


READ: dict[type, Callable[[str], Any]] = {
    bool: lambda text: {"true": True, "false": False}[text.lower()],
    int: _whole,
    float: _finite,
    str: str,
}
NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
"""How a hyperparameter is read, and what it must be, by the type of its default."""


def typed(chosen: Mapping[str, str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return all hyperparameters: those that were typed as the type of their default in the pipeline."""
    values = dict(defaults)
    for name, text in chosen.items():
        if name not in defaults:
            raise UsageError(
                f"--param {name}: the pipeline has no such hyperparameter; it has "
                f"{', '.join(sorted(defaults))}"
            )
        kind = type(defaults[name])
        try:
            values[name] = READ.get(kind, str)(text)
        except (ValueError, KeyError) as error:
            raise UsageError(f"--param {name}={text}: not {NAMES[kind]}") from error
    return values
