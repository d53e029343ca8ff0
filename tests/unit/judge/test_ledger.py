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
from holdouts import KEY, VERSION, WIDTH, contents, ledger_of, recorded
from servers import s3_server
from spam import definition
from spam.tables import random_entries

from ml.core.errors import EvidenceError, PlatformError
from ml.judge import ledger as ledgers
from ml.judge.ledger import Ledger, append, read_ledger
from ml.judge.splitter import split


@pytest.fixture
def folder(tmp_path) -> Path:
    """A ledger of three entries."""
    for seed in range(3):
        recorded(tmp_path, random_entries(20, seed, f"s{seed}-"), version=f"{seed:016x}")
    return tmp_path


def news_of(known: Ledger, prefix: str = "new", count: int = 5) -> pd.DataFrame:
    return split(definition, random_entries(count, 9, prefix), known, KEY, VERSION).news


def added(folder: Path | str, known: Ledger, news: pd.DataFrame) -> bool:
    return append(str(folder), known, news, KEY.id, VERSION)


def entry(folder: Path, number: int) -> Path:
    return folder / "ledger" / f"{number:08}.parquet"


def refused(folder, message):
    with pytest.raises(EvidenceError, match=message) as caught:
        ledger_of(folder)
    assert "\n" not in str(caught.value)


def test_there_is_none_at_first(tmp_path):
    empty = ledger_of(tmp_path / "new")
    assert (empty.number, empty.digest, empty.key_id, len(empty.rows)) == (0, "", "", 0)
    assert empty.features.shape == (0, WIDTH)


def test_what_is_appended_is_read_again(folder):
    found = ledger_of(folder)
    assert (found.number, len(found.rows), found.key_id) == (3, 60, KEY.id)
    assert found.digest == found.digests[2]
    assert found.rows["first_version"].value_counts().to_dict() == {f"{seed:016x}": 20 for seed in range(3)}
    entries = random_entries(20, 1, "s1-").set_index("id")
    rows = found.rows["id"].str.startswith("s1-").to_numpy()
    expected = entries.loc[found.rows["id"][rows], list(definition.FEATURES)]
    np.testing.assert_array_equal(found.features[rows], expected.to_numpy("float32"))


def test_the_same_rows_are_the_same_bytes(tmp_path):
    entries = random_entries(20)
    recorded(tmp_path / "a", entries)
    recorded(tmp_path / "b", entries.sample(frac=1, random_state=1))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("number", [1, 2])
def test_a_missing_and_a_changed_entry_are_noticed(folder, number):
    whole = entry(folder, number).read_bytes()
    entry(folder, number).unlink()
    refused(folder, rf"entry {number} of the ledger is missing; restore the ledger")
    entry(folder, number).write_bytes(whole)
    table = pq.read_table(entry(folder, number))
    rows = table.to_pandas().assign(side="open")
    changed = pa.Table.from_pandas(rows, ledgers.schema_of(WIDTH), preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), entry(folder, number))
    refused(folder, rf"entry {number + 1} of the ledger does not follow .* restore")


def test_an_entry_in_anothers_place_is_noticed(folder):
    entry(folder, 3).write_bytes(entry(folder, 2).read_bytes())
    refused(folder, "entry 3 of the ledger does not follow")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"text", None], ids=["empty", "cut", "text", "half"])
