"""The contract: each check alone stops a table that breaks it, and says column, count and an example."""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from tables import (
    charts,
    real_tables,
    sample_tables,
    songs_of,
    unopposed,
    write_csv,
    write_source,
    write_tables,
)
from tiers import sampled

from ml.core.errors import DataError
from ml.problems.songs.checks import ContractBounds
from ml.problems.songs.columns import FEATURES, RANGES
from ml.data.contract import validate
from ml.data.sources import data_version, fetch
from policies import default_policy

Tables = tuple[pd.DataFrame, pd.DataFrame]


def _validate(folder, rankings, songs, **bounds):
    files = write_tables(folder, rankings, songs)
    return validate(*files, write_source(folder), *unopposed(folder), ContractBounds(**bounds))


def _report(folder) -> dict:
    return json.loads((folder / "data_report.json").read_bytes())


def _failed(folder) -> dict[str, dict]:
    return {check["name"]: check for check in _report(folder)["checks"] if not check["passed"]}


def _first_country(rankings: pd.DataFrame) -> int:
    return int(rankings["country"].first_valid_index())


class Break(NamedTuple):
    """A change that breaks one check only, what the report then says, and what the message names."""

    change: Callable[[pd.DataFrame, pd.DataFrame], Tables]
    value: float
    bound: float
    message: tuple[str, ...]


def _ranking(column: str, value: object) -> Callable[[pd.DataFrame, pd.DataFrame], Tables]:
    def change(rankings, songs):
        if pd.isna(value) and rankings[column].dtype.kind == "i":
            rankings[column] = rankings[column].astype("float64")
        rankings.loc[_first_country(rankings), column] = value
        return rankings, songs

    return change


def _song(column: str, value: object) -> Callable[[pd.DataFrame, pd.DataFrame], Tables]:
    def change(rankings, songs):
        songs.loc[3, column] = value
        return rankings, songs

    return change


def _fewer_songs(rankings, songs):
    healthy = songs[(songs["duration_ms"] != 0) & (songs["tempo"] != 0)]["spotify_id"]
    kept = rankings["spotify_id"].value_counts().loc[lambda counts: counts.index.isin(healthy)].index[:99]
    return rankings[rankings["spotify_id"].isin(kept)], songs[songs["spotify_id"].isin(kept)]


def _forget_songs(rankings, songs):
    ranked = sorted(rankings["spotify_id"].unique())
    return rankings, songs[~songs["spotify_id"].isin(ranked[:10])]


def _break_songs(rankings, songs):
    healthy = songs.index[(songs["duration_ms"] != 0) & (songs["tempo"] != 0)]
    songs.loc[healthy[:5], "tempo"] = 0.0
    return rankings, songs


