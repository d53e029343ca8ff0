"""Waivers: a measured number that is beyond its bound, let through by somebody, for a reason, until a day.

A waiver stands in the policy, so it is part of the policy's digest and of every verdict under it. Only what
was measured and does not suffice can be waived: never a number that is missing or malformed, never what a
report is about, never the shape of a model's answers or their parity with the trained model.
"""

import datetime
import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field, field_validator

from ml.core.records import Record
from ml.gate.check import Check
from ml.gate.subjects import budget, champion, drift, evaluation, serving

WAIVABLE = (
    *drift.WAIVABLE,
    *evaluation.WAIVABLE,
    *champion.WAIVABLE,
    *budget.WAIVABLE,
    *serving.WAIVABLE,
)
"""The checks that may be waived."""


Words = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$")]
"""Text on one line that says something: no blanks around it, no control characters."""


class Waiver(Record):
    """Who lets which check fail, why, and until when (the last day, UTC)."""

    check: str
    who: Words
    why: Words
    until: datetime.date

    @field_validator("until", mode="before")
    @classmethod
    def _is_day(cls, until: object) -> object:
        # By itself pydantic also reads the seconds since 1970.
        if not isinstance(until, str):
            return until
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", until):
            raise ValueError(f"{until!r} is no day such as 2026-12-31")
        return datetime.date.fromisoformat(until)

    @field_validator("check")
    @classmethod
    def _is_waivable(cls, check: str) -> str:
        if check not in WAIVABLE:
            raise ValueError(f"{check!r} is no check that may be waived; these are: {', '.join(WAIVABLE)}")
        return check

    @property
    def text(self) -> str:
        """What the verdict says of it."""
        return f"waived by {self.who} until {self.until}: {self.why}"


def apply_waivers(checks: Iterable[Check], waivers: Iterable[Waiver], day: datetime.date) -> Iterator[Check]:
    """Mark the checks that would block and are waived on that day."""
    in_force = {waiver.check: waiver for waiver in waivers if day <= waiver.until}
    for check in checks:
        waiver = in_force.get(check.name)
        measured = isinstance(check.value, float)
        yield (
            check.model_copy(update={"waiver": waiver.text})
            if waiver and check.blocks and measured
            else check
        )
