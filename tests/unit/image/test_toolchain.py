"""`jukebox ci toolchain` and `toolchain-push`: look up the dependencies, and push the missing ones."""

import json
import shutil

import pytest
from checkouts import files_in, key_of, results, task
from command import called
from oci_images import image, pull, write_layout
from processes import assert_one_line
from registries import DIGEST, LOGIN, encoded
from servers import closed_port

from ml.image.key import FILES, STAGES

BASE = f"registry.example/base@sha256:{'1' * 64}"
MISSING = "to be built as"


def hold(double, tree, *stages, **settings) -> None:
    for stage in stages:
        double.hold(f"team/jukebox/{stage}", key_of(tree, **settings))


def look(host, tree, *options: object, **env: str):
    arguments = ("toolchain", "--checkout", tree, "--plan", tree.parent / "plan", *options)
    return task(tree, *arguments, JUKEBOX_REPOSITORY=f"{host}/team/jukebox", **env)


def plan(tree) -> dict:
    return json.loads((tree.parent / "plan/plan.json").read_text())


def to_build(tree) -> list[str]:
    return (tree.parent / "plan/stages").read_text().splitlines()


def nothing_written(tree) -> bool:
    return not list((tree.parent / "plan").glob("*"))


@pytest.mark.parametrize("present", [STAGES, STAGES[:1], STAGES[1:], ()])
def test_missing_images_are_to_be_built_from_the_files_of_their_key(double, tree, present):
    hold(double, tree, *present)
    done = look(double.host, tree)
    assert (done.returncode, done.stderr) == (0, "")
    names = {stage: f"{double.host}/team/jukebox/{stage}" for stage in STAGES}
    by_digest = {stage: f"{names[stage]}@{DIGEST}" if stage in present else "" for stage in STAGES}
    assert {each["stage"]: each["by_digest"] for each in plan(tree)["dependencies"]} == by_digest
    assert to_build(tree) == [stage for stage in STAGES if stage not in present]
    where = {stage: by_digest[stage] or f"{MISSING} {names[stage]}:{key_of(tree)}" for stage in STAGES}
    assert done.stdout.splitlines() == [f"{stage}: {text}" for stage, text in where.items()]
    assert files_in(tree.parent / "plan/context").keys() == set(FILES)


def test_python_and_base_are_part_of_the_key_and_json_is_the_plan(double, tree):
    hold(double, tree, *STAGES, python="3.11", base=BASE)
    done = look(double.host, tree, "--json", JUKEBOX_BASE_IMAGE=BASE, JUKEBOX_BASE_PYTHON="3.11")
    assert (done.returncode, done.stdout.count("\n"), to_build(tree)) == (0, 1, [])
    assert json.loads(done.stdout) == plan(tree)
    shutil.rmtree(tree.parent / "plan")
    options = ("--repository", f"{double.host}/team/jukebox", "--plain-http")
    assert called("ci", "toolchain", *options, cwd=tree).stdout.count(MISSING) == 3
    assert nothing_written(tree), "a plan is optional"


def test_the_login_is_read_from_the_file_and_never_shown(double, tree):
    double.locked = True
    hold(double, tree, *STAGES)
    ours = {"auths": {f"http://{double.host}/v2/": {"auth": encoded()}}}
    other = {"auths": {double.host: {"auth": encoded(f"{LOGIN}-old")}}}
    for content, code, said in (
        (json.dumps(ours), 0, ""),
        (json.dumps(other), 30, "no token from 127.0.0.1 (401)"),
        (LOGIN, 2, "not a Docker configuration with logins"),
    ):
        (tree.parent / "config.json").write_text(content)
        done = look(double.host, tree)
        assert (done.returncode, said in done.stderr) == (code, True)
        assert LOGIN.partition(":")[2] not in done.stdout + done.stderr


def test_a_registry_that_fails_leaves_nothing(double, tree):
    hold(double, tree, *STAGES)
    double.faults = {"": (503, {}, b"no")}
    for double.answers in (0, 3):  # of all requests: the first look-up fails at once, the second at its end
        assert "the registry answers 503" in assert_one_line(look(double.host, tree), 30)
    done = look(f"127.0.0.1:{closed_port()}", tree, "--json")
    assert "Connection refused" in assert_one_line(done, 30)
    assert json.loads(done.stdout)["exit_code"] == 30
    assert nothing_written(tree)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--repository", "Registry/x"], "--repository Registry/x: name it as registry.example/team/jukebox"),
        (["--repository", "r.example/x:tag"], "without a tag"),
        (["--base", "registry.example/base:9.8"], "by digest"),
        (["--python", "3.13"], "--python 3.13: there are locks for 3.11 and 3.12"),
        (["--ca", "none.pem"], "--ca none.pem: cannot be read; give a file of PEM certificates"),
        (["--checkout", "."], "run this in a checkout"),
        (["--plan", "/etc/hostname"], "--plan /etc/hostname: "),
        (["--tls", "--repository", ""], "--repository"),
    ],
)
def test_wrong_use_asks_no_registry(double, tree, options, said):
    assert said in assert_one_line(look(double.host, tree, *options), 2)
    assert double.asked == []
    assert nothing_written(tree)


def push(host, tree):
    folders = ("--plan", tree.parent / "plan", "--layouts", tree.parent / "layouts")
    return task(tree, "toolchain-push", *folders, JUKEBOX_REPOSITORY=f"{host}/team/jukebox")


def test_images_are_pushed_under_their_key_and_only_if_all_layouts_are_valid(host, tree):
    assert "has no plan" in assert_one_line(push(host, tree), 2)
    look(host, tree)
    for stage in STAGES:
        write_layout(tree.parent / "layouts" / stage, image({"stage": stage}))
    layout = tree.parent / "layouts" / STAGES[-1]
    layout.rename(layout.with_name("elsewhere"))
    assert f"{layout} is not an image that can be pushed" in assert_one_line(push(host, tree), 20)
    assert results(tree) == {}
    assert look(host, tree).stdout.count(MISSING) == 3
    layout.with_name("elsewhere").rename(layout)
    done = push(host, tree)
    assert (done.returncode, done.stderr) == (0, "")
    written = results(tree)
    assert set(written) == {"COMPONENT_DEPENDENCIES", "TOOLS_DEPENDENCIES", "TEST_DEPENDENCIES"}
    for stage in STAGES:
        by_digest = written[stage.upper().replace("-", "_")]
        assert by_digest.startswith(f"{host}/team/jukebox/{stage}@sha256:")
        assert pull(by_digest).top["stage"][1] == stage.encode()
        assert pull(by_digest) == pull(f"{host}/team/jukebox/{stage}:{key_of(tree)}")
    shutil.rmtree(tree.parent / "results")
    look(host, tree)
    assert to_build(tree) == []
    assert push(host, tree).returncode == 0
    assert results(tree) == written
