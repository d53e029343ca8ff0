"""Chart rows and songs in, one example a song out.

A song that charts in 40 countries for 300 days is 12,000 chart rows with the same 13 inputs. The cross
entropy over those rows equals the weighted cross entropy of one row against the song's country
distribution, so the rows are counted once, here, and the cost of training grows with songs only.
"""

from collections.abc import Sequence
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ml.core.errors import DataError
from ml.data.tables import connect
from ml.problem import Examples
from ml.problems.songs.columns import FEATURES, ID
from ml.problems.songs.release_years import release_year


def count_charts(
    rankings: str | Path, songs: pd.DataFrame, countries: Sequence[str] | None = None
) -> Examples:
    """Return one example for each song that charts, in the order of the ids.

    Charts with a null country (Global) are left out. DuckDB streams the rankings; what is kept in memory
    is one row for each song and country.

    Args:
        rankings: parquet file.
        songs: as `ml.problems.songs.entries.read_songs` returns them.
        countries: the classes; charts of other countries are left out. None takes all that there are.

    Raises:
        DataError: none of the songs charts.
    """
    chart = connect().read_parquet(rankings)
    national = chart.filter(chart.country.notnull() if countries is None else chart.country.isin(countries))
    counted = (
        national.mutate(id=national[ID], released=release_year(national))
        .semi_join(ibis.memtable(songs[["id"]]), "id")
        .group_by(["id", "country"])
        .agg(rows=ibis._.count(), released=ibis._.released.min())
        .to_pandas()
    )
    features = songs[songs["id"].isin(counted["id"])].reset_index(drop=True)
    if features.empty:
        example = pq.read_table(rankings, columns=[ID])[ID][0]
        raise DataError(
            f"rankings: column {ID}: none of the songs that chart in a country is in the songs table, e.g. "
            f"{example}; give the songs table that belongs to these charts"
        )
    labels = tuple(sorted(counted["country"].unique()) if countries is None else countries)
    counts = np.zeros((len(features), len(labels)), dtype="int32")
    row = pd.Index(features["id"]).get_indexer(counted["id"])
    column = pd.Index(labels).get_indexer(counted["country"])
    np.add.at(counts, (row, column), counted["rows"].to_numpy())
    years = counted.groupby("id")["released"].min().reindex(features["id"]).fillna(0).to_numpy("int16")
    inputs = features[list(FEATURES)].to_numpy("float32")
    return Examples(features["id"].to_list(), inputs, counts, labels, _slices(inputs, years))


def _slices(features: np.ndarray, years: np.ndarray) -> dict[str, np.ndarray]:
    """Return the families of slices beside the countries: explicit or not, decade, newest year or not.

    Args:
        features: float32 [N, 13].
        years: the year of release, int16 [N], 0 where it is not known.
    """
    explicit = features[:, FEATURES.index("is_explicit")] > 0.5
    known, newest = years > 0, years.max(initial=0)
    decades = [f"{year // 10 * 10}s" for year in years]
    return {
        "explicit": np.where(explicit, "yes", "no").astype(object),
        "decade": np.where(known, np.array(decades, dtype=object), ""),
        "released": np.where(known, np.where(years == newest, "this year", "earlier"), "").astype(object),
    }
