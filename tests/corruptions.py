"""Ways in which two chart tables go wrong, each with the check that catches it; and some that nothing does.

Each is a change of sound tables, judged against the profile of the sound ones under the default policy.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from policies import default_policy
from tables import validated, write_tables

from ml.core.errors import DataError
from ml.gate.subjects.data import DataReport, data_checks
from ml.gate.subjects.drift import drift_checks
from ml.problems.songs import definition
from ml.problems.songs.columns import FEATURES, RANKING_COLUMNS, SONG_COLUMNS, is_broken

KEY = ["spotify_id", "country", "snapshot_date"]

Tables = tuple[pd.DataFrame, pd.DataFrame]
Change = Callable[[pd.DataFrame, pd.DataFrame], Tables]


class Corruption(NamedTuple):
    """A change of the tables (rankings, songs), and the check that catches it: that blocks, or only warns.

    On real charts it is the first such check in the order of the verdict; others may fail after it.
    """

    name: str
    change: Change
    check: str
    blocks: bool = True


def narrow(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    """Keep the columns that must be there, as plain text and float64, so that a change may set any value."""
    rankings = rankings[list(RANKING_COLUMNS)].reset_index(drop=True)
    songs = songs[list(SONG_COLUMNS)].reset_index(drop=True)
    songs[list(FEATURES)] = songs[list(FEATURES)].astype("float64")
    for table, column in ((rankings, "spotify_id"), (rankings, "country"), (songs, "spotify_id")):
        table[column] = table[column].astype(object).where(table[column].notna(), None)
    return rankings, songs


def profile_of(folder: Path, tables: Tables, synthetic: bool) -> Path:
    """Write the profile of tables that keep the contract."""
    folder.mkdir(exist_ok=True)
    validated(folder, write_tables(folder, *tables), synthetic=synthetic)
    return folder / "profile.json"


def judge(folder: Path, tables: Tables, champion: Path, synthetic: bool) -> tuple[list[str], list[str]]:
    """Run the step `validate` beside a champion's profile, and the gate's checks of what it reports.

    Returns:
        The names of the checks that block, and of those that fail and only warn, in the order of the verdict.
        Where columns are missing the contract measures no more: what it could not measure is left out.
    """
    # A broken contract ends the run; the report is written nevertheless.
    with contextlib.suppress(DataError):
        validated(folder, write_tables(folder, *tables), champion, synthetic)
    data = DataReport.load(json.loads((folder / "data_report.json").read_bytes()))
    policy = default_policy()
    assert data.drift
    nouns = definition.NOUNS
    drift = drift_checks(data.drift, policy.drift, nouns, synthetic=data.synthetic)
    checks = [*data_checks(data, policy.data), *drift]
    blocks = [check.name for check in checks if check.blocks and check.value != "unclear"]
    return blocks, [check.name for check in checks if not check.passed and not check.blocks]


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _some(size: int, share: float) -> np.ndarray:
    """Tell some rows by chance."""
    return _rng().random(size) < share


def _first(values: pd.Series, share: float) -> pd.Series:
    """Tell the rows whose value is among the first so many, in order."""
    ordered = sorted(values.dropna().unique())
    return values.isin(ordered[: max(round(share * len(ordered)), 1)])


def _r(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    """Change the rankings."""
    return lambda rankings, songs: (change(rankings), songs)


def _s(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    """Change the songs."""
    return lambda rankings, songs: (rankings, change(songs))


def _feature(name: str, change: Callable[[pd.Series], object]) -> Change:
    return _s(lambda songs: songs.assign(**{name: change(songs[name])}))


def _ranking(name: str, change: Callable[[pd.Series], object]) -> Change:
    return _r(lambda rankings: rankings.assign(**{name: change(rankings[name])}))


def _rows(keep: Callable[[pd.DataFrame], object]) -> Change:
    return _r(lambda rankings: rankings[keep(rankings)])


def _fill(name: str, share: float, value: float = np.nan) -> Change:
    return _feature(name, lambda values: values.mask(_some(len(values), share), value))


def _songs_only(keep: Callable[[pd.DataFrame], object]) -> Change:
    """Keep some songs, and their chart rows."""
    return lambda r, s: (r[r["spotify_id"].isin(s[keep(s)]["spotify_id"])], s[keep(s)])


def _most_charted(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    kept = rankings["spotify_id"].value_counts(sort=True).index[:90]
    return _songs_only(lambda table: table["spotify_id"].isin(kept))(rankings, songs)


def _values(change: Callable[[pd.DataFrame, np.ndarray, np.ndarray], np.ndarray]) -> Change:
    """Change the features [N, 13], given the songs and which of them chart: others are in no profile."""

    def changed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
        charting = songs["spotify_id"].isin(rankings["spotify_id"]).to_numpy()
        values = change(songs, charting, songs[list(FEATURES)].to_numpy().copy())
        return rankings, songs.assign(**dict(zip(FEATURES, values.T, strict=True)))

    return changed


def _exchange(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Give each of some songs the features of the one before."""
    values[rows] = values[np.roll(rows, 1)]
    return values


