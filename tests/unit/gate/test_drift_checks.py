"""Drift before the gate: measured in full, and what a champion's past excuses."""

import pytest
from mutations import DRIFT, MEASURED, WORSE
from reports import FEATURES, OTHER_DIGEST, changed, check_of, failing, judge, passing_reports, unmet

from ml.core.canonical import digest

NOTHING = digest(b"")
WORST = {where: blocks for where, _, blocks in WORSE.values()}
"""All measures at once beyond the bound that blocks: fewer examples, and more rows."""


def drifted(edits, **more):
    """Decide on another measured drift; more is other values of the data report."""
    measured = {f"{MEASURED}.{where}": value for where, value in edits.items()}
    return changed({**measured, **{f"data_report.{key}": value for key, value in more.items()}})


def test_without_a_champion_nothing_is_asked_of_drift():
    verdict = judge(passing_reports(champion=""))
    assert verdict.passed
    assert not [check for check in verdict.checks if check.name.startswith("drift.")]


@pytest.mark.parametrize(("profile", "passes"), {NOTHING: True, OTHER_DIGEST: False}.items())
def test_a_champion_without_a_profile_warns_and_one_whose_profile_cannot_be_read_blocks(profile, passes):
    edits = {f"{DRIFT}.not_compared": "it is cut off", f"{DRIFT}.profile_digest": profile, MEASURED: None}
    verdict = changed(edits)
    assert verdict.passed == passes
    (check,) = verdict.warnings if passes else verdict.failures
    assert (check.name, check.value, check.reason) == ("drift.compared", "not compared", "it is cut off")


def test_real_data_after_a_synthetic_champion_only_warns_of_everything():
    verdict = drifted({**WORST, "trained_on_synthetic": True}, synthetic=False)
    assert verdict.passed
    assert unmet(verdict) == {f"drift.{name}{level}" for name in WORSE for level in ("", ".early")}
    for synthetic in (True, False):
        same_kind = drifted({**WORST, "trained_on_synthetic": synthetic}, synthetic=synthetic)
        assert failing(same_kind) == {f"drift.{name}" for name in WORSE}


def test_a_synthetic_champion_does_not_excuse_what_is_not_a_measure():
    lacking = {name: {"psi": 0.0625, "ks": 0.03125} for name in FEATURES[1:]}
    (failure,) = drifted({"features": lacking}, synthetic=False).failures
    assert (failure.name, failure.reason) == ("drift.features", f"not compared: {FEATURES[0]}")


@pytest.mark.parametrize(("measure", "label"), [("psi", "PSI"), ("ks", "KS")])
@pytest.mark.parametrize(
    ("values", "worst"),
    [({1: 0.5, 3: 0.3}, 1), ({3: 0.5, 1: 0.3}, 3), (dict.fromkeys((5, 4, 3), 0.5), 5)],
    ids=["first", "second", "the last by name of equals"],
)
def test_the_worst_feature_is_named(measure, label, values, worst):
    names = sorted(FEATURES)
    edits = {f"features.{names[index]}.{measure}": value for index, value in values.items()}
    (failure,) = drifted(edits).failures
    assert (failure.name, failure.reason) == (f"drift.{measure}", f"{names[worst]} has {label} 0.5")


@pytest.mark.parametrize(("known", "share"), [(0, 0.0), (1, 1.0), (2, 0.5)])
def test_shares_are_of_the_known_examples_or_of_none(known, share):
    edits = {"known_examples": known, "changed_examples": min(known, 1), "moved_examples": min(known, 1)}
    verdict = drifted(edits)
    assert check_of(verdict, "drift.changed_examples").value == share
    assert check_of(verdict, "drift.moved_examples").value == share


@pytest.mark.parametrize(("known", "share"), [(4000, 1.0), (200, 0.05), (199, 0.04975)])
def test_of_large_tables_only_the_examples_that_profiles_keep_can_be_known(known, share):
    edits = {"before.examples": 100_000, "after.examples": 100_000, "known_examples": known}
    found = check_of(drifted({**edits, "changed_examples": 0, "moved_examples": 0}), "drift.known_examples")
    assert (found.value, found.passed) == (share, share >= 0.05)


def test_one_example_of_one_row_is_a_volume():
    edits = {when: {"examples": 1, "rows": 1} for when in ("before", "after")}
    known = dict.fromkeys(("known_examples", "changed_examples", "moved_examples"), 0)
    assert check_of(drifted({**edits, **known}), "drift.volume").value == 1


@pytest.mark.parametrize(("before", "after", "value"), [(0.5, 0.25, 0), (0.25, 0.5, 0.25)])
def test_fewer_twins_than_before_are_no_drift(before, after, value):
    assert check_of(drifted({"twins_before": before, "twins_after": after}), "drift.twins").value == value


@pytest.mark.parametrize(
    ("name", "reason", "edits"),
    [
        (
            "lost_classes",
            "gone are A, B, C, D, E, with 6.2%",
            {"lost_classes": [*"ABCDEF"], "lost_share": 0.0625},
        ),
        ("volume", "5000 views of 550 images, before 20000 of 500", {"after.rows": 5000}),
    ],
)
def test_the_reason_says_what_is_different(name, reason, edits):
    (failure,) = drifted(edits).failures
    assert failure.name == f"drift.{name}"
    assert failure.reason.startswith(reason)


@pytest.mark.parametrize("edits", [{"before.examples": 0}, {"after.rows": 0}, {"features": {}}], ids=str)
def test_numbers_that_cannot_be_are_malformed(edits):
    assert failing(drifted(edits)) == {"data_report"}


@pytest.mark.parametrize("edits", [{f"{DRIFT}.not_compared": "lost"}, {MEASURED: None}], ids=str)
def test_a_comparison_has_either_numbers_or_a_reason_why_there_are_none(edits):
    assert "either numbers or the reason" in check_of(changed(edits), "data_report").reason
