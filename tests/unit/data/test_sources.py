"""Sources on this machine: files and the sample, and a version that changes when the content does."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from tables import SPEC, Files, sample_tables, write_csv, write_tables

from ml.core.errors import DataError, UsageError
from ml.core.files import file_digest
from ml.data.examples import make_examples
from ml.data.sources import data_version, fetch, resolve_version
from ml.data.splits import SPLITS, read_examples


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    return write_tables(tmp_path_factory.mktemp("tables"), *sample_tables())


def _fetch(folder: Path, rankings: str, songs: str, version: str | None = None) -> dict:
    """Fetch two tables and return what ``source.json`` says."""
    targets = [folder / name for name in ("rankings.parquet", "songs.parquet", "source.json")]
    fetch(rankings, songs, version or data_version(rankings, songs), *targets)
    return json.loads(targets[2].read_bytes())


def test_a_path_and_its_file_uri_are_the_same_version(files):
    version = resolve_version(str(files.songs))
    assert version == resolve_version(f"file://{files.songs}") == file_digest(files.songs)


def test_a_file_uri_may_hold_a_space(tmp_path):
    (tmp_path / "my songs.csv").write_text("spotify_id\na\n")
    assert resolve_version((tmp_path / "my songs.csv").as_uri()) == file_digest(tmp_path / "my songs.csv")


def test_files_are_copied_and_named(tmp_path, files):
    source = _fetch(tmp_path, *map(str, files))
    for name, path in files._asdict().items():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
        table = source["tables"][name]
        assert (table["uri"], table["version"]) == (str(path), file_digest(path))
    assert source["tables"]["rankings"]["rows"] == 25_550
    assert source["tables"]["songs"]["rows"] == 600
    assert source["synthetic"] is False
    assert source["schema"] == "jukebox.source/v1"


def test_a_changed_file_is_another_version(tmp_path, files):
    copy = tmp_path / "songs.parquet"
    copy.write_bytes(files.songs.read_bytes())
    before = data_version(str(files.rankings), str(copy))
    assert before == data_version(*map(str, files))
    copy.write_bytes(copy.read_bytes() + b" ")
    assert data_version(str(files.rankings), str(copy)) != before


def test_the_two_tables_are_not_interchangeable(files):
    assert data_version(*map(str, files)) != data_version(*map(str, reversed(files)))


def test_another_version_than_the_one_asked_for_is_refused(tmp_path, files):
    with pytest.raises(DataError, match=r"asked for data version 0000000000000000, but reads [0-9a-f]{16};"):
        _fetch(tmp_path, *map(str, files), version="0" * 16)
    assert not (tmp_path / "source.json").exists()


@pytest.mark.parametrize("uri", ["{}/none.parquet", "file://{}/none.parquet"])
def test_a_missing_file_is_wrong_use(tmp_path, uri):
    with pytest.raises(UsageError, match=r"^cannot read .*none.parquet: No such file or directory$"):
        resolve_version(uri.format(tmp_path))


def test_a_folder_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match=rf"^cannot read {tmp_path}: it is a folder$"):
        resolve_version(str(tmp_path))


@pytest.fixture
def ordinary_user():
    """For the test, a user who may not read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


@pytest.fixture
def secret(tmp_path):
    """A file that only its owner's superiors may read."""
    path = tmp_path / "songs.csv"
    path.touch(mode=0)
    return path


def test_a_file_without_permission_is_wrong_use(secret, ordinary_user):
    with pytest.raises(UsageError, match=r"Permission denied"):
        resolve_version(str(secret))


@pytest.mark.parametrize("uri", ["ftp://host/songs.csv", "gs://bucket/songs.csv"])
def test_an_unknown_scheme_is_wrong_use(uri):
    with pytest.raises(UsageError, match=r"scheme .* is unknown; use a path, http"):
        resolve_version(uri)


@pytest.mark.parametrize("uri", ["http://", "http://[::1/songs.csv", "http://host:port/songs.csv"])
def test_a_malformed_uri_is_wrong_use(uri):
    with pytest.raises(UsageError):
        resolve_version(uri)


def test_the_sample_says_that_it_is_synthetic(tmp_path):
    source = _fetch(tmp_path, SPEC.uri, SPEC.uri)
    assert source["synthetic"] is True
    assert source["tables"]["songs"] == {"rows": 600, "uri": SPEC.uri, "version": resolve_version(SPEC.uri)}
    assert resolve_version(SPEC.uri) != resolve_version("sample:")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "songs.parquet"), sample_tables()[1])


def test_half_a_sample_is_refused(tmp_path, files):
    with pytest.raises(DataError, match=r"the sample has both tables"):
        _fetch(tmp_path, SPEC.uri, str(files.songs))


def test_a_wrong_sample_is_wrong_use():
    with pytest.raises(
        UsageError, match=r"^sample:songs=3: not a sample; write sample:songs=2000,days=14,seed=7$"
    ):
        resolve_version("sample:songs=3")


def test_csv_and_parquet_give_the_same_examples(tmp_path, files):
    as_csv = write_csv(tmp_path, *sample_tables())
    read = {}
    for kind, uris in (("csv", as_csv), ("parquet", files)):
        folder = tmp_path / kind
        _fetch(folder, *map(str, uris))
        targets = {name: folder / f"{name}.parquet" for name in SPLITS}
        make_examples(folder / "rankings.parquet", folder / "songs.parquet", targets, folder / "labels.json")
        read[kind] = [
            (folder / "labels.json").read_bytes(),
            *(path.read_bytes() for path in targets.values()),
        ]
        assert len(read_examples(targets["test"]).ids) == 120
    assert read["csv"] == read["parquet"]
