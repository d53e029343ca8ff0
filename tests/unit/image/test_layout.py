"""What a step without a credential has built: checked before it is pushed, whatever that step has written."""

import json
import shutil

import pytest
from docker_registry import registry_server
from oci_images import image, pull, write_layout

from ml.core.canonical import digest
from ml.core.errors import RunFailed
from ml.image.layout import push_layout, read_layout
from ml.image.registry import Registry


@pytest.fixture
def made() -> dict[str, bytes]:
    return image({"opt/jukebox/pyvenv.cfg": "home = /usr/bin\n"})


@pytest.fixture
def layout(tmp_path, made):
    return write_layout(tmp_path / "layout", made)


def blob(layout, data: bytes):
    return layout / "blobs" / "sha256" / digest(data).removeprefix("sha256:")


def test_an_image_is_pushed_as_it_was_built(layout, made, tmp_path):
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry; install it: apt-get install docker-registry")
    with registry_server(tmp_path) as host:
        for _ in range(2):
            pushed = push_layout(read_layout(layout), f"{host}/team/build:key", Registry(insecure=True))
            assert pushed == digest(made["manifest"])
        assert pull(f"{host}/team/build@{pushed}") == pull(f"{host}/team/build:key")


def index(layout, **changes) -> None:
    path = layout / "index.json"
    found = json.loads(path.read_text())
    found["manifests"][0].update(changes)
    path.write_text(json.dumps(found))


def manifest(layout, made, change) -> None:
    """Put another manifest into a layout, under its own digest."""
    found = json.loads(made["manifest"])
    change(found)
    data = json.dumps(found).encode()
    blob(layout, data).write_bytes(data)
    index(layout, digest=digest(data), size=len(data))


def swap(layout, made, tmp_path) -> None:
    """Put a link to a secret in the place of the layer, with the digest of the secret."""
    secret = tmp_path / "config.json"
    secret.write_text("canary")
    entry = {"mediaType": "x", "digest": digest(b"canary"), "size": 6}
    blob(layout, b"canary").symlink_to(secret)
    manifest(layout, made, lambda found: found.update(layers=[entry]))


def append(path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


BROKEN = {
    "no folder": (lambda lay, made, tmp: shutil.rmtree(lay), "index.json is missing"),
    "no index": (lambda lay, made, tmp: (lay / "index.json").unlink(), "index.json is missing"),
    "no JSON": (lambda lay, made, tmp: (lay / "index.json").write_text("{"), "Expecting"),
    "a list": (lambda lay, made, tmp: (lay / "index.json").write_text("[]"), "not a JSON object"),
    "two images": (
        lambda lay, made, tmp: (lay / "index.json").write_text('{"manifests": [{}, {}]}'),
        "too many values",
    ),
    "an index that is a link": (
        lambda lay, made, tmp: (
            (lay / "index.json").rename(tmp / "x") and (lay / "index.json").symlink_to(tmp / "x")
        ),
        "a link",
    ),
    "a path for a digest": (lambda lay, made, tmp: index(lay, digest="sha256:../../../x"), "is not a digest"),
    "a number for a digest": (lambda lay, made, tmp: index(lay, digest=7), "expected string"),
    "another manifest": (
        lambda lay, made, tmp: append(blob(lay, made["manifest"])),
        "differs from its digest or size",
    ),
    "another size": (lambda lay, made, tmp: index(lay, size=1), "differs from its digest or size"),
    "a blob too few": (
        lambda lay, made, tmp: [
            blob(lay, data).unlink() for name, data in made.items() if name != "manifest"
        ],
        "is missing",
    ),
    "another blob": (
        lambda lay, made, tmp: [append(blob(lay, data)) for name, data in made.items() if name != "manifest"],
        "differs from its digest or size",
    ),
    "a link to a secret": (swap, "a link"),
    "a manifest of platforms": (
        lambda lay, made, tmp: manifest(lay, made, lambda found: found.update(mediaType="x")),
        "not an image for one platform",
    ),
    "no layers": (lambda lay, made, tmp: manifest(lay, made, lambda found: found.pop("layers")), "layers"),
    "a manifest without end": (
        lambda lay, made, tmp: manifest(lay, made, lambda found: found.update(x="x" * (4 << 20))),
        "more than 4194304 bytes",
    ),
}


@pytest.mark.parametrize("way", BROKEN)
def test_what_is_not_as_its_digests_say_is_refused(layout, made, tmp_path, way):
    damage, said = BROKEN[way]
    damage(layout, made, tmp_path)
    with pytest.raises(RunFailed, match="is not an image that can be pushed: ") as caught:
        read_layout(layout)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_blobs_that_is_a_link_is_refused(layout, tmp_path):
    (layout / "blobs").rename(tmp_path / "blobs")
    (layout / "blobs").symlink_to(tmp_path / "blobs")
    with pytest.raises(RunFailed, match="a link"):
        read_layout(layout)
