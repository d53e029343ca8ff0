"""What the jukebox's data is: two tables, an example a song, a class a country.

The constants and functions are those of `ml.problem.Definition`. What is heavy is imported where it is used:
naming a data version needs none of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.gate.nouns import Nouns
from ml.problem import Contents, Examples, NearCopies, TableContract
from ml.problems.songs.columns import FEATURES as FEATURES  # noqa: PLC0414
from ml.problems.songs.columns import ID, RANKING_COLUMNS, SONG_COLUMNS, is_broken
from ml.problems.songs.sample_spec import GENERATOR, parse_sample_uri

if TYPE_CHECKING:
    import pandas as pd


VERSION = "songs/v1"
NOUNS = Nouns(
    example="song",
    examples="songs",
    class_="country",
    classes="countries",
    row="chart row",
    rows="chart rows",
)
TABLES = {
    "rankings": TableContract(RANKING_COLUMNS, id=ID),
    "songs": TableContract(SONG_COLUMNS, id=ID),
}
EXAMPLES_TABLE = "songs"

NEAR_COPIES = NearCopies(ignored=("is_explicit", "key", "mode"), sorted_by="duration_ms")
"""Truth values and keys have no hundredth, and one that is turned over would make another song of a copy."""


def describe_sample(uri: str) -> Mapping[str, Any]:
    """Return the generator's version, and size and seed of a sample."""
    return {"generator": GENERATOR, "sample": parse_sample_uri(uri).model_dump()}


def write_sample(uri: str, targets: Mapping[str, Path]) -> None:
    """Write both tables of the sample."""
    from ml.problems.songs.sample import write_tables

    write_tables(parse_sample_uri(uri), targets["rankings"], targets["songs"])


def check_contents(tables: Mapping[str, Path]) -> Contents:
    """Check sizes, dates, ranges and keys, and that the two tables belong together."""
    from ml.data.tables import read_columns
    from ml.problems.songs.checks import check_tables

    chart = read_columns("rankings", tables["rankings"], RANKING_COLUMNS, encoded=(ID, "country"))
    song = read_columns("songs", tables["songs"], SONG_COLUMNS)
    set_aside = {
        "Global rows": int(chart["country"].isna().sum()),
        "broken songs": int(is_broken(song).sum()),
    }
    return Contents(check_tables(chart, song, tables["rankings"]), set_aside)


def read_entries(tables: Mapping[str, Path]) -> "pd.DataFrame":
    """Return the songs that Spotify could analyse."""
    from ml.problems.songs.entries import read_songs

    return read_songs(tables["songs"])


def make_examples(
    tables: Mapping[str, Path], entries: "pd.DataFrame", classes: Sequence[str] | None
) -> Examples:
    """Return an example for each song that charts in a country."""
    from ml.problems.songs.examples import count_charts

    return count_charts(tables["rankings"], entries, classes)
