"""Files as they come: parquet kept as it is, CSV converted, and anything else refused in one line."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables import unopposed

from ml.core.errors import DataError
from ml.data.tables import as_parquet, connect, require_structure


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "table"


def test_parquet_is_kept_as_it_is(raw):
    pq.write_table(pa.table({"spotify_id": ["a"]}), raw)
    assert as_parquet("songs", raw) == raw


def test_csv_becomes_parquet_with_ids_and_countries_as_text(raw):
    raw.write_text("spotify_id,country,energy,is_explicit\n0001,,0.5,True\n0002,NO,1,False\n")
    table = pd.read_parquet(as_parquet("rankings", raw))
    assert table["spotify_id"].tolist() == ["0001", "0002"]
    assert table["country"].isna().tolist() == [True, False]
    assert table["country"][1] == "NO"
    assert table["energy"].tolist() == [0.5, 1.0]
    assert table["is_explicit"].dtype == bool


def test_a_quoted_name_with_commas_and_lines_is_one_value(raw):
    raw.write_text('spotify_id,name\n0001,"one, two\nthree ""four"""\n')
    table = pd.read_parquet(as_parquet("songs", raw))
    assert table["name"].tolist() == ['one, two\nthree "four"']


def test_a_late_fraction_is_not_lost(raw):
    """A type is decided by the whole file, not by its first rows."""
    raw.write_text("spotify_id,tempo\n" + "a,100\n" * 30_000 + "b,99.5\n")
    assert pd.read_parquet(as_parquet("songs", raw))["tempo"].iloc[-1] == 99.5


def test_an_empty_file_is_refused(raw):
    raw.touch()
    with pytest.raises(DataError, match=r"^songs: the file is empty; copy it again$"):
        as_parquet("songs", raw)


@pytest.mark.parametrize("kept", [4, 100, -1])
def test_a_parquet_file_that_is_cut_off_is_refused(raw, kept):
    pq.write_table(pa.table({"spotify_id": ["a"] * 100}), raw)
    raw.write_bytes(raw.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"^songs: the parquet file is cut off or damaged; copy it again$"):
        as_parquet("songs", raw)


def test_a_parquet_file_damaged_in_the_middle_is_refused_where_it_is_read(raw, tmp_path):
    """Only the end of a parquet file says what it holds: its body is read later, by the contract."""
    from tables import sample_tables, write_source, write_tables

    from ml.data.contract import validate

    files = write_tables(tmp_path, *sample_tables())
    data = bytearray(files.rankings.read_bytes())
    data[4:2000] = bytes(1996)
    files.rankings.write_bytes(data)
    with pytest.raises(DataError, match=r"^rankings: .*damaged"):
        validate(*files, write_source(tmp_path), *unopposed(tmp_path))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x1f\x8b\x08\x00" + bytes(range(256)), id="gzip"),
        pytest.param(b"\x00" * 100, id="zeros"),
        pytest.param(bytes(range(128, 256)) * 4, id="not-utf-8"),
    ],
)
def test_what_is_neither_is_refused_in_one_line(raw, data):
    raw.write_bytes(data)
    with pytest.raises(DataError) as refused:
        require_structure("songs", as_parquet("songs", raw), {"spotify_id": "text"})
    assert str(refused.value).startswith("songs: ")
    assert "\n" not in str(refused.value)


def test_a_missing_column_is_named_with_those_that_are_there(raw):
    pq.write_table(pa.table({"a": [1], "b": ["2"]}), raw)
    require_structure("songs", raw, {"a": "a number", "b": "text"})
    with pytest.raises(DataError, match=r"^songs: column c is missing; the table has a, b$"):
        require_structure("songs", raw, {"a": "a number", "c": "text"})


def test_a_column_of_another_kind_is_named_with_the_value_that_is_wrong(raw):
    pq.write_table(pa.table({"a": ["1.5", "fast"], "b": ["2", "3"]}), raw)
    with pytest.raises(DataError, match=r"^songs: column a is not a number, e\.g\. 'fast' \(row 2\)$"):
        require_structure("songs", raw, {"a": "a number", "b": "text"})


def test_a_table_without_rows_is_refused(raw):
    pq.write_table(pa.table({"a": pa.array([], pa.string())}), raw)
    with pytest.raises(DataError, match="no rows"):
        require_structure("songs", raw, {"a": "text"})


def test_duckdb_is_kept_within_its_memory():
    limit = connect().raw_sql("SELECT current_setting('memory_limit')").fetchone()[0]
    assert limit == "381.4 MiB"  # 400 MB
