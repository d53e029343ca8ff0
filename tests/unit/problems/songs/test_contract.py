"""The contract: each check alone stops tables that break it, and says column, count and an example."""

import json

import numpy as np
import pandas as pd
import pytest
from policies import default_policy
from tables import real_tables, sample_tables, validated, write_tables

from ml.core.errors import DataError
from ml.problems.songs.columns import RANGES

RANKINGS, SONGS = sample_tables()
ROW = int(RANKINGS["country"].first_valid_index())
TOP = f"spotify_id {RANKINGS.loc[ROW, 'spotify_id']}, row {ROW + 1}"
RANKED = sorted(RANKINGS["spotify_id"].unique())
DATED = RANKINGS.index[RANKINGS["album_release_date"].notna()]
YEARLESS = DATED[::50]
HEALTHY = SONGS.index[(SONGS["duration_ms"] != 0) & (SONGS["tempo"] != 0)]
OPENED, SOON = pd.Timestamp("2008-10-07"), pd.Timestamp.now().normalize() + pd.Timedelta(days=1)
DAY = pd.Timedelta(days=1)


def put(column, rows, *values):
    def change(table):
        changed = table[column].astype(float if isinstance(values[0], float) else object)
        changed.loc[rows] = values if len(values) > 1 else values[0]
        return table.assign(**{column: changed.infer_objects()})

    return change


def again(row, **changes):
    return lambda table: pd.concat([table, table.loc[[row]].assign(**changes)], ignore_index=True)


def renamed(table):
    return table.assign(spotify_id=table["spotify_id"].replace({one: f"?{one}" for one in RANKED[:10]}))


BREAKS = [
    ("rankings.columns", lambda r: r.drop(columns="country"), 1, "column country is missing; the table has"),
    ("rankings.types", lambda r: r.assign(daily_rank="x"), 1, "column daily_rank is not a number, e.g. 'x'"),
    ("rankings.rows", lambda r: r.sample(999, random_state=1), 999, "only 999 rows"),
    ("rankings.rows", lambda r: r[:0], 0, "only 0 rows"),
    ("rankings.countries", lambda r: r[r["country"].isin(["AE", "AR", "AT"])], 3, "column country: only 3"),
    ("rankings.known_songs", renamed, 1 - 10 / len(RANKED), "column spotify_id: 10 of "),
    ("rankings.song_present", put("spotify_id", ROW, None), 1, "column spotify_id: 1 rows, e.g."),
    *(("rankings.country_code", put("country", ROW, code), 1, f"column country: 1 rows, e.g. {code} ({TOP})")
      for code in ("Germany", "de", "")),
    *(("rankings.daily_rank", put("daily_rank", ROW, rank), 1, f"column daily_rank: 1 rows, e.g. {rank}")
      for rank in (0, 1001, np.nan)),
    *(("rankings.snapshot_date", put("snapshot_date", ROW, day), 1,
       f"column snapshot_date: 1 rows, e.g. {day}") for day in (OPENED - DAY, SOON + DAY, pd.NaT)),
    ("rankings.release_date", put("album_release_date", YEARLESS, "01.12.2023"), len(YEARLESS) / len(DATED),
     f"column album_release_date: {len(YEARLESS)} of {len(DATED)} dates do not begin with a year, e.g. '01."),
    ("rankings.unique", again(ROW), 1, "columns spotify_id, country, snapshot_date: 1 rows"),
    ("songs.rows", lambda s: s[:99], 99, "only 99 rows"),
    ("songs.columns", lambda s: s.drop(columns="tempo"), 1, "column tempo is missing; the table"),
    ("songs.types", lambda s: s.assign(energy="x", tempo="y"), 2, "column energy is not a number, e.g. 'x'"),
    ("songs.broken", put("tempo", HEALTHY[:5], 0.0), 7 / 600, "columns duration_ms, tempo: 7 of 600 songs"),
    ("songs.song_present", again(3, spotify_id=None), 1, "column spotify_id: 1 rows, e.g."),
    ("songs.unique", again(3), 2, f"column spotify_id: 2 rows, e.g. {SONGS['spotify_id'][3]}"),
    ("songs.features_present", put("energy", HEALTHY[0], np.nan), 1, "column energy: 1 rows, e.g. nan"),
    ("songs.features_present", put("is_explicit", HEALTHY[:2], None, None), 2, "column is_explicit: 2 rows"),
    *(("songs.features_in_range", put(name, HEALTHY[:4], high, low - 0.01, high + 0.01, 1e39), 3,
       f"column {name}: 3 rows, e.g.") for name, (low, high) in RANGES.items()),
]  # fmt: skip


def test_the_sample_passes(tmp_path):
    said = validated(tmp_path, write_tables(tmp_path, *sample_tables()))
    assert said == "19 checks passed, 350 Global rows left out, 2 broken songs left out"
    report = json.loads((tmp_path / "data_report.json").read_bytes())
    assert report["rows"] == {"rankings": 25_550, "songs": 600}
    # So every check of the contract has a table here that breaks it, and the policy has the same bounds.
    assert {check["name"] for check in report["checks"]} == {name for name, *_ in BREAKS}
    required = {f"{check['name']} {check['relation']} {check['bound']:g}" for check in report["checks"]}
    assert required == set(default_policy().data.required_checks)


@pytest.mark.parametrize(("name", "change", "value", "told"), BREAKS)
def test_tables_that_break_a_check_are_refused_for_it(tmp_path, name, change, value, told):
    tables = dict(zip(("rankings", "songs"), sample_tables(), strict=True))
    broken = name.partition(".")[0]
    tables[broken] = change(tables[broken])
    with pytest.raises(DataError) as error:
        validated(tmp_path, write_tables(tmp_path, **tables))
    assert str(error.value).startswith(f"the data contract is broken: {name}: {told}")
    checks = json.loads((tmp_path / "data_report.json").read_bytes())["checks"]
    failed = {check["name"]: check["value"] for check in checks if not check["passed"]}
    assert failed[name] == pytest.approx(value)


def test_the_real_charts_pass_with_their_oddities_counted(tmp_path):
    validated(tmp_path, real_tables())
    report = json.loads((tmp_path / "data_report.json").read_bytes())
    assert report["rows"] == {"rankings": 19_999, "songs": 14_245}
    assert report["set_aside"] == {"Global rows": 300, "broken songs": 7}
