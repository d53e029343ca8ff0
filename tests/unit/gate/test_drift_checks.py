"""Drift, decided: beside the right champion, with numbers, within bounds; or said why not."""

import pytest
from mutations import MUTATIONS
from mutations.drift import DRIFT, MEASURED, WORSE
from reports import CHAMPION, IDENTITY, edited, failing, judge, passing_reports, unmet

from ml.gate.canonical import digest

ALONE = passing_reports(champion="")
UNPROFILED = {
    f"{DRIFT}.not_compared": "the champion has no profile of its training data",
    f"{DRIFT}.profile_digest": digest(b""),
    MEASURED: None,
}


def test_without_a_champion_nothing_is_compared_and_nothing_missed():
    verdict = judge(ALONE, identity={**IDENTITY, "champion": ""})
    assert unmet(verdict) == set()
    assert [check.name for check in verdict.checks if check.name.startswith("drift.")] == ["drift.subject"]


def test_a_champion_without_a_profile_is_a_warning():
    verdict = judge(edited(passing_reports(), UNPROFILED))
    assert verdict.passed
    (warning,) = verdict.warnings
    assert (warning.name, warning.reason) == (
        "drift.compared",
        "the champion has no profile of its training data",
    )


def test_a_profile_that_is_there_and_was_not_compared_blocks():
    edits = {**UNPROFILED, f"{DRIFT}.profile_digest": digest(b"a profile")}
    assert failing(judge(edited(passing_reports(), edits))) == {"drift.compared"}


@pytest.mark.parametrize(
    ("drift", "champion"),
    [(None, CHAMPION), (passing_reports()["data_report"]["drift"], ""), (None, "f" * 64)],
    ids=["not compared", "compared with nobody", "another"],
)
def test_a_comparison_with_another_champion_than_the_runs_blocks(drift, champion):
    reports = edited(passing_reports(champion=champion), {"data_report.drift": drift})
    assert "drift.subject" in failing(judge(reports, identity={**IDENTITY, "champion": champion}))


@pytest.mark.parametrize("name", WORSE)
def test_beside_a_champion_of_synthetic_data_real_tables_only_warn(name):
    edits = {**MUTATIONS[f"drift.{name}"].edits, "data_report.synthetic": False}
    verdict = judge(edited(passing_reports(), edits))
    assert verdict.passed
    assert {check.name for check in verdict.warnings} == {f"drift.{name}", f"drift.{name}.early"}


@pytest.mark.parametrize("name", WORSE)
def test_beside_a_champion_of_real_data_real_tables_block(name):
    edits = {
        **MUTATIONS[f"drift.{name}"].edits,
        "data_report.synthetic": False,
        f"{MEASURED}.trained_on_synthetic": False,
    }
    assert f"drift.{name}" in {check.name for check in judge(edited(passing_reports(), edits)).failures}


def test_synthetic_data_never_follow_real_charts():
    verdict = judge(edited(passing_reports(), {f"{MEASURED}.trained_on_synthetic": False}))
    (failure,) = verdict.failures
    assert failure.reason == "the data is synthetic, and the champion was trained on real charts"


def test_the_worst_feature_is_named():
    (failure,) = judge(edited(passing_reports(), {f"{MEASURED}.features.tempo.psi": 0.5})).failures
    assert failure.reason == "tempo has PSI 0.5"


@pytest.mark.parametrize(
    "edits",
    [
        {f"{MEASURED}.changed_songs": 300},
        {f"{MEASURED}.known_songs": 501},
        {f"{MEASURED}.lost_countries": []},
        {f"{MEASURED}.lost_share": 0.0},
        {f"{MEASURED}.features": {}},
        {f"{MEASURED}.before.rows": 0},
        {MEASURED: None},
        {f"{DRIFT}.not_compared": "for a reason"},
    ],
    ids=str,
)
def test_numbers_that_do_not_hang_together_block(edits):
    assert failing(judge(edited(passing_reports(), edits))) == {"data_report"}
