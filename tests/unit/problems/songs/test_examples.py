"""Examples: one row a song, its chart rows counted by country, as an independent count says."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import charts, real_tables, songs_of, write_tables

from ml.core.errors import DataError
from ml.data.recordings import recordings_of
from ml.data.tables import connect
from ml.problem import Examples
from ml.problems.songs import definition
from ml.problems.songs.columns import FEATURES, RELEASE_DATE
from ml.problems.songs.entries import read_songs, titles
from ml.problems.songs.release_years import release_year, unreadable_dates


def examples_of(paths, classes=None) -> Examples:
    return definition.make_examples(paths, definition.read_entries(paths), classes)


def made(folder, rankings, songs, classes=None) -> Examples:
    return examples_of(write_tables(folder, rankings, songs).paths, classes)


def assert_counted(examples: Examples, rankings: pd.DataFrame, songs: pd.DataFrame) -> None:
    """Count with pandas: rows by song and country, of songs that are known and not broken."""
    usable = songs[(songs["duration_ms"] != 0) & (songs["tempo"] != 0)]["spotify_id"]
    national = rankings[rankings["country"].notna() & rankings["spotify_id"].isin(usable)]
    counts = pd.crosstab(national["spotify_id"].astype(str), national["country"].astype(str))
    assert (examples.ids, examples.classes) == (list(counts.index), tuple(counts.columns))
    np.testing.assert_array_equal(examples.counts, counts.to_numpy("int32"), strict=True)
    known = songs.drop_duplicates("spotify_id").set_index("spotify_id").loc[examples.ids, list(FEATURES)]
    np.testing.assert_array_equal(examples.features, known.to_numpy("float32"), strict=True)


def test_classes_that_are_given_keep_their_order_and_no_song_in_common_is_an_error(tmp_path):
    rankings = charts([("b", "DE", 3), ("b", "FR", 1), ("a", "FR", 2)])
    examples = made(tmp_path, rankings, songs_of(["b", "a"]), ("SE", "FR"))
    assert (examples.classes, examples.counts.tolist()) == (("SE", "FR"), [[0, 2], [0, 1]])
    with pytest.raises(
        DataError, match=r"column spotify_id: none of the songs that chart .* e.g. b; give the"
    ):
        made(tmp_path, rankings, songs_of(["c"]))


def test_the_real_charts_count_as_pandas_counts_and_have_fewer_recordings_than_ids():
    real = real_tables()
    examples = examples_of(real.paths)
    assert examples.counts.shape == (2222, 72)
    assert_counted(examples, *(pd.read_parquet(path) for path in real))
    songs = read_songs(real.songs)
    assert (len(songs), len(set(recordings_of(songs, FEATURES)))) == (14_238, 13_161)


ROW = st.tuples(st.sampled_from("abcdx"), st.sampled_from([None, "DE", "FR"]), st.integers(1, 5))


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=12), broken=st.sets(st.sampled_from("bcd")))
def test_any_small_charts_count_as_pandas_counts(tmp_path, rows, broken):
    """Global rows have no country; unknown, broken and uncharted songs are no examples."""
    songs = songs_of("abcd")
    songs.loc[songs["spotify_id"].isin(broken), "duration_ms"] = 0.0
    rankings, songs = charts([("a", "DE", 1), *rows]), pd.concat([songs, songs])
    assert_counted(made(tmp_path, rankings, songs), rankings, songs)


def test_slices_are_by_decade_year_and_what_is_explicit_of_the_first_album(tmp_path):
    songs = songs_of("abc").assign(is_explicit=[0, 1, 0])
    rankings = charts([("a", "FR", 1), ("a", "DE", 1), ("b", "DE", 1), ("c", "DE", 1)])
    slices = made(tmp_path, rankings, songs).slices
    assert {name: parts.tolist() for name, parts in slices.items()} == {
        "explicit": ["no", "yes", "no"], "decade": [""] * 3, "released": [""] * 3
    }  # fmt: skip
    rankings["album_release_date"] = ["2023-01-01", "2011-05-01", "2012-01-01", None]
    slices = made(tmp_path, rankings, songs).slices
    assert slices["decade"].tolist() == ["2010s", "2010s", ""]
    assert slices["released"].tolist() == ["earlier", "this year", ""]


@pytest.mark.parametrize(
    ("dates", "years", "unreadable"),
    [
        (["2023-12-15", "1975", None], [2023, 1975, None], (2, 0, "")),
        (["1860", "1859", "2199", "2200"], [1860, None, 2199, None], (4, 2, "1859")),
        (["15.12.2023", "soon", "", "0000", "2001"], [None, None, None, None, 2001], (5, 4, "")),
        ([datetime.date(1999, 12, 31), None], [1999, None], (1, 0, "")),
        ([1999, 20231215, 7], [1999, 2023, None], (3, 1, "7")),
        ([["2023"]], [None], (1, 1, "[2023]")),
        ([None, None], [None, None], (0, 0, "")),
        (None, [None], (0, 0, "")),
    ],
    ids=["text", "bounds", "no-years", "dates", "numbers", "lists", "null", "no-column"],
)
def test_a_year_is_read_or_missed(tmp_path, dates, years, unreadable):
    path = tmp_path / "rankings.parquet"
    pq.write_table(
        pa.table({"spotify_id": ["a"] * len(years)} | ({RELEASE_DATE: dates} if dates else {})), path
    )
    table = connect().read_parquet(path)
    assert table.select(year=release_year(table)).to_pyarrow()["year"].to_pylist() == years
    assert unreadable_dates(path) == unreadable


def test_a_damaged_column_is_an_error_of_the_data(tmp_path):
    path = tmp_path / "rankings.parquet"
    pq.write_table(pa.table({RELEASE_DATE: [f"{year}-01-01" for year in range(1900, 2000)]}), path)
    page = pq.read_metadata(path).row_group(0).column(0).dictionary_page_offset
    data = path.read_bytes()
    path.write_bytes(data[:page] + bytes(200) + data[page + 200 :])
    with pytest.raises(DataError, match=rf"^rankings: column {RELEASE_DATE} is damaged: [^\n]+$"):
        unreadable_dates(path)


def test_entries_are_the_songs_that_are_not_broken_in_the_order_of_their_ids(tmp_path):
    songs = songs_of("dbca").assign(name=["x", "y", "z", None], artists="somebody")
    songs.loc[1, "tempo"] = songs.loc[2, "duration_ms"] = 0.0
    files = write_tables(tmp_path, charts([]), pd.concat([songs, songs.tail(1)]))
    entries = read_songs(files.songs)
    assert entries.columns.tolist() == ["id", *FEATURES, "title"]
    assert (entries["id"].tolist(), entries["title"].tolist()) == (["a", "d"], ["", "x\0somebody"])
    assert (entries[list(FEATURES)].dtypes == "float32").all()


def test_a_title_is_name_and_artist_whatever_case_space_and_form():
    names = ["a b", " A  B ", "\uff21 b", "a\u200b b", "\u00a0a b", "a", None, "", "a b", "a b"]
    artists = ["c", "C", "c", "c", "c", "b c", "c", "c", None, "  "]
    expected = ["a b\0c"] * 5 + ["a\0b c"] + [""] * 4
    assert titles(pd.DataFrame({"name": names, "artists": artists})) == expected
    assert titles(pd.DataFrame({"name": names})) == [""] * 10
