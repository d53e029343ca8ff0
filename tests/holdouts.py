"""Sealed holdouts of the made-up problem, and what is in them."""

import hashlib
from pathlib import Path

import pandas as pd
from spam import definition

from ml.judge.holdout import seal_holdout
from ml.judge.holdout_key import HoldoutKey
from ml.judge.ledger import Ledger, append, read_ledger
from ml.judge.splitter import split
from ml.judge.versions import Places, Sealed

KEY, OTHER_KEY = (HoldoutKey(hashlib.sha256(name).digest()) for name in (b"a key", b"another"))
VERSION = "0123456789abcdef"
WIDTH = len(definition.FEATURES)


def ledger_of(folder: Path | str) -> Ledger:
    """Read the ledger in a folder."""
    return read_ledger(str(folder), WIDTH)


def recorded(folder: Path, entries: pd.DataFrame, key: HoldoutKey = KEY, version: str = VERSION) -> Ledger:
    """Decide about entries, append what is new to the ledger in a folder, and read it."""
    ledger = ledger_of(folder)
    found = split(definition, entries, ledger, key, version)
    if not found.news.empty:
        assert append(str(folder), ledger, found.news, key.id, version)
    return ledger_of(folder)


def seal(folder: Path | str, tables: Path | str, key: HoldoutKey = KEY) -> Sealed:
    """Seal the tables in a folder, or "sample:", into ``holdout`` and ``snapshots`` of another."""
    uris = {name: tables if tables == "sample:" else f"{tables}/{name}.parquet" for name in definition.TABLES}
    return seal_holdout(definition, uris, Places(f"{folder}/holdout", f"{folder}/snapshots"), key)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
