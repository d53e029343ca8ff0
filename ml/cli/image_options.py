"""What the verbs of images share: options, and what they refuse."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml.core.errors import UsageError

if TYPE_CHECKING:
    from ml.image.registry import Registry

Checkout = Annotated[Path, typer.Option(help="The checkout with the Containerfile.")]
Base = Annotated[
    str | None,
    typer.Option(envvar="JUKEBOX_BASE_IMAGE", help="The base image; the Containerfile's own by default."),
]
PythonVersion = Annotated[
    str, typer.Option("--python", envvar="JUKEBOX_BASE_PYTHON", help="The base's Python: 3.11 or 3.12.")
]
Repository = Annotated[
    str,
    typer.Option(envvar="JUKEBOX_REPOSITORY", help="The images' names before /component and the like."),
]
ResultsDir = Annotated[
    Path | None, typer.Option(envvar="JUKEBOX_RESULTS_DIR", help="Write the results into this folder.")
]
AuthFile = Annotated[
    Path | None,
    typer.Option(envvar="REGISTRY_AUTH_FILE", help="Docker's configuration file with the logins."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        envvar="JUKEBOX_REGISTRY_TOKEN_FILE",
        help="A service account's token, for the cluster's own registry.",
    ),
]
RegistryCa = Annotated[
    Path | None, typer.Option("--ca", envvar="JUKEBOX_REGISTRY_CA", help="PEM file of the CA to trust.")
]
RegistryTls = Annotated[
    bool,
    typer.Option(
        "--tls/--plain-http", envvar="JUKEBOX_REGISTRY_TLS", help="Plain HTTP is for test clusters."
    ),
]
PYTHONS = ("3.11", "3.12")
_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"{_NAME}(?::[0-9]+)?(?:/{_NAME})*")
"""A name for images, where only a registry's port follows a colon."""

TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
REFERENCE = re.compile(rf"{REPOSITORY.pattern}(?::{TAG.pattern}|@sha256:[0-9a-f]{{64}})", re.ASCII)


def require_python(python: str) -> None:
    """Make sure that there are locks for a Python.

    Raises:
        UsageError: there are none.
    """
    if python not in PYTHONS:
        raise UsageError(f"--python {python}: there are locks for {' and '.join(PYTHONS)}")


def registry_of(
    repository: str, auth_file: Path | None, token_file: Path | None, ca: Path | None, tls: bool
) -> "Registry":
    """Return how the registry of a repository is reached.

    Raises:
        UsageError: what an option names cannot be used.
    """
    from ml.image.logins import registry_logins, require_certificates
    from ml.image.registry import Registry

    require_repository(repository)
    if ca:
        require_certificates(ca)
    return Registry(not tls, ca, registry_logins(auth_file, token_file, repository))


def require_repository(repository: str) -> None:
    """Check that a text is a valid image name.

    Raises:
        UsageError: it is none.
    """
    if not REPOSITORY.fullmatch(repository):
        raise UsageError(
            f"--repository {repository}: name it as registry.example/team/jukebox, without a tag"
        )
