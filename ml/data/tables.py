"""Parquet and CSV files of any size, read by DuckDB through ibis."""

import errno
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb
import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.core.errors import DataError
from ml.problem import Kind

MEMORY_LIMIT = "400MB"
"""What DuckDB may hold before it spills to disk."""

PARQUET_MAGIC = b"PAR1"


def connect() -> ibis.BaseBackend:
    """Open an in-memory DuckDB that reads files as streams, within `MEMORY_LIMIT`."""
    return ibis.duckdb.connect(memory_limit=MEMORY_LIMIT, temp_directory=tempfile.gettempdir())


def as_parquet(name: str, raw: Path, kinds: Mapping[str, Kind]) -> Path:
    """Return a parquet file with the table in a raw file: itself, or a CSV converted beside it.

    Args:
        name: what the table is called in messages.
        raw: a parquet or CSV file, distinguished by its first bytes.
        kinds: the kinds of its columns: in a CSV text stays text, also where it looks like a number.

    Raises:
        DataError: the file is neither, or is cut off.
    """
    with open(raw, "rb") as file:
        magic = file.read(len(PARQUET_MAGIC))
    if not magic:
        raise DataError(f"{name}: the file is empty; copy it again")
    if magic == PARQUET_MAGIC:
        try:
            pq.read_metadata(raw)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{name}: the parquet file is cut off or damaged; copy it again") from error
        return raw
    converted = raw.with_suffix(".parquet")
    try:
        header = connect().read_csv(raw, header=True, sample_size=-1)
        types = {name: "VARCHAR" for name, kind in kinds.items() if kind == "text" and name in header.columns}
        table = connect().read_csv(raw, header=True, sample_size=-1, types=types) if types else header
        table.to_parquet(converted)
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise OSError(errno.ENOSPC, f"{name}: cannot convert the CSV: {_line(error)}") from error
    except duckdb.Error as error:
        raise DataError(
            f"{name}: neither Parquet nor CSV: {_line(error)}; convert it to one of them"
        ) from error
    return converted


def structure_problems(path: str | Path, kinds: Mapping[str, Kind]) -> tuple[list[str], list[str]]:
    """List the columns that a parquet file lacks, and those that are of another kind.

    Args:
        path: the file; only its schema is read, unless something is wrong.
        kinds: the kind of each column that must be there.
    """
    schema = pq.read_schema(path)
    missing = [
        f"column {name} is missing; the table has {', '.join(schema.names) or 'no columns'}"
        for name in kinds
        if name not in schema.names
    ]
    wrong = [
        f"column {name} is not {kind}, e.g. {_misfit(path, name, kind)}"
        for name, kind in kinds.items()
        if name in schema.names and not _fits(schema.field(name).type, kind)
    ]
    return missing, wrong


def require_structure(name: str, path: str | Path, kinds: Mapping[str, Kind]) -> None:
    """Check that a table has its columns, each of its kind, and rows.

    Raises:
        DataError: it does not; the message names the table, the column and an example.
    """
    missing, wrong = structure_problems(path, kinds)
    if missing or wrong:
        raise DataError(f"{name}: {'; '.join(missing + wrong)}")
    if pq.read_metadata(path).num_rows == 0:
        raise DataError(f"{name}: the table is empty: it has columns, but no rows; give one with rows")


def read_columns(
    name: str, path: str | Path, kinds: Mapping[str, Kind], encoded: Sequence[str] = ()
) -> pd.DataFrame:
    """Read columns that `structure_problems` finds nothing wrong with.

    Numbers come as float64 with NaN for null, dates without a time zone, and the ``encoded`` text columns
    as categories: a million rows are some 30 MB.

    Raises:
        DataError: the file is damaged.
    """
    try:
        table = pq.read_table(path, columns=list(kinds), read_dictionary=list(encoded))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name}: the file is damaged: {_line(error)}; copy it again") from error
    # What pandas once wrote beside the columns would bring time zones and nullable types back.
    table = table.replace_schema_metadata(None)
    targets = {"a number": pa.float64(), "a date": pa.timestamp("ms")}
    for index, (column, kind) in enumerate(kinds.items()):
        values = table[column]
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        target = targets.get(kind, pa.string() if pa.types.is_null(values.type) else values.type)
        table = table.set_column(index, column, values.cast(target, safe=False))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _fits(type_: pa.DataType, kind: Kind) -> bool:
    """Tell whether a column is of a kind; one without any value may be anything."""
    return bool(pa.types.is_null(type_)) or _IS_KIND[kind](type_)


def _is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _is_date(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


_IS_KIND: dict[Kind, Callable[[pa.DataType], bool]] = {
    "text": _is_text,
    "a number": _is_number,
    "a date": _is_date,
}


def _misfit(path: str | Path, column: str, kind: Kind) -> str:
    """Find a value that is not of its kind: in a column of numbers or dates as text, the one that is none."""
    column_values = pq.read_table(path, columns=[column])[column]
    # A CSV column of nothing but `inf` is read as dates at infinity, which Python's dates cannot be.
    values = _as_text(path, column) if _is_date(column_values.type) else column_values.to_pylist()
    rows = [row for row, value in enumerate(values) if value is not None]
    if not rows:
        return "a column without values"
    row = next((row for row in rows if not _parses(values[row], kind)), rows[0])
    return f"{values[row]!r} (row {row + 1})"


def _as_text(path: str | Path, column: str) -> list[str | None]:
    texts: list[str | None] = connect().read_parquet(path)[column].cast("string").to_pyarrow().to_pylist()
    return texts


def _parses(value: object, kind: Kind) -> bool:
    """Tell whether a text is a finite number, a truth value, or a date."""
    text = str(value)
    if kind == "a date":
        return bool(pd.notna(pd.to_datetime(text, errors="coerce")))
    try:
        return text.lower() in ("true", "false") or math.isfinite(float(text))
    except ValueError:
        return False


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
