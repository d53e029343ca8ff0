"""The base of all images that tests build: Debian with Python, as a tar of its files."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

KEPT = Path(__file__).parents[1] / ".jukebox" / "tests" / "bookworm.tar"
"""Where it is kept for a day; `make clean` removes it."""

PYTHON = "3.11"
"""Debian 12's."""

UNREAD = ("doc", "info", "locale", "man")


def base_tar(folder: Path) -> Path:
    """Make the base, or take the one of today; half a minute.

    Args:
        folder: where it is made if it cannot be kept.
    """
    with contextlib.suppress(OSError):
        if time.time() - KEPT.stat().st_mtime < 24 * 3600:
            return KEPT
    made = folder / f"base-{os.getpid()}.tar"
    options = ["--variant=minbase", "--include=python3,python3-venv,ca-certificates"]
    # A power failure may cost a base that is made anew tomorrow.
    options += [
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNREAD),
    ]
    command = ["mmdebstrap", "--quiet", *options, "bookworm", str(made)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with contextlib.suppress(OSError):
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        # Beside it first: another worker reads all of it or none.
        beside = KEPT.with_name(made.name)
        beside.write_bytes(made.read_bytes())
        beside.replace(KEPT)
    return made
