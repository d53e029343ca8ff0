"""Read the tables from where they are, and name the version of what was read.

A table is a Parquet or CSV file by path, ``http(s)://`` or ``s3://`` URI, or part of the problem's sample
(``sample:``). Its version names its content: the sha256 of a file, the ETag of a remote object (its sha256
where the server sends no ETag). The data version binds all tables, and everything that is measured on them.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import requests

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import DataError, PlatformError, UsageError
from ml.core.files import CHUNK, file_digest, whole_file, write_json
from ml.data.uris import SAMPLE, local_path, public_uri, scheme_of, table_paths
from ml.problem import Definition
from ml.storage.objects import ObjectError, open_folder, split_uri
from ml.storage.s3 import explain

TIMEOUT = (10, 60)
"""Seconds to connect, and between two pieces of an answer."""

NAMED = re.compile(r"([a-z][a-z0-9_]*)=(.+)")

REMOTE = ("http", "https")


def table_uris(definition: Definition, data: Sequence[str]) -> dict[str, str]:
    """Return the URI of each table.

    Args:
        definition: the problem's.
        data: a ``sample:`` URI; or a folder, by path or URI, that has a file ``NAME.parquet`` for each table;
            or ``NAME=URI`` for each table.

    Raises:
        UsageError: a table is not named, named twice, or not one of the problem's.
    """
    names = list(definition.TABLES)
    if len(data) == 1 and not NAMED.fullmatch(data[0]):
        (place,) = data
        if place.startswith(SAMPLE):
            return dict.fromkeys(names, place)
        if place.lower().endswith((".parquet", ".csv")):
            if len(names) == 1:
                return {names[0]: place}
            raise UsageError(f"--data {place}: give NAME=URI for each of the tables {', '.join(names)}")
        return {name: f"{place.rstrip('/')}/{name}.parquet" for name in names}
    found: dict[str, str] = {}
    for text in data:
        named = NAMED.fullmatch(text)
        if not named or named[1] not in names or named[1] in found:
            raise UsageError(f"--data {text}: give NAME=URI once for each of the tables {', '.join(names)}")
        if named[2].startswith(SAMPLE):
            raise UsageError(f"--data {text}: the sample has all tables: give --data {named[2]} alone")
        found[named[1]] = named[2]
    if missing := [name for name in names if name not in found]:
        raise UsageError(f"--data names no {' and no '.join(missing)}: give NAME=URI for each table")
    return {name: found[name] for name in names}


def resolve_version(definition: Definition, uri: str) -> str:
    """Name the version of the table at a URI; a remote one is read only where it has no ETag.

    Raises:
        UsageError: there is no such file, or the URI is malformed.
        PlatformError: the server cannot be reached.
    """
    scheme = scheme_of(uri)
    if scheme == "sample":
        try:
            return digest(canonical_bytes(definition.describe_sample(uri)))
        except ValueError as error:
            raise UsageError(f"{uri}: not a sample: {' '.join(str(error).split())[:200]}") from error
    if scheme in REMOTE:
        etag = _remote_etag(uri)
        return _etag(uri, etag) if etag else _digest_of(uri)
    if scheme == "s3":
        folder, name = split_uri(uri)
        try:
            return _etag(uri, open_folder(folder).head(name).get("e_tag"))
        except FileNotFoundError as error:
            raise UsageError(f"{uri}: there is no such object") from error
        except ObjectError as error:
            raise PlatformError(f"{uri}: {explain(error)}") from error
    path = local_path(uri)
    try:
        return file_digest(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


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
    tables = {name: {"uri": public_uri(uri), "version": versions[name]} for name, uri in uris.items()}
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
        with open(raw, "wb") as file:
            etag = _download(uri, file)
        version = _etag(uri, etag) if etag else file_digest(raw)
        with open(as_parquet(name, raw, kinds), "rb") as table, whole_file(target) as file:
            shutil.copyfileobj(table, file, CHUNK)
    return version


def _digest_of(uri: str) -> str:
    """Read a remote table that has no ETag, for its digest."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "table"
        with open(raw, "wb") as file:
            _download(uri, file)
        return file_digest(raw)


def _download(uri: str, file: BinaryIO) -> str | None:
    """Write the bytes at a URI to a file; return the ETag of a remote one."""
    scheme = scheme_of(uri)
    if scheme in REMOTE:
        response = _get(uri)
        try:
            for piece in response.iter_content(CHUNK):
                file.write(piece)
        except requests.RequestException as error:
            raise PlatformError(f"{public_uri(uri)}: the download broke off; try again") from error
        return response.headers.get("ETag")
    if scheme == "s3":
        folder, name = split_uri(uri)
        try:
            result = open_folder(folder).get(name)
            for piece in result.stream(CHUNK):
                file.write(piece)
        except FileNotFoundError as error:
            raise UsageError(f"{uri}: there is no such object") from error
        except ObjectError as error:
            raise PlatformError(f"{uri}: {explain(error)}") from error
        return result.meta.get("e_tag")
    try:
        with open(local_path(uri), "rb") as table:
            shutil.copyfileobj(table, file, CHUNK)
    except OSError as error:
        raise UsageError(f"cannot read {local_path(uri)}: {error.strerror}") from error
    return None


def _remote_etag(uri: str) -> str | None:
    """Ask for the ETag only; of a server that answers no HEAD, begin a GET and leave it."""
    try:
        head = requests.head(uri, timeout=TIMEOUT, allow_redirects=True)
    except requests.RequestException:
        head = None
    if head is not None and head.ok:
        return head.headers.get("ETag")
    with _get(uri) as response:
        return response.headers.get("ETag")


def _get(uri: str) -> requests.Response:
    shown = public_uri(uri)
    try:
        response = requests.get(uri, timeout=TIMEOUT, stream=True, allow_redirects=True)
    except (requests.exceptions.InvalidURL, UnicodeError) as error:
        raise UsageError(f"{shown} is not a URL: check host and port") from error
    except requests.RequestException as error:
        raise PlatformError(f"cannot reach {shown}: {type(error).__name__}") from error
    if response.status_code in (404, 410):
        raise UsageError(f"{shown}: there is no such file (HTTP {response.status_code})")
    if not response.ok:
        raise PlatformError(f"{shown}: the server answered HTTP {response.status_code}")
    return response


def _etag(uri: str, etag: str | None) -> str:
    """Name a remote version by URI and ETag: an ETag alone means nothing on another server."""
    return digest(canonical_bytes({"uri": public_uri(uri), "etag": etag}))
