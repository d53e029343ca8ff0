"""The command in this process: as fast as a function, and with the exit code that a user gets."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import called


@dataclass(frozen=True)
class Ended:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """The one line on stderr."""
        assert self.err.startswith("jukebox: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("jukebox: ").rstrip("\n")


@pytest.fixture
def jukebox():
    """Run the command and return what came of it."""

    def run(*arguments: object) -> Ended:
        done = called(*arguments, cwd=Path.cwd())
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(autouse=True)
def _nobody(monkeypatch):
    """Keep what this machine is told out of the tests."""
    for name in [name for name in os.environ if name.startswith("JUKEBOX_")]:
        monkeypatch.delenv(name)
