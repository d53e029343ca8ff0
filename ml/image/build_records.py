"""What is asked of a build, and what came of it."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class BuildRequest(BaseModel):
    """The images to build, and the options of the build.

    ``repository`` is the part of the image names before /component and /tools. ``push`` looks up the
    dependencies in that registry first, and pushes the images there. ``fresh`` uses no cache. ``bills`` is
    the folder for the bills of materials.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkout: Path
    targets: tuple[str, ...]
    base: str
    python: str
    repository: str
    push: bool
    fresh: bool
    bills: Path


class Built(BaseModel):
    """An image that was built.

    ``digest`` is the registry's digest if the image was pushed, otherwise this machine's. ``reused`` tells
    whether its dependencies were available without a build.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    reference: str
    digest: str
    pushed: bool
    size: str
    dependencies: str
    key: str
    reused: bool
    bill: str


@dataclass(frozen=True)
class Contexts:
    """The build contexts and options.

    ``commit`` has all files of the commit, ``dependencies`` only the files that the key is made of.
    """

    commit: Path
    dependencies: Path
    options: tuple[str, ...]
