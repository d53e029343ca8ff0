"""The command in a process of its own, and what a finished run leaves behind."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SAMPLE = "sample:songs=600,days=7,seed=7"


# Root may read and write everything; an ordinary user's command may not, and that is tested too.
ORDINARY = [
    "--bounding-set",
    "-dac_override,-dac_read_search",
    "--inh-caps",
    "-dac_override,-dac_read_search",
]
AS_USER = ["setpriv", *ORDINARY] if os.geteuid() == 0 and shutil.which("setpriv") else []
COMMAND = [*AS_USER, sys.executable, "-m", "ml.cli"]


def jukebox(*arguments: object, cwd: Path, env: dict[str, str] | None = None, timeout: float = 300):
    """Run the command as a user would, in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@dataclass(frozen=True)
class FinishedRun:
    """A run that passed, and whose candidate was left one. Tests must not write into it."""

    home: Path
    result: dict

    @property
    def store(self) -> Path:
        return self.home / ".jukebox" / "store"

    @property
    def evidence(self) -> Path:
        return Path(self.result["evidence"])

    @property
    def candidate(self) -> Path:
        return self.store / "candidates" / self.result["candidate"]

    def artifact(self, step: str, name: str) -> Path:
        """Find what a step wrote, e.g. ``("train", "model.keras")``."""
        (found,) = Path(self.result["artifacts"]).glob(f"*/{step}/{name}")
        return found
