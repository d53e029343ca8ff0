"""The command in this process: as fast as a function, and with the exit code that a user gets."""

import json
import signal
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from ml.cli.main import main
from ml.core.signals import STOP_SIGNALS


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
def jukebox(monkeypatch, capsys):
    """Run the command and return what came of it."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["jukebox", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Ended(ended.value.code or 0, printed.out, printed.err)

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _nobody(monkeypatch):
    """Keep what this machine is told out of the tests."""
    for name in (
        "JUKEBOX_ACTOR",
        "JUKEBOX_RUNS",
        "JUKEBOX_STORE",
        "JUKEBOX_POLICY",
        "JUKEBOX_RESULTS_DIR",
        "JUKEBOX_HEAD",
        "JUKEBOX_TRUST",
    ):
        monkeypatch.delenv(name, raising=False)
