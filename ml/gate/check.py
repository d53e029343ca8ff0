"""A check: one line of the verdict, ``value relation bound``, and how checks are made."""

import operator
from collections.abc import Callable, Mapping
from typing import Literal

from ml.core.records import Record

Relation = Literal["<=", ">=", ">", "=="]
Level = Literal["block", "warn"]

HOLDS: Mapping[Relation, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}
"""Whether each relation holds between a value and a bound."""


class Check(Record):
    """One line of the verdict: ``value relation bound``, whether it passed, and why not.

    A check that failed blocks, unless its level is "warn", or ``waiver`` says who let it through.
    """

    name: str
    value: float | str
    relation: Relation
    bound: float | str
    passed: bool
    reason: str
    level: Level = "block"
    waiver: str = ""

    @property
    def blocks(self) -> bool:
        """Whether this check by itself blocks the model."""
        return not self.passed and self.level == "block" and not self.waiver


def compare(
    name: str, value: float, relation: Relation, bound: float, reason: str = "", level: Level = "block"
) -> Check:
    """Make the check ``value relation bound``; the reason is kept only when it fails."""
    passed = HOLDS[relation](value, bound)
    failed = reason or f"{_shown(value)} is not {relation} {_shown(bound)}"
    return Check(
        name=name,
        value=float(value),
        relation=relation,
        bound=float(bound),
        passed=passed,
        reason="" if passed else failed,
        level=level,
    )


def _shown(number: float) -> str:
    """Write a number so that a bound and what is just beyond it look different."""
    return f"{number:,.0f}" if number == int(number) else f"{number:.6g}"


def readable(name: str, state: str, reason: str) -> Check:
    """Make the check that something can be read at all: it passes when what was found is "readable"."""
    passed = state == "readable"
    why = "" if passed else reason or "no reason is given"
    return Check(name=name, value=state, relation="==", bound="readable", passed=passed, reason=why)
