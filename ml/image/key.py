"""The key of the images' dependencies: what they follow from, and nothing else.

Two checkouts with the same key have the same dependencies, so that a registry which holds them under this key
saves building them. The key is made of the bytes of a few files, the Containerfile among them, and they are
built in a context that has no other file: whatever an instruction says, and however it is spelled, it takes
nothing that the key does not see. All dependencies share one key: a `RUN` line of one stage that reaches into
the image of another changes nothing that a checkout without this line would take.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import UsageError
from ml.image.package import plain_file

TARGETS = ("component", "tools")
"""The images that are built of a commit."""

STAGES = ("component-dependencies", "tools-dependencies", "test-dependencies")
"""The stages of the Containerfile that have the key: what both images lie on, and what the tests run in."""

FILES = (
    "Containerfile",
    "ml/image/install.sh",
    "ml/image/slim.py",
    "requirements/all.txt",
    "requirements/build.txt",
    "requirements/component.txt",
    "requirements/server.txt",
    "requirements/tools.txt",
)
"""What dependencies are built from. A file that a stage of theirs copies has to be among them."""

BY_DIGEST = re.compile(r"^[\w.\-:/]+@(sha256:[0-9a-f]{64})$")
BASE = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)


class Dependencies(BaseModel):
    """What the dependencies of a checkout follow from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    python: str
    base: str
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


def default_base(checkout: Path) -> str:
    """Return the base image that the Containerfile names.

    Raises:
        UsageError: there is no Containerfile, or it names none.
    """
    found = BASE.search(plain_file(checkout, "Containerfile").decode(errors="replace"))
    if not found:
        raise UsageError(f"{checkout / 'Containerfile'} names no BASE_IMAGE; give one with --base")
    return found[1]


def base_digest(base: str) -> str:
    """Return the digest in the name of a base image.

    Raises:
        UsageError: the name has none, so that it may mean another image tomorrow.
    """
    found = BY_DIGEST.match(base)
    if not found:
        raise UsageError(f"--base {base}: name it by digest, as REF@sha256:<64 hexadecimal digits>")
    return found[1]


def keyed_files(checkout: Path) -> dict[str, bytes]:
    """Read the files that the dependencies of a checkout are built from, by name.

    Raises:
        UsageError: a file is not there, or a link.
    """
    return {name: plain_file(checkout, name) for name in FILES}


def dependencies(files: Mapping[str, bytes], python: str, base: str) -> Dependencies:
    """Collect what the dependencies of a checkout follow from.

    Args:
        files: as `keyed_files` reads them.
        python: the base's Python, as 3.12.
        base: the digest of the base image.
    """
    digests = {name: digest(data) for name, data in files.items()}
    return Dependencies(architecture=native_architecture(), python=python, base=base, files=digests)


def write_context(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder, to build in it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
