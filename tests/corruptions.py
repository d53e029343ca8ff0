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


def _feature(name: str, change: Callable[[pd.Series], object]) -> Change:
    """Change a column of the songs."""
    return lambda rankings, songs: (rankings, songs.assign(**{name: change(songs[name])}))


def _ranking(name: str, change: Callable[[pd.Series], object]) -> Change:
    """Change a column of the rankings."""
    return lambda rankings, songs: (rankings.assign(**{name: change(rankings[name])}), songs)


def _rows(keep: Callable[[pd.DataFrame], object]) -> Change:
    """Keep some of the chart rows."""
    return lambda rankings, songs: (rankings[keep(rankings)], songs)


def _first(values: pd.Series, share: float) -> pd.Series:
    """Tell the rows whose value is among the first so many, in order."""
    ordered = sorted(values.dropna().unique())
    return values.isin(ordered[: max(round(share * len(ordered)), 1)])


def _some(size: int, share: float) -> np.ndarray:
    """Tell some rows by chance."""
    return _rng().random(size) < share


def _hashed(ids: pd.Series) -> pd.Series:
    new = {song: hashlib.sha256(song.encode()).hexdigest()[:22] for song in ids.unique()}
    return ids.map(new)


def _both(change: Callable[[pd.Series], object], then: Change | None = None) -> Change:
    """Change the ids in both tables, and then perhaps something else."""

    def changed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
        tables = (
            rankings.assign(spotify_id=change(rankings["spotify_id"])),
            songs.assign(spotify_id=change(songs["spotify_id"])),
        )
        return then(*tables) if then else tables

    return changed


