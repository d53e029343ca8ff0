"""One real run of the whole pipeline, made once, for the tests that need what a run leaves behind."""

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SAMPLE = "sample:songs=600,days=7,seed=7"


def jukebox(*arguments: object, cwd: Path, env: dict[str, str] | None = None, timeout: float = 300):
    """Run the command as a user would, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "ml.cli", *map(str, arguments)],
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


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, worker_id) -> FinishedRun:
    """The whole pipeline on a small sample, through the command; half a minute, once for all workers."""
    base = tmp_path_factory.getbasetemp()
    home = (base if worker_id == "master" else base.parent) / "finished-run"
    with open(f"{home}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = home / "result.json"
        if not result.exists():
            home.mkdir()
            arguments = ["--rankings", SAMPLE, "--songs", SAMPLE, "--no-promote", "--json"]
            done = jukebox("run", *arguments, cwd=home)
            assert done.returncode == 0, done.stdout + done.stderr
            result.write_text(done.stdout)
    return FinishedRun(home, json.loads(result.read_text()))
