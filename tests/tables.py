"""Small real tables of the jukebox for tests: the sample in memory, as files, and charts counted by hand."""

import json
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from ml.data.contract import validate
from ml.problems.songs import definition, sample
from ml.problems.songs.columns import FEATURES
from ml.problems.songs.sample_spec import SampleSpec

REAL = Path(__file__).parents[2] / "shared" / "data"
"""Real chart tables beside the repository; their licence keeps them out of it."""

SPEC = SampleSpec(songs=600, days=7, seed=7)


class Files(NamedTuple):
    """Where two tables lie."""

    rankings: Path
    songs: Path

    @property
    def paths(self) -> dict[str, Path]:
        """The paths by the tables' names."""
        return self._asdict()


def real_tables() -> Files:
    """Give the real tables, or skip the test."""
    files = Files(REAL / "song_rankings.parquet", REAL / "song_properties.parquet")
    missing = [path.name for path in files if not path.exists()]
    if missing:
        pytest.skip(f"needs the real charts: {', '.join(missing)} not found in {REAL}")
    return files


@cache
def _sample(spec: SampleSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder) / "rankings.parquet", Path(folder) / "songs.parquet")
        sample.write_tables(spec, *files)
        rankings, songs = (pd.read_parquet(path) for path in files)
    # Plain text, so that a test may set any value.
    for column in ("spotify_id", "name", "artists", "country"):
        rankings[column] = rankings[column].astype(object)
    return rankings, songs


def sample_tables(spec: SampleSpec = SPEC) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the rankings and the songs of a sample, to be changed at will."""
    rankings, songs = _sample(spec)
    return rankings.copy(), songs.copy()


def write_tables(folder: Path, rankings: pd.DataFrame, songs: pd.DataFrame) -> Files:
    """Write two tables as parquet files."""
    files = Files(folder / "rankings.parquet", folder / "songs.parquet")
    rankings.to_parquet(files.rankings, index=False)
    songs.to_parquet(files.songs, index=False)
    return files


def write_csv(folder: Path, rankings: pd.DataFrame, songs: pd.DataFrame) -> Files:
    """Write two tables as CSV files."""
    files = Files(folder / "rankings.csv", folder / "songs.csv")
    rankings.to_csv(files.rankings, index=False)
    songs.to_csv(files.songs, index=False)
    return files


def validated(folder: Path, files: Files, champion_profile: Path | str = "", synthetic: bool = True) -> str:
    """Run `validate`, beside a champion where its profile is given; report and profile are in the folder."""
    source = folder / "source.json"
    source.write_text(json.dumps({"data_version": "0123456789abcdef", "synthetic": synthetic}))
    champion = "c" * 64 if champion_profile else ""
    written = folder / "data_report.json", folder / "profile.json"
    return validate(definition, files.paths, source, champion_profile, champion, *written)


def charts(rows: Sequence[tuple[str, str | None, int]]) -> pd.DataFrame:
    """Make rankings from (song, country, days): one row a day, at rank 1."""
    first = pd.Timestamp("2024-01-01")
    return pd.DataFrame(
        [
            {
                "spotify_id": song,
                "country": country,
                "daily_rank": 1,
                "snapshot_date": first + pd.Timedelta(days=day),
            }
            for song, country, days in rows
            for day in range(days)
        ],
        columns=["spotify_id", "country", "daily_rank", "snapshot_date"],
    )


def songs_of(ids: Sequence[str]) -> pd.DataFrame:
    """Make songs whose features tell them and their columns apart; none is broken."""
    return pd.DataFrame(
        [
            {
                "spotify_id": song,
                **{name: float(row * 100 + column + 1) for column, name in enumerate(FEATURES)},
            }
            for row, song in enumerate(ids)
        ]
    )


SMALL = SampleSpec(songs=400, days=4, seed=7)
"""Few songs, whose charts are enough for the contract and for every share."""


def small_tables(folder: Path) -> Files:
    """Write the small sample as files."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_tables(folder, *sample_tables(SMALL))
