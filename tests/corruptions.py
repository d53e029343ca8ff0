"""What may happen to a feed: corruptions of the two tables, and the check that catches each, if any.

Each takes the rankings and the songs as they should be, and gives them as they came. They are judged
against the profile of the tables as they should be: by the data contract, and by the gate's checks of
drift.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from ml.data.columns import FEATURES

Tables = tuple[pd.DataFrame, pd.DataFrame]
SEED = 7


class Corruption(NamedTuple):
    """What happens to the tables, and the check that catches it; ``warns``: it does not block."""

    change: Callable[[pd.DataFrame, pd.DataFrame], Tables]
    check: str
    warns: bool = False


def _songs(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[pd.DataFrame, pd.DataFrame], Tables]:
    return lambda rankings, songs: (rankings, change(songs))


def _rankings(
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> Callable[[pd.DataFrame, pd.DataFrame], Tables]:
    return lambda rankings, songs: (change(rankings), songs)


def _scaled(name: str, by: float) -> Callable[[pd.DataFrame, pd.DataFrame], Tables]:
    return _songs(lambda songs: songs.assign(**{name: songs[name] * by}))


def _set(name: str, value: object) -> Callable[[pd.DataFrame, pd.DataFrame], Tables]:
    return _songs(lambda songs: songs.assign(**{name: value}))


def _permuted(values: pd.Series) -> np.ndarray:
    return np.random.default_rng(SEED).permutation(values.to_numpy())


def _columns_shuffled(songs: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(SEED)
    return songs.assign(**{name: rng.permutation(songs[name].to_numpy()) for name in FEATURES})


def _rows_shuffled(songs: pd.DataFrame) -> pd.DataFrame:
    return songs.assign(spotify_id=_permuted(songs["spotify_id"]))


def _days(rankings: pd.DataFrame, share: float) -> pd.DataFrame:
    days = sorted(rankings["snapshot_date"].unique())
    return rankings[rankings["snapshot_date"].isin(days[: max(1, int(len(days) * share))])]


def _some_countries(rankings: pd.DataFrame, share: float) -> pd.DataFrame:
    countries = sorted(rankings["country"].dropna().unique())
    return rankings[rankings["country"].isin(countries[: int(len(countries) * share)])]


def _relabelled(rankings: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    return rankings.assign(country=rankings["country"].replace(names))


def _countries_turned(rankings: pd.DataFrame) -> pd.DataFrame:
    countries = sorted(rankings["country"].dropna().unique())
    return _relabelled(rankings, dict(zip(countries, [*countries[1:], countries[0]], strict=True)))


def _countries_merged(rankings: pd.DataFrame) -> pd.DataFrame:
    countries = sorted(rankings["country"].dropna().unique())
    return _relabelled(rankings, dict.fromkeys(countries[::2], countries[1])).drop_duplicates(
        ["spotify_id", "country", "snapshot_date"]
    )


def _two_swapped(rankings: pd.DataFrame) -> pd.DataFrame:
    first, second, *_ = sorted(rankings["country"].dropna().unique())
    return _relabelled(rankings, {first: second, second: first})


def _again_later(rankings: pd.DataFrame) -> pd.DataFrame:
    dates = rankings["snapshot_date"]
    later = rankings.assign(snapshot_date=dates + (dates.max() - dates.min()) + pd.Timedelta(days=1))
    return pd.concat([rankings, later], ignore_index=True)


def _copied_under_new_ids(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    both = []
    for table in (rankings, songs):
        chosen = table[table["spotify_id"].str[-1] < "U"]
        both.append(
            pd.concat(
                [table, chosen.assign(spotify_id="copy" + chosen["spotify_id"].str[4:])], ignore_index=True
            )
        )
    return both[0], both[1].drop_duplicates("spotify_id")


def _ids(change: Callable[[pd.Series], pd.Series]) -> Callable[[pd.DataFrame, pd.DataFrame], Tables]:
    def changed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
        return tuple(table.assign(spotify_id=change(table["spotify_id"])) for table in (rankings, songs))

    return changed


def _some_songs(
    songs: pd.DataFrame, share: float, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """Change a share of the songs, chosen by their ids' order."""
    chosen = songs["spotify_id"].rank(pct=True) <= share
    changed = songs.astype({"energy": "float64"})
    changed.loc[chosen] = change(changed[chosen])
    return changed


