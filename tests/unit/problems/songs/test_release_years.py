"""Years of release: read from text, dates and numbers; dates that hold none are counted."""

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.core.errors import DataError
from ml.data.tables import connect
from ml.problems.songs.columns import RELEASE_DATE
from ml.problems.songs.release_years import Unreadable, release_year, unreadable_dates


def _rankings(folder, dates):
    path = folder / "rankings.parquet"
    pq.write_table(pa.table({"spotify_id": ["a"] * len(dates), RELEASE_DATE: dates}), path)
    return path


@pytest.mark.parametrize(
    ("dates", "years", "unreadable"),
    [
        (["2023-12-15", "1975", None], [2023, 1975, None], (2, 0, "")),
        (["1860", "1859", "2199", "2200"], [1860, None, 2199, None], (4, 2, "1859")),
        (["15.12.2023", "soon", "", "0000", "2001"], [None, None, None, None, 2001], (5, 4, "")),
        ([datetime.date(1999, 12, 31), None], [1999, None], (1, 0, "")),
        ([1999, 20231215, 7], [1999, 2023, None], (3, 1, "7")),
        ([True, None], [None, None], (1, 1, "true")),
        ([["2023"]], [None], (1, 1, "[2023]")),
        ([None, None], [None, None], (0, 0, "")),
        ([], [], (0, 0, "")),
    ],
    ids=["text", "bounds", "no-years", "dates", "numbers", "flags", "lists", "null", "no-rows"],
)
def test_a_year_is_read_or_missed(tmp_path, dates, years, unreadable):
    path = _rankings(tmp_path, dates)
    table = connect().read_parquet(path)
    assert table.select(year=release_year(table)).to_pyarrow()["year"].to_pylist() == years
    assert unreadable_dates(path) == Unreadable(*unreadable)


def test_a_table_without_the_column_says_nothing(tmp_path):
    path = tmp_path / "rankings.parquet"
    pq.write_table(pa.table({"spotify_id": ["a"]}), path)
    table = connect().read_parquet(path)
    assert table.select(year=release_year(table)).to_pyarrow()["year"].to_pylist() == [None]
    assert unreadable_dates(path) == Unreadable(0, 0, "")


def test_a_damaged_column_is_an_error_of_the_data(tmp_path):
    path = _rankings(tmp_path, [f"{year}-01-01" for year in range(1900, 2000)])
    page = pq.read_metadata(path).row_group(0).column(1).dictionary_page_offset
    data = bytearray(path.read_bytes())
    data[page : page + 200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"^rankings: column {RELEASE_DATE} is damaged: [^\n]+$"):
        unreadable_dates(path)
