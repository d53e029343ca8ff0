"""Corrupted feeds: each is caught by the check that is said to, and what none catches is known."""

import contextlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from corruptions import CORRUPTIONS, UNCAUGHT
from tables import real_tables, sample_tables, write_source, write_tables

from ml.data.contract import validate
from ml.data.sample_spec import SampleSpec
from ml.errors import DataError
from ml.files import read_json
from ml.gate.checks.data import data_checks
from ml.gate.checks.drift import drift_checks
from ml.gate.policy import default_policy
from ml.gate.reports.data import DataReport

CHAMPION = "c" * 64
POLICY = default_policy()
DOCS = Path(__file__).parents[3] / "docs" / "drift.md"


@pytest.fixture(scope="module", params=["sample", "real"])
def clean(request, tmp_path_factory):
    """The tables as they should be, and the profile that a champion was trained on."""
    if request.param == "sample":
        tables = sample_tables(SampleSpec(songs=1000, days=8, seed=7))
    else:
        tables = tuple(pd.read_parquet(path) for path in real_tables())
    folder = tmp_path_factory.mktemp("clean")
    return (*tables, _profile(folder, *tables))


def _profile(folder, rankings, songs):
    files = write_tables(folder, rankings, songs)
    validate(*files, write_source(folder), os.devnull, "", folder / "report.json", folder / "profile.json")
    return folder / "profile.json"


def _unmet(folder, profile, rankings, songs):
    """Judge tables beside a champion that was trained on those of a profile: what blocks, and what warns."""
    files = write_tables(folder, rankings, songs)
    targets = folder / "report.json", folder / "profile.json"
    with contextlib.suppress(DataError):
        validate(*files, write_source(folder), profile, CHAMPION, *targets)
    report = DataReport.load(read_json(targets[0]))
    checks = [*data_checks(report, POLICY.data), *drift_checks(report, POLICY.drift, CHAMPION)]
    unmet = [check for check in checks if not check.passed]
    return {check.name for check in unmet if check.blocks}, {
        check.name for check in unmet if not check.blocks
    }


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_feed_is_caught_by_the_check_that_is_said_to(tmp_path, clean, name):
    rankings, songs, profile = clean
    change, check, warns = CORRUPTIONS[name]
    blocking, warning = _unmet(tmp_path, profile, *change(rankings.copy(), songs.copy()))
    assert check in (warning if warns else blocking), (sorted(blocking), sorted(warning))


@pytest.mark.parametrize("name", UNCAUGHT)
def test_what_no_check_catches_is_known(tmp_path, clean, name):
    rankings, songs, profile = clean
    assert _unmet(tmp_path, profile, *UNCAUGHT[name](rankings.copy(), songs.copy())) == (set(), set())


@pytest.mark.parametrize("half", ["first days, last days", 0, 1, 2], ids=str)
def test_what_differs_by_chance_passes(tmp_path, clean, half):
    rankings, songs, _ = clean
    if isinstance(half, str):
        days = sorted(rankings["snapshot_date"].unique())
        first = rankings["snapshot_date"] < days[len(days) // 2]
    else:
        ids = rankings["spotify_id"].unique()
        first = rankings["spotify_id"].isin(
            np.random.default_rng(half).choice(ids, len(ids) // 2, replace=False)
        )
    (tmp_path / "before").mkdir()
    profile = _profile(tmp_path / "before", rankings[first], songs)
    blocking, _ = _unmet(tmp_path, profile, rankings[~first], songs)
    assert blocking == set()


def test_enough_corruptions_block():
    assert sum(not corruption.warns for corruption in CORRUPTIONS.values()) >= 25
    assert len(UNCAUGHT) >= 6


def test_the_docs_tell_of_each():
    told = DOCS.read_text(encoding="utf-8")
    for name, (_, check, warns) in CORRUPTIONS.items():
        assert f"| {name} | `{check}` | {'warns' if warns else 'blocks'} |" in told
    for name in UNCAUGHT:
        assert f"- {name}" in told
