"""The sample: synthetic and says so, the same each time, with the real tables' columns and oddities."""

import warnings

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from tables import SPEC, real_tables, sample_tables

from ml.problems.songs import definition
from ml.problems.songs.columns import RANKING_COLUMNS, SONG_COLUMNS, is_broken
from ml.problems.songs.sample import CHART_LENGTH, COUNTRIES, write_tables
from ml.problems.songs.sample_spec import SampleSpec, parse_sample_uri

RANKINGS, SONGS = sample_tables()


def test_the_same_uri_gives_the_same_tables_and_another_seed_others(tmp_path):
    uri = SampleSpec(songs=600, days=1, seed=3).uri
    made = []
    for name in ("first", "second"):
        paths = {table: tmp_path / name / f"{table}.parquet" for table in definition.TABLES}
        definition.write_sample(uri, paths)
        made.append([pd.read_parquet(path) for path in paths.values()])
    for first, second in zip(*made, strict=True):
        pd.testing.assert_frame_equal(first, second)
    assert set(made[0][1]["spotify_id"]).isdisjoint(SONGS["spotify_id"])
    assert definition.describe_sample(uri) == {
        "generator": "1",
        "sample": {"songs": 600, "days": 1, "seed": 3},
    }


def test_it_has_the_columns_that_everything_reads_and_counts_its_rows(tmp_path):
    written = write_tables(SPEC, tmp_path / "rankings.parquet", tmp_path / "songs.parquet")
    assert written == (len(RANKINGS), len(SONGS)) == (7 * (len(COUNTRIES) + 1) * CHART_LENGTH, 600)
    assert set(RANKING_COLUMNS) <= set(RANKINGS)
    assert set(SONG_COLUMNS) <= set(SONGS)


def test_every_chart_of_every_day_has_all_its_ranks_of_known_songs():
    by_chart = RANKINGS.groupby(["country", "snapshot_date"], dropna=False)["daily_rank"]
    assert by_chart.ngroups == 7 * (len(COUNTRIES) + 1)
    assert all(sorted(ranks) == list(range(1, CHART_LENGTH + 1)) for _, ranks in by_chart)
    assert not RANKINGS.duplicated(["spotify_id", "country", "snapshot_date"]).any()
    assert SONGS["spotify_id"].is_unique
    assert set(RANKINGS["spotify_id"]) <= set(SONGS["spotify_id"])


def test_the_global_chart_has_no_country_and_albums_are_null_throughout():
    assert RANKINGS["country"].isna().sum() == 7 * CHART_LENGTH
    assert set(RANKINGS["country"].dropna()) == set(COUNTRIES)
    assert RANKINGS["album_name"].isna().all()


def test_each_song_with_a_name_has_one_day_of_release_before_the_charts():
    named = RANKINGS["name"] != "unknown"
    assert (RANKINGS.groupby("spotify_id")["album_release_date"].nunique(dropna=False) == 1).all()
    assert RANKINGS["album_release_date"].isna().equals(~named)
    released = pd.to_datetime(RANKINGS.loc[named, "album_release_date"], format="%Y-%m-%d")
    assert (released < RANKINGS["snapshot_date"].min()).all()
    assert {2000, 2010, 2020} <= set(released.dt.year // 10 * 10)


def test_a_few_songs_are_broken_as_in_the_real_table():
    no_duration, no_tempo = SONGS["duration_ms"] == 0, SONGS["tempo"] == 0
    assert no_duration.sum() >= 1
    assert no_tempo.sum() == 1
    assert is_broken(SONGS).sum() == no_duration.sum() + 1
    assert SONGS.loc[no_duration, ["name", "artists"]].isna().all(axis=None)
    assert SONGS.loc[~no_duration, ["name", "artists"]].notna().all(axis=None)


@pytest.mark.parametrize("column", ["name", "artists"])
def test_every_name_says_that_it_is_synthetic(column):
    for table in (RANKINGS, SONGS):
        named = table[column].dropna()
        assert (named.str.startswith("Synthetic ") | (named == "unknown")).all()


def test_it_has_the_columns_and_types_of_the_real_tables(tmp_path):
    real = real_tables()
    write_tables(SPEC, tmp_path / "rankings.parquet", tmp_path / "songs.parquet")
    for path, model in zip((tmp_path / "rankings.parquet", tmp_path / "songs.parquet"), real, strict=True):
        assert set(pq.read_schema(path).names) == set(pq.read_schema(model).names)
        sample, truth = pd.read_parquet(path), pd.read_parquet(model)
        for column in {*RANKING_COLUMNS, *SONG_COLUMNS} & set(truth.columns):
            assert _kind(sample[column]) == _kind(truth[column]), column


def _kind(column: pd.Series) -> str:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    return pd.api.types.infer_dtype(column, skipna=True)


@pytest.mark.parametrize("songs", [200, 600, 2000])
def test_every_seed_gives_every_country_a_taste(tmp_path, songs):
    """A constant feature of taste would make it NaN, and the charts the first songs of the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for seed in range(8):
            spec = SampleSpec(songs=songs, days=1, seed=seed)
            write_tables(spec, tmp_path / "r.parquet", tmp_path / "s.parquet")


def test_a_uri_names_a_spec_and_back():
    spec = SampleSpec(songs=300, days=2, seed=0)
    assert parse_sample_uri(spec.uri) == spec
    assert parse_sample_uri("sample:") == SampleSpec()
    assert parse_sample_uri("sample:days=2") == SampleSpec(days=2)


@pytest.mark.parametrize("part", ["song=300", "songs=199", "songs=many", "songs", "days=0", "seed=-1"])
def test_a_wrong_uri_is_refused(part):
    with pytest.raises(ValidationError):
        parse_sample_uri(f"sample:{part}")


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        parse_sample_uri("sample:songs=300,songs=400")
