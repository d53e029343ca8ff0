"""Read the two tables from where they are, and name the version of what was read.

A table is a Parquet or CSV file by path, ``http(s)://`` or ``s3://`` URI, or the embedded sample
(``sample:songs=2000,days=14,seed=7``). Its version names its content: the sha256 of a file, the ETag of a
remote object (its sha256 where the server sends no ETag). The data version binds both tables, and
everything that is measured on them.
"""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import requests

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import DataError, PlatformError, UsageError
from ml.core.files import CHUNK, file_digest, whole_file, write_json
from ml.data.uris import local_path, public_uri, scheme_of
from ml.storage.objects import ObjectError, open_folder, split_uri
from ml.storage.s3 import explain

if TYPE_CHECKING:
    from ml.data.sample_spec import SampleSpec

TIMEOUT = (10, 60)
"""Seconds to connect, and between two pieces of an answer."""

GENERATOR = "1"
"""The version of the sample's generator: the same version and URI give the same tables."""

REMOTE = ("http", "https")


def resolve_version(uri: str) -> str:
    """Name the version of the table at a URI; a remote one is read only where it has no ETag.

    Raises:
        UsageError: there is no such file, or the URI is malformed.
        PlatformError: the server cannot be reached.
    """
    scheme = scheme_of(uri)
    if scheme == "sample":
        return digest(canonical_bytes({"generator": GENERATOR, "sample": _sample(uri).model_dump()}))
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


def data_version(rankings_uri: str, songs_uri: str) -> str:
    """Name the version of both tables together: 16 hexadecimal digits.

    Raises:
        UsageError, PlatformError: as `resolve_version`.
    """
    return _combine(resolve_version(rankings_uri), resolve_version(songs_uri))


def _combine(rankings: str, songs: str) -> str:
    return digest(canonical_bytes({"rankings": rankings, "songs": songs})).removeprefix("sha256:")[:16]


def fetch(
    rankings_uri: str,
    songs_uri: str,
    expected_version: str,
    rankings: str | Path,
    songs: str | Path,
    source: str | Path,
) -> str:
    """Copy the two tables to parquet files, write ``source.json``, and say what was read.

    Args:
        rankings_uri: where the rankings are.
        songs_uri: where the songs are.
        expected_version: what `data_version` said when the run was asked for.
        rankings: the parquet file to write.
        songs: the parquet file to write.
        source: the JSON file to write: URIs without secrets, versions, rows.

    Raises:
        DataError: a table cannot be read, or is not the version that was asked for.
        PlatformError: a server cannot be reached.
    """
    import pyarrow.parquet as pq

    tables = {"rankings": (rankings_uri, Path(rankings)), "songs": (songs_uri, Path(songs))}
    synthetic = [scheme_of(uri) == "sample" for uri, _ in tables.values()]
    if all(synthetic) and rankings_uri == songs_uri:
        from ml.data.sample import write_sample

        write_sample(_sample(rankings_uri), rankings, songs)
        versions = dict.fromkeys(tables, resolve_version(rankings_uri))
    elif any(synthetic):
        raise DataError("the sample has both tables: give the same sample: URI for rankings and songs")
    else:
        versions = {name: _copy(name, uri, path) for name, (uri, path) in tables.items()}
    version = _combine(**versions)
    if version != expected_version:
        raise DataError(
            f"the tables changed: this run was asked for data version {expected_version}, but reads "
            f"{version}; submit it again for the new data"
        )
    rows = {name: pq.read_metadata(path).num_rows for name, (_, path) in tables.items()}
    write_json(
        source,
        {
            "schema": "jukebox.source/v1",
            "data_version": version,
            "synthetic": any(synthetic),
            "tables": {
                name: {"uri": public_uri(uri), "version": versions[name], "rows": rows[name]}
                for name, (uri, _) in tables.items()
            },
        },
    )
    return f"{rows['rankings']:,} chart rows, {rows['songs']:,} songs" + (
        " (synthetic)" if any(synthetic) else ""
    )


def _copy(name: str, uri: str, target: Path) -> str:
    """Copy one table to a parquet file; return the version of what was copied."""
    from ml.data.tables import as_parquet

    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "table"
        with open(raw, "wb") as file:
            etag = _download(uri, file)
        version = _etag(uri, etag) if etag else file_digest(raw)
        with open(as_parquet(name, raw), "rb") as table, whole_file(target) as file:
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


def _sample(uri: str) -> "SampleSpec":
    from ml.data.sample_spec import parse_sample_uri

    try:
        return parse_sample_uri(uri)
    except ValueError as error:
        raise UsageError(f"{uri}: not a sample; write sample:songs=2000,days=14,seed=7") from error