def _exchange_two(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    sound = _charting(rankings, songs) & ~is_broken(songs).to_numpy()
    first, second = np.flatnonzero(sound)[:2]
    values = songs[list(FEATURES)].to_numpy().copy()
    values[[first, second]] = values[[second, first]]
    return rankings, songs.assign(**dict(zip(FEATURES, values.T, strict=True)))


def _charting(rankings: pd.DataFrame, songs: pd.DataFrame) -> np.ndarray:
    return songs["spotify_id"].isin(rankings["spotify_id"]).to_numpy()


def _sorted(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    charting = _charting(rankings, songs)
    energy = songs["energy"].to_numpy().copy()
    energy[charting] = np.sort(energy[charting])
    return rankings, songs.assign(energy=energy)


def _most_charted(songs: int) -> Change:
    def changed(rankings: pd.DataFrame, table: pd.DataFrame) -> Tables:
        kept = rankings["spotify_id"].value_counts(sort=True).index[:songs]
        return rankings[rankings["spotify_id"].isin(kept)], table[table["spotify_id"].isin(kept)]

    return changed


def _swap(first: str, second: str) -> Change:
    return lambda rankings, songs: (rankings, songs.rename(columns={first: second, second: first}))


def _shuffle_columns(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    rng = _rng()
    return rankings, songs.assign(**{name: rng.permutation(songs[name]) for name in FEATURES})


def _shuffle_songs(share: float) -> Change:
    """Give some of the songs each other's features."""

    def changed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
        # Only songs that chart count: others are in no profile.
        rows = np.flatnonzero(_charting(rankings, songs) & _some(len(songs), share))
        values = songs[list(FEATURES)].to_numpy().copy()
        values[rows] = values[np.roll(rows, 1)]
        return rankings, songs.assign(**dict(zip(FEATURES, values.T, strict=True)))

    return changed


def _copy_songs(share: float, change: Callable[[pd.DataFrame], pd.DataFrame] | None = None) -> Change:
    """Add songs under new ids, with the chart rows of others, with their features or changed ones."""

    def changed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
        chosen = songs[_charting(rankings, songs) & _some(len(songs), share)]
        rows = rankings[rankings["spotify_id"].isin(chosen["spotify_id"])]
        rows = rows.assign(spotify_id="copy" + rows["spotify_id"])
        copies = chosen.assign(spotify_id="copy" + chosen["spotify_id"])
        copies = change(copies) if change else copies
        return pd.concat([rankings, rows]), pd.concat([songs, copies])

    return changed


def _again_later(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    dates = rankings["snapshot_date"]
    later = rankings.assign(snapshot_date=dates + (dates.max() - dates.min()) + pd.Timedelta(days=1))
    return pd.concat([rankings, later]), songs


def _day_before_again(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    before, last = sorted(rankings["snapshot_date"].unique())[-2:]
    again = rankings[rankings["snapshot_date"] == before].assign(snapshot_date=last)
    return pd.concat([rankings[rankings["snapshot_date"] != last], again]), songs


def _countries(rankings: pd.DataFrame) -> list[str]:
    return sorted(rankings["country"].dropna().unique())


def _relabel(target: Callable[[list[str]], dict[str, str]], deduplicate: bool = False) -> Change:
    """Give countries other names; where two become one, their common rows may be dropped."""

    def changed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
        renamed = rankings.assign(country=rankings["country"].replace(target(_countries(rankings))))
        return (renamed.drop_duplicates(KEY) if deduplicate else renamed), songs

    return changed


def _rotated(names: list[str]) -> dict[str, str]:
    return dict(zip(names, names[1:] + names[:1], strict=True))


def _random_countries(share: float) -> Change:
    def changed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
        some = rankings["country"].notna().to_numpy() & _some(len(rankings), share)
        drawn = _rng().choice(_countries(rankings), len(rankings))
        moved = rankings.assign(country=rankings["country"].where(~some, drawn))
        return moved.drop_duplicates(KEY), songs

    return changed


def _global_somewhere(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    """Give Global's rows to the country where its songs chart most."""
    ids = rankings.loc[rankings["country"].isna(), "spotify_id"]
    home = rankings.loc[rankings["spotify_id"].isin(ids), "country"].value_counts().index[0]
    return rankings.assign(country=rankings["country"].fillna(home)), songs


def _songs_only(keep: Callable[[pd.DataFrame], pd.Series]) -> Change:
    """Keep some songs, and their chart rows."""

    def changed(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
        kept = songs[keep(songs)]
        return rankings[rankings["spotify_id"].isin(kept["spotify_id"])], kept

    return changed


def _fill(name: str, share: float, value: float) -> Change:
    return _feature(name, lambda values: values.mask(_some(len(values), share), value))


def _nulls(name: str) -> Change:
    return _feature(name, lambda values: values.mask(_some(len(values), 0.05)))


def _noise(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    factors = _rng().uniform(0.99, 1.0, (len(songs), len(FEATURES)))
    values = songs[list(FEATURES)].to_numpy() * factors
    return rankings, songs.assign(**dict(zip(FEATURES, values.T, strict=True)))


def _spoil_songs_that_do_not_chart(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    national = rankings[rankings["country"].notna()]
    aside = ~songs["spotify_id"].isin(national["spotify_id"])
    return rankings, songs.assign(energy=songs["energy"].mask(aside, 0.5))


def _columnwise(copies: pd.DataFrame) -> pd.DataFrame:
    rng = _rng()
    return copies.assign(**{name: rng.permutation(copies[name]) for name in FEATURES})


def _half_of_one_country(rankings: pd.DataFrame) -> pd.Series:
    ours = rankings["country"] == _countries(rankings)[0]
    return ~(ours & (np.arange(len(rankings)) % 2 == 0))


def _swapped(names: list[str]) -> dict[str, str]:
    return {names[-2]: names[-1], names[-1]: names[-2]}


def _reversed_ranks(rankings: pd.DataFrame, songs: pd.DataFrame) -> Tables:
    ranks = rankings["daily_rank"]
    return rankings.assign(daily_rank=ranks.max() + ranks.min() - ranks), songs


CORRUPTIONS = (
    Corruption("a feature's column is gone",
               lambda r, s: (r, s.drop(columns="valence")), "data.songs.columns"),
    Corruption("a feature is text", _feature("tempo", lambda v: v.map("{} bpm".format)), "data.songs.types"),
    Corruption("no chart rows", lambda r, s: (r[:0], s), "data.rankings.rows"),
    Corruption("ninety songs only", _most_charted(90), "data.songs.rows"),
    Corruption("no songs", lambda r, s: (r, s[:0]), "data.rankings.known_songs"),
    Corruption("four countries only",
               _rows(lambda r: r["country"].isin(_countries(r)[:4])), "data.rankings.countries"),
    Corruption("the charts' ids in upper case",
               _ranking("spotify_id", lambda v: v.str.upper()), "data.rankings.known_songs"),
    Corruption("the charts' ids hashed again", _ranking("spotify_id", _hashed), "data.rankings.known_songs"),
    Corruption("every other song missing", lambda r, s: (r, s[::2]), "data.rankings.known_songs"),
    Corruption("a twentieth of the tempos is 0", _fill("tempo", 0.05, 0.0), "data.songs.broken"),
    Corruption("ids are null in a few chart rows",
               _ranking("spotify_id", lambda v: v.mask(np.arange(len(v)) < 3, None)),
                "data.rankings.song_present"),
    Corruption("countries in lower case",
               _ranking("country", lambda v: v.str.lower()), "data.rankings.country_code"),
    Corruption("ranks count from 0", _ranking("daily_rank", lambda v: v - 1), "data.rankings.daily_rank"),
    Corruption("dates that begin in 1970",
               _ranking("snapshot_date", lambda v: pd.Timestamp(0) + (v - v.min())),
                "data.rankings.snapshot_date"),
    Corruption("dates of release with the day first",
               lambda r, s: (r.assign(album_release_date=r["snapshot_date"].dt.strftime("%d.%m.%Y")), s),
                "data.rankings.release_date"),
    Corruption("every chart row twice", lambda r, s: (pd.concat([r, r]), s), "data.rankings.unique"),
    Corruption("Global's rows given to a country", _global_somewhere, "data.rankings.unique"),
    Corruption("every song twice", lambda r, s: (r, pd.concat([s, s])), "data.songs.unique"),
    Corruption("a feature has nulls", _nulls("energy"), "data.songs.features_present"),
    Corruption("loudness without its sign", _feature("loudness", abs), "data.songs.features_in_range"),
    Corruption("energy times -1", _feature("energy", lambda v: -v), "data.songs.features_in_range"),
    Corruption("energy times 2", _feature("energy", lambda v: v * 2), "data.songs.features_in_range"),
    Corruption("shares in percent",
               _feature("danceability", lambda v: v * 100), "data.songs.features_in_range"),
    Corruption("loudness times 10", _feature("loudness", lambda v: v * 10), "data.songs.features_in_range"),
    Corruption("duration in seconds", _feature("duration_ms", lambda v: v / 1000), "drift.psi"),
    Corruption("tempo halved", _feature("tempo", lambda v: v / 2), "drift.psi"),
    Corruption("duration doubled", _feature("duration_ms", lambda v: v * 2), "drift.psi"),
    Corruption("loudness 3 dB up", _feature("loudness", lambda v: v + 3), "drift.psi"),
    Corruption("energy and danceability swapped", _swap("energy", "danceability"), "drift.correlation"),
    Corruption("energy and instrumentalness swapped", _swap("energy", "instrumentalness"), "drift.psi"),
    Corruption("a feature is constant", _feature("valence", lambda v: v * 0 + 0.5), "drift.psi"),
    Corruption("energy rounded to whole numbers", _feature("energy", lambda v: v.round()), "drift.psi"),
    Corruption("tempo clipped at its median",
               _feature("tempo", lambda v: v.clip(upper=v.median())), "drift.psi"),
    Corruption("nulls filled with 0", _fill("valence", 0.3, 0.0), "drift.psi"),
    Corruption("is_explicit turned around", _feature("is_explicit", lambda v: 1 - v), "drift.psi"),
    Corruption("only explicit songs", _songs_only(lambda s: s["is_explicit"] == 1), "drift.psi"),
    Corruption("a third of the countries gone",
               _rows(lambda r: ~_first(r["country"], 0.4)), "drift.class_shift"),
    Corruption("a tenth of the countries gone",
               _rows(lambda r: ~_first(r["country"], 0.1)), "drift.lost_classes"),
    Corruption("columns shuffled against each other", _shuffle_columns, "drift.correlation"),
    Corruption("a column sorted by itself", _sorted, "drift.correlation"),
    Corruption("features shuffled against ids", _shuffle_songs(1.0), "drift.changed_examples"),
    Corruption("features of a twentieth shuffled", _shuffle_songs(0.05), "drift.changed_examples"),
    Corruption("tempo times 1.1", _feature("tempo", lambda v: v * 1.1), "drift.changed_examples"),
    Corruption("every key one up", _feature("key", lambda v: (v + 1) % 12), "drift.changed_examples"),
    Corruption("energy rounded to two places",
               _feature("energy", lambda v: v.round(2)), "drift.changed_examples"),
    Corruption("one percent of noise on all features", _noise, "drift.psi"),
    Corruption("countries' labels rotated", _relabel(_rotated), "drift.moved_examples"),
    Corruption("countries drawn by chance", _random_countries(1.0), "drift.moved_examples"),
    Corruption("songs copied under new ids", _copy_songs(1.0), "drift.twins"),
    Corruption("a tenth of the songs copied under new ids", _copy_songs(0.1), "drift.twins"),
    Corruption("half of the days", _rows(lambda r: _first(r["snapshot_date"], 0.5)), "drift.volume"),
    Corruption("half of the chart rows", _rows(lambda r: _some(len(r), 0.5)), "drift.volume"),
    Corruption("the first ten ranks only", _rows(lambda r: r["daily_rank"] <= 10), "drift.volume"),
    Corruption("half of the songs", _songs_only(lambda s: _some(len(s), 0.5)), "drift.volume"),
    Corruption("all charts again under later dates", _again_later, "drift.growth"),
    Corruption("two countries under one name",
               _relabel(lambda n: {n[0]: n[1]}, deduplicate=True), "drift.lost_classes.early", blocks=False),
    Corruption("features of a hundredth shuffled",
               _shuffle_songs(0.012), "drift.changed_examples.early", blocks=False),
    Corruption("all ids hashed again", _both(_hashed), "drift.known_examples", blocks=False),
    Corruption("all ids hashed again, and tempo times 1.1",
               _both(_hashed, _feature("tempo", lambda v: v * 1.1)), "drift.psi.early", blocks=False),
    Corruption("a quarter of the chart rows gone",
               _rows(lambda r: ~_some(len(r), 0.25)), "drift.volume.early", blocks=False),
)  # fmt: skip

UNCAUGHT: tuple[tuple[str, Change], ...] = (
    ("two countries swapped", _relabel(_swapped)),
    ("two songs with each other's features", _exchange_two),
    ("ranks upside down", _reversed_ranks),
    ("ranks shuffled", _ranking("daily_rank", lambda v: _rng().permutation(v))),
    ("all dates a year earlier", _ranking("snapshot_date", lambda v: v - pd.Timedelta(days=365))),
    ("Global as a country of its own", _ranking("country", lambda v: v.fillna("ZZ"))),
    ("a tenth of the chart rows gone", _rows(lambda r: ~_some(len(r), 0.1))),
    ("half of one country's rows gone", _rows(_half_of_one_country)),
    ("three chart rows in a thousand in other countries", _random_countries(0.003)),
    ("a few new songs with features of no song", _copy_songs(0.05, _columnwise)),
    ("one value for songs that chart nowhere", _spoil_songs_that_do_not_chart),
    ("one day's charts are those of the day before", _day_before_again),
)
"""What no check of the data catches, honestly."""
