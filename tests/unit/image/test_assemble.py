"""`jukebox ci image-assemble` with a real registry: one layer onto an image, and every way to fail."""

import io
import json
import tarfile

import pytest
import requests
from checkouts import ROOT, append, results, task
from docker_registry import registry_server
from oci_images import KINDS, image, pull, push
from processes import assert_one_line

from ml.core.canonical import digest
from ml.image.assemble import LABELS, SOURCE, code_layer
from ml.image.package import package_files
from ml.image.registry import Registry

COMMIT = "c0ffee" * 6 + "c0ff"
URL = "https://git.example/team/jukebox"


@pytest.fixture
def below(host, request) -> str:
    """Dependencies in a repository for each test, by digest."""
    reference = f"{host}/{request.node.name.split('[')[0]}/component-dependencies:key"
    return push(Registry(insecure=True), reference, image({"opt/jukebox/pyvenv.cfg": "home = /usr/bin\n"}))


def assemble(tree, below, *options: object, **env: str):
    variables = {"JUKEBOX_REPOSITORY": below.partition("/component-dependencies")[0], "JUKEBOX_SOURCE": URL}
    variables |= {"JUKEBOX_DEPENDENCIES": below, "JUKEBOX_TAG": COMMIT, **env}
    return task(tree, "image-assemble", "--checkout", tree, *options, **variables)


def assembled(tree, below, **env: str) -> dict:
    return json.loads(assemble(tree, below, "--json", **env).stdout)


def component(below: str) -> str:
    return below.replace("component-dependencies", "component").partition("@")[0]


def test_the_package_is_one_layer_on_the_dependencies(tree, below):
    done = assemble(tree, below)
    assert (done.returncode, done.stderr) == (0, "")
    written, by_tag = results(tree), f"{component(below)}:{COMMIT}"
    by_digest = f"{component(below)}@{written['IMAGE_DIGEST']}"
    assert written == {"IMAGE": by_digest, "IMAGE_URL": by_tag, "IMAGE_DIGEST": written["IMAGE_DIGEST"]}
    assert done.stdout.startswith(by_digest)
    lower, ours = pull(below), pull(by_digest)
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


def test_a_commit_with_the_same_package_is_the_same_image_and_sends_nothing(tree, below):
    first = assembled(tree, below)
    # The layers of the dependencies are mounted: only the configuration and the code are sent.
    manifest = pull(first["by_digest"]).manifest
    assert first["sent"] == manifest["config"]["size"] + manifest["layers"][-1]["size"]
    append(tree / "README.md")
    again = assembled(tree, below, JUKEBOX_TAG="another")
    assert (again["digest"], again["sent"]) == (first["digest"], 0)
    append(tree / "ml/core/version.py")
    other = assembled(tree, below)
    assert other["digest"] != first["digest"]
    assert 0 < other["sent"] < 100_000


def test_in_another_registry_all_layers_are_sent(tree, below, tmp_path):
    with registry_server(tmp_path) as other:
        done = assembled(tree, below, JUKEBOX_REPOSITORY=f"{other}/team")
        ours = pull(done["by_digest"]).manifest
    assert ours["layers"][0] == pull(below).manifest["layers"][0]
    assert done["sent"] == sum(entry["size"] for entry in (ours["config"], *ours["layers"]))


def test_dependencies_may_be_a_docker_image_by_tag(tree, host):
    reference = f"{host}/docker/component-dependencies:key"
    push(Registry(insecure=True), reference, image({"a": "b"}, "docker"))
    assert assemble(tree, reference, JUKEBOX_SOURCE="").returncode == 0
    ours = pull(results(tree)["IMAGE"])
    assert ours.manifest["mediaType"] == KINDS["docker"][0]
    assert {entry["mediaType"] for entry in ours.manifest["layers"]} == {KINDS["docker"][2]}
    assert SOURCE not in ours.config["config"]["Labels"]


@pytest.mark.parametrize(
    ("tag", "code", "said"),
    [
        ("index", 2, "is not an image for one platform"),
        ("empty", 2, "is not a valid image"),
        ("none", 30, "the registry answers 404"),
    ],
)
def test_dependencies_that_are_not_one_image_are_refused(tree, host, tag, code, said):
    kind, reference = "application/vnd.oci.image.index.v1+json", f"{host}/odd/component-dependencies"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": []})
    url = f"http://{host}/v2/odd/component-dependencies/manifests/index"
    assert requests.put(url, data=index, headers={"Content-Type": kind}, timeout=5).status_code == 201
    push(Registry(insecure=True), f"{reference}:empty", image({}, rootfs={}))
    assert said in assert_one_line(assemble(tree, f"{reference}:{tag}"), code)
    assert results(tree) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--repository", "Registry/x"], "--repository Registry/x: name it as"),
        (["--tag", "a/b"], "--tag a/b: "),
        (["--dependencies", "registry.example/x"], "--dependencies registry.example/x: "),
        (["--python", "3.13"], "--python 3.13: "),
        (["--checkout", "."], "cannot read pyproject.toml: No such file"),
        (["--results-dir", "/etc/hostname"], "--results-dir /etc/hostname: "),
        ([], "ml/notes.txt is a link"),
    ],
)
def test_what_is_refused_is_one_line_and_nothing_is_pushed(tree, below, options, said):
    (tree / "ml/notes.txt").symlink_to("/etc/hostname")
    assert said in assert_one_line(assemble(tree, below, *options), 2)
    assert results(tree) == {}
    assert Registry(insecure=True).digest(f"{component(below)}:{COMMIT}") is None


def test_the_layer_is_sorted_without_dates_and_owned_by_root():
    files = package_files(ROOT, "3.12")
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
    assert digest(ours.data) != ours.diff_id
