"""Profiles and the drift between two: the formulas, and what a profile gives away."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, spearmanr
from tables import sample_tables, unopposed, write_source, write_tables

from ml.data.columns import FEATURES
from ml.data.contract import validate
from ml.data.drift import feature_drift, measure_drift
from ml.data.profile import KNOWN_SONGS, Profile, make_profile, pairs
from ml.data.sample_spec import SampleSpec
from ml.errors import DataError
from ml.files import read_json
from ml.gate.canonical import canonical_bytes

STEPS = np.linspace(0, 1, 201)


def profile(rankings, songs):
    numbers = songs.astype(dict.fromkeys(FEATURES, "float64"))
    return make_profile(rankings, numbers, "1", synthetic=True)


@pytest.fixture(scope="module")
def tables():
    return sample_tables()


def test_the_index_is_the_sum_over_the_champions_deciles():
    rng = np.random.default_rng(1)
    before, after = rng.normal(size=200_000), rng.normal(0.5, 1.2, size=200_000)
    edges = np.quantile(before, np.arange(1, 10) / 10)
    b, a = (
        np.bincount(np.searchsorted(edges, values), minlength=10) / len(values) for values in (before, after)
    )
    by_hand = float(((a - b) * np.log(a / b)).sum())
    found = feature_drift(np.quantile(before, STEPS), np.quantile(after, STEPS))
    assert found.psi == pytest.approx(by_hand, rel=0.05)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.2, 1.0), (0.0, 2.0), (3.0, 1.0)])
def test_the_distance_is_kolmogorovs_to_the_step_of_the_quantiles(shift, scale):
    rng = np.random.default_rng(2)
    before, after = rng.normal(size=5000), rng.normal(shift, scale, size=4000)
    found = feature_drift(np.quantile(before, STEPS), np.quantile(after, STEPS))
    assert found.ks == pytest.approx(ks_2samp(before, after).statistic, abs=0.012)


def test_a_truth_value_that_changes_its_share_is_a_drift():
    before, after = (np.quantile((np.arange(1000) < ones).astype(float), STEPS) for ones in (200, 500))
    found = feature_drift(before, after)
    assert found.ks == pytest.approx(0.3, abs=0.01)
    assert found.psi > 0.3
    assert feature_drift(before, before).psi == 0


def test_constants_that_differ_are_as_far_apart_as_can_be():
    zeros, ones = np.zeros(201), np.ones(201)
    assert feature_drift(zeros, ones).ks == 1
    assert feature_drift(zeros, ones).psi > 0.25
    assert feature_drift(zeros, zeros).ks == 0


def test_a_profile_does_not_depend_on_the_order_of_rows(tables):
    rankings, songs = tables
    shuffled = rankings.sample(frac=1, random_state=1), songs.sample(frac=1, random_state=2)
    first, second = profile(rankings, songs), profile(*shuffled)
    assert first.known == second.known
    assert first.quantiles == second.quantiles
    assert np.allclose(first.correlations, second.correlations, atol=1e-12)
    assert Profile.load(first.to_json()) == first


def test_correlations_are_spearmans(tables):
    rankings, songs = tables
    found = dict(zip(pairs(), profile(rankings, songs).correlations, strict=True))
    healthy = songs[(songs["duration_ms"] != 0) & (songs["tempo"] != 0)]
    national = rankings.dropna(subset="country")["spotify_id"]
    charting = healthy[healthy["spotify_id"].isin(national)]
    assert found["energy", "loudness"] == pytest.approx(
        spearmanr(charting["energy"], charting["loudness"]).statistic
    )


def test_a_profile_tells_no_song_and_stays_small():
    rankings, songs = sample_tables(SampleSpec(songs=12_000, days=30, seed=3))
    found = profile(rankings, songs)
    data = canonical_bytes(found.to_json())
    assert len(found.known) == min(KNOWN_SONGS, found.songs)
    assert len(data) < 500_000
    assert not any(song.encode() in data for song in songs["spotify_id"].head(500))


def test_tables_in_which_nothing_charts_have_no_profile(tables):
    rankings, songs = tables
    assert profile(rankings[rankings["country"].isna()], songs) is None


def test_the_same_tables_have_not_drifted(tables):
    found = measure_drift(profile(*tables), profile(*tables))
    assert max(feature.psi for feature in found.features.values()) == 0
    assert (found.country_shift, found.changed_songs, found.moved_songs) == (0, 0, 0)
    assert found.known_songs == found.before.songs


def test_a_changed_song_and_a_lost_country_are_counted(tables):
    rankings, songs = tables
    charting = rankings.dropna(subset="country")["spotify_id"].unique()
    changed = songs.astype({"energy": "float64"})
    changed.loc[changed["spotify_id"] == charting[0], "energy"] = 0.123
    fewer = rankings[rankings["country"] != "SE"]
    found = measure_drift(profile(rankings, songs), profile(fewer, changed))
    assert (found.changed_songs, found.lost_countries, found.new_countries) == (1, ("SE",), ())
    assert found.lost_share == pytest.approx(1 / 72, abs=1e-4)


def _validate(folder, rankings, songs, champion_profile, champion="c" * 64):
    files = write_tables(folder, rankings, songs)
    path = folder / "champion.json"
    path.write_bytes(champion_profile)
    targets = unopposed(folder)[2:]
    return validate(*files, write_source(folder), path, champion, *targets)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the champion has no profile of its training data"),
        (b"{}", "the champion's profile cannot be read: schema: missing"),
        (b"\xff", "the champion's profile cannot be read: "),
    ],
)
def test_a_champion_whose_profile_cannot_be_compared_is_said_and_does_not_stop_the_run(
    tmp_path, tables, data, reason
):
    headline = _validate(tmp_path, *tables, data)
    drift = read_json(tmp_path / "data_report.json")["drift"]
    assert drift["measured"] is None
    assert drift["not_compared"].startswith(reason)
    assert reason in headline


def test_drift_does_not_stop_the_run_and_its_worst_is_in_the_headline(tmp_path, tables):
    rankings, songs = tables
    before = canonical_bytes(profile(rankings, songs).to_json())
    headline = _validate(tmp_path, rankings, songs.assign(valence=0.5), before)
    assert "(PSI of valence)" in headline
    assert Profile.load(read_json(tmp_path / "profile.json")).synthetic


def test_tables_that_break_the_contract_have_no_profile(tmp_path, tables):
    rankings, songs = tables
    with pytest.raises(DataError, match="contract is broken"):
        _validate(tmp_path, pd.concat([rankings, rankings]), songs, b"")
    assert (tmp_path / "profile.json").read_bytes() == b""
