"""The profile of the tables that a model is trained on: what later tables are compared with.

It holds no song and no chart: quantiles, shares, correlations, and for some songs two short hashes, of the id
and of the features. It is written by the step `validate`, and becomes part of the candidate.
"""

import hashlib
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from ml.core.records import Count, Number, Record, Share, Text
from ml.data.columns import FEATURES, is_broken
from ml.gate.subjects.drift import KNOWN_SONGS

QUANTILES = 201
"""Quantiles kept of each feature: the distribution function to half a percent."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class KnownSong(Record):
    """A song by its hash: the hash of its features, and the country in whose charts it is most often."""

    features: Hash
    home: Text


class Profile(Record):
    """What the tables of a run are like. Songs are those that chart in a country and are not broken."""

    schema_: Literal["jukebox.profile/v1"] = Field("jukebox.profile/v1", alias="schema")
    data_version: Text
    synthetic: bool
    songs: Annotated[int, Field(ge=1)]
    rows: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1)]
    twins: Share
    quantiles: dict[str, tuple[Number, ...]]
    correlations: tuple[Number, ...]
    countries: dict[str, Count]
    known: dict[Hash, KnownSong]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        for name, values in self.quantiles.items():
            if len(values) != QUANTILES or any(low > high for low, high in pairwise(values)):
                raise ValueError(f"{name} does not have {QUANTILES} quantiles in order")
        count = len(self.quantiles)
        if len(self.correlations) != count * (count - 1) // 2 or any(
            abs(rho) > 1.001 for rho in self.correlations
        ):
            raise ValueError(f"these are not the correlations of {count} features")
        if sum(self.countries.values()) != self.rows:
            raise ValueError("the countries' rows are not all rows")
        if len(self.known) != min(self.songs, KNOWN_SONGS):
            raise ValueError("not as many songs are known as there are")
        return self


def make_profile(
    chart: pd.DataFrame, song: pd.DataFrame, data_version: str, *, synthetic: bool
) -> Profile | None:
    """Make the profile of two tables that keep to the contract's columns; None if nothing in them charts.

    Args:
        chart: rankings: spotify_id, country, snapshot_date.
        song: songs: spotify_id and the features, float64.
        data_version: the tables' version.
        synthetic: whether they are the sample.
    """
    usable = song[~is_broken(song)].drop_duplicates("spotify_id")
    national = chart[chart["country"].notna() & chart["spotify_id"].isin(usable["spotify_id"])]
    # In the order of the ids, sums come out the same to the last bit, however the rows were ordered.
    charting = usable[usable["spotify_id"].isin(national["spotify_id"])].sort_values("spotify_id")
    values = charting[list(FEATURES)].to_numpy("float32")
    days = int(national["snapshot_date"].nunique())
    if not len(values) or not days or not np.isfinite(values).all():
        return None
    steps = np.linspace(0, 1, QUANTILES)
    counts = national["country"].astype(str).value_counts()
    return Profile(
        data_version=data_version,
        synthetic=synthetic,
        songs=len(values),
        rows=len(national),
        days=days,
        twins=float(charting.duplicated(list(FEATURES), keep=False).mean()),
        quantiles={
            name: tuple(_short(value) for value in np.quantile(values[:, index].astype("float64"), steps))
            for index, name in enumerate(FEATURES)
        },
        correlations=_correlations(values),
        countries={str(name): int(counts[name]) for name in sorted(counts.index)},
        known=_known(charting["spotify_id"].to_list(), values, national),
    )


def pairs() -> list[tuple[str, str]]:
    """Return the pairs of features in the order of ``correlations``."""
    return [
        (FEATURES[row], FEATURES[column])
        for row, column in zip(*np.triu_indices(len(FEATURES), 1), strict=True)
    ]


def _correlations(values: np.ndarray) -> tuple[float, ...]:
    """Return Spearman's rank correlation of each pair of features; 0 where one is constant."""
    ranks = pd.DataFrame(values).rank().to_numpy()
    centred = ranks - ranks.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0))
    safe = np.where(scale > 0, scale, 1.0)
    matrix = (centred / safe).T @ (centred / safe)
    return tuple(_short(value) for value in matrix[np.triu_indices(values.shape[1], 1)])


def _short(value: float) -> float:
    """Round to nine digits, which tell any two float32 apart."""
    return float(f"{value:.9g}")


def _known(ids: list[str], values: np.ndarray, national: pd.DataFrame) -> dict[str, KnownSong]:
    counted = national.groupby(["spotify_id", "country"], observed=True).size()
    # Of countries with as many rows the first in the alphabet: the same on every machine.
    # Text, as categories would sort in the order of the file.
    named = counted.reset_index(name="rows").astype({"country": str})
    ordered = named.sort_values(["rows", "country"], ascending=[False, True])
    home = ordered.drop_duplicates("spotify_id").set_index("spotify_id")["country"]
    hashed = sorted((_hash(song.encode()), song, index) for index, song in enumerate(ids))
    return {
        key: KnownSong(features=_hash(values[index].tobytes()), home=str(home[song]))
        for key, song, index in hashed[:KNOWN_SONGS]
    }


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
