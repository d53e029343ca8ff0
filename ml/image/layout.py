"""Push an image from an OCI layout: a folder that whoever has built it was free to write anything into.

Every file is checked against its digest before anything is sent. A link is refused: it would be
followed here, where the push credential is.
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
        RunFailed: it is none, a blob is missing or not what its digest says, or something in it is a link.
    """
    try:
        (entry,) = _json(_small(folder, "index.json"))["manifests"]
        data = _small(folder, _path(entry["digest"]))
        _require(entry["digest"], len(data), hashlib.sha256(data).hexdigest(), entry["size"])
        manifest = _json(data)
        if manifest["mediaType"] != MANIFEST:
            raise ValueError(f"{manifest['mediaType']} is no image of one platform")
        blobs = {}
        for blob in (manifest["config"], *manifest["layers"]):
            hashed, size = hashlib.sha256(), 0
            for piece in _pieces(folder, _path(blob["digest"])):
                hashed.update(piece)
                size += len(piece)
            _require(blob["digest"], size, hashed.hexdigest(), blob["size"])
            blobs[blob["digest"]] = size
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunFailed(f"{folder} is no image that can be pushed: {error}") from error
    return Layout(folder, data, blobs)


def push_layout(layout: Layout, reference: str, registry: Registry) -> str:
    """Push an image to a name with a tag, and return its digest.

    Raises:
        PlatformError: the registry cannot be reached, or refuses.
    """
    name, _, tag = reference.rpartition(":")
    target = Repository(registry, name, f"push {reference}")
    for blob, size in layout.blobs.items():
        target.push(blob, size, partial(_pieces, layout.folder, _path(blob)))
    return target.push_manifest(tag, layout.manifest)


def _path(digest: Any) -> str:
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is no digest")
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _pieces(folder: Path, name: str) -> Iterator[bytes]:
    path = folder / name
    if path.resolve() != folder.resolve() / name or not path.is_file():
        raise ValueError(f"{name} is missing, or a link")
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _small(folder: Path, name: str) -> bytes:
    found = b""
    for piece in _pieces(folder, name):
        found += piece
        if len(found) > LARGEST:
            raise ValueError(f"{name} has more than {LARGEST} bytes")
    return found


def _json(data: bytes) -> Any:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("a document is no JSON object")
    return found


def _require(digest: str, size: int, found: str, expected: Any) -> None:
    if digest != f"sha256:{found}" or size != expected:
        raise ValueError(f"{digest} has other content")
