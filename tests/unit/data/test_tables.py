"""Files as they come: parquet kept as it is, CSV converted, and anything else refused in one line."""

import duckdb
import ibis.expr.types
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.core.errors import DataError
from ml.data.tables import as_parquet, connect, read_columns, require_structure

KINDS = {"id": "text", "label": "text", "size": "a number", "flag": "a number"}


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "table"


def test_in_csv_text_stays_text_and_the_whole_file_decides_what_is_a_fraction(raw):
    rows = "0002,00,1,True\n" * 30_000
    raw.write_text(f'id,label,size,flag\n0001,,5,True\n{rows}3,"one, ""2""\n3",99.5,False\n')
    table = pd.read_parquet(as_parquet("things", raw, KINDS)).iloc[[0, 1, -1]]
    assert table["id"].tolist() == ["0001", "0002", "3"]
    assert table["label"].fillna("null").tolist() == ["null", "00", 'one, "2"\n3']
    assert (table["size"].tolist(), table["flag"].dtype) == ([5.0, 1.0, 99.5], bool)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty; copy it again"),
        (b"PAR1", "the parquet file is cut off or damaged; copy it again"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)), "neither Parquet nor CSV: .*; convert it to one of them"),
        (b"\x00" * 100, "column id is missing.*"),
        # DuckDB takes a column of infinities for dates.
        (b"id,size\n1,-inf\n2,-inf\n", r"column size is not a number, e.g. '-infinity' \(row 1\)"),
    ],
    ids=["empty", "cut off", "gzip", "zeros", "infinities"],
)
def test_what_is_neither_is_refused_in_one_line(raw, data, message):
    raw.write_bytes(data)
    with pytest.raises(DataError, match=rf"^things: {message}$") as refused:
        require_structure("things", as_parquet("things", raw, KINDS), {"id": "text", "size": "a number"})
    assert "\n" not in str(refused.value)


def test_a_parquet_file_is_kept_and_damaged_in_the_middle_refused_where_it_is_read(raw):
    """Only the end of a parquet file says what it holds."""
    pq.write_table(pa.table({"id": [str(number) for number in range(2000)]}), raw)
    raw.write_bytes(raw.read_bytes()[:4] + bytes(1996) + raw.read_bytes()[2000:])
    assert as_parquet("things", raw, KINDS) == raw
    with pytest.raises(DataError, match=r"^things: the file is damaged: [^\n]*; copy it again$"):
        read_columns("things", raw, {"id": "text"})


def test_a_csv_that_cannot_be_converted_for_want_of_disk_says_so(raw, monkeypatch):
    def full(*_):
        raise duckdb.IOException("No space left on device\nmore")

    monkeypatch.setattr(ibis.expr.types.Table, "to_parquet", full)
    raw.write_text("id\na\n")
    with pytest.raises(OSError, match=r"things: cannot convert the CSV: No space left on device$"):
        as_parquet("things", raw, KINDS)


@pytest.mark.parametrize(
    ("columns", "kinds", "message"),
    [
        ({"a": [1], "b": [2]}, {"a": "a number", "c": "text"}, "column c is missing; the table has a, b"),
        ({"a": ["1.5", "fast"]}, {"a": "a number"}, r"column a is not a number, e\.g\. 'fast' \(row 2\)"),
        ({"a": ["true", "1", "inf"]}, {"a": "a number"}, r"column a is not a number, e\.g\. 'inf' \(row 3\)"),
        ({"a": [None, "3 May 24", "soon"]}, {"a": "a date"}, r"column a is not a date, e\.g\. 'soon' \(row"),
        ({"a": [None, "1"]}, {"a": "a number"}, r"column a is not a number, e\.g\. '1' \(row 2\)"),
        ({"a": [1]}, {"a": "text"}, r"column a is not text, e\.g\. 1 \(row 1\)"),
        ({"a": pa.array([None], pa.string())}, {"a": "a number"}, "e.g. a column without values"),
        ({"a": pa.array([], pa.string())}, {"a": "text"}, "the table is empty: it has columns, but no rows;"),
    ],
)  # fmt: skip
def test_a_wrong_structure_is_named(raw, columns, kinds, message):
    pq.write_table(pa.table(columns), raw)
    with pytest.raises(DataError, match=rf"^things: .*{message}"):
        require_structure("things", raw, kinds)


DAY = pd.Timestamp("2024-05-03")


@pytest.mark.parametrize(
    ("column", "kind", "read"),
    [
        (pa.array([True, None]), "a number", [1.0, None]),
        (pa.array([7, None]), "a number", [7.0, None]),
        (pa.array(["x", None]).dictionary_encode(), "text", ["x", None]),
        (pa.array(["x", None], pa.large_string()), "text", ["x", None]),
        (pa.array([None, None]), "text", [None, None]),
        (pa.array([None, None]), "a date", [None, None]),
        (pa.array([DAY.date(), None]), "a date", [DAY, None]),
        (pa.array([DAY, None], pa.timestamp("ns", "UTC")), "a date", [DAY, None]),
    ],
)
def test_columns_of_every_type_of_a_kind_are_read(raw, column, kind, read):
    pq.write_table(pa.table({"a": column}), raw)
    require_structure("things", raw, {"a": kind})
    values = read_columns("things", raw, {"a": kind}, encoded=["a"] if kind == "text" else [])["a"]
    assert [None if pd.isna(value) else value for value in values] == read
    assert {"a number": "f", "a date": "M"}.get(kind, "O") == values.dtype.kind


def test_duckdb_is_kept_within_its_memory():
    limit = connect().raw_sql("SELECT current_setting('memory_limit')").fetchone()[0]
    assert limit == "381.4 MiB"  # 400 MB
