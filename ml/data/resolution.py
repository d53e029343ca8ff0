"""What a run is about to read: the version of its tables, or that of its snapshot."""

from collections.abc import Mapping

from ml.data.snapshots import read_snapshot, require_definition
from ml.data.sources import data_version
from ml.problem import Definition


def resolve_data(definition: Definition, tables: Mapping[str, str], snapshot: str) -> str:
    """Return the data version.

    Args:
        definition: the problem's.
        tables: the URI of each table; {} with a snapshot.
        snapshot: the URI of a snapshot, "" without one.

    Raises:
        UsageError: there is no such table or snapshot, or the snapshot is of another definition.
        EvidenceError: the snapshot is damaged.
        PlatformError: a server cannot be reached.
    """
    if not snapshot:
        return data_version(definition, tables)
    manifest = read_snapshot(snapshot)
    require_definition(manifest, definition)
    return manifest.version
