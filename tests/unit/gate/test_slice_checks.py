"""Slices: a required one is there, and one that is shown to be below the floor is named."""

import json

import pytest
from mutations.slices import AT
from reports import POLICY, SLICES, edited, failing, judge, passing_reports, removed, slice_of

BELOW = {f"{AT[name]}.{key}": value for name in AT for key, value in (("p_value", 0.02),)}
ALL = "evaluation.slices.slices"
AT_NEWEST = list(SLICES).index("decade=2020s")


def under(**changes):
    return json.dumps(edited(json.loads(POLICY), {f"slices.{key}": value for key, value in changes.items()}))


def countries(*scores):
    """Edits that add countries' slices, at the cost of SE: name, songs, rows, gain, p-value."""
    evaluation = passing_reports()["evaluation"]
    parts, known = evaluation["slices"]["slices"], evaluation["countries"]
    (sweden,) = (part for part in parts if part["name"] == "country=SE")
    for name, songs, rows, gain, p_value in scores:
        parts.append(slice_of(f"country={name}", songs, rows, gain, p_value))
        known[name] = {"log_loss": 4.5 - gain, "prior_log_loss": 4.5, "rows": rows, "songs": songs}
        known["SE"]["rows"] -= rows
        sweden["rows"] -= rows
    return {ALL: parts, "evaluation.countries": known}


def test_the_method_decides_how_many_tests_count_as_one():
    reports = edited(passing_reports(), BELOW)
    assert failing(judge(reports, under(method="holm"))) == set()
    assert failing(judge(reports, under(method="benjamini-hochberg"))) == {"slices.floor"}


def test_a_country_that_is_shown_to_be_below_the_floor_blocks_by_name():
    verdict = judge(edited(passing_reports(), countries(("DK", 20, 50, -2.0, 0.0002))))
    assert failing(verdict) == {"slices.floor"}
    (failure,) = verdict.failures
    assert failure.value == 1
    assert "country=DK -2.000 nats (20 songs)" in failure.reason


def test_the_three_worst_are_named_the_worst_first():
    scores = [(name, 20, 50, gain, 0.0002) for name, gain in zip("ABCDE", (-1, -5, -2, -4, -3), strict=True)]
    (failure,) = judge(edited(passing_reports(), countries(*scores))).failures
    assert failure.value == 5
    names = [part.split()[0] for part in failure.reason.partition(": ")[2].split(", ")]
    assert names == ["country=B", "country=D", "country=E"]
    assert failure.reason.endswith(" and 2 more")
    (failure,) = judge(edited(passing_reports(), countries(*scores[:3]))).failures
    assert failure.reason.endswith("country=A -1.000 nats (20 songs)")


def test_what_is_below_the_floor_but_may_be_chance_only_warns():
    verdict = judge(edited(passing_reports(), countries(("DK", 20, 50, -0.5, 0.1))))
    assert verdict.passed
    (warning,) = verdict.warnings
    assert warning.name == "slices.worst"
    assert "country=DK -0.500" in warning.reason


def test_a_slice_at_the_floor_is_not_below_it():
    scores = (("DK", 20, 50, -0.25, 0.5), ("FI", 20, 50, -0.5, 0.5))
    assert judge(edited(passing_reports(), countries(scores[0]))).warnings == ()
    (warning,) = judge(edited(passing_reports(), countries(*scores))).warnings
    assert warning.reason.endswith(": country=FI -0.500 nats (20 songs)")


@pytest.mark.parametrize(("min_songs", "judged"), [(111, 0), (110, 1), (90, 3)])
def test_the_resamples_must_do_for_as_many_slices_as_are_judged(min_songs, judged):
    policy = under(required=["explicit=no"], min_songs=min_songs)
    (found,) = (c for c in judge(passing_reports(), policy).checks if c.name == "slices.smallest_p")
    assert found.bound == 0.05 / max(judged, 1)


def test_a_slice_of_few_songs_is_not_judged_and_does_not_make_the_others_harder_to_judge():
    few = [(name, 19, 50, -2.0, 0.0002) for name in "ABCDEFGH"]
    assert judge(edited(passing_reports(), countries(*few))).warnings == ()
    # Eight judged slices: 0.05 / 8 is enough for Holm, 0.05 / 16 would not be.
    one = ("DK", 20, 50, -2.0, 0.006)
    assert failing(judge(edited(passing_reports(), countries(one)))) == {"slices.floor"}
    assert failing(judge(edited(passing_reports(), countries(one, *few)))) == {"slices.floor"}


@pytest.mark.parametrize("name", ["explicit=yes", "explicit=no"])
def test_a_required_slice_that_is_missing_blocks(name):
    index = list(SLICES).index(name)
    verdict = judge(removed(passing_reports(), ("evaluation", "slices", "slices", index)))
    assert f"slices.required.{name}" in failing(verdict)
    (missing,) = (check for check in verdict.failures if check.name == f"slices.required.{name}")
    assert missing.value == "missing"


def test_no_slices_at_all_block():
    missing = {f"slices.required.explicit={word}" for word in ("yes", "no")}
    verdict = judge(edited(passing_reports(), {ALL: []}))
    assert failing(verdict) == missing


@pytest.mark.parametrize("pattern", ["country=*", "*=*", "country=[BS]*"])
def test_a_pattern_needs_one_slice_with_support(pattern):
    assert failing(judge(passing_reports(), under(required=[pattern]))) == set()
    few = judge(passing_reports(), under(required=[pattern], min_songs=111))
    assert failing(few) == {f"slices.required.{pattern}"}


def test_a_pattern_that_is_asked_for_twice_is_checked_once():
    checks = [check.name for check in judge(passing_reports(), under(required=["a=b", "a=b"])).checks]
    assert checks.count("slices.required.a=b") == 1


def test_a_slice_that_stands_twice_blocks():
    verdict = judge(edited(passing_reports(), {f"{AT['decade=1990s']}.name": "decade=2020s"}))
    assert failing(verdict) == {"evaluation"}
    assert "decade=2020s stands twice" in verdict.failures[0].reason
    newest = passing_reports()["evaluation"]["slices"]["slices"][AT_NEWEST]
    verdict = judge(edited(passing_reports(), {ALL: [newest, newest, newest]}))
    assert "decade=2020s stands twice" in verdict.failures[0].reason


@pytest.mark.parametrize(
    "name", ["", "country", "country=", "=BR", "Country=BR", "country= BR", "country=BR "]
)
def test_a_slice_needs_a_family_and_a_value(name):
    assert failing(judge(edited(passing_reports(), {f"{AT['decade=1990s']}.name": name}))) == {"evaluation"}
