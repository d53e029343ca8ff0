"""Rankings and songs in, one training example a song out.

A song that charts in 40 countries for 300 days is 12,000 chart rows with the same 13 inputs. The cross
entropy over those rows equals the weighted cross entropy of one row against the song's country
distribution, so the rows are counted once, here, and the cost of training grows with songs only.
"""

from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ml.core.errors import DataError
from ml.core.files import write_json
from ml.data.columns import FEATURES, RANKING_COLUMNS, SONG_COLUMNS
from ml.data.recordings import MARKS, read_songs, recordings_of
from ml.data.release_years import release_year
from ml.data.splits import SPLIT_OF_SHARE, SPLITS, Examples, split_of, write_examples
from ml.data.tables import connect, require_structure

DEFINITION = "songs/v1"
"""What an example is, and how the two tables become examples."""


def make_examples(
    rankings: str | Path, songs: str | Path, targets: dict[str, Path], labels: str | Path
) -> str:
    """Reduce the two tables to one row a song, split by recording, and say how many there are.

    Args:
        rankings: parquet file.
        songs: parquet file; one of a snapshot has its column ``share``.
        targets: the parquet file to write for each of `SPLITS`: spotify_id, the features as float32,
            ``counts``, a list of chart rows for each label, and ``released``, the year.
        labels: the JSON file to write: countries in the order of ``counts``, features in theirs.

    Raises:
        DataError: a table is empty, a column is missing or of another kind, or a split has no songs.
    """
    require_structure("rankings", rankings, RANKING_COLUMNS)
    require_structure("songs", songs, SONG_COLUMNS)
    song = read_songs(songs)
    examples, countries = count_charts(rankings, song)
    split = _splits(song).reindex(examples.ids).to_numpy()
    for name in SPLITS:
        chosen = np.flatnonzero(split == name)
        if not len(chosen):
            raise DataError(
                f"rankings: only {len(examples.ids)} songs, so the {name} split is empty; give more of them"
            )
        write_examples(targets[name], examples.take(chosen))
    write_json(labels, {"schema": "jukebox.labels/v1", "countries": countries, "features": list(FEATURES)})
    sizes = ", ".join(f"{(split == name).sum():,} {name}" for name in SPLITS)
    return f"{len(examples.ids):,} songs in {len(countries)} countries: {sizes}"


def count_charts(
    rankings: str | Path, songs: pd.DataFrame, countries: list[str] | None = None
) -> tuple[Examples, list[str]]:
    """Return one example for each song that charts, in the order of the ids, and the labels.

    Charts with a null country (Global) are set aside. DuckDB streams the rankings; what is kept in memory
    is one row for each song and country.

    Args:
        rankings: parquet file.
        songs: as `ml.data.recordings.read_songs` returns them.
        countries: the labels; charts of other countries are left out. None takes all that there are.

    Raises:
        DataError: none of the songs charts.
    """
    chart = connect().read_parquet(rankings)
    national = chart.filter(chart.country.notnull() if countries is None else chart.country.isin(countries))
    counted = (
        national.mutate(released=release_year(national))
        .semi_join(ibis.memtable(songs[["spotify_id"]]), "spotify_id")
        .group_by(["spotify_id", "country"])
        .agg(rows=ibis._.count(), released=ibis._.released.min())
        .to_pandas()
    )
    features = songs[songs["spotify_id"].isin(counted["spotify_id"])].reset_index(drop=True)
    if features.empty:
        example = pq.read_table(rankings, columns=["spotify_id"])["spotify_id"][0]
        raise DataError(
            "rankings: column spotify_id: none of the songs that chart in a country is in the songs "
            f"table, e.g. {example}; give the songs table that belongs to these charts"
        )

    labels = sorted(counted["country"].unique()) if countries is None else countries
    counts = np.zeros((len(features), len(labels)), dtype="int32")
    row = pd.Index(features["spotify_id"]).get_indexer(counted["spotify_id"])
    column = pd.Index(labels).get_indexer(counted["country"])
    np.add.at(counts, (row, column), counted["rows"].to_numpy())

    years = counted.groupby("spotify_id")["released"].min().reindex(features["spotify_id"])
    released = years.fillna(0).to_numpy("int16")
    inputs = features[list(FEATURES)].to_numpy("float32")
    return Examples(features["spotify_id"].to_list(), inputs, counts, released), labels


def _splits(songs: pd.DataFrame) -> pd.Series:
    """Return the split of each song by its id.

    Raises:
        DataError: the shares of a snapshot are not what they should be.
    """
    ids = pd.Index(songs["spotify_id"])
    if not set(MARKS) <= set(songs.columns):
        return pd.Series([split_of(recording) for recording in recordings_of(songs)], index=ids)
    strange = songs[~songs["share"].isin(list(SPLIT_OF_SHARE))]
    torn = songs[songs.groupby("recording")["share"].transform("nunique") != 1]
    for rows, fault in ((strange, "is none of a snapshot"), (torn, "is not that of all of its recording")):
        if len(rows):
            first = rows.iloc[0]
            raise DataError(
                f"songs: column share: {first['share']!r} (song {first['spotify_id']}) {fault}; fetch the "
                "snapshot again"
            )
    return pd.Series(songs["share"].map(SPLIT_OF_SHARE).to_numpy(), index=ids)
