"""`jukebox image-build`: what it asks an engine for, what it refuses, and how it fails."""

import json
import os
import shutil
import signal
import tempfile

import pytest
from checkouts import DATE, append, build, commit_all, git, key_of, passed
from processes import assert_one_line, finish, start_at, wait_for

from ml.image.key import FILES, default_base, native_architecture

STAGES = ["component-dependencies", "component", "component-sbom"]
TOOLS = [stage.replace("component", "tools") for stage in STAGES]
LOG = ".jukebox/image/build.log"
REPOSITORY = "registry.example:5000/team/jukebox"
PUSH = ("--push", "--repository", REPOSITORY)


def below(checkout, repository="localhost/jukebox") -> str:
    return f"{repository}/component-dependencies:{key_of(checkout)}"


def pushed(fake) -> list[str]:
    return [call[-1] for call in fake.called("push")]


def test_both_images_are_built_on_their_dependencies_and_named_after_the_commit(fake, checkout):
    text, head = passed(build(checkout, targets=())), git(checkout, "rev-parse", "HEAD")
    assert fake.built == [*STAGES, *TOOLS]
    for target in ("component", "tools"):
        name = f"localhost/jukebox/{target}:{head[:12]}"
        assert f"{target}: {name} (12.3 MB with the base; dependencies built)" in text
    calls = dict(zip(fake.built, fake.called("build"), strict=True))
    assert f"--tag={below(checkout)}" in calls["component-dependencies"]
    for stage in STAGES[1:]:
        assert f"--build-context=component-dependencies=container-image://{below(checkout)}" in calls[stage]
    assert all("--timestamp=0" in call for call in calls.values())
    assert {f"--build-arg=REVISION={head}", f"--build-arg=CREATED={DATE}"} <= set(calls["tools"])
    assert not [word for word in calls["component"] if "REVISION" in word or "CREATED" in word]


def test_buildah_builds_if_there_is_no_podman_and_json_is_one_object(no_engine, checkout):
    no_engine.install("buildah")
    no_engine.hold(default_base(checkout))
    assert "built by buildah" in passed(build(checkout))
    document = json.loads(passed(build(checkout, "--json")))
    assert document["commit"] == git(checkout, "rev-parse", "HEAD")
    (image,) = document["images"]
    assert (image["target"], image["pushed"], image["reused"]) == ("component", False, True)
    assert (image["dependencies"], image["key"]) == (below(checkout), key_of(checkout))
    assert [stage["step"] for stage in document["stages"]] == STAGES[1:]


def test_dependencies_are_built_from_the_files_of_their_key_only(fake, checkout):
    says = "Collecting kfp\nERROR: no\n  more\nError: building at STEP 3"
    fake.behave(broken="component-dependencies", says=says)
    line = assert_one_line(build(checkout), 20)
    assert line == f"jukebox: building component-dependencies failed: ERROR: no (log: {LOG})"
    assert set(fake.seen["files"]) == set(FILES)
    assert fake.built == ["component-dependencies"]


def test_uncommitted_changes_are_not_built_and_shown(fake, checkout):
    assert "the work tree differs" not in passed(build(checkout))
    (checkout / "ml/new.py").touch()
    (checkout / "ml/core/version.py").unlink()
    assert "the work tree differs from the commit" in passed(build(checkout))
    assert "ml/core/version.py" in fake.seen["files"]
    assert "ml/new.py" not in fake.seen["files"]


@pytest.mark.slow
def test_dependencies_are_built_again_only_for_a_new_lock_or_with_fresh(fake, checkout):
    passed(build(checkout))
    for changed, done in (("ml/core/version.py", "reused"), ("requirements/component.txt", "built")):
        append(checkout / changed)
        commit_all(checkout)
        assert f"dependencies {done}" in passed(build(checkout))
    assert fake.built == [*STAGES, *STAGES[1:], *STAGES]
    assert not any("--no-cache" in call for call in fake.calls)
    assert "dependencies built" in passed(build(checkout, "--fresh"))
    assert fake.built[-3:] == STAGES
    assert all("--no-cache" in call for call in fake.called("build")[-3:])


