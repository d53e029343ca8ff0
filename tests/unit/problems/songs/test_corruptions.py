"""The checks of the data catch each known corruption, pass sound tables, and miss what they are said to."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from corruptions import (
    CORRUPTIONS,
    UNCAUGHT,
    Tables,
    blocking,
    judge,
    narrow,
    profile_of,
    warning,
)
from tables import real_tables, sample_tables
from tiers import sampled

from ml.problems.songs.sample_spec import SampleSpec

SAMPLE = SampleSpec(songs=600, days=6, seed=7)


@pytest.fixture(scope="module", params=sampled(["sample", "real"], ["sample"]))
def sound(request) -> tuple[Tables, bool]:
    """Sound tables, and whether they are synthetic."""
    if request.param == "sample":
        return narrow(*sample_tables(SAMPLE)), True
    files = real_tables()
    return narrow(*(pd.read_parquet(path) for path in files)), False


@pytest.fixture(scope="module")
def profile(sound, tmp_path_factory) -> Path:
    """The profile of the sound tables."""
    return profile_of(tmp_path_factory.mktemp("profile"), *sound)


def _judged(folder, sound, profile, change):
    (rankings, songs), synthetic = sound
    return judge(folder, change(rankings.copy(), songs.copy()), profile, synthetic)


def test_sound_tables_pass_beside_themselves_without_a_warning(tmp_path, sound, profile):
    checks = _judged(tmp_path, sound, profile, lambda rankings, songs: (rankings, songs))
    assert len(checks) > 40
    assert [check.name for check in checks if not check.passed] == []


def test_sound_tables_in_another_order_pass_without_a_warning(tmp_path, sound, profile):
    checks = _judged(tmp_path, sound, profile, lambda rankings, songs: (rankings[::-1], songs[::-1]))
    assert [check.name for check in checks if not check.passed] == []
    assert (tmp_path / "profile.json").read_bytes() == profile.read_bytes()


def test_the_second_half_of_the_days_passes_beside_the_first(tmp_path, sound):
    (rankings, songs), synthetic = sound
    days = np.sort(rankings["snapshot_date"].unique())
    early = rankings["snapshot_date"].isin(days[: len(days) // 2])
    (tmp_path / "early").mkdir()
    before = profile_of(tmp_path / "early", (rankings[early], songs), synthetic)
    checks = judge(tmp_path, (rankings[~early], songs), before, synthetic)
    assert (blocking(checks), warning(checks)) == ([], [])


@pytest.mark.parametrize("seed", sampled(range(4), [0]))
def test_a_random_half_of_the_songs_passes_beside_the_other(tmp_path, sound, seed):
    (rankings, songs), synthetic = sound
    chosen = np.random.default_rng(seed).random(len(songs)) < 0.5
    halves = [
        (rankings[rankings["spotify_id"].isin(half["spotify_id"])], half)
        for half in (songs[chosen], songs[~chosen])
    ]
    (tmp_path / "before").mkdir()
    checks = judge(tmp_path, halves[1], profile_of(tmp_path / "before", halves[0], synthetic), synthetic)
    assert blocking(checks) == []
    # No song returns. Halves of the sample are 300 songs, and differ by chance; the real ones hardly do.
    by_chance = {"drift.psi.early", "drift.ks.early", "drift.correlation.early"} if synthetic else set()
    assert "drift.known_songs" in warning(checks)
    assert set(warning(checks)) <= {"drift.known_songs", *by_chance}


@pytest.mark.parametrize("corruption", sampled(CORRUPTIONS, every=4), ids=lambda corruption: corruption.name)
def test_a_corruption_is_caught_by_its_check(tmp_path, sound, profile, corruption):
    checks = _judged(tmp_path, sound, profile, corruption.change)
    blocks, warns = blocking(checks), warning(checks)
    assert bool(blocks) == corruption.blocks, (blocks, warns)
    caught = blocks if corruption.blocks else warns
    _, synthetic = sound
    assert corruption.check in (caught if synthetic else caught[:1])


@pytest.mark.parametrize(("name", "change"), UNCAUGHT, ids=[name for name, _ in UNCAUGHT])
def test_what_is_said_to_pass_uncaught_changes_the_tables_and_fails_no_check(
    tmp_path, sound, profile, name, change
):
    (rankings, songs), _ = sound
    after = change(rankings.copy(), songs.copy())
    assert not (after[0].equals(rankings) and after[1].equals(songs))
    checks = _judged(tmp_path, sound, profile, change)
    assert [check.name for check in checks if not check.passed] == []


def test_most_of_the_corruptions_block():
    names = [corruption.name for corruption in CORRUPTIONS] + [name for name, _ in UNCAUGHT]
    assert len(names) == len(set(names))
    assert sum(corruption.blocks for corruption in CORRUPTIONS) >= 25
