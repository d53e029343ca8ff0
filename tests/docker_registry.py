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
"""The login in the format of htpasswd."""


@contextlib.contextmanager
def registry_server(folder: Path, port: int = 0, *, locked: bool = False) -> Iterator[str]:
    """Serve a registry with its images below a folder of its own; gives its host and port.

    ``locked`` says whether it requires `LOGIN`.
    """
    where = f"127.0.0.1:{port or closed_port()}"
    (folder / "htpasswd").write_text(f"{HASHED}\n")
    (folder / "registry.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{where}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\n"
        + (f"auth: {{htpasswd: {{realm: it, path: {folder / 'htpasswd'}}}}}\n" if locked else "")
    )
    with process(folder / "registry.log", "docker-registry", "serve", str(folder / "registry.yml")):
        wait_for(where)
        yield where


@contextlib.contextmanager
def process(log: Path | str, *command: str, env: dict[str, str] | None = None) -> Iterator[None]:
    """Run a server while a block runs."""
    with open(log, "wb") as file:
        started = subprocess.Popen(command, stdout=file, stderr=file, env=env)
        try:
            yield
        finally:
            started.terminate()
            started.wait()


def wait_for(where: str) -> None:
    """Wait until a server listens."""
    host, _, port = where.partition(":")
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(where)
