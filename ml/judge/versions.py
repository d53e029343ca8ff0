"""Data versions: where their two parts lie, which version follows from what, and what is there already."""

from dataclasses import dataclass
from typing import TypeVar

import obstore

from ml.core.canonical import canonical_bytes, digest, parse
from ml.core.errors import EvidenceError, PlatformError
from ml.core.records import Record
from ml.data.manifests import Holdout, Snapshot
from ml.data.snapshots import LARGEST_MANIFEST
from ml.judge.ledger import RESTORE, Ledger
from ml.judge.splitter import SPLITTER
from ml.problem import Definition
from ml.storage.explain import explain
from ml.storage.objects import ObjectError, get_object, open_folder

R = TypeVar("R", bound=Record)


FORMAT = 2
"""The version of what is written: another one makes another data version of the same tables."""


@dataclass(frozen=True)
class Sealed:
    """One data version. ``new`` says whether this call has written it."""

    snapshot_uri: str
    snapshot: Snapshot
    holdout: Holdout
    new: bool


@dataclass(frozen=True)
class Places:
    """Where the two parts of all data versions lie: a folder or s3://bucket/prefix each."""

    holdout: str
    snapshots: str

    def snapshot(self, version: str) -> str:
        """Return the URI of a snapshot."""
        return f"{self.snapshots.rstrip('/')}/{version}"

    def sealed(self, version: str) -> str:
        """Return the URI of a sealed holdout."""
        return f"{self.holdout.rstrip('/')}/{version}"


def version_of(definition: Definition, source_version: str, ledger: Ledger) -> str:
    """Return the version that follows from what was read and decided: 16 hexadecimal digits."""
    about = {
        "source": source_version,
        "ledger": {"number": ledger.number, "digest": ledger.digest},
        "splitter": SPLITTER,
        "definition": definition.VERSION,
        "format": FORMAT,
    }
    return digest(canonical_bytes(about)).removeprefix("sha256:")[:16]


def require_head(holdout: str, ledger: Ledger) -> None:
    """Compare the ledger with the newest holdout, which names the entry that was the newest then.

    Raises:
        EvidenceError: that entry is missing or was changed.
    """
    try:
        listed = [entry for page in obstore.list(open_folder(holdout, create=True)) for entry in page]
    except (ObjectError, OSError) as error:
        raise PlatformError(f"cannot list {holdout}: {explain(error)}") from error
    manifests = [
        (entry["last_modified"], entry["path"])
        for entry in listed
        if entry["path"].count("/") == 1 and entry["path"].endswith("/holdout.json")
    ]
    if not manifests:
        return
    newest = max(manifests)[1]
    uri = f"{holdout.rstrip('/')}/{newest}"
    try:
        # Only these two fields are read: manifests of every format have them.
        manifest = parse(get_object(uri, LARGEST_MANIFEST) or b"")
        number, expected = int(manifest["ledger"]), str(manifest["ledger_digest"])
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"{uri} is damaged: {error}; remove it, and run this again") from error
    if expected not in ledger.digests[number - 1 : number]:
        raise EvidenceError(
            f"{holdout}: entry {number} of the ledger is missing or was changed: {newest} was made with "
            f"another; {RESTORE}"
        )


def find_version(
    definition: Definition, places: Places, source_version: str, ledger: Ledger
) -> Sealed | None:
    """Return what is there for these tables and this ledger; None where a manifest is missing."""
    version = version_of(definition, source_version, ledger)
    snapshot = _read(Snapshot, f"{places.snapshot(version)}/snapshot.json")
    holdout = _read(Holdout, f"{places.sealed(version)}/holdout.json")
    if snapshot is None or holdout is None:
        return None
    if holdout.snapshot_digest != digest(snapshot.to_bytes()) or holdout.version != version:
        raise EvidenceError(
            f"{places.snapshot(version)}/snapshot.json is not the one that "
            f"{places.sealed(version)}/holdout.json was written with; remove that snapshot's folder, and run "
            "this again"
        )
    return Sealed(places.snapshot(version), snapshot, holdout, new=False)


def _read(kind: type[R], uri: str) -> R | None:
    """Read a manifest; None where there is none."""
    data = get_object(uri, LARGEST_MANIFEST)
    if data is None:
        return None
    try:
        return kind.load(parse(data))
    except (TypeError, ValueError) as error:
        raise EvidenceError(f"{uri} is damaged: {error}; remove it, and run this again") from error
