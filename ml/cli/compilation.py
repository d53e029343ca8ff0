"""Compile the pipeline for a cluster."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from ml.cli.console import out
from ml.cli.options import (
    Problem,
)
from ml.core.errors import UsageError
from ml.core.settings import STORE_MOUNT, Mounts


def compile(
    output: Annotated[Path, typer.Option("--output", "-o", help="The YAML file to write.")],
    image: Annotated[
        str | None,
        typer.Option(envvar="JUKEBOX_IMAGE", help="The component image by digest: REF@sha256:…"),
    ] = None,
    store_pvc: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_STORE_PVC",
            help=f"A claim to mount at {STORE_MOUNT} in the steps that touch tables, evidence or store.",
        ),
    ] = "",
    store_secret: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_STORE_SECRET",
            help="A data connection (a secret) whose AWS_* keys those steps get.",
        ),
    ] = "",
    ca_config_map: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_CA_CONFIG_MAP",
            help="A config map whose ca-bundle.crt those steps trust, e.g. odh-trusted-ca-bundle.",
        ),
    ] = "",
    problem: Problem = "",
    resources: Annotated[
        Path | None,
        typer.Option(
            envvar="JUKEBOX_RESOURCES",
            help="CPU, memory and minutes of steps, in YAML, where they are not the defaults.",
        ),
    ] = None,
) -> None:
    """Compile the pipeline to the IR that Data Science Pipelines runs, and `jukebox run` too."""
    from ml.pipeline.compiler import compile_pipeline

    try:
        mounts = Mounts(store_pvc=store_pvc, store_secret=store_secret, ca_config_map=ca_config_map)
        compile_pipeline(output, image, mounts, resources, problem)
    except ValidationError as error:
        (field, *_), name = error.errors()[0]["loc"], error.errors()[0]["input"]
        raise UsageError(
            f"--{str(field).replace('_', '-')} {name!r} is not a name in Kubernetes: use lower-case letters, "
            "digits and dashes"
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot write {output}: {error.strerror}; name another file with --output"
        ) from error
    named = image or "an image of this machine only; name one with --image to run it elsewhere"
    out.print(f"{output}: compiled for {named}")
