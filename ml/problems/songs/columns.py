"""The columns of the two tables, and the names that everything else uses for them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml.problem import Kind

FEATURES = (
    "is_explicit",
    "duration_ms",
    "danceability",
    "energy",
    "key",
    "loudness",
    "mode",
    "speechiness",
    "acousticness",
    "instrumentalness",
    "liveness",
    "valence",
    "tempo",
)
"""The 13 inputs of the model, in the order of its input tensor."""

ID = "spotify_id"
"""The column that names the song, in both tables."""

RANKING_COLUMNS: "dict[str, Kind]" = {
    "spotify_id": "text",
    "country": "text",
    "daily_rank": "a number",
    "snapshot_date": "a date",
}
"""What a rankings table must hold; other columns may be there and are not read."""

RELEASE_DATE = "album_release_date"
"""A column of the rankings that may be there: text that begins with a year, a date, or all null as in the
real table of December 2023. Nothing but the slices of the evaluation reads it."""

SONG_COLUMNS: "dict[str, Kind]" = {"spotify_id": "text", **dict.fromkeys(FEATURES, "a number")}
"""What a songs table must hold. A truth value counts as a number."""

RANGES = {
    "is_explicit": (0.0, 1.0),
    "duration_ms": (0.0, 86_400_000.0),
    "danceability": (0.0, 1.0),
    "energy": (0.0, 1.0),
    "key": (-1.0, 11.0),
    "loudness": (-80.0, 10.0),
    "mode": (0.0, 1.0),
    "speechiness": (0.0, 1.0),
    "acousticness": (0.0, 1.0),
    "instrumentalness": (0.0, 1.0),
    "liveness": (0.0, 1.0),
    "valence": (0.0, 1.0),
    "tempo": (0.0, 400.0),
}
"""Smallest and largest value of each feature: shares, milliseconds, decibels, beats a minute.

A duration or a tempo of 0 is inside the range, but broken: see `is_broken`.
"""


def is_broken(songs: Any) -> Any:
    """Tell the songs that Spotify could not analyse: a duration or a tempo of 0.

    They are a known oddity of the real table. They are dropped, and the data contract counts them. The
    same expression serves a pandas table and an ibis one.
    """
    return (songs["duration_ms"] == 0) | (songs["tempo"] == 0)
