"""Beside the champion: compared in full, and not worse by the margin."""

import json

import pytest
from reports import (
    MARGINS,
    POINTS,
    POLICY,
    edited,
    failing,
    judge,
    passing_reports,
    standing,
    unmet,
)

from ml.gate.subjects.champion import Comparison
from ml.gate.waivers import WAIVABLE

SHARED = "evaluation.champion.shared"
ALONE = passing_reports(champion="")


def check(verdict, name):
    (found,) = [check for check in verdict.checks if check.name == name]
    return found


def test_without_a_champion_the_gate_judges_the_model_alone():
    verdict = judge(ALONE)
    assert verdict.passed
    assert not [check for check in verdict.checks if check.name.startswith("champion.")]


def test_a_champion_that_is_not_comparable_blocks_with_the_reason():
    edits = {"evaluation.champion.incomparable": "its model does not load: no graph", SHARED: None}
    (failure,) = judge(edited(passing_reports(), edits)).failures
    assert (failure.name, failure.value) == ("champion.comparable", "incomparable")
    assert failure.reason == "its model does not load: no graph"


@pytest.mark.parametrize(
    "edits",
    [
        {"evaluation.champion.incomparable": "and yet it was compared"},
        {SHARED: None},
        {f"{SHARED}.shared_labels": 5},
        {f"{SHARED}.features": 0},
        {f"{SHARED}.alpha": 0.5},
        {f"{SHARED}.alpha": 0.0},
        {"evaluation.champion.champion": ""},
        {"evaluation.champion.champion": "the production model"},
    ],
    ids=str,
)
def test_a_comparison_that_cannot_be_one_is_malformed(edits):
    assert failing(judge(edited(passing_reports(), edits))) == {"evaluation"}


@pytest.mark.parametrize("name", MARGINS)
def test_a_model_may_be_worse_by_less_than_the_margin_if_that_is_shown(name):
    champion = POINTS[name][0]
    sign = -1 if name == "log_loss" else 1
    bound = MARGINS[name] - 3 * 2**-7
    for loss, failures in ((bound - 2**-12, set()), (bound + 2**-12, {f"champion.{name}.not_worse"})):
        worse = standing(champion, champion - sign * loss, sign)
        verdict = judge(edited(passing_reports(), {f"{SHARED}.{name}": worse}))
        assert failing(verdict) == failures


def test_being_better_in_two_metrics_does_not_make_up_for_the_third():
    edits = {f"{SHARED}.log_loss": standing(4.5, 4.0, -1), f"{SHARED}.top5_mass": standing(0.1, 0.3)}
    reports = edited(passing_reports(), edits)
    assert judge(reports).passed
    worse = edited(reports, {f"{SHARED}.hit_at_5": standing(0.9375, 0.8)})
    assert failing(judge(worse)) == {"champion.hit_at_5.not_worse"}


def test_a_test_set_too_small_for_the_margin_is_warned_of_with_the_size_that_it_takes():
    # 0.05 nats are (1.960 + 1.501) standard errors of 0.014447; at twice that, four times the songs.
    edits = {f"{SHARED}.log_loss": standing(4.5, 4.0, -1, 2 * 0.014447)}
    verdict = judge(edited(passing_reports(), edits))
    assert verdict.passed
    assert unmet(verdict) == {"champion.log_loss.power"}
    (warning,) = verdict.warnings
    assert warning.value == pytest.approx(3.4611 * 2 * 0.014447, rel=1e-4)
    assert warning.bound == 0.05
    assert "takes 500 or so" in warning.reason


def test_a_margin_of_nothing_and_enormous_errors_are_decided_without_raising():
    strict = json.dumps(edited(json.loads(POLICY), {"champion.margin_log_loss_nats": 0.0}))
    assert "champion.log_loss.power" in unmet(judge(passing_reports(), strict))
    tiny = json.dumps(edited(json.loads(POLICY), {"champion.margin_log_loss_nats": 1e-300}))
    huge = edited(passing_reports(), {f"{SHARED}.log_loss.difference.standard_error": 1e12})
    assert "champion.log_loss.power" in unmet(judge(huge, tiny))


def test_bounds_made_more_strictly_than_the_policy_asks_are_good_enough():
    assert judge(edited(passing_reports(), {f"{SHARED}.alpha": 0.025})).passed


@pytest.mark.parametrize(("rows", "share"), [(0, 0.0), (1, 1.0)])
def test_the_share_of_rows_is_one_of_all_rows_or_of_none(rows, share):
    edits = {f"{SHARED}.rows": rows, f"{SHARED}.rows_left_out": 0}
    assert check(judge(edited(passing_reports(), edits)), "champion.shared_rows").value == share


def test_a_margin_of_nothing_is_said_to_be_beyond_any_number_of_songs():
    policy = json.dumps(edited(json.loads(POLICY), {"champion.margin_log_loss_nats": 0.0}))
    found = check(judge(passing_reports(), policy), "champion.log_loss.power")
    assert found.reason.endswith("no number of songs tells a margin of 0")


def test_only_what_was_measured_and_found_worse_can_be_waived():
    checks = [check.name for check in judge(passing_reports()).checks if check.name.startswith("champion.")]
    assert {name for name in checks if name in WAIVABLE} == {f"champion.{name}.not_worse" for name in MARGINS}


def test_a_waived_non_inferiority_passes_until_its_last_day():
    edits = {f"{SHARED}.log_loss": standing(4.0, 4.1, -1)}
    waiver = {
        "check": "champion.log_loss.not_worse",
        "who": "the owner",
        "why": "new labels matter more",
        "until": "2026-11-25",
    }
    policy = json.dumps({**json.loads(POLICY), "waivers": [waiver]})
    verdict = judge(edited(passing_reports(), edits), policy)
    assert verdict.passed
    assert [found.name for found in verdict.waived] == ["champion.log_loss.not_worse"]


def test_the_comparison_reads_back_as_it_was_written():
    raw = passing_reports()["evaluation"]["champion"]
    assert Comparison.load(raw).to_json() == raw


def test_on_a_snapshot_the_comparison_only_warns():
    worse = {f"{SHARED}.log_loss": standing(4.0, 4.2, -1)}
    assert failing(judge(edited(passing_reports(), worse))) == {"champion.log_loss.not_worse"}
    verdict = judge(edited(passing_reports(), {**worse, "data_report.tables": "snapshot"}))
    assert verdict.passed
    assert "champion.log_loss.not_worse" in unmet(verdict)
