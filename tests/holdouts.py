"""Sealed holdouts of small tables, and what is in them."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from tables import Files, sample_tables, titled_songs, write_tables

from ml.problems.songs.columns import FEATURES
from ml.problems.songs.sample_spec import SampleSpec
from ml.judge.holdout import Places, Sealed, seal_holdout
from ml.judge.holdout_key import HoldoutKey
from ml.judge.ledger import Ledger, append, read_ledger
from ml.judge.splitter import Split, split

KEY = HoldoutKey(bytes(range(32)))
OTHER_KEY = HoldoutKey(bytes(range(1, 33)))
VERSION = "0123456789abcdef"
SMALL = SampleSpec(songs=400, days=4, seed=7)
"""Few songs, whose charts are enough for the contract and for every share."""


def random_songs(count: int, seed: int = 1, prefix: str = "song") -> pd.DataFrame:
    """Make songs as `read_songs` returns them, none near another."""
    rng = np.random.default_rng(seed)
    songs = titled_songs([f"{prefix}{row}" for row in range(count)])
    values = rng.uniform(0.05, 0.95, size=(count, len(FEATURES)))
    values[:, [FEATURES.index(name) for name in ("is_explicit", "mode")]] = rng.integers(0, 2, (count, 2))
    values[:, FEATURES.index("key")] = rng.integers(0, 12, count)
    values[:, FEATURES.index("duration_ms")] = rng.integers(60_000, 400_000, count)
    values[:, FEATURES.index("loudness")] *= -20
    values[:, FEATURES.index("tempo")] *= 200
    songs[list(FEATURES)] = values.astype("float32")
    return songs


def recorded(folder: Path, songs: pd.DataFrame, key: HoldoutKey = KEY, version: str = VERSION) -> Ledger:
    """Decide about songs, append what is new to the ledger in a folder, and read it."""
    ledger = read_ledger(str(folder))
    found = split(songs, ledger, key, version)
    if not found.news.empty:
        assert append(str(folder), ledger, found.news, key.id, version)
    return read_ledger(str(folder))


def places_of(songs: pd.DataFrame, found: Split) -> dict[str, str]:
    """Where each song went."""
    return dict(zip(songs["spotify_id"], found.place, strict=True))


def seal(folder: Path, tables: Files, key: HoldoutKey = KEY) -> Sealed:
    """Seal tables into ``holdout`` and ``snapshots`` of a folder."""
    return seal_holdout(*map(str, tables), places(folder), key)


def places(folder: Path) -> Places:
    return Places(str(folder / "holdout"), str(folder / "snapshots"))


def small_tables(folder: Path) -> Files:
    """Write the small sample as files."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_tables(folder, *sample_tables(SMALL))


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def snapshot_songs(sealed: Sealed) -> pd.DataFrame:
    """The songs of a snapshot."""
    return pd.read_parquet(Path(sealed.snapshot_uri) / "songs.parquet")


def sealed_ids(folder: Path) -> set[str]:
    """The ids that the ledger in a folder calls sealed."""
    rows = read_ledger(str(folder / "holdout")).rows
    return set(rows["id"][rows["side"] == "sealed"])


def table_of(data: bytes) -> pd.DataFrame:
    """A parquet file as a table."""
    return pd.read_parquet(io.BytesIO(data))
