"""Where a table is: what a URI means, and what of it may be shown."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlparse, urlunparse

from ml.core.errors import UsageError

SAMPLE = "sample:"
"""How the URI of a problem's sample begins."""


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI, "" for a path.

    Raises:
        UsageError: the URI is malformed.
    """
    try:
        return urlparse(uri).scheme
    except ValueError as error:
        raise UsageError(f"{public_uri(uri)} is not a URL: {error}") from error


def public_uri(uri: str) -> str:
    """Return the URI without user, password, query and fragment: those may be secrets."""
    try:
        parsed = urlparse(uri)
    except ValueError:
        return "the URI"
    if not parsed.netloc:
        return uri
    return urlunparse(parsed._replace(netloc=parsed.netloc.rpartition("@")[2], query="", fragment=""))


def refuse_password(uri: str) -> None:
    """Refuse a URI with a password in it, where the URI is going to be written down.

    Raises:
        UsageError: it has one, or is malformed.
    """
    scheme_of(uri)
    if "@" in urlparse(uri).netloc:
        raise UsageError(
            f"{public_uri(uri)}: a password in the URI would be written into the run; put it into ~/.netrc, "
            "or use s3:// with the AWS_* variables"
        )


def local_path(uri: str) -> Path:
    """Return the path that a path or a ``file://`` URI means.

    Raises:
        UsageError: it is a folder, or cannot be looked at, or the scheme is unknown.
    """
    scheme = scheme_of(uri)
    if scheme not in ("", "file"):
        shown = public_uri(uri)
        raise UsageError(f"{shown}: the scheme {scheme!r} is unknown; use a path, http(s):// or s3://")
    path = Path(unquote(urlparse(uri).path) if scheme else uri)
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if is_folder:
        raise UsageError(f"cannot read {path}: it is a folder")
    return path


def describe_data(tables: Mapping[str, str], snapshot: str) -> str:
    """Return where a run's data came from in one line, without secrets.

    Args:
        tables: the URI of each table.
        snapshot: the URI of a snapshot, "" without one.
    """
    if snapshot:
        return public_uri(snapshot)
    if any(uri.startswith(SAMPLE) for uri in tables.values()):
        return "the synthetic sample"
    return ", ".join(public_uri(uri) for uri in tables.values())


def table_paths(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Return where a folder has each table: ``NAME.parquet``."""
    return {name: folder / f"{name}.parquet" for name in names}
