"""Objects by URI: a folder, `file://` or `s3://`, through one small interface (obstore).

S3 takes endpoint, region and credentials from the usual AWS_* variables.
"""

import os
from pathlib import Path
from urllib.parse import urlparse

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from ml.errors import PlatformError, UsageError

ObjectError = BaseError
"""What every operation on an object may raise, whatever the store."""


def open_folder(uri: str, *, create: bool = False) -> ObjectStore:
    """Open the folder or prefix at a URI.

    Args:
        uri: a path, ``file:///path`` or ``s3://bucket/prefix``.
        create: make a local folder that is not there.

    Raises:
        UsageError: the folder is not there or cannot be made, or the scheme is unknown.
        PlatformError: the settings of the object store are wrong.
    """
    parsed = urlparse(uri)
    if parsed.scheme == "s3":
        endpoint = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", ""))
        try:
            return S3Store.from_url(uri, client_options={"allow_http": endpoint.startswith("http://")})
        except BaseError as error:
            raise PlatformError(f"cannot open {uri}: {_line(error)}; check the AWS_* variables") from error
    if parsed.scheme not in ("", "file"):
        raise UsageError(f"{uri}: the scheme {parsed.scheme!r} is unknown; use a path or s3://bucket/prefix")
    folder = Path(parsed.path if parsed.scheme else uri).absolute()
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
        return LocalStore(folder)
    except (BaseError, OSError) as error:
        raise UsageError(f"cannot open the folder {folder}: {_line(error)}") from error


def split_uri(uri: str) -> tuple[str, str]:
    """Split the URI of an object into its folder's URI and its name."""
    folder, _, name = uri.rpartition("/")
    return (folder or "."), name


def _line(error: Exception) -> str:
    """Say an error in one line; obstore's messages go on for several."""
    return str(error).strip().split("\n")[0]


def put_object(uri: str, data: bytes) -> None:
    """Write one object, over what was there.

    Raises:
        PlatformError: it cannot be written.
    """
    folder, name = split_uri(uri)
    try:
        obstore.put(open_folder(folder, create=True), name, data)
    except (BaseError, OSError) as error:
        raise PlatformError(f"cannot write {uri}: {_line(error)}") from error
