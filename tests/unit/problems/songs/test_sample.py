"""The sample: synthetic and says so, the same each time, with the real tables' columns and oddities."""

import warnings

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from tables import SPEC, real_tables, sample_tables

from ml.problems.songs.columns import RANKING_COLUMNS, SONG_COLUMNS, is_broken
from ml.problems.songs.sample import CHART_LENGTH, COUNTRIES, write_sample
from ml.problems.songs.sample_spec import SampleSpec, parse_sample_uri

KEY = ["spotify_id", "country", "snapshot_date"]


@pytest.fixture(scope="module")
def rankings() -> pd.DataFrame:
    return sample_tables()[0]


@pytest.fixture(scope="module")
def songs() -> pd.DataFrame:
    return sample_tables()[1]


def test_the_same_spec_gives_the_same_tables(tmp_path):
    small = SampleSpec(songs=600, days=1, seed=3)
    for name in ("first", "second"):
        write_sample(small, tmp_path / name / "rankings.parquet", tmp_path / name / "songs.parquet")
    for table in ("rankings.parquet", "songs.parquet"):
        first, second = (pd.read_parquet(tmp_path / name / table) for name in ("first", "second"))
        pd.testing.assert_frame_equal(first, second)


def test_another_seed_gives_other_tables(songs):
    other = sample_tables(SPEC.model_copy(update={"seed": 8, "days": 1}))[1]
    assert set(other["spotify_id"]).isdisjoint(songs["spotify_id"])


def test_it_tells_its_rows(tmp_path, rankings, songs):
    written = write_sample(SPEC, tmp_path / "rankings.parquet", tmp_path / "songs.parquet")
    assert written == (len(rankings), len(songs)) == (7 * (len(COUNTRIES) + 1) * CHART_LENGTH, 600)


def test_it_has_the_columns_that_everything_reads(rankings, songs):
    assert set(RANKING_COLUMNS) <= set(rankings)
    assert set(SONG_COLUMNS) <= set(songs)


def test_every_chart_of_every_day_has_all_its_ranks(rankings):
    by_chart = rankings.groupby(["country", "snapshot_date"], dropna=False)["daily_rank"]
    assert by_chart.ngroups == 7 * (len(COUNTRIES) + 1)
    assert all(sorted(ranks) == list(range(1, CHART_LENGTH + 1)) for _, ranks in by_chart)
    assert not rankings.duplicated(KEY).any()


def test_every_ranked_song_is_known(rankings, songs):
    assert songs["spotify_id"].is_unique
    assert set(rankings["spotify_id"]) <= set(songs["spotify_id"])


def test_the_global_chart_has_no_country(rankings):
    assert rankings["country"].isna().sum() == 7 * CHART_LENGTH
    assert set(rankings["country"].dropna()) == set(COUNTRIES)


def test_albums_are_null_throughout(rankings):
    assert rankings["album_name"].isna().all()
    assert rankings.dropna().empty


def test_each_song_with_a_name_has_one_day_of_release_before_the_charts(rankings):
    dates = rankings.groupby("spotify_id")["album_release_date"]
    named = rankings["name"] != "unknown"
    assert (dates.nunique(dropna=False) == 1).all()
    assert rankings["album_release_date"].isna().equals(~named)
    released = pd.to_datetime(rankings.loc[named, "album_release_date"], format="%Y-%m-%d")
    assert (released < rankings["snapshot_date"].min()).all()
    assert {2000, 2010, 2020} <= set(released.dt.year // 10 * 10)


def test_a_few_songs_are_broken_as_in_the_real_table(songs):
    no_duration, no_tempo = songs["duration_ms"] == 0, songs["tempo"] == 0
    assert no_duration.sum() >= 1
    assert no_tempo.sum() == 1
    assert is_broken(songs).sum() == no_duration.sum() + 1
    assert songs.loc[no_duration, ["name", "artists"]].isna().all(axis=None)
    assert songs.loc[~no_duration, ["name", "artists"]].notna().all(axis=None)


def test_every_name_says_that_it_is_synthetic(rankings, songs):
    for table in (rankings, songs):
        for column in ("name", "artists"):
            named = table[column].dropna()
            assert (named.str.startswith("Synthetic ") | (named == "unknown")).all()


def test_it_has_the_columns_and_types_of_the_real_tables(tmp_path):
    real = real_tables()
    write_sample(SPEC, tmp_path / "rankings.parquet", tmp_path / "songs.parquet")
    for path, model in zip((tmp_path / "rankings.parquet", tmp_path / "songs.parquet"), real, strict=True):
        assert set(pq.read_schema(path).names) == set(pq.read_schema(model).names)
        sample, truth = pd.read_parquet(path), pd.read_parquet(model)
        for column in (*RANKING_COLUMNS, *SONG_COLUMNS):
            if column in truth:
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
            write_sample(
                SampleSpec(songs=songs, days=1, seed=seed), tmp_path / "r.parquet", tmp_path / "s.parquet"
            )


def test_a_uri_names_a_spec_and_back():
    spec = SampleSpec(songs=300, days=2, seed=0)
    assert parse_sample_uri(spec.uri) == spec
    assert parse_sample_uri("sample:") == SampleSpec()
    assert parse_sample_uri("sample:days=2") == SampleSpec(days=2)


@pytest.mark.parametrize(
    "uri",
    [
        "sample:song=300",
        "sample:songs=199",
        "sample:songs=many",
        "sample:songs",
        "sample:days=0",
        "sample:seed=-1",
    ],
)
def test_a_wrong_uri_is_refused(uri):
    with pytest.raises(ValidationError):
        parse_sample_uri(uri)


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        parse_sample_uri("sample:songs=300,songs=400")
