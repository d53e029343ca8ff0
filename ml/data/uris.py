"""Where a table is: what a URI means, and what of it may be shown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlparse, urlunparse

from ml.core.errors import UsageError

SAMPLE = "sample:"
"""How the URI of a problem's sample begins."""

NAMED = re.compile(r"([a-z][a-z0-9_]*)=(.+)")


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


def table_uris(names: Sequence[str], data: Sequence[str]) -> dict[str, str]:
    """Return the URI of each table.

    Args:
        names: the names of the problem's tables.
        data: a ``sample:`` URI; or a folder, by path or URI, that has a file ``NAME.parquet`` for each table;
            or ``NAME=URI`` for each table.

    Raises:
        UsageError: a table is not named, named twice, or not one of the problem's.
    """
    if len(data) == 1 and not NAMED.fullmatch(data[0]):
        (place,) = data
        if place.startswith(SAMPLE):
            return dict.fromkeys(names, place)
        if place.lower().endswith((".parquet", ".csv")):
            if len(names) == 1:
                return {names[0]: place}
            raise UsageError(f"--data {place}: give NAME=URI for each of the tables {', '.join(names)}")
        return {name: f"{place.rstrip('/')}/{name}.parquet" for name in names}
    uris: dict[str, str] = {}
    for text in data:
        named = NAMED.fullmatch(text)
        if not named or named[1] not in names or named[1] in uris:
            raise UsageError(f"--data {text}: give NAME=URI once for each of the tables {', '.join(names)}")
        if named[2].startswith(SAMPLE):
            raise UsageError(f"--data {text}: the sample has all tables: give --data {named[2]} alone")
        uris[named[1]] = named[2]
    if missing := [name for name in names if name not in uris]:
        raise UsageError(f"--data names no {' and no '.join(missing)}: give NAME=URI for each table")
    return {name: uris[name] for name in names}


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
