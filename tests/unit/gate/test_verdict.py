"""The verdict: good reports pass, and whatever breaks one check is blocked by just that check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import BLOCKING, MUTATIONS
from reports import (
    DATA_CHECKS,
    FAMILIES,
    IDENTITY,
    OPTIONAL_CHECK,
    OTHER_DIGEST,
    edited,
    failing,
    judge,
    leaves,
    passing_reports,
    removed,
    unmet,
)

REPORT_LEAVES = list(leaves(passing_reports()))


def test_good_reports_pass_every_check():
    verdict = judge(passing_reports())
    assert verdict.passed
    assert failing(verdict) == set()


def test_no_two_checks_have_the_same_name():
    names = [check.name for check in judge(passing_reports()).checks]
    assert len(names) == len(set(names)) > 60


def test_every_check_has_a_mutation():
    assert {check.name for check in judge(passing_reports()).checks} == set(MUTATIONS)


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_breaks_one_check_is_blocked_by_just_that_check(name):
    edits, others, warns = MUTATIONS[name]
    verdict = judge(edited(passing_reports(), edits))
    assert verdict.passed == warns
    assert unmet(verdict) == {name, *others}
    assert name in ({check.name for check in verdict.warnings} if warns else failing(verdict))


@given(st.sampled_from(sorted(BLOCKING)), st.sets(st.sampled_from(REPORT_LEAVES), max_size=40))
def test_taking_numbers_out_of_a_blocked_report_never_makes_it_pass(name, paths):
    broken = edited(passing_reports(), MUTATIONS[name].edits)
    still_there = set(leaves(broken))
    assert not judge(removed(broken, *(path for path in paths if path in still_there))).passed


@pytest.mark.parametrize("index", range(len(DATA_CHECKS)))
def test_a_data_check_needs_both_its_number_and_its_word(index):
    check = f"data_report.checks.{index}"
    name = list(DATA_CHECKS)[index]
    (worse,) = (new for path, new in MUTATIONS[f"data.{name}"].edits.items() if path.endswith("value"))
    assert failing(judge(edited(passing_reports(), {f"{check}.passed": False}))) == {f"data.{name}"}
    assert failing(judge(edited(passing_reports(), {f"{check}.value": worse}))) == {f"data.{name}"}


def test_a_broken_data_check_gives_its_example_as_the_reason():
    (failure,) = judge(edited(passing_reports(), MUTATIONS["data.songs.unique"].edits)).failures
    assert failure.reason == "e.g. song 4uLU6h"


def test_a_required_data_check_that_is_missing_blocks_and_another_may_be():
    for index, name in enumerate(DATA_CHECKS):
        verdict = judge(removed(passing_reports(), ("data_report", "checks", index)))
        assert failing(verdict) == (set() if name == OPTIONAL_CHECK else {f"data.{name}"})
        assert all("missing from the data report" in failure.reason for failure in verdict.failures)


def test_more_rows_compared_than_there_are_test_songs_block_too():
    more = FAMILIES["test"] + 1
    family = {"parity.families.0.rows": more, "parity.families.0.batch_sizes": [1, 7, 64, more]}
    verdict = judge(edited(passing_reports(), family))
    assert failing(verdict) == {"parity.test.all_songs"}


@pytest.mark.parametrize("part", ["data_report.checks", "parity.families"])
def test_what_is_reported_twice_is_unclear(part):
    reports = passing_reports()
    report, name = part.split(".")
    first, *rest = reports[report][name]
    verdict = judge(edited(reports, {part: [first, *rest, first]}))
    assert failing(verdict) == {f"{report.removesuffix('_report')}.{first['name']}"}
    assert "once" in verdict.failures[0].reason


@pytest.mark.parametrize("index", range(len(FAMILIES)))
def test_a_required_family_that_is_missing_blocks(index):
    name = list(FAMILIES)[index]
    others = {"parity.test.all_songs"} if name == "test" else set()
    verdict = judge(removed(passing_reports(), ("parity", "families", index)))
    assert failing(verdict) == {f"parity.{name}", *others}


def test_a_family_that_the_policy_does_not_ask_for_counts_too():
    reports = passing_reports()
    extra = {**reports["parity"]["families"][1], "name": "noise"}
    assert judge(edited(reports, {"parity.families": [*reports["parity"]["families"], extra]})).passed
    extra["violations"] = 1
    verdict = judge(edited(reports, {"parity.families": [*reports["parity"]["families"], extra]}))
    assert failing(verdict) == {"parity.noise.violations"}


@pytest.mark.parametrize(
    ("key", "checks"),
    {
        "data_version": {"data_report.data_version"},
        "champion": {"champion.subject", "drift.subject"},
        "model.keras": {"evaluation.model", "parity.keras_model"},
        "model.onnx": {"parity.onnx_model"},
        "test.parquet": {"evaluation.test_data", "parity.test_data"},
    }.items(),
)
def test_reports_about_something_else_are_blocked(key, checks):
    for identity in ({**IDENTITY, key: OTHER_DIGEST}, removed(IDENTITY, (key,)), {**IDENTITY, key: ""}):
        assert failing(judge(passing_reports(), identity=identity)) == checks


def test_a_family_that_never_went_through_all_at_once_blocks():
    verdict = judge(edited(passing_reports(), {"parity.families.0.batch_sizes": [1, 7, 64]}))
    assert failing(verdict) == {"parity.test.batch_sizes_missing"}
    assert "128" in verdict.failures[0].reason
