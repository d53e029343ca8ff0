"""`jukebox image-build` that fails, is refused or interrupted, and where a password goes."""

import json
import os
import shutil
import signal
import tempfile

import pytest
from checkouts import build, passed
from processes import assert_one_line, finish, start_at, wait_for

from ml.image.key import native_architecture

LOG = ".jukebox/image/build.log"
PASSWORD = "canary-5e0c1d"


def test_a_refused_push_is_the_registrys_fault(fake, checkout):
    fake.tell(refuses_push=True)
    line = assert_one_line(build(checkout, "--push", "--repository", "registry.example/jukebox"), 30)
    assert line.endswith("Error: writing blob: denied")


def test_a_password_is_in_the_secrets_file_and_nowhere_else(fake, checkout, tmp_path, monkeypatch):
    url = f"https://someone:{PASSWORD}@pypi.example/simple"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for says in ("", "ERROR: no"):
        fake.tell(broken="component" if says else "", says=says)
        done = build(checkout, "--fresh", PIP_INDEX_URL=url, PIP_CERT="/etc/hostname")
        assert done.returncode == (20 if says else 0)
        assert f"index-url = {url}\n" in fake.seen["secrets"]["pip.conf"]
        assert fake.seen["modes"]["pip.conf"] == "0o600"
        text = done.stdout + done.stderr + (checkout / LOG).read_text() + json.dumps(fake.calls)
        assert "--secret=id=pip.conf,src=" in text
        assert "--secret=id=ca.pem,src=" in text
        assert PASSWORD not in text
        assert list(temporary.iterdir()) == []


def test_a_build_that_fails_says_its_first_error_and_the_log_has_all_of_it(fake, checkout):
    says = "Collecting kfp\nERROR: THESE PACKAGES DO NOT MATCH\n  expected\nError: building at STEP 3"
    fake.tell(broken="component-dependencies", says=says)
    line = assert_one_line(build(checkout), 20)
    assert line == (
        f"jukebox: building component-dependencies failed: ERROR: THESE PACKAGES DO NOT MATCH (log: {LOG})"
    )
    assert says in (checkout / LOG).read_text()
    assert fake.built == ["component-dependencies"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_stop_ends_the_engine_and_leaves_nothing(fake, checkout, number):
    fake.tell(hangs_at="component")
    process = start_at(checkout, "image-build", "--target", "component")
    try:
        wait_for(lambda: (fake.home / "pid").exists() and (fake.home / "pid").read_text(), 30)
        process.send_signal(number)
        assert "interrupted" in assert_one_line(finish(process, 30), 20)
    finally:
        process.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(int((fake.home / "pid").read_text()), 0)
    assert list((checkout / "tmp").iterdir()) == []


def test_a_base_of_another_architecture_is_refused_before_anything_is_built(fake, checkout):
    fake.tell(architecture="s390x")
    line = assert_one_line(build(checkout), 2)
    assert f"is for s390x, this machine is {native_architecture()}" in line
    assert fake.built == []


def test_a_base_that_is_elsewhere_is_fetched_and_one_that_is_nowhere_is_a_registrys_fault(fake, checkout):
    line = assert_one_line(build(checkout, "--base", "registry.example/base:9"), 30)
    assert "cannot pull the base image registry.example/base:9: Error: initializing source" in line
    fake.hold("registry.example/base:9", "registry")
    passed(build(checkout, JUKEBOX_BASE_IMAGE="registry.example/base:9"))
    assert "--build-arg=BASE_IMAGE=registry.example/base:9" in fake.calls[-1]


@pytest.mark.parametrize(
    "name",
    [
        "localhost/jukebox:1",
        "localhost/jukebox:latest",
        "localhost/Jukebox",
        "a@sha256:1",
        "a//b",
        "a/",
        "-a",
        "",
    ],
)
def test_what_is_no_name_for_images_is_refused(fake, checkout, name):
    line = assert_one_line(build(checkout, f"--repository={name}"), 2)
    assert f"--repository {name}: name it as registry.example/team/jukebox, without a tag" in line
    assert fake.calls == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "docker"], "--engine docker: use podman or buildah"),
        (["--engine", "buildah"], "buildah is not installed; install it: apt-get install buildah"),
        (["--python", "3.13"], "--python 3.13: there are locks for 3.11 and 3.12"),
        (["--target", "database"], "--target database: the images are component and tools"),
        (["--checkout", "ml"], "run this in a checkout"),
        (["--bills", "README.md"], "cannot write to README.md"),
    ],
)
def test_what_else_is_refused(fake, checkout, options, said):
    assert said in assert_one_line(build(checkout, *options), 2)
    assert fake.built == []


def test_without_an_engine_it_says_what_to_install(no_engine, checkout, monkeypatch):
    monkeypatch.setenv("PATH", no_engine.path)
    line = assert_one_line(build(checkout), 2)
    assert "neither podman nor buildah is installed; install it: apt-get install podman" in line


def test_a_folder_that_git_does_not_know_is_refused(fake, checkout):
    shutil.rmtree(checkout / ".git")
    assert "cannot build from" in assert_one_line(build(checkout), 2)
