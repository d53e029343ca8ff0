"""The command, in a process of its own and in this one, and what a finished run leaves behind."""

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from policies import default_text

from ml.cli.main import main
from ml.core.signals import STOP_SIGNALS

SAMPLE = "sample:songs=600,days=7,seed=7"

UNHURRIED = re.sub(r"max_p99_latency_ms: .*", "max_p99_latency_ms: 60000.0", default_text())
"""The default policy, but that no busy machine decides a test: for whole runs."""


def unhurried(folder: Path) -> dict[str, str]:
    """Write that policy into a folder, and return the variable that names it."""
    (folder / "unhurried.yaml").write_text(UNHURRIED)
    return {"JUKEBOX_POLICY": str(folder / "unhurried.yaml")}


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


def called(*arguments: object, cwd: Path, env: Mapping[str, str | None] | None = None):
    """Run the command in this process, which takes a hundredth of the time: for all but runs and signals.

    Args:
        arguments: what stands behind ``jukebox``.
        cwd: where it is run.
        env: variables to set, or with None to unset.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _handlers_kept(),
    ):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["jukebox", *map(str, arguments)])
        for name, value in (env or {}).items():
            patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main()
    return subprocess.CompletedProcess(sys.argv, end.value.code or 0, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _handlers_kept():
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class FinishedRun:
    """A run that passed, and whose candidate was left one. Tests must not write into it."""

    home: Path
    result: dict

    @property
    def policy(self) -> dict[str, str]:
        """The variable that names the policy of the run."""
        return {"JUKEBOX_POLICY": str(self.home / "unhurried.yaml")}

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
