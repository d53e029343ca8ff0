"""The checks of the data catch each known corruption, pass sound tables, and miss what they are said to."""

import numpy as np
import pandas as pd
import pytest
from corruptions import CORRUPTIONS, UNCAUGHT, judge, narrow, profile_of
from tables import real_tables, sample_tables
from tiers import sampled

from ml.problems.songs.sample_spec import SampleSpec


@pytest.fixture(scope="module", params=sampled(["sample", "real"], ["sample"]))
def sound(request, tmp_path_factory):
    """Sound tables, whether they are synthetic, and their profile."""
    synthetic = request.param == "sample"
    spec = SampleSpec(songs=600, days=6, seed=7)
    tables = sample_tables(spec) if synthetic else [pd.read_parquet(path) for path in real_tables()]
    narrowed = narrow(*tables)
    return narrowed, synthetic, profile_of(tmp_path_factory.mktemp("profile"), narrowed, synthetic)


def judged(folder, sound, change) -> tuple[list[str], list[str]]:
    """Name the checks that block, and those that only warn."""
    (rankings, songs), synthetic, profile = sound
    return judge(folder, change(rankings.copy(), songs.copy()), profile, synthetic)


def test_sound_tables_pass_in_any_order_without_a_warning(tmp_path, sound):
    assert judged(tmp_path, sound, lambda rankings, songs: (rankings[::-1], songs[::-1])) == ([], [])
    assert (tmp_path / "profile.json").read_bytes() == sound[2].read_bytes()


def test_the_second_half_of_the_days_passes_beside_the_first_and_half_of_the_songs_beside_the_other(
    tmp_path, sound
):
    (rankings, songs), synthetic, _ = sound
    days = np.sort(rankings["snapshot_date"].unique())
    early = rankings["snapshot_date"].isin(days[: len(days) // 2])
    before = profile_of(tmp_path / "early", (rankings[early], songs), synthetic)
    assert judge(tmp_path, (rankings[~early], songs), before, synthetic) == ([], [])
    chosen = np.random.default_rng(0).random(len(songs)) < 0.5
    ours = rankings["spotify_id"].isin(songs[chosen]["spotify_id"])
    before = profile_of(tmp_path / "before", (rankings[ours], songs[chosen]), synthetic)
    blocks, warns = judge(tmp_path, (rankings[~ours], songs[~chosen]), before, synthetic)
    # No song returns. Halves of the sample are 300 songs, and differ by chance; the real ones hardly do.
    by_chance = {"drift.psi.early", "drift.ks.early", "drift.correlation.early"} if synthetic else set()
    assert (blocks, set(warns) - by_chance) == ([], {"drift.known_examples"})


@pytest.mark.parametrize("corruption", sampled(CORRUPTIONS, every=4), ids=lambda corruption: corruption.name)
def test_a_corruption_is_caught_by_its_check(tmp_path, sound, corruption):
    blocks, warns = judged(tmp_path, sound, corruption.change)
    assert bool(blocks) == corruption.blocks, (blocks, warns)
    caught = blocks if corruption.blocks else warns
    assert corruption.check in (caught if sound[1] else caught[:1])


@pytest.mark.parametrize(("name", "change"), UNCAUGHT, ids=[name for name, _ in UNCAUGHT])
def test_what_is_said_to_pass_uncaught_changes_the_tables_and_fails_no_check(tmp_path, sound, name, change):
    rankings, songs = sound[0]
    after = change(rankings.copy(), songs.copy())
    assert not (after[0].equals(rankings) and after[1].equals(songs))
    assert judged(tmp_path, sound, change) == ([], [])
