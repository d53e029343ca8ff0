"""The ledger: appended to, never changed; a gap, a changed entry and a lost race are noticed."""

import multiprocessing
import uuid
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from holdouts import KEY, VERSION, contents, random_songs, recorded
from servers import s3_server

from ml.core.errors import EvidenceError, PlatformError
from ml.judge import ledger as ledgers
from ml.judge.ledger import append, read_ledger
from ml.judge.splitter import split


@pytest.fixture
def folder(tmp_path) -> Path:
    """A ledger of three entries."""
    for seed in range(3):
        recorded(tmp_path, random_songs(20, seed, f"s{seed}-"), version=f"{seed:016x}")
    return tmp_path


def _entry(folder: Path, number: int) -> Path:
    return folder / "ledger" / f"{number:08}.parquet"


def test_there_is_none_at_first(tmp_path):
    empty = read_ledger(str(tmp_path / "new"))
    assert (empty.number, empty.digest, empty.key_id, len(empty.rows)) == (0, "", "", 0)
    assert empty.features.shape == (0, 13)


def test_what_is_appended_is_read_again(folder):
    found = read_ledger(str(folder))
    assert (found.number, len(found.rows), found.key_id) == (3, 60, KEY.id)
    assert found.rows["first_version"].value_counts().to_dict() == {f"{seed:016x}": 20 for seed in range(3)}
    songs = random_songs(20, 1, "s1-").set_index("spotify_id")
    rows = found.rows["id"].str.startswith("s1-").to_numpy()
    expected = songs.loc[found.rows["id"][rows], :].drop(columns=["name", "artists"])
    np.testing.assert_array_equal(found.features[rows], expected.to_numpy("float32"))


def test_the_same_rows_are_the_same_bytes(tmp_path):
    songs = random_songs(20)
    recorded(tmp_path / "a", songs)
    recorded(tmp_path / "b", songs.sample(frac=1, random_state=1))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("number", [1, 2])
def test_a_missing_entry_is_noticed(folder, number):
    _entry(folder, number).unlink()
    with pytest.raises(EvidenceError, match=rf"entry {number} of the ledger is missing; restore the ledger"):
        read_ledger(str(folder))


@pytest.mark.parametrize("number", [1, 2])
def test_a_changed_entry_is_noticed_by_the_next(folder, number):
    table = pq.read_table(_entry(folder, number))
    rows = table.to_pandas()
    rows["side"] = "open"
    changed = pa.Table.from_pandas(rows, ledgers.SCHEMA, preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), _entry(folder, number))
    with pytest.raises(EvidenceError, match=rf"entry {number + 1} of the ledger does not follow .* restore"):
        read_ledger(str(folder))


def test_an_entry_in_anothers_place_is_noticed(folder):
    _entry(folder, 3).write_bytes(_entry(folder, 2).read_bytes())
    with pytest.raises(EvidenceError, match="entry 3 of the ledger does not follow"):
        read_ledger(str(folder))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"text", None], ids=["empty", "cut", "text", "half"])
def test_a_damaged_entry_is_noticed(folder, data):
    whole = _entry(folder, 3).read_bytes()
    _entry(folder, 3).write_bytes(whole[: len(whole) // 2] if data is None else data)
    with pytest.raises(EvidenceError, match=r"entry 3 of the ledger is damaged: .*; restore"):
        read_ledger(str(folder))


@pytest.mark.parametrize("metadata", [None, {b"jukebox": b"{}"}, {b"jukebox": b"not json"}])
def test_an_entry_without_its_metadata_is_damaged(folder, metadata):
    table = pq.read_table(_entry(folder, 3))
    pq.write_table(table.replace_schema_metadata(metadata), _entry(folder, 3))
    with pytest.raises(EvidenceError, match="entry 3 of the ledger is damaged"):
        read_ledger(str(folder))


@pytest.mark.parametrize("name", ["notes.txt", "1.parquet", "00000004.json"])
def test_what_is_no_entry_is_named(folder, name):
    (folder / "ledger" / name).write_text("x")
    with pytest.raises(EvidenceError, match=rf"ledger/{name} is no entry of the ledger; remove it"):
        read_ledger(str(folder))


def test_what_a_killed_writer_leaves_is_not_believed(folder):
    """obstore writes beside the entry and then names it; a kill before that leaves this."""
    before = read_ledger(str(folder)).digests
    (folder / "ledger" / "00000004.parquet#1").write_bytes(b"PAR1 half")
    assert read_ledger(str(folder)).digests == before
    assert recorded(folder, random_songs(5, 9, "late")).number == 4


@pytest.mark.parametrize(
    "change", [{"side": ["open", "sealed"]}, {"id": ["s0-1", "x"]}, {"side": ["open", "ajar"]}], ids=str
)
def test_an_entry_that_contradicts_is_noticed(folder, change):
    known = read_ledger(str(folder))
    rows = known.rows.head(2).assign(id=["x", "y"], recording="r", side="open", **{"title": "t"})
    assert append(str(folder), known, rows.assign(**change), KEY.id, VERSION)
    with pytest.raises(EvidenceError, match="the ledger contradicts itself; restore"):
        read_ledger(str(folder))


def test_who_comes_second_changes_nothing(folder):
    known = read_ledger(str(folder))
    late = split(random_songs(5, 8, "late"), known, KEY, VERSION).news
    assert append(
        str(folder), known, split(random_songs(5, 9, "early"), known, KEY, VERSION).news, KEY.id, VERSION
    )
    before = contents(folder)
    assert not append(str(folder), known, late, KEY.id, VERSION)
    assert contents(folder) == before


def test_a_store_without_conditional_create_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "create_object", lambda uri, data: True)
    empty = read_ledger(str(tmp_path))
    with pytest.raises(PlatformError, match="ignores If-None-Match"):
        append(str(tmp_path), empty, split(random_songs(5), empty, KEY, VERSION).news, KEY.id, VERSION)


def test_a_bucket_holds_the_same_ledger(monkeypatch, tmp_path):
    with s3_server() as there:
        for name, value in there.items():
            monkeypatch.setenv(name, value)
        uri = f"s3://bucket/{uuid.uuid4().hex}"
        for place in (uri, str(tmp_path)):
            for songs in (random_songs(20), random_songs(20, 2, "b")):
                known = read_ledger(place)
                assert append(place, known, split(songs, known, KEY, VERSION).news, KEY.id, VERSION)
                assert not append(place, known, split(songs, known, KEY, VERSION).news, KEY.id, VERSION)
        assert read_ledger(uri).digests == read_ledger(str(tmp_path)).digests


_together = []


def _meet(barrier):
    _together.append(barrier)


def _append(folder: str, prefix: str) -> bool:
    known = read_ledger(folder)
    news = split(random_songs(200, 1, prefix), known, KEY, VERSION).news
    _together[0].wait(timeout=60)
    return append(folder, known, news, KEY.id, VERSION)


@pytest.mark.slow
def test_of_two_processes_one_appends(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = (context.Barrier(2),)
    with ProcessPoolExecutor(2, mp_context=context, initializer=_meet, initargs=barrier) as pool:
        for attempt in range(20):
            both = [pool.submit(_append, str(tmp_path), f"{name}{attempt}-") for name in "ab"]
            won = [done.result(120) for done in both]
            assert sorted(won) == [False, True]
            rows: pd.DataFrame = read_ledger(str(tmp_path)).rows
            assert len(rows) == 200 * (attempt + 1)
