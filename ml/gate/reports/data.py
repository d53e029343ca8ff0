"""The data report: what `validate` found in the two tables."""

from typing import Literal

from pydantic import Field

from ml.gate.records import Count, Number, Record, Text
from ml.gate.reports.drift import Drift


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
