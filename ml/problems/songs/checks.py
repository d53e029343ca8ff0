"""What the data contract says of the contents of the two tables, and its numbers.

pandera checks ranges, nulls and keys; a few checks of whole tables stand beside it.
"""

import datetime
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from ml.data.contract import WHOLE_TABLE, data_check, schema_checks
from ml.gate.subjects.data import DataCheck
from ml.problems.songs.columns import FEATURES, ID, RANGES, RELEASE_DATE, is_broken
from ml.problems.songs.release_years import unreadable_dates

MIN_RANKINGS, MIN_SONGS, MIN_COUNTRIES = 1000, 100, 5
"""How little is still a chart table."""

MIN_KNOWN_SONGS = 0.99
"""Share of ranked songs that the songs table knows."""

MAX_BROKEN_SONGS = 0.01
"""Share of songs that Spotify could not analyse; the real table has 0.0005."""

MAX_UNREADABLE_DATES = 0.01
"""Share of the dates of release that hold no year, as 0000, which Spotify writes where it knows none."""

FIRST_DATE = datetime.date(2008, 10, 7)
"""The day on which Spotify opened."""


def check_tables(chart: pd.DataFrame, song: pd.DataFrame, rankings: str | Path) -> list[DataCheck]:
    """Check what is in tables of the right structure.

    Args:
        chart: the rankings' columns that must be there.
        song: the songs'.
        rankings: the parquet file of the rankings, for the column that may be there.

    Raises:
        DataError: that column is damaged.
    """
    return [
        *_sizes(chart, song),
        _dates(rankings),
        *schema_checks(chart, _ranking_schema(), _RANKING_CHECKS, _KEY),
        *schema_checks(song, _song_schema(), _SONG_CHECKS, [ID]),
    ]


def _sizes(chart: pd.DataFrame, song: pd.DataFrame) -> list[DataCheck]:
    ranked = pd.Index(chart["spotify_id"].unique())
    unknown = ranked.difference(pd.Index(song["spotify_id"]))
    known = 1 - len(unknown) / len(ranked) if len(ranked) else 0.0
    countries = chart["country"].nunique()
    broken = song["spotify_id"][is_broken(song)]
    share = len(broken) / len(song) if len(song) else 0.0
    return [
        data_check("rankings.rows", len(chart), ">=", MIN_RANKINGS, f"only {len(chart)} rows"),
        data_check("songs.rows", len(song), ">=", MIN_SONGS, f"only {len(song)} rows"),
        data_check(
            "rankings.countries",
            countries,
            ">=",
            MIN_COUNTRIES,
            f"column country: only {countries} countries",
        ),
        data_check(
            "rankings.known_songs",
            known,
            ">=",
            MIN_KNOWN_SONGS,
            f"column spotify_id: {len(unknown)} of {len(ranked)} ranked songs are not in the songs table"
            + (f", e.g. {unknown[0]!r}" if len(unknown) else ""),
        ),
        data_check(
            "songs.broken",
            share,
            "<=",
            MAX_BROKEN_SONGS,
            f"columns duration_ms, tempo: {len(broken)} of {len(song)} songs are 0 in one of them"
            + (f", e.g. {broken.iloc[0]}" if len(broken) else ""),
        ),
    ]


def _dates(rankings: str | Path) -> DataCheck:
    """Check that dates of release can be read: slices of years would vanish unnoticed where they cannot."""
    dated, rows, example = unreadable_dates(rankings)
    return data_check(
        "rankings.release_date",
        rows / dated if dated else 0.0,
        "<=",
        MAX_UNREADABLE_DATES,
        f"column {RELEASE_DATE}: {rows} of {dated} dates do not begin with a year, e.g. {example!r}",
    )


_KEY = [ID, "country", "snapshot_date"]
_RANKING_CHECKS = {
    ("spotify_id", "not_nullable"): "rankings.song_present",
    ("country", "country_code"): "rankings.country_code",
    ("daily_rank", "not_nullable"): "rankings.daily_rank",
    ("daily_rank", "rank"): "rankings.daily_rank",
    ("snapshot_date", "not_nullable"): "rankings.snapshot_date",
    ("snapshot_date", "plausible"): "rankings.snapshot_date",
    (WHOLE_TABLE, "unique"): "rankings.unique",
}
_SONG_CHECKS = {
    ("spotify_id", "not_nullable"): "songs.song_present",
    ("spotify_id", "field_uniqueness"): "songs.unique",
    **{(name, "not_nullable"): "songs.features_present" for name in FEATURES},
    **{(name, "range"): "songs.features_in_range" for name in FEATURES},
}


def _ranking_schema() -> pa.DataFrameSchema:
    first = pd.Timestamp(FIRST_DATE)
    last = pd.Timestamp.now().normalize() + pd.Timedelta(days=1)

    def is_code(codes: pd.Series) -> pd.Series:
        return codes.astype("str").str.fullmatch("[A-Z]{2}")

    def is_unique(table: pd.DataFrame) -> pd.Series:
        return ~table.duplicated(_KEY)

    return pa.DataFrameSchema(
        {
            "spotify_id": pa.Column(nullable=False),
            "country": pa.Column(nullable=True, checks=pa.Check(is_code, name="country_code")),
            "daily_rank": pa.Column(nullable=False, checks=pa.Check.in_range(1, 1000, name="rank")),
            "snapshot_date": pa.Column(
                nullable=False, checks=pa.Check.in_range(first, last, name="plausible")
            ),
        },
        checks=pa.Check(is_unique, name="unique"),
    )


def _song_schema() -> pa.DataFrameSchema:
    features = {
        name: pa.Column(nullable=False, checks=pa.Check.in_range(*RANGES[name], name="range"))
        for name in FEATURES
    }
    return pa.DataFrameSchema({"spotify_id": pa.Column(nullable=False, unique=True), **features})
