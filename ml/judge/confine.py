"""Run infer on this machine as it runs in the cluster: a process without network, credentials and labels.

There is no option that switches this off. Where the kernel does not permit it, nothing is measured.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.core.errors import EvidenceError, GateBlocked, JukeboxError, PlatformError, RunFailed, UsageError
from ml.judge import sandbox
from ml.onnx.server_process import PLACES, PYTHON

SYSTEM = (
    *("/usr", "/bin", "/lib", "/lib64"),
    *(
        "/etc/ld.so.cache",
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/passwd",
        "/etc/group",
    ),
    "/sys/devices/system/cpu",
)
"""The folders of a system that a Python with compiled libraries reads."""

PASSED_ON = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", PYTHON)
"""Variables that the process gets: where not to get through to, and where the model server's Python is."""

ERRORS: Mapping[int, type[JukeboxError]] = {
    error.exit_code: error for error in (UsageError, GateBlocked, RunFailed, PlatformError, EvidenceError)
}

LAST_BYTES, LONGEST = 16_000, 1000
"""Bytes of the process's output that are read, and characters of its last line that are shown."""


@dataclass(frozen=True)
class SandboxLimits:
    """What infer may use: bytes of data and of a file, and processor seconds, for each process; seconds.

    TensorFlow has 1.6 GB of data with a model of ten thousand weights.
    """

    memory: int = 8 << 30
    file: int = 4 << 30
    cpu: int = 900
    seconds: float = 600


def infer_confined(work: Path, bounds: SandboxLimits = SandboxLimits()) -> None:
    """Run `ml.judge.infer.infer` in a sandbox.

    Args:
        work: the work folder.
        bounds: what it may use.

    Raises:
        PlatformError: this machine permits no sandbox.
        RunFailed: infer ends without a result, or does not end in time.
        JukeboxError: what infer raises.
    """
    (work / "answers").mkdir(exist_ok=True)
    read = [str(work / name) for name in ("asked.json", "model", "champion", "features")]
    command = [sys.executable, "-m", "ml.cli", "judge", "infer", "--work", str(work)]
    run_confined(command, read, [str(work / "answers")], bounds)


def run_confined(
    command: Sequence[str], read: Sequence[str], write: Sequence[str], bounds: SandboxLimits
) -> None:
    """Run a command that sees a system, this package and the given paths, and nothing else.

    Args:
        command: the program and its arguments.
        read: absolute paths that it may read.
        write: absolute folders that it may write too.
        bounds: what it may use.

    Raises:
        PlatformError, RunFailed, JukeboxError: as `infer_confined`.
    """
    package = Path(__file__).resolve().parents[1]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108
        "TMPDIR": "/tmp",  # noqa: S108
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
    }
    root = tempfile.mkdtemp(prefix="judge-")
    plan = {
        "root": root,
        "read": [*SYSTEM, *_pythons(), str(package), *read],
        "write": list(write),
        "command": list(command),
        "env": environment,
        "memory": bounds.memory,
        "file": bounds.file,
        "cpu": bounds.cpu,
        "parent": os.getpid(),
    }
    try:
        # -I -S: the script needs the standard library alone.
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                [sys.executable, "-I", "-S", sandbox.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={},
                start_new_session=True,
            ) as process,
        ):
            _wait(process, json.dumps(plan).encode(), bounds)
            size = said.seek(0, os.SEEK_END)
            said.seek(max(0, size - LAST_BYTES))
            _raise(process.returncode, said.read().decode(errors="replace"))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _wait(process: "subprocess.Popen[bytes]", plan: bytes, bounds: SandboxLimits) -> None:
    """Wait for the end of the process within its time; nothing of it is left."""
    try:
        process.communicate(plan, bounds.seconds)
    except subprocess.TimeoutExpired:
        raise RunFailed(
            f"measuring the model was not finished after {bounds.seconds:g} s; a smaller model answers sooner"
        ) from None
    finally:
        # The first process of the namespace is in this group, and with it all others end.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _raise(code: int, said: str) -> None:
    """Raise the error that a failed process reports."""
    if code == 0:
        return
    lines = [line for line in said.splitlines() if line.strip()]
    last = (lines[-1] if lines else "it said nothing")[:LONGEST]
    if code == sandbox.NOT_PERMITTED:
        raise PlatformError(
            f"a model is measured in a sandbox without a network, which this system forbids ({last}): allow "
            "user namespaces, or let the Task `measure` run it under its NetworkPolicy"
        )
    line = last.removeprefix("jukebox: ")
    if line == last or code not in ERRORS:
        raise RunFailed(f"measuring the model ended with code {code}: {last}")
    raise ERRORS[code](line)


def _pythons() -> list[str]:
    """Return where the interpreter and its packages are, and those of the model server's environment."""
    named = os.environ.get(PYTHON)
    servers = (Path(named),) if named else PLACES
    folders = [Path(sys.prefix), Path(sys.base_prefix)]
    for server in servers:
        if server.exists():
            folders += [server.parents[1], server.resolve().parents[1]]
    return [str(path) for path in dict.fromkeys(folders)]
