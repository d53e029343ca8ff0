"""`jukebox toolchain`: what a registry has of a checkout's dependencies, and what a failure leaves."""

import json

import pytest
from command import called
from processes import assert_one_line
from registries import DIGEST, LOGIN, Shelf, encoded, serving_registry
from servers import closed_port

from ml.image.key import KEYED, base_digest, default_base, dependencies

NAMES = {
    "BUILD": "build",
    "COMPONENT_DEPENDENCIES": "component-dependencies",
    "TOOLS_DEPENDENCIES": "tools-dependencies",
    "TEST_DEPENDENCIES": "test-dependencies",
}
BASE = f"registry.example/base@sha256:{'1' * 64}"


@pytest.fixture
def shelf():
    with serving_registry(Shelf()) as found:
        yield found


def keys(tree, python="3.12", base="") -> dict[str, str]:
    """Return the key of each stage."""
    digest = base_digest(base or default_base(tree))
    found = [dependencies(tree, target, python, digest) for target in KEYED]
    return {known.stage: known.key for known in found}


def hold(shelf, tree, *stages, **about) -> None:
    for stage, key in keys(tree, **about).items():
        if stage in stages:
            shelf.hold(f"team/jukebox/{stage}", key)


def look(shelf, tree, *options: object, **env: str):
    """Ask as the Task does: by variables, from elsewhere, with the checkout by name."""
    told = {
        "JUKEBOX_REPOSITORY": f"{shelf.host}/team/jukebox",
        "JUKEBOX_REGISTRY_TLS": "false",
        "JUKEBOX_RESULTS_DIR": str(tree.parent / "results"),
        "REGISTRY_AUTH_FILE": str(tree.parent / "none.json"),
        **env,
    }
    (tree.parent / "elsewhere").mkdir(exist_ok=True)
    arguments = ("--checkout", tree, "--missing", tree.parent / "plan" / "missing")
    return called("toolchain", *arguments, *options, cwd=tree.parent / "elsewhere", env=told)


def results(tree) -> dict[str, str]:
    return {path.name: path.read_text() for path in (tree.parent / "results").glob("*")}


def missing(tree) -> list[list[str]]:
    return [line.split() for line in (tree.parent / "plan" / "missing").read_text().splitlines()]


def nothing_written(tree) -> bool:
    return results(tree) == {} and not list((tree.parent / "plan").glob("*"))


def test_all_are_there(shelf, tree):
    hold(shelf, tree, *NAMES.values())
    done = look(shelf, tree)
    assert (done.returncode, done.stderr) == (0, "")
    expected = {name: f"{shelf.host}/team/jukebox/{stage}@{DIGEST}" for name, stage in NAMES.items()}
    assert results(tree) == expected
    assert missing(tree) == []
    assert done.stdout.splitlines() == [f"{NAMES[name]}: {where}" for name, where in expected.items()]


@pytest.mark.parametrize("there", [(), ("build",), ("build", "test-dependencies", "tools-dependencies")])
def test_what_is_missing_has_a_line_and_no_result(shelf, tree, there):
    hold(shelf, tree, *there)
    done = look(shelf, tree)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(results(tree)) == {name for name, stage in NAMES.items() if stage in there}
    assert missing(tree) == [
        [name, stage, f"{shelf.host}/team/jukebox/{stage}:{keys(tree)[stage]}"]
        for name, stage in NAMES.items()
        if stage not in there
    ]
    assert done.stdout.count("to be built as") == 4 - len(there)


def test_python_and_base_are_part_of_the_key(shelf, tree):
    hold(shelf, tree, *NAMES.values(), python="3.11", base=BASE)
    done = look(shelf, tree, JUKEBOX_BASE_IMAGE=BASE, JUKEBOX_BASE_PYTHON="3.11")
    assert (done.returncode, missing(tree)) == (0, [])
    assert len(look(shelf, tree).stdout.split("to be built as")) == 5


def test_json_is_one_object(shelf, tree):
    hold(shelf, tree, "build")
    done = look(shelf, tree, "--json")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    found = json.loads(done.stdout)
    build = f"{shelf.host}/team/jukebox/build@{DIGEST}"
    assert found["dependencies"] == {**dict.fromkeys(NAMES, ""), "BUILD": build}
    assert found["missing"] == [reference for _, _, reference in missing(tree)]


def test_nothing_has_to_be_written(shelf, tree):
    done = called("toolchain", "--repository", f"{shelf.host}/team/jukebox", "--plain-http", cwd=tree)
    assert (done.returncode, done.stdout.count("to be built as")) == (0, 4)
    assert sorted(path.name for path in tree.parent.iterdir()) == ["tree"]


def test_the_login_is_read_from_the_file_and_never_shown(shelf, tree):
    shelf.auth = "bearer"
    hold(shelf, tree, *NAMES.values())
    path = tree.parent / "config.json"
    path.write_text(json.dumps({"auths": {f"http://{shelf.host}/v2/": {"auth": encoded()}}}))
    done = look(shelf, tree, REGISTRY_AUTH_FILE=str(path))
    assert (done.returncode, missing(tree)) == (0, [])
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
    hold(shelf, tree, *NAMES.values())
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
        (["--ca", "/etc/hostname"], "--ca /etc/hostname: cannot be read; it is a file of PEM certificates"),
        (["--checkout", "."], "run this in a checkout"),
        (["--results-dir", "/etc/hostname"], "--results-dir /etc/hostname: "),
        (["--missing", "/etc/hostname/missing"], "--missing /etc/hostname: "),
        (["--missing", "../elsewhere"], "'../elsewhere' is a directory"),
        (["--tls", "--repository", ""], "--repository"),
    ],
)
def test_what_is_refused_asks_nobody(shelf, tree, options, said):
    assert said in assert_one_line(look(shelf, tree, *options), 2)
    assert shelf.asked == []
    assert nothing_written(tree)


def test_a_repository_is_needed(tree):
    done = called("toolchain", cwd=tree)
    assert done.returncode == 2
    assert "--repository" in done.stderr
