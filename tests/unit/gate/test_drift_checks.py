"""Drift before the gate: measured in full, and what a champion's past excuses."""

import pytest
from mutations.drift import WORSE
from reports import (
    FEATURES,
    OTHER_DIGEST,
    edited,
    failing,
    judge,
    passing_reports,
    unmet,
)

from ml.core.canonical import digest

DRIFT = "data_report.drift"
MEASURED = f"{DRIFT}.measured"
NOTHING = digest(b"")
WORST = {f"{MEASURED}.{where}": blocks for where, _, blocks in WORSE.values()}
"""All measures at once beyond the bound that blocks: fewer songs, and more chart rows."""


def _check(verdict, name):
    (found,) = [check for check in verdict.checks if check.name == name]
    return found


def _drift(names):
    return {name for name in names if name.startswith("drift.")}


def _not_compared(reason, profile_digest=OTHER_DIGEST):
    edits = {
        f"{DRIFT}.not_compared": reason,
        f"{DRIFT}.profile_digest": profile_digest,
        MEASURED: None,
    }
    return judge(edited(passing_reports(), edits))


def test_without_a_champion_nothing_is_asked_of_drift():
    reports = passing_reports(champion="")
    assert reports["data_report"]["drift"] is None
    verdict = judge(reports)
    assert verdict.passed
    assert not _drift(check.name for check in verdict.checks)


def test_a_champion_without_a_profile_warns_aloud_and_passes():
    verdict = _not_compared("the champion has no profile of its training data", NOTHING)
    assert verdict.passed
    (warning,) = verdict.warnings
    assert (warning.name, warning.reason) == (
        "drift.compared",
        "the champion has no profile of its training data",
    )


def test_a_profile_that_cannot_be_read_blocks():
    verdict = _not_compared("the champion's profile cannot be read: it is cut off")
    assert failing(verdict) == {"drift.compared"}
    assert verdict.failures[0].reason == "the champion's profile cannot be read: it is cut off"
    assert verdict.failures[0].value == "not compared"
    assert _check(judge(passing_reports()), "drift.compared").value == "readable"


def _between(trained_on_synthetic, synthetic, edits):
    origin = {f"{MEASURED}.trained_on_synthetic": trained_on_synthetic, "data_report.synthetic": synthetic}
    return judge(edited(passing_reports(), {**origin, **edits}))


def test_real_data_after_a_synthetic_champion_only_warns_of_everything():
    verdict = _between(True, False, WORST)
    assert verdict.passed
    warned = {f"drift.{name}{level}" for name in WORSE for level in ("", ".early")}
    assert unmet(verdict) == {check.name for check in verdict.warnings} == warned
    same_kind = _between(False, False, WORST)
    assert failing(same_kind) == {f"drift.{name}" for name in WORSE}


def test_a_synthetic_champion_does_not_excuse_what_is_not_a_measure():
    lacking = {name: {"psi": 0.0625, "ks": 0.03125} for name in FEATURES[1:]}
    verdict = _between(True, False, {f"{MEASURED}.features": lacking})
    assert failing(verdict) == {"drift.features"}
    assert _check(verdict, "drift.features").reason == f"not compared: {FEATURES[0]}"


def test_synthetic_data_after_a_real_champion_blocks_however_alike():
    verdict = _between(False, True, {})
    assert failing(verdict) == {"drift.synthetic"}
    assert "synthetic" in verdict.failures[0].reason


@pytest.mark.parametrize(("measure", "label"), [("psi", "PSI"), ("ks", "KS")])
@pytest.mark.parametrize("feature", ["energy", "tempo", "is_explicit"])
def test_the_worst_feature_is_named(feature, measure, label):
    edits = {f"{MEASURED}.features.{feature}.{measure}": 0.5, f"{MEASURED}.features.key.{measure}": 0.3}
    verdict = judge(edited(passing_reports(), edits))
    assert failing(verdict) == {f"drift.{measure}"}
    assert verdict.failures[0].reason == f"{feature} has {label} 0.5"


def test_of_two_features_that_are_as_bad_the_last_by_name_is_named():
    edits = {f"{MEASURED}.features.{feature}.psi": 0.5 for feature in ("tempo", "energy", "key")}
    (failure,) = judge(edited(passing_reports(), edits)).failures
    assert failure.reason == "tempo has PSI 0.5"


