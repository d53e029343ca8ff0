"""Beside the champion: compared in full, and not worse by the margin."""

import pytest
from mutations import SHARED
from reports import (
    MARGINS,
    POINTS,
    changed,
    check_of,
    failing,
    judge,
    passing_reports,
    policy_with,
    standing,
    unmet,
)

WORSE = {f"{SHARED}.log_loss": standing(4.0, 4.2, -1)}
NO_MARGIN = {"champion.margin_log_loss_nats": 0.0}


def names(verdict):
    return [check.name for check in verdict.checks if check.name.startswith("champion.")]


def test_without_a_champion_the_gate_judges_the_model_alone():
    verdict = judge(passing_reports(champion=""))
    assert verdict.passed
    assert names(verdict) == []
    assert len(names(judge(passing_reports()))) == 11


def test_a_champion_that_is_not_comparable_blocks_with_the_reason():
    (failure,) = changed({"evaluation.champion.incomparable": "it does not load", SHARED: None}).failures
    found = (failure.name, failure.value, failure.reason)
    assert found == ("champion.comparable", "incomparable", "it does not load")


IMPOSSIBLE = [
    {"evaluation.champion.incomparable": "and yet it was compared"},
    {SHARED: None},
    *({f"{SHARED}.{key}": value} for key, value in (("shared_labels", 1), ("features", 0))),
    *({f"{SHARED}.alpha": alpha} for alpha in (0.0, 0.5)),
    *({"evaluation.champion.champion": name} for name in ("", "the production model")),
]


@pytest.mark.parametrize("edits", IMPOSSIBLE, ids=str)
def test_a_comparison_that_cannot_be_one_is_malformed(edits):
    assert failing(changed(edits)) == {"evaluation"}


def test_two_classes_are_enough_to_compare_on():
    labels = ("champion_labels", "challenger_labels", "shared_labels")
    assert changed({f"{SHARED}.{name}": 2 for name in labels}).passed


@pytest.mark.parametrize("name", MARGINS)
def test_a_model_may_be_worse_by_less_than_the_margin_if_that_is_shown(name):
    champion, sign = POINTS[name][0], -1 if name == "log_loss" else 1
    bound = MARGINS[name] - 3 * 2**-7
    for loss, failures in ((bound - 2**-12, set()), (bound + 2**-12, {f"champion.{name}.not_worse"})):
        assert (
            failing(changed({f"{SHARED}.{name}": standing(champion, champion - sign * loss, sign)}))
            == failures
        )


def test_being_better_in_two_metrics_does_not_make_up_for_the_third():
    better = {f"{SHARED}.log_loss": standing(4.5, 4.0, -1), f"{SHARED}.top5_mass": standing(0.1, 0.3)}
    assert changed(better).passed
    worse = changed({**better, f"{SHARED}.hit_at_5": standing(0.9375, 0.8)})
    assert failing(worse) == {"champion.hit_at_5.not_worse"}


def test_a_test_set_too_small_for_the_margin_is_warned_of_with_the_size_that_it_takes():
    # 0.05 nats are (1.960 + 1.501) standard errors of 0.014447; at twice that, four times the examples.
    verdict = changed({f"{SHARED}.log_loss": standing(4.5, 4.0, -1, 2 * 0.014447)})
    assert verdict.passed
    assert unmet(verdict) == {"champion.log_loss.power"}
    (warning,) = verdict.warnings
    assert warning.value == pytest.approx(3.4611 * 2 * 0.014447, rel=1e-4)
    assert warning.bound == 0.05
    assert "takes 500 or so" in warning.reason


def test_a_margin_of_nothing_and_enormous_errors_are_decided_without_raising():
    found = check_of(judge(passing_reports(), policy_with(NO_MARGIN)), "champion.log_loss.power")
    assert found.reason.endswith("no number of images tells a margin of 0")
    huge = {f"{SHARED}.log_loss.difference.standard_error": 1e12}
    assert "champion.log_loss.power" in unmet(changed(huge, policy_with(dict.fromkeys(NO_MARGIN, 1e-300))))


@pytest.mark.parametrize("what", ["rows", "examples"])
def test_a_share_is_one_of_all_or_of_none(what):
    for count in (0, 1):
        verdict = changed({f"{SHARED}.{what}": count, f"{SHARED}.{what}_left_out": 0})
        assert check_of(verdict, f"champion.shared_{what}").value == count


def test_on_a_snapshot_the_comparison_only_warns():
    assert failing(changed(WORSE)) == {"champion.log_loss.not_worse"}
    verdict = changed({**WORSE, "data_report.tables": "snapshot"})
    assert verdict.passed
    assert "champion.log_loss.not_worse" in unmet(verdict)
    assert failing(changed({**WORSE, "data_report": None})) == {"data_report", "champion.log_loss.not_worse"}
