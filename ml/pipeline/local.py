"""Run the compiled IR on this machine, through `kfp.local`, step by step in processes of their own.

kfp.local prints much and explains little: a failing step is a RuntimeError without a cause. So it runs in a
child process whose output is the run's log, and the steps' own events tell what happens and why.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml.core.errors import DataError, PlatformError, RunFailed
from ml.core.signals import uninterrupted
from ml.data.uris import table_paths
from ml.pipeline.local_run import LocalRun
from ml.pipeline.step import EVENTS
from ml.problem import load_definition

Event = dict[str, Any]
FULL = 1 << 20
"""Bytes free on a disk below which it is the likely reason for a silent end."""


def execute(run: LocalRun, on_event: Callable[[Event], None]) -> None:
    """Run the IR and report each event of each step as it happens.

    Raises:
        RunFailed: a step failed; the message is the step's own. A blocking gate raises nothing: its
            evidence says so.
        PlatformError: a step could not reach a service.
        Interrupted: passed on, after every process of the run has ended.
    """
    events = run.folder / "events.jsonl"
    temporary = run.folder / "tmp"
    environment = {**os.environ, EVENTS: str(events), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "ml.pipeline.local_child", str(run.folder), str(os.getpid())]
    seen: list[Event] = []
    with open(run.log, "wb") as log:
        # Held as long as a process of the run lives, for `jukebox runs`; some network disks have no locks.
        with contextlib.suppress(OSError):
            fcntl.flock(log, fcntl.LOCK_EX)
        child = None
        try:
            # An interruption within Popen would leave a child that nobody ends.
            with uninterrupted():
                child = subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
                )
            while child.poll() is None and not _hopeless(seen):
                time.sleep(0.05)
                _follow(events, seen, on_event)
            _follow(events, seen, on_event)
        finally:
            if child:
                _end(child)
            shutil.rmtree(temporary, ignore_errors=True)
    if child.returncode == 0:
        return
    last = seen[-1] if seen else {"step": "the run", "event": "start"}
    if last["event"] != "error":
        running = last["step"] if last["event"] == "start" else "the run"
        raise RunFailed(f"{running} ended without an error message: {_last_word(run)}")
    if last["step"] == "preprocess" and "validate" not in {event["step"] for event in seen}:
        _judge_tables(run)
    if not last["blocked"]:
        kind = RunFailed if last["permanent"] else PlatformError
        raise kind(f"{last['step']} failed: {last['message']}")


def _hopeless(seen: list[Event]) -> bool:
    """Return whether the last event is a failure that a retry cannot fix, though the IR would retry."""
    return bool(seen) and seen[-1]["event"] == "error" and seen[-1]["permanent"]


def _follow(events: Path, seen: list[Event], on_event: Callable[[Event], None]) -> None:
    """Report the new events; a line that is still being written is left for the next call."""
    if not events.exists():
        return
    lines = events.read_text(encoding="utf-8").split("\n")[:-1]
    for line in lines[len(seen) :]:
        seen.append(json.loads(line))
        on_event(seen[-1])


def _last_word(run: LocalRun) -> str:
    """Guess why a step ended without an event: a full disk, a kill, or what kfp.local itself printed last."""
    if shutil.disk_usage(run.folder).free < FULL:
        return "the disk is full; free some space, or name another folder with --runs"
    lines = run.log.read_text(encoding="utf-8", errors="replace").strip().split("\n")
    if "finished with status" in lines[-1] or not lines[-1]:
        return "killed, or out of memory? Run it again with more memory free"
    return lines[-1]


def _judge_tables(run: LocalRun) -> None:
    """Check the tables against the contract, which has the most precise messages.

    kfp.local runs siblings one after the other and stops at the first that fails: where preprocess comes
    first and fails on the tables, validate has not run.
    """
    from ml.data.contract import validate

    (fetched,) = run.artifacts.glob("*/fetch")
    definition = load_definition(run.parameters["problem"])
    tables = table_paths(definition.TABLES, fetched / "tables")
    try:
        targets = run.folder / "data_report.json", run.folder / "profile.json"
        validate(definition, tables, fetched / "source.json", os.devnull, "", *targets)
    except DataError as error:
        raise RunFailed(f"validate failed: {error}") from error


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill the child and all of its processes; nothing that they write is whole before it is renamed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
