"""The verdict: good reports pass, and whatever breaks one check is blocked by just that check."""

import pytest
from mutations import MUTATIONS
from reports import (
    BAD_REQUESTS,
    DATA_CHECKS,
    OPTIONAL_CHECK,
    at,
    edited,
    failing,
    judge,
    passing_reports,
    removed,
    unmet,
)


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


def test_a_contract_that_was_loosened_is_held_against_the_policy():
    parts = {part["name"]: index for index, part in enumerate(passing_reports()["data_report"]["checks"])}
    for name, value, bound in (("rankings.rows", 999.0, 0.0), ("songs.unique", 1.0, 1e9)):
        at_check = f"data_report.checks.{parts[name]}"
        verdict = judge(edited(passing_reports(), {f"{at_check}.value": value, f"{at_check}.bound": bound}))
        assert failing(verdict) == {f"data.{name}"}


def test_a_broken_data_check_gives_its_example_as_the_reason():
    (failure,) = judge(edited(passing_reports(), MUTATIONS["data.songs.unique"].edits)).failures
    assert failure.reason == "e.g. song 4uLU6h"


def test_a_required_data_check_that_is_missing_blocks_and_another_may_be():
    for index, name in enumerate(DATA_CHECKS):
        verdict = judge(removed(passing_reports(), ("data_report", "checks", index)))
        assert failing(verdict) == (set() if name == OPTIONAL_CHECK else {f"data.{name}"})
        for failure in verdict.failures:
            assert (failure.value, failure.reason) == ("unclear", "the check is missing from the data report")


@pytest.mark.parametrize(
    ("part", "check", "reason"),
    [
        ("data_report.checks", "data.{name}", "the check is more than once in the data report"),
        ("parity.runtimes", "parity.{name}", "the runtime was not measured exactly once"),
        ("parity.runtimes.0.families", "parity.served.{name}", "the family was not compared exactly once"),
        (
            "parity.runtimes.1.families",
            "parity.onnxruntime.{name}",
            "the family was not compared exactly once",
        ),
        (
            "parity.runtimes.2.families",
            "parity.openvino",
            "not compared in it exactly once, in each size of batch: test",
        ),
        ("serving.bad_requests", "serving.refuses.{name}", "the bad request was not made exactly once"),
        ("serving.batches", "serving.batches_of_{size}", "the size was not asked for exactly once"),
    ],
)
def test_what_is_reported_twice_is_unclear(part, check, reason):
    reports = passing_reports()
    first, *rest = at(reports, tuple(int(key) if key.isdigit() else key for key in part.split(".")))
    verdict = judge(edited(reports, {part: [first, *rest, first]}))
    assert failing(verdict) == {check.format(**first)}
    (failure,) = verdict.failures
    assert (failure.value, failure.reason) == ("unclear", reason)


@pytest.mark.parametrize(
    ("part", "broken"),
    {
        "data_report.checks": "data.songs.broken",
        "parity.runtimes": "parity.onnxruntime.layouts",
        "parity.runtimes.0.families": "parity.served.zeros.nonfinite",
        "serving.bad_requests": "serving.refuses.huge",
        "serving.batches": "serving.batches_of_128.violations",
    }.items(),
)
def test_what_comes_after_what_is_unclear_is_judged_as_well(part, broken):
    reports = edited(passing_reports(), MUTATIONS[broken].edits)
    first, *rest = at(reports, tuple(int(key) if key.isdigit() else key for key in part.split(".")))
    found = failing(judge(edited(reports, {part: [first, *rest, first]})))
    assert broken in found
    assert len(found) == 2


def test_a_policy_that_cannot_be_read_blocks_and_says_why():
    (failure,) = judge(passing_reports(), "").failures
    assert (failure.name, failure.value) == ("policy", "unreadable")
    assert failure.reason == "the policy is empty"


def test_a_malformed_report_is_said_to_be():
    (failure,) = judge(edited(passing_reports(), {"serving.processes_left": "none"})).failures
    assert (failure.name, failure.value) == ("serving", "malformed")
    assert failure.reason.startswith("serving.processes_left: ")


@pytest.mark.parametrize("report", ["parity", "serving"])
def test_all_that_is_wrong_with_an_interface_is_told(report):
    edits = {f"{report}.interface_problems": ["input x is float64", "no output y"]}
    (failure,) = judge(edited(passing_reports(), edits)).failures
    assert (failure.name, failure.value) == (f"{report}.interface", 2)
    assert failure.reason == "input x is float64; no output y"


@pytest.mark.parametrize("index", range(len(BAD_REQUESTS)))
def test_a_required_bad_request_that_was_not_made_blocks(index):
    verdict = judge(removed(passing_reports(), ("serving", "bad_requests", index)))
    assert failing(verdict) == {f"serving.refuses.{list(BAD_REQUESTS)[index]}"}


@pytest.mark.parametrize("status", [0, 200, 302, 399, 500, 503])
def test_what_is_no_refusal_by_the_protocol_blocks(status):
    name = "serving.refuses.nan"
    index = list(BAD_REQUESTS).index("nan")
    verdict = judge(edited(passing_reports(), {f"serving.bad_requests.{index}.status": status}))
    assert failing(verdict) == {name}
    assert f"answered {status or 'nothing'} to it" in verdict.failures[0].reason


def test_a_bad_request_and_a_batch_size_that_the_policy_does_not_ask_for_count_too():
    reports = passing_reports()
    bad = [*reports["serving"]["bad_requests"], {"name": "rude", "status": 200}]
    assert failing(judge(edited(reports, {"serving.bad_requests": bad}))) == {"serving.refuses.rude"}
    batch = {**reports["serving"]["batches"][0], "size": 3, "rows": 300, "violations": 1}
    batches = [*reports["serving"]["batches"], batch]
    assert failing(judge(edited(reports, {"serving.batches": batches}))) == {
        "serving.batches_of_3.violations"
    }


def test_a_server_that_was_never_asked_about_all_songs_at_once_blocks():
    verdict = judge(removed(passing_reports(), ("serving", "batches", 3)))
    assert failing(verdict) == {"serving.batch_sizes_missing"}
    assert "128" in verdict.failures[0].reason
