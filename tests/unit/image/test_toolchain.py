"""What a registry has of the dependencies (`jukebox ci toolchain`), and pushing the rest."""

import json
import shutil

import pytest
from command import called
from docker_registry import registry_server
from oci_images import image, pull, write_layout
from processes import assert_one_line
from registries import DIGEST, LOGIN, Shelf, encoded, serving_registry
from servers import closed_port

from ml.image.key import FILES, STAGES, base_digest, default_base, dependencies, keyed_files

BASE = f"registry.example/base@sha256:{'1' * 64}"


@pytest.fixture
def shelf():
    with serving_registry(Shelf()) as found:
        yield found


def key(tree, python="3.12", base="") -> str:
    return dependencies(keyed_files(tree), python, base_digest(base or default_base(tree))).key


def hold(shelf, tree, *stages, **about) -> None:
    for stage in stages:
        shelf.hold(f"team/jukebox/{stage}", key(tree, **about))


def look(shelf, tree, *options: object, **env: str):
    """Ask as the Task does: by variables, from elsewhere, with the checkout by name."""
    told = {
        "JUKEBOX_REPOSITORY": f"{shelf.host}/team/jukebox",
        "JUKEBOX_REGISTRY_TLS": "false",
        "REGISTRY_AUTH_FILE": str(tree.parent / "none.json"),
        **env,
    }
    (tree.parent / "elsewhere").mkdir(exist_ok=True)
    arguments = ("--checkout", tree, "--plan", tree.parent / "plan")
    return called("ci", "toolchain", *arguments, *options, cwd=tree.parent / "elsewhere", env=told)


def plan(tree) -> dict[str, str]:
    found = json.loads((tree.parent / "plan" / "plan.json").read_text())
    return {each["stage"]: each["by_digest"] for each in found["dependencies"]}


def to_build(tree) -> list[str]:
    return (tree.parent / "plan" / "stages").read_text().splitlines()


def nothing_written(tree) -> bool:
    return not list((tree.parent / "plan").glob("*"))


def test_all_are_there(shelf, tree):
    hold(shelf, tree, *STAGES)
    done = look(shelf, tree)
    assert (done.returncode, done.stderr) == (0, "")
    expected = {stage: f"{shelf.host}/team/jukebox/{stage}@{DIGEST}" for stage in STAGES}
    assert plan(tree) == expected
    assert to_build(tree) == []
    assert done.stdout.splitlines() == [f"{stage}: {where}" for stage, where in expected.items()]


@pytest.mark.parametrize("there", [(), STAGES[:1], STAGES[1:]])
def test_what_is_missing_is_to_be_built_from_the_files_of_its_key(shelf, tree, there):
    hold(shelf, tree, *there)
    done = look(shelf, tree)
    assert (done.returncode, done.stderr) == (0, "")
    assert to_build(tree) == [stage for stage in STAGES if stage not in there]
    assert {stage for stage, where in plan(tree).items() if where} == set(there)
    assert done.stdout.count("to be built as") == len(to_build(tree))
    context = tree.parent / "plan" / "context"
    assert {str(path.relative_to(context)) for path in context.rglob("*") if path.is_file()} == set(FILES)


def test_python_and_base_are_part_of_the_key(shelf, tree):
    hold(shelf, tree, *STAGES, python="3.11", base=BASE)
    done = look(shelf, tree, JUKEBOX_BASE_IMAGE=BASE, JUKEBOX_BASE_PYTHON="3.11")
    assert (done.returncode, to_build(tree)) == (0, [])
    assert look(shelf, tree).stdout.count("to be built as") == 3


def test_json_is_one_object(shelf, tree):
    hold(shelf, tree, STAGES[0])
    done = look(shelf, tree, "--json")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert json.loads(done.stdout) == json.loads((tree.parent / "plan" / "plan.json").read_text())


def test_nothing_has_to_be_written(shelf, tree):
    done = called("ci", "toolchain", "--repository", f"{shelf.host}/team/jukebox", "--plain-http", cwd=tree)
    assert (done.returncode, done.stdout.count("to be built as")) == (0, 3)
    assert sorted(path.name for path in tree.parent.iterdir()) == ["tree"]


def test_the_login_is_read_from_the_file_and_never_shown(shelf, tree):
    shelf.auth = "bearer"
    hold(shelf, tree, *STAGES)
    path = tree.parent / "config.json"
    path.write_text(json.dumps({"auths": {f"http://{shelf.host}/v2/": {"auth": encoded()}}}))
    done = look(shelf, tree, REGISTRY_AUTH_FILE=str(path))
    assert (done.returncode, to_build(tree)) == (0, [])
    path.write_text(json.dumps({"auths": {shelf.host: {"auth": encoded(f"{LOGIN}-old")}}}))
    refused = look(shelf, tree, REGISTRY_AUTH_FILE=str(path))
    assert "no token from 127.0.0.1 (401)" in assert_one_line(refused, 30)
    path.write_text(LOGIN)
    broken = look(shelf, tree, REGISTRY_AUTH_FILE=str(path))
    assert "not a Docker configuration with logins" in assert_one_line(broken, 2)
    for said in (done, refused, broken):
        assert LOGIN.partition(":")[2] not in said.stdout + said.stderr


