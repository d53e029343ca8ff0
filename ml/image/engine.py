"""Podman and buildah, one at a time, through the calls that they share."""

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
"""What an engine says when the kernel happened to hold a page of its own program as it started: a step may be
tried again, and without --fresh nothing before it is built twice."""

TRIES = 3


@dataclass(frozen=True)
class Image:
    """What an engine says of an image that it holds: a digest, an architecture in Go's words, a size."""

    digest: str
    architecture: str
    size: str


@dataclass(frozen=True)
class Engine:
    """An engine that builds, holds, fetches and pushes images.

    Args:
        name: ``podman`` or ``buildah``.
        log: the file to which builds are logged.
    """

    name: str
    log: Path

    def inspect(self, reference: str) -> Image | None:
        """Look an image up; None where this machine does not hold it."""
        type_ = ["image", "inspect"] if self.name == "podman" else ["inspect", "--type", "image"]
        done = self._run([*type_, reference])
        if done.returncode:
            return None
        found: Any = json.loads(done.stdout)
        found = found[0] if isinstance(found, list) else found["OCIv1"]
        architecture = found.get("Architecture") or found["architecture"]
        # The images of buildah 1.28 tell their size to `images` alone.
        listed = self._run(["images", "--format", "{{.Digest}} {{.Size}}", reference]).stdout
        digest, _, size = listed.strip().split("\n")[0].partition(" ")
        return Image(digest, architecture, size.strip())

    def pull(self, reference: str) -> str:
        """Fetch an image; returns "" or what the engine said instead, as `is_absent` reads it."""
        done = self._run(["pull", "--quiet", reference])
        return _complaint(done.stderr) if done.returncode else ""

    def push(self, reference: str) -> str:
        """Push an image and return the digest that the registry knows it by.

        Raises:
            PlatformError: the registry cannot be reached, or refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "digest"
            done = self._run(["push", "--quiet", "--digestfile", str(file), reference])
            if done.returncode:
                raise PlatformError(f"cannot push {reference}: {_complaint(done.stderr)}")
            return file.read_text(encoding="utf-8").strip()

    def build(self, context: Path, target: str, options: Sequence[str]) -> None:
        """Build one stage of a checkout; all that the engine prints goes to the log.

        Raises:
            RunFailed: the build failed; the message has the first error of its log.
        """
        # Without layers, buildah makes a stage that is another image already once more, and removes both,
        # even where another build at the same time lies on it.
        # Whatever it builds on is here by now, and is not to be another one meanwhile.
        stage = ["--target", target, "--layers", "--pull=never", *options]
        command = [self.name, "build", *stage, "--file", "Containerfile", "."]
        for _ in range(TRIES):
            failed, said = self._logged(command, context, target)
            if not failed:
                return
            if BUSY not in said:
                break
        raise RunFailed(f"building {target} failed: {_complaint(said)} (log: {self.log})")

    def _logged(self, command: Sequence[str], context: Path, target: str) -> tuple[bool, str]:
        """Run a build once; tells whether it failed, and what it said."""
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
                # Not killed, so that it can remove its working containers.
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
    """Find podman or buildah.

    Raises:
        UsageError: neither is installed, or not the one that was asked for.
    """
    if name is not None and name not in ENGINES:
        raise UsageError(f"--engine {name}: there are {' and '.join(ENGINES)}")
    for candidate in (name,) if name else ENGINES:
        if shutil.which(candidate):
            return Engine(candidate, log)
    raise UsageError(
        f"{name or 'neither podman nor buildah'} is {'not ' if name else ''}installed; "
        f"install it: apt-get install {name or 'podman'}, or dnf install {name or 'podman'}"
    )


def is_absent(said: str) -> bool:
    """Tell whether a refusal to pull means that the registry does not have the image, or shows nobody.

    Some registries answer for what they do not have as for what is not to be seen.
    """
    words = (
        "manifest unknown",
        "name unknown",
        "not found",
        "unauthorized",
        "authentication required",
        "denied",
    )
    return any(word in said.lower() for word in words)


def _complaint(text: str) -> str:
    """Pick the line that says what went wrong: what follows the first error is mostly its echo."""
    echoes = ("error: building at", "error building at", "subprocess exited", "time=")
    lines = [line for line in text.strip().split("\n") if not line.lower().startswith(echoes)] or [
        text.strip()
    ]
    return next((line for line in lines if line.lower().startswith("error")), lines[-1])
