"""Seconds and peak memory of one process and of everything it starts, the same way for every side.

Peak memory is the largest resident set (VmHWM) that any single process of the tree reached; shared
pages count in each process, so peaks are not added up. What outlives the command is not counted.
Linux only: it reads /proc.
"""

import contextlib
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

POLL_MS = 20
GRACE = 15.0
"""Seconds that an interrupted command has to end what it started, before all of it is killed."""


@dataclass(frozen=True)
class Measured:
    """Wall time in seconds, peak memory in MiB, exit code (negative: killed by that signal).

    CPU seconds are those of every process that was waited for; a busy machine stretches them less.
    """

    seconds: float
    peak_mb: float
    returncode: int = 0
    cpu_seconds: float = 0.0


class _Tree:
    """The processes below one session leader, and the highest VmHWM seen among them."""

    def __init__(self, leader: int) -> None:
        self.peak_kb = 0
        self._leader = leader
        self._members = {leader}
        self._strangers: set[int] = set()

    def poll(self) -> None:
        alive = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self._members &= alive
        self._strangers &= alive
        # Parents come before children, so one pass finds a child that has left the session too.
        # Every process is judged once, when it first appears: later its parent may be gone.
        for pid in sorted(alive - self._members - self._strangers):
            (self._members if self._is_ours(pid) else self._strangers).add(pid)
        self.peak_kb = max(self.peak_kb, *map(_high_water_kb, self._members), 0)

    def kill(self) -> None:
        """Kill whatever is left, twice: a process may start another one as it is being looked for."""
        for _ in range(2):
            self.poll()
            for pid in self._members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _is_ours(self, pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        # The name before the last bracket may hold spaces; then come state, parent, group, session.
        _, parent, _, session = stat.rpartition(")")[2].split()[:4]
        return int(session) == self._leader or int(parent) in self._members


def _high_water_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(next(lines, "VmHWM: 0 kB").split()[1])  # a zombie has no such line


def run_measured(
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
) -> Measured:
    """Run a command to its end and measure it; output goes where the caller's goes, or to the files.

    An interrupt (any exception) while it runs ends the command and everything below it.

    Peak memory has two sources, because each alone is wrong. Polling misses what a process takes
    in its last milliseconds. `ru_maxrss` of wait4 has no such gap and covers descendants that were
    waited for, but a process starts with the peak of the one that started it: up to the peak of
    this very process the number means nothing, so it counts only above. Measure from a small one.

    Raises:
        OSError: if the command cannot be started.
    """
    start = time.perf_counter()
    # In its own session, so that an interrupt here can end all of it and nothing else.
    process = subprocess.Popen(argv, env=env, stdout=stdout, stderr=stderr, start_new_session=True)
    tree = _Tree(process.pid)
    try:
        with open(os.pidfd_open(process.pid)) as pidfd:
            ended = select.poll()
            ended.register(pidfd, select.POLLIN)
            tree.poll()
            while not ended.poll(POLL_MS):
                tree.poll()
        seconds = time.perf_counter() - start
    except BaseException:
        try:
            process.terminate()  # a command with sessions of its own knows best how to end them
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        finally:
            tree.kill()
            process.wait()
        raise
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    inherited_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    waited_kb = usage.ru_maxrss if usage.ru_maxrss > inherited_kb else 0
    peak_mb = max(tree.peak_kb, waited_kb) / 1024
    return Measured(seconds, peak_mb, process.returncode, usage.ru_utime + usage.ru_stime)