def _exchange_two(songs: pd.DataFrame, charting: np.ndarray, values: np.ndarray) -> np.ndarray:
    return _exchange(np.flatnonzero(charting & ~is_broken(songs).to_numpy())[:2], values)


def _shuffle_songs(share: float) -> Change:
    """Give some of the songs each other's features."""
    return _values(lambda s, charting, v: _exchange(np.flatnonzero(charting & _some(len(s), share)), v))


def _sorted(_: pd.DataFrame, charting: np.ndarray, values: np.ndarray) -> np.ndarray:
    energy = FEATURES.index("energy")
    values[charting, energy] = np.sort(values[charting, energy])
    return values


def _columnwise(songs: pd.DataFrame) -> pd.DataFrame:
    rng = _rng()
    return songs.assign(**{name: rng.permutation(songs[name]) for name in FEATURES})


def _copy_songs(share: float, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda s: s) -> Change:
    """Add songs under new ids, with the chart rows of others, with their features or changed ones."""

    def changed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
        chosen = songs[songs["spotify_id"].isin(rankings["spotify_id"]) & _some(len(songs), share)]
        rows = rankings[rankings["spotify_id"].isin(chosen["spotify_id"])]
        copies = change(chosen.assign(spotify_id="copy" + chosen["spotify_id"]))
        rows = rows.assign(spotify_id="copy" + rows["spotify_id"])
        return pd.concat([rankings, rows]), pd.concat([songs, copies])

    return changed


def _hashed(ids: pd.Series) -> pd.Series:
    return ids.map({song: hashlib.sha256(song.encode()).hexdigest()[:22] for song in ids.unique()})


def _both_hashed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    rankings, songs = (table.assign(spotify_id=_hashed(table["spotify_id"])) for table in (rankings, songs))
    return rankings, songs


def _again_later(rankings: pd.DataFrame) -> pd.DataFrame:
    dates = rankings["snapshot_date"]
    later = rankings.assign(snapshot_date=dates + (dates.max() - dates.min()) + pd.Timedelta(days=1))
    return pd.concat([rankings, later])


def _day_before_again(rankings: pd.DataFrame) -> pd.DataFrame:
    before, last = sorted(rankings["snapshot_date"].unique())[-2:]
    again = rankings[rankings["snapshot_date"] == before].assign(snapshot_date=last)
    return pd.concat([rankings[rankings["snapshot_date"] != last], again])


def _countries(rankings: pd.DataFrame) -> list[str]:
    return sorted(rankings["country"].dropna().unique())


def _relabel(target: Callable[[list[str]], dict[str, str]]) -> Change:
    """Give countries other names; where two become one, their common rows are dropped."""
    renamed = _r(lambda r: r.assign(country=r["country"].replace(target(_countries(r)))))
    return lambda rankings, songs: (renamed(rankings, songs)[0].drop_duplicates(KEY), songs)


def _random_countries(share: float) -> Change:
    def changed(rankings: pd.DataFrame) -> pd.DataFrame:
        some = rankings["country"].notna().to_numpy() & _some(len(rankings), share)
        drawn = _rng().choice(_countries(rankings), len(rankings))
        return rankings.assign(country=rankings["country"].where(~some, drawn)).drop_duplicates(KEY)

    return _r(changed)


def _global_somewhere(rankings: pd.DataFrame) -> pd.DataFrame:
    """Give Global's rows to the country where its songs chart most."""
    ids = rankings.loc[rankings["country"].isna(), "spotify_id"]
    home = rankings.loc[rankings["spotify_id"].isin(ids), "country"].value_counts().index[0]
    return rankings.assign(country=rankings["country"].fillna(home))


