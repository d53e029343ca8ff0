"""The key of the dependency images: a digest of everything that their content depends on.

Two checkouts with the same key have the same dependencies, so a registry that has them under this key saves
building them. The key is made of the bytes of a few files, including the Containerfile, and the dependencies
are built in a context that has no other file: whatever an instruction says, it can read nothing that the key
does not cover. All dependency images share one key: a `RUN` line of one stage that writes into the image of
another changes the key of both.
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
"""The images that are built from a commit."""

STAGES = ("component-dependencies", "tools-dependencies", "test-dependencies")
"""The stages of the Containerfile that are tagged with the key: the bases of both images and of the tests."""

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
"""The files that the dependencies are built from. A file that one of their stages copies must be listed."""

BY_DIGEST = re.compile(r"^[\w.\-:/]+@(sha256:[0-9a-f]{64})$")
BASE = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)


class Dependencies(BaseModel):
    """Everything that the dependency images of a checkout depend on. ``files`` has digests by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    python: str
    base: str
    files: dict[str, str]

    @property
    def key(self) -> str:
        """The key: 64 hexadecimal digits, valid as a tag."""
        return digest(canonical_bytes(self.model_dump())).removeprefix("sha256:")

    def to_json(self) -> dict[str, Any]:
        """Return the key and everything that it is made of."""
        return {"key": self.key, **self.model_dump()}


def native_architecture() -> str:
    """Return the architecture of this machine as images name it; images are built for this one only."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def default_base(checkout: Path) -> str:
    """Return the base image that the Containerfile names.

    Raises:
        UsageError: there is no Containerfile, or it names no base image.
    """
    match = BASE.search(plain_file(checkout, "Containerfile").decode(errors="replace"))
    if not match:
        raise UsageError(f"{checkout / 'Containerfile'} names no BASE_IMAGE; give one with --base")
    return match[1]


def base_digest(base: str) -> str:
    """Return the digest in the name of a base image.

    Raises:
        UsageError: the name has no digest, so it can mean another image later.
    """
    match = BY_DIGEST.match(base)
    if not match:
        raise UsageError(f"--base {base}: name it by digest, as REF@sha256:<64 hexadecimal digits>")
    return match[1]


def keyed_files(checkout: Path) -> dict[str, bytes]:
    """Read the files that the dependencies of a checkout are built from, by name.

    Raises:
        UsageError: a file is missing, or a link.
    """
    return {name: plain_file(checkout, name) for name in FILES}


def dependencies(files: Mapping[str, bytes], python: str, base: str) -> Dependencies:
    """Return everything that the dependency images of a checkout depend on.

    Args:
        files: as `keyed_files` reads them.
        python: the Python version of the base image, as 3.12.
        base: the digest of the base image.
    """
    digests = {name: digest(data) for name, data in files.items()}
    return Dependencies(architecture=native_architecture(), python=python, base=base, files=digests)


def write_context(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder that is used as a build context."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
