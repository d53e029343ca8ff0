"""Run podman or buildah through the calls that both support."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.core.errors import PlatformError, RunFailed, UsageError

ENGINES = ("podman", "buildah")

BUSY = "sealing memfd copy: Device or resource busy"
"""The error of an engine when the kernel held a page of the engine's own program at its start. The build may
be tried again; without --fresh, the stages before it come from the cache."""

TRIES = 3

ABSENT = (
    "manifest unknown",
    "name unknown",
    "not found",
    "unauthorized",
    "authentication required",
    "denied",
)
"""Errors of a pull for an image that does not exist. Some registries answer "denied" for a missing image."""


@dataclass(frozen=True)
class Image:
    """An image in the local storage: its digest, its architecture in Go's terms, its size as text."""

    digest: str
    architecture: str
    size: str


@dataclass(frozen=True)
class Engine:
    """An engine that builds, stores, pulls and pushes images.

    Args:
        name: ``podman`` or ``buildah``.
        log: the file that the output of builds is appended to.
    """

    name: str
    log: Path

    def inspect(self, reference: str) -> Image | None:
        """Return an image of the local storage, or None if it is not there."""
        type_ = ["image", "inspect"] if self.name == "podman" else ["inspect", "--type", "image"]
        done = self._run([*type_, reference])
        if done.returncode:
            return None
        document: Any = json.loads(done.stdout)
        document = document[0] if isinstance(document, list) else document["OCIv1"]
        architecture = document.get("Architecture") or document["architecture"]
        # buildah 1.28 shows the size of an image in `images` only.
        listed = self._run(["images", "--format", "{{.Digest}} {{.Size}}", reference]).stdout
        digest, _, size = listed.strip().split("\n")[0].partition(" ")
        return Image(digest, architecture, size.strip())

    def pull(self, reference: str) -> str:
        """Pull an image; returns "" or the error of the engine, which `is_absent` classifies."""
        done = self._run(["pull", "--quiet", reference])
        return _error_line(done.stderr) if done.returncode else ""

    def push(self, reference: str) -> str:
        """Push an image, and return its digest in the registry.

        Raises:
            PlatformError: the registry cannot be reached, or refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "digest"
            done = self._run(["push", "--quiet", "--digestfile", str(file), reference])
            if done.returncode:
                raise PlatformError(f"cannot push {reference}: {_error_line(done.stderr)}")
            return file.read_text(encoding="utf-8").strip()

    def build(self, context: Path, target: str, options: Sequence[str]) -> None:
        """Build one stage of a checkout; the output of the engine goes to the log.

        Raises:
            RunFailed: the build failed; the message has the first error of its log.
        """
        # Without --layers, buildah builds a stage again that already is another image, and then removes both,
        # even while a concurrent build uses it. With --pull=never the images below cannot change during a
        # build; they were pulled before.
        stage = ["--target", target, "--layers", "--pull=never", *options]
        command = [self.name, "build", *stage, "--file", "Containerfile", "."]
        for _ in range(TRIES):
            failed, output = self._logged(command, context, target)
            if not failed:
                return
            if BUSY not in output:
                break
        raise RunFailed(f"building {target} failed: {_error_line(output)} (log: {self.log})")

    def _logged(self, command: Sequence[str], context: Path, target: str) -> tuple[bool, str]:
        """Run a build once; returns whether it failed, and its output."""
        with open(self.log, "a+b") as log:
            start = log.tell()
            log.write(f"== {target}\n".encode())
            log.flush()
            child = subprocess.Popen(
                command, cwd=context, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                failed = child.wait() != 0
            except BaseException:
                # SIGTERM, not SIGKILL: the engine removes its working containers.
                child.terminate()
                child.wait()
                raise
            log.seek(start)
            return failed, log.read().decode(errors="replace")

    def _run(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.name, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )


def find_engine(name: str | None, log: Path) -> Engine:
    """Return podman or buildah: the named one, or the first that is installed.

    Raises:
        UsageError: the name is unknown, or no such engine is installed.
    """
    if name is not None and name not in ENGINES:
        raise UsageError(f"--engine {name}: use {' or '.join(ENGINES)}")
    for candidate in (name,) if name else ENGINES:
        if shutil.which(candidate):
            return Engine(candidate, log)
    raise UsageError(
        f"{name or 'neither podman nor buildah'} is {'not ' if name else ''}installed; "
        f"install it: apt-get install {name or 'podman'}, or dnf install {name or 'podman'}"
    )


def is_absent(error: str) -> bool:
    """Return whether the error of a pull means that the registry does not have the image."""
    return any(words in error.lower() for words in ABSENT)


def _error_line(output: str) -> str:
    """Return the line with the cause of a failure: the lines after the first error mostly repeat it."""
    echoes = ("error: building at", "error building at", "subprocess exited", "time=")
    lines = [line for line in output.strip().split("\n") if not line.lower().startswith(echoes)] or [
        output.strip()
    ]
    return next((line for line in lines if line.lower().startswith("error")), lines[-1])
