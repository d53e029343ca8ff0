"""The profile: the same whatever the order of the rows, small, and without a song in it."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from tables import charts, sample_tables, songs_of
from tiers import SLOW

from ml.core.canonical import canonical_bytes
from ml.problems.songs.columns import FEATURES, is_broken
from ml.data.profile import QUANTILES, Profile, make_profile, pairs
from ml.gate.subjects.drift import KNOWN_SONGS


def _profile(rankings, songs, synthetic=True):
    songs = songs.astype(dict.fromkeys(FEATURES, "float64"))
    return make_profile(rankings, songs, "0123456789abcdef", synthetic=synthetic)


def _charting(rankings, songs):
    ids = rankings.loc[rankings["country"].notna(), "spotify_id"]
    return songs[songs["spotify_id"].isin(ids) & ~is_broken(songs)]


def test_it_counts_the_songs_and_rows_that_chart_in_a_country():
    rankings, songs = sample_tables()
    found = _profile(rankings, songs)
    charting = _charting(rankings, songs)
    national = rankings[rankings["country"].notna() & rankings["spotify_id"].isin(charting["spotify_id"])]
    assert (found.songs, found.rows, found.days) == (len(charting), len(national), 7)
    assert found.countries == national["country"].value_counts().to_dict()
    assert len(found.known) == len(charting)


def test_quantiles_and_correlations_are_those_of_the_songs_that_chart():
    rankings, songs = sample_tables()
    found = _profile(rankings, songs)
    values = _charting(rankings, songs)[list(FEATURES)].astype("float32")
    for name in FEATURES:
        quantiles = found.quantiles[name]
        assert len(quantiles) == QUANTILES
        assert (quantiles[0], quantiles[-1]) == pytest.approx((values[name].min(), values[name].max()))
        assert quantiles[QUANTILES // 2] == pytest.approx(values[name].median(), rel=1e-6)
    matrix = spearmanr(values).statistic
    expected = [matrix[FEATURES.index(one), FEATURES.index(other)] for one, other in pairs()]
    assert found.correlations == pytest.approx(expected, abs=1e-8)


def test_it_does_not_depend_on_the_order_of_the_rows_or_on_how_text_is_kept():
    rankings, songs = sample_tables()
    in_file_order = pd.Categorical(rankings["country"], sorted(rankings["country"].dropna().unique())[::-1])
    in_file_order = pd.Series(in_file_order, rankings.index)
    shuffled = (
        rankings.sample(frac=1, random_state=1).assign(country=in_file_order),
        songs.sample(frac=1, random_state=2),
    )
    assert canonical_bytes(_profile(rankings, songs).to_json()) == canonical_bytes(
        _profile(*shuffled).to_json()
    )


def test_it_is_read_back_as_it_was_written():
    found = _profile(*sample_tables())
    assert Profile.load(json.loads(canonical_bytes(found.to_json()))) == found


@SLOW
def test_of_a_hundred_thousand_songs_it_is_small_and_holds_no_id():
    rng = np.random.default_rng(5)
    ids = [f"{number:022x}" for number in rng.permutation(100_000)]
    songs = pd.DataFrame({"spotify_id": ids, **{name: rng.random(len(ids)) for name in FEATURES}})
    rankings = pd.DataFrame(
        {"spotify_id": ids, "country": "SE", "daily_rank": 1, "snapshot_date": pd.Timestamp("2024-01-01")}
    )
    found = _profile(rankings, songs)
    data = canonical_bytes(found.to_json())
    assert (found.songs, len(found.known)) == (100_000, KNOWN_SONGS)
    assert len(data) < 300_000
    text = data.decode()
    assert [song for song in ids if song in text] == []


def test_a_song_is_known_by_its_features_and_the_country_where_it_charts_most():
    rankings = charts([("a", "SE", 2), ("a", "NO", 3), ("b", "SE", 2), ("b", "DK", 2), ("b", None, 9)])
    songs = songs_of(["a", "b"])
    homes = sorted(song.home for song in _profile(rankings, songs).known.values())
    # b is in two countries' charts as often: the first in the alphabet. Global is not a country.
    assert homes == ["DK", "NO"]
    songs.loc[1, "tempo"] += 0.001
    before, after = (_profile(rankings, table).known for table in (songs_of(["a", "b"]), songs))
    assert before.keys() == after.keys()
    assert sum(before[song].features != after[song].features for song in before) == 1


def test_a_truth_value_is_a_feature_like_others_and_a_constant_correlates_with_nothing():
    rankings, songs = sample_tables()
    as_truth = songs.assign(is_explicit=songs["is_explicit"] > 0)
    assert _profile(rankings, as_truth) == _profile(rankings, songs)
    constant = _profile(rankings, songs.assign(mode=1))
    of_mode = [rho for rho, pair in zip(constant.correlations, pairs(), strict=True) if "mode" in pair]
    assert of_mode == [0.0] * 12


def test_songs_with_the_features_of_another_are_twins():
    songs = songs_of(["a", "b", "c", "d"])
    songs.loc[1, list(FEATURES)] = songs.loc[0, list(FEATURES)]
    rankings = charts([(song, "SE", 1) for song in "abcd"])
    assert _profile(rankings, songs).twins == 0.5


@pytest.mark.parametrize("rows", [[], [("a", None, 3)], [("nowhere", "SE", 3)], [("broken", "SE", 3)]])
def test_where_nothing_charts_there_is_no_profile(rows):
    songs = songs_of(["a", "broken"])
    songs.loc[1, "tempo"] = 0
    assert _profile(charts(rows), songs) is None


def test_a_feature_that_is_not_a_number_makes_no_profile():
    songs = songs_of(["a", "b"])
    songs.loc[0, "tempo"] = float("nan")
    assert _profile(charts([("a", "SE", 1)]), songs) is None
