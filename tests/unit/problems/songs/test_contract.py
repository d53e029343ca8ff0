"""The contract: each check alone stops tables that break it, and says column, count and an example."""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from policies import default_policy
from tables import Files, charts, real_tables, sample_tables, songs_of, validated, write_csv, write_tables
from tiers import sampled

from ml.core.errors import DataError
from ml.data.preprocess import make_splits
from ml.data.sources import data_version, fetch
from ml.data.splits import SPLITS
from ml.problems.songs import definition
from ml.problems.songs.checks import ContractBounds
from ml.problems.songs.columns import RANGES
from ml.problems.songs.sample_spec import SampleSpec

Tables = tuple[pd.DataFrame, pd.DataFrame]
Change = Callable[[pd.DataFrame, pd.DataFrame], Tables]

RANKINGS, SONGS = sample_tables()
FIRST = int(RANKINGS["country"].first_valid_index())
TOP = RANKINGS.loc[FIRST]
RANKED = RANKINGS["spotify_id"].nunique()
DATED = RANKINGS["album_release_date"].notna().sum()
SONG = SONGS["spotify_id"][3]
HEALTHY = SONGS.index[(SONGS["duration_ms"] != 0) & (SONGS["tempo"] != 0)]
SOON = pd.Timestamp.now().normalize() + pd.Timedelta(days=3)


def refused(folder, rankings, songs) -> tuple[str, dict[str, dict]]:
    """Return the error of tables that break the contract, and the checks that fail."""
    with pytest.raises(DataError) as error:
        validated(folder, write_tables(folder, rankings, songs))
    checks = json.loads((folder / "data_report.json").read_bytes())["checks"]
    return str(error.value), {check["name"]: check for check in checks if not check["passed"]}


def ranking(column: str, value: object) -> Change:
    def change(rankings, songs):
        if pd.isna(value) and rankings[column].dtype.kind == "i":
            rankings[column] = rankings[column].astype("float64")
        rankings.loc[FIRST, column] = value
        return rankings, songs

    return change


def song(column: str, *values: object) -> Change:
    def change(rankings, songs):
        songs[column] = songs[column].astype(object if values[0] is None else "float64")
        songs.loc[HEALTHY[: len(values)], column] = values
        return rankings, songs

    return change