def _swapped(songs: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    return songs.assign(**{first: songs[second], second: songs[first]})


CORRUPTIONS = {
    "columns shuffled against each other": Corruption(_songs(_columns_shuffled), "drift.correlation"),
    "rows shuffled against the ids": Corruption(_songs(_rows_shuffled), "drift.changed_songs"),
    "one column shuffled": Corruption(
        _songs(lambda songs: songs.assign(energy=_permuted(songs["energy"]))), "drift.changed_songs"
    ),
    "one column sorted": Corruption(
        _songs(lambda songs: songs.assign(valence=np.sort(songs["valence"].to_numpy()))),
        "drift.changed_songs",
    ),
    "energy a tenth too small": Corruption(_scaled("energy", 0.9), "drift.changed_songs"),
    "energy halved": Corruption(_scaled("energy", 0.5), "drift.psi"),
    "tempo halved": Corruption(_scaled("tempo", 0.5), "drift.ks"),
    "tempo ten times": Corruption(_scaled("tempo", 10), "data.songs.features_in_range"),
    "loudness without its sign": Corruption(
        _songs(lambda songs: songs.assign(loudness=-songs["loudness"])), "data.songs.features_in_range"
    ),
    "shares in percent": Corruption(_scaled("danceability", 100), "data.songs.features_in_range"),
    "duration in seconds": Corruption(_scaled("duration_ms", 0.001), "drift.psi"),
    "duration shifted by a minute": Corruption(
        _songs(
            lambda songs: songs.assign(
                duration_ms=songs["duration_ms"].where(
                    songs["duration_ms"] == 0, songs["duration_ms"] + 60_000
                )
            )
        ),
        "drift.ks",
    ),
    "key shifted by one": Corruption(
        _songs(lambda songs: songs.assign(key=(songs["key"] + 1) % 12)), "drift.changed_songs"
    ),
    "energy and valence swapped": Corruption(
        _songs(lambda songs: _swapped(songs, "energy", "valence")), "drift.changed_songs"
    ),
    "speechiness and liveness swapped": Corruption(
        _songs(lambda songs: _swapped(songs, "speechiness", "liveness")), "drift.changed_songs"
    ),
    "liveness turned round": Corruption(
        _songs(lambda songs: songs.assign(liveness=1 - songs["liveness"])), "drift.changed_songs"
    ),
    "acousticness constant": Corruption(_set("acousticness", 0.5), "drift.psi"),
    "valence all zero": Corruption(_set("valence", 0.0), "drift.ks"),
    "mode always major": Corruption(_set("mode", 1), "drift.psi"),
    "nothing explicit": Corruption(_set("is_explicit", 0), "drift.changed_songs"),
    "shares rounded to integers": Corruption(
        _songs(lambda songs: songs.assign(danceability=songs["danceability"].round())), "drift.ks"
    ),
    "shares rounded to a tenth": Corruption(
        _songs(lambda songs: songs.assign(energy=songs["energy"].round(1))), "drift.changed_songs"
    ),
    "tempo clipped": Corruption(
        _songs(lambda songs: songs.assign(tempo=songs["tempo"].clip(upper=110))), "drift.ks"
    ),
    "a column of nulls": Corruption(_set("energy", np.nan), "data.songs.features_present"),
    "a column is missing": Corruption(
        _songs(lambda songs: songs.drop(columns="tempo")), "data.songs.columns"
    ),
    "numbers as text": Corruption(
        _songs(lambda songs: songs.assign(tempo=songs["tempo"].map("{:.3f} bpm".format))), "data.songs.types"
    ),
    "songs without a duration": Corruption(
        _songs(lambda songs: songs.assign(duration_ms=songs["duration_ms"].where(songs.index % 20 > 0, 0))),
        "data.songs.broken",
    ),
    "half the days": Corruption(_rankings(lambda rankings: _days(rankings, 0.5)), "drift.volume"),
    "half the countries": Corruption(
        _rankings(lambda rankings: _some_countries(rankings, 0.5)), "drift.lost_countries"
    ),
    "three countries only": Corruption(
        _rankings(lambda rankings: _some_countries(rankings, 3.5 / rankings["country"].nunique())),
        "data.rankings.countries",
    ),
    "half the songs are gone": Corruption(
        _songs(lambda songs: songs[songs["spotify_id"].rank(pct=True) > 0.5]), "data.rankings.known_songs"
    ),
    "charts cut off at rank 20": Corruption(
        _rankings(lambda rankings: rankings[rankings["daily_rank"] <= 20]), "drift.volume"
    ),
    "the first hundred rows": Corruption(
        _rankings(lambda rankings: rankings.head(100)), "data.rankings.rows"
    ),
    "an empty table": Corruption(_rankings(lambda rankings: rankings.head(0)), "data.rankings.rows"),
    "rows twice": Corruption(
        _rankings(lambda rankings: pd.concat([rankings, rankings], ignore_index=True)), "data.rankings.unique"
    ),
    "songs twice": Corruption(
        _songs(lambda songs: pd.concat([songs, songs.head(9)], ignore_index=True)), "data.songs.unique"
    ),
    "all charts again under later days": Corruption(_rankings(_again_later), "drift.growth"),
    "songs copied under new ids": Corruption(_copied_under_new_ids, "drift.twins"),
    "countries shuffled over the rows": Corruption(
        _rankings(
            lambda rankings: rankings.assign(country=_permuted(rankings["country"])).drop_duplicates(
                ["spotify_id", "country", "snapshot_date"]
            )
        ),
        "drift.moved_songs",
    ),
    "each country under the next one's code": Corruption(_rankings(_countries_turned), "drift.moved_songs"),
    "half the countries under one code": Corruption(_rankings(_countries_merged), "drift.country_shift"),
    "country codes in lower case": Corruption(
        _rankings(lambda rankings: rankings.assign(country=rankings["country"].str.lower())),
        "data.rankings.country_code",
    ),
    "ids hashed": Corruption(
        _ids(lambda ids: ids.map(lambda one: f"{hash(one) & 0xFFFFFFFFFFFFFFFF:022x}")),
        "drift.known_songs",
        warns=True,
    ),
    "ranks of 0": Corruption(
        _rankings(lambda rankings: rankings.assign(daily_rank=rankings["daily_rank"] - 1)),
        "data.rankings.daily_rank",
    ),
    "days of the epoch": Corruption(
        _rankings(
            lambda rankings: rankings.assign(
                snapshot_date=pd.Timestamp("1970-01-01")
                + (rankings["snapshot_date"] - rankings["snapshot_date"].min())
            )
        ),
        "data.rankings.snapshot_date",
    ),
}
"""By what happened."""

UNCAUGHT = {
    "two countries under each other's code": _rankings(_two_swapped),
    "ranks shuffled, which nothing reads": _rankings(
        lambda rankings: rankings.assign(daily_rank=_permuted(rankings["daily_rank"]))
    ),
    "the same tables as last time": lambda rankings, songs: (rankings, songs),
    "one song in two hundred has another energy": _songs(
        lambda songs: _some_songs(songs, 0.004, lambda some: some.assign(energy=0.123))
    ),
    "a tenth of the charts is missing, everywhere": _rankings(
        lambda rankings: rankings[rankings["daily_rank"] % 10 > 0]
    ),
    "names and artists shuffled, which nothing reads": _songs(
        lambda songs: songs.assign(name=_permuted(songs["name"]))
    ),
    "all days a week too late": _rankings(
        lambda rankings: rankings.assign(snapshot_date=rankings["snapshot_date"] + pd.Timedelta(days=7))
    ),
}
"""What no check of the data catches, by what happened; nor does it warn."""
