"""Examples: one row a song, its chart rows counted by country, as an independent count says."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import charts, real_tables, sample_tables, titled_songs, write_tables

from ml.core.errors import DataError
from ml.problems.songs.columns import FEATURES
from ml.data.examples import make_examples
from ml.problems.songs.sample_spec import SampleSpec
from ml.data.splits import SPLITS, read_examples, read_labels, split_of

# Each split has a song: by the hash of its title's digest, computed elsewhere.
TRAIN, VAL, TEST = "song0", "song16", "song4"
ENOUGH = [(song, "DE", 1) for song in (TRAIN, VAL, TEST)]


def _make(folder: Path, rankings: pd.DataFrame, songs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make examples and return their features and their counts, both by song, whatever the split."""
    return _read(folder, *write_tables(folder, rankings, songs))


def _read(folder: Path, rankings: Path, songs: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    targets = {name: folder / f"{name}.parquet" for name in SPLITS}
    make_examples(rankings, songs, targets, folder / "labels.json")
    countries = read_labels(folder / "labels.json")
    titles = pd.read_parquet(songs).set_index("spotify_id")
    features, counts = [], []
    for name, path in targets.items():
        found = read_examples(path)
        if (titles.groupby(["name", "artists"]).size() == 1).all():
            assert {_split(*titles.loc[song, ["name", "artists"]]) for song in found.ids} == {name}
        features.append(pd.DataFrame(found.features, index=found.ids, columns=list(FEATURES)))
        counts.append(pd.DataFrame(found.counts, index=found.ids, columns=countries))
    return pd.concat(features).sort_index(), pd.concat(counts).sort_index()


def _split(title: str, artist: str) -> str:
    """The split of a recording that has this title only."""
    return split_of(hashlib.sha256(f"{title}\0{artist}".casefold().encode()).hexdigest())


def _oracle(rankings: pd.DataFrame, songs: pd.DataFrame) -> pd.DataFrame:
    """Count with pandas: rows by song and country, of songs that are known and not broken."""
    usable = songs[(songs["duration_ms"] != 0) & (songs["tempo"] != 0)]["spotify_id"]
    national = rankings[rankings["country"].notna() & rankings["spotify_id"].isin(usable)]
    counts = pd.crosstab(national["spotify_id"].astype(str), national["country"].astype(str))
    return counts.rename_axis(None).rename_axis(None, axis=1).astype("int32")


def test_rows_are_counted_by_song_and_country(tmp_path):
    rankings = charts([(TRAIN, "DE", 3), (TRAIN, "FR", 1), (VAL, "FR", 2), (TEST, "AT", 4)])
    _, counts = _make(tmp_path, rankings, titled_songs([TRAIN, VAL, TEST]))
    assert counts.to_dict("index") == {
        TRAIN: {"AT": 0, "DE": 3, "FR": 1},
        VAL: {"AT": 0, "DE": 0, "FR": 2},
        TEST: {"AT": 4, "DE": 0, "FR": 0},
    }


def test_features_stay_with_their_song_in_the_order_of_the_model(tmp_path):
    features, _ = _make(tmp_path, charts(ENOUGH), titled_songs([TEST, TRAIN, VAL]))
    assert features.loc[TEST].tolist() == list(range(1, 14))
    assert features.loc[TRAIN].tolist() == list(range(101, 114))
    assert features.loc[VAL].tolist() == list(range(201, 214))
    assert set(features.dtypes) == {np.dtype("float32")}
    assert json.loads((tmp_path / "labels.json").read_bytes())["features"] == list(FEATURES)


def test_global_rows_are_set_aside(tmp_path):
    rankings = charts([*ENOUGH, (TRAIN, None, 9), ("song1", None, 2)])
    _, counts = _make(tmp_path, rankings, titled_songs([TRAIN, VAL, TEST, "song1"]))
    assert counts.to_dict("index") == {song: {"DE": 1} for song in (TRAIN, VAL, TEST)}


@pytest.mark.parametrize("column", ["duration_ms", "tempo"])
def test_broken_songs_are_dropped_with_their_rows_and_countries(tmp_path, column):
    songs = titled_songs([TRAIN, VAL, TEST, "song1"])
    songs.loc[3, column] = 0.0
    _, counts = _make(tmp_path, charts([*ENOUGH, ("song1", "FR", 2)]), songs)
    assert counts.to_dict("index") == {song: {"DE": 1} for song in (TRAIN, VAL, TEST)}


def test_unknown_songs_are_dropped_with_their_rows_and_countries(tmp_path):
    _, counts = _make(tmp_path, charts([*ENOUGH, ("song1", "FR", 2)]), titled_songs([TRAIN, VAL, TEST]))
    assert counts.to_dict("index") == {song: {"DE": 1} for song in (TRAIN, VAL, TEST)}


def test_songs_that_never_charted_are_no_examples(tmp_path):
    _, counts = _make(tmp_path, charts(ENOUGH), titled_songs([TRAIN, VAL, TEST, "song1"]))
    assert "song1" not in counts.index


def test_the_sample_counts_as_pandas_counts(tmp_path):
    rankings, songs = sample_tables()
    features, counts = _make(tmp_path, rankings, songs)
    pd.testing.assert_frame_equal(counts, _oracle(rankings, songs))
    known = songs.set_index("spotify_id").loc[features.index, list(FEATURES)].astype("float32")
    pd.testing.assert_frame_equal(features, known, check_names=False)


def test_the_order_of_the_rows_does_not_matter(tmp_path):
    rankings, songs = sample_tables()
    first = _make(tmp_path, rankings, songs)
    before = {name: (tmp_path / f"{name}.parquet").read_bytes() for name in SPLITS}
    second = _make(tmp_path, rankings.sample(frac=1, random_state=1), songs.sample(frac=1, random_state=2))
    for one, other in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert before == {name: (tmp_path / f"{name}.parquet").read_bytes() for name in SPLITS}


def test_a_split_does_not_depend_on_the_other_songs(tmp_path):
    rankings, songs = sample_tables()
    _make(tmp_path, rankings, songs)
    before = {name: set(read_examples(tmp_path / f"{name}.parquet").ids) for name in SPLITS}
    _make(tmp_path, rankings, songs[::2])
    after = {name: set(read_examples(tmp_path / f"{name}.parquet").ids) for name in SPLITS}
    kept = set(songs["spotify_id"][::2])
    assert after == {name: ids & kept for name, ids in before.items()}


def test_real_charts_count_as_pandas_counts(tmp_path):
    real = real_tables()
    _, counts = _read(tmp_path, *real)
    sizes = {name: len(read_examples(tmp_path / f"{name}.parquet").ids) for name in SPLITS}
    assert sizes == {"train": 1603, "val": 181, "test": 438}
    assert counts.shape[1] == 72
    pd.testing.assert_frame_equal(counts, _oracle(*(pd.read_parquet(path) for path in real)))


SONGS = [TRAIN, VAL, TEST, "song1", "song17", "song5"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([*SONGS, "unknown"]), st.sampled_from([None, "DE", "FR", "AT"]), st.integers(1, 5)
        ),
        max_size=12,
    ),
    broken=st.sets(st.sampled_from(SONGS[3:])),
)
@pytest.mark.slow
def test_any_small_charts_count_as_pandas_counts(tmp_path, rows, broken):
    songs = titled_songs(SONGS)
    songs.loc[songs["spotify_id"].isin(broken), "tempo"] = 0.0
    rankings = charts([*ENOUGH, *rows])
    _, counts = _make(tmp_path, rankings, songs)
    pd.testing.assert_frame_equal(counts, _oracle(rankings, songs), check_dtype=False)
    assert counts.to_numpy().dtype == np.int32