def songs_are(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    return lambda rankings, songs: (rankings, change(songs))


def rankings_are(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    return lambda rankings, songs: (change(rankings), songs)


def fewer_songs(rankings, songs):
    kept = rankings["spotify_id"].value_counts()
    kept = kept[kept.index.isin(songs["spotify_id"][HEALTHY])].index[:99]
    return rankings[rankings["spotify_id"].isin(kept)], songs[songs["spotify_id"].isin(kept)]


def day_first(rankings, songs):
    dated = rankings.index[rankings["album_release_date"].notna()]
    rankings["album_release_date"] = rankings["album_release_date"].astype(object)
    rankings.loc[dated[: len(dated) // 50], "album_release_date"] = "01.12.2023"
    return rankings, songs


def again(table: pd.DataFrame, row: int, **changes) -> pd.DataFrame:
    return pd.concat([table, table.loc[[row]].assign(**changes)], ignore_index=True)


class Break(NamedTuple):
    """A change that breaks one check only, what the report then says, and what the message names."""

    check: str
    change: Change
    value: float
    bound: float
    message: tuple[str, ...]


BREAKS = [
    Break("rankings.columns", rankings_are(lambda r: r.drop(columns="country")), 1, 0,
          ("column country is missing; the table has spotify_id",)),
    Break("rankings.types", rankings_are(lambda r: r.assign(daily_rank="first")), 1, 0,
          ("column daily_rank is not a number", "'first'")),
    Break("rankings.rows", rankings_are(lambda r: r.sample(999, random_state=1)), 999, 1000,
     ("only 999 rows",)),
    Break("rankings.rows", rankings_are(lambda r: r[:0]), 0, 1000, ("only 0 rows",)),
    Break("rankings.countries", rankings_are(lambda r: r[r["country"].isin(["DE", "FR", "GB", "US"])]), 4, 5,
          ("column country", "only 4 countries")),
    Break("rankings.known_songs",
          songs_are(lambda s: s[~s["spotify_id"].isin(sorted(RANKINGS["spotify_id"].unique())[:10])]),
          1 - 10 / RANKED, 0.99, (f"10 of {RANKED} ranked songs", f"e.g. '{min(RANKINGS['spotify_id'])}'")),
    Break("rankings.song_present", ranking("spotify_id", None), 1, 0, ("column spotify_id: 1 rows", "e.g.")),
    *(Break("rankings.country_code", ranking("country", code), 1, 0,
            (f"column country: 1 rows, e.g. {code} (spotify_id {TOP['spotify_id']}", f", row {FIRST + 1})"))
      for code in ("Germany", "de", "")),
    *(Break("rankings.daily_rank", ranking("daily_rank", rank), 1, 0,
     (f"column daily_rank: 1 rows, e.g. {rank}",))
      for rank in (0, 1001, np.nan)),
    *(Break("rankings.snapshot_date", ranking("snapshot_date", day), 1, 0,
     (f"snapshot_date: 1 rows, e.g. {day}",))
      for day in (pd.Timestamp("2008-10-06"), SOON, pd.NaT)),
    Break("rankings.release_date", day_first, DATED // 50 / DATED, 0.01,
          (f"album_release_date: {DATED // 50} of {DATED} dates", "'01.12.2023'")),
    Break("rankings.unique", rankings_are(lambda r: again(r, FIRST)), 1, 0,
          ("columns spotify_id, country, snapshot_date: 1 rows", TOP["spotify_id"], TOP["country"])),
    Break("songs.columns", songs_are(lambda s: s.drop(columns="tempo")), 1, 0,
     ("column tempo is missing; the table",)),
    Break("songs.types", songs_are(lambda s: s.assign(energy="loud", tempo="fast")), 2, 0,
          ("column energy is not a number", "'loud'", "column tempo is not a number", "'fast'")),
    Break("songs.rows", fewer_songs, 99, 100, ("only 99 rows",)),
    Break("songs.broken", song("tempo", *[0.0] * 5), 7 / 600, 0.01,
          ("columns duration_ms, tempo", "7 of 600 songs", "e.g.")),
    Break("songs.song_present", songs_are(lambda s: again(s, 3, spotify_id=None)), 1, 0,
     ("spotify_id: 1 rows, e.g.",)),
    Break("songs.unique", songs_are(lambda s: again(s, 3)), 2, 0, ("column spotify_id: 2 rows", SONG)),
    Break("songs.features_present", song("energy", np.nan), 1, 0, ("column energy: 1 rows, e.g. nan",)),
    Break("songs.features_present", song("is_explicit", None, None), 2, 0, ("column is_explicit: 2 rows",)),
    *(Break("songs.features_in_range", song(name, low, high, low - 0.01, high + 0.01, np.inf, 1e39), 4, 0,
            (f"column {name}: 4 rows, e.g.",)) for name, (low, high) in RANGES.items()
      if name not in ("duration_ms", "tempo")),
    *(Break("songs.features_in_range", song(name, high, -0.01, high + 0.01, -np.inf), 3, 0,
     (f"column {name}: 3 rows",))
      for name, (_, high) in RANGES.items() if name in ("duration_ms", "tempo")),
]  # fmt: skip


def test_the_sample_passes(tmp_path):
    said = validated(tmp_path, write_tables(tmp_path, *sample_tables()))
    checks = {broken.check for broken in BREAKS}
    assert said == f"{len(checks)} checks passed, 350 Global rows left out, 2 broken songs left out"
    report = json.loads((tmp_path / "data_report.json").read_bytes())
    assert report["rows"] == {"rankings": 25_550, "songs": 600}
    assert report["set_aside"] == {"Global rows": 350, "broken songs": 2}
    # So every check of the contract has a table here that breaks it, and the policy has the same bounds.
    assert {check["name"] for check in report["checks"]} == checks
    required = {f"{check['name']} {check['relation']} {check['bound']:g}" for check in report["checks"]}
    assert required == set(default_policy().data.required_checks)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.check)
def test_tables_that_break_one_check_only_are_refused_for_it(tmp_path, broken):
    message, failed = refused(tmp_path, *broken.change(*sample_tables()))
    assert message.startswith(f"the data contract is broken: {broken.check}: ")
    assert "\n" not in message
    assert [part for part in broken.message if part not in message] == [], message
    if broken.value:
        assert list(failed) == [broken.check]
    assert failed[broken.check]["value"] == pytest.approx(broken.value)
    assert failed[broken.check]["bound"] == broken.bound


HAND_MADE = charts([("a", "DE", 2), ("b", "FR", 2), ("c", None, 1), ("d", "AT", 1)]).assign(
    album_release_date=["0000", "2023-01-01", None, None, None, None]
)
AT_THE_BOUND = {
    "min_rankings": (6, 7, "rankings.rows"),
    "min_songs": (4, 5, "songs.rows"),
    "min_countries": (3, 4, "rankings.countries"),
    "min_known_songs": (0.75, 0.76, "rankings.known_songs"),
    "max_broken_songs": (0.25, 0.24, "songs.broken"),
    "max_unreadable_dates": (0.5, 0.49, "rankings.release_date"),
}


@pytest.mark.parametrize("name", ["", *AT_THE_BOUND])
def test_tables_at_their_bounds_pass_and_beyond_one_are_refused(tmp_path, name):
    songs = songs_of(["a", "b", "c", "never"]).assign(
        **{one: max(low, 0.5) for one, (low, _) in RANGES.items()}
    )
    songs.loc[3, "tempo"] = 0.0
    bounds = {one: (beyond if one == name else at) for one, (at, beyond, _) in AT_THE_BOUND.items()}
    paths = write_tables(tmp_path, HAND_MADE, songs).paths
    found = definition.check_contents(paths, ContractBounds(**bounds))
    assert found.set_aside == {"Global rows": 1, "broken songs": 1}
    failed = [(check.name, check.bound) for check in found.checks if not check.passed]
    assert failed == ([(AT_THE_BOUND[name][2], AT_THE_BOUND[name][1])] if name else [])


def test_the_real_charts_pass_with_their_oddities_counted(tmp_path):
    validated(tmp_path, real_tables())
    report = json.loads((tmp_path / "data_report.json").read_bytes())
    assert report["rows"] == {"rankings": 19_999, "songs": 14_245}
    assert report["set_aside"] == {"Global rows": 300, "broken songs": 7}


SMALL = SampleSpec(songs=600, days=2, seed=7)
NO_NUMBERS = [
    ("songs", "energy", "inf", "songs.features_in_range: column energy: 1 rows, e.g. inf ("),
    ("songs", "duration_ms", "1e999", "songs.features_in_range: column duration_ms: 1 rows, e.g. inf ("),
    ("songs", "loudness", "1e39", "songs.features_in_range: column loudness: 1 rows, e.g. 1e+39 ("),
    ("songs", "energy", "nan", "songs.features_present: column energy: 1 rows, e.g. nan ("),
    ("songs", "is_explicit", "inf", "songs.types: column is_explicit is not a number, e.g. 'inf' ("),
    ("rankings", "daily_rank", "inf", "rankings.daily_rank: column daily_rank: 1 rows, e.g. inf ("),
    ("rankings", "daily_rank", "NaN", "rankings.daily_rank: column daily_rank: 1 rows, e.g. nan ("),
    ("rankings", "snapshot_date", "inf", "rankings.snapshot_date: column snapshot_date: 1 rows, e.g. "),
    ("rankings", "snapshot_date", "nan", "rankings.types: column snapshot_date is not a date, e.g. 'nan' ("),
]
WHOLE_COLUMNS = [
    (table, column, value, f"column {column}")
    for table, column in (
        ("songs", "danceability"),
        ("rankings", "daily_rank"),
        ("rankings", "snapshot_date"),
    )
    for value in ("inf", "-inf", "nan")
]


@pytest.mark.parametrize(
    ("rows", "table", "column", "value", "message"),
    sampled([*((3, *case) for case in NO_NUMBERS), *((None, *case) for case in WHOLE_COLUMNS)], every=4),
)
def test_what_is_no_number_in_a_csv_is_named(tmp_path, rows, table, column, value, message):
    """DuckDB takes a column of infinities for dates, and the splits are made beside the contract."""
    tables = dict(zip(("rankings", "songs"), sample_tables(SMALL), strict=True))
    tables[table][column] = tables[table][column].astype(object)
    tables[table].loc[slice(None) if rows is None else rows, column] = value
    given = {name: str(path) for name, path in write_csv(tmp_path, **tables).paths.items()}
    fetch(definition, given, data_version(definition, given), tmp_path, tmp_path / "source.json")
    files = Files(*(tmp_path / f"{name}.parquet" for name in tables))
    with pytest.raises(DataError) as broken:
        validated(tmp_path, files)
    assert message in str(broken.value)
    assert "\n" not in str(broken.value)
    targets = {name: tmp_path / f"{name}.split" for name in SPLITS}
    try:
        make_splits(definition, files.paths, targets, tmp_path / "labels.json")
    except DataError as error:
        assert column in str(error)
