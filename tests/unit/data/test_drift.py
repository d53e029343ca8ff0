"""Drift between two profiles: the indices against their definitions, and what the gate does with them."""

import json

import numpy as np
import pytest
from scipy.stats import ks_2samp
from tables import charts, sample_tables, songs_of, write_source, write_tables
from tiers import sampled

from ml.core.canonical import digest
from ml.core.errors import DataError
from ml.problems.songs.checks import ContractBounds
from ml.data.contract import validate
from ml.data.drift import BINS, feature_drift, measure_drift
from ml.data.profile import QUANTILES, make_profile
from ml.gate.subjects.data import DataReport

STEP = 1 / QUANTILES
CHAMPION = "c" * 64


def _quantiles(values):
    return np.quantile(values, np.linspace(0, 1, QUANTILES))


def _psi_of_raw(before, after):
    """The index by numpy's histogram over the deciles of the raw values."""
    inner = np.quantile(before, np.arange(1, BINS) / BINS)
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    b, a = (np.histogram(values, edges)[0] / len(values) for values in (before, after))
    return ((a - b) * np.log(a / b)).sum()


def _profile(rankings, songs):
    return make_profile(rankings, songs.astype({"is_explicit": float}), "0123456789abcdef", synthetic=True)


def test_the_index_of_a_truth_value_is_that_of_a_hand_computation():
    # One half before, a fifth after: (0.8 - 0.5) ln(0.8 / 0.5) + (0.2 - 0.5) ln(0.2 / 0.5) = 0.415888
    before, after = (_quantiles(np.repeat([0.0, 1.0], counts)) for counts in ((500, 500), (800, 200)))
    assert feature_drift(before, after).psi == pytest.approx(0.415888, abs=0.015)
    assert feature_drift(before, after).ks == pytest.approx(0.3, abs=STEP)


@pytest.mark.parametrize("flip", [False, True])
def test_a_value_of_nearly_all_songs_has_a_bin_of_its_own_at_either_end(flip):
    before, after = (np.repeat([0.0, 1.0], counts) for counts in ((960, 40), (600, 400)))
    found = feature_drift(*(_quantiles(1 - values if flip else values) for values in (before, after)))
    # (0.6 - 0.96) ln(0.6 / 0.96) + (0.4 - 0.04) ln(0.4 / 0.04) = 0.998
    assert found.psi == pytest.approx(0.998, abs=0.05)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.2, 1.0), (0.0, 1.3), (0.5, 0.8), (-1.0, 1.0)])
def test_the_indices_are_those_of_the_raw_values_within_the_step_of_the_quantiles(shift, scale):
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=4000), rng.normal(shift, scale, 3000)
    found = feature_drift(_quantiles(before), _quantiles(after))
    assert found.ks == pytest.approx(ks_2samp(before, after).statistic, abs=2 * STEP)
    raw = _psi_of_raw(before, after)
    assert found.psi == pytest.approx(raw, rel=0.1, abs=0.005)


def test_a_profile_beside_itself_has_not_drifted():
    profile = _profile(*sample_tables())
    found = measure_drift(profile, profile)
    assert {(drift.psi, drift.ks) for drift in found.features.values()} == {(0.0, 0.0)}
    assert (found.country_shift, found.correlation_change, found.lost_share) == (0, 0, 0)
    assert (found.changed_songs, found.moved_songs) == (0, 0)
    assert found.known_songs == len(profile.known) > 0


def test_each_number_is_that_of_two_small_tables_counted_by_hand():
    before = _profile(
        charts([("a", "SE", 3), ("b", "SE", 1), ("b", "NO", 2), ("c", "IS", 2)]), songs_of(["a", "b", "c"])
    )
    songs = songs_of(["a", "b", "d"])
    songs.loc[0, "tempo"] += 1
    after = _profile(charts([("a", "SE", 4), ("b", "SE", 2), ("b", "NO", 1), ("d", "DK", 1)]), songs)
    found = measure_drift(before, after)
    assert (found.before.songs, found.before.rows, found.before.days) == (3, 8, 3)
    assert (found.after.songs, found.after.rows, found.after.days) == (3, 8, 4)
    # Shares in eighths, before and after: DK 0 1, IS 2 0, NO 2 1, SE 4 6.
    assert found.country_shift == pytest.approx((1 + 2 + 1 + 2) / 8 / 2)
    assert (found.lost_countries, found.new_countries, found.lost_share) == (("IS",), ("DK",), 0.25)
    # Of a and b, which return, a has another tempo, and b is in SE's charts now.
    assert (found.known_songs, found.changed_songs, found.moved_songs) == (2, 1, 1)


