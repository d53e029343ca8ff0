"""`jukebox ci image-assemble` with a real registry: one layer onto an image, and every way to fail."""

import io
import json
import shutil
import tarfile

import pytest
import requests
from checkouts import ROOT
from command import called
from docker_registry import registry_server
from oci_images import KINDS, image, pull, push
from processes import assert_one_line

from ml.core.canonical import digest
from ml.image.assemble import LABELS, SOURCE, code_layer
from ml.image.package import package_files
from ml.image.registry import Registry

COMMIT = "c0ffee" * 6 + "c0ff"
URL = "https://git.example/team/jukebox"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry; install it: apt-get install docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    with registry_server(folder) as found:
        yield found


@pytest.fixture
def below(host, request) -> str:
    """Dependencies in a repository of their own for each test, by digest."""
    reference = f"{host}/{request.node.name.split('[')[0]}/component-dependencies:key"
    return push(Registry(insecure=True), reference, image({"opt/jukebox/pyvenv.cfg": "home = /usr/bin\n"}))


def assemble(tree, below, *options: object, **env: str):
    """Assemble as the Task does: by variables, with nothing but a folder for the results to write to."""
    told = {
        "JUKEBOX_REPOSITORY": below.partition("/component-dependencies")[0],
        "JUKEBOX_DEPENDENCIES": below,
        "JUKEBOX_TAG": COMMIT,
        "JUKEBOX_SOURCE": URL,
        "JUKEBOX_BASE_PYTHON": "3.12",
        "JUKEBOX_REGISTRY_TLS": "false",
        "JUKEBOX_RESULTS_DIR": str(tree.parent / "results"),
        **env,
    }
    (tree.parent / "elsewhere").mkdir(exist_ok=True)
    return called(
        "ci", "image-assemble", "--checkout", tree, *options, cwd=tree.parent / "elsewhere", env=told
    )


def results(tree) -> dict[str, str]:
    return {path.name: path.read_text() for path in (tree.parent / "results").glob("*")}


def test_the_package_is_one_layer_on_the_dependencies(tree, below):
    done = assemble(tree, below)
    assert (done.returncode, done.stderr) == (0, "")
    name = below.replace("component-dependencies", "component").partition("@")[0]
    found = results(tree)
    assert found == {
        "IMAGE": f"{name}@{found['IMAGE_DIGEST']}",
        "IMAGE_URL": f"{name}:{COMMIT}",
        "IMAGE_DIGEST": found["IMAGE_DIGEST"],
    }
    assert done.stdout.startswith(found["IMAGE"])
    lower, ours = pull(below), pull(found["IMAGE"])
    assert ours == pull(found["IMAGE_URL"])
    assert ours.manifest["layers"][:-1] == lower.manifest["layers"]
    assert ours.top == {name: (file.mode, file.data) for name, file in package_files(tree, "3.12").items()}


def test_the_configuration_is_that_of_the_dependencies_with_labels_and_a_step(tree, below):
    assert assemble(tree, below).returncode == 0
    lower, ours = pull(below).config, pull(results(tree)["IMAGE"]).config
    labels = ours["config"].pop("Labels")
    assert labels == {**lower["config"].pop("Labels"), **LABELS, SOURCE: URL}
    assert ours["config"] == lower["config"]
    assert ours["history"][:-1] == lower["history"]
    assert len(ours["history"]) == len(ours["rootfs"]["diff_ids"])
    assert (ours["architecture"], ours["os"]) == (lower["architecture"], lower["os"])
    assert COMMIT not in json.dumps(ours)
    assert ours["created"] == "1970-01-01T00:00:00Z"


def test_a_commit_with_the_same_package_is_the_same_image_and_sends_nothing(tree, below):
    first = json.loads(assemble(tree, below, "--json").stdout)
    assert first["sent"] > 0
    (tree / "README.md").write_text("other docs\n")
    again = json.loads(assemble(tree, below, "--json", JUKEBOX_TAG="another").stdout)
    assert (again["digest"], again["sent"]) == (first["digest"], 0)
    with open(tree / "ml/core/version.py", "a") as module:
        module.write("# other code\n")
    other = json.loads(assemble(tree, below, "--json").stdout)
    assert other["digest"] != first["digest"]
    assert 0 < other["sent"] < 100_000


def test_the_layers_below_are_mounted_not_sent(tree, below):
    """The registry has them in the other repository: only the code and the configuration are sent."""
    found = json.loads(assemble(tree, below, "--json").stdout)
    ours = pull(found["by_digest"])
    sizes = [ours.manifest["config"]["size"], ours.manifest["layers"][-1]["size"]]
    assert found["sent"] == sum(sizes)


def test_from_another_registry_they_are_sent(tree, below, tmp_path):
    with registry_server(tmp_path) as other:
        found = json.loads(assemble(tree, below, "--json", JUKEBOX_REPOSITORY=f"{other}/team").stdout)
        ours = pull(found["by_digest"])
        assert ours.manifest["layers"][0] == pull(below).manifest["layers"][0]
        sizes = [entry["size"] for entry in (ours.manifest["config"], *ours.manifest["layers"])]
        assert found["sent"] == sum(sizes)


def test_dependencies_by_their_tag_and_of_docker(tree, host):
    reference = f"{host}/docker/component-dependencies:key"
    push(Registry(insecure=True), reference, image({"a": "b"}, "docker"))
    assert assemble(tree, reference).returncode == 0
    ours = pull(results(tree)["IMAGE"])
    assert ours.manifest["mediaType"] == KINDS["docker"][0]
    assert {entry["mediaType"] for entry in ours.manifest["layers"]} == {KINDS["docker"][2]}


def test_an_index_of_platforms_and_what_is_no_image_are_refused(tree, host):
    kind = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": []})
    url = f"http://{host}/v2/odd/component-dependencies/manifests"
    put = requests.put(f"{url}/index", data=index, headers={"Content-Type": kind}, timeout=5)
    assert put.status_code == 201, put.text
    reference = f"{host}/odd/component-dependencies"
    assert "is not an image for one platform" in assert_one_line(assemble(tree, f"{reference}:index"), 2)
    push(Registry(insecure=True), f"{reference}:empty", image({}, rootfs={}))
    assert "is not a valid image" in assert_one_line(assemble(tree, f"{reference}:empty"), 2)
    assert "the registry answers 404" in assert_one_line(assemble(tree, f"{reference}:none"), 30)
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
    ],
)
def test_what_is_refused(tree, below, options, said):
    assert said in assert_one_line(assemble(tree, below, *options), 2)
    assert results(tree) == {}


def test_a_link_in_the_package_is_refused_and_nothing_is_pushed(tree, below, tmp_path):
    (tmp_path / "secret").write_text("canary")
    (tree / "ml/notes.txt").symlink_to(tmp_path / "secret")
    assert "ml/notes.txt is a link" in assert_one_line(assemble(tree, below), 2)
    name = below.replace("component-dependencies", "component").partition("@")[0]
    assert Registry(insecure=True).digest(f"{name}:{COMMIT}") is None


def test_the_layer_has_no_date_no_owner_and_an_order():
    files = package_files(ROOT, "3.12")
    ours, again = code_layer(files), code_layer(dict(reversed(files.items())))
    assert ours == again
    assert ours.data[4:8] == bytes(4)
    with tarfile.open(fileobj=io.BytesIO(ours.data)) as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries} == {
        (0, 0, 0, "", "")
    }
    assert {entry.mode for entry in entries if entry.isdir()} == {0o755}
    assert entries[0].name == "opt"
    assert digest(ours.data) != ours.diff_id
