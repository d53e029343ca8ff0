"""Images made by hand: pushed to a registry, written as a layout, and pulled without the code under test."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace

import requests

from ml.core.canonical import canonical_bytes, digest
from ml.image.registry import Registry
from ml.image.repository import Repository

OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker"
OF_DOCKER = ("distribution.manifest.v2+json", "container.image.v1+json", "image.rootfs.diff.tar.gzip")
KINDS = {
    "oci": tuple(f"{OCI}.{part}" for part in ("manifest.v1+json", "config.v1+json", "layer.v1.tar+gzip")),
    "docker": tuple(f"{DOCKER}.{part}" for part in OF_DOCKER),
}
"""The media types of a manifest, a configuration and a layer."""


def image(files: dict[str, str], kind: str = "oci", **changes) -> dict[str, bytes]:
    """Return an image with one layer: its blobs by digest, and its manifest under ``manifest``."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    layer = gzip.compress(packed.getvalue(), mtime=0)
    settings = {"Env": ["HOME=/tmp"], "Cmd": ["jukebox", "--help"], "Labels": {"io.buildah.version": "1"}}
    document = {"architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z", "config": settings}
    document["rootfs"] = {"type": "layers", "diff_ids": [digest(packed.getvalue())]}
    config = canonical_bytes({**document, "history": [{"created_by": "a test"}], **changes})
    of_manifest, of_config, of_layer = KINDS[kind]
    manifest = {"schemaVersion": 2, "mediaType": of_manifest, "config": _entry(of_config, config)}
    manifest["layers"] = [_entry(of_layer, layer)]
    return {digest(layer): layer, digest(config): config, "manifest": canonical_bytes(manifest)}


def _entry(kind: str, data: bytes) -> dict:
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


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
    for data in made.values():
        (blobs / digest(data).removeprefix("sha256:")).write_bytes(data)
    entry = _entry(KINDS["oci"][0], made["manifest"])
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return folder


def pull(reference: str, login: str = "") -> SimpleNamespace:
    """Pull an image by tag or digest, with a login if given, and check each of its digests.

    ``top`` has the files of the top layer: mode and content by path.
    """
    host, _, rest = reference.partition("/")
    name, _, which = rest.rpartition("@" if "@" in rest else ":")
    accept = ", ".join(kinds[0] for kinds in KINDS.values())

    def get(path: str) -> requests.Response:
        auth, url = tuple(login.split(":")) if login else None, f"http://{host}/v2/{name}/{path}"
        answer = requests.get(url, headers={"Accept": accept}, auth=auth, timeout=10)
        answer.raise_for_status()
        return answer

    def blob(entry: dict) -> bytes:
        data = get(f"blobs/{entry['digest']}").content
        assert (digest(data), len(data)) == (entry["digest"], entry["size"])
        return data

    manifest = get(f"manifests/{which}").json()
    config = json.loads(blob(manifest["config"]))
    layers = [gzip.decompress(blob(entry)) for entry in manifest["layers"]]
    assert [digest(layer) for layer in layers] == config["rootfs"]["diff_ids"]
    with tarfile.open(fileobj=io.BytesIO(layers[-1])) as tar:
        top = {entry.name: (entry.mode, tar.extractfile(entry).read()) for entry in tar if entry.isfile()}
    return SimpleNamespace(manifest=manifest, config=config, top=top)
