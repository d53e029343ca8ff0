"""Debian's docker-registry on loopback: a real registry, over plain HTTP."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from servers import closed_port

LOGIN = "jukebox:canary-2d7e"
HASHED = "jukebox:$2b$04$I7PVW1faQ9Fwgc6O06YyduyTLuMG1KcgDsiAPIpiE.S3BNxllxOIO"
"""The login, as htpasswd has it."""


@contextlib.contextmanager
def registry_server(folder: Path, port: int = 0, *, locked: bool = False) -> Iterator[str]:
    """Start it with its images below a folder, on any port that is free; gives its host and port.

    Args:
        folder: a folder of its own.
        port: the port, 0 for any.
        locked: whether it asks for `LOGIN`.
    """
    where = f"127.0.0.1:{port or closed_port()}"
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{where}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\n"
        + (f"auth: {{htpasswd: {{realm: it, path: {folder / 'htpasswd'}}}}}\n" if locked else "")
    )
    (folder / "htpasswd").write_text(f"{HASHED}\n")
    with process(folder / "registry.log", "docker-registry", "serve", str(config)):
        wait_for(where)
        yield where


@contextlib.contextmanager
def process(log: Path, *command: str) -> Iterator[None]:
    """Run a server while a block runs."""
    with open(log, "wb") as file:
        started = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            yield
        finally:
            started.terminate()
            started.wait()


def wait_for(where: str) -> None:
    """Wait until something listens.

    Raises:
        TimeoutError: nothing does within ten seconds.
    """
    host, _, port = where.partition(":")
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(where)