@pytest.mark.parametrize(("known", "share"), [(0, 0.0), (1, 1.0), (2, 0.5)])
def test_shares_are_of_the_known_songs_or_of_none(known, share):
    edits = {"known_songs": known, "changed_songs": min(known, 1), "moved_songs": min(known, 1)}
    verdict = judge(edited(passing_reports(), {f"{MEASURED}.{key}": value for key, value in edits.items()}))
    assert _check(verdict, "drift.changed_songs").value == share
    assert _check(verdict, "drift.moved_songs").value == share


@pytest.mark.parametrize(("known", "share"), [(4000, 1.0), (200, 0.05), (199, 0.04975)])
def test_of_large_tables_only_the_songs_that_profiles_keep_can_be_known(known, share):
    edits = {"before.songs": 100_000, "after.songs": 100_000, "known_songs": known}
    edits |= {"changed_songs": 0, "moved_songs": 0}
    verdict = judge(edited(passing_reports(), {f"{MEASURED}.{key}": value for key, value in edits.items()}))
    found = _check(verdict, "drift.known_songs")
    assert found.value == share
    assert found.passed == (share >= 0.05)


def test_one_song_in_one_chart_is_a_volume():
    one = {"songs": 1, "rows": 1, "days": 1}
    edits = {f"{MEASURED}.{when}": one for when in ("before", "after")}
    known = {f"{MEASURED}.{key}": 0 for key in ("known_songs", "changed_songs", "moved_songs")}
    assert _check(judge(edited(passing_reports(), {**edits, **known})), "drift.volume").value == 1


def test_fewer_twins_than_before_are_no_drift():
    edits = {f"{MEASURED}.twins_before": 0.5, f"{MEASURED}.twins_after": 0.25}
    assert _check(judge(edited(passing_reports(), edits)), "drift.twins").value == 0


@pytest.mark.parametrize(
    ("edits", "name", "reason"),
    [
        (
            {"lost_countries": list("ABCDEF"), "lost_share": 0.0625},
            "drift.lost_countries",
            "gone are A, B, C, D, E, with 6.2% of the champion's chart rows",
        ),
        (
            {"lost_countries": ["IS", "NO"], "lost_share": 0.0625},
            "drift.lost_countries",
            "gone are IS, NO, with 6.2% of the champion's chart rows",
        ),
        (
            {"correlation_change": 0.5},
            "drift.correlation",
            "energy and loudness go together differently, by 0.5",
        ),
        (
            {"changed_songs": 64},
            "drift.changed_songs",
            "of 256 songs that were there before, 64 have other features now",
        ),
        (
            {"after": {"songs": 550, "rows": 5000, "days": 7}},
            "drift.volume",
            "5000 chart rows of 550 songs, before 20000 of 500",
        ),
    ],
)
def test_the_reason_says_what_is_different(edits, name, reason):
    changed = edited(passing_reports(), {f"{MEASURED}.{where}": value for where, value in edits.items()})
    verdict = judge(changed)
    assert failing(verdict) == {name}
    assert verdict.failures[0].reason == reason


def test_a_measure_between_its_bounds_warns_and_passes():
    for name, (where, warns, _) in WORSE.items():
        verdict = judge(edited(passing_reports(), {f"{MEASURED}.{where}": warns}))
        assert verdict.passed
        assert unmet(verdict) == {f"drift.{name}.early"}


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        ({"before.songs": 0, "known_songs": 0}, "greater than or equal to 1"),
        ({"after.rows": 0}, "greater than or equal to 1"),
        ({"features": {}}, "at least 1 item"),
    ],
)
def test_numbers_that_cannot_be_are_malformed(edits, problem):
    changed = edited(passing_reports(), {f"{MEASURED}.{where}": value for where, value in edits.items()})
    verdict = judge(changed)
    assert "data_report" in failing(verdict)
    assert problem in _check(verdict, "data_report").reason


@pytest.mark.parametrize("both", [True, False])
def test_a_comparison_has_either_numbers_or_a_reason_why_there_are_none(both):
    edits = {f"{DRIFT}.not_compared": "lost"} if both else {MEASURED: None}
    verdict = judge(edited(passing_reports(), edits))
    assert "either numbers or the reason" in _check(verdict, "data_report").reason
