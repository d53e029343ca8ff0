"""The package as it is installed in the images: its files by path, from a checkout of which nothing is run.

The Containerfile's stage `code` writes them (``python -m ml.image.package /``), and `ml.image.assemble` makes
a layer of them. They follow from the package tree, its metadata and the license: no date, no bytecode, and no
README, so that a change of the docs changes no image. Only the standard library, which is what the base has.
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
"""The virtual environment of both images, from the root."""

PACKAGE = "ml"
WHITEOUT = ".wh."
WORD = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._+!-]*[A-Za-z0-9])?")
"""A name or a version: it becomes part of a path."""

SCRIPT = """\
#!/{environment}/bin/python3
import sys
from {module} import {function}
sys.exit({function}())
"""


@dataclass(frozen=True)
class File:
    """A file of an image: what is in it, and whether it is a program."""

    data: bytes
    program: bool = False

    @property
    def mode(self) -> int:
        """Everybody may read it, nobody but root may change it."""
        return 0o755 if self.program else 0o644


def package_files(checkout: Path, python: str) -> dict[str, File]:
    """Return the files of the package, by path from the root of the image, sorted.

    Args:
        checkout: the folder with pyproject.toml, LICENSE and the package.
        python: the Python of the environment, as 3.12.

    Raises:
        UsageError: a file is missing or a link, or the metadata makes no sense.
    """
    try:
        project: dict[str, Any] = tomllib.loads(plain_file(checkout, "pyproject.toml").decode())["project"]
        about = _metadata(project)
        points = project.get("scripts", {})
        names = [project["name"], project["version"]]
        scripts = {name: _script(point) for name, point in points.items()}
        if not all(WORD.fullmatch(word) for word in (*names, *scripts)):
            raise ValueError(f"no name and version: {' '.join(names)}")
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise UsageError(f"{checkout / 'pyproject.toml'} does not describe a package: {error}") from error
    packages = f"{ENVIRONMENT}/lib/python{python}/site-packages"
    info = f"{packages}/{names[0].replace('-', '_')}-{names[1]}.dist-info"
    entries = "".join(f"{name}={point}\n" for name, point in points.items())
    found = {
        f"{info}/METADATA": File(about.encode()),
        f"{info}/entry_points.txt": File(f"[console_scripts]\n{entries}".encode()),
        f"{info}/licenses/LICENSE": File(plain_file(checkout, "LICENSE")),
        **{f"{ENVIRONMENT}/bin/{name}": File(text.encode(), program=True) for name, text in scripts.items()},
        **{f"{packages}/{name}": File(plain_file(checkout, name)) for name in _tree(checkout)},
    }
    return dict(sorted(found.items()))


def plain_file(checkout: Path, name: str) -> bytes:
    """Read a file of a checkout. A link is refused: it could lead to a file of whoever reads it.

    Raises:
        UsageError: there is none, or it is reached through a link.
    """
    path = checkout / name
    try:
        if path.resolve(strict=True) != checkout.resolve() / name:
            raise UsageError(f"{path} is a link, or lies behind one: put the file itself there")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; run this in a checkout, or name one with --checkout"
        ) from error


def _tree(checkout: Path) -> Iterator[str]:
    """Yield the names of the package's files; bytecode is none of them, it could differ from its source."""
    root = checkout / PACKAGE
    for path in root.rglob("*"):
        if "__pycache__" in path.parts or path.suffix == ".pyc" or (path.is_dir() and not path.is_symlink()):
            continue
        # In a layer such a name is no file: it removes what lies below, and engines do not agree on what.
        if any(part.startswith(WHITEOUT) for part in path.relative_to(root).parts):
            raise UsageError(
                f"{path}: a name that begins with {WHITEOUT} removes files of an image: rename it"
            )
        yield path.relative_to(checkout).as_posix()


def _metadata(project: Mapping[str, Any]) -> str:
    """Return what installers and bills of materials read (core metadata 2.4)."""
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
        raise ValueError(f"no entry point: {point}")
    return SCRIPT.format(environment=ENVIRONMENT, module=module, function=function)


def write_package(root: Path) -> None:
    """Write the files of the package in this folder below another, for the Python that runs this."""
    for name, file in package_files(Path(), f"{sys.version_info.major}.{sys.version_info.minor}").items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        path.chmod(file.mode)


if __name__ == "__main__":
    write_package(Path(sys.argv[1]))
