"""`jukebox judge holdout`: what it prints and writes for Tekton, and how it refuses."""

import pytest
from holdouts import KEY, contents
from tables import SMALL, sample_tables, small_tables, write_tables


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return small_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture
def options(tmp_path, monkeypatch, tables):
    """All options of a call in a new folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text(KEY.secret.hex() + "\n")
    names = "data", "holdout", "snapshots", "key-file"
    values = tables.rankings.parent, "holdout", "snapshots", "key"
    return [word for pair in zip(names, values, strict=True) for word in (f"--{pair[0]}", pair[1])]


def test_a_version_is_written_and_found_again(jukebox, options, tmp_path):
    done = jukebox("judge", "holdout", *options, "--results-dir", "results")
    assert (done.code, done.err) == (0, "")
    results = {path.name: path.read_text() for path in (tmp_path / "results").iterdir()}
    version = results["DATA_VERSION"]
    assert results == {
        "SNAPSHOT": f"{tmp_path}/snapshots/{version}",
        "HOLDOUT_VERSION": version,
        "DATA_VERSION": version,
    }
    assert f"version:   {version}\n" in done.out
    assert f"jukebox run --snapshot {tmp_path}/snapshots/{version}" in done.out
    before = contents(tmp_path)
    again = jukebox("judge", "holdout", *options, "--results-dir", "results")
    assert f"version:   {version} (was there already; nothing was changed)" in again.out
    assert contents(tmp_path) == before
    told = jukebox("judge", "holdout", *options, "--json").json
    assert (told["new"], told["snapshot"]["version"]) == (False, version)
    assert told["snapshot_uri"] == results["SNAPSHOT"]
    assert KEY.secret.hex() not in done.out + again.out


def test_a_broken_contract_ends_with_10_and_validates_line(jukebox, options, tmp_path):
    rankings, songs = sample_tables(SMALL)
    songs.loc[0, "spotify_id"] = songs.loc[1, "spotify_id"]
    (tmp_path / "broken").mkdir()
    broken = write_tables(tmp_path / "broken", rankings, songs)
    done = jukebox("judge", "holdout", *options[2:], "--data", broken.rankings.parent)
    assert done.code == 10
    assert "the data contract is broken: " in done.refusal
    assert "songs.unique: column spotify_id: " in done.refusal
    assert not contents(tmp_path / "snapshots")


@pytest.mark.parametrize("text", ["", "short"])
def test_a_bad_key_is_wrong_use(jukebox, options, tmp_path, text):
    (tmp_path / "key").write_text(text)
    done = jukebox("judge", "holdout", *options)
    assert done.code == 2
    assert "`jukebox judge keys` makes one" in done.refusal


def test_a_snapshot_stands_in_for_both_tables(jukebox):
    done = jukebox("run", "--snapshot", "somewhere", "--data", "r.csv")
    assert done.code == 2
    assert "--snapshot has all tables: leave out --data" in done.refusal


@pytest.mark.parametrize("verb", ["run"])
def test_a_snapshot_that_is_not_there_is_wrong_use_and_is_not_made(jukebox, tmp_path, verb):
    done = jukebox(verb, "--snapshot", tmp_path / "none", "--store", tmp_path / "store")
    assert done.code == 2
    assert "there is no snapshot.json" in done.refusal
    assert not (tmp_path / "none").exists()
