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
SMALL = SampleSpec(songs=400, days=4, seed=7)
"""Few songs, whose charts are enough for the contract and for every share."""


class Files(NamedTuple):
    """Where two tables lie."""

    rankings: Path
    songs: Path

    @property
    def paths(self) -> dict[str, Path]:
        return self._asdict()


def real_tables() -> Files:
    """Give the real tables, or skip the test."""
    files = Files(REAL / "song_rankings.parquet", REAL / "song_properties.parquet")
    if missing := [path.name for path in files if not path.exists()]:
        pytest.skip(f"needs the real charts: {', '.join(missing)} not found in {REAL}")
    return files


@cache
def _sample(spec: SampleSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder) / "rankings.parquet", Path(folder) / "songs.parquet")
        sample.write_tables(spec, *files)
        rankings, songs = (pd.read_parquet(path) for path in files)
    # Plain text, so that a test may set any value.
    return rankings.astype(dict.fromkeys(("spotify_id", "name", "artists", "country"), object)), songs


def sample_tables(spec: SampleSpec = SPEC) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the rankings and the songs of a sample, to be changed at will."""
    rankings, songs = _sample(spec)
    return rankings.copy(), songs.copy()


def write_tables(folder: Path, rankings: pd.DataFrame, songs: pd.DataFrame) -> Files:
    files = Files(folder / "rankings.parquet", folder / "songs.parquet")
    rankings.to_parquet(files.rankings, index=False)
    songs.to_parquet(files.songs, index=False)
    return files


def write_csv(folder: Path, rankings: pd.DataFrame, songs: pd.DataFrame) -> Files:
    files = Files(folder / "rankings.csv", folder / "songs.csv")
    rankings.to_csv(files.rankings, index=False)
    songs.to_csv(files.songs, index=False)
    return files


def small_tables(folder: Path) -> Files:
    """Write the small sample as files."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_tables(folder, *sample_tables(SMALL))


def validated(folder: Path, files: Files, champion_profile: Path | str = "", synthetic: bool = True) -> str:
    """Run `validate`, beside a champion where its profile is given; report and profile are in the folder."""
    source = folder / "source.json"
    source.write_text(json.dumps({"data_version": "0123456789abcdef", "synthetic": synthetic}))
    champion = "c" * 64 if champion_profile else ""
    written = folder / "data_report.json", folder / "profile.json"
    return validate(definition, files.paths, source, champion_profile, champion, *written)


def charts(rows: Sequence[tuple[str, str | None, int]]) -> pd.DataFrame:
    """Make rankings from (song, country, days): one row a day, at rank 1."""
    first, columns = pd.Timestamp("2024-01-01"), ["spotify_id", "country", "daily_rank", "snapshot_date"]
    days = [
        (song, land, 1, first + pd.Timedelta(days=day)) for song, land, days in rows for day in range(days)
    ]
    return pd.DataFrame(days, columns=columns)


def songs_of(ids: Sequence[str]) -> pd.DataFrame:
    """Make songs whose features tell them and their columns apart; none is broken."""
    values = [[100.0 * row + column + 1 for column in range(len(FEATURES))] for row in range(len(ids))]
    songs = pd.DataFrame(values, columns=list(FEATURES))
    songs.insert(0, "spotify_id", list(ids))
    return songs
