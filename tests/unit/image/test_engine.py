"""Podman and buildah through the calls that both support."""

import platform

import pytest

from ml.core.errors import RunFailed, UsageError
from ml.image.engine import ENGINES, Engine, Image, find_engine, is_absent
from ml.image.key import native_architecture

IMAGE = "localhost/jukebox/tools:1"


@pytest.fixture(params=ENGINES)
def either(request, no_engine):
    """Either engine, the only one on PATH."""
    no_engine.install(request.param)
    return no_engine


@pytest.fixture
def engine(either, tmp_path) -> Engine:
    return find_engine(None, tmp_path / "build.log")


def failure(kind, function, *arguments) -> str:
    with pytest.raises(kind) as caught:
        function(*arguments)
    return str(caught.value)


def test_the_named_engine_is_used_or_the_first_that_is_installed(no_engine, tmp_path):
    install = "is {}installed; install it: apt-get install {}, or dnf install {}"
    no_engine.install("docker")
    line = failure(UsageError, find_engine, None, tmp_path)
    assert line == f"neither podman nor buildah {install.format('', 'podman', 'podman')}"
    assert failure(UsageError, find_engine, "docker", tmp_path) == "--engine docker: use podman or buildah"
    line = failure(UsageError, find_engine, "buildah", tmp_path)
    assert line == f"buildah {install.format('not ', 'buildah', 'buildah')}"
    no_engine.install("buildah")
    assert find_engine(None, tmp_path).name == "buildah"
    no_engine.install("podman")
    assert find_engine(None, tmp_path).name == "podman"
    assert find_engine("buildah", tmp_path).name == "buildah"


def test_an_image_is_inspected_pulled_and_pushed(either, engine):
    either.behave(architecture="s390x")
    assert engine.pull(IMAGE) == "Error: initializing source: manifest unknown"
    assert engine.inspect(IMAGE) is None
    either.hold(IMAGE, "registry")
    assert engine.pull(IMAGE) == ""
    assert engine.inspect(IMAGE) == Image(f"sha256:{'a' * 64}", "s390x", "12.3 MB")
    assert engine.push(IMAGE) == f"sha256:{'b' * 64}"


def test_some_errors_mean_that_the_image_does_not_exist():
    errors = "Manifest Unknown|name unknown|404 Not Found|401 Unauthorized|authentication required|denied"
    for error in errors.split("|"):
        assert is_absent(f"Error: {error}")
    assert not is_absent("Error: connection refused")


def test_a_build_reads_the_context_and_logs_all_output(either, engine, tmp_path):
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Containerfile").touch()
    for target, option in (("code", "--no-cache"), ("tools", f"--tag={IMAGE}")):
        engine.build(tmp_path / "context", target, [option])
        options = ["--target", target, "--layers", "--pull=never", option, "--file", "Containerfile", "."]
        assert either.calls[-1] == [engine.name, "build", *options]
    assert either.seen["files"] == ["Containerfile"]
    assert engine.inspect(IMAGE)
    log = "== code\nSTEP 1/1: FROM base AS code\n== tools\nSTEP 1/1: FROM base AS tools\n"
    assert engine.log.read_text() == log


OUTPUTS = {
    "pip: hm\nERROR: no hash\nmore\nError: building at STEP 3: exit status 1": "ERROR: no hash",
    "something\nthe last words": "the last words",
    "error: \xe9\ufffd": "error: é",
}


@pytest.mark.parametrize(("says", "line"), OUTPUTS.items())
def test_a_failed_build_shows_its_own_first_error(either, engine, tmp_path, says, line):
    engine.log.write_text("Error: of another build\n")
    either.behave(broken="code", says=says)
    text = failure(RunFailed, engine.build, tmp_path, "code", [])
    assert text.startswith(f"building code failed: {line}")
    assert text.endswith(f"(log: {engine.log})")
    assert says.split("\n")[0] in engine.log.read_text()
    assert len(either.built) == 1


def test_a_build_that_the_kernel_refused_is_tried_three_times(either, engine, tmp_path):
    either.behave(busy=2)
    engine.build(tmp_path, "code", [])
    assert len(either.built) == 3
    either.behave(busy=9)
    assert "Device or resource busy" in failure(RunFailed, engine.build, tmp_path, "code", [])
    assert len(either.built) == 6


def test_the_architecture_of_this_machine_has_its_name_in_images():
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    assert native_architecture() == names.get(platform.machine(), platform.machine())
