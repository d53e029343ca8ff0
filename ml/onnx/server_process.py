"""The model server as a process of its own: started, waited for, and gone afterwards whatever happens.

It gets a socket that is bound to a free port of loopback, so that nobody else can take the port, and a
standard input that ends when this process does, however it does. Every process that it starts carries a token
in its environment, by which it is found again even if it leaves the process group.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ml.core.errors import RunFailed

PYTHON = "JUKEBOX_SERVER_PYTHON"
"""Names the Python of the server's environment, where it is not at one of `PLACES`."""

PLACES = (Path(sys.prefix, "server/bin/python"), Path("/opt/server/bin/python"))
"""Where `make setup` puts that environment, and where the component image has it."""

PROC = Path("/proc")
"""Where Linux shows the peak memory of a process (proc(5)), which psutil does not read."""

TOKEN = "JUKEBOX_SERVER_TOKEN"  # noqa: S105
LAST_LINES, LAST_BYTES = 5, 2000


@dataclass(frozen=True)
class ServerTimeouts:
    """Seconds that the server has: to be ready, for everything, and to end once it is told to."""

    ready: float = 60
    whole: float = 300
    stop: float = 15


def server_command(model: str | Path, name: str) -> list[str]:
    """Return the command that serves a model; the socket's descriptor is to follow.

    Raises:
        RunFailed: there is no environment to run it in.
    """
    given = os.environ.get(PYTHON)
    places = (Path(given),) if given else PLACES
    python = next((place for place in places if os.access(place, os.X_OK)), None)
    if python is None:
        looked = ", ".join(map(str, places))
        raise RunFailed(f"no model server at {looked}: run `make setup`, or name its Python with {PYTHON}")
    # -I: nothing of this environment gets into that one, neither by variables nor by this folder.
    return [str(python), "-I", "-B", str(Path(__file__).with_name("server.py")), str(model), name]


@dataclass
class Server:
    """A running server, as `started` gives it.

    Attributes:
        url: of the Open Inference Protocol, without a slash at its end.
        clean: whether it ended by itself when it was told to; known after `stop`.
        left: how many of its processes were still there after its end; known after `stop`.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path
    token: str
    timeouts: ServerTimeouts
    overdue: threading.Event = field(default_factory=threading.Event)
    clean: bool = False
    left: int = 0

    def wait_until(self, ready: Callable[[], bool]) -> float:
        """Wait until the server is ready, and return the seconds since this was called.

        Raises:
            RunFailed: it ends before, or is not ready in time.
        """
        start = time.monotonic()
        while not ready():
            if self.process.poll() is not None:
                raise self.failed(f"ended with code {self.process.returncode} before it was ready")
            if time.monotonic() - start > self.timeouts.ready:
                raise self.failed(f"was not ready after {self.timeouts.ready:g} s")
            time.sleep(0.02)
        return time.monotonic() - start

    def failed(self, what: str) -> RunFailed:
        """Return the error that says what the server did, with the last lines of its log."""
        if self.overdue.is_set():
            what = f"was not done after {self.timeouts.whole:g} s"
        # Its last words may still be on their way into the log.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.2)
        text = self.log.read_bytes()[-LAST_BYTES:].decode(errors="replace")
        lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()][-LAST_LINES:]
        return RunFailed(f"the model server {what}; its log ends: {' | '.join(lines) or 'it is empty'}")

    def peak_memory_mb(self) -> float:
        """Return the sum of the peak resident sizes of its processes in MB (VmHWM of proc(5), kB).

        Raises:
            RunFailed: it is no longer there.
        """
        peak = 0
        for process in self.processes():
            with contextlib.suppress(OSError):
                status = (PROC / f"{process.pid}/status").read_text(encoding="utf-8")
                peak += sum(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmHWM:"))
        if not peak:
            raise self.failed("is gone")
        return peak * 1024 / 1e6

    def stop(self) -> None:
        """Tell the server to end, and see whether it does and whether anything stays behind."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.clean = self.process.wait(self.timeouts.stop) == 0
        self.left = sum(process.pid != self.process.pid for process in self.processes())

    def kill(self) -> None:
        """Kill all processes of the server, and wait until they are gone."""
        end = time.monotonic() + self.timeouts.stop
        while left := self.processes():
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.poll()
            if time.monotonic() > end:
                break
            time.sleep(0.01)
        if self.process.stdin:
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(self.timeouts.stop)

    def processes(self) -> list[psutil.Process]:
        """Return the processes that are in the server's group or carry its token, except zombies."""
        listed = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                ours = (
                    os.getpgid(process.pid) == self.process.pid or process.environ().get(TOKEN) == self.token
                )
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    listed.append(process)
        return listed


@contextlib.contextmanager
def started(command: Sequence[str], timeouts: ServerTimeouts) -> Iterator[Server]:
    """Start a server, and end it: all of its processes are gone when this is left, by whichever way.

    Args:
        command: it gets one more argument: the descriptor of a bound socket to listen on.
        timeouts: how long it may take.

    Raises:
        RunFailed: it cannot be started, or this system is not Linux.
    """
    if not (PROC / "self/stat").exists():
        raise RunFailed(
            f"the model server is measured on Linux only, there is no {PROC} here: run in a Linux container"
        )
    folder = Path(tempfile.mkdtemp(prefix="serving-"))
    server = None
    try:
        with socket.socket() as bound, open(folder / "log", "wb") as log:
            bound.bind(("127.0.0.1", 0))
            token, number = secrets.token_hex(16), bound.fileno()
            try:
                process = subprocess.Popen(
                    [*command, str(number)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, TOKEN: token},
                    cwd=folder,
                    pass_fds=[number],
                    start_new_session=True,
                )
            except OSError as error:
                raise RunFailed(f"cannot start the model server: {error}") from error
            url = "http://{}:{}/v2".format(*bound.getsockname())
            server = Server(url, process, folder / "log", token, timeouts)
        timer = threading.Timer(timeouts.whole, _end_overdue, [server])
        timer.daemon = True
        timer.start()
        try:
            yield server
        finally:
            timer.cancel()
    finally:
        if server:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _end_overdue(server: Server) -> None:
    server.overdue.set()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)
