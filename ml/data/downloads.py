"""One table from where it is: its bytes, and the version that names them.

The version is the sha256 of a file. That of a remote table is made of its URI and its ETag, or is its sha256
where the server sends no ETag.
"""

import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

import requests

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import PlatformError, UsageError
from ml.core.files import CHUNK, file_digest
from ml.data.uris import local_path, public_uri, scheme_of
from ml.storage.explain import explain
from ml.storage.objects import ObjectError, open_folder, split_uri

TIMEOUT = (10, 60)
"""Seconds to connect, and between two pieces of an answer."""

REMOTE = ("http", "https")


def version_of(uri: str) -> str:
    """Name the version of the table at a URI; a remote one is read only where it has no ETag.

    Raises:
        UsageError: there is no such file, or the URI is malformed.
        PlatformError: the server cannot be reached.
    """
    scheme = scheme_of(uri)
    if scheme in REMOTE:
        etag = _remote_etag(uri)
        if etag:
            return _etag(uri, etag)
        with tempfile.TemporaryDirectory() as folder:
            return download(uri, Path(folder) / "table")
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


def download(uri: str, target: Path) -> str:
    """Write the bytes at a URI to a file, and return the version of what was written.

    Raises:
        UsageError, PlatformError: as `version_of`.
    """
    with open(target, "wb") as file:
        etag = _download(uri, file)
    return _etag(uri, etag) if etag else file_digest(target)


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
