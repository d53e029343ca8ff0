"""Assemble the component image: add the package as one layer to the dependency image in a registry.

No code of the checkout is executed, and no container engine or privilege is needed: a layer is a tar file,
and an image is two JSON documents that name its layers. `podman build --target component .` gives the same
files; a test compares them. The same package on the same dependencies gives the same image for every commit.
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
"""The date of the image and of every file in its layer."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker"
LAYERS = {
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
    f"{DOCKER}.distribution.manifest.v2+json": f"{DOCKER}.image.rootfs.diff.tar.gzip",
}
"""The media type of the layers for each media type of a manifest."""

LABELS = {
    "org.opencontainers.image.title": "jukebox component",
    "org.opencontainers.image.description": "What the steps of the training pipeline run in",
}
SOURCE = "org.opencontainers.image.source"


@dataclass(frozen=True)
class Image:
    """An image that is ready to be pushed.

    ``new_blobs`` are the layer and the configuration that the image adds. ``base_layers`` has the digest and
    the size in bytes of each layer that it takes from the dependency image.
    """

    manifest: bytes
    new_blobs: tuple[bytes, ...]
    base_layers: tuple[tuple[str, int], ...]

    @property
    def digest(self) -> str:
        """The digest of the manifest, which names the image."""
        return digest(self.manifest)


@dataclass(frozen=True)
class Layer:
    """A layer: its compressed bytes, and the digest of the uncompressed tar file."""

    data: bytes
    diff_id: str


class Assembled(BaseModel):
    """An image that was pushed to a registry. ``sent`` is the number of bytes that were uploaded."""

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
    """Add the package of a checkout to the dependency image, and push the result.

    Args:
        checkout: as for `package_files`.
        python: the Python version of the dependencies, as 3.12.
        dependencies: the dependency image, by digest or tag.
        reference: the image's name, with a tag.
        source: the address that the repository is cloned from, for the label; "" for none.
        registry: the connection to both registries.
        tags: more tags for the image.

    Raises:
        UsageError: the checkout has no package, or the dependencies are not an image.
        PlatformError: a registry cannot be reached, or refuses.
    """
    image = image_of(checkout, python, dependencies, source, registry)
    name, _, tag = reference.rpartition(":")
    base, target = _repository_of(dependencies, registry), Repository(registry, name, f"push {reference}")
    sent = 0
    for layer, size in image.base_layers:
        sent += size * target.push(layer, size, partial(base.stream, layer), base.name)
    for data in image.new_blobs:
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
    """Return the image of a checkout without pushing it.

    Args:
        checkout: as for `package_files`.
        python: the Python version of the dependencies, as 3.12.
        dependencies: the dependency image, by digest or tag.
        source: the address that the repository is cloned from, for the label; "" for none.
        registry: the connection to the registry of the dependencies.

    Raises:
        UsageError, PlatformError: as for `assemble`.
    """
    layer = code_layer(package_files(checkout, python))
    base = _repository_of(dependencies, registry)
    base_manifest = base.manifest(dependencies.rpartition("@" if "@" in dependencies else ":")[2])
    kind = base_manifest.get("mediaType", OCI_MANIFEST)
    if kind not in LAYERS:
        raise UsageError(f"{dependencies} is not an image for one platform, but {kind}: name one image of it")
    try:
        config = canonical_bytes(_config(base.config(base_manifest["config"]["digest"]), layer, source))
        base_layers = tuple((entry["digest"], entry["size"]) for entry in base_manifest["layers"])
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {"mediaType": base_manifest["config"]["mediaType"], **_descriptor(config)},
            "layers": [*base_manifest["layers"], {"mediaType": LAYERS[kind], **_descriptor(layer.data)}],
        }
    except (LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{dependencies} is not a valid image: {error!r}") from error
    return Image(canonical_bytes(manifest), (layer.data, config), base_layers)


def _repository_of(reference: str, registry: Registry) -> Repository:
    name = reference.rpartition("@" if "@" in reference else ":")[0]
    return Repository(registry, name, f"read {reference}")


def code_layer(files: Mapping[str, File]) -> Layer:
    """Return a layer with these files and their folders: sorted, owned by root, without dates.

    Args:
        files: by path from the root.
    """
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
    # Gzip (wbits=31), with no date and no name in its header.
    return Layer(zlib.compress(packed.getvalue(), level=9, wbits=31), digest(packed.getvalue()))


def _config(base: dict[str, Any], layer: Layer, source: str) -> dict[str, Any]:
    """Return the configuration of the dependency image with one more layer and our labels."""
    labels = {**(base["config"].get("Labels") or {}), **LABELS, **({SOURCE: source} if source else {})}
    step = {"created": EPOCH, "created_by": "jukebox ci image-assemble"}
    return {
        **base,
        "created": EPOCH,
        "config": {**base["config"], "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], layer.diff_id]},
        "history": [*base.get("history", []), step],
    }


def _descriptor(data: bytes) -> dict[str, Any]:
    return {"digest": digest(data), "size": len(data)}
