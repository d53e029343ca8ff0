"""Podman and buildah through the calls that they share, each a script that writes down what it was asked."""

import platform

import pytest

from ml.core.errors import PlatformError, RunFailed, UsageError
from ml.image.engine import ENGINES, Engine, Image, find_engine
from ml.image.key import native_architecture

IMAGE = "localhost/jukebox/tools:1"


@pytest.fixture(params=ENGINES)
def either(request, no_engine, monkeypatch):
    """Either engine, the only one on PATH."""
    no_engine.install(request.param)
    monkeypatch.setenv("PATH", no_engine.path)
    return no_engine


@pytest.fixture
def engine(either, tmp_path) -> Engine:
    return find_engine(None, tmp_path / "build.log")


def refused(*arguments) -> str:
    with pytest.raises(UsageError) as caught:
        find_engine(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_podman_is_taken_first_and_what_was_asked_for_before_it(no_engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", no_engine.path)
    no_engine.install("buildah")
    assert find_engine(None, tmp_path / "log").name == "buildah"
    no_engine.install("podman")
    assert find_engine(None, tmp_path / "log").name == "podman"
    assert find_engine("buildah", tmp_path / "log").name == "buildah"


def test_without_an_engine_it_says_what_to_install(no_engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", no_engine.path)
    line = refused(None, tmp_path)
    assert line.startswith("neither podman nor buildah is installed; install it: apt-get install podman")
    no_engine.install("podman")
    line = refused("buildah", tmp_path)
    assert line.startswith("buildah is not installed; install it: apt-get install buildah")


def test_another_engine_is_refused_even_where_it_is_installed(no_engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", no_engine.path)
    no_engine.install("docker")
    assert refused("docker", tmp_path) == "--engine docker: use podman or buildah"


def test_an_image_that_is_here_has_a_digest_an_architecture_and_a_size(either, engine):
    assert engine.inspect(IMAGE) is None
    either.hold(IMAGE)
    either.tell(architecture="s390x")
    assert engine.inspect(IMAGE) == Image(f"sha256:{'a' * 64}", "s390x", "12.3 MB")


def test_a_pull_fetches_or_says_in_one_line_why_not(either, engine):
    assert engine.pull(IMAGE) == "Error: initializing source: manifest unknown"
    assert engine.inspect(IMAGE) is None
    either.hold(IMAGE, "registry")
    assert engine.pull(IMAGE) == ""
    assert engine.inspect(IMAGE)


def test_a_push_returns_the_registrys_digest_or_says_in_one_line_why_not(either, engine):
    assert engine.push(IMAGE) == f"sha256:{'b' * 64}"
    either.tell(refuses_push=True)
    with pytest.raises(PlatformError) as caught:
        engine.push(IMAGE)
    assert str(caught.value) == f"cannot push {IMAGE}: Error: writing blob: denied"


def test_a_build_takes_its_files_from_the_context_and_says_everything_to_the_log(either, engine, tmp_path):
    context = tmp_path / "context"
    context.mkdir()
    (context / "Containerfile").touch()
    engine.build(context, "code", ["--no-cache"])
    engine.build(context, "tools", [f"--tag={IMAGE}"])
    assert either.seen["files"] == ["Containerfile"]
    assert engine.inspect(IMAGE)
    rest = ["--file", "Containerfile", "."]
    builds = [call for call in either.calls if call[1] == "build"]
    assert builds[0] == [
        engine.name,
        "build",
        "--target",
        "code",
        "--layers",
        "--pull=never",
        "--no-cache",
        *rest,
    ]
    assert engine.log.read_text().splitlines() == [
        "== code",
        "STEP 1/1: FROM base AS code",
        "== tools",
        "STEP 1/1: FROM base AS tools",
    ]


@pytest.mark.parametrize(
    ("says", "line"),
    [
        (
            "pip: hm\nERROR: no such hash\nmore\nError: building at STEP 3: exit status 1",
            "ERROR: no such hash",
        ),
        ("something\nthe last words", "the last words"),
        ("error: \xe9\udcff", "error: é"),
    ],
)
def test_a_build_that_fails_says_the_first_error_of_this_build_and_where_all_of_it_is(
    either, engine, tmp_path, says, line
):
    engine.log.write_text("Error: of another build\n")
    either.tell(broken="code", says=says.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    with pytest.raises(RunFailed) as caught:
        engine.build(tmp_path, "code", [])
    assert str(caught.value).startswith(f"building code failed: {line}")
    assert str(caught.value).endswith(f"(log: {engine.log})")
    assert says.split("\n")[0][:6] in engine.log.read_text()


def test_this_machines_architecture_has_the_name_that_images_use():
    known = {"x86_64": "amd64", "aarch64": "arm64"}
    assert native_architecture() == known.get(platform.machine(), platform.machine())


@pytest.mark.parametrize(("busy", "tries"), [(2, 3), (9, 3)])
def test_a_build_that_the_kernel_was_too_busy_for_is_tried_again_but_not_for_ever(
    either, engine, tmp_path, busy, tries
):
    either.tell(busy=busy)
    if busy < tries:
        engine.build(tmp_path, "code", [])
    else:
        with pytest.raises(RunFailed, match="Device or resource busy"):
            engine.build(tmp_path, "code", [])
    assert len(either.built) == tries
