"""Read the tables from where they are, and name the version of what was read.

A table is a Parquet or CSV file by path, ``http(s)://`` or ``s3://`` URI, or part of the problem's sample
(``sample:``). Its version names its content: the sha256 of a file, the ETag of a remote object (its sha256
where the server sends no ETag). The data version binds all tables, and everything that is measured on them.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import DataError, UsageError
from ml.core.files import CHUNK, whole_file, write_json
from ml.data.downloads import download, version_of
from ml.data.uris import public_uri, scheme_of, table_paths
from ml.problem import Definition


def resolve_version(definition: Definition, uri: str) -> str:
    """Name the version of the table at a URI; a remote one is read only where it has no ETag.

    Raises:
        UsageError: there is no such file, or the URI is malformed.
        PlatformError: the server cannot be reached.
    """
    if scheme_of(uri) != "sample":
        return version_of(uri)
    try:
        return digest(canonical_bytes(definition.describe_sample(uri)))
    except ValueError as error:
        raise UsageError(f"{uri}: not a sample: {' '.join(str(error).split())[:200]}") from error


def data_version(definition: Definition, tables: Mapping[str, str]) -> str:
    """Name the version of all tables together: 16 hexadecimal digits.

    Args:
        definition: the problem's.
        tables: URIs by the tables' names.

    Raises:
        UsageError, PlatformError: as `resolve_version`.
    """
    return _combine({name: resolve_version(definition, uri) for name, uri in tables.items()})


def _combine(versions: Mapping[str, str]) -> str:
    return digest(canonical_bytes(dict(versions))).removeprefix("sha256:")[:16]


def fetch(
    definition: Definition, uris: Mapping[str, str], expected_version: str, folder: Path, source: str | Path
) -> str:
    """Copy the tables to Parquet files, write ``source.json``, and say what was read.

    Args:
        definition: the problem's.
        uris: where each table is.
        expected_version: what `data_version` said when the run was asked for.
        folder: the folder to write ``NAME.parquet`` into.
        source: the JSON file to write: URIs without secrets, versions, rows.

    Raises:
        DataError: a table cannot be read, or is not the version that was asked for.
        PlatformError: a server cannot be reached.
    """
    synthetic = {scheme_of(uri) == "sample" for uri in uris.values()}
    paths = table_paths(definition.TABLES, folder)
    if synthetic == {True} and len(set(uris.values())) == 1:
        (uri,) = set(uris.values())
        versions = dict.fromkeys(uris, resolve_version(definition, uri))
        definition.write_sample(uri, paths)
    elif True in synthetic:
        raise DataError("the sample has all tables: give the same sample: URI for each of them")
    else:
        versions = {name: _copy(definition, name, uri, paths[name]) for name, uri in uris.items()}
    version = _combine(versions)
    if version != expected_version:
        raise DataError(
            f"the tables changed: this run was asked for data version {expected_version}, but reads "
            f"{version}; submit it again for the new data"
        )
    tables = {name: {"uri": public_uri(uri), "version": versions[name]} for name, uri in sorted(uris.items())}
    return write_source(source, version, folder, tables, synthetic=True in synthetic)


def write_source(
    source: str | Path,
    version: str,
    folder: Path,
    tables: Mapping[str, Mapping[str, str]],
    *,
    synthetic: bool,
    **about: Any,
) -> str:
    """Write ``source.json``, and say how many rows each table has.

    Args:
        source: the file to write.
        version: the data version.
        folder: holds the tables.
        tables: URI and version of each.
        synthetic: whether they are the problem's sample.
        about: what else there is to say.
    """
    paths = table_paths(tables, folder)
    write_json(
        source,
        {
            "schema": "jukebox.source/v1",
            "data_version": version,
            "synthetic": synthetic,
            **about,
            "tables": {name: {**table, "rows": rows_of(paths[name])} for name, table in tables.items()},
        },
    )
    return count_rows(paths) + (" (synthetic)" if synthetic else "")


def rows_of(table: Path) -> int:
    """Return how many rows a Parquet file has."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(table).num_rows)


def count_rows(tables: Mapping[str, Path]) -> str:
    """Say how many rows each table has."""
    return ", ".join(f"{rows_of(path):,} rows of {name}" for name, path in tables.items())


def _copy(definition: Definition, name: str, uri: str, target: Path) -> str:
    """Copy one table to a parquet file; return the version of what was copied."""
    from ml.data.tables import as_parquet

    kinds = definition.TABLES[name].columns
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "table"
        version = download(uri, raw)
        with open(as_parquet(name, raw, kinds), "rb") as table, whole_file(target) as file:
            shutil.copyfileobj(table, file, CHUNK)
    return version
