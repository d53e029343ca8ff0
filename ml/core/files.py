"""Write files atomically, read JSON, and digest files."""

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ml.core.canonical import canonical_bytes, parse
from ml.core.errors import UsageError
from ml.core.records import Record

CHUNK = 1 << 20


def file_digest(path: str | Path) -> str:
    """Return the digest of a file as ``sha256:<hex>``, read in pieces.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def require_plain(path: Path) -> None:
    """Check that a path that another process has written is a regular file.

    A symbolic link could point to a file that only this process can read, and a pipe may never end.

    Raises:
        ValueError: it is not a regular file.
        OSError: it is missing.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError("it is a link, or no file")


def require_folder(folder: Path, option: str = "--results-dir") -> None:
    """Check that files can be written into a folder.

    Args:
        folder: it is created if it is missing.
        option: the option that named it, for the message.

    Raises:
        UsageError: the folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{option} {folder}: cannot be written")


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it gets its name after all of it is on the disk.

    Raises:
        OSError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file as a whole or not at all.

    Raises:
        OSError: as `whole_file`.
    """
    with whole_file(path) as file:
        file.write(data)


def write_json(path: str | Path, value: Record | dict[str, Any]) -> None:
    """Write a record or an object as canonical JSON, as a whole or not at all.

    Raises:
        ValueError: the value contains NaN or infinity.
        OSError: as `whole_file`.
    """
    write_bytes(path, canonical_bytes(value.to_json() if isinstance(value, Record) else value))


def read_json(path: str | Path) -> Any:
    """Read strict JSON, as `ml.core.canonical.parse` does.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not strict JSON.
    """
    return parse(Path(path).read_bytes())
