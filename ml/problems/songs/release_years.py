"""The year in which a song was released, as the rankings say it, for the slices of the evaluation."""

from pathlib import Path
from typing import NamedTuple

import duckdb
import ibis

from ml.core.errors import DataError
from ml.data.tables import connect
from ml.problems.songs.columns import RELEASE_DATE

FIRST_YEAR, LAST_YEAR = 1860, 2199
"""What may be the year of a recording; anything else is a year that is not known."""


class Unreadable(NamedTuple):
    """How many rows say a date of release, how many of these hold no year, and an example of one, or ""."""

    dated: int
    rows: int
    example: str


def release_year(rankings: ibis.Table) -> ibis.Value:
    """Return the year in which a chart row's song was released: null where the table does not say it."""
    if RELEASE_DATE not in rankings.columns:
        return ibis.null("int16")
    year = rankings[RELEASE_DATE].cast("string").substr(0, 4).try_cast("int16")
    return year.between(FIRST_YEAR, LAST_YEAR).ifelse(year, ibis.null("int16"))


def unreadable_dates(rankings: str | Path) -> Unreadable:
    """Count the dates of release that hold no year.

    Args:
        rankings: parquet file, with or without the column.

    Raises:
        DataError: the column is damaged.
    """
    table = connect().read_parquet(rankings)
    if RELEASE_DATE not in table.columns:
        return Unreadable(0, 0, "")
    dated = table.filter(table[RELEASE_DATE].notnull())
    yearless = release_year(dated).isnull()
    counts = dated.aggregate(
        dated=dated.count(),
        rows=dated.count(where=yearless),
        example=dated[RELEASE_DATE].cast("string").min(where=yearless).fill_null(""),
    )
    try:
        row = counts.to_pyarrow().to_pylist()[0]
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"rankings: column {RELEASE_DATE} is damaged: {reason}") from error
    return Unreadable(**row)
