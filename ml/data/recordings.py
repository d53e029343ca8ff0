"""Songs by recording: one recording often has several ids, and all of them belong on one side of a split.

Ids are one recording if they share all features exactly, or title and artist where the table has these
columns, or if a chain of such ids joins them. Songs that Spotify could not analyse are none.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ml.data.columns import FEATURES, is_broken
from ml.data.tables import connect

TITLE = ("name", "artists")
"""Columns of the songs table that may be there; together they name a recording."""

MARKS = ("recording", "share")
"""Columns that the songs table of a snapshot has besides."""


def read_songs(songs: str | Path) -> pd.DataFrame:
    """Read the songs that are not broken, one row each, in the order of their ids.

    Args:
        songs: parquet file of the right structure.

    Returns:
        A table of ``spotify_id``, the features as float32 (what is beyond it is null), and as text those of
        `TITLE` and `MARKS` that are there.
    """
    table = connect().read_parquet(songs)
    numbers = {name: table[name].try_cast("float32") for name in FEATURES}
    texts = {name: table[name].cast("string") for name in (*TITLE, *MARKS) if name in table.columns}
    # Values are not judged here: validate does that. A song that stands twice is one.
    chosen = table.select("spotify_id", **numbers, **texts).distinct(on="spotify_id")
    found: pd.DataFrame = chosen.filter(~is_broken(chosen)).order_by("spotify_id").to_pandas()
    return found


def feature_digests(features: np.ndarray) -> list[str]:
    """Return a digest of each row of features, float32 [N, 13]: 64 hexadecimal digits."""
    # Zero has two signs, and equals itself under both.
    values = np.ascontiguousarray(features, dtype="<f4") + np.float32(0)
    return [hashlib.sha256(row.tobytes()).hexdigest() for row in values]


def title_digests(songs: pd.DataFrame) -> list[str]:
    """Return a digest of title and artist of each song, "" where one of them is not known.

    Case and white space do not count.
    """
    if not set(TITLE) <= set(songs.columns):
        return [""] * len(songs)
    named = [_plain(songs[column]) for column in TITLE]
    return [
        hashlib.sha256(f"{title}\0{artist}".encode()).hexdigest() if title and artist else ""
        for title, artist in zip(*named, strict=True)
    ]


def _plain(texts: pd.Series) -> list[str]:
    return [_one_spelling(text) if isinstance(text, str) else "" for text in texts]


def _one_spelling(text: str) -> str:
    """Return a text without case, spaces of its own, and what is not seen, in one form of Unicode."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(character for character in plain if unicodedata.category(character) != "Cf")
    return " ".join(seen.split())


def joined(*links: Sequence[str]) -> np.ndarray:
    """Return a number for each row, the same for rows that a chain of shared values joins, int64 [N].

    Args:
        links: columns of N values each; "" joins nothing.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = len(links[0])
    first = rows
    ends = []
    for values in links:
        codes, distinct = pd.factorize(pd.Series([value or None for value in values], dtype="object"))
        known = np.flatnonzero(codes >= 0)
        ends.append((known, first + codes[known]))
        first += len(distinct)
    row, node = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_array((np.ones(len(row), dtype="int8"), (row, node)), shape=(first, first))
    return np.asarray(connected_components(graph, directed=False)[1][:rows], dtype="int64")


def recording_keys(features: Sequence[str], titles: Sequence[str], groups: np.ndarray) -> np.ndarray:
    """Return the key of each row's group: its smallest title digest, or feature digest if it has no title.

    A key stays the same when ids of the same title come or go, and when features are measured anew.

    Args:
        features: feature digests, [N].
        titles: title digests, "" for none, [N].
        groups: as `joined` returns them, [N].
    """
    named = [title or None for title in titles]
    table = pd.DataFrame({"group": groups, "features": features, "title": named})
    smallest = table.groupby("group")[["title", "features"]].min()
    keys = smallest["title"].fillna(smallest["features"])
    return np.asarray(keys.reindex(groups), dtype="object")


def recordings_of(songs: pd.DataFrame) -> np.ndarray:
    """Return the key of each song's recording, [N]: 64 hexadecimal digits.

    Args:
        songs: as `read_songs` returns them.
    """
    features, titles = feature_digests(songs[list(FEATURES)].to_numpy("float32")), title_digests(songs)
    return recording_keys(features, titles, joined(features, titles))
