"""Which cases of a long list `make test` takes: a sample of them. `make test-all` takes every one."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

SLOW = pytest.mark.slow

PARTS = [
    pytest.param(slice(None, None, 23), id="a sample"),
    *(pytest.param(slice(part, None, 4), id=f"part {part} of 4", marks=SLOW) for part in range(4)),
]
"""For tests that walk a list by themselves: each 23rd of it, and in the slow tier all of it in parts."""


def sampled(cases: Iterable[Any], fast: Collection[Any] = (), *, every: int = 0) -> list[Any]:
    """Mark as slow all cases of a parametrized test but a sample.

    Args:
        cases: values of one parameter, or a tuple of values for each of several.
        fast: the cases of the sample.
        every: take each so-many-th case too; 0 for none.
    """
    listed = list(cases)
    unknown = [case for case in fast if case not in listed]
    assert not unknown, f"the sample has cases that are not there: {unknown}"
    kept = [case in fast or (every and index % every == 0) for index, case in enumerate(listed)]
    return [case if keep else _slow(case) for case, keep in zip(listed, kept, strict=True)]


def _slow(case: Any) -> Any:
    # A named tuple is a value of one parameter.
    return pytest.param(*(case if type(case) is tuple else (case,)), marks=SLOW)
