"""Files as they come: parquet kept as it is, CSV converted, and anything else refused in one line."""

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


def test_parquet_is_kept_as_it_is(raw):
    pq.write_table(pa.table({"id": ["a"]}), raw)
    assert as_parquet("things", raw, KINDS) == raw


def test_in_csv_text_stays_text_and_the_whole_file_decides_what_is_a_fraction(raw):
    rows = "1,00,1,True\n" * 30_000
    raw.write_text(
        f'id,label,size,flag\n0001,,0.5,True\n0002,NO,1,False\n{rows}3,"one, ""2""\n3",99.5,True\n'
    )
    table = pd.read_parquet(as_parquet("things", raw, KINDS))
    assert table["id"].tolist()[:3] == ["0001", "0002", "1"]
    assert table["label"].isna().tolist()[:2] == [True, False]
    assert table["label"].tolist()[1:3] == ["NO", "00"]
    assert table["label"].iloc[-1] == 'one, "2"\n3'
    assert table["size"].iloc[[0, 1, -1]].tolist() == [0.5, 1.0, 99.5]
    assert table["flag"].dtype == bool
    raw.write_text("id,label,size\n7,8,9\n")
    assert pd.read_parquet(as_parquet("things", raw, KINDS)).to_dict("records") == [
        {"id": "7", "label": "8", "size": 9}
    ]


def test_an_empty_file_and_a_parquet_file_that_is_cut_off_are_refused(raw):
    raw.touch()
    with pytest.raises(DataError, match=r"^things: the file is empty; copy it again$"):
        as_parquet("things", raw, KINDS)
    pq.write_table(pa.table({"id": ["a"] * 100}), raw)
    whole = raw.read_bytes()
    for kept in (4, 100, -1):
        raw.write_bytes(whole[:kept])
        with pytest.raises(
            DataError, match=r"^things: the parquet file is cut off or damaged; copy it again$"
        ):
            as_parquet("things", raw, KINDS)


def test_a_parquet_file_damaged_in_the_middle_is_refused_where_it_is_read(raw):
    """Only the end of a parquet file says what it holds."""
    pq.write_table(pa.table({"id": [str(number) for number in range(2000)]}), raw)
    raw.write_bytes(raw.read_bytes()[:4] + bytes(1996) + raw.read_bytes()[2000:])
    with pytest.raises(DataError, match=r"^things: the file is damaged: [^\n]*; copy it again$"):
        read_columns("things", as_parquet("things", raw, KINDS), {"id": "text"})


@pytest.mark.parametrize(
    "data",
    [b"\x1f\x8b\x08\x00" + bytes(range(256)), b"\x00" * 100, bytes(range(128, 256)) * 4],
    ids=["gzip", "zeros", "not-utf-8"],
)
def test_what_is_neither_is_refused_in_one_line(raw, data):
    raw.write_bytes(data)
    with pytest.raises(DataError, match=r"^things: [^\n]+$"):
        require_structure("things", as_parquet("things", raw, KINDS), {"id": "text"})


def test_a_csv_that_cannot_be_converted_for_want_of_disk_says_so(raw, monkeypatch):
    import duckdb
    import ibis.expr.types

    def full(*_):
        raise duckdb.IOException("No space left on device\nmore")

    monkeypatch.setattr(ibis.expr.types.Table, "to_parquet", full)
    raw.write_text("id\na\n")
    with pytest.raises(OSError, match=r"things: cannot convert the CSV: No space left on device$"):
        as_parquet("things", raw, KINDS)


@pytest.mark.parametrize(
    ("columns", "kinds", "message"),
    [
        ({"a": [1], "b": ["2"]}, {"a": "a number", "c": "text"}, "column c is missing; the table has a, b"),
        ({"a": ["1.5", "fast"]}, {"a": "a number"}, r"column a is not a number, e\.g\. 'fast' \(row 2\)"),
        ({"a": ["true", "1", "inf"]}, {"a": "a number"}, r"column a is not a number, e\.g\. 'inf' \(row 3\)"),
        ({"a": [None, "3 May 2024", "soon"]}, {"a": "a date"},
         r"column a is not a date, e\.g\. 'soon' \(row 3\)"),
        ({"a": [None, "1"]}, {"a": "a number"}, r"column a is not a number, e\.g\. '1' \(row 2\)"),
        ({"a": [1]}, {"a": "text"}, r"column a is not text, e\.g\. 1 \(row 1\)"),
        ({"a": pa.array([None], pa.string())}, {"a": "a number"}, "e.g. a column without values"),
        ({"a": pa.array([], pa.string())}, {"a": "text"},
         "the table is empty: it has columns, but no rows; give one"),
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
        *((pa.array([DAY, None], pa.timestamp(unit)), "a date", [DAY, None]) for unit in ("s", "ms", "us",
         "ns")),
        (pa.array([DAY, None], pa.timestamp("us", "UTC")), "a date", [DAY, None]),
    ],
)  # fmt: skip
def test_columns_of_every_type_of_a_kind_are_read(raw, column, kind, read):
    pq.write_table(pa.table({"a": column}), raw)
    require_structure("things", raw, {"a": kind})
    found = read_columns("things", raw, {"a": kind}, encoded=["a"] if kind == "text" else [])["a"]
    assert [None if pd.isna(value) else value for value in found] == read
    assert {"a number": "f", "a date": "M"}.get(kind, "O") == found.dtype.kind


def test_duckdb_is_kept_within_its_memory():
    limit = connect().raw_sql("SELECT current_setting('memory_limit')").fetchone()[0]
    assert limit == "381.4 MiB"  # 400 MB