def test_no_song_in_common_is_an_error(tmp_path):
    with pytest.raises(DataError, match="column spotify_id: none of the songs that chart"):
        _make(tmp_path, charts(ENOUGH), titled_songs(["song1"]))
    assert {path.name for path in tmp_path.iterdir()} == {"rankings.parquet", "songs.parquet"}


@pytest.mark.parametrize(
    ("dates", "years"),
    [
        (["2023-12-15", "1975", None], (2023, 1975, 0)),
        (["0000", "soon", ""], (0, 0, 0)),
        ([None, None, None], (0, 0, 0)),
        (pd.to_datetime(["1999-12-31", "2024-01-01", None]), (1999, 2024, 0)),
        (None, (0, 0, 0)),
    ],
    ids=["text", "no-years", "null", "dates", "no-column"],
)
def test_the_year_of_release_is_kept_where_the_table_says_it(tmp_path, dates, years):
    rankings = charts(ENOUGH)
    if dates is not None:
        rankings["album_release_date"] = dates
    rankings, songs = write_tables(tmp_path, rankings, titled_songs([TRAIN, VAL, TEST]))
    targets = {name: tmp_path / f"{name}.parquet" for name in SPLITS}
    make_examples(rankings, songs, targets, tmp_path / "labels.json")
    found = [read_examples(path).released for path in targets.values()]
    assert tuple(np.concatenate(found)) == years
    assert {part.dtype for part in found} == {np.dtype("int16")}


