"""Records: what is wrong with a value is said in one line, with its place."""

import re

import pytest

from ml.core.records import Count, Record
from ml.gate.evidence import Evidence


class Inner(Record):
    rows: Count


class Outer(Record):
    examples: Count
    name: str
    inner: Inner


GOOD = {"examples": 1, "name": "x", "inner": {"rows": 2}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "the document: Input should be an object"),
        ({**GOOD, "inner": {}}, "inner.rows: missing"),
        ({**GOOD, "examples": -1}, "examples: Input should be greater than or equal to 0"),
        ({"examples": 1}, "name: missing (and 1 more)"),
        ({"example": 1, "name": "x", "inner": {"rows": 2}}, "example: unknown key (and 1 more)"),
    ],
    ids=str,
)
def test_the_first_problem_is_named_and_the_others_are_counted(value, message):
    assert Outer.load(GOOD).inner.rows == 2
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Outer.load(value)


def test_what_does_not_state_its_version_is_refused_though_there_is_but_one():
    with pytest.raises(ValueError, match=r"^schema: missing$"):
        Evidence.load({})
