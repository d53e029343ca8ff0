"""An OCI layout from an untrusted step: checked before anything is pushed."""

import json

import pytest
from checkouts import append
from oci_images import image, write_layout

from ml.core.canonical import digest
from ml.core.errors import RunFailed
from ml.image.layout import read_layout

MADE = image({"opt/jukebox/pyvenv.cfg": "home = /usr/bin\n"})
BLOBS = [data for name, data in MADE.items() if name != "manifest"]


@pytest.fixture
def layout(tmp_path):
    return write_layout(tmp_path / "layout", MADE)


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


def link(path) -> None:
    path.symlink_to(path.rename(path.parents[1] / "elsewhere"))


def link_to_a_secret(layout) -> None:
    """Put a link to a secret in the place of the layer, with the digest of the secret."""
    (layout.parent / "config.json").write_text("canary")
    blob(layout, b"canary").symlink_to(layout.parent / "config.json")
    manifest(layout, layers=[{"mediaType": "x", "digest": digest(b"canary"), "size": 6}])


DIFFERS, LINK = "differs from its digest or size", "is missing, or a link"
# fmt: off
BROKEN = [
    ("index.json is missing", lambda at: (at / "index.json").unlink()),
    ("Expecting", lambda at: (at / "index.json").write_text("{")),
    ("not a JSON object", lambda at: (at / "index.json").write_text("[]")),
    ("too many values", lambda at: (at / "index.json").write_text('{"manifests": [{}, {}]}')),
    (LINK, lambda at: link(at / "index.json")),
    (LINK, lambda at: link(at / "blobs")),
    (LINK, lambda at: blob(at, BLOBS[0]).unlink()),
    (LINK, link_to_a_secret),
    ("is not a digest", lambda at: index(at, digest="sha256:../../../x")),
    ("expected string", lambda at: index(at, digest=7)),
    (DIFFERS, lambda at: append(blob(at, MADE["manifest"]))),
    (DIFFERS, lambda at: index(at, size=1)),
    (DIFFERS, lambda at: append(blob(at, BLOBS[1]))),
    ("not an image for one platform", lambda at: manifest(at, mediaType="x")),
    ("layers", lambda at: manifest(at, layers=None)),
    ("more than 4194304 bytes", lambda at: manifest(at, x="x" * (4 << 20))),
]
# fmt: on


@pytest.mark.parametrize(("said", "damage"), BROKEN)
def test_a_layout_that_differs_from_its_digests_is_refused(layout, said, damage):
    damage(layout)
    with pytest.raises(RunFailed, match=rf"^.* is not an image that can be pushed: .*{said}.*$"):
        read_layout(layout)
