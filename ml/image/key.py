"""The key of an image's dependencies: what they follow from, and nothing else.

Two checkouts with the same key have the same dependencies, so that a registry which holds them under this key
saves building them. The code is no part of it, and a comment in the Containerfile is none.
"""

import os
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ml.errors import UsageError
from ml.files import file_digest
from ml.gate.canonical import canonical_bytes, digest
from ml.image.containerfile import read_containerfile

TARGETS = ("component", "tools")
"""The images that are built of a commit."""

KEYED = ("build", *TARGETS, "test")
"""What has a key: what builds, what the two images lie on, and what the tests run in."""

BY_DIGEST = re.compile(r"^[\w.\-:/]+@(sha256:[0-9a-f]{64})$")


class Dependencies(BaseModel):
    """What one stage of the Containerfile, the dependencies of an image, follows from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    stage: str
    architecture: str
    python: str
    base: str
    containerfile: str
    files: dict[str, str]

    @property
    def key(self) -> str:
        """The key: 64 hexadecimal digits, fit for a tag."""
        return digest(canonical_bytes(self.model_dump())).removeprefix("sha256:")

    def to_json(self) -> dict[str, Any]:
        """Return the key with all that it follows from."""
        return {"key": self.key, **self.model_dump()}


def native_architecture() -> str:
    """Return this machine's architecture, as images name it; images are built for it alone."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def default_base(context: Path) -> str:
    """Return the base image that the Containerfile names.

    Raises:
        UsageError: there is no Containerfile, or it names none.
    """
    base = read_containerfile(context / "Containerfile").defaults.get("BASE_IMAGE")
    if not base:
        raise UsageError(f"{context / 'Containerfile'} names no BASE_IMAGE; give one with --base")
    return base


def base_digest(base: str) -> str:
    """Return the digest in the name of a base image.

    Raises:
        UsageError: the name has none, so that it may mean another image tomorrow.
    """
    found = BY_DIGEST.match(base)
    if not found:
        raise UsageError(f"--base {base}: name it by digest, as REF@sha256:<64 hexadecimal digits>")
    return found[1]


def dependencies(context: Path, target: str, python: str, base: str) -> Dependencies:
    """Collect what the dependencies of an image follow from.

    Args:
        context: the checkout.
        target: one of `KEYED`.
        python: the base's Python, as 3.12.
        base: the digest of the base image.

    Raises:
        UsageError: the target is unknown, or a file that it is built from is not there.
    """
    if target not in KEYED:
        raise UsageError(f"--target {target}: there are {', '.join(KEYED)}")
    stage = target if target == "build" else f"{target}-dependencies"
    instructions, files = read_containerfile(context / "Containerfile").part(stage)
    try:
        digests = {name: file_digest(context / name) for name in files}
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    part = digest("\n".join(instructions).encode())
    return Dependencies(
        target=target,
        stage=stage,
        architecture=native_architecture(),
        python=python,
        base=base,
        containerfile=part,
        files=digests,
    )
