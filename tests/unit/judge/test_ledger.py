"""The ledger: appended to, never changed; a gap, a changed entry and a lost race are noticed."""

import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from holdouts import KEY, VERSION, WIDTH, contents, ledger_of, recorded
from judged import refused
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


def added(folder: Path | str, known: Ledger, prefix: str = "new") -> bool:
    news = split(definition, random_entries(5, 9, prefix), known, KEY, VERSION).news
    return append(str(folder), known, news, KEY.id, VERSION)


def entry(folder: Path, number: int) -> Path:
    return folder / "ledger" / f"{number:08}.parquet"


def test_what_is_appended_is_read_again(folder, tmp_path):
    empty = ledger_of(tmp_path / "new")
    assert (empty.number, empty.digest, empty.key_id, empty.features.shape) == (0, "", "", (0, WIDTH))
    found = ledger_of(folder)
    assert (found.number, len(found.rows), found.key_id) == (3, 60, KEY.id)
    assert found.digest == found.digests[2]
    assert found.rows["first_version"].value_counts().to_dict() == {f"{seed:016x}": 20 for seed in range(3)}
    entries = random_entries(20, 1, "s1-").set_index("id")
    rows = found.rows["id"].str.startswith("s1-").to_numpy()
    expected = entries.loc[found.rows["id"][rows], list(definition.FEATURES)]
    np.testing.assert_array_equal(found.features[rows], expected.to_numpy("float32"))
    # Not as a ledger of another number of features.
    message = "entry 1 of the ledger is damaged: its columns are not those of the ledger"
    refused(EvidenceError, message, read_ledger, str(folder), WIDTH + 1)


def test_the_same_rows_are_the_same_bytes(tmp_path):
    entries = random_entries(20)
    recorded(tmp_path / "a", entries)
    recorded(tmp_path / "b", entries.sample(frac=1, random_state=1))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def other(number, metadata=None, **columns):
    """Return a function that writes an entry again, with other columns or metadata."""

    def spoil(folder):
        table = pq.read_table(entry(folder, number))
        rows = table.to_pandas().assign(**columns)
        made = pa.Table.from_pandas(rows, ledgers.schema_of(WIDTH), preserve_index=False)
        about = {b"jukebox": metadata} if metadata else table.schema.metadata
        pq.write_table(made.replace_schema_metadata(about), entry(folder, number))

    return spoil


def contradicting(**change):
    """Return a function that appends two rows that are right but for a change."""

    def spoil(folder):
        known = ledger_of(folder)
        rows = known.rows.head(2).assign(id=["x", "y"], recording="r", side="open", title="t")
        assert append(str(folder), known, rows.assign(**change), KEY.id, VERSION)

    return spoil


def put(name, data=None):
    """Return a function that writes an entry's file: other bytes, or those of the second entry."""
    return lambda folder: (folder / "ledger" / name).write_bytes(data or entry(folder, 2).read_bytes())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: entry(folder, 1).unlink(), "entry 1 of the ledger is missing; restore the ledger"),
        (lambda folder: entry(folder, 2).unlink(), "entry 2 of the ledger is missing; restore the ledger"),
        (other(1, side="open"), "entry 2 of the ledger does not follow .* restore"),
        (put("00000003.parquet"), "entry 3 of the ledger does not follow"),
        (put("00000003.parquet", b"PAR1"), "entry 3 of the ledger is damaged: .*; restore"),
        (other(3, b"{}"), "entry 3 of the ledger is damaged"),
        (other(3, b"not json"), "entry 3 of the ledger is damaged"),
        (other(3, title=None), "entry 3 of the ledger is damaged: its columns are not those of the ledger"),
        (put("1.parquet"), r"ledger/1.parquet is not an entry of the ledger; remove it"),
        (contradicting(side=["open", "sealed"]), "the ledger contradicts itself; restore"),
        (contradicting(id=["s0-1", "x"]), "the ledger contradicts itself; restore"),
        (contradicting(side="ajar"), "the ledger contradicts itself; restore"),
    ],
)
def test_an_entry_that_is_missing_changed_damaged_or_contradicts_is_noticed(folder, spoil, message):
    spoil(folder)
    refused(EvidenceError, message, ledger_of, folder)


def test_what_a_killed_writer_leaves_is_not_believed(folder):
    """obstore writes beside the entry and then names it; a kill before that leaves this."""
    before = ledger_of(folder).digests
    put("00000004.parquet#1")(folder)
    assert ledger_of(folder).digests == before
    assert recorded(folder, random_entries(5, 9, "late")).number == 4


def test_who_comes_second_changes_nothing_and_a_bucket_holds_the_same_ledger(monkeypatch, tmp_path):
    with s3_server() as there:
        for name, value in there.items():
            monkeypatch.setenv(name, value)
        uri = f"s3://bucket/{uuid.uuid4().hex}"
        for place in (uri, str(tmp_path)):
            for prefix in ("a", "b"):
                known = ledger_of(place)
                assert added(place, known, prefix)
                after = ledger_of(place).digests
                assert not added(place, known, "late")
                assert ledger_of(place).digests == after
        assert ledger_of(uri).digests == ledger_of(tmp_path).digests
        refused(PlatformError, r"cannot read s3://none/x/ledger: ", ledger_of, "s3://none/x")
    monkeypatch.setattr(ledgers, "create_object", lambda uri, data: True)
    refused(PlatformError, "ignores If-None-Match", added, tmp_path, ledger_of(tmp_path))
