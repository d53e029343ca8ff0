"""The embedded sample: synthetic songs and charts with the columns and oddities of the real tables.

Nothing in it is real. Each country has a taste (weights on kinks in the space of the audio features, so
that no linear model finds it all) and each song a popularity and a season; a day's chart is a country's
fifty best. So there is signal for a model to find, and noise enough that no model finds all of it.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.core.files import whole_file
from ml.problems.songs.columns import FEATURES
from ml.problems.songs.sample_spec import SampleSpec

COUNTRIES = (
    "AE AR AT AU BE BG BO BR BY CA CH CL CO CR CZ DE DK DO EC EE EG ES FI FR GB GR GT HK HN HU "
    "ID IE IL IN IS IT JP KR KZ LT LU LV MA MX MY NG NI NL NO NZ PA PE PH PK PL PT PY RO SA SE "
    "SG SK SV TH TR TW UA US UY VE VN ZA"
).split()
CHART_LENGTH = 50
KINKS = 24
FIRST_DAY = np.datetime64("2023-10-18")
GLOBAL = len(COUNTRIES)
"""The code of the Global chart, whose country is null, as in the real table."""


def write_tables(spec: SampleSpec, rankings: str | Path, songs: str | Path) -> tuple[int, int]:
    """Write the two tables as parquet; return the numbers of chart rows and of songs.

    The same spec gives the same tables, chart by chart.

    Raises:
        OSError: a file cannot be written.
    """
    rng = np.random.default_rng(spec.seed)
    table, taste = _songs(rng, spec)
    with whole_file(songs) as file:
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), file)
    charts = _charts(rng, spec, taste)
    with whole_file(rankings) as file:
        pq.write_table(_rankings(charts, table, _released(spec)), file)
    return len(charts["song"]), len(table)


def _songs(rng: np.random.Generator, spec: SampleSpec) -> tuple[pd.DataFrame, np.ndarray]:
    """Make the songs, and how much each country likes each: [countries, songs] in standard deviations."""
    count = spec.songs
    latent = rng.normal(size=(count, 4))
    mix = rng.normal(size=(4, len(FEATURES)))
    raw = latent @ mix + 0.7 * rng.normal(size=(count, len(FEATURES)))
    standard = (raw - raw.mean(0)) / raw.std(0)
    share = 1 / (1 + np.exp(-standard))
    column = {name: share[:, index] for index, name in enumerate(FEATURES)}
    at = {name: standard[:, index] for index, name in enumerate(FEATURES)}
    values = {
        "is_explicit": column["is_explicit"] > 0.7,
        "duration_ms": np.clip(200_000 + 40_000 * at["duration_ms"], 30_000, 900_000).astype("int64"),
        "key": (column["key"] * 11.99).astype("int64"),
        "loudness": np.clip(-7 + 3 * at["loudness"], -40, 3).round(3),
        "mode": (column["mode"] > 0.45).astype("int64"),
        "instrumentalness": np.where(column["instrumentalness"] > 0.8, column["instrumentalness"], 1e-5),
        "tempo": np.clip(122 + 28 * at["tempo"], 40, 230).round(3),
    }
    letters = np.array(list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
    ids = ["".join(row) for row in letters[rng.integers(0, len(letters), size=(count, 22))]]
    names = [f"Synthetic Song {index}" for index in range(count)]
    table = pd.DataFrame(
        {
            "spotify_id": ids,
            "name": names,
            "artists": [f"Synthetic Artist {index}" for index in rng.integers(0, count // 2, count)],
            "event_timestamp": pd.Timestamp(FIRST_DAY),
            **{name: values.get(name, column[name].round(6)) for name in FEATURES},
            "time_signature": rng.choice([3, 4, 5], count, p=[0.06, 0.92, 0.02]),
        }
    )
    kinks = rng.normal(size=(len(FEATURES), KINKS)) / np.sqrt(len(FEATURES))
    slope = standard @ kinks
    # Each kink lies between the songs, so that each tells some of them apart.
    bend = [np.quantile(slope[:, index], at) for index, at in enumerate(rng.uniform(0.2, 0.8, KINKS))]
    appeal = np.maximum(slope - bend, 0)
    appeal = (appeal - appeal.mean(0)) / appeal.std(0)
    taste = rng.normal(size=(len(COUNTRIES), KINKS)) / np.sqrt(KINKS)
    # Spotify could not analyse a few songs: no name, no duration; and one has no tempo.
    broken = rng.choice(count, size=max(2, count // 2500), replace=False)
    table.loc[broken[1:], ["name", "artists"]] = None
    table.loc[broken[1:], "duration_ms"] = 0
    table.loc[broken[0], "tempo"] = 0.0
    return table, taste @ appeal.T


def _charts(rng: np.random.Generator, spec: SampleSpec, taste: np.ndarray) -> dict[str, np.ndarray]:
    """Make the charts: arrays of song, country code (`GLOBAL` for none), rank and day."""
    popularity = rng.gumbel(scale=0.5, size=spec.songs)
    length = max(3.0, spec.days * 0.3)
    start = rng.uniform(-length, spec.days, size=spec.songs)
    own = 0.8 * rng.normal(size=taste.shape).astype("float32")
    score = (2.0 * taste + own + popularity).astype("float32")
    parts = []
    for today in range(spec.days):
        season = np.flatnonzero((start <= today) & (today < start + length))
        if len(season) < CHART_LENGTH:
            season = np.arange(spec.songs)
        liked = score[:, season] + 0.3 * rng.normal(size=(len(COUNTRIES), len(season))).astype("float32")
        liked = np.vstack([liked, liked.mean(0)])
        best = np.argsort(-liked, axis=1, kind="stable")[:, :CHART_LENGTH]
        parts.append(season[best])
    song = np.stack(parts)
    day, country, position = np.indices(song.shape)
    return {
        "song": song.ravel(),
        "country": country.ravel(),
        "rank": position.ravel() + 1,
        "day": day.ravel(),
    }


def _released(spec: SampleSpec) -> list[str]:
    """Make each song's day of release, all before the first chart: many are new, and some decades old."""
    # Of a generator of its own: the songs and charts of a seed are the same with or without these days.
    age = np.random.default_rng((spec.seed, 1)).exponential(1500, size=spec.songs).astype("int64")
    return [str(day) for day in FIRST_DAY - 1 - age]


