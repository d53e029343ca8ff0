"""The command in processes of its own: what it leaves behind, its processes, and disks that fail it."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command import COMMAND, called, jukebox


def assert_one_line(done: subprocess.CompletedProcess, code: int) -> str:
    """Check that the command ended with a code and one line on stderr, and return the line."""
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = done.stderr.rstrip("\n").split("\n")
    assert (line.startswith("jukebox: "), done.returncode) == (True, code), line
    return line


def assert_nothing_half_written(home: Path) -> None:
    """Check that no candidate, no promotion, no temporary file and no temporary folder was left."""
    stores = (home / ".jukebox").glob("*store")
    assert [path for store in stores for path in store.rglob("*") if path.is_file()] == []
    assert list((home / ".jukebox").rglob(".*")) == []
    assert list((home / ".jukebox").glob("runs/*/tmp")) == []
    assert list((home / "tmp").iterdir()) == []


def run_at(home: Path, *arguments: object, timeout: float = 200) -> subprocess.CompletedProcess:
    """Run the command in a home of its own, with its own folder for temporary files."""
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    return jukebox(*arguments, cwd=home, env={"TMPDIR": str(home / "tmp")}, timeout=timeout)


def call_at(home: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Run the command in this process, in a home of its own."""
    home.mkdir(parents=True, exist_ok=True)
    return called(*arguments, cwd=home)


def start_at(home: Path, *arguments: object, prefix=()) -> subprocess.Popen:
    """Start the command likewise, as the leader of a process group, as a shell does."""
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [*prefix, *COMMAND, *map(str, arguments)],
        cwd=home,
        env={**os.environ, "TMPDIR": str(home / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_signals,
    )


def _heed_signals() -> None:
    """Undo what the tests may have inherited: a shell's background job ignores Ctrl-C, nohup a hang-up."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def finish(process: subprocess.Popen, timeout: float) -> subprocess.CompletedProcess:
    """Wait for the command's end."""
    stdout, stderr = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def kill_all(home: Path) -> dict[int, str]:
    """Kill every process that a test has left behind, and tell which there were."""
    left = processes_of(home)
    for number in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    return left


def wait_for(condition, seconds: float = 90) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def step_began(home: Path, step: str) -> bool:
    """Tell whether a step of the one run at home has started."""
    events = (home / ".jukebox" / "runs").glob("*/events.jsonl")
    return any(f'"step": "{step}", "event": "start"' in path.read_text() for path in events)


def processes_of(home: Path) -> dict[int, str]:
    """Find every process that has a path below home among its arguments or in its environment."""
    processes = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes()
                if f"{home}/".encode() in command + (folder / "environ").read_bytes():
                    processes[int(folder.name)] = command.replace(b"\0", b" ").decode()
    return processes


@contextlib.contextmanager
def small_disk(folder: Path, *options: str):
    """Mount a file system of 1 MB, or skip the test where that is not allowed."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(("size=1m", *options)), "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, *, leaving: int = 0) -> None:
    """Fill a disk but for so many bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(bytes(free - leaving))
