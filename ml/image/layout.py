"""Push an image from an OCI layout: a folder that an untrusted build step wrote.

Every file is checked against its digest before anything is sent. A link is refused: it would be followed in
the step that has the push credential.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ml.core.errors import RunFailed
from ml.image.registry import DIGEST, Registry
from ml.image.repository import CHUNK, LARGEST, Repository

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Layout:
    """An image in a folder that was checked: its manifest, and the sizes of its blobs by digest."""

    folder: Path
    manifest: bytes
    blobs: dict[str, int]


def read_layout(folder: Path) -> Layout:
    """Read an OCI layout with one image, and check each of its blobs.

    Raises:
        RunFailed: it is not such a layout, a blob is missing or differs from its digest, or a file is a link.
    """
    try:
        (entry,) = _json(_small(folder, "index.json"))["manifests"]
        data = _small(folder, _path(entry["digest"]))
        _require(entry["digest"], len(data), hashlib.sha256(data).hexdigest(), entry["size"])
        manifest = _json(data)
        if manifest["mediaType"] != MANIFEST:
            raise ValueError(f"{manifest['mediaType']} is not an image for one platform")
        blobs = {}
        for blob in (manifest["config"], *manifest["layers"]):
            hashed, size = hashlib.sha256(), 0
            for chunk in _chunks(folder, _path(blob["digest"])):
                hashed.update(chunk)
                size += len(chunk)
            _require(blob["digest"], size, hashed.hexdigest(), blob["size"])
            blobs[blob["digest"]] = size
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunFailed(f"{folder} is not an image that can be pushed: {error}") from error
    return Layout(folder, data, blobs)


def push_layout(layout: Layout, reference: str, registry: Registry) -> str:
    """Push an image under a name with a tag, and return its digest.

    Raises:
        PlatformError: the registry cannot be reached, or refuses.
    """
    name, _, tag = reference.rpartition(":")
    target = Repository(registry, name, f"push {reference}")
    for blob, size in layout.blobs.items():
        target.push(blob, size, partial(_chunks, layout.folder, _path(blob)))
    return target.push_manifest(tag, layout.manifest)


def _path(digest: Any) -> str:
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is not a digest")
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _chunks(folder: Path, name: str) -> Iterator[bytes]:
    path = folder / name
    if path.resolve() != folder.resolve() / name or not path.is_file():
        raise ValueError(f"{name} is missing, or a link")
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _small(folder: Path, name: str) -> bytes:
    data = b""
    for chunk in _chunks(folder, name):
        data += chunk
        if len(data) > LARGEST:
            raise ValueError(f"{name} has more than {LARGEST} bytes")
    return data


def _json(data: bytes) -> Any:
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("a document is not a JSON object")
    return document


def _require(digest: str, size: int, actual: str, expected_size: Any) -> None:
    if digest != f"sha256:{actual}" or size != expected_size:
        raise ValueError(f"the content of {digest} differs from its digest or size")
