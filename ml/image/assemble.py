"""Assemble the component image: one layer of the package onto its dependencies, from registry to registry.

Nothing of the checkout is executed, and neither an engine nor any right is needed: a layer is a tar file, and
an image is two JSON documents that name its layers. `podman build --target component .` gives the same files,
by test. The same package on the same dependencies is the same image, whichever commit it is of.
"""

import io
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import UsageError
from ml.image.package import File, package_files
from ml.image.registry import Registry
from ml.image.repository import Repository

EPOCH = "1970-01-01T00:00:00Z"
"""The date of the image, and of all that is in its layer."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker"
LAYERS = {
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
    f"{DOCKER}.distribution.manifest.v2+json": f"{DOCKER}.image.rootfs.diff.tar.gzip",
}
"""By the kind of an image's manifest, the kind of its layers."""

LABELS = {
    "org.opencontainers.image.title": "jukebox component",
    "org.opencontainers.image.description": "What the steps of the training pipeline run in",
}
SOURCE = "org.opencontainers.image.source"


@dataclass(frozen=True)
class Image:
    """An image that can be pushed: its manifest, what is new of it, and what it takes from its dependencies.

    ``pieces`` are the new blobs, ``lower`` digest and bytes of each layer below.
    """

    manifest: bytes
    pieces: tuple[bytes, ...]
    lower: tuple[tuple[str, int], ...]

    @property
    def digest(self) -> str:
        """What the image is named by."""
        return digest(self.manifest)


@dataclass(frozen=True)
class Layer:
    """A layer: its compressed bytes, and the digest of the tar file."""

    data: bytes
    diff_id: str


class Assembled(BaseModel):
    """An image that a registry has now. ``sent`` are the bytes that had to be sent for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    digest: str
    by_digest: str
    dependencies: str
    sent: int

    @property
    def results(self) -> dict[str, str]:
        """The results of the Task build-image."""
        return {"IMAGE": self.by_digest, "IMAGE_URL": self.reference, "IMAGE_DIGEST": self.digest}


def assemble(
    checkout: Path,
    python: str,
    dependencies: str,
    reference: str,
    source: str,
    registry: Registry,
    tags: Sequence[str] = (),
) -> Assembled:
    """Put the package of a checkout onto its dependencies, and push that.

    Args:
        checkout: as `package_files` takes it.
        python: the Python of the dependencies, as 3.12.
        dependencies: what the image lies on, by digest or tag.
        reference: the image's name, with a tag.
        source: where the repository is cloned from, for the label; "" for none.
        registry: how both are reached.
        tags: what else it is to be found by.

    Raises:
        UsageError: the checkout has no package, or the dependencies are no image.
        PlatformError: a registry cannot be reached, or refuses.
    """
    image = image_of(checkout, python, dependencies, source, registry)
    name, _, tag = reference.rpartition(":")
    below, target = _below(dependencies, registry), Repository(registry, name, f"push {reference}")
    sent = 0
    for known, size in image.lower:
        sent += size * target.push(known, size, partial(below.stream, known), below.name)
    for data in image.pieces:
        sent += len(data) * target.push(digest(data), len(data), partial(iter, [data]))
    for each in (tag, *tags):
        target.push_manifest(each, image.manifest)
    return Assembled(
        reference=reference,
        digest=image.digest,
        by_digest=f"{name}@{image.digest}",
        dependencies=dependencies,
        sent=sent,
    )


def image_of(checkout: Path, python: str, dependencies: str, source: str, registry: Registry) -> Image:
    """Return the image of a checkout, of which nothing is pushed.

    Args:
        checkout: as `package_files` takes it.
        python: the Python of the dependencies, as 3.12.
        dependencies: what the image lies on, by digest or tag.
        source: where the repository is cloned from, for the label; "" for none.
        registry: how the dependencies are reached.

    Raises:
        UsageError, PlatformError: as `assemble`.
    """
    layer = code_layer(package_files(checkout, python))
    below = _below(dependencies, registry)
    manifest = below.manifest(dependencies.rpartition("@" if "@" in dependencies else ":")[2])
    kind = manifest.get("mediaType", OCI_MANIFEST)
    if kind not in LAYERS:
        raise UsageError(f"{dependencies} is no image of one platform, but {kind}: name one")
    try:
        config = canonical_bytes(_config(below.config(manifest["config"]["digest"]), layer, source))
        lower = tuple((entry["digest"], entry["size"]) for entry in manifest["layers"])
        about = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {"mediaType": manifest["config"]["mediaType"], **_named(config)},
            "layers": [*manifest["layers"], {"mediaType": LAYERS[kind], **_named(layer.data)}],
        }
    except (LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{dependencies} is no image: {error!r}") from error
    return Image(canonical_bytes(about), (layer.data, config), lower)


def _below(dependencies: str, registry: Registry) -> Repository:
    name = dependencies.rpartition("@" if "@" in dependencies else ":")[0]
    return Repository(registry, name, f"read {dependencies}")


def code_layer(files: Mapping[str, File]) -> Layer:
    """Make a layer of files by path from the root, and their folders: sorted, root's, without a date."""
    packed = io.BytesIO()
    folders = {str(folder) for name in files for folder in PurePosixPath(name).parents} - {"."}
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted({*files, *folders}):
            entry = tarfile.TarInfo(name)
            if name in files:
                entry.mode, entry.size = files[name].mode, len(files[name].data)
                tar.addfile(entry, io.BytesIO(files[name].data))
            else:
                entry.mode, entry.type = 0o755, tarfile.DIRTYPE
                tar.addfile(entry)
    # Gzip, with no date and no name in its header.
    return Layer(zlib.compress(packed.getvalue(), level=9, wbits=31), digest(packed.getvalue()))


def _config(below: dict[str, Any], layer: Layer, source: str) -> dict[str, Any]:
    """Return the image's configuration: that of its dependencies, with one layer and our labels on top."""
    labels = {**(below["config"].get("Labels") or {}), **LABELS, **({SOURCE: source} if source else {})}
    step = {"created": EPOCH, "created_by": "jukebox ci image-assemble"}
    return {
        **below,
        "created": EPOCH,
        "config": {**below["config"], "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [*below["rootfs"]["diff_ids"], layer.diff_id]},
        "history": [*below.get("history", []), step],
    }


def _named(data: bytes) -> dict[str, Any]:
    return {"digest": digest(data), "size": len(data)}
