"""The songs table: a row for each song that Spotify could analyse, and what names its recording."""

import unicodedata
from pathlib import Path

import pandas as pd

from ml.data.tables import connect
from ml.problems.songs.columns import FEATURES, ID, is_broken

TITLE = ("name", "artists")
"""Columns of the songs table that may be there; together they name a recording."""


def read_songs(songs: str | Path) -> pd.DataFrame:
    """Read the songs that are not broken, one row each, in the order of their ids.

    Args:
        songs: parquet file of the right structure.

    Returns:
        A table of ``id``, ``title`` and the features as float32 (what is beyond it is null).
    """
    table = connect().read_parquet(songs)
    numbers = {name: table[name].try_cast("float32") for name in FEATURES}
    texts = {name: table[name].cast("string") for name in TITLE if name in table.columns}
    # Values are not judged here: validate does that. A song that stands twice is one.
    chosen = table.select(id=table[ID], **numbers, **texts).distinct(on="id")
    read: pd.DataFrame = chosen.filter(~is_broken(chosen)).order_by("id").to_pandas()
    return read[["id", *FEATURES]].assign(title=titles(read))


def titles(songs: pd.DataFrame) -> list[str]:
    """Return title and artist of each song as one text, "" where one of them is not known.

    Case and white space do not count.
    """
    if not set(TITLE) <= set(songs.columns):
        return [""] * len(songs)
    named = [[_one_spelling(text) if isinstance(text, str) else "" for text in songs[name]] for name in TITLE]
    return [f"{title}\0{artist}" if title and artist else "" for title, artist in zip(*named, strict=True)]


def _one_spelling(text: str) -> str:
    """Return a text without case, extra spaces and invisible characters, in one form of Unicode."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(character for character in plain if unicodedata.category(character) != "Cf")
    return " ".join(seen.split())
