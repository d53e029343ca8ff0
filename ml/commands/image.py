"""The images: the key of what they depend on, and building them."""

import re
from pathlib import Path
from typing import Annotated

import typer

from ml.commands.options import FOLDER, AsJson, print_json
from ml.console import out, shown_steps
from ml.errors import UsageError

Checkout = Annotated[Path, typer.Option(help="The checkout with the Containerfile.")]
Base = Annotated[
    str | None,
    typer.Option(envvar="JUKEBOX_BASE_IMAGE", help="The base image; the Containerfile's own by default."),
]
PythonVersion = Annotated[
    str, typer.Option("--python", envvar="JUKEBOX_BASE_PYTHON", help="The base's Python: 3.11 or 3.12.")
]
PYTHONS = ("3.11", "3.12")
_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"{_NAME}(?::[0-9]+)?(?:/{_NAME})*")
"""A name for images, where only a registry's port follows a colon."""


def image_key(
    target: Annotated[
        str, typer.Option(help="component, tools, test, or build (what builds them).")
    ] = "component",
    base: Base = None,
    python: PythonVersion = "3.12",
    checkout: Checkout = Path(),
    as_json: AsJson = False,
) -> None:
    """Print the key of an image's dependencies: what it is under in a registry that has it already.

    It follows from the lock files, the Python, the base's digest, and the Containerfile's stages up to the
    dependencies; --json prints all of these. A change of code does not change it.
    """
    from ml.image.key import base_digest, default_base, dependencies

    _require_python(python)
    found = dependencies(checkout, target, python, base_digest(base or default_base(checkout)))
    if as_json:
        print_json(found.to_json())
    else:
        out.print(found.key)


def toolchain(
    repository: Annotated[
        str, typer.Option(envvar="JUKEBOX_REPOSITORY", help="The images' names before /build and the like.")
    ],
    base: Base = None,
    python: PythonVersion = "3.12",
    checkout: Checkout = Path(),
    missing: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write what has to be built into this file, a line for each."),
    ] = None,
    results_dir: Annotated[
        Path | None,
        typer.Option(envvar="JUKEBOX_RESULTS_DIR", help="Write what is there already into this folder."),
    ] = None,
    auth_file: Annotated[
        Path | None,
        typer.Option(envvar="REGISTRY_AUTH_FILE", help="Docker's configuration file with the logins."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(envvar="JUKEBOX_REGISTRY_CA", help="PEM file of the CA to trust.")
    ] = None,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls/--plain-http", envvar="JUKEBOX_REGISTRY_TLS", help="Plain HTTP is for test clusters."
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Ask a registry which dependencies of a checkout it has, each by its key (`jukebox image-key`).

    There are four: `build` (what builds the code), and what the component, the tools and the tests lie on.
    A line of --missing has the result's name, the Containerfile's stage, and the name to push it under.
    """
    from ml.files import require_folder, write_bytes
    from ml.image.key import KEYED, base_digest, default_base, dependencies
    from ml.image.registry import Registry, read_logins, require_certificates

    _require_python(python)
    _require_repository(repository)
    if ca:
        require_certificates(ca)
    if results_dir:
        require_folder(results_dir)
    if missing:
        require_folder(missing.parent, "--missing")
    digest = base_digest(base or default_base(checkout))
    registry = Registry(not tls, ca, read_logins(auth_file))
    found, lines = {}, []
    for target in KEYED:
        wanted = dependencies(checkout, target, python, digest)
        name = wanted.stage.upper().replace("-", "_")
        reference = f"{repository}/{wanted.stage}:{wanted.key}"
        known = registry.digest(reference)
        found[name] = f"{repository}/{wanted.stage}@{known}" if known else ""
        if not known:
            lines.append(f"{name} {wanted.stage} {reference}\n")
        if not as_json:
            out.print(f"{wanted.stage}: {found[name] or f'to be built as {reference}'}", markup=False)
    # Only now: a registry that fails halfway leaves nothing behind.
    if results_dir:
        for name in filter(found.get, found):
            write_bytes(results_dir / name, found[name].encode())
    if missing:
        write_bytes(missing, "".join(lines).encode())
    if as_json:
        print_json({"dependencies": found, "missing": [line.split()[2] for line in lines]})


def image_build(
    target: Annotated[
        list[str] | None, typer.Option(help="component or tools; both by default. May be given twice.")
    ] = None,
    base: Base = None,
    python: PythonVersion = "3.12",
    repository: Annotated[
        str,
        typer.Option(envvar="JUKEBOX_REPOSITORY", help="The images' names before /component and /tools."),
    ] = "localhost/jukebox",
    push: Annotated[
        bool, typer.Option("--push", help="Push them there; take the dependencies from there if it has them.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Build everything anew, from no cache.")] = False,
    engine: Annotated[
        str | None,
        typer.Option(envvar="JUKEBOX_ENGINE", help="podman or buildah; whichever is there by default."),
    ] = None,
    checkout: Checkout = Path(),
    bills: Annotated[
        Path, typer.Option(help="The folder for the log and the bills of materials (CycloneDX).")
    ] = FOLDER / "image",
    as_json: AsJson = False,
) -> None:
    """Build the images of the commit that is checked out; what is not committed is not in them.

    The dependencies take minutes, once for each key (`jukebox image-key`); the code on top takes seconds.
    """
    from ml.image.build import Wish, build_images
    from ml.image.engine import find_engine
    from ml.image.key import TARGETS, default_base
    from ml.image.source import read_source

    _require_python(python)
    _require_repository(repository)
    if push and repository.startswith("localhost/"):
        raise UsageError("--push needs --repository: a registry to push to, as registry.example/team/jukebox")
    try:
        bills.mkdir(parents=True, exist_ok=True)
        log = bills / "build.log"
        log.write_bytes(b"")
    except OSError as error:
        raise UsageError(f"cannot write to {bills}: {error.strerror}") from error
    wish = Wish(
        checkout=checkout,
        targets=tuple(dict.fromkeys(target)) if target else TARGETS,
        base=base or default_base(checkout),
        python=python,
        repository=repository,
        push=push,
        fresh=fresh,
        bills=bills,
    )
    found = find_engine(engine, log)
    source = read_source(checkout)
    with shown_steps(quiet=as_json, width=23) as shown:
        out.print(
            f"commit {source.commit[:12]} of {source.created}, built by {found.name} (log: {log})",
            markup=False,
        )
        if source.dirty:
            out.print("the work tree differs from the commit: what is not committed is not in the images")
        built = build_images(wish, found, source, shown)
    if as_json:
        images = [image.model_dump() for image in built]
        print_json({"commit": source.commit, "images": images, "stages": shown.finished})
        return
    for image in built:
        where = "reused" if image.reused else "built"
        out.print(
            f"{image.target}: {image.reference} ({image.size} with the base; dependencies {where})",
            markup=False,
        )
        if image.pushed:
            name = image.reference.rpartition(":")[0]
            out.print(f"  --image {name}@{image.digest}", markup=False)


def _require_python(python: str) -> None:
    if python not in PYTHONS:
        raise UsageError(f"--python {python}: there are locks for {' and '.join(PYTHONS)}")


def _require_repository(repository: str) -> None:
    if not REPOSITORY.fullmatch(repository):
        raise UsageError(
            f"--repository {repository}: name it as registry.example/team/jukebox, without a tag"
        )
