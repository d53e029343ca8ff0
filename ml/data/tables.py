"""Parquet and CSV files of any size, read by DuckDB through ibis."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from ml.errors import DataError

MEMORY_LIMIT = "400MB"
"""What DuckDB may hold before it spills to disk."""

PARQUET_MAGIC = b"PAR1"


def connect() -> ibis.BaseBackend:
    """Open an in-memory DuckDB that reads files as streams, within `MEMORY_LIMIT`."""
    return ibis.duckdb.connect(memory_limit=MEMORY_LIMIT)


def as_parquet(name: str, raw: Path) -> Path:
    """Return a parquet file with the table in a raw file: itself, or a CSV converted beside it.

    Args:
        name: what the table is called in messages.
        raw: a parquet or CSV file, told apart by its first bytes.

    Raises:
        DataError: the file is neither, or is cut off.
    """
    with open(raw, "rb") as file:
        magic = file.read(len(PARQUET_MAGIC))
    if not magic:
        raise DataError(f"{name}: the file is empty")
    if magic == PARQUET_MAGIC:
        try:
            pq.read_metadata(raw)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{name}: the parquet file is cut off or damaged; copy it again") from error
        return raw
    converted = raw.with_suffix(".parquet")
    text = {"spotify_id": "VARCHAR", "country": "VARCHAR"}
    try:
        header = connect().read_csv(raw, header=True, sample_size=-1)
        types = {column: kind for column, kind in text.items() if column in header.columns}
        table = connect().read_csv(raw, header=True, sample_size=-1, types=types) if types else header
        table.to_parquet(converted)
    except duckdb.Error as error:
        raise DataError(f"{name}: neither Parquet nor CSV: {_line(error)}") from error
    return converted


def require_columns(name: str, path: str | Path, columns: Iterable[str]) -> None:
    """Check that a parquet file has the columns.

    Raises:
        DataError: a column is missing; the message names it and those that are there.
    """
    found = pq.read_schema(path).names
    missing = [column for column in columns if column not in found]
    if missing:
        there = ", ".join(found) or "no columns"
        raise DataError(f"{name}: column {', '.join(missing)} is missing; the table has {there}")


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
