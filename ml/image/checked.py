"""The tag of a checkout that passed lint and tests: a digest of the files that these read.

`jukebox ci image-assemble --passed-tests` tags the image with it, and `jukebox ci answer` looks the tag up.
Documentation is not part of the digest: tests/unit/conftest.py makes a test fail that reads it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import UsageError

PROSE = ("docs", ".git")
"""Top-level folders that neither lint nor tests/unit read. Top-level Markdown files are not read either."""

CACHES = ("__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv")
"""Folders that Python, linters and tests write."""


def checked_tag(checkout: Path, tests: str, base: str, python: str) -> str:
    """Return the tag of images whose checkout passed lint and tests.

    Args:
        checkout: the checkout.
        tests: the files and folders that are tested, separated by spaces.
        base: the digest of the base image.
        python: the Python version of the base image, as 3.12.

    Raises:
        UsageError: a file cannot be read.
    """
    try:
        files = {path.relative_to(checkout).as_posix(): _content(path) for path in _files(checkout)}
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    inputs = {"tests": tests.split(), "base": base, "python": python, "files": files}
    return f"checked-{digest(canonical_bytes(inputs)).removeprefix('sha256:')}"


def _files(checkout: Path) -> Iterator[Path]:
    """Yield the paths of all files and links."""
    for place, folders, names in os.walk(checkout, onerror=_raise):
        folder = Path(place)
        top = folder == checkout
        folders[:] = [name for name in folders if name not in CACHES and not (top and name in PROSE)]
        linked = [name for name in folders if (folder / name).is_symlink()]
        read = [name for name in names if not (top and name.endswith(".md"))]
        yield from (folder / name for name in (*read, *linked))


def _raise(error: OSError) -> None:
    raise error


def _content(path: Path) -> str:
    """Return the target of a link, or the digest of a file and whether it is executable."""
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return f"{digest(path.read_bytes())}{' executable' if os.access(path, os.X_OK) else ''}"