@pytest.fixture
def check(tmp_path):
    """Run `validate` beside a champion's profile, and give report, profile, and what it said."""

    def run(profile: bytes, champion: str = CHAMPION, change=None):
        rankings, songs = sample_tables()
        if change:
            rankings, songs = change(rankings, songs)
        champion_profile, report, ours = (tmp_path / name for name in ("champion.json", "r.json", "p.json"))
        champion_profile.write_bytes(profile)
        files = write_tables(tmp_path, rankings, songs)
        source = write_source(tmp_path)
        try:
            said = validate(*files, source, champion_profile, champion, report, ours, ContractBounds())
        except DataError as error:
            said = str(error)
        return DataReport.load(json.loads(report.read_bytes())), ours.read_bytes(), said

    return run


def test_without_a_champion_nothing_is_compared_and_a_profile_is_written(check):
    report, profile, said = check(b"", champion="")
    assert report.drift is None
    assert json.loads(profile)["schema"] == "jukebox.profile/v1"
    assert "drift" not in said


def test_tables_beside_their_own_profile_are_compared_and_the_worst_feature_is_said(check):
    _, profile, _ = check(b"", champion="")
    report, again, said = check(profile)
    assert again == profile
    assert (report.drift.champion, report.drift.profile_digest) == (CHAMPION, digest(profile))
    assert report.drift.measured.known_songs == len(json.loads(profile)["known"])
    assert "drift at most 0.000 (PSI of " in said


def test_drift_never_fails_the_validation(check):
    _, profile, _ = check(b"", champion="")
    report, _, said = check(profile, change=lambda r, s: (r, s.assign(duration_ms=s["duration_ms"] * 40)))
    assert report.drift.measured.features["duration_ms"].psi > 1
    assert "checks passed" in said
    assert said.endswith("(PSI of duration_ms)")


def _other(profile: bytes, **changes) -> bytes:
    return json.dumps({**json.loads(profile), **changes}).encode()


def _features(profile: bytes, **changes) -> bytes:
    return _other(profile, quantiles={**json.loads(profile)["quantiles"], **changes})


@pytest.mark.parametrize(
    ("broken", "reason"),
    sampled(
        [
            (lambda profile: b"{", "Expecting property name"),
            (lambda profile: b"\xff", "invalid start byte"),
            (lambda profile: b"[]", "object"),
            (lambda profile: profile[:-40], "Unterminated string"),
            (lambda profile: _other(profile, schema="jukebox.profile/v9"), "jukebox.profile/v1"),
            (lambda profile: _other(profile, songs=0), "greater than or equal to 1"),
            (lambda profile: _other(profile, songs=9), "not as many songs are known"),
            (lambda profile: _other(profile, correlations=[0.0]), "not the correlations of 13 features"),
            (lambda profile: _other(profile, correlations=[2.0] * 78), "not the correlations of 13 features"),
            (lambda profile: _other(profile, quantiles={}), "not the correlations of 0 features"),
            (lambda profile: _other(profile, quantiles={}, correlations=[]), "it is of other features"),
            (lambda profile: _features(profile, tempo=[]), "tempo does not have 201 quantiles in order"),
            (
                lambda profile: _features(profile, tempo=[*range(201)][::-1]),
                "tempo does not have 201 quantiles",
            ),
            (lambda profile: _other(profile, rows=1), "the countries' rows are not all rows"),
        ],
        every=3,
    ),
)
def test_a_profile_that_cannot_be_compared_is_said_and_fails_nothing(check, broken, reason):
    _, profile, _ = check(b"", champion="")
    report, ours, said = check(broken(profile))
    assert report.drift.measured is None
    assert report.drift.not_compared.startswith("the champion's profile cannot be read: ")
    assert reason in report.drift.not_compared
    assert report.drift.profile_digest == digest(broken(profile))
    assert said.endswith(report.drift.not_compared)
    assert ours == profile


def test_a_champion_without_a_profile_is_said_and_fails_nothing(check):
    report, _, said = check(b"")
    assert report.drift.not_compared == "the champion has no profile of its training data"
    assert report.drift.profile_digest == digest(b"")
    assert said.endswith("; the champion has no profile of its training data")


def test_tables_that_break_the_contract_leave_an_empty_profile_and_no_comparison(check):
    _, profile, _ = check(b"", champion="")
    report, ours, said = check(profile, change=lambda r, s: (r, s.assign(energy=s["energy"] * -1)))
    assert said.startswith("the data contract is broken: songs.features_in_range")
    assert ours == b""
    assert report.drift.not_compared.startswith("this run's tables have no profile")