def _day_first(rankings, songs):
    dated = rankings.index[rankings["album_release_date"].notna()]
    rankings["album_release_date"] = rankings["album_release_date"].astype(object)
    rankings.loc[dated[: len(dated) // 50], "album_release_date"] = "01.12.2023"
    return rankings, songs


def _twice(table: pd.DataFrame, row: int) -> pd.DataFrame:
    return pd.concat([table, table.loc[[row]]], ignore_index=True)


SAMPLE_RANKINGS, SAMPLE_SONGS = sample_tables()
RANKED = SAMPLE_RANKINGS["spotify_id"].nunique()
DATED = SAMPLE_RANKINGS["album_release_date"].notna().sum()
UNKNOWN = min(SAMPLE_RANKINGS["spotify_id"])
SONG = SAMPLE_SONGS["spotify_id"][3]
TOP = SAMPLE_RANKINGS.loc[_first_country(SAMPLE_RANKINGS)]

BREAKS = {
    "rankings.columns": Break(
        lambda rankings, songs: (rankings.drop(columns="country"), songs),
        1, 0, ("column country is missing; the table has spotify_id",),
    ),
    "songs.columns": Break(
        lambda rankings, songs: (rankings, songs.drop(columns="tempo")),
        1, 0, ("column tempo is missing; the table has spotify_id",),
    ),
    "rankings.types": Break(
        lambda rankings, songs: (rankings.assign(daily_rank="first"), songs),
        1, 0, ("column daily_rank is not a number", "'first'"),
    ),
    "songs.types": Break(
        lambda rankings, songs: (rankings, songs.assign(energy="loud", tempo="fast")),
        2, 0, ("column energy is not a number", "'loud'", "column tempo is not a number", "'fast'"),
    ),
    "rankings.rows": Break(
        lambda rankings, songs: (rankings.sample(999, random_state=1), songs), 999, 1000, ("only 999 rows",)
    ),
    "songs.rows": Break(_fewer_songs, 99, 100, ("only 99 rows",)),
    "rankings.countries": Break(
        lambda rankings, songs: (rankings[rankings["country"].isin(["DE", "FR", "GB", "US"])], songs),
        4, 5, ("column country", "only 4 countries"),
    ),
    "rankings.known_songs": Break(
        _forget_songs, 1 - 10 / RANKED, 0.99, ("column spotify_id", f"10 of {RANKED} ranked songs", UNKNOWN)
    ),
    "songs.broken": Break(
        _break_songs, 7 / 600, 0.01, ("columns duration_ms, tempo", "7 of 600 songs", "e.g.")
    ),
    "rankings.song_present": Break(_ranking("spotify_id", None), 1, 0, ("column spotify_id: 1 rows", "e.g.")),
    "rankings.country_code": Break(
        _ranking("country", "Germany"), 1, 0, ("column country: 1 rows", "Germany", TOP["spotify_id"])
    ),
    "rankings.daily_rank": Break(
        _ranking("daily_rank", 0), 1, 0, ("column daily_rank: 1 rows, e.g. 0", TOP["spotify_id"])
    ),
    "rankings.snapshot_date": Break(
        _ranking("snapshot_date", pd.Timestamp("1999-12-31")),
        1, 0, ("column snapshot_date: 1 rows, e.g. 1999-12-31", TOP["spotify_id"]),
    ),
    "rankings.release_date": Break(
        _day_first,
        DATED // 50 / DATED, 0.01, (f"album_release_date: {DATED // 50} of {DATED} dates", "'01.12.2023'"),
    ),
    "rankings.unique": Break(
        lambda rankings, songs: (_twice(rankings, _first_country(rankings)), songs),
        1, 0, ("columns spotify_id, country, snapshot_date: 1 rows", TOP["spotify_id"], TOP["country"]),
    ),
    "songs.song_present": Break(
        lambda rankings, songs: (
            rankings, pd.concat([songs, songs.loc[[3]].assign(spotify_id=None)], ignore_index=True)
        ),
        1, 0, ("column spotify_id: 1 rows", "e.g."),
    ),
    "songs.unique": Break(
        lambda rankings, songs: (rankings, _twice(songs, 3)), 2, 0, ("column spotify_id: 2 rows", SONG)
    ),
    "songs.features_present": Break(_song("energy", np.nan), 1, 0, ("column energy: 1 rows, e.g. nan", SONG)),
    "songs.features_in_range": Break(
        _song("duration_ms", -1), 1, 0, ("column duration_ms: 1 rows, e.g. -1", SONG)
    ),
}  # fmt: skip


def test_the_sample_passes(tmp_path):
    headline = _validate(tmp_path, *sample_tables())
    assert headline == f"{len(BREAKS)} checks passed, 350 Global rows set aside, 2 broken songs dropped"
    report = _report(tmp_path)
    assert (report["rankings_rows"], report["global_rows"]) == (25_550, 350)
    assert (report["songs_rows"], report["broken_songs"]) == (600, 2)
    assert report["schema"] == "jukebox.data-report/v3"
    assert (report["data_version"], report["synthetic"]) == ("0123456789abcdef", True)
    # So every check of the contract has a table here that breaks it.
    assert {check["name"] for check in report["checks"]} == set(BREAKS)
    assert all(check["passed"] and check["detail"] == "" for check in report["checks"])


@pytest.mark.parametrize("name", BREAKS)
def test_a_table_that_breaks_one_check_only_is_refused_for_it(tmp_path, name):
    broken = BREAKS[name]
    with pytest.raises(DataError) as refused:
        _validate(tmp_path, *broken.change(*sample_tables()))
    message = str(refused.value)
    assert message.startswith(f"the data contract is broken: {name}: ")
    assert "\n" not in message
    assert [part for part in broken.message if part not in message] == [], message
    failed = _failed(tmp_path)
    assert list(failed) == [name]
    assert failed[name]["value"] == pytest.approx(broken.value)
    assert failed[name]["bound"] == broken.bound
    assert failed[name]["detail"] in message


@pytest.mark.parametrize("column", ["duration_ms", "loudness", "tempo"])
def test_infinite_features_are_refused(tmp_path, column):
    rankings, songs = sample_tables()
    songs[column] = songs[column].astype("float64")
    songs.loc[3, column] = np.inf
    with pytest.raises(DataError, match=rf"songs.features_in_range: column {column}: 1 rows, e.g. inf"):
        _validate(tmp_path, rankings, songs)


def test_every_feature_has_a_smallest_and_a_largest_value(tmp_path):
    rankings, songs = sample_tables()
    songs = songs.astype(dict.fromkeys(FEATURES, "float64"))
    for row, (name, (low, high)) in enumerate(RANGES.items()):
        songs.loc[4 * row + 10, name], songs.loc[4 * row + 11, name] = low, high
        songs.loc[4 * row + 12, name], songs.loc[4 * row + 13, name] = low - 0.01, high + 0.01
    with pytest.raises(DataError) as refused:
        _validate(tmp_path, rankings, songs)
    assert [name for name in FEATURES if f"column {name}: 2 rows" not in str(refused.value)] == []
    assert _failed(tmp_path)["songs.features_in_range"]["value"] == 2 * len(FEATURES)


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("daily_rank", None, "rankings.daily_rank"),
        ("daily_rank", 1001, "rankings.daily_rank"),
        ("snapshot_date", pd.NaT, "rankings.snapshot_date"),
        ("snapshot_date", pd.Timestamp.now().normalize() + pd.Timedelta(days=3), "rankings.snapshot_date"),
        ("country", "de", "rankings.country_code"),
        ("country", "", "rankings.country_code"),
    ],
)
def test_every_way_to_break_a_ranking_is_reported(tmp_path, column, value, check):
    with pytest.raises(DataError, match=rf"{check}: column {column}: 1 rows, e.g. "):
        _validate(tmp_path, *_ranking(column, value)(*sample_tables()))
    assert list(_failed(tmp_path)) == [check]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    sampled(
        [
            ("rankings", "spotify_id", 1),
            ("rankings", "country", 1),
            ("rankings", "snapshot_date", "2023-10-18"),
            ("rankings", "snapshot_date", 20231018),
            ("songs", "spotify_id", 1),
            *(("songs", name, "1") for name in FEATURES),
        ],
        every=3,
    ),
)
def test_a_column_of_the_wrong_type_is_named(tmp_path, table, column, value):
    tables = dict(zip(("rankings", "songs"), sample_tables(), strict=True))
    tables[table] = tables[table].assign(**{column: value})
    with pytest.raises(DataError, match=rf"{table}\.types: column {column} is not .*, e\.g\. .*{value}"):
        _validate(tmp_path, tables["rankings"], tables["songs"])
    assert list(_failed(tmp_path)) == [f"{table}.types"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_of_any_precision_pass(tmp_path, unit):
    rankings, songs = sample_tables()
    _validate(
        tmp_path,
        rankings.assign(snapshot_date=rankings["snapshot_date"].astype(f"datetime64[{unit}]")),
        songs,
    )


@pytest.mark.parametrize("kind", ["a day", "a zoned time"])
def test_dates_of_other_kinds_pass_or_are_reported(tmp_path, kind):
    rankings, songs = sample_tables()
    dates = rankings["snapshot_date"].dt
    rankings["snapshot_date"] = dates.date if kind == "a day" else dates.tz_localize("UTC")
    if kind == "a day":  # what a CSV gives
        _validate(tmp_path, rankings, songs)
    else:
        try:
            _validate(tmp_path, rankings, songs)
        except DataError as error:
            assert "column snapshot_date" in str(error)
        assert _report(tmp_path)["checks"]


def test_the_sample_as_csv_passes(tmp_path):
    rankings, songs = map(str, write_csv(tmp_path, *sample_tables()))
    read = [tmp_path / "read" / name for name in ("rankings.parquet", "songs.parquet", "source.json")]
    fetch(rankings, songs, data_version(rankings, songs), *read)
    validate(*read, *unopposed(tmp_path))
    assert _failed(tmp_path) == {}


@pytest.mark.parametrize("empty", [("rankings",), ("songs",), ("rankings", "songs")])
def test_empty_tables_are_reported(tmp_path, empty):
    tables = dict(zip(("rankings", "songs"), sample_tables(), strict=True))
    for name in empty:
        tables[name] = tables[name][:0]
    with pytest.raises(DataError, match="only 0 rows"):
        _validate(tmp_path, tables["rankings"], tables["songs"])
    assert {f"{name}.rows" for name in empty} <= set(_failed(tmp_path))


def test_songs_without_any_id_are_reported(tmp_path):
    rankings, songs = sample_tables()
    with pytest.raises(DataError, match="column spotify_id"):
        _validate(tmp_path, rankings, songs.assign(spotify_id=songs["spotify_id"].where(songs.index > 3)))
    assert "songs.song_present" in _failed(tmp_path)


def test_nulls_in_a_true_or_false_feature_are_nulls(tmp_path):
    rankings, songs = sample_tables()
    songs["is_explicit"] = songs["is_explicit"].astype(object).where(songs.index > 3)
    with pytest.raises(DataError, match="column is_explicit: 4 rows"):
        _validate(tmp_path, rankings, songs)
    assert list(_failed(tmp_path)) == ["songs.features_present"]


@pytest.mark.parametrize(("table", "column"), [("rankings", "country"), ("songs", "tempo")])
def test_a_missing_column_is_named(tmp_path, table, column):
    tables = dict(zip(("rankings", "songs"), sample_tables(), strict=True))
    tables[table] = tables[table].drop(columns=column)
    with pytest.raises(
        DataError, match=f"{table}.columns: column {column} is missing; the table has spotify_id"
    ):
        _validate(tmp_path, tables["rankings"], tables["songs"])


HAND_MADE = charts([("a", "DE", 2), ("b", "FR", 2), ("c", None, 1), ("d", "AT", 1)]).assign(
    album_release_date=["0000", "2023-01-01", None, None, None, None]
)
AT_THE_BOUND = {
    "min_rankings": 6,
    "min_songs": 4,
    "min_countries": 3,
    "min_known_songs": 0.75,
    "max_broken_songs": 0.25,
    "max_unreadable_dates": 0.5,
}


def _hand_made_songs() -> pd.DataFrame:
    songs = songs_of(["a", "b", "c", "never"])
    for name, (low, _) in RANGES.items():
        songs[name] = max(low, 0.5)
    songs.loc[3, "tempo"] = 0.0
    return songs


def test_a_table_at_its_bounds_passes(tmp_path):
    _validate(tmp_path, HAND_MADE, _hand_made_songs(), **AT_THE_BOUND)
    report = _report(tmp_path)
    assert (report["rankings_rows"], report["global_rows"], report["broken_songs"]) == (6, 1, 1)


@pytest.mark.parametrize(
    ("name", "beyond", "check"),
    [
        ("min_rankings", 7, "rankings.rows"),
        ("min_songs", 5, "songs.rows"),
        ("min_countries", 4, "rankings.countries"),
        ("min_known_songs", 0.76, "rankings.known_songs"),
        ("max_broken_songs", 0.24, "songs.broken"),
        ("max_unreadable_dates", 0.49, "rankings.release_date"),
    ],
)
def test_a_table_just_beyond_a_bound_is_refused(tmp_path, name, beyond, check):
    with pytest.raises(DataError, match=check):
        _validate(tmp_path, HAND_MADE, _hand_made_songs(), **AT_THE_BOUND | {name: beyond})
    assert _failed(tmp_path)[check]["bound"] == beyond


def test_the_contract_has_the_bounds_of_the_default_policy():
    bounds, policy = ContractBounds(), default_policy().data
    assert (bounds.min_rankings, bounds.min_songs) == (policy.min_ranking_rows, policy.min_song_rows)
    for name in ("min_countries", "min_known_songs", "max_broken_songs", "max_unreadable_dates"):
        assert getattr(bounds, name) == getattr(policy, name)


def test_the_real_charts_pass_with_their_oddities_counted(tmp_path):
    validate(*real_tables(), write_source(tmp_path), *unopposed(tmp_path))
    report = _report(tmp_path)
    assert (report["rankings_rows"], report["songs_rows"]) == (19_999, 14_245)
    assert (report["global_rows"], report["broken_songs"]) == (300, 7)
    assert _failed(tmp_path) == {}
