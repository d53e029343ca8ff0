"""Recordings: ids that share all features, or title and artist, or are joined by a chain of such ids."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import real_tables, songs_of, titled_songs

from ml.problems.songs.columns import FEATURES
from ml.data.recordings import feature_digests, joined, read_songs, recordings_of, title_digests
from ml.data.splits import split_of

IDS = ["a", "b", "c", "d"]


def _same(songs: pd.DataFrame) -> list[list[str]]:
    """The ids by recording."""
    return sorted(songs.groupby(recordings_of(songs))["spotify_id"].apply(list).to_list())


def test_ids_without_anything_in_common_are_recordings_of_their_own():
    assert _same(songs_of(IDS)) == _same(titled_songs(IDS)) == [["a"], ["b"], ["c"], ["d"]]


def test_ids_that_share_all_features_are_one_recording():
    songs = titled_songs(IDS)
    songs.loc[2, list(FEATURES)] = songs.loc[0, list(FEATURES)]
    assert _same(songs) == [["a", "c"], ["b"], ["d"]]


@pytest.mark.parametrize("name", FEATURES)
def test_ids_that_differ_in_one_feature_are_two(name):
    songs = titled_songs(IDS)
    songs.loc[2, list(FEATURES)] = songs.loc[0, list(FEATURES)]
    songs.loc[2, name] += 1e-3
    assert len(_same(songs)) == 4


@pytest.mark.parametrize("title", ["A", " a ", "a", "\uff21", "a\u200b", "\u00a0a"])
def test_ids_that_share_title_and_artist_are_one_recording_whatever_the_case(title):
    songs = titled_songs(IDS)
    songs.loc[2, "name"] = title
    assert _same(songs) == [["a", "c"], ["b"], ["d"]]


@pytest.mark.parametrize("column", ["name", "artists"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_no_title_or_no_artist_joins_nothing(column, value):
    assert len(_same(titled_songs(IDS).assign(**{column: value}))) == 4


def test_a_title_of_another_artist_joins_nothing():
    songs = titled_songs(IDS).assign(name="Intro", artists=["w", "x", "y", "z"])
    assert len(_same(songs)) == 4


def test_a_chain_joins_its_ends():
    songs = titled_songs(IDS)
    songs.loc[1, list(FEATURES)] = songs.loc[0, list(FEATURES)]
    songs.loc[2, "name"] = "b"
    assert _same(songs) == [["a", "b", "c"], ["d"]]


def test_the_key_stays_when_a_copy_with_the_same_title_comes_and_when_features_are_measured_anew():
    songs = titled_songs(IDS)
    keys = dict(zip(IDS, recordings_of(songs), strict=True))
    anew = songs.assign(energy=songs["energy"] / 3, spotify_id=["e", "f", "g", "h"])
    both = pd.concat([songs, anew, songs.head(1).assign(spotify_id="i")])
    after = dict(zip(both["spotify_id"], recordings_of(both), strict=True))
    assert {song: after[song] for song in IDS} == keys
    assert [after[song] for song in "efghi"] == [keys[song] for song in "abcda"]


def test_without_titles_the_key_stays_when_a_copy_with_the_same_features_comes():
    songs = songs_of(IDS)
    both = pd.concat([songs, songs.assign(spotify_id=["e", "f", "g", "h"])])
    keys = recordings_of(both)
    assert keys.tolist() == [*recordings_of(songs), *recordings_of(songs)]
    assert keys.tolist()[:4] == feature_digests(songs[list(FEATURES)].to_numpy("float32"))


def test_the_two_zeros_are_one_number():
    features = np.zeros((2, len(FEATURES)), dtype="float32")
    features[1] = -0.0
    assert len(set(feature_digests(features))) == 1


def test_titles_are_not_confused_with_artists():
    songs = pd.DataFrame({"name": ["a b", "a"], "artists": ["c", "b c"]})
    assert len(set(title_digests(songs))) == 2


LINKS = st.lists(
    st.tuples(st.sampled_from(["", *"abcdef"]), st.sampled_from(["", *"abcdef"])), min_size=1, max_size=12
)


@given(LINKS)
def test_joined_is_what_joining_again_and_again_gives(rows):
    groups = list(range(len(rows)))
    for _ in rows:
        for one, left in enumerate(rows):
            for other, right in enumerate(rows):
                if any(a and a == b for a, b in zip(left, right, strict=True)):
                    groups[one] = groups[other] = min(groups[one], groups[other])
    found = joined(*([row[column] for row in rows] for column in range(2)))
    assert len(set(found)) == len(set(groups)) == len(set(zip(found, groups, strict=True)))


@given(rows=LINKS)
def test_a_recording_is_never_in_two_splits(rows):
    """Songs whose features and titles coincide at random: whoever shares either shares the split."""
    songs = songs_of([f"id{row}" for row in range(len(rows))])
    songs = songs.assign(name=[title for _, title in rows], artists="x")
    for row, (features, _) in enumerate(rows):
        if features:
            songs.loc[row, list(FEATURES)] = [float(ord(features))] * len(FEATURES)
    split = [split_of(key) for key in recordings_of(songs)]
    for one, left in enumerate(rows):
        for other, right in enumerate(rows):
            if any(a and a == b for a, b in zip(left, right, strict=True)):
                assert split[one] == split[other]


def test_the_order_of_the_songs_does_not_matter():
    songs = titled_songs(IDS)
    songs.loc[2, "name"] = "a"
    turned = songs.iloc[::-1]
    assert recordings_of(turned).tolist() == recordings_of(songs).tolist()[::-1]


def test_broken_songs_are_no_songs_and_one_that_stands_twice_is_one(tmp_path):
    songs = titled_songs(IDS)
    songs.loc[1, "tempo"] = 0.0
    songs.loc[2, "duration_ms"] = 0.0
    pd.concat([songs, songs.tail(1)]).to_parquet(tmp_path / "songs.parquet", index=False)
    found = read_songs(tmp_path / "songs.parquet")
    assert found["spotify_id"].tolist() == ["a", "d"]
    assert (found[list(FEATURES)].dtypes == "float32").all()


def test_the_real_songs_have_fewer_recordings_than_ids():
    songs = read_songs(real_tables().songs)
    assert (len(songs), len(set(recordings_of(songs)))) == (14_238, 13_161)
