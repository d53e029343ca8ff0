"""Examples: one row a song, its chart rows counted by country, as an independent count says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import charts, real_tables, sample_tables, songs_of, write_tables

from ml.core.errors import DataError
from ml.data.recordings import recordings_of
from ml.problem import Examples
from ml.problems.songs import definition
from ml.problems.songs.columns import FEATURES
from ml.problems.songs.entries import read_songs, titles

IDS = ["a", "b", "c", "d"]


def examples_of(paths, classes=None) -> Examples:
    return definition.make_examples(paths, definition.read_entries(paths), classes)


def made(folder, rankings, songs, classes=None) -> Examples:
    return examples_of(write_tables(folder, rankings, songs).paths, classes)


def counts_of(examples: Examples) -> pd.DataFrame:
    return pd.DataFrame(examples.counts, index=examples.ids, columns=list(examples.classes))


def oracle(rankings: pd.DataFrame, songs: pd.DataFrame) -> pd.DataFrame:
    """Count with pandas: rows by song and country, of songs that are known and not broken."""
    usable = songs[(songs["duration_ms"] != 0) & (songs["tempo"] != 0)]["spotify_id"]
    national = rankings[rankings["country"].notna() & rankings["spotify_id"].isin(usable)]
    counts = pd.crosstab(national["spotify_id"].astype(str), national["country"].astype(str))
    return counts.rename_axis(None).rename_axis(None, axis=1).astype("int32")


def test_rows_are_counted_by_song_and_country_and_others_left_out(tmp_path):
    """Global rows have no country; unknown, broken and uncharted songs are no examples."""
    rows = [
        ("b", "DE", 3),
        ("b", "FR", 1),
        ("a", "FR", 2),
        ("b", None, 9),
        ("nowhere", "IT", 1),
        ("d", "IS", 1),
    ]
    songs = songs_of(["b", "a", "never", "d"])
    songs.loc[3, "tempo"] = 0.0
    found = made(tmp_path, charts(rows), pd.concat([songs, songs]))
    assert (found.ids, found.classes) == (["a", "b"], ("DE", "FR"))
    assert found.counts.tolist() == [[0, 2], [3, 1]]
    assert found.features.tolist() == [[*range(101, 114)], [*range(1, 14)]]
    assert (found.features.dtype, found.counts.dtype) == (np.float32, np.int32)
    given_classes = made(tmp_path, charts(rows), songs, ("FR", "SE"))
    assert (given_classes.classes, given_classes.counts.tolist()) == (("FR", "SE"), [[2, 0], [1, 0]])


def test_the_sample_counts_as_pandas_counts(tmp_path):
    rankings, songs = sample_tables()
    found = made(tmp_path, rankings, songs)
    pd.testing.assert_frame_equal(counts_of(found), oracle(rankings, songs))
    known = songs.set_index("spotify_id").loc[found.ids, list(FEATURES)].astype("float32")
    np.testing.assert_array_equal(found.features, known.to_numpy())


def test_the_real_charts_count_as_pandas_counts():
    real = real_tables()
    counts = counts_of(examples_of(real.paths))
    assert counts.shape == (2222, 72)
    pd.testing.assert_frame_equal(counts, oracle(*(pd.read_parquet(path) for path in real)))


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from([*IDS, "x"]), st.sampled_from([None, "DE", "FR"]), st.integers(1, 5)),
        max_size=12,
    ),
    broken=st.sets(st.sampled_from(IDS[1:])),
)
def test_any_small_charts_count_as_pandas_counts(tmp_path, rows, broken):
    songs = songs_of(IDS)
    songs.loc[songs["spotify_id"].isin(broken), "duration_ms"] = 0.0
    rankings = charts([("a", "DE", 1), *rows])
    pd.testing.assert_frame_equal(counts_of(made(tmp_path, rankings, songs)), oracle(rankings, songs))


def test_no_song_in_common_is_an_error(tmp_path):
    with pytest.raises(
        DataError, match=r"column spotify_id: none of the songs that chart .* e.g. a; give the songs"
    ):
        made(tmp_path, charts([("a", "DE", 1)]), songs_of(["b"]))


@pytest.mark.parametrize(
    ("dates", "decades", "released"),
    [
        (["2023-12-15", "1975", None], ["2020s", "1970s", ""], ["this year", "earlier", ""]),
        (["0000", "soon", ""], [""] * 3, [""] * 3),
        ([None, None, None], [""] * 3, [""] * 3),
        (
            pd.to_datetime(["1999-12-31", "2024-01-01", None]),
            ["1990s", "2020s", ""],
            ["earlier", "this year", ""],
        ),
        (None, [""] * 3, [""] * 3),
    ],
    ids=["text", "no-years", "null", "dates", "no-column"],
)
def test_slices_are_by_decade_year_and_what_is_explicit(tmp_path, dates, decades, released):
    rankings = charts([(song, "DE", 1) for song in "abc"])
    if dates is not None:
        rankings["album_release_date"] = dates
    found = made(tmp_path, rankings, songs_of(["a", "b", "c"]).assign(is_explicit=[0, 1, 0]))
    expected = {"explicit": ["no", "yes", "no"], "decade": decades, "released": released}
    assert {family: values.tolist() for family, values in found.slices.items()} == expected


def test_a_song_of_several_albums_was_released_with_the_first(tmp_path):
    rankings = charts([("a", "FR", 1), ("a", "DE", 1), ("b", "DE", 1)])
    rankings["album_release_date"] = ["2023-01-01", "2011-05-01", "2012-01-01"]
    found = made(tmp_path, rankings, songs_of(["a", "b"]))
    assert found.slices["released"].tolist() == ["earlier", "this year"]


def test_entries_are_the_songs_that_are_not_broken_in_the_order_of_their_ids(tmp_path):
    songs = songs_of(["d", "b", "c", "a"]).assign(name=["x", "y", "z", None], artists="somebody")
    songs.loc[1, "tempo"] = 0.0
    songs.loc[2, "duration_ms"] = 0.0
    pd.concat([songs, songs.tail(1)]).to_parquet(tmp_path / "songs.parquet", index=False)
    found = read_songs(tmp_path / "songs.parquet")
    assert found.columns.tolist() == ["id", *FEATURES, "title"]
    assert (found["id"].tolist(), found["title"].tolist()) == (["a", "d"], ["", "x\0somebody"])
    assert (found[list(FEATURES)].dtypes == "float32").all()


def test_a_title_is_name_and_artist_whatever_case_space_and_form():
    names = ["a b", " A  B ", "\uff21 b", "a\u200b b", "\u00a0a b", "a", None, "", "a b", "a b"]
    artists = ["c", "C", "c", "c", "c", "b c", "c", "c", None, "  "]
    found = titles(pd.DataFrame({"name": names, "artists": artists}))
    assert found == ["a b\0c"] * 5 + ["a\0b c"] + [""] * 4
    assert titles(pd.DataFrame({"name": names})) == [""] * 10


def test_the_real_songs_have_fewer_recordings_than_ids():
    songs = read_songs(real_tables().songs)
    assert (len(songs), len(set(recordings_of(songs, FEATURES)))) == (14_238, 13_161)
