"""The package as it is installed in the images: its files by path. No code of the checkout is executed.

The Containerfile's stage `code` writes them (``python -m ml.image.package /``), and `ml.image.assemble`
packs them into a layer. They depend on the package tree, its metadata and the license only: no date, no
bytecode and no README, so a change of the docs changes no image. This module and its imports use the standard
library only, because the base image has nothing else.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.core.errors import UsageError

ENVIRONMENT = "opt/jukebox"
"""The path of the virtual environment in both images."""

PACKAGE = "ml"
WHITEOUT = ".wh."
WORD = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._+!-]*[A-Za-z0-9])?")
"""A valid name or version: it becomes part of a path."""

SCRIPT = """\
#!/{environment}/bin/python3
import sys
from {module} import {function}
sys.exit({function}())
"""


@dataclass(frozen=True)
class File:
    """A file of an image: its content, and whether it is executable."""

    data: bytes
    executable: bool = False

    @property
    def mode(self) -> int:
        """The file mode: readable by everybody, writable by root only."""
        return 0o755 if self.executable else 0o644


def package_files(checkout: Path, python: str) -> dict[str, File]:
    """Return the files of the package, by path from the root of the image, sorted.

    Args:
        checkout: the folder with pyproject.toml, LICENSE and the package.
        python: the Python version of the environment, as 3.12.

    Raises:
        UsageError: a file is missing or a link, or the metadata is not valid.
    """
    try:
        project: dict[str, Any] = tomllib.loads(plain_file(checkout, "pyproject.toml").decode())["project"]
        metadata = _metadata(project)
        points = project.get("scripts", {})
        names = [project["name"], project["version"]]
        scripts = {name: _script(point) for name, point in points.items()}
        if not all(WORD.fullmatch(word) for word in (*names, *scripts)):
            raise ValueError(f"not a valid name and version: {' '.join(names)}")
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise UsageError(f"{checkout / 'pyproject.toml'} does not describe a package: {error}") from error
    packages = f"{ENVIRONMENT}/lib/python{python}/site-packages"
    info = f"{packages}/{names[0].replace('-', '_')}-{names[1]}.dist-info"
    entries = "".join(f"{name}={point}\n" for name, point in points.items())
    files = {
        f"{info}/METADATA": File(metadata.encode()),
        f"{info}/entry_points.txt": File(f"[console_scripts]\n{entries}".encode()),
        f"{info}/licenses/LICENSE": File(plain_file(checkout, "LICENSE")),
        **{
            f"{ENVIRONMENT}/bin/{name}": File(text.encode(), executable=True)
            for name, text in scripts.items()
        },
        **{f"{packages}/{name}": File(plain_file(checkout, name)) for name in _tree(checkout)},
    }
    return dict(sorted(files.items()))


def plain_file(checkout: Path, name: str) -> bytes:
    """Read a file of a checkout. A link is refused: it could expose a file of the machine that reads it.

    Raises:
        UsageError: the file is missing, or reached through a link.
    """
    path = checkout / name
    try:
        if path.resolve(strict=True) != checkout.resolve() / name:
            raise UsageError(f"{path} is a link, or reached through one: put the file itself there")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; run this in a checkout, or name one with --checkout"
        ) from error


def _tree(checkout: Path) -> Iterator[str]:
    """Yield the names of the package's files, without bytecode, which could differ from its source."""
    root = checkout / PACKAGE
    for path in root.rglob("*"):
        if "__pycache__" in path.parts or path.suffix == ".pyc" or (path.is_dir() and not path.is_symlink()):
            continue
        # In a layer such a name is a whiteout, not a file: it removes files of the layers below.
        if any(part.startswith(WHITEOUT) for part in path.relative_to(root).parts):
            raise UsageError(
                f"{path}: a name that begins with {WHITEOUT} removes files from an image: rename the file"
            )
        yield path.relative_to(checkout).as_posix()


def _metadata(project: Mapping[str, Any]) -> str:
    """Return the core metadata (version 2.4), which installers and bills of materials read."""
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"License-Expression: {project['license']}",
        "License-File: LICENSE",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {needed}" for needed in project["dependencies"]),
    ]
    for extra, needs in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        for needed in needs:
            name, _, marker = (part.strip() for part in needed.partition(";"))
            both = f"({marker}) and " if marker else ""
            lines.append(f'Requires-Dist: {name}; {both}extra == "{extra}"')
    return "\n".join(lines) + "\n"


def _script(point: str) -> str:
    module, _, function = point.partition(":")
    if not all(word.isidentifier() for word in (*module.split("."), function)):
        raise ValueError(f"not a valid entry point: {point}")
    return SCRIPT.format(environment=ENVIRONMENT, module=module, function=function)


def write_package(root: Path) -> None:
    """Write the package files of the working directory below ``root``, for the running Python version."""
    for name, file in package_files(Path(), f"{sys.version_info.major}.{sys.version_info.minor}").items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        path.chmod(file.mode)


if __name__ == "__main__":
    write_package(Path(sys.argv[1]))
