"""The data contract: what the two tables must be before anything is trained on them.

pandera checks columns, types, ranges, nulls and keys; a few checks of whole tables stand beside it. Each
check counts what breaks it and lands in the data report with its bound, whether it passes or not.
"""

import datetime
from pathlib import Path
from typing import Literal

import pandas as pd
import pandera.errors
import pandera.pandas as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from ml.data.columns import FEATURES, RANGES, RANKING_COLUMNS, SONG_COLUMNS, Kind, is_broken
from ml.data.drift import measure_drift
from ml.data.profile import Profile, make_profile
from ml.data.tables import read_columns, structure_problems
from ml.errors import DataError
from ml.files import read_json, write_bytes, write_json
from ml.gate.canonical import canonical_bytes, digest, parse
from ml.gate.reports.data import DataCheck, DataReport
from ml.gate.reports.drift import Drift


class Bounds(BaseModel):
    """How much, and how little, is still a chart table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_rankings: int = 1000
    min_songs: int = 100
    min_countries: int = 5
    min_known_songs: float = 0.99
    """Share of ranked songs that the songs table knows."""
    max_broken_songs: float = 0.01
    """Share of songs that Spotify could not analyse; the real table has 0.0005."""
    first_date: datetime.date = datetime.date(2008, 10, 7)
    """The day on which Spotify opened."""


DEFAULT_BOUNDS = Bounds()


def validate(
    rankings: str | Path,
    songs: str | Path,
    source: str | Path,
    champion_profile: str | Path,
    champion: str,
    report: str | Path,
    profile: str | Path,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> str:
    """Check both tables against the contract, write report and profile, and say how many checks passed.

    Drift from the champion's training data is measured; whether it is too much, the gate decides.

    Args:
        rankings: parquet file.
        songs: parquet file.
        source: ``source.json`` of `ml.data.sources.fetch`.
        champion_profile: ``profile.json`` of the champion; empty where there is no champion, or it has none.
        champion: the candidate in production, "" for none.
        report: the `DataReport` to write, also when the contract is broken.
        profile: the `Profile` of these tables to write; empty where the contract is broken.
        bounds: the numbers of the contract.

    Raises:
        DataError: the contract is broken; the message names column, count and an example.
    """
    checks = [
        *_structure("rankings", rankings, RANKING_COLUMNS),
        *_structure("songs", songs, SONG_COLUMNS),
    ]
    broken = without_country = 0
    origin = read_json(source)
    ours = None
    if all(check.passed for check in checks):
        chart = read_columns("rankings", rankings, RANKING_COLUMNS, encoded=("spotify_id", "country"))
        song = read_columns("songs", songs, SONG_COLUMNS)
        broken, without_country = int(is_broken(song).sum()), int(chart["country"].isna().sum())
        checks += _sizes(chart, song, bounds)
        checks += _values(chart, _ranking_schema(bounds), _RANKING_CHECKS)
        checks += _values(song, _song_schema(), _SONG_CHECKS)
        if all(check.passed for check in checks):
            ours = make_profile(chart, song, origin["data_version"], synthetic=origin["synthetic"])
    found = DataReport(
        data_version=origin["data_version"],
        synthetic=origin["synthetic"],
        rankings_rows=pq.read_metadata(rankings).num_rows,
        global_rows=without_country,
        songs_rows=pq.read_metadata(songs).num_rows,
        broken_songs=broken,
        checks=tuple(checks),
        drift=_drift(champion_profile, champion, ours),
    )
    write_json(report, found)
    write_bytes(profile, canonical_bytes(ours.to_json()) if ours else b"")
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if failed:
        raise DataError("the data contract is broken: " + "; ".join(failed))
    aside = f"{without_country:,} Global rows set aside, {broken} broken songs dropped"
    return f"{len(checks)} checks passed, {aside}{_drift_in_brief(found.drift)}"


def _drift(champion_profile: str | Path, champion: str, ours: Profile | None) -> Drift | None:
    """Compare with the champion's profile; None without a champion."""
    if not champion:
        return None
    reason, measured = "", None
    data = Path(champion_profile).read_bytes()
    if not data:
        reason = "the champion has no profile of its training data"
    elif ours is None:
        reason = "this run's tables have no profile: they break the contract, or nothing in them charts"
    else:
        try:
            measured = measure_drift(Profile.load(parse(data)), ours)
        except ValueError as error:
            reason = f"the champion's profile cannot be read: {error}"
    return Drift(champion=champion, profile_digest=digest(data), not_compared=reason, measured=measured)


def _drift_in_brief(drift: Drift | None) -> str:
    """Say the worst of the drift in a few words."""
    if drift is None:
        return ""
    if drift.measured is None:
        return f"; {drift.not_compared}"
    name, worst = max(drift.measured.features.items(), key=lambda item: item[1].psi)
    return f"; drift at most {worst.psi:.3f} (PSI of {name})"


def _check(name: str, value: float, relation: Literal["<=", ">="], bound: float, detail: str) -> DataCheck:
    passed = value <= bound if relation == "<=" else value >= bound
    return DataCheck(
        name=name,
        value=float(value),
        relation=relation,
        bound=float(bound),
        passed=passed,
        detail="" if passed else detail,
    )