def test_a_song_of_several_albums_was_released_with_the_first(tmp_path):
    rankings = charts([*ENOUGH, (TEST, "FR", 1), (TEST, "DE", 1)])
    rankings["album_release_date"] = ["2020-01-01", "2020-01-01", "2023-01-01", "2011-05-01", "2024-01-01"]
    rankings, songs = write_tables(tmp_path, rankings, titled_songs([TRAIN, VAL, TEST]))
    targets = {name: tmp_path / f"{name}.parquet" for name in SPLITS}
    make_examples(rankings, songs, targets, tmp_path / "labels.json")
    assert read_examples(targets["test"]).released.tolist() == [2011]


def test_an_empty_split_is_an_error(tmp_path):
    with pytest.raises(DataError, match="only 2 songs, so the test split is empty"):
        _make(tmp_path, charts(ENOUGH), titled_songs([TRAIN, VAL]))


@pytest.mark.parametrize(("table", "column"), [("rankings", "country"), ("songs", "tempo")])
def test_a_missing_column_is_named(tmp_path, table, column):
    tables = {"rankings": charts(ENOUGH), "songs": titled_songs([TRAIN, VAL, TEST])}
    tables[table] = tables[table].drop(columns=column)
    with pytest.raises(DataError, match=f"{table}: column {column} is missing; the table has .*spotify_id"):
        _make(tmp_path, tables["rankings"], tables["songs"])


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"spotify_id": 1}, id="ids-are-numbers"),
        pytest.param({"country": 1}, id="countries-are-numbers"),
    ],
)
def test_a_wrong_type_is_an_error_that_the_user_understands(tmp_path, wrong):
    """Here too: under kfp.local this step runs before the contract is checked."""
    rankings = charts(ENOUGH).assign(**wrong)
    with pytest.raises(DataError, match=next(iter(wrong))):
        _make(tmp_path, rankings, titled_songs([TRAIN, VAL, TEST]))


