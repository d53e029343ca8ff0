"""The command against a double of the DSPA, with a check that it never prints the token."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import AS_USER, COMMAND, called

TOKEN = "sha256~VeryS3cretT0ken"
IMAGE = f"quay.io/example/jukebox@sha256:{'a' * 64}"
PLACES = ("--evidence", "s3://bucket/evidence/", "--store", "s3://bucket/store")

REPORT = """
import atexit, json, os, sys

def report():
    lines = open("/proc/self/status").read().splitlines()
    (peak,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    with open(os.environ["REPORT"], "w") as file:
        json.dump({"peak_mb": peak / 1024, "modules": sorted(sys.modules)}, file)

atexit.register(report)
from ml.cli.main import main
main()
"""
"""Runs the command, and writes its imports and its peak memory at the end."""


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str
    results: dict[str, str]

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        assert self.stdout.count("\n") == 1
        return json.loads(self.stdout)

    @property
    def line(self) -> str:
        """The one line on stderr."""
        assert self.stderr.startswith("jukebox: "), self.stderr
        assert self.stderr.count("\n") == 1, self.stderr
        return self.stderr


class Started:
    """A running command, in a session of its own, with the token in a variable."""

    def __init__(self, home: Path, *arguments: object, env: Mapping[str, str] | None = None, report=None):
        self.results = home / "results"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "JUKEBOX_"))}
        told = {"JUKEBOX_TOKEN": TOKEN, "JUKEBOX_RESULTS_DIR": str(self.results), "PYTHONUNBUFFERED": "1"}
        command = COMMAND
        if report:
            command, told["REPORT"] = [*AS_USER, sys.executable, "-c", REPORT], str(report)
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=home,
            env={**inherited, **told, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_signals,
        )

    def finish(self, timeout: float = 120) -> Ended:
        """Wait for the end, and check that the token was not printed."""
        cmdline = Path(f"/proc/{self.process.pid}/cmdline").read_bytes().decode()
        try:
            stdout, stderr = self.process.communicate(timeout=timeout)
        except BaseException:
            self.process.kill()
            self.process.communicate()
            raise
        return _checked(self.process.returncode, stdout, stderr, self.results, cmdline)


def _checked(code: int, stdout: str, stderr: str, results: Path, cmdline: str = "") -> Ended:
    """Check that nothing has the token, and return how the command ended."""
    files = {path.name: path.read_text() for path in results.glob("*")}
    for text in (stdout, stderr, cmdline, *files.values()):
        assert TOKEN not in text
    assert "Traceback" not in stdout + stderr, stderr
    return Ended(code, stdout, stderr, files)


def _heed_signals() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def ended_here(home: Path, *arguments: object, env: Mapping[str, str] | None = None) -> Ended:
    """Run a command in this process, and check that the token was not printed."""
    outside = dict.fromkeys(name for name in os.environ if name.startswith(("AWS_", "JUKEBOX_")))
    told = {"JUKEBOX_TOKEN": TOKEN, "JUKEBOX_RESULTS_DIR": str(home / "results"), **(env or {})}
    done = called(*arguments, cwd=home, env={**outside, **told})
    return _checked(done.returncode, done.stdout, done.stderr, home / "results")


def ended(home: Path, *arguments: object, timeout: float = 120, **options: Any) -> Ended:
    return Started(home, *arguments, **options).finish(timeout)
