"""The version of this code: the commit, whether the work tree differs from it, and the package's digest."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

UNKNOWN = "unknown"
PACKAGE = Path(__file__).resolve().parents[1]
SOURCES = (".py", ".yaml")
MOST_COMMITS = 500
"""Commits that are searched for the code with a digest."""


def short_commit(commit: str, *, dirty: bool = False) -> str:
    """Return the short form of a commit: 12 characters, and ``+dirty`` where the work tree had changes."""
    return commit[:12] + ("+dirty" if commit and dirty else "")


def code_version() -> tuple[str, bool]:
    """Return the commit and whether the tree is dirty.

    Without a repository, as in an image, JUKEBOX_COMMIT gives the commit. If neither is there, the commit is
    `UNKNOWN` and the tree counts as dirty.
    """
    commit = os.environ.get("JUKEBOX_COMMIT")
    elsewhere = (commit, False) if commit else (UNKNOWN, True)
    try:
        if not _in_repository():
            return elsewhere
        return _git("rev-parse", "HEAD"), bool(_git("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return elsewhere


def code_digest() -> str:
    """Return the digest of this package's sources, the same in a checkout and in an image.

    No image contains the commit, so an attestation names the judge's code by this digest.
    """
    files = (path for path in PACKAGE.rglob("*") if path.suffix in SOURCES)
    return _digest({f"ml/{path.relative_to(PACKAGE)}": _blob(path.read_bytes()) for path in files})


def commits_since(digest: str) -> tuple[int, list[str]] | None:
    """Return how far this checkout is ahead of the code with a digest, and which files of ml/ differ.

    None where there is no repository, or none of its last `MOST_COMMITS` commits to ml/ has that code.
    """
    try:
        if not _in_repository():
            return None
        for commit in _git("rev-list", f"--max-count={MOST_COMMITS}", "HEAD", "--", "ml").split():
            if _digest(_blobs(commit)) == digest:
                ahead = int(_git("rev-list", "--count", f"{commit}..HEAD"))
                return ahead, _git("diff", "--name-only", commit, "HEAD", "--", "ml").split()
    except (OSError, subprocess.SubprocessError):
        return None
    return None


def _in_repository() -> bool:
    return Path(_git("rev-parse", "--show-toplevel")) == PACKAGE.parent


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def _blobs(commit: str) -> dict[str, str]:
    """Return the ids of a commit's source files by path."""
    entries = (line.partition("\t") for line in _git("ls-tree", "-r", commit, "--", "ml").split("\n"))
    return {path: about.split()[2] for about, _, path in entries if path.endswith(SOURCES)}


def _blob(data: bytes) -> str:
    """Return the id that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _digest(blobs: Mapping[str, str]) -> str:
    text = "".join(f"{blob} {path}\n" for path, blob in sorted(blobs.items()))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
