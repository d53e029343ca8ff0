"""The images of Tekton's runs, without an engine: dependencies found and pushed, the component assembled."""

from pathlib import Path
from typing import Annotated

import typer

from ml.cli.console import out
from ml.cli.image_options import (
    REFERENCE,
    TAG,
    AuthFile,
    Base,
    Checkout,
    PythonVersion,
    RegistryCa,
    RegistryTls,
    Repository,
    ResultsDir,
    TokenFile,
    registry_of,
    require_python,
)
from ml.cli.options import AsJson
from ml.cli.results import print_json, write_results
from ml.core.errors import UsageError


def toolchain(
    repository: Repository,
    base: Base = None,
    python: PythonVersion = "3.12",
    checkout: Checkout = Path(),
    plan: Annotated[
        Path | None,
        typer.Option(help="Write what was found, and what to build it from, into this folder."),
    ] = None,
    auth_file: AuthFile = None,
    token_file: TokenFile = None,
    ca: RegistryCa = None,
    tls: RegistryTls = True,
    as_json: AsJson = False,
) -> None:
    """Ask a registry which dependencies of a checkout it has, by their key (`jukebox image-key`).

    There are three: those of the component, of the tools and of the tests. The folder of --plan is for a step
    that builds what is missing: `stages` names the Containerfile's stages, `context` has the files.
    """
    from ml.core.files import require_folder
    from ml.image.key import base_digest, default_base
    from ml.image.toolchain import look_up

    require_python(python)
    registry = registry_of(repository, auth_file, token_file, ca, tls)
    if plan:
        require_folder(plan, "--plan")
    digest = base_digest(base or default_base(checkout))
    search = look_up(checkout, python, digest, repository, registry, plan)
    if as_json:
        print_json(search.to_json())
        return
    for each in search.dependencies:
        where = each.by_digest or f"to be built as {each.reference}"
        out.print(f"{each.stage}: {where}", markup=False)


def toolchain_push(
    repository: Repository,
    plan: Annotated[Path, typer.Option(help="The folder that `jukebox ci toolchain --plan` has written.")],
    layouts: Annotated[
        Path, typer.Option(help="The folder with an OCI layout of each stage that was built.")
    ],
    results_dir: ResultsDir = None,
    auth_file: AuthFile = None,
    token_file: TokenFile = None,
    ca: RegistryCa = None,
    tls: RegistryTls = True,
    as_json: AsJson = False,
) -> None:
    """Push the dependencies that were built, and write the names of all by digest.

    An image is checked against its digests before anything is pushed, and none of its code is run.
    """
    from ml.core.files import require_folder
    from ml.image.toolchain import push_missing

    registry = registry_of(repository, auth_file, token_file, ca, tls)
    if results_dir:
        require_folder(results_dir)
    pushed = push_missing(plan, layouts, registry)
    # Only now: a registry that fails halfway leaves nothing behind.
    write_results(results_dir, {each.result: each.by_digest for each in pushed.dependencies})
    if as_json:
        print_json(pushed.to_json())
        return
    for each in pushed.dependencies:
        out.print(f"{each.stage}: {each.by_digest}", markup=False)


def image_assemble(
    repository: Repository,
    dependencies: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_DEPENDENCIES",
            help="The image's base with the dependencies, by digest or by its key.",
        ),
    ],
    tag: Annotated[str, typer.Option(envvar="JUKEBOX_TAG", help="The image's tag, as the commit.")],
    source: Annotated[
        str, typer.Option(envvar="JUKEBOX_SOURCE", help="Where the repository is, for the label.")
    ] = "",
    python: PythonVersion = "3.12",
    base: Base = None,
    passed_tests: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_PASSED_TESTS",
            help="The tests that the checkout has passed, and lint: the image is tagged with what they read, "
            "and `jukebox ci answer` finds it.",
        ),
    ] = "",
    checkout: Checkout = Path(),
    results_dir: ResultsDir = None,
    auth_file: AuthFile = None,
    token_file: TokenFile = None,
    ca: RegistryCa = None,
    tls: RegistryTls = True,
    as_json: AsJson = False,
) -> None:
    """Assemble the component image in a registry: the package as one layer onto its dependencies.

    No engine is needed and nothing of the checkout is run; it takes seconds. The image is the one that
    `jukebox image-build` builds, and the same for each commit with the same package.

    Example: jukebox ci image-assemble --repository registry.example/team/jukebox --tag try
    --dependencies registry.example/team/jukebox/component-dependencies:$(jukebox image-key)
    """
    from ml.core.files import require_folder
    from ml.image.assemble import assemble
    from ml.image.checked import checked_tag
    from ml.image.key import base_digest, default_base

    require_python(python)
    for option, text, form in (("--dependencies", dependencies, REFERENCE), ("--tag", tag, TAG)):
        if not form.fullmatch(text):
            raise UsageError(
                f"{option} {text}: not an image's name; `jukebox ci image-assemble --help` has an example"
            )
    registry = registry_of(repository, auth_file, token_file, ca, tls)
    if results_dir:
        require_folder(results_dir)
    tags = []
    if passed_tests:
        on = base_digest(base or default_base(checkout))
        tags = [checked_tag(checkout, passed_tests, on, python)]
    image = assemble(checkout, python, dependencies, f"{repository}/component:{tag}", source, registry, tags)
    write_results(results_dir, image.results)
    if as_json:
        print_json(image.model_dump())
    else:
        out.print(f"{image.by_digest} ({image.sent} bytes sent)", markup=False)
