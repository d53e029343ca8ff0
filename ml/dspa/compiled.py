"""Read the specification and the platform specification of a compiled pipeline, without kfp.

`ml.dspa.admission` decides whether it may run.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from ml.core.canonical import digest
from ml.core.errors import UsageError
from ml.core.settings import STORE_MOUNT
from ml.dspa.plain_yaml import MOST_BYTES, NotPlain, read_documents

IMAGE = re.compile(r"[\w.\-:/]+@sha256:[0-9a-f]{64}")


HYPERPARAMETERS = "hyperparameters"
"""The parameter with what shapes the training: an object whose default has every name."""


class Pipeline(BaseModel):
    """A compiled pipeline: its specification, its platform specification, and the digest of the file.

    ``image`` is the component image in which its steps must run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: dict[str, Any]
    platform: dict[str, Any]
    digest: str
    image: str

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters that it has, by name, each with its default."""
        return dict(self.parameters.get(HYPERPARAMETERS, {}).get("defaultValue") or {})

    @property
    def parameters(self) -> dict[str, Any]:
        """The pipeline's parameters by name, as the IR describes them."""
        return dict(self.spec["root"]["inputDefinitions"]["parameters"])

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks."""
        return list(self.spec["root"]["dag"]["tasks"])

    @property
    def executors(self) -> dict[str, Any]:
        """The platform's settings of each executor, by name."""
        return dict(self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])

    @property
    def mounts_store(self) -> bool:
        """Whether a step mounts the claim that can hold a store as a folder."""
        mounts = [mount for given in self.executors.values() for mount in given.get("pvcMount", ())]
        return any(mount["mountPath"] == STORE_MOUNT for mount in mounts)


def read_pipeline(path: Path, image: str = "") -> Pipeline:
    """Read a compiled pipeline.

    Args:
        path: the file.
        image: the component image by digest; "" takes the image that the file names.

    Raises:
        UsageError: the file cannot be read or is not a compiled pipeline, or the image has no digest.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        documents = read_documents(data)
        if len(documents) != 2:
            raise NotPlain(f"it has {len(documents)} documents, not a specification and a platform")
        spec, platform = documents
        named = spec["root"]["inputDefinitions"]["parameters"]["image"]["defaultValue"]
        pipeline = Pipeline(spec=spec, platform=platform, digest=digest(data), image=image or named)
        if not data.endswith(b"\n"):
            raise NotPlain("the file is truncated")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except NotPlain as error:
        raise UsageError(f"{path} is not a pipeline compiled by `jukebox compile`: {error}") from error
    except (yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a pipeline compiled by `jukebox compile`") from error
    if not IMAGE.fullmatch(pipeline.image):
        if image:
            raise UsageError(f"--image {image}: name the image by its digest, as REF@sha256:…")
        raise UsageError(
            f"{path} names the image {named} without a digest: compile it with --image REF@sha256:…"
        )
    return pipeline