@pytest.mark.parametrize("answers", [0, 2])
def test_a_registry_that_fails_leaves_nothing(shelf, tree, answers):
    hold(shelf, tree, *STAGES)
    shelf.status, shelf.answers = 503, answers
    assert "the registry answers 503" in assert_one_line(look(shelf, tree), 30)
    assert nothing_written(tree)


def test_a_registry_that_is_down_is_the_platforms_fault(shelf, tree):
    where = {"JUKEBOX_REPOSITORY": f"127.0.0.1:{closed_port()}/team/jukebox"}
    assert "Connection refused" in assert_one_line(look(shelf, tree, **where), 30)
    done = look(shelf, tree, "--json", **where)
    assert (json.loads(done.stdout)["exit_code"], nothing_written(tree)) == (30, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--repository", "Registry/x"], "--repository Registry/x: name it as registry.example/team/jukebox"),
        (["--repository", "r.example/x:tag"], "without a tag"),
        (["--base", "registry.example/base:9.8"], "by digest"),
        (["--python", "3.13"], "--python 3.13: there are locks for 3.11 and 3.12"),
        (["--ca", "none.pem"], "--ca none.pem: cannot be read"),
        (["--ca", "/etc/hostname"], "--ca /etc/hostname: cannot be read; give a file of PEM certificates"),
        (["--checkout", "."], "run this in a checkout"),
        (["--plan", "/etc/hostname"], "--plan /etc/hostname: "),
        (["--tls", "--repository", ""], "--repository"),
    ],
)
def test_what_is_refused_asks_nobody(shelf, tree, options, said):
    assert said in assert_one_line(look(shelf, tree, *options), 2)
    assert shelf.asked == []
    assert nothing_written(tree)


def test_a_repository_is_needed(tree):
    done = called("ci", "toolchain", cwd=tree)
    assert done.returncode == 2
    assert "--repository" in done.stderr


# What was built.


@pytest.fixture
def host(tmp_path):
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry; install it: apt-get install docker-registry")
    with registry_server(tmp_path) as found:
        yield found


def push(host, tree, *options: object):
    told = {
        "JUKEBOX_REPOSITORY": f"{host}/team/jukebox",
        "JUKEBOX_REGISTRY_TLS": "false",
        "JUKEBOX_RESULTS_DIR": str(tree.parent / "results"),
    }
    arguments = ("--plan", tree.parent / "plan", "--layouts", tree.parent / "layouts")
    return called("ci", "toolchain-push", *arguments, *options, cwd=tree.parent, env=told)


def results(tree) -> dict[str, str]:
    return {path.name: path.read_text() for path in (tree.parent / "results").glob("*")}


def write_all(tree) -> None:
    for stage in to_build(tree):
        write_layout(tree.parent / "layouts" / stage, image({"stage": stage}))


def test_what_was_built_is_pushed_under_its_key_and_found_from_then_on(host, tree):
    where = Shelf(host=host)
    assert look(where, tree).returncode == 0
    write_all(tree)
    done = push(host, tree)
    assert (done.returncode, done.stderr) == (0, "")
    found = results(tree)
    assert set(found) == {"COMPONENT_DEPENDENCIES", "TOOLS_DEPENDENCIES", "TEST_DEPENDENCIES"}
    for stage in STAGES:
        by_digest = found[stage.upper().replace("-", "_")]
        assert by_digest.startswith(f"{host}/team/jukebox/{stage}@sha256:")
        assert pull(by_digest).top["stage"][1] == stage.encode()
        assert pull(by_digest) == pull(f"{host}/team/jukebox/{stage}:{key(tree)}")
    shutil.rmtree(tree.parent / "results")
    assert look(where, tree).returncode == 0
    assert to_build(tree) == []
    assert push(host, tree).returncode == 0
    assert results(tree) == found


@pytest.mark.parametrize("way", ["missing", "damaged"])
def test_a_layout_that_is_not_whole_pushes_nothing(host, tree, way):
    where = Shelf(host=host)
    look(where, tree)
    write_all(tree)
    layout = tree.parent / "layouts" / STAGES[-1]
    if way == "missing":
        shutil.rmtree(layout)
    else:
        (layout / "index.json").write_text("{}")
    assert f"{layout} is not an image that can be pushed" in assert_one_line(push(host, tree), 20)
    assert results(tree) == {}
    assert look(where, tree).stdout.count("to be built as") == 3


def test_without_a_plan_nothing_is_pushed(tree):
    assert "has no plan" in assert_one_line(push("registry.example", tree), 2)
