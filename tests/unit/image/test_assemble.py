"""`jukebox ci image-assemble` with a real registry: one layer onto an image, and every way to fail."""

import io
import json
import shutil
import tarfile

import pytest
from checkouts import append, results, task
from oci_images import KINDS, image, pull, push
from processes import assert_one_line

from ml.image.assemble import LABELS, SOURCE, code_layer
from ml.image.package import package_files
from ml.image.registry import Registry

COMMIT = "c0ffee" * 6 + "c0ff"
URL = "https://git.example/team/jukebox"
MADE = image({"opt/jukebox/pyvenv.cfg": "home = /usr/bin\n"})


@pytest.fixture
def below(host, request) -> str:
    """Dependencies in a repository for each test, by digest."""
    return pushed(f"{host}/{request.node.name.split('[')[0]}/component-dependencies:key")


def pushed(reference: str, made: dict[str, bytes] = MADE) -> str:
    return push(Registry(insecure=True), reference, made)


def assemble(tree, below, *options: object, **env: str):
    env = {"REPOSITORY": below.partition("/component-dependencies")[0], "SOURCE": URL, **env}
    env = {f"JUKEBOX_{name}": value for name, value in {"DEPENDENCIES": below, "TAG": COMMIT, **env}.items()}
    return task(tree, "image-assemble", "--checkout", tree, *options, **env)


def assembled(tree, below, **env: str) -> dict:
    return json.loads(assemble(tree, below, "--json", **env).stdout)


def test_the_package_is_one_layer_on_the_dependencies(tree, below):
    done, written = assemble(tree, below), results(tree)
    assert (done.returncode, done.stderr) == (0, "")
    name = below.replace("component-dependencies", "component").partition("@")[0]
    image, by_tag = f"{name}@{written['IMAGE_DIGEST']}", f"{name}:{COMMIT}"
    assert written == {"IMAGE": image, "IMAGE_URL": by_tag, "IMAGE_DIGEST": written["IMAGE_DIGEST"]}
    assert done.stdout.startswith(image)
    lower, ours = pull(below), pull(image)
    assert ours == pull(by_tag)
    assert ours.manifest["layers"][:-1] == lower.manifest["layers"]
    assert ours.top == {name: (file.mode, file.data) for name, file in package_files(tree, "3.12").items()}
    labels = ours.config["config"].pop("Labels")
    assert labels == {**lower.config["config"].pop("Labels"), **LABELS, SOURCE: URL}
    for unchanged in ("config", "architecture", "os"):
        assert ours.config[unchanged] == lower.config[unchanged]
    assert ours.config["history"][:-1] == lower.config["history"]
    assert len(ours.config["history"]) == len(ours.config["rootfs"]["diff_ids"])
    assert ours.config["created"] == "1970-01-01T00:00:00Z"
    assert COMMIT not in json.dumps(ours.config)


def test_a_commit_with_the_same_package_is_the_same_image_and_sends_nothing(tree, below, host):
    first = assembled(tree, below)
    # The layers of the dependencies are mounted: only the configuration and the code are sent.
    manifest = pull(first["by_digest"]).manifest
    assert first["sent"] == manifest["config"]["size"] + manifest["layers"][-1]["size"]
    append(tree / "README.md")
    again = assembled(tree, below, TAG="another")
    assert (again["digest"], again["sent"]) == (first["digest"], 0)
    # From what is another registry by its name, all layers are sent.
    other = assembled(tree, below, REPOSITORY=f"localhost:{host.rpartition(':')[2]}/other")
    assert other["sent"] == first["sent"] + manifest["layers"][0]["size"]
    append(tree / "ml/core/version.py")
    assert assembled(tree, below)["digest"] != first["digest"]


def test_dependencies_may_be_a_docker_image_by_tag(tree, host):
    reference = f"{host}/docker/component-dependencies:key"
    pushed(reference, image({"a": "b"}, "docker"))
    ours = pull(assembled(tree, reference, SOURCE="")["by_digest"])
    assert ours.manifest["mediaType"] == KINDS["docker"][0]
    assert {entry["mediaType"] for entry in ours.manifest["layers"]} == {KINDS["docker"][2]}
    assert SOURCE not in ours.config["config"]["Labels"]


INDEX = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
PLATFORMS, INVALID = {"manifest": json.dumps(INDEX).encode()}, image({}, rootfs={})


@pytest.mark.parametrize(
    ("made", "options", "said"),
    [
        (PLATFORMS, [], "is not an image for one platform"),
        (INVALID, [], "is not a valid image"),
        (MADE, ["--repository", "Registry/x"], "--repository Registry/x: name it as"),
        (MADE, ["--tag", "a/b"], "--tag a/b: "),
        (MADE, ["--dependencies", "registry.example/x"], "--dependencies registry.example/x: "),
        (MADE, ["--python", "3.13"], "--python 3.13: "),
        (MADE, ["--results-dir", "/etc/hostname"], "--results-dir /etc/hostname: "),
        (MADE, ["--checkout", "linked"], "ml/notes.txt is a link"),
    ],
)
def test_what_is_refused_is_one_line_and_nothing_is_pushed(tree, host, made, options, said):
    below = pushed(f"{host}/odd/component-dependencies:key", made)
    linked = shutil.copytree(tree, tree.with_name("linked"))
    (linked / "ml/notes.txt").symlink_to("/etc/hostname")
    assert said in assert_one_line(assemble(tree, below, *options), 2)
    assert results(tree) == {}
    assert Registry(insecure=True).digest(f"{host}/odd/component:{COMMIT}") is None


def test_the_layer_is_sorted_without_dates_and_owned_by_root(tree):
    files = package_files(tree, "3.12")
    ours = code_layer(files)
    assert ours == code_layer(dict(reversed(files.items())))
    assert ours.data[4:8] == bytes(4), "the date in the header of gzip"
    with tarfile.open(fileobj=io.BytesIO(ours.data)) as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    owners = {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries}
    assert owners == {(0, 0, 0, "", "")}
    assert {entry.mode for entry in entries if entry.isdir()} == {0o755}
    assert entries[0].name == "opt"