def test_a_damaged_entry_is_noticed(folder, data):
    whole = entry(folder, 3).read_bytes()
    entry(folder, 3).write_bytes(whole[: len(whole) // 2] if data is None else data)
    refused(folder, r"entry 3 of the ledger is damaged: .*; restore")


@pytest.mark.parametrize("metadata", [None, {b"jukebox": b"{}"}, {b"jukebox": b"not json"}])
def test_an_entry_without_its_metadata_is_damaged(folder, metadata):
    table = pq.read_table(entry(folder, 3))
    pq.write_table(table.replace_schema_metadata(metadata), entry(folder, 3))
    refused(folder, "entry 3 of the ledger is damaged")


@pytest.mark.parametrize("width", [WIDTH - 1, WIDTH + 1])
def test_a_ledger_of_another_number_of_features_is_refused(folder, width):
    with pytest.raises(
        EvidenceError, match=r"entry 1 of the ledger is damaged: its columns are not those of the l"
    ):
        read_ledger(str(folder), width)


def test_an_entry_with_an_empty_value_is_damaged(folder):
    table = pq.read_table(entry(folder, 3))
    rows = table.to_pandas()
    rows.loc[0, "title"] = None
    changed = pa.Table.from_pandas(rows, ledgers.schema_of(WIDTH), preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), entry(folder, 3))
    refused(folder, "entry 3 of the ledger is damaged: its columns are not those of the ledger")


@pytest.mark.parametrize("name", ["notes.txt", "1.parquet", "00000004.json"])
def test_what_is_no_entry_is_named(folder, name):
    (folder / "ledger" / name).write_text("x")
    refused(folder, rf"ledger/{name} is not an entry of the ledger; remove it")


def test_what_a_killed_writer_leaves_is_not_believed(folder):
    """obstore writes beside the entry and then names it; a kill before that leaves this."""
    before = ledger_of(folder).digests
    (folder / "ledger" / "00000004.parquet#1").write_bytes(b"PAR1 half")
    assert ledger_of(folder).digests == before
    assert recorded(folder, random_entries(5, 9, "late")).number == 4


@pytest.mark.parametrize(
    "change", [{"side": ["open", "sealed"]}, {"id": ["s0-1", "x"]}, {"side": ["open", "ajar"]}], ids=str
)
def test_an_entry_that_contradicts_is_noticed(folder, change):
    known = ledger_of(folder)
    rows = known.rows.head(2).assign(id=["x", "y"], recording="r", side="open", title="t")
    assert added(folder, known, rows.assign(**change))
    refused(folder, "the ledger contradicts itself; restore")


def test_who_comes_second_changes_nothing(folder):
    known = ledger_of(folder)
    assert added(folder, known, news_of(known, "early"))
    before = contents(folder)
    assert not added(folder, known, news_of(known, "late"))
    assert contents(folder) == before


def test_a_store_without_conditional_create_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "create_object", lambda uri, data: True)
    empty = ledger_of(tmp_path)
    with pytest.raises(PlatformError, match="ignores If-None-Match"):
        added(tmp_path, empty, news_of(empty))


def test_a_bucket_holds_the_same_ledger(monkeypatch, tmp_path):
    with s3_server() as there:
        for name, value in there.items():
            monkeypatch.setenv(name, value)
        uri = f"s3://bucket/{uuid.uuid4().hex}"
        for place in (uri, str(tmp_path)):
            for prefix in ("a", "b"):
                known = ledger_of(place)
                assert added(place, known, news_of(known, prefix))
                assert not added(place, known, news_of(known, prefix))
        assert ledger_of(uri).digests == ledger_of(tmp_path).digests
        with pytest.raises(PlatformError, match=r"cannot read s3://none/x/ledger: "):
            ledger_of("s3://none/x")


_together = []


def _meet(barrier):
    _together.append(barrier)


def _append(folder: str, prefix: str) -> bool:
    known = ledger_of(folder)
    news = news_of(known, prefix, 200)
    _together[0].wait(timeout=60)
    return added(folder, known, news)


@pytest.mark.slow
def test_of_two_processes_one_appends(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = (context.Barrier(2),)
    with ProcessPoolExecutor(2, mp_context=context, initializer=_meet, initargs=barrier) as pool:
        for attempt in range(20):
            both = [pool.submit(_append, str(tmp_path), f"{name}{attempt}-") for name in "ab"]
            assert sorted(done.result(120) for done in both) == [False, True]
            assert len(ledger_of(tmp_path).rows) == 200 * (attempt + 1)