@pytest.mark.parametrize(
    ("held_in", "says", "builds", "pushes"),
    [
        ((), "not in the registry: ", True, True),
        (("held",), "not in the registry: ", False, True),
        (("registry",), "the registry has the dependencies", False, False),
        (("held", "registry"), "the registry has the dependencies", False, False),
    ],
)
def test_with_push_the_registry_is_asked_first_and_given_what_it_lacks(
    fake, checkout, held_in, says, builds, pushes
):
    for shelf in held_in:
        fake.hold(below(checkout, REPOSITORY), shelf)
    text = passed(build(checkout, *PUSH))
    assert says in text
    assert fake.built == (STAGES if builds else STAGES[1:])
    image = f"{REPOSITORY}/component:{git(checkout, 'rev-parse', 'HEAD')[:12]}"
    assert pushed(fake) == [below(checkout, REPOSITORY), image][not pushes :]
    assert f"  --image {REPOSITORY}/component@sha256:{'b' * 64}\n" in text


@pytest.mark.slow
def test_with_push_of_both_images_the_test_dependencies_are_pushed_too(fake, checkout):
    passed(build(checkout, *PUSH, targets=()))
    assert fake.built == [*STAGES, *TOOLS, "test-dependencies"]
    assert "/test-dependencies:" in pushed(fake)[-1]


def test_without_push_a_registry_is_asked_for_a_missing_base_only(fake, checkout):
    for name in (below(checkout), "registry.example/base:9"):
        fake.hold(name, "registry")
    assert "--image" not in passed(build(checkout, JUKEBOX_BASE_IMAGE="registry.example/base:9"))
    assert "--build-arg=BASE_IMAGE=registry.example/base:9" in fake.calls[-1]
    assert [call[-1] for call in fake.called("pull")] == ["registry.example/base:9"]
    assert (fake.built, pushed(fake)) == (STAGES, [])


@pytest.mark.parametrize(
    ("behaviour", "options", "code", "said", "built"),
    [
        ({"missing": "connection refused"}, PUSH, 30, "connection refused", False),
        ({"refuses_push": True}, PUSH, 30, "Error: writing blob: denied", True),
        ({"loses": "component"}, (), 30, "but does not list it; run the build again", True),
        ({"architecture": "s390x"}, (), 2, f"is for s390x, this machine is {native_architecture()}: ", False),
        ({}, ("--base", "r.example/b:9"), 30, "cannot pull the base image r.example/b:9: Error: init", False),
        ({}, ("--engine", "docker"), 2, "--engine docker: use podman or buildah", False),
        ({}, ("--python", "3.13"), 2, "--python 3.13: there are locks for 3.11 and 3.12", False),
        ({}, ("--target", "database"), 2, "--target database: the images are component and tools", False),
        ({}, ("--checkout", "ml"), 2, "run this in a checkout", False),
        ({}, ("--bills", "README.md"), 2, "cannot write to README.md", False),
        ({}, ("--push",), 2, "--push needs --repository", False),
    ],
)
def test_what_fails_or_is_refused_is_one_line(fake, checkout, behaviour, options, code, said, built):
    fake.behave(**behaviour)
    assert said in assert_one_line(build(checkout, *options), code)
    assert bool(fake.built) is built


def test_names_and_folders_that_are_not_valid_are_refused(fake, checkout):
    for name in ("localhost/jukebox:1", "localhost/Jukebox", "a@sha256:1", "a//b", "a/", "-a", ""):
        line = assert_one_line(build(checkout, f"--repository={name}"), 2)
        assert f"--repository {name}: name it as registry.example/team/jukebox, without a tag" in line
    shutil.rmtree(checkout / ".git")
    assert "cannot build from" in assert_one_line(build(checkout), 2)
    assert fake.calls == []


def test_a_password_is_in_the_secrets_file_only(fake, checkout, tmp_path, monkeypatch):
    url = "https://someone:canary-5e0c1d@pypi.example/simple"
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for broken, code in (("", 0), ("component", 20)):
        fake.behave(broken=broken, says="ERROR: no")
        done = build(checkout, "--fresh", PIP_INDEX_URL=url, PIP_CERT="/etc/hostname")
        assert done.returncode == code
        mode, text = fake.seen["secrets"]["pip.conf"]
        assert (mode, f"index-url = {url}\n" in text) == ("0o600", True)
        text = done.stdout + done.stderr + (checkout / LOG).read_text() + json.dumps(fake.calls)
        assert "--secret=id=pip.conf,src=" in text
        assert "--secret=id=ca.pem,src=" in text
        assert "canary-5e0c1d" not in text
        assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_engine_and_leaves_nothing(fake, checkout, number):
    fake.behave(hangs_at="component")
    process, pid = start_at(checkout, "image-build", "--target", "component"), fake.home / "pid"
    try:
        wait_for(lambda: pid.exists() and pid.read_text(), 30)
        process.send_signal(number)
        assert "interrupted" in assert_one_line(finish(process, 30), 20)
    finally:
        process.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert list((checkout / "tmp").iterdir()) == []
