"""Objects by URI: a folder, `file://` or `s3://`, through one small interface (obstore).

The settings of S3 are in `ml.storage.s3`. Every error has a message of one line, and comes within about a
minute.
"""

from pathlib import Path
from urllib.parse import urlparse

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import LocalStore, ObjectStore

from ml.core.errors import PlatformError, UsageError
from ml.storage.explain import explain
from ml.storage.s3 import open_bucket


class Denied(PlatformError):
    """The credentials are valid, but may not do this."""


ObjectError = BaseError
"""The errors of all operations on objects, in every kind of store; `explain` puts them into one line."""


class NoFolder(UsageError):
    """There is no such local folder."""


def open_folder(uri: str, *, create: bool = False) -> ObjectStore:
    """Open the folder or prefix at a URI.

    Args:
        uri: a path, ``file:///path`` or ``s3://bucket/prefix``.
        create: create a local folder that is missing.

    Raises:
        UsageError: the folder is missing or cannot be created, the URI cannot be used, or an AWS_* variable
            is malformed or missing.
        PlatformError: the object store cannot be opened.
    """
    try:
        parsed = urlparse(uri)
    except ValueError as error:
        raise UsageError(f"{uri} is not a URI: {error}") from error
    if parsed.scheme == "s3":
        return open_bucket(uri, parsed)
    if parsed.scheme not in ("", "file"):
        raise UsageError(f"{uri}: the scheme {parsed.scheme!r} is unknown; use a path or s3://bucket/prefix")
    folder = Path(parsed.path if parsed.scheme else uri).absolute()
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.is_dir():
            raise NoFolder(f"there is no folder {folder}")
        return LocalStore(folder)
    except (BaseError, OSError) as error:
        raise UsageError(f"cannot open the folder {folder}: {explain(error)}") from error


def split_uri(uri: str) -> tuple[str, str]:
    """Split the URI of an object into its folder's URI and its name."""
    folder, _, name = uri.rpartition("/")
    return (folder or "."), name


def put_object(uri: str, data: bytes) -> None:
    """Write one object, also over an existing one.

    Raises:
        UsageError: as `open_folder`.
        PlatformError: it cannot be written.
    """
    folder, name = split_uri(uri)
    try:
        obstore.put(open_folder(folder, create=True), name, data)
    except (BaseError, OSError) as error:
        raise _failed("write", uri, error) from error


def _failed(action: str, uri: str, error: Exception) -> PlatformError:
    kind = Denied if isinstance(error, PermissionDeniedError) else PlatformError
    return kind(f"cannot {action} {uri}: {explain(error)}")


def get_object(uri: str, most: int, *, whole: bool = True) -> bytes | None:
    """Read one object; None when it is not there.

    Args:
        uri: of the object.
        most: the largest size in bytes.
        whole: False only checks that it can be read, and returns b"".

    Raises:
        UsageError: as `open_folder`.
        Denied: the credentials may not read it.
        PlatformError: it cannot be read, or has more than ``most`` bytes.
    """
    folder, name = split_uri(uri)
    try:
        stored = obstore.get(open_folder(folder), name)
        if stored.meta["size"] > most:
            raise PlatformError(f"{uri} has {stored.meta['size']} bytes, more than {most}")
        return bytes(stored.bytes()) if whole else b""
    except (FileNotFoundError, NoFolder):
        return None
    except (BaseError, OSError) as error:
        raise _failed("read", uri, error) from error


def names_below(uri: str) -> list[str]:
    """Return the names of the objects below a folder or prefix; none if it does not exist.

    Raises:
        UsageError: the URI cannot be used.
        PlatformError: it cannot be listed.
    """
    try:
        return [entry["path"] for page in obstore.list(open_folder(uri)) for entry in page]
    except NoFolder:
        return []
    except (ObjectError, OSError) as error:
        raise _failed("list", uri, error) from error


def create_object(uri: str, data: bytes) -> bool:
    """Create one object; return False, and change nothing, if it exists already.

    Raises:
        UsageError: as `open_folder`.
        Denied: the credentials may not write it.
        PlatformError: it cannot be written.
    """
    folder, name = split_uri(uri)
    try:
        obstore.put(open_folder(folder, create=True), name, data, mode="create")
    except AlreadyExistsError:
        return False
    except (BaseError, OSError) as error:
        raise _failed("write", uri, error) from error
    return True


def delete_object(uri: str) -> None:
    """Delete one object.

    Raises:
        UsageError: as `open_folder`.
        PlatformError: it cannot be deleted.
    """
    folder, name = split_uri(uri)
    try:
        obstore.delete(open_folder(folder), name)
    except (BaseError, OSError) as error:
        raise _failed("delete", uri, error) from error
