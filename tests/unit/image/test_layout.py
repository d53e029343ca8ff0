"""An OCI layout from an untrusted step: checked before anything is pushed."""

import json
import shutil

import pytest
from checkouts import append
from oci_images import image, pull, write_layout

from ml.core.canonical import digest
from ml.core.errors import RunFailed
from ml.image.layout import push_layout, read_layout
from ml.image.registry import Registry

MADE = image({"opt/jukebox/pyvenv.cfg": "home = /usr/bin\n"})
BLOBS = [data for name, data in MADE.items() if name != "manifest"]


@pytest.fixture
def layout(tmp_path):
    return write_layout(tmp_path / "layout", MADE)


def test_an_image_is_pushed_as_it_was_built(layout, host):
    for _ in range(2):
        pushed = push_layout(read_layout(layout), f"{host}/team/build:key", Registry(insecure=True))
        assert pushed == digest(MADE["manifest"])
    assert pull(f"{host}/team/build@{pushed}") == pull(f"{host}/team/build:key")


def blob(layout, data: bytes):
    return layout / "blobs/sha256" / digest(data).removeprefix("sha256:")


def index(layout, **changes) -> None:
    document = json.loads((layout / "index.json").read_text())
    document["manifests"][0].update(changes)
    (layout / "index.json").write_text(json.dumps(document))


def manifest(layout, **changes) -> None:
    """Write another manifest into a layout, under its own digest; None removes a field."""
    document = {**json.loads(MADE["manifest"]), **changes}
    data = json.dumps({name: value for name, value in document.items() if value is not None}).encode()
    blob(layout, data).write_bytes(data)
    index(layout, digest=digest(data), size=len(data))


def link(path, target) -> None:
    path.rename(target)
    path.symlink_to(target)


def link_to_a_secret(layout) -> None:
    """Put a link to a secret in the place of the layer, with the digest of the secret."""
    (layout.parent / "config.json").write_text("canary")
    blob(layout, b"canary").symlink_to(layout.parent / "config.json")
    manifest(layout, layers=[{"mediaType": "x", "digest": digest(b"canary"), "size": 6}])


BROKEN = {
    "no folder": (shutil.rmtree, "index.json is missing"),
    "no index": (lambda at: (at / "index.json").unlink(), "index.json is missing"),
    "not JSON": (lambda at: (at / "index.json").write_text("{"), "Expecting"),
    "a list": (lambda at: (at / "index.json").write_text("[]"), "not a JSON object"),
    "two images": (lambda at: (at / "index.json").write_text('{"manifests": [{}, {}]}'), "too many values"),
    "an index that is a link": (lambda at: link(at / "index.json", at.parent / "x"), "a link"),
    "blobs that are a link": (lambda at: link(at / "blobs", at.parent / "x"), "a link"),
    "a path for a digest": (lambda at: index(at, digest="sha256:../../../x"), "is not a digest"),
    "a number for a digest": (lambda at: index(at, digest=7), "expected string"),
    "another manifest": (lambda at: append(blob(at, MADE["manifest"])), "differs from its digest or size"),
    "another size": (lambda at: index(at, size=1), "differs from its digest or size"),
    "a missing blob": (lambda at: blob(at, BLOBS[0]).unlink(), "is missing"),
    "another blob": (lambda at: append(blob(at, BLOBS[1])), "differs from its digest or size"),
    "a link to a secret": (link_to_a_secret, "a link"),
    "an index of platforms": (lambda at: manifest(at, mediaType="x"), "not an image for one platform"),
    "no layers": (lambda at: manifest(at, layers=None), "layers"),
    "a long manifest": (lambda at: manifest(at, x="x" * (4 << 20)), "more than 4194304 bytes"),
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_layout_that_differs_from_its_digests_is_refused(layout, way):
    damage, said = BROKEN[way]
    damage(layout)
    with pytest.raises(RunFailed, match="is not an image that can be pushed: ") as caught:
        read_layout(layout)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
