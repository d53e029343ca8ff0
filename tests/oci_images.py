"""Images made by hand: pushed to a registry, written as a layout, and pulled without the code under test."""

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import requests

from ml.core.canonical import canonical_bytes, digest
from ml.image.registry import Registry
from ml.image.repository import Repository

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
KINDS = {
    "oci": (f"{OCI}.manifest.v1+json", f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar+gzip"),
    "docker": (
        f"{DOCKER}.distribution.manifest.v2+json",
        f"{DOCKER}.container.image.v1+json",
        f"{DOCKER}.image.rootfs.diff.tar.gzip",
    ),
}


def packed(files: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return data.getvalue()


def image(files: dict[str, str], kind: str = "oci", **changes) -> dict[str, bytes]:
    """Return an image with one layer: its blobs by digest, and its manifest under ``manifest``."""
    of_manifest, of_config, of_layer = KINDS[kind]
    tar = packed(files)
    layer = gzip.compress(tar, mtime=0)
    settings = {"Env": ["HOME=/tmp"], "Cmd": ["jukebox", "--help"], "Labels": {"io.buildah.version": "1"}}
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
        "history": [{"created_by": "a test"}],
    }
    config = canonical_bytes({**document, **changes})
    manifest = {
        "schemaVersion": 2,
        "mediaType": of_manifest,
        "config": {"mediaType": of_config, "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": of_layer, "digest": digest(layer), "size": len(layer)}],
    }
    return {digest(layer): layer, digest(config): config, "manifest": canonical_bytes(manifest)}


def push(registry: Registry, reference: str, made: dict[str, bytes]) -> str:
    """Push an image, and return its name by digest."""
    name, _, tag = reference.rpartition(":")
    target = Repository(registry, name, f"push {reference}")
    for blob in made.keys() - {"manifest"}:
        target.push(blob, len(made[blob]), lambda blob=blob: iter([made[blob]]))
    return f"{name}@{target.push_manifest(tag, made['manifest'])}"


def write_layout(folder: Path, made: dict[str, bytes]) -> Path:
    """Write an image as an OCI layout."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for data in made.values():
        (blobs / digest(data).removeprefix("sha256:")).write_bytes(data)
    manifest = made["manifest"]
    entry = {"mediaType": KINDS["oci"][0], "digest": digest(manifest), "size": len(manifest)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return folder


@dataclass(frozen=True)
class Pulled:
    """An image as another client gets it."""

    manifest: dict
    config: dict
    layers: list[bytes]

    @property
    def top(self) -> dict[str, tuple[int, bytes]]:
        """The files of the top layer: mode and content by path."""
        with tarfile.open(fileobj=io.BytesIO(self.layers[-1])) as tar:
            files = [entry for entry in tar if entry.isfile()]
            return {entry.name: (entry.mode, tar.extractfile(entry).read()) for entry in files}


def pull(reference: str, login: str = "") -> Pulled:
    """Pull an image by tag or digest, with a login if given, and check each of its digests."""
    host, _, rest = reference.partition("/")
    name, _, which = rest.rpartition("@" if "@" in rest else ":")
    root = f"http://{host}/v2/{name}"
    accept = ", ".join(kinds[0] for kinds in KINDS.values())
    auth = tuple(login.split(":")) if login else None
    answer = requests.get(f"{root}/manifests/{which}", headers={"Accept": accept}, auth=auth, timeout=10)
    answer.raise_for_status()
    manifest = answer.json()

    def blob(entry: dict) -> bytes:
        data = requests.get(f"{root}/blobs/{entry['digest']}", auth=auth, timeout=10).content
        assert (digest(data), len(data)) == (entry["digest"], entry["size"])
        return data

    config = json.loads(blob(manifest["config"]))
    layers = [gzip.decompress(blob(entry)) for entry in manifest["layers"]]
    assert [digest(layer) for layer in layers] == config["rootfs"]["diff_ids"]
    return Pulled(manifest, config, layers)
