"""A policy explained: each threshold with its value, its unit and the reason for it.

Units and reasons are the comments of `policy.yaml`, right above each threshold: ``# (unit) Reason.`` They are
read from there, so that what is printed and what is written cannot drift apart.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ml.gate.policy import Policy, default_policy, default_text
from ml.gate.records import Record, Text

COMMENT = re.compile(r"\((?P<unit>[^()]+)\) (?P<reason>.+)")


class Threshold(Record):
    """One threshold: its dotted name, value, unit, and why the default is what it is."""

    name: Text
    value: float | int | str | tuple[str | float | int, ...]
    default: float | int | str | tuple[str | float | int, ...]
    unit: Text
    reason: Text

    @property
    def shown(self) -> str:
        """The value as a person reads it."""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def explain(policy: Policy) -> list[Threshold]:
    """Return every threshold of a policy, in the order of the package's own, with its unit and reason.

    Raises:
        ValueError: the package's own policy lacks a unit or a reason.
    """
    ours, theirs = default_policy().to_json(), policy.to_json()
    return [
        Threshold(
            name=f"{section}.{key}",
            value=_frozen(theirs[section][key]),
            default=_frozen(ours[section][key]),
            unit=unit,
            reason=reason,
        )
        for section, key, unit, reason in _commented(default_text())
    ]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _commented(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Walk the text of a policy: section, key, unit and reason of each threshold."""
    lines = text.splitlines()
    document: Any = yaml.compose(text)
    for section, thresholds in document.value:
        if not isinstance(thresholds, yaml.MappingNode):
            continue
        for key, _ in thresholds.value:
            found = COMMENT.fullmatch(_comment_above(lines, key.start_mark.line))
            if not found:
                raise ValueError(f"{section.value}.{key.value} has no comment '# (unit) Reason.' above it")
            yield section.value, key.value, found["unit"], found["reason"]


def _comment_above(lines: list[str], line: int) -> str:
    """Return the comment right above a line, on one line."""
    words: list[str] = []
    while line and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        words.insert(0, lines[line].strip().removeprefix("#").strip())
    return " ".join(words)
