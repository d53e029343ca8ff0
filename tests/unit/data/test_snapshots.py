"""A training snapshot: read as its manifest says, and only under the definition that it was made with."""

import json
from pathlib import Path

import pytest
from spam import definition
from spam.tables import sample, uris, write

from examples.digits import definition as digits
from ml.core.canonical import digest
from ml.core.errors import DataError, EvidenceError, UsageError
from ml.core.files import write_json
from ml.data.manifests import Amount, LeftOut, Snapshot
from ml.data.resolution import resolve_data
from ml.data.snapshots import fetch_snapshot
from ml.data.sources import data_version
from ml.gate.candidate import FileEntry

VERSION = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "snapshot"
    about = {"version": VERSION, "source_version": "s", "synthetic": True, "definition": "spam/v1"}
    manifest = Snapshot(
        **about,
        splitter="x",
        ledger=1,
        classes=definition.CLASSES,
        shares={name: Amount(examples=1, rows=1) for name in ("train", "validation", "self-test")},
        left_out=LeftOut(both_sides=1, near_copies=2),
        files={path.name: FileEntry.of(path.read_bytes()) for path in write(folder, sample(20)).values()},
    )
    write_json(folder / "snapshot.json", manifest)
    return folder


def fetched(folder: Path, problem=definition, version: str = VERSION) -> str:
    target = folder.parent / "run"
    return fetch_snapshot(problem, str(folder), version, target, target / "source.json")


def test_its_tables_are_copied_and_the_source_says_what_it_leaves_out(folder):
    said = fetched(folder)
    rows = {name: len(table) for name, table in sample(20).items()}
    assert said == f"snapshot {VERSION}: {rows['votes']} rows of votes, 20 rows of messages (synthetic)"
    source = json.loads((folder.parent / "run/source.json").read_bytes())
    for name, count in rows.items():
        data = (folder / f"{name}.parquet").read_bytes()
        assert (folder.parent / "run" / f"{name}.parquet").read_bytes() == data
        uri = f"{folder}/{name}.parquet"
        assert source["tables"][name] == {"uri": uri, "version": digest(data), "rows": count}
    about = (source["data_version"], source["snapshot"], source["source_version"])
    assert about == (VERSION, str(folder), "s")
    assert (source["synthetic"], source["left_out"]) == (True, {"both_sides": 1, "near_copies": 2})


def test_the_version_of_a_run_is_that_of_its_snapshot_or_of_its_tables(folder):
    assert resolve_data(definition, {}, str(folder)) == VERSION
    tables = uris(write(folder.parent / "tables", sample(20)))
    assert resolve_data(definition, tables, "") == data_version(definition, tables)


def test_another_definition_or_snapshot_than_the_one_asked_for_is_refused(folder):
    told = "of the definition spam/v1, and this commit has digits/v1: .*; release it, and update JUDGE_IMAGE$"
    for refused in (lambda: resolve_data(digits, {}, str(folder)), lambda: fetched(folder, digits)):
        with pytest.raises(UsageError, match=told):
            refused()
    with pytest.raises(DataError, match=rf"asked for data version {16 * '0'}, but .* is {VERSION}; submit"):
        fetched(folder, version="0" * 16)
    assert not (folder.parent / "run").exists()


@pytest.mark.parametrize("how", ["changed", "missing", "not in the manifest"])
def test_a_table_that_is_not_what_the_manifest_says_is_refused(folder, how):
    table = folder / "messages.parquet"
    if how == "changed":
        table.write_bytes(table.read_bytes() + b" ")
    elif how == "missing":
        table.unlink()
    else:
        manifest = json.loads((folder / "snapshot.json").read_bytes())
        del manifest["files"][table.name]
        write_json(folder / "snapshot.json", manifest)
    told = f"{table.name} is missing or was changed; remove it, and let `jukebox judge"
    with pytest.raises(EvidenceError, match=told):
        fetched(folder)
    assert not (folder.parent / "run/source.json").exists()


@pytest.mark.parametrize(
    ("uri", "kind", "told"),
    [
        ("{}/none", UsageError, r"--snapshot .*/none: there is no snapshot.json; `jukebox judge holdout`"),
        ("{}/snapshot", EvidenceError, r"is damaged: snapshot.json: [^\n]+; remove it, and let"),
        ("http://user:hunter2@host/x", UsageError, r"^http://host/x: a password in the URI would be written"),
    ],
)
def test_a_snapshot_that_is_not_there_or_damaged_and_a_password_are_told(folder, uri, kind, told):
    (folder / "snapshot.json").write_text("{}")
    with pytest.raises(kind, match=told):
        resolve_data(definition, {}, uri.format(folder.parent))
