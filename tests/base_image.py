"""The base of all images that tests build: Debian with Python, as a tar of its files."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

KEPT = Path(__file__).parents[1] / ".jukebox" / "tests" / "bookworm.tar"
"""The base of the last day; `make clean` removes it."""

PYTHON = "3.11"
"""Debian 12's."""


def base_tar(folder: Path) -> Path:
    """Return the base of the last day, or make one in half a minute, in a folder if it cannot be kept."""
    with contextlib.suppress(OSError):
        if time.time() - KEPT.stat().st_mtime < 24 * 3600:
            return KEPT
    made = folder / f"base-{os.getpid()}.tar"
    options = ["--variant=minbase", "--include=python3,python3-venv,ca-certificates"]
    # A power failure costs a base that is made again tomorrow.
    options += ["--dpkgopt=force-unsafe-io"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")]
    command = ["mmdebstrap", "--quiet", *options, "bookworm", str(made)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with contextlib.suppress(OSError):
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        # Another worker must read all of it or none.
        beside = KEPT.with_name(made.name)
        beside.write_bytes(made.read_bytes())
        beside.replace(KEPT)
    return made