def _spoil_songs_that_do_not_chart(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    national = rankings[rankings["country"].notna()]
    aside = ~songs["spotify_id"].isin(national["spotify_id"])
    return rankings, songs.assign(energy=songs["energy"].mask(aside, 0.5))


def _half_of_one_country(rankings: pd.DataFrame) -> pd.Series:
    ours = rankings["country"] == _countries(rankings)[0]
    return ~(ours & (np.arange(len(rankings)) % 2 == 0))


CORRUPTIONS = tuple(Corruption(*row) for row in (
    ("a feature's column is gone", _s(lambda s: s.drop(columns="valence")), "data.songs.columns"),
    ("a feature is text", _feature("tempo", lambda v: v.map("{} bpm".format)), "data.songs.types"),
    ("no chart rows", _r(lambda r: r[:0]), "data.rankings.rows"),
    ("ninety songs only", _most_charted, "data.songs.rows"),
    ("no songs", _s(lambda s: s[:0]), "data.rankings.known_songs"),
    ("four countries only", _rows(lambda r: r["country"].isin(_countries(r)[:4])), "data.rankings.countries"),
    ("the charts' ids in upper case",
     _ranking("spotify_id", lambda v: v.str.upper()), "data.rankings.known_songs"),
    ("the charts' ids hashed again", _ranking("spotify_id", _hashed), "data.rankings.known_songs"),
    ("every other song missing", _s(lambda s: s[::2]), "data.rankings.known_songs"),
    ("a twentieth of the tempos is 0", _fill("tempo", 0.05, 0.0), "data.songs.broken"),
    ("ids are null in a few chart rows",
     _ranking("spotify_id", lambda v: v.mask(np.arange(len(v)) < 3, None)), "data.rankings.song_present"),
    ("countries in lower case", _ranking("country", lambda v: v.str.lower()), "data.rankings.country_code"),
    ("ranks count from 0", _ranking("daily_rank", lambda v: v - 1), "data.rankings.daily_rank"),
    ("dates that begin in 1970",
     _ranking("snapshot_date", lambda v: pd.Timestamp(0) + (v - v.min())), "data.rankings.snapshot_date"),
    ("dates of release with the day first",
     _r(lambda r: r.assign(album_release_date=r["snapshot_date"].dt.strftime("%d.%m.%Y"))),
     "data.rankings.release_date"),
    ("every chart row twice", _r(lambda r: pd.concat([r, r])), "data.rankings.unique"),
    ("Global's rows given to a country", _r(_global_somewhere), "data.rankings.unique"),
    ("every song twice", _s(lambda s: pd.concat([s, s])), "data.songs.unique"),
    ("a feature has nulls", _fill("energy", 0.05), "data.songs.features_present"),
    ("loudness without its sign", _feature("loudness", abs), "data.songs.features_in_range"),
    ("energy times -1", _feature("energy", lambda v: -v), "data.songs.features_in_range"),
    ("energy times 2", _feature("energy", lambda v: v * 2), "data.songs.features_in_range"),
    ("shares in percent", _feature("danceability", lambda v: v * 100), "data.songs.features_in_range"),
    ("loudness times 10", _feature("loudness", lambda v: v * 10), "data.songs.features_in_range"),
    ("duration in seconds", _feature("duration_ms", lambda v: v / 1000), "drift.psi"),
    ("tempo halved", _feature("tempo", lambda v: v / 2), "drift.psi"),
    ("duration doubled", _feature("duration_ms", lambda v: v * 2), "drift.psi"),
    ("loudness 3 dB up", _feature("loudness", lambda v: v + 3), "drift.psi"),
    ("energy and danceability swapped",
     _s(lambda s: s.rename(columns={"energy": "danceability", "danceability": "energy"})),
     "drift.correlation"),
    ("energy and instrumentalness swapped",
     _s(lambda s: s.rename(columns={"energy": "instrumentalness", "instrumentalness": "energy"})),
     "drift.psi"),
    ("a feature is constant", _feature("valence", lambda v: v * 0 + 0.5), "drift.psi"),
    ("energy rounded to whole numbers", _feature("energy", lambda v: v.round()), "drift.psi"),
    ("tempo clipped at its median", _feature("tempo", lambda v: v.clip(upper=v.median())), "drift.psi"),
    ("nulls filled with 0", _fill("valence", 0.3, 0.0), "drift.psi"),
    ("is_explicit turned around", _feature("is_explicit", lambda v: 1 - v), "drift.psi"),
    ("only explicit songs", _songs_only(lambda s: s["is_explicit"] == 1), "drift.psi"),
    ("a third of the countries gone", _rows(lambda r: ~_first(r["country"], 0.4)), "drift.class_shift"),
    ("a tenth of the countries gone", _rows(lambda r: ~_first(r["country"], 0.1)), "drift.lost_classes"),
    ("columns shuffled against each other", _s(_columnwise), "drift.correlation"),
    ("a column sorted by itself", _values(_sorted), "drift.correlation"),
    ("features shuffled against ids", _shuffle_songs(1.0), "drift.changed_examples"),
    ("features of a twentieth shuffled", _shuffle_songs(0.05), "drift.changed_examples"),
    ("tempo times 1.1", _feature("tempo", lambda v: v * 1.1), "drift.changed_examples"),
    ("every key one up", _feature("key", lambda v: (v + 1) % 12), "drift.changed_examples"),
    ("energy rounded to two places", _feature("energy", lambda v: v.round(2)), "drift.changed_examples"),
    ("one percent of noise on all features",
     _values(lambda s, _, values: values * _rng().uniform(0.99, 1.0, values.shape)), "drift.psi"),
    ("countries' labels rotated",
     _relabel(lambda n: dict(zip(n, n[1:] + n[:1], strict=True))), "drift.moved_examples"),
    ("countries drawn by chance", _random_countries(1.0), "drift.moved_examples"),
    ("songs copied under new ids", _copy_songs(1.0), "drift.twins"),
    ("a tenth of the songs copied under new ids", _copy_songs(0.1), "drift.twins"),
    ("half of the days", _rows(lambda r: _first(r["snapshot_date"], 0.5)), "drift.volume"),
    ("half of the chart rows", _rows(lambda r: _some(len(r), 0.5)), "drift.volume"),
    ("the first ten ranks only", _rows(lambda r: r["daily_rank"] <= 10), "drift.volume"),
    ("half of the songs", _songs_only(lambda s: _some(len(s), 0.5)), "drift.volume"),
    ("all charts again under later dates", _r(_again_later), "drift.growth"),
    ("two countries under one name", _relabel(lambda n: {n[0]: n[1]}), "drift.lost_classes.early", False),
    ("features of a hundredth shuffled", _shuffle_songs(0.012), "drift.changed_examples.early", False),
    ("all ids hashed again", _both_hashed, "drift.known_examples", False),
    ("all ids hashed again, and tempo times 1.1",
     lambda r, s: _feature("tempo", lambda v: v * 1.1)(*_both_hashed(r, s)), "drift.psi.early", False),
    ("a quarter of the chart rows gone", _rows(lambda r: ~_some(len(r), 0.25)), "drift.volume.early", False),
))  # fmt: skip

UNCAUGHT: tuple[tuple[str, Change], ...] = (
    ("two countries swapped", _relabel(lambda n: {n[-2]: n[-1], n[-1]: n[-2]})),
    ("two songs with each other's features", _values(_exchange_two)),
    ("ranks upside down", _ranking("daily_rank", lambda v: v.max() + v.min() - v)),
    ("ranks shuffled", _ranking("daily_rank", lambda v: _rng().permutation(v))),
    ("all dates a year earlier", _ranking("snapshot_date", lambda v: v - pd.Timedelta(days=365))),
    ("Global as a country of its own", _ranking("country", lambda v: v.fillna("ZZ"))),
    ("a tenth of the chart rows gone", _rows(lambda r: ~_some(len(r), 0.1))),
    ("half of one country's rows gone", _rows(_half_of_one_country)),
    ("three chart rows in a thousand in other countries", _random_countries(0.003)),
    ("a few new songs with features of no song", _copy_songs(0.05, _columnwise)),
    ("one value for songs that chart nowhere", _spoil_songs_that_do_not_chart),
    ("one day's charts are those of the day before", _r(_day_before_again)),
)
"""What no check of the data catches, honestly."""
