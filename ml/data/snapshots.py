"""Read a training snapshot: what the trusted side has written for runs, and what of it is checked.

A run takes both tables from the snapshot instead of their sources, so that no run needs a key to those. The
version of the snapshot is the run's data version.
"""

from pathlib import Path

from ml.core.canonical import digest, parse
from ml.core.errors import DataError, EvidenceError, UsageError
from ml.core.files import write_bytes
from ml.data.manifests import Snapshot
from ml.data.sources import write_source
from ml.data.uris import public_uri, refuse_password, table_paths
from ml.problem import Definition
from ml.storage.objects import get_object

MANIFEST = "snapshot.json"
LARGEST_MANIFEST = 1 << 20
LARGEST_TABLE = 4 << 30
"""Bytes: an object that is larger is none of ours."""


def read_snapshot(uri: str) -> Snapshot:
    """Return the manifest of the snapshot at a URI.

    Raises:
        UsageError: there is none, or the URI cannot be used.
        EvidenceError: it is damaged.
        PlatformError: it cannot be read.
    """
    refuse_password(uri)
    data = get_object(f"{uri.rstrip('/')}/{MANIFEST}", LARGEST_MANIFEST)
    if data is None:
        raise UsageError(f"--snapshot {uri}: there is no {MANIFEST}; `jukebox judge holdout` writes one")
    try:
        return Snapshot.load(parse(data))
    except (TypeError, ValueError) as error:
        raise EvidenceError(f"the snapshot {uri} is damaged: {MANIFEST}: {error}; {_again()}") from error


def require_definition(manifest: Snapshot, definition: Definition) -> None:
    """Refuse a snapshot that was made under another definition than this code has.

    Raises:
        UsageError: it was.
    """
    if manifest.definition != definition.VERSION:
        raise UsageError(
            f"the snapshot is of the definition {manifest.definition}, and this commit has "
            f"{definition.VERSION}: the judge must know a definition before a run uses it; release it, and "
            "update JUDGE_IMAGE"
        )


def fetch_snapshot(
    definition: Definition, uri: str, expected_version: str, folder: Path, source: str | Path
) -> str:
    """Copy the tables of a snapshot, write ``source.json``, and say what was read.

    Args:
        definition: the problem's.
        uri: where the snapshot is.
        expected_version: its version when the run was asked for.
        folder: the folder to write the tables into.
        source: the JSON file to write: URI, versions, rows, and how many examples the snapshot leaves out.

    Raises:
        DataError: it is another snapshot than the one that was asked for.
        UsageError: there is none, or it is of another definition.
        EvidenceError: a file is missing, or not what the manifest says.
        PlatformError: it cannot be read.
    """
    manifest = read_snapshot(uri)
    if manifest.version != expected_version:
        raise DataError(
            f"the snapshot changed: this run was asked for data version {expected_version}, but {uri} is "
            f"{manifest.version}; submit it again with the snapshot of that version"
        )
    require_definition(manifest, definition)
    tables = {}
    for name, path in table_paths(definition.TABLES, folder).items():
        entry = manifest.files.get(path.name)
        data = get_object(f"{uri.rstrip('/')}/{path.name}", LARGEST_TABLE)
        if data is None or entry is None or digest(data) != entry.digest:
            raise EvidenceError(f"the snapshot {uri}: {path.name} is missing or was changed; {_again()}")
        write_bytes(path, data)
        tables[name] = {"uri": f"{public_uri(uri).rstrip('/')}/{path.name}", "version": entry.digest}
    about = {
        "snapshot": public_uri(uri),
        "source_version": manifest.source_version,
        "left_out": manifest.left_out.to_json(),
    }
    rows = write_source(source, manifest.version, folder, tables, synthetic=manifest.synthetic, **about)
    return f"snapshot {manifest.version}: {rows}"


def _again() -> str:
    return "remove it, and let `jukebox judge holdout` write it again"
