"""Read a training snapshot: what the trusted side has written for runs, and what of it is checked.

A run takes both tables from the snapshot instead of their sources, so that no run needs a key to those. The
version of the snapshot is the run's data version.
"""

from pathlib import Path

from ml.core.canonical import digest, parse
from ml.core.errors import DataError, EvidenceError, UsageError
from ml.core.files import write_bytes, write_json
from ml.data.manifests import Snapshot
from ml.data.uris import public_uri, refuse_password
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


def fetch_snapshot(
    uri: str, expected_version: str, rankings: str | Path, songs: str | Path, source: str | Path
) -> str:
    """Copy the tables of a snapshot, write ``source.json``, and say what was read.

    Args:
        uri: where the snapshot is.
        expected_version: its version when the run was asked for.
        rankings: the parquet file to write.
        songs: the parquet file to write.
        source: the JSON file to write: URI, versions, rows, and how many songs the snapshot leaves out.

    Raises:
        DataError: it is another snapshot than the one that was asked for.
        UsageError: there is none.
        EvidenceError: a file is missing, or not what the manifest says.
        PlatformError: it cannot be read.
    """
    import pyarrow.parquet as pq

    manifest = read_snapshot(uri)
    if manifest.version != expected_version:
        raise DataError(
            f"the snapshot changed: this run was asked for data version {expected_version}, but {uri} is "
            f"{manifest.version}; submit it again with the snapshot of that version"
        )
    tables = {"rankings.parquet": Path(rankings), "songs.parquet": Path(songs)}
    versions = {}
    for name, entry in manifest.files.items():
        data = get_object(f"{uri.rstrip('/')}/{name}", LARGEST_TABLE)
        if data is None or digest(data) != entry.digest:
            raise EvidenceError(f"the snapshot {uri}: {name} is missing or was changed; {_again()}")
        write_bytes(tables[name], data)
        versions[str(name)] = entry.digest
    rows = {name: pq.read_metadata(path).num_rows for name, path in tables.items()}
    write_json(
        source,
        {
            "schema": "jukebox.source/v1",
            "data_version": manifest.version,
            "synthetic": manifest.synthetic,
            "snapshot": public_uri(uri),
            "source_version": manifest.source_version,
            "left_out": manifest.left_out.to_json(),
            "tables": {
                name.removesuffix(".parquet"): {
                    "uri": f"{public_uri(uri).rstrip('/')}/{name}",
                    "version": versions[name],
                    "rows": rows[name],
                }
                for name in tables
            },
        },
    )
    made = " (synthetic)" if manifest.synthetic else ""
    return (
        f"snapshot {manifest.version}: {rows['rankings.parquet']:,} chart rows, {rows['songs.parquet']:,} "
        f"songs{made}"
    )


def _again() -> str:
    return "remove it, and let `jukebox judge holdout` write it again"
