"""The ledger: which recordings are sealed, for ever. Append-only, and each entry names the one before.

An entry is a Parquet file ``<holdout>/ledger/00000017.parquet`` with a row for each id that was new. It is
created only if its number is free, so of two writers one wins, and the other reads what was decided and
decides again. An object appears whole or not at all; leftovers of a killed writer are not listed.
"""

import io
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import obstore
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from ml.core.canonical import digest, parse
from ml.core.errors import EvidenceError, PlatformError
from ml.core.records import Count, Digest, Record, Text
from ml.storage.explain import explain
from ml.storage.objects import ObjectError, create_object, open_folder

SIDES = ("sealed", "open")

ENTRY = re.compile("[0-9]{8}[.]parquet")
METADATA = b"jukebox"
RESTORE = "restore the ledger from a backup of the bucket; `jukebox judge holdout` decides nothing without it"


def schema_of(features: int) -> pa.Schema:
    """Return the columns of a ledger of examples with so many features.

    A row is the id, its recording's key, one of `SIDES`, the key that decided, the source version in which
    the id was seen first, and what it was then: its title's digest and its features. By these a copy is
    recognised after the id has left the tables.
    """
    texts = ("id", "recording", "side", "key_id", "first_version", "title")
    return pa.schema({**dict.fromkeys(texts, pa.string()), "features": pa.list_(pa.float32(), features)})


class Entry(Record):
    """What an entry says about itself; ``previous`` is the digest of the one before, "" of the first."""

    schema_: Literal["jukebox.ledger/v1"] = Field("jukebox.ledger/v1", alias="schema")
    number: Count
    previous: Digest | Literal[""]
    key_id: Text
    source_version: Text


@dataclass(frozen=True)
class Ledger:
    """All entries of a ledger, checked against each other.

    Attributes:
        rows: all rows, with the columns of `schema_of`.
        digests: of each entry, the oldest first.
        key_id: the key of the newest entry, "" where there is none.
        width: how many features an example has, F.
    """

    rows: pd.DataFrame
    digests: tuple[str, ...]
    key_id: str
    width: int

    @property
    def number(self) -> int:
        """The number of the newest entry, 0 where there is none."""
        return len(self.digests)

    @property
    def digest(self) -> str:
        """The digest of the newest entry, "" where there is none."""
        return self.digests[-1] if self.digests else ""

    @property
    def features(self) -> np.ndarray:
        """The features of each row, float32 [N, F]."""
        return np.array(self.rows["features"].to_list(), dtype="float32").reshape(-1, self.width)


def read_ledger(holdout: str, features: int) -> Ledger:
    """Read the ledger of a holdout; an empty one where there is none yet.

    Args:
        holdout: where it is.
        features: how many features an example has.

    Raises:
        EvidenceError: an entry is missing, damaged or changed.
        PlatformError: it cannot be read.
    """
    store = open_folder(holdout, create=True)
    try:
        listed = [entry["path"] for page in obstore.list(store, "ledger") for entry in page]
        paths = sorted(listed)
        with ThreadPoolExecutor(8) as pool:
            contents = list(pool.map(lambda path: bytes(obstore.get(store, path).bytes()), paths))
    except (ObjectError, OSError) as error:
        raise PlatformError(f"cannot read {holdout}/ledger: {explain(error)}") from error
    for number, path in enumerate(paths, 1):
        name = path.rpartition("/")[2]
        if not ENTRY.fullmatch(name):
            raise EvidenceError(f"{holdout}/{path} is not an entry of the ledger; remove it")
        if int(name[:8]) != number:
            raise EvidenceError(f"{holdout}: entry {number} of the ledger is missing; {RESTORE}")
    digests = tuple(digest(data) for data in contents)
    schema = schema_of(features)
    tables, key_id = [schema.empty_table().to_pandas()], ""
    for number, data in enumerate(contents, 1):
        previous = digests[number - 2] if number > 1 else ""
        try:
            entry, rows = _parse(data, schema)
        except (pa.ArrowException, TypeError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise EvidenceError(
                f"{holdout}: entry {number} of the ledger is damaged: {reason}; {RESTORE}"
            ) from error
        if entry.number != number or entry.previous != previous:
            raise EvidenceError(
                f"{holdout}: entry {number} of the ledger does not follow from the one before: one of them "
                f"was changed; {RESTORE}"
            )
        tables.append(rows)
        key_id = entry.key_id
    rows = pd.concat(tables, ignore_index=True)
    sides = rows.groupby("recording")["side"].nunique()
    if rows["id"].duplicated().any() or (sides > 1).any() or not rows["side"].isin(SIDES).all():
        raise EvidenceError(f"{holdout}: the ledger contradicts itself; {RESTORE}")
    return Ledger(rows, digests, key_id, features)


def _parse(data: bytes, schema: pa.Schema) -> tuple[Entry, pd.DataFrame]:
    """Read an entry.

    Raises:
        ArrowException, OSError, TypeError, ValueError: it is none.
    """
    with pq.ParquetFile(io.BytesIO(data)) as file:
        table = file.read(use_threads=False)
    metadata: Mapping[bytes, bytes] = table.schema.metadata or {}
    entry = Entry.load(parse(metadata.get(METADATA, b"")))
    if not table.schema.equals(schema) or any(table[name].null_count for name in schema.names):
        raise ValueError("its columns are not those of the ledger")
    rows: pd.DataFrame = table.replace_schema_metadata(None).to_pandas()
    return entry, rows


def append(holdout: str, ledger: Ledger, rows: pd.DataFrame, key_id: str, source_version: str) -> bool:
    """Append an entry with new rows; False when somebody else has taken its number.

    Args:
        holdout: where the ledger is.
        ledger: as it was read.
        rows: with the columns of `schema_of`.
        key_id: the key in use.
        source_version: the version of the source tables.

    Raises:
        PlatformError: it cannot be written, or the store does not promise conditional create.
    """
    entry = Entry(
        number=ledger.number + 1, previous=ledger.digest, key_id=key_id, source_version=source_version
    )
    table = pa.Table.from_pandas(rows.sort_values("id"), schema_of(ledger.width), preserve_index=False)
    told = table.replace_schema_metadata({METADATA: entry.to_bytes()})
    target = io.BytesIO()
    pq.write_table(told, target)
    uri = f"{holdout.rstrip('/')}/ledger/{entry.number:08}.parquet"
    if not create_object(uri, target.getvalue()):
        return False
    if create_object(uri, target.getvalue()):
        raise PlatformError(
            f"{uri}: the store creates an object that is there already: it ignores If-None-Match, and two "
            "writers would overwrite each other; use another store"
        )
    return True
