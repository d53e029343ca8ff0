"""Slices: a required one is there, and one that is shown to be below the floor is named."""

import pytest
from mutations import AT
from reports import (
    REQUIRED_SLICES,
    SLICES,
    changed,
    check_of,
    failing,
    judge,
    passing_reports,
    policy_with,
    removed,
    slice_of,
)

ALL = "evaluation.slices.slices"


def under(**changes):
    return policy_with({f"slices.{key}": value for key, value in changes.items()})


def with_slices(*scores):
    """Decide with more slices, of 20 examples and 50 rows: name, gain, p-value, other examples."""
    parts = passing_reports()["evaluation"]["slices"]["slices"]
    for name, gain, p_value, *examples in scores:
        parts.append(slice_of(f"digit={name}", *(examples or [20]), 50, gain, p_value))
    return changed({ALL: parts})


def test_the_method_decides_how_many_tests_count_as_one():
    below = {f"{AT[name]}.p_value": 0.02 for name in AT}
    assert changed(below, under(method="holm")).passed
    assert failing(changed(below, under(method="benjamini-hochberg"))) == {"slices.floor"}


def test_slices_that_are_shown_to_be_below_the_floor_block_and_the_three_worst_are_named():
    scores = [(name, gain, 0.0002) for name, gain in zip("ABCDE", (-1, -5, -2, -4, -3), strict=True)]
    (failure,) = with_slices(*scores).failures
    assert (failure.name, failure.value) == ("slices.floor", 5)
    named = (
        "digit=B -5.000 nats (20 images), digit=D -4.000 nats (20 images), digit=E -3.000 nats (20 images)"
    )
    assert failure.reason.endswith(f": {named} and 2 more")
    (failure,) = with_slices(*scores[:3]).failures
    assert failure.reason.endswith("digit=A -1.000 nats (20 images)")


def test_what_is_below_the_floor_but_may_be_chance_only_warns_and_at_the_floor_is_not_below():
    verdict = with_slices(("A", -0.25, 0.5), ("B", -0.5, 0.1))
    assert verdict.passed
    (warning,) = verdict.warnings
    assert warning.name == "slices.worst"
    assert warning.reason.endswith(": digit=B -0.500 nats (20 images)")
    assert with_slices(("A", -0.25, 0.5)).warnings == ()


@pytest.mark.parametrize(("min_examples", "judged"), [(111, 0), (110, 1), (90, 3)])
def test_the_resamples_must_do_for_as_many_slices_as_are_judged(min_examples, judged):
    policy = under(required=[REQUIRED_SLICES[1]], min_examples=min_examples)
    assert check_of(judge(passing_reports(), policy), "slices.smallest_p").bound == 0.05 / max(judged, 1)


def test_a_slice_of_few_examples_is_not_judged_and_does_not_make_the_others_harder_to_judge():
    few = [(name, -2.0, 0.0002, 19) for name in "ABCDEFGH"]
    assert with_slices(*few).warnings == ()
    # Eight judged slices: 0.05 / 8 is enough for Holm, 0.05 / 16 would not be.
    for more in ([], few):
        assert failing(with_slices(("J", -2.0, 0.006), *more)) == {"slices.floor"}


@pytest.mark.parametrize("name", REQUIRED_SLICES)
def test_a_required_slice_that_is_missing_blocks(name):
    verdict = judge(removed(passing_reports(), ("evaluation", "slices", "slices", [*SLICES].index(name))))
    (failure,) = verdict.failures
    assert (failure.name, failure.value) == (f"slices.required.{name}", "missing")


def test_no_slices_at_all_block():
    assert failing(changed({ALL: []})) == {f"slices.required.{name}" for name in REQUIRED_SLICES}


@pytest.mark.parametrize("pattern", ["digit=*", "*=*", "digit=[17]*"])
def test_a_pattern_needs_one_slice_with_support(pattern):
    assert judge(passing_reports(), under(required=[pattern])).passed
    few = judge(passing_reports(), under(required=[pattern], min_examples=111))
    assert failing(few) == {f"slices.required.{pattern}"}
    twice = judge(passing_reports(), under(required=[pattern, pattern]))
    assert check_of(twice, f"slices.required.{pattern}").passed


@pytest.mark.parametrize("twice", [("ink=new", "ink=old"), ("ink=new",)], ids=len)
def test_a_slice_that_stands_twice_blocks(twice):
    parts = [slice_of(name, *SLICES[name]) for name in ("ink=new", *twice, "ink=old")]
    (failure,) = changed({ALL: parts}).failures
    assert failure.name == "evaluation"
    assert "ink=new stands twice" in failure.reason


@pytest.mark.parametrize("name", ["", "digit", "digit=", "=1", "Digit=1", "digit= 1", "digit=1 "])
def test_a_slice_needs_a_family_and_a_value(name):
    assert failing(changed({f"{AT['size=tiny']}.name": name})) == {"evaluation"}
