"""The images: the key of what they depend on, and building them."""

from pathlib import Path
from typing import Annotated

import typer

from ml.cli.console import out
from ml.cli.image_options import Base, Checkout, PythonVersion, require_python, require_repository
from ml.cli.options import FOLDER, AsJson
from ml.cli.progress import shown_steps
from ml.cli.results import print_json
from ml.core.errors import UsageError


def image_key(
    base: Base = None,
    python: PythonVersion = "3.12",
    checkout: Checkout = Path(),
    as_json: AsJson = False,
) -> None:
    """Print the key of the images' dependencies: what they are under in a registry that has them already.

    It follows from the lock files, the Containerfile, the Python and the base's digest; --json prints all of
    these. A change of code does not change it.
    """
    from ml.image.key import base_digest, default_base, dependencies, keyed_files

    require_python(python)
    digest = base_digest(base or default_base(checkout))
    key = dependencies(keyed_files(checkout), python, digest)
    if as_json:
        print_json(key.to_json())
    else:
        out.print(key.key)


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
    from ml.image.build import build_images
    from ml.image.build_records import BuildRequest
    from ml.image.engine import find_engine
    from ml.image.key import TARGETS, default_base
    from ml.image.source import read_source

    require_python(python)
    require_repository(repository)
    if push and repository.startswith("localhost/"):
        raise UsageError("--push needs --repository: a registry to push to, as registry.example/team/jukebox")
    try:
        bills.mkdir(parents=True, exist_ok=True)
        log = bills / "build.log"
        log.write_bytes(b"")
    except OSError as error:
        raise UsageError(f"cannot write to {bills}: {error.strerror}") from error
    request = BuildRequest(
        checkout=checkout,
        targets=tuple(dict.fromkeys(target)) if target else TARGETS,
        base=base or default_base(checkout),
        python=python,
        repository=repository,
        push=push,
        fresh=fresh,
        bills=bills,
    )
    tool = find_engine(engine, log)
    source = read_source(checkout)
    with shown_steps(quiet=as_json, width=23) as shown:
        out.print(
            f"commit {source.commit[:12]} of {source.created}, built by {tool.name} (log: {log})",
            markup=False,
        )
        if source.dirty:
            out.print("the work tree differs from the commit: what is not committed is not in the images")
        built = build_images(request, tool, source, shown)
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