def _structure(name: str, path: str | Path, kinds: dict[str, Kind]) -> list[DataCheck]:
    missing, wrong = structure_problems(path, kinds)
    return [
        _check(f"{name}.columns", len(missing), "<=", 0, "; ".join(missing)),
        _check(f"{name}.types", len(wrong), "<=", 0, "; ".join(wrong)),
    ]


def _sizes(chart: pd.DataFrame, song: pd.DataFrame, bounds: Bounds) -> list[DataCheck]:
    ranked = pd.Index(chart["spotify_id"].unique())
    unknown = ranked.difference(pd.Index(song["spotify_id"]))
    known = 1 - len(unknown) / len(ranked) if len(ranked) else 0.0
    countries = chart["country"].nunique()
    broken = song["spotify_id"][is_broken(song)]
    share = len(broken) / len(song) if len(song) else 0.0
    return [
        _check("rankings.rows", len(chart), ">=", bounds.min_rankings, f"only {len(chart)} rows"),
        _check("songs.rows", len(song), ">=", bounds.min_songs, f"only {len(song)} rows"),
        _check(
            "rankings.countries",
            countries,
            ">=",
            bounds.min_countries,
            f"column country: only {countries} countries",
        ),
        _check(
            "rankings.known_songs",
            known,
            ">=",
            bounds.min_known_songs,
            f"column spotify_id: {len(unknown)} of {len(ranked)} ranked songs are not in the songs table"
            + (f", e.g. {unknown[0]!r}" if len(unknown) else ""),
        ),
        _check(
            "songs.broken",
            share,
            "<=",
            bounds.max_broken_songs,
            f"columns duration_ms, tempo: {len(broken)} of {len(song)} songs are 0 in one of them"
            + (f", e.g. {broken.iloc[0]}" if len(broken) else ""),
        ),
    ]


_KEY = ["spotify_id", "country", "snapshot_date"]
_RANKING_CHECKS = {
    ("spotify_id", "not_nullable"): "rankings.song_present",
    ("country", "country_code"): "rankings.country_code",
    ("daily_rank", "not_nullable"): "rankings.daily_rank",
    ("daily_rank", "rank"): "rankings.daily_rank",
    ("snapshot_date", "not_nullable"): "rankings.snapshot_date",
    ("snapshot_date", "plausible"): "rankings.snapshot_date",
    ("*", "unique"): "rankings.unique",
}
_SONG_CHECKS = {
    ("spotify_id", "not_nullable"): "songs.song_present",
    ("spotify_id", "field_uniqueness"): "songs.unique",
    **{(name, "not_nullable"): "songs.features_present" for name in FEATURES},
    **{(name, "range"): "songs.features_in_range" for name in FEATURES},
}


def _ranking_schema(bounds: Bounds) -> pa.DataFrameSchema:
    first = pd.Timestamp(bounds.first_date)
    last = pd.Timestamp.now().normalize() + pd.Timedelta(days=1)

    def is_code(codes: pd.Series) -> pd.Series:
        return codes.astype("str").str.fullmatch("[A-Z]{2}")

    def is_unique(table: pd.DataFrame) -> pd.Series:
        return ~table.duplicated(_KEY)

    return pa.DataFrameSchema(
        {
            "spotify_id": pa.Column(nullable=False),
            "country": pa.Column(nullable=True, checks=pa.Check(is_code, name="country_code")),
            "daily_rank": pa.Column(nullable=False, checks=pa.Check.in_range(1, 1000, name="rank")),
            "snapshot_date": pa.Column(
                nullable=False, checks=pa.Check.in_range(first, last, name="plausible")
            ),
        },
        checks=pa.Check(is_unique, name="unique"),
    )


def _song_schema() -> pa.DataFrameSchema:
    features = {
        name: pa.Column(nullable=False, checks=pa.Check.in_range(*RANGES[name], name="range"))
        for name in FEATURES
    }
    return pa.DataFrameSchema({"spotify_id": pa.Column(nullable=False, unique=True), **features})


def _values(
    table: pd.DataFrame, schema: pa.DataFrameSchema, names: dict[tuple[str, str], str]
) -> list[DataCheck]:
    """Run pandera over the whole table and turn its failure cases into one check for each name."""
    counts = dict.fromkeys(names.values(), 0)
    details: dict[str, list[str]] = {name: [] for name in counts}
    try:
        schema.validate(table, lazy=True)
    except pandera.errors.SchemaErrors as error:
        for problem in error.schema_errors:
            column = problem.schema.name or "*"
            # pandera names its own checks by a string, ours by a Check.
            check = getattr(problem.check, "name", problem.check)
            name = names[column, check]
            rows = problem.failure_cases["index"].unique()
            # Of several null ids pandera says twice that they repeat; they are counted as nulls.
            if not len(rows):
                continue
            counts[name] += len(rows)
            details[name].append(_example(table, column, len(rows), rows[0]))
    return [_check(name, count, "<=", 0, "; ".join(details[name])) for name, count in counts.items()]


def _example(table: pd.DataFrame, column: str, count: int, row: int) -> str:
    first = table.loc[row]
    if column == "*":
        where = f"columns {', '.join(_KEY)}: {count} rows repeat an earlier one"
        return f"{where}, e.g. {', '.join(str(first[name]) for name in _KEY)}"
    value = first[column]
    shown = value if isinstance(value, str) else str(value)
    return f"column {column}: {count} rows, e.g. {shown} (song {first['spotify_id']})"