@pytest.mark.slow
def test_no_test_song_was_ever_trained_on_over_ten_versions_of_the_data(tmp_path):
    """What makes the comparison with a champion fair, whichever of these versions the champion is from."""
    rng = np.random.default_rng(3)
    pool_rankings, pool_songs = sample_tables(SampleSpec(songs=1500, days=10, seed=5))
    ids = pool_songs["spotify_id"].to_numpy()
    days = np.sort(pool_rankings["snapshot_date"].unique())
    trained: set[str] = set()
    tested: set[str] = set()
    again = 0
    for version in range(10):
        # Each version has a day more, its own choice of the songs, and features that were measured anew.
        songs = pool_songs[np.isin(ids, rng.choice(ids, 600 + 90 * version, replace=False))].copy()
        songs["energy"] = rng.permutation(songs["energy"])
        rows = pool_rankings["spotify_id"].isin(songs["spotify_id"])
        rows &= pool_rankings["snapshot_date"] <= days[version]
        folder = tmp_path / str(version)
        folder.mkdir()
        targets = {name: folder / f"{name}.parquet" for name in SPLITS}
        tables = write_tables(folder, pool_rankings[rows], songs.sample(frac=1, random_state=version))
        make_examples(*tables, targets, folder / "labels.json")
        split = {name: set(read_examples(path).ids) for name, path in targets.items()}
        assert not split["test"] & trained
        trained |= split["train"] | split["val"]
        again += len(split["test"] & tested)
        tested |= split["test"]
    # The versions are about the same songs, so that another split of each would have mixed them.
    assert again > 200
    assert len(trained) > 500


def _copies(songs: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
    """The first songs under other ids."""
    return songs.head(len(ids)).assign(spotify_id=ids)


@pytest.mark.parametrize("shared", ["features", "title"])
def test_a_recording_is_in_one_split_under_all_its_ids(tmp_path, shared):
    """Each song of the sample has a copy, which shares its features or its title."""
    rankings, songs = sample_tables()
    copies = _copies(songs, [f"copy {row}" for row in range(len(songs))])
    if shared == "features":
        copies["name"] = [f"Remix {row}" for row in range(len(songs))]
    else:
        copies["energy"] = np.random.default_rng(1).permutation(copies["energy"]) / 2
    ids = dict(zip(songs["spotify_id"], copies["spotify_id"], strict=True))
    known = rankings[rankings["spotify_id"].isin(songs["spotify_id"])]
    rows = known.assign(spotify_id=known["spotify_id"].map(ids))
    tables = write_tables(tmp_path, pd.concat([rankings, rows]), pd.concat([songs, copies]))
    targets = {name: tmp_path / f"{name}.parquet" for name in SPLITS}
    make_examples(*tables, targets, tmp_path / "labels.json")
    split = {song: name for name, path in targets.items() for song in read_examples(path).ids}
    charting = [song for song in ids if song in split]
    assert len(charting) > 300
    assert [split[ids[song]] for song in charting] == [split[song] for song in charting]


def _snapshot(shares: list[str], recordings: list[str] | None = None) -> pd.DataFrame:
    ids = [f"song{row}" for row in range(len(shares))]
    return titled_songs(ids).assign(share=shares, recording=recordings or ids)


def _made(folder: Path, songs: pd.DataFrame) -> dict[str, list[str]]:
    tables = write_tables(folder, charts([(song, "DE", 1) for song in songs["spotify_id"]]), songs)
    targets = {name: folder / f"{name}.parquet" for name in SPLITS}
    make_examples(*tables, targets, folder / "labels.json")
    return {name: read_examples(path).ids for name, path in targets.items()}


def test_a_snapshot_is_split_by_its_shares(tmp_path):
    found = _made(tmp_path, _snapshot(["self-test", "train", "validation", "train"]))
    assert found == {"train": ["song1", "song3"], "val": ["song2"], "test": ["song0"]}


@pytest.mark.parametrize(
    ("songs", "message"),
    [
        (_snapshot(["train", "validation", "sealed"]), r"column share: 'sealed' \(song song2\) is none of"),
        (
            _snapshot(["train", "validation", "self-test"], ["a", "b", "a"]),
            "is not that of all of its recording",
        ),
    ],
    ids=["unknown", "torn"],
)
def test_a_snapshot_with_wrong_shares_is_refused(tmp_path, songs, message):
    with pytest.raises(DataError, match=message):
        _made(tmp_path, songs)
