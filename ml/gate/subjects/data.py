"""Data: each check of the data contract is in the report, once, and keeps the policy's bound.

`validate` measures the tables in a run, and the judge measures them when it seals the holdout.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ml.core.records import Count, Number, Record, Share, Text
from ml.gate.check import Check, Relation, compare, readable
from ml.gate.nouns import Nouns
from ml.gate.subjects.drift import Drift
from ml.gate.threshold import threshold


class DataCheck(Record):
    """One check of the data contract: ``value relation bound``."""

    name: str
    value: Number
    relation: Literal["<=", ">="]
    bound: Number
    passed: bool
    detail: str


class DataReport(Record):
    """What `validate` measured; ``rows`` counts the rows of each table. ``drift`` is None without a champion.

    ``definition`` is the version of the problem's definition, ``nouns`` what it calls its examples.
    ``tables`` says whether these are the source tables or a training snapshot of them. ``set_aside`` counts
    what the definition leaves out, by kind. ``both_sides`` and ``near_copies`` are the examples that the
    snapshot left
    out: see `ml.data.manifests.LeftOut`.
    """

    schema_: Literal["jukebox.data-report/v4"] = Field("jukebox.data-report/v4", alias="schema")
    definition: Text
    nouns: Nouns
    data_version: Text
    synthetic: bool
    tables: Literal["source", "snapshot"]
    rows: Annotated[dict[Text, Count], Field(min_length=1)]
    examples_table: Text
    set_aside: dict[Text, Count]
    both_sides: Count
    near_copies: Count
    checks: tuple[DataCheck, ...]
    drift: Drift | None

    @model_validator(mode="after")
    def _has_examples(self) -> Self:
        if self.examples_table not in self.rows:
            raise ValueError(f"examples_table {self.examples_table!r} is none of the tables")
        return self


Bound = Annotated[str, Field(pattern=r"^[a-z0-9_.]+ (<=|>=) -?[0-9]+(\.[0-9]+)?$")]
"""A check of the data contract and its bound, as ``TABLE.rows >= 100``."""


class DataPolicy(Record):
    """Which checks of the data contract must be in the report and pass, and how much may be left out."""

    required_checks: Annotated[tuple[Bound, ...], Field(min_length=1)] = threshold(
        (),
        "checks",
        "The checks of the data contract that must be in the report, each with its bound. A report that "
        "forgot one is not a report that passed it, and a commit that loosens its own contract is held to "
        "these bounds all the same.",
    )
    max_left_out: Share = threshold(
        0.02,
        "share of examples",
        "`data.left_out`: examples that the snapshot left out because their recording spans the sealed and "
        "the open side, or is a near copy of a sealed one. Many of them mean that the tables have changed, "
        "or that somebody puts in copies.",
    )

    @field_validator("required_checks")
    @classmethod
    def _once(cls, checks: tuple[str, ...]) -> tuple[str, ...]:
        names = [_parsed(check)[0] for check in checks]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]} stands twice")
        return checks


def data_checks(data: DataReport, policy: DataPolicy) -> Iterator[Check]:
    """Check the data report."""
    names = [check.name for check in data.checks]
    required = {name: (relation, bound) for name, relation, bound in map(_parsed, policy.required_checks)}
    for name in dict.fromkeys((*required, *names)):
        if names.count(name) != 1:
            count = "missing from" if name not in names else "more than once in"
            yield readable(f"data.{name}", "unclear", f"the check is {count} the data report")
            continue
        check = data.checks[names.index(name)]
        # A required check is held to the policy's bound; the commit's own contract may have been loosened.
        relation, bound = required.get(name, (check.relation, check.bound))
        yield compare(f"data.{name}", check.value, relation, bound, check.detail)
    left_out, rows = data.both_sides + data.near_copies, data.rows[data.examples_table]
    yield compare(
        "data.left_out",
        left_out / max(rows, 1),
        "<=",
        policy.max_left_out,
        f"{data.both_sides} {data.nouns.examples} of recordings on both sides and {data.near_copies} near "
        f"copies of sealed ones were left out, of {rows}",
    )


def _parsed(text: Bound) -> tuple[str, Relation, float]:
    """Return name, relation and bound of a required check."""
    name, relation, bound = text.split(" ")
    return name, "<=" if relation == "<=" else ">=", float(bound)
