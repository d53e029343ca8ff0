"""Thresholds, as a section of the policy declares them: value, unit, and the reason for the value.

The default policy, `jukebox policy explain` and the reference are made from these declarations.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import Field

from ml.core.records import Record


def threshold(default: Any, unit: str, reason: str) -> Any:
    """Declare a threshold of a policy section.

    The field stays required: a policy names every threshold, and ``default`` is what the package's own says.
    """
    value = list(default) if isinstance(default, tuple) else default
    return Field(description=reason, json_schema_extra={"default": value, "unit": unit})


class Declared(NamedTuple):
    """A threshold as it was declared; a list is a list, as in JSON."""

    key: str
    default: Any
    unit: str
    reason: str


def thresholds_of(section: type[Record]) -> Iterator[Declared]:
    """Return the thresholds of a section of the policy, in the order in which they are declared."""
    for key, field in section.model_fields.items():
        extra = field.json_schema_extra
        if not isinstance(extra, dict) or not field.description:
            raise TypeError(f"{section.__name__}.{key} is not declared by threshold()")
        yield Declared(key, extra["default"], str(extra["unit"]), field.description)
