"""Read what `jukebox compile` wrote, without kfp: the specification, the platform's part, the image."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from ml.errors import UsageError
from ml.gate.canonical import digest
from ml.settings import STORE_MOUNT

IMAGE = re.compile(r"[\w.\-:/]+@sha256:[0-9a-f]{64}")


class Pipeline(BaseModel):
    """A compiled pipeline: its specification, what it needs of the platform, and the digest of its bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: dict[str, Any]
    platform: dict[str, Any]
    digest: str
    image: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that it takes, by name, as the IR describes them."""
        return dict(self.spec["root"]["inputDefinitions"]["parameters"])

    @property
    def tasks(self) -> list[str]:
        """The names of its tasks."""
        return list(self.spec["root"]["dag"]["tasks"])

    @property
    def mounts_store(self) -> bool:
        """Whether the steps mount the claim in which a folder can be a store."""
        return f'"{STORE_MOUNT}"' in json.dumps(self.platform)


def read_pipeline(path: Path) -> Pipeline:
    """Read a compiled pipeline.

    Raises:
        UsageError: the file cannot be read, is no pipeline of ours, or names its image not by digest.
    """
    try:
        data = path.read_bytes()
        documents = list(yaml.load_all(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        spec, platform = documents[0], documents[1] if len(documents) > 1 else {}
        image = spec["root"]["inputDefinitions"]["parameters"]["image"]["defaultValue"]
        pipeline = Pipeline(spec=spec, platform=platform, digest=digest(data), image=image)
        executors = spec["deploymentSpec"]["executors"]
        images = {executor["container"]["image"] for executor in executors.values()}
        # Each step has its time limit there: a file that was cut off lacks some.
        bounded = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        if bounded.keys() != executors.keys() or not data.endswith(b"\n"):
            raise ValueError("cut off")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not a pipeline of `jukebox compile`") from error
    if images != {image} or not IMAGE.fullmatch(image):
        raise UsageError(
            f"{path} names the image {image}, not one by its digest: compile it with --image REF@sha256:…"
        )
    return pipeline
