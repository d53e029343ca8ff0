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

from ml.data.columns import FEATURES, RANKING_COLUMNS, SONG_COLUMNS, is_broken
from ml.data.release import release_year
from ml.data.splits import SPLITS, Examples, split_of, write_examples
from ml.data.tables import connect, require_structure
from ml.errors import DataError
from ml.files import write_json


def make_examples(
    rankings: str | Path, songs: str | Path, targets: dict[str, Path], labels: str | Path
) -> str:
    """Reduce the two tables to one row a song, split by song, and say how many there are.

    Charts with a null country (Global) are set aside, and so are broken songs. DuckDB streams the
    rankings; what is kept in memory is one row for each song and country.

    Args:
        rankings: parquet file.
        songs: parquet file.
        targets: the parquet file to write for each of `SPLITS`: spotify_id, the features as float32,
            ``counts``, a list of chart rows for each label, and ``released``, the year.
        labels: the JSON file to write: countries in the order of ``counts``, features in theirs.

    Raises:
        DataError: a table is empty, a column is missing or of another kind, or a split has no songs.
    """
    require_structure("rankings", rankings, RANKING_COLUMNS)
    require_structure("songs", songs, SONG_COLUMNS)
    database = connect()
    chart = database.read_parquet(rankings)
    song = database.read_parquet(songs)
    # Values are not judged here: validate does that, beside this step. A song that stands twice is one.
    # A number beyond float32 becomes null.
    narrowed = {name: song[name].try_cast("float32") for name in FEATURES}
    numbers = song.select("spotify_id", **narrowed).distinct(on="spotify_id")
    usable = numbers.filter(~is_broken(numbers))
    national = chart.filter(chart.country.notnull())
    counted = (
        national.mutate(released=release_year(national))
        .group_by(["spotify_id", "country"])
        .agg(rows=ibis._.count(), released=ibis._.released.min())
        .semi_join(usable, "spotify_id")
        .to_pandas()
    )
    features = usable.semi_join(national, "spotify_id").order_by("spotify_id").to_pandas()
    if features.empty:
        example = pq.read_table(rankings, columns=["spotify_id"])["spotify_id"][0]
        raise DataError(
            "rankings: column spotify_id: none of the songs that chart in a country is in the songs "
            f"table, e.g. {example}; give the songs table that belongs to these charts"
        )

    countries = sorted(counted["country"].unique())
    counts = np.zeros((len(features), len(countries)), dtype="int32")
    row = pd.Index(features["spotify_id"]).get_indexer(counted["spotify_id"])
    column = pd.Index(countries).get_indexer(counted["country"])
    np.add.at(counts, (row, column), counted["rows"].to_numpy())

    years = counted.groupby("spotify_id")["released"].min().reindex(features["spotify_id"])
    released = years.fillna(0).to_numpy("int16")

    split = np.array([split_of(spotify_id) for spotify_id in features["spotify_id"]])
    for name in SPLITS:
        chosen = split == name
        if not chosen.any():
            raise DataError(
                f"rankings: only {len(features)} songs, so the {name} split is empty; give more of them"
            )
        inputs = features.loc[chosen, list(FEATURES)].to_numpy("float32")
        ids = features.loc[chosen, "spotify_id"].to_list()
        write_examples(targets[name], Examples(ids, inputs, counts[chosen], released[chosen]))
    write_json(labels, {"schema": "jukebox.labels/v1", "countries": countries, "features": list(FEATURES)})
    sizes = ", ".join(f"{(split == name).sum():,} {name}" for name in SPLITS)
    return f"{len(features):,} songs in {len(countries)} countries: {sizes}"
