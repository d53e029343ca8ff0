"""Which code this is: the commit, and whether the work tree differs from it."""

import os
import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def short_commit(commit: str, *, dirty: bool = False) -> str:
    """Return a commit as people are shown it: 12 characters, and ``+dirty`` where the tree had changes."""
    return commit[:12] + ("+dirty" if commit and dirty else "")


def code_version() -> tuple[str, bool]:
    """Return the commit and whether the tree is dirty.

    JUKEBOX_COMMIT says it where there is no repository, as in an image. A tree that cannot be asked is
    `UNKNOWN` and dirty: nothing vouches for it.
    """
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    commit = os.environ.get("JUKEBOX_COMMIT")
    elsewhere = (commit, False) if commit else (UNKNOWN, True)
    try:
        if Path(git("rev-parse", "--show-toplevel")) != root:
            return elsewhere
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return elsewhere
