"""Data: each check of the data contract is in the report, once, and keeps the policy's bound.

`validate` measures the two tables in a run, and the judge measures them when it seals the holdout.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ml.core.records import Count, Names, Number, Record, Share, Text
from ml.gate.check import Check, Relation, compare, readable
from ml.gate.subjects.drift import Drift
from ml.gate.threshold import threshold


class DataCheck(Record):
    """One check of the data contract: ``value relation bound``."""

    name: str
    value: Number
    relation: Literal["<=", ">="]
    bound: Number
    passed: bool
    detail: str


class DataReport(Record):
    """What `validate` found; counts are rows. ``drift`` is None without a champion.

    ``tables`` says whether these are the source tables or a training snapshot of them. ``both_sides`` and
    ``near_copies`` are the songs that the snapshot left out: see `ml.data.manifests.LeftOut`.
    """

    schema_: Literal["jukebox.data-report/v3"] = Field("jukebox.data-report/v3", alias="schema")
    data_version: Text
    synthetic: bool
    tables: Literal["source", "snapshot"]
    rankings_rows: Count
    global_rows: Count
    songs_rows: Count
    broken_songs: Count
    both_sides: Count
    near_copies: Count
    checks: tuple[DataCheck, ...]
    drift: Drift | None


class DataPolicy(Record):
    """Which checks of the data contract must be in the report and pass, and the bounds that are not zero."""

    required_checks: Names = threshold(
        (
            "rankings.columns",
            "rankings.types",
            "rankings.rows",
            "rankings.countries",
            "rankings.country_code",
            "rankings.daily_rank",
            "rankings.song_present",
            "rankings.unique",
            "rankings.known_songs",
            "rankings.release_date",
            "rankings.snapshot_date",
            "songs.columns",
            "songs.types",
            "songs.rows",
            "songs.song_present",
            "songs.unique",
            "songs.features_present",
            "songs.features_in_range",
            "songs.broken",
        ),
        "names",
        "The checks of the data contract that must be in the report, and pass. A report that forgot one "
        "is not a report that passed it.",
    )
    min_ranking_rows: Count = threshold(
        1000,
        "rows",
        "`rankings.rows`: fewer chart rows than this are no charts. The contract has the same numbers as "
        "stand here; a commit that loosens its own is held against these all the same.",
    )
    min_song_rows: Count = threshold(
        100,
        "rows",
        "`songs.rows`: below so many songs none of the splits is worth its name.",
    )
    min_countries: Count = threshold(
        5,
        "countries",
        "`rankings.countries`: to name the five most probable of five countries is no news.",
    )
    min_known_songs: Share = threshold(
        0.99,
        "share of ranked songs",
        "`rankings.known_songs`: songs without features cannot be learned from. All are known in the real "
        "charts.",
    )
    max_broken_songs: Share = threshold(
        0.01,
        "share of songs",
        "`songs.broken`: songs that Spotify could not analyse; the real table has 0.0005.",
    )
    max_unreadable_dates: Share = threshold(
        0.01,
        "share of dates",
        "`rankings.release_date`: dates of release without a year. Slices of years would vanish unnoticed.",
    )
    max_left_out: Share = threshold(
        0.02,
        "share of songs",
        "`data.left_out`: songs that the snapshot left out because their recording spans the sealed and "
        "the open side, or is a near copy of a sealed one. The first holdout of the real charts leaves "
        "out 0.0003; many more mean that the songs table has changed, or that somebody puts in copies.",
    )


def data_checks(data: DataReport, policy: DataPolicy) -> Iterator[Check]:
    """Check the data report."""
    names = [check.name for check in data.checks]
    required = {name: _bound(name, policy) for name in policy.required_checks}
    for name in dict.fromkeys((*policy.required_checks, *names)):
        if names.count(name) != 1:
            found = "missing from" if name not in names else "more than once in"
            yield readable(f"data.{name}", "unclear", f"the check is {found} the data report")
            continue
        check = data.checks[names.index(name)]
        # A required check is held against the policy; the commit's own contract may have been loosened.
        relation, bound = required.get(name, (check.relation, check.bound))
        yield compare(f"data.{name}", check.value, relation, bound, check.detail)
    left_out = data.both_sides + data.near_copies
    yield compare(
        "data.left_out",
        left_out / max(data.songs_rows, 1),
        "<=",
        policy.max_left_out,
        f"{data.both_sides} songs of recordings on both sides and {data.near_copies} near copies of sealed "
        f"ones were left out, of {data.songs_rows}",
    )


def _bound(name: str, policy: DataPolicy) -> tuple[Relation, float]:
    """Return how a required check must compare, and with what: by default it counts what must not be."""
    bounds: dict[str, tuple[Relation, float]] = {
        "rankings.rows": (">=", policy.min_ranking_rows),
        "songs.rows": (">=", policy.min_song_rows),
        "rankings.countries": (">=", policy.min_countries),
        "rankings.known_songs": (">=", policy.min_known_songs),
        "songs.broken": ("<=", policy.max_broken_songs),
        "rankings.release_date": ("<=", policy.max_unreadable_dates),
    }
    return bounds.get(name, ("<=", 0))
