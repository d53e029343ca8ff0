"""Seal a holdout: from the source tables to the training snapshot and the sealed holdout of one data version.

1. The tables are fetched and checked against the contract; where they break it, nothing is written.
2. The ledger says which examples are sealed. Examples that it does not know are decided on and appended;
   the process that loses a race for the next entry reads the winner's and decides again.
3. Snapshot and holdout are written under a version that follows from source tables, ledger and splitter.
   Files are only created, the manifests last, so a version without its manifests is no version, and a call
   that was killed is completed by the next.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, UsageError
from ml.core.files import read_json
from ml.data.contract import validate
from ml.data.manifests import HOLDOUT_FILES, Holdout, LeftOut, Snapshot
from ml.data.recordings import MARKS
from ml.data.snapshots import LARGEST_TABLE
from ml.data.sources import data_version, fetch
from ml.data.uris import public_uri, table_paths
from ml.gate.candidate import FileEntry
from ml.judge.holdout_key import HoldoutKey
from ml.judge.ledger import Ledger, append, read_ledger
from ml.judge.parts import Parts, Tables, make_parts, same_answers
from ml.judge.splitter import SPLITTER, Split, split
from ml.judge.versions import Places, Sealed, find_version, require_head, version_of
from ml.problem import Definition
from ml.storage.objects import create_object, get_object


def seal_holdout(definition: Definition, uris: Mapping[str, str], places: Places, key: HoldoutKey) -> Sealed:
    """Write snapshot and holdout of the source tables, or find that they are there already.

    Args:
        definition: the problem's.
        uris: where each source table is.
        places: where the two parts lie.
        key: decides for new recordings.

    Raises:
        DataError: a table cannot be read or breaks the contract.
        UsageError: a URI cannot be used, or the examples' table is that of a snapshot.
        EvidenceError: the ledger, or what is there already, is not what was written.
        PlatformError: a place cannot be reached.
    """
    source_version = data_version(definition, uris)
    ledger = read_ledger(places.holdout, len(definition.FEATURES))
    require_head(places.holdout, ledger)
    if ledger.number and (known := find_version(definition, places, source_version, ledger)):
        return known
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(Path(folder))
        fetch(definition, uris, source_version, tables.folder, tables.source)
        paths = table_paths(definition.TABLES, tables.folder)
        validate(definition, paths, tables.source, os.devnull, "", tables.report, tables.profile)
        table = definition.EXAMPLES_TABLE
        if marked := set(MARKS) & set(pq.read_schema(paths[table]).names):
            raise UsageError(
                f"--data: the table {table} at {public_uri(uris[table])} has a column "
                f"{' and '.join(sorted(marked))}, as that of a snapshot has: give the source table"
            )
        entries = definition.read_entries(paths)
        ledger, decided = _decide(definition, places.holdout, entries, key, source_version)
        if known := find_version(definition, places, source_version, ledger):
            return known
        version = version_of(definition, source_version, ledger)
        parts = make_parts(definition, tables, entries, decided, version)
        synthetic = bool(read_json(tables.source)["synthetic"])
        return _write(definition, places, parts, decided, ledger, source_version, synthetic=synthetic)


def _decide(
    definition: Definition, holdout: str, entries: pd.DataFrame, key: HoldoutKey, source_version: str
) -> tuple[Ledger, Split]:
    """Return a ledger that has every entry, and its decisions about them."""
    while True:
        ledger = read_ledger(holdout, len(definition.FEATURES))
        decided = split(definition, entries, ledger, key, source_version)
        if decided.news.empty:
            return ledger, decided
        # The ledger is read again after an entry of ours, too: only its content counts.
        append(holdout, ledger, decided.news, key.id, source_version)


def _write(
    definition: Definition,
    places: Places,
    parts: Parts,
    decided: Split,
    ledger: Ledger,
    source_version: str,
    *,
    synthetic: bool,
) -> Sealed:
    """Create what is missing of a version, the manifests last."""
    version = version_of(definition, source_version, ledger)
    about: dict[str, Any] = {
        "version": version,
        "source_version": source_version,
        "synthetic": synthetic,
        "definition": definition.VERSION,
        "splitter": SPLITTER,
        "ledger": ledger.number,
        "left_out": LeftOut(both_sides=decided.count("both_sides"), near_copies=decided.count("near_copies")),
    }
    sealed: dict[Any, FileEntry] = {
        name: FileEntry.of(_settle(f"{places.sealed(version)}/{name}", parts.holdout[name]))
        for name in HOLDOUT_FILES
    }
    tables: dict[Any, FileEntry] = {
        name: FileEntry.of(_settle(f"{places.snapshot(version)}/{name}", data))
        for name, data in sorted(parts.snapshot.items())
    }
    snapshot = Snapshot(**about, classes=parts.classes, shares=parts.shares, files=tables)
    manifest = snapshot.to_bytes()
    holdout = Holdout(
        **about,
        ledger_digest=ledger.digest,
        key_id=ledger.key_id,
        snapshot_digest=digest(manifest),
        sealed=parts.sealed,
        files=sealed,
    )
    _settle(f"{places.sealed(version)}/holdout.json", holdout.to_bytes())
    # A run can begin as soon as this one is there.
    _settle(f"{places.snapshot(version)}/snapshot.json", manifest)
    return Sealed(places.snapshot(version), snapshot, holdout, new=True)


def _settle(uri: str, data: bytes) -> bytes:
    """Create an object, or find that it is there; return what is there: the same, but for rounding."""
    if create_object(uri, data):
        return data
    stored = get_object(uri, LARGEST_TABLE) or b""
    if stored != data and not (uri.endswith("/baselines.parquet") and same_answers(stored, data)):
        raise EvidenceError(
            f"{uri} is there already, with other bytes; remove its folder, which is not complete, and run "
            "this again"
        )
    return stored
