"""`inf`, `nan` and numbers beyond any float end in one line: table, column, row, and what to do."""

import pytest
from tables import sample_tables, unopposed, write_csv, write_tables
from tiers import sampled

from ml.core.errors import DataError
from ml.problems.songs.columns import FEATURES
from ml.data.contract import validate
from ml.data.examples import make_examples
from ml.problems.songs.sample_spec import SampleSpec
from ml.data.sources import data_version, fetch
from ml.data.splits import SPLITS

SPEC = SampleSpec(songs=600, days=2, seed=7)
ROW = 3

CSV = [
    ("songs", "energy", "inf", "songs.features_in_range: column energy: 1 rows, e.g. inf ("),
    ("songs", "tempo", "-inf", "songs.features_in_range: column tempo: 1 rows, e.g. -inf ("),
    ("songs", "duration_ms", "1e999", "songs.features_in_range: column duration_ms: 1 rows, e.g. inf ("),
    ("songs", "loudness", "1e39", "songs.features_in_range: column loudness: 1 rows, e.g. 1e+39 ("),
    ("songs", "energy", "nan", "songs.features_present: column energy: 1 rows, e.g. nan ("),
    ("songs", "is_explicit", "inf", "songs.types: column is_explicit is not a number, e.g. 'inf' ("),
    ("rankings", "daily_rank", "inf", "rankings.daily_rank: column daily_rank: 1 rows, e.g. inf ("),
    ("rankings", "daily_rank", "NaN", "rankings.daily_rank: column daily_rank: 1 rows, e.g. nan ("),
    ("rankings", "snapshot_date", "inf", "rankings.snapshot_date: column snapshot_date: 1 rows, e.g. "),
    ("rankings", "snapshot_date", "nan", "rankings.types: column snapshot_date is not a date, e.g. 'nan' ("),
]
PARQUET = [
    ("songs", "tempo", "inf", "songs.features_in_range: column tempo: 1 rows, e.g. inf ("),
    ("songs", "is_explicit", "-inf", "songs.features_in_range: column is_explicit: 1 rows, e.g. -inf ("),
    ("songs", "energy", "nan", "songs.features_present: column energy: 1 rows, e.g. nan ("),
    ("songs", "valence", "1e39", "songs.features_in_range: column valence: 1 rows, e.g. 1e+39 ("),
    ("rankings", "daily_rank", "inf", "rankings.daily_rank: column daily_rank: 1 rows, e.g. inf ("),
    ("rankings", "daily_rank", "nan", "rankings.daily_rank: column daily_rank: 1 rows, e.g. nan ("),
]


@pytest.mark.parametrize(
    ("kind", "table", "column", "value", "message"),
    sampled([*(("csv", *case) for case in CSV), *(("parquet", *case) for case in PARQUET)], every=4),
)
def test_what_is_no_number_is_named(tmp_path, kind, table, column, value, message):
    tables = dict(zip(("rankings", "songs"), sample_tables(SPEC), strict=True))
    changed = tables[table]
    changed[column] = changed[column].astype("float64" if kind == "parquet" else "object")
    changed.loc[ROW, column] = float(value) if kind == "parquet" else value
    files = (write_tables if kind == "parquet" else write_csv)(tmp_path, **tables)
    given = str(files.rankings), str(files.songs)
    fetched = tmp_path / "r.parquet", tmp_path / "s.parquet", tmp_path / "source.json"
    fetch(*given, data_version(*given), *fetched)
    with pytest.raises(DataError) as broken:
        validate(*fetched, *unopposed(tmp_path))
    assert f"the data contract is broken: {message}" in str(broken.value)
    assert f"row {ROW + 1})" in str(broken.value)
    assert str(broken.value).endswith("correct the tables, or leave out what is wrong in them, and run again")
    assert "\n" not in str(broken.value)
    # Beside it, preprocess either has a line of its own, or leaves the word to validate.
    targets = {name: tmp_path / f"{name}.parquet" for name in SPLITS}
    try:
        make_examples(*fetched[:2], targets, tmp_path / "labels.json")
    except DataError as error:
        assert column in str(error)


def test_a_column_in_which_all_is_infinite_is_counted(tmp_path):
    rankings, songs = sample_tables(SPEC)
    songs = songs.assign(**dict.fromkeys(FEATURES, float("inf")))
    files = write_tables(tmp_path, rankings, songs)
    (tmp_path / "source.json").write_text('{"data_version": "0123456789abcdef", "synthetic": true}')
    with pytest.raises(DataError, match=rf"column energy: {len(songs)} rows, e\.g\. inf"):
        validate(*files, tmp_path / "source.json", *unopposed(tmp_path))


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
@pytest.mark.parametrize(
    ("table", "column"),
    [("songs", "danceability"), ("rankings", "daily_rank"), ("rankings", "snapshot_date")],
)
def test_a_csv_column_of_nothing_else_is_named(tmp_path, table, column, value):
    """The reader takes a column of infinities for dates: it has to be told all the same."""
    tables = dict(zip(("rankings", "songs"), sample_tables(SPEC), strict=True))
    tables[table] = tables[table].assign(**{column: value})
    files = write_csv(tmp_path, **tables)
    given = str(files.rankings), str(files.songs)
    fetched = tmp_path / "r.parquet", tmp_path / "s.parquet", tmp_path / "source.json"
    fetch(*given, data_version(*given), *fetched)
    with pytest.raises(DataError, match=f"column {column}"):
        validate(*fetched, *unopposed(tmp_path))
    targets = {name: tmp_path / f"{name}.parquet" for name in SPLITS}
    try:
        make_examples(*fetched[:2], targets, tmp_path / "labels.json")
    except DataError as error:
        assert column in str(error)
