"""The sample: synthetic and says so, the same each time, with the real tables' columns and oddities."""

import warnings

import pandas as pd
import pyarrow.parquet as pq
import pytest
from tables import SPEC, Files, real_tables, sample_tables

from ml.problems.songs import definition
from ml.problems.songs.columns import RANKING_COLUMNS, SONG_COLUMNS
from ml.problems.songs.sample import CHART_LENGTH, COUNTRIES, write_tables
from ml.problems.songs.sample_spec import SampleSpec, parse_sample_uri

RANKINGS, SONGS = sample_tables()


def test_the_same_uri_gives_the_same_tables_and_another_seed_others(tmp_path):
    uri = SampleSpec(songs=600, days=1, seed=3).uri
    files = Files(tmp_path / "rankings.parquet", tmp_path / "songs.parquet")
    made = []
    for _ in range(2):
        definition.write_sample(uri, files.paths)
        made.append([pd.read_parquet(path) for path in files])
    for first, second in zip(*made, strict=True):
        pd.testing.assert_frame_equal(first, second)
    assert set(made[0][1]["spotify_id"]).isdisjoint(SONGS["spotify_id"])
    about = {"generator": "1", "sample": {"songs": 600, "days": 1, "seed": 3}}
    assert definition.describe_sample(uri) == about


def test_charts_are_whole_songs_have_one_day_of_release_and_names_say_that_they_are_synthetic(tmp_path):
    written = write_tables(SPEC, tmp_path / "rankings.parquet", tmp_path / "songs.parquet")
    assert written == (len(RANKINGS), len(SONGS)) == (7 * (len(COUNTRIES) + 1) * CHART_LENGTH, 600)
    by_chart = RANKINGS.groupby(["country", "snapshot_date"], dropna=False)["daily_rank"]
    assert all(sorted(ranks) == list(range(1, CHART_LENGTH + 1)) for _, ranks in by_chart)
    named = RANKINGS["name"] != "unknown"
    assert (RANKINGS.groupby("spotify_id")["album_release_date"].nunique(dropna=False) == 1).all()
    assert RANKINGS["album_release_date"].isna().equals(~named)
    released = pd.to_datetime(RANKINGS.loc[named, "album_release_date"], format="%Y-%m-%d")
    assert (released < RANKINGS["snapshot_date"].min()).all()
    assert {2000, 2010, 2020} <= set(released.dt.year // 10 * 10)
    nameless = SONGS[["name", "artists"]].isna().all(axis=1)
    assert nameless.equals(SONGS["duration_ms"] == 0)
    assert (nameless.sum() > 0, (SONGS["tempo"] == 0).sum()) == (True, 1)
    for names in (table[column].dropna() for table in (RANKINGS, SONGS) for column in ("name", "artists")):
        assert (names.str.startswith("Synthetic ") | (names == "unknown")).all()


def test_it_has_the_columns_and_types_of_the_real_tables(tmp_path):
    def kind(column: pd.Series) -> str:
        plain = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
        return pd.api.types.infer_dtype(plain, skipna=True)

    files = Files(tmp_path / "rankings.parquet", tmp_path / "songs.parquet")
    write_tables(SPEC, *files)
    for path, model in zip(files, real_tables(), strict=True):
        assert set(pq.read_schema(path).names) == set(pq.read_schema(model).names)
        sample, truth = pd.read_parquet(path), pd.read_parquet(model)
        for column in {*RANKING_COLUMNS, *SONG_COLUMNS} & set(truth.columns):
            assert kind(sample[column]) == kind(truth[column]), column


@pytest.mark.parametrize("songs", [200, 2000])
def test_every_seed_gives_every_country_a_taste(tmp_path, songs):
    """A constant feature of taste would make it NaN, and the charts the first songs of the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for seed in range(8):
            write_tables(SampleSpec(songs=songs, days=1, seed=seed), tmp_path / "r", tmp_path / "s")


def test_a_uri_names_a_spec_and_back():
    spec = SampleSpec(songs=300, days=2, seed=0)
    assert parse_sample_uri(spec.uri) == spec
    assert parse_sample_uri("sample:days=2") == SampleSpec(days=2)
    for part in ("song=300", "songs=199", "songs", "days=0", "seed=-1", "songs=300,songs=400"):
        with pytest.raises(ValueError, match=r"song|days|seed|twice"):
            parse_sample_uri(f"sample:{part}")