def _rankings(charts: dict[str, np.ndarray], songs: pd.DataFrame, released: list[str]) -> pa.Table:
    """Give the charts the real table's columns; text stays dictionary-encoded, so size is no matter."""

    def text(codes: np.ndarray, values: pd.Series | list[str], missing: np.ndarray | None = None) -> pa.Array:
        indices = pa.array(codes.astype("int32"), mask=missing)
        return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string()))

    count = len(charts["song"])
    nothing = pa.nulls(count, pa.string())
    zero = pa.array(np.zeros(count, "int64"))
    nameless = songs["name"].isna().to_numpy()
    return pa.table(
        {
            "spotify_id": text(charts["song"], songs["spotify_id"]),
            "name": text(charts["song"], songs["name"].fillna("unknown")),
            "artists": text(charts["song"], songs["artists"].fillna("unknown")),
            "daily_rank": pa.array(charts["rank"].astype("int64")),
            "daily_movement": zero,
            "weekly_movement": zero,
            "country": text(
                np.where(charts["country"] == GLOBAL, 0, charts["country"]),
                COUNTRIES,
                charts["country"] == GLOBAL,
            ),
            "snapshot_date": pa.array((FIRST_DAY + charts["day"]).astype("datetime64[ms]")),
            "popularity": pa.array(101 - charts["rank"].astype("int64")),
            "album_name": nothing,
            "album_release_date": text(charts["song"], released, nameless[charts["song"]]),
        }
    )
