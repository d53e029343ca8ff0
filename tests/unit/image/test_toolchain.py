"""`jukebox ci toolchain` and `toolchain-push`: look up the dependencies, and push the missing ones."""

import json
import shutil

import pytest
from checkouts import files_in, key_of, results, task
from oci_images import image, pull, write_layout
from processes import assert_one_line
from registries import CHALLENGE, DIGEST, LOGIN, assert_no_secret, encoded

from ml.image.key import FILES, STAGES

BASE, PLAN = f"registry.example/base@sha256:{'1' * 64}", ("--plan", "plan")


def look(host, tree, *options: object, **env: str):
    env = {"JUKEBOX_REPOSITORY": f"{host}/team/jukebox", **env}
    return task(tree, "toolchain", "--checkout", tree, *options, **env)


def to_build(tree) -> list[str]:
    return (tree.parent / "plan/stages").read_text().splitlines()


@pytest.mark.parametrize("present", [STAGES, STAGES[1:], ()])
@pytest.mark.parametrize("about", [{}, {"python": "3.11", "base": BASE}])
def test_missing_images_are_to_be_built_from_the_files_of_their_key(double, tree, present, about):
    key, env = key_of(tree, **about), {f"JUKEBOX_BASE_{name.upper()}": value for name, value in about.items()}
    for stage in present:
        double.hold(f"team/jukebox/{stage}:{key}")
    env |= {"JUKEBOX_BASE_IMAGE": about.get("base")}
    as_json, done = (look(double.host, tree, *options, **env) for options in (["--json"], PLAN))
    assert (done.returncode, done.stderr) == (0, "")
    names = {stage: f"{double.host}/team/jukebox/{stage}" for stage in STAGES}
    by_digest = {stage: f"{names[stage]}@{DIGEST}" if stage in present else "" for stage in STAGES}
    plan = json.loads((tree.parent / "plan/plan.json").read_text())
    assert {each["stage"]: each["by_digest"] for each in plan["dependencies"]} == by_digest
    assert json.loads(as_json.stdout) == plan
    assert to_build(tree) == [stage for stage in STAGES if stage not in present]
    where = {stage: by_digest[stage] or f"to be built as {names[stage]}:{key}" for stage in STAGES}
    assert done.stdout.splitlines() == [f"{stage}: {text}" for stage, text in where.items()]
    assert files_in(tree.parent / "plan/context") == {name: (tree / name).read_bytes() for name in FILES}


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ({"auths": {"http://HOST/v2/": {"auth": encoded()}}}, 0, ""),
        ({"auths": {"HOST": {"auth": encoded(f"{LOGIN}-old")}}}, 30, "no token from 127.0.0.1 (401)"),
        (LOGIN, 2, "not a Docker configuration with logins"),
    ],
)
def test_the_login_is_read_from_the_file_and_never_shown(double, tree, content, code, said):
    double.challenge = CHALLENGE
    (tree.parent / "config.json").write_text(json.dumps(content).replace("HOST", double.host))
    done = look(double.host, tree)
    assert (done.returncode, said in done.stderr) == (code, True)
    assert_no_secret(done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 30, "the registry answers 503"),
        (["--repository", "Registry/x"], 2, "--repository Registry/x: name it as registry.example/team/"),
        (["--base", "registry.example/base:9.8"], 2, "by digest"),
        (["--python", "3.13"], 2, "--python 3.13: there are locks for 3.11 and 3.12"),
        (["--ca", "none.pem"], 2, "--ca none.pem: cannot be read; give a file of PEM certificates"),
        (["--checkout", "."], 2, "run this in a checkout"),
        (["--plan", "/etc/hostname"], 2, "--plan /etc/hostname: "),
    ],
)
def test_what_fails_leaves_nothing_and_wrong_use_asks_no_registry(double, tree, options, code, said):
    double.faults = {f"HEAD .*{STAGES[1]}": (503, {}, b"no")}
    done = look(double.host, tree, "--json", *PLAN, *options)
    assert said in assert_one_line(done, code)
    assert json.loads(done.stdout)["exit_code"] == code
    assert bool(double.asked) is (code == 30)
    assert not list((tree.parent / "plan").glob("*"))


def push(host, tree):
    folders = ("--plan", tree.parent / "plan", "--layouts", tree.parent / "layouts")
    return task(tree, "toolchain-push", *folders, JUKEBOX_REPOSITORY=f"{host}/team/jukebox")


def test_images_are_pushed_under_their_key_and_only_if_all_layouts_are_valid(host, tree):
    assert "has no plan" in assert_one_line(push(host, tree), 2)
    look(host, tree, *PLAN)
    for stage in STAGES[:2]:
        write_layout(tree.parent / "layouts" / stage, image({"stage": stage}))
    assert f"{STAGES[2]} is not an image that can be pushed" in assert_one_line(push(host, tree), 20)
    assert results(tree) == {}
    look(host, tree, *PLAN)
    assert to_build(tree) == list(STAGES)
    write_layout(tree.parent / "layouts" / STAGES[2], image({"stage": STAGES[2]}))
    assert push(host, tree).returncode == 0
    written = results(tree)
    assert set(written) == {"COMPONENT_DEPENDENCIES", "TOOLS_DEPENDENCIES", "TEST_DEPENDENCIES"}
    for stage in STAGES:
        by_digest = written[stage.upper().replace("-", "_")]
        assert by_digest.startswith(f"{host}/team/jukebox/{stage}@sha256:")
        assert pull(by_digest).top["stage"][1] == stage.encode()
        assert pull(by_digest) == pull(f"{host}/team/jukebox/{stage}:{key_of(tree)}")
    shutil.rmtree(tree.parent / "results")
    look(host, tree, *PLAN)
    assert to_build(tree) == []
    assert push(host, tree).returncode == 0
    assert results(tree) == written
